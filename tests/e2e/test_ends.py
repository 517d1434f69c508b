"""Every way an agent ends, on both clients, foreground and background: closed once, with the right status and reason."""

import shutil

import pytest

from orchestrator.edges.scripted_model import Play, Reply, call, fail, say
from plays import ask, deploy, idle, launched, limited, main, more, once, shell, states, submit, task

ENDS = "SELECT agent_type, status, end_reason, inferred, final_message, error_message, origin, started_at, completed_at FROM " \
       "executions ORDER BY deployed_at, execution_id"


def written(home):
    """Whether an agent's transcript holds its first words."""
    return "so far: one" in "".join(path.read_text() for path in home.rglob("agent-*.jsonl"))


def queued(home, times=1):
    """Whether the client has written down so many times that an agent reached its end."""
    lines = "".join([path.read_text() for path in home.rglob("projects/*/*.jsonl")]).split("\n")
    return len([line for line in lines if "<task-id>" in line and '"enqueue"' in line]) >= times


def same_by_import(claude, project, rows):
    """What is known of the agents with a turn limit, which is the same when it is read from the transcripts alone."""
    known = "SELECT agent_id, tool_use_id, parent_agent_id, status, end_reason, inferred, final_message, error_message, " \
            "context_size, calls FROM executions WHERE agent_type = 'limited'"
    found = rows(project, known)
    shutil.rmtree(project / ".orchestrator")
    claude.command(project, "import")
    assert rows(project, known) == found
    return found


def spawn(prompt, background, kind="general-purpose"):
    """An unplanned Agent call."""
    return call("Agent", description="d", prompt=prompt, subagent_type=kind, run_in_background=background)


@pytest.fixture(params=[True, False], ids=["background", "foreground"])
def background(request):
    """Whether the agent runs in the background."""
    return request.param


def one(rows, project):
    """The one execution there is."""
    found = rows(project, ENDS)
    assert len(found) == 1, found
    return found[0]


def test_a_normal_end(claude, project, rows, background):
    """An agent that ends its turn completed, with its last message as the result (S2-43)."""
    play = Play().when("start", spawn("COUNT them", background), "waiting", "seen").when("COUNT", say("three").after(0.3))
    claude.run("start", play, project)
    end = one(rows, project)
    assert (end["status"], end["end_reason"], end["inferred"], end["final_message"]) == ("completed", "end_turn", 0, "three")
    assert end["origin"] == "unplanned"


def test_an_api_failure(claude, project, rows, background):
    """An agent whose model cannot be reached failed, whatever the client calls it, with the error, and with what it
    had said by then as its partial result."""
    play = Play().when("start", spawn("COUNT them", background), "waiting", "seen")
    play.when("COUNT", Reply("so far: one", call("Bash", command="echo 1")),
              *[fail(400, "invalid_request_error", "scripted failure")] * 9)
    claude.run("start", play, project)
    end = one(rows, project)
    assert (end["status"], end["end_reason"], end["final_message"]) == ("failed", "api_error", "so far: one")
    assert "scripted failure" in end["error_message"]


def test_a_turn_limit(claude, project, rows, background):
    """An agent that reaches its turn limit failed for that reason with its partial result, though neither client fires
    an end of its own; where the client does not say so (197) it is marked as inferred."""
    limited(project)
    play = Play().when("start", spawn("COUNT them", background, "limited"), "waiting", "seen")
    play.when("COUNT", Reply("so far: one", call("Bash", command="echo 1")), call("Bash", command="echo 2"))
    claude.run("start", play, project)
    end = one(rows, project)
    assert (end["status"], end["end_reason"], end["final_message"]) == ("failed", "max_turns", "so far: one"), end
    assert end["inferred"] == ("329" not in claude.client.version)


def test_a_turn_limit_in_the_middle_of_a_turn(claude, project, rows):
    """An agent that reaches its turn limit while the conversation is in a turn failed for that reason, as import has it,
    though 2.1.197 tells no hook of a notification that joins a turn."""
    limited(project)
    play = Play().when("start", spawn("COUNT them", True, "limited"), once(lambda: queued(claude.home), shell("echo on")), "over",
                       "seen")  # fmt: skip
    play.when("COUNT", Reply("so far: one", shell("echo 1")), shell("echo 2"))
    claude.run("start", play, project, "--allowedTools", "Bash")
    (end,) = same_by_import(claude, project, rows)
    assert (end["status"], end["end_reason"], end["final_message"]) == ("failed", "max_turns", "so far: one"), end
    assert end["inferred"] == ("329" not in claude.client.version)


def test_a_turn_limit_twice_in_one_turn(claude, project, rows):
    """An agent that reaches its turn limit, is put to work again and reaches it again, all in one turn of the conversation, has
    two segments that failed so, each with its own last words, as import has it."""
    limited(project)
    agent = {}

    def again(request):
        once(lambda: queued(claude.home))(request)
        return more(agent)(request)

    play = Play().when("start", spawn("COUNT them", True, "limited"),
                       launched(agent, call("ToolSearch", query="select:SendMessage")), again,
                       once(lambda: queued(claude.home, 2), shell("echo on")), "over", "seen")  # fmt: skip
    play.when("COUNT", Reply("so far: one", shell("echo 1")), shell("echo 2"),
              Reply("so far: two", shell("echo 3")), shell("echo 4"))  # fmt: skip
    claude.run("start", play, project, "--allowedTools", "Bash")
    segments = "SELECT ordinal, s.status, s.end_reason, s.final_message FROM segments s ORDER BY ordinal"
    found = rows(project, segments)
    assert [tuple(row.values()) for row in found] == [
        (1, "failed", "max_turns", "so far: one"), (2, "failed", "max_turns", "so far: two")]  # fmt: skip
    (end,) = same_by_import(claude, project, rows)
    assert (end["status"], end["end_reason"], end["final_message"]) == ("failed", "max_turns", "so far: two")
    assert rows(project, segments) == found


@pytest.mark.parametrize("longer", [0, 6], ids=["short", "long"])
def test_a_turn_limit_that_only_an_agent_is_told(claude, project, rows, longer):
    """An agent's own agent that reaches its turn limit while its parent works failed for that reason, as import has it, in
    a session that is over at once and in one that goes on, though no client tells a hook of it."""
    limited(project)
    play = Play().when("start", spawn("OUTER work", True), "waiting", say("seen").after(longer), "seen again")
    play.when("OUTER", spawn("INNER work", True, "limited"), once(lambda: queued(claude.home), shell("echo on")), "outer done")
    play.when("INNER", Reply("so far: one", shell("echo 1")), shell("echo 2"))
    claude.run("start", play, project, "--allowedTools", "Bash")
    assert rows(project, "SELECT 1 FROM lost_executions") == []
    (told,) = rows(project, "SELECT completed_at FROM executions WHERE agent_type = 'limited'")
    (end,) = same_by_import(claude, project, rows)
    assert (end["status"], end["end_reason"], end["final_message"]) == ("failed", "max_turns", "so far: one"), end
    assert end["inferred"] == ("329" not in claude.client.version) and end["parent_agent_id"]
    assert rows(project, "SELECT completed_at FROM executions WHERE agent_type = 'limited'") == [told]


def test_what_attempts_leave(claude, project, rows):
    """A file that a failed attempt wrote and named, and the next one wrote again, is kept as two versions (S2-36)."""
    limited(project)
    named = "Wrote it.\nDeliverables:\n- found.md"
    file = project / "found.md"

    def write(text, *more):
        return Reply(*more, call("Bash", command="echo %s > found.md" % text))

    def first(_):
        return write("second") if file.exists() else write("first", named)

    def then(_):
        return call("Bash", command="echo on") if file.read_text() == "first\n" else once(lambda: idle(project), named)(_)

    play = Play().when(main, submit(task("t1", agent="limited")), deploy("t1", "limited"), "at work", deploy("t1", "limited"),
                       "at work again", "finished")  # fmt: skip
    claude.run("start", play.when("DO t1.", first, then), project, "--allowedTools", "Bash")
    assert states(project) == {"t1": "completed"}
    left = rows(project, "SELECT attempt, status, version, content_hash FROM outputs JOIN executions USING (execution_id) "
                         "WHERE path = 'found.md' ORDER BY attempt")
    assert [tuple(row.values())[:3] for row in left] == [(1, "failed", 1), (2, "completed", 2)], left
    assert left[0]["content_hash"] != left[1]["content_hash"]


def test_a_task_that_is_stopped(claude, project, rows):
    """An agent stopped by TaskStop failed as stopped, then, with its partial result."""
    agent = {}
    at_work = "SELECT 1 FROM executions WHERE started_at IS NOT NULL"

    def launched(request):
        """329 defers TaskStop behind a search; 197 has it at hand and answers the search with an error."""
        agent["id"] = next(t.split("agentId: ")[1].split()[0] for _, t, _ in request.last_results if "agentId: " in t)
        return call("ToolSearch", query="select:TaskStop")

    play = Play()

    def stop(request):
        """As soon as it is at work."""
        return once(lambda: ask(project, at_work) and written(claude.home), call("TaskStop", task_id=agent["id"]))(request)

    play.when("start", spawn("COUNT them", True), launched, stop, "stopped")
    play.when("COUNT", Reply("so far: one", call("Bash", command="echo 1")), say("never said").after(8))
    claude.run("start", play, project)
    end = one(rows, project)
    assert (end["status"], end["end_reason"], end["final_message"]) == ("failed", "stopped", "so far: one")
    at = dict(ask(project, "SELECT kind, min(at) FROM events GROUP BY kind"))
    assert at["started"] <= end["started_at"] <= end["completed_at"] <= at["killed"]


def test_an_unknown_agent_type(claude, project, rows):
    """A call the client refuses never started: one failed execution with the client's words."""
    play = Play().when("start", spawn("COUNT them", True, "nobody-knows-this"), "seen")
    claude.run("start", play, project)
    end = one(rows, project)
    assert (end["status"], end["end_reason"]) == ("failed", "refused")
    assert "nobody-knows-this" in end["error_message"]


def test_a_nested_agent(claude, project, rows):
    """An agent's own agent is recorded under its parent."""
    play = Play().when("start", spawn("OUTER work", True), "waiting", "seen", "seen again")
    play.when("OUTER", spawn("INNER work", False), "outer done").when("INNER", say("inner done").after(0.2))
    claude.run("start", play, project)
    found = rows(project, "SELECT origin, status, final_message, parent_agent_id, agent_id FROM executions ORDER BY deployed_at")
    assert [(f["origin"], f["status"], f["final_message"]) for f in found] == [
        ("unplanned", "completed", "outer done"), ("nested", "completed", "inner done")]
    assert found[1]["parent_agent_id"] == found[0]["agent_id"]
