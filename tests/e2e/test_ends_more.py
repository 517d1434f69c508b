"""Less common ends on both clients: budgets, limits, denials, kills; and agents that no plain Agent call began."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from harness import ROOT, environment
from orchestrator.edges.scripted_model import Play, Reply, ScriptedModel, call, fail, say
from plays import idle, launched, limited, more, shell, spawn

SHOWN = (
    "SELECT execution_id, agent_id, parent_agent_id, agent_type, origin, runtime, status, end_reason, inferred, "
    "final_message, error_message, scope FROM executions ORDER BY number"
)


def ended(rows, project):
    """(status, reason, final message) of every execution, in order."""
    return [(row["status"], row["end_reason"], row["final_message"]) for row in rows(project, SHOWN)]


def command(project, home, data, *words):
    """One of our commands, as in a terminal; what it says."""
    env = {**environment(home, data, "http://127.0.0.1:9"), "CLAUDE_PROJECT_DIR": str(project)}
    done = subprocess.run([str(ROOT / "bin" / "orchestrator"), *words], cwd=project, env=env, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def soon(rows, project, sql, seconds=30):
    """Waits until a query of a history that may not be there yet finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if rows(project, sql):
                return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.05)
    raise AssertionError("nothing was recorded: " + sql)


def other_plugin(folder, hooks=None, skill=None):
    """A plugin of somebody else's."""
    (folder / ".claude-plugin").mkdir(parents=True)
    (folder / ".claude-plugin" / "plugin.json").write_text(json.dumps({"name": "other", "version": "0.1.0", "description": "d"}))
    if hooks:
        (folder / "hooks").mkdir()
        (folder / "hooks" / "hooks.json").write_text(json.dumps({"hooks": hooks}))
    if skill:
        (folder / "skills" / "forked").mkdir(parents=True)
        (folder / "skills" / "forked" / "SKILL.md").write_text(skill)
    return folder


def steps(count, wait=0.15):
    """So many Bash calls, each with a word before it, each of a price that counts."""
    return [
        Reply("step %d" % n, call("Bash", command="echo %d; sleep %s" % (n, wait)), usage={"output_tokens": 1500})
        for n in range(count)
    ]


def test_a_budget_that_is_spent(claude, project, rows):
    """329 kills agents when the budget is spent, also those of a workflow, of whom it says so nowhere but at the end of their
    transcripts: stopped, with what they had said. 197 lets them end first."""
    newest = "329" in claude.client.version
    folder = project / ".claude" / "workflows"
    folder.mkdir(parents=True)
    (folder / "theirs.js").write_text("export const meta = {name: 'theirs', description: 'd'}\n"
                                      "return await agent('COUNT too', {label: 'too'})\n")  # fmt: skip
    both = Reply(call("Workflow", name="theirs"), spawn("COUNT them", run_in_background=True))
    play = Play().when("start", both, say("waiting"), "seen", "seen")
    play.when("COUNT them", *steps(12), "end").when("COUNT too", *steps(12), "end")
    claude.run("start", play, project, "--max-budget-usd", "0.3", "--allowedTools", "Workflow")
    found = rows(project, SHOWN)
    assert sorted(row["scope"] or "too" for row in found) == ["other work", "too"]  # 197 gives a workflow's agent no label
    for row in found:
        if newest:
            assert (row["status"], row["end_reason"], row["inferred"]) == ("failed", "stopped", 1), row
            assert row["final_message"].startswith("step "), row
        else:
            assert (row["status"], row["end_reason"], row["final_message"]) == ("completed", "end_turn", "end"), row


def test_a_budget_spent_before_an_agent_began(claude, project, rows, home, data):
    """An agent that was asked for with the last of a budget and never ran never started, once its session is over, or is lost
    where the client had launched it, or a transcript of nobody's may be its own; it is never at work."""
    play = Play().when("start", spawn("COUNT them", run_in_background=True), "waiting", "seen").when("COUNT", "one")
    claude.run("start", play, project)
    play = Play().when("start", spawn("COUNT them", run_in_background=True), "waiting").when("COUNT", say("one").after(3))
    claude.run("start", play, project, "--max-budget-usd", "0.02")
    end = time.monotonic() + 20
    while command(project, home, data, "list-agents") and time.monotonic() < end:
        time.sleep(0.2)  # its last hook may still be writing
    before, *late = rows(project, SHOWN)
    assert before["status"] == "completed"
    for row in late:  # none where the client ended before its hook had written
        assert row["end_reason"] is None or (row["end_reason"], row["agent_id"]) == ("never_started", None)
    lost = len([row for row in late if row["end_reason"] is None])
    assert rows(project, "SELECT count(*) AS n FROM lost_executions") == [{"n": lost}]


def test_a_limit_of_agents(claude, project, rows):
    """What the client refuses beyond its own limit never started, in its own words; 197 knows no such limit."""
    newest = "329" in claude.client.version
    calls = [spawn("COUNT %d" % n, run_in_background=True) for n in range(4)]
    play = Play().when("start", Reply(*calls), "waiting", "seen").when("COUNT", say("one").after(1))
    claude.run("start", play, project, env={"CLAUDE_CODE_MAX_CONCURRENT_SUBAGENTS": "2"})
    found = rows(project, SHOWN)
    done = [row for row in found if (row["status"], row["end_reason"]) == ("completed", "end_turn")]
    refused = [row for row in found if (row["status"], row["end_reason"]) == ("failed", "refused")]
    assert (len(done), len(refused)) == ((2, 2) if newest else (4, 0))
    assert all("CLAUDE_CODE_MAX_CONCURRENT_SUBAGENTS" in row["error_message"] for row in refused)


def test_nested_to_the_clients_own_depth(claude, project, rows):
    """Agents within agents are each under their own parent, as deep as the client lets them go (329: 3, 197: 5)."""
    deepest = 3 if "329" in claude.client.version else 5
    play = Play()
    for depth in range(1, 7):
        play.when("LEVEL %d " % depth, spawn("LEVEL %d work" % (depth + 1), run_in_background=False), "done %d" % depth)
    play.when("start", spawn("LEVEL 1 work", run_in_background=True), "waiting", "seen")
    claude.run("start", play, project)
    found = rows(project, SHOWN)
    assert [row["origin"] for row in found] == ["unplanned"] + ["nested"] * (deepest - 1)
    assert [row["parent_agent_id"] for row in found] == [None] + [row["agent_id"] for row in found[:-1]]
    assert {(row["status"], row["end_reason"]) for row in found} == {("completed", "end_turn")}


def test_a_background_agent_of_an_agent_that_ended(claude, project, rows):
    """It reports to the main conversation, ends by itself, and its parent stays ended."""
    play = Play().when("start", spawn("OUTER work", run_in_background=True), "waiting", "seen", "seen")
    play.when("OUTER", spawn("INNER work", run_in_background=True), "outer done")
    play.when("INNER", say("inner done").after(0.8))
    claude.run("start", play, project)
    assert ended(rows, project) == [("completed", "end_turn", "outer done"), ("completed", "end_turn", "inner done")]
    assert rows(project, "SELECT count(*) AS n FROM segments") == [{"n": 2}]


def test_a_denial_of_another_plugin(claude, project, rows, tmp_path):
    """A call that another plugin's hook denies never started: closed at the end of the turn."""
    answer = json.dumps(
        {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": "no"}}
    )
    hook = {"type": "command", "command": "echo '%s'" % answer}
    other = other_plugin(tmp_path / "other", {"PreToolUse": [{"matcher": "Agent", "hooks": [hook]}]})
    play = Play().when("start", spawn("COUNT them", run_in_background=True), "seen").when("COUNT", "one")
    claude.run("start", play, project, "--plugin-dir", str(other))
    (row,) = rows(project, SHOWN)
    assert (row["status"], row["end_reason"], row["inferred"], row["agent_id"]) == ("failed", "never_started", 1, None)


def test_a_skill_in_a_context_of_its_own(claude, project, rows, tmp_path):
    """A skill with `context: fork` is an agent: recorded by its type, with its result, as of a skill."""
    text = "---\nname: forked\ndescription: does forked work\ncontext: fork\nagent: Explore\n---\nFORKED body. $ARGUMENTS\n"
    other = other_plugin(tmp_path / "other", skill=text)
    play = Play().when("start", call("Skill", skill="other:forked", args="x"), spawn("COUNT them", run_in_background=True), "w")
    play.when("FORKED", say("forked result").after(0.2)).when("COUNT", "one")
    claude.run("start", play, project, "--plugin-dir", str(other))
    (row,) = [row for row in rows(project, SHOWN) if row["agent_type"] == "Explore"]
    assert (row["origin"], row["status"], row["end_reason"]) == ("skill", "completed", "end_turn")
    assert row["final_message"] == "forked result"


def test_a_message_to_a_finished_agent(claude, project, rows):
    """It is another segment of the same execution, which takes its words; the status stays."""
    agent = {}
    play = Play().when(
        "start", spawn("COUNT them", run_in_background=True), launched(agent, "waiting"),
        call("ToolSearch", query="select:SendMessage"), more(agent), "sent", "seen")  # fmt: skip
    play.when("COUNT", say("one").after(0.3), say("two").after(0.3))
    claude.run("start", play, project)
    assert ended(rows, project) == [("completed", "end_turn", "two")]
    assert rows(project, "SELECT ordinal, status, end_reason, final_message FROM segments ORDER BY ordinal") == [
        {"ordinal": 1, "status": "completed", "end_reason": "end_turn", "final_message": "one"},
        {"ordinal": 2, "status": "completed", "end_reason": "end_turn", "final_message": "two"},
    ]


def test_a_message_whose_answer_fails(claude, project, rows):
    """An agent that completed stays completed when a later message to it fails; the segment says so."""
    agent = {}
    play = Play().when(
        "start", spawn("COUNT them", run_in_background=True), launched(agent, "waiting"),
        call("ToolSearch", query="select:SendMessage"), more(agent), "sent", "seen")  # fmt: skip
    play.when("COUNT", say("one").after(0.3), fail(500, "api_error", "out of order"))
    claude.run("start", play, project)
    (row,) = rows(project, SHOWN)
    assert (row["status"], row["end_reason"]) == ("completed", "end_turn")
    assert rows(project, "SELECT status, end_reason FROM segments ORDER BY ordinal") == [
        {"status": "completed", "end_reason": "end_turn"},
        {"status": "failed", "end_reason": "api_error"},
    ]


def test_a_compaction_is_no_execution(claude, project, rows):
    """Compaction's hidden agent is no agent of anybody's; the agents before it stay as they were."""
    play = Play().when("start", spawn("COUNT them", run_in_background=True), "waiting", "seen").when("COUNT", "one")
    run = claude.run("start", play, project)
    claude.run("/compact keep it", play, project, resume=run.session_id)
    assert ended(rows, project) == [("completed", "end_turn", "one")]
    assert rows(project, "SELECT count(*) AS n FROM events WHERE kind = 'compacted'") == [{"n": 1}]


def test_an_agent_in_a_worktree(claude, project, rows):
    """An agent in a worktree of its own is recorded in the project's history, and nowhere else."""
    play = Play().when("start", spawn("COUNT them", isolation="worktree", run_in_background=True), "waiting", "seen")
    play.when("COUNT", shell("ls"), "one")
    claude.run("start", play, project)
    assert ended(rows, project) == [("completed", "end_turn", "one")]
    assert [str(path.parent.parent) for path in project.rglob("history.db")] == [str(project)]


def test_two_projects_under_one_home(claude, project, rows, tmp_path):
    """Each project has a history of its own."""
    other = tmp_path / "another"
    (other / ".git").mkdir(parents=True)
    for place, words in ((project, "here"), (other, "there")):
        play = Play().when("start", spawn("COUNT them", run_in_background=True), "waiting", "seen").when("COUNT", words)
        claude.run("start", play, place)
    assert ended(rows, project) == [("completed", "end_turn", "here")]
    assert ended(rows, other) == [("completed", "end_turn", "there")]


def test_other_peoples_workflows(claude, project, rows):
    """The agents of somebody else's workflow are recorded as of a workflow, each with its own end and what it left: a word,
    a value that its journal tells, what it had said when the model or its turns gave out."""
    folder = project / ".claude" / "workflows"
    folder.mkdir(parents=True)
    limited(project)
    (folder / "theirs.js").write_text(
        "export const meta = {name: 'theirs', description: 'd'}\n"
        "const schema = {type: 'object', properties: {n: {type: 'integer'}}, required: ['n']}\n"
        "return await Promise.all([agent('PART one', {label: 'one'}), agent('PART two', {label: 'two'}),\n"
        "  agent('PART three', {label: 'three', agentType: 'limited'}), agent('PART four', {label: 'four', schema})])\n"
    )
    play = Play().when("start", spawn("FIRST", run_in_background=False), call("Workflow", name="theirs"), "under way", "seen")
    play.when("FIRST", "first").when("PART one", "one done")
    play.when("PART two", Reply("two so far", shell("echo 1")), *[fail(500, "api_error", "out of order")] * 40)
    play.when("PART three", Reply("three so far", shell("echo 1")), shell("echo 2"), "never said")
    play.when("PART four", call("StructuredOutput", n=7), "never said")
    run = claude.run("start", play, project, "--allowedTools", "Workflow")
    found = [row for row in rows(project, SHOWN) if row["origin"] == "workflow"]
    assert sorted((row["status"], row["end_reason"], row["inferred"], row["final_message"]) for row in found) == [
        ("completed", "end_turn", 0, "one done"), ("completed", "end_turn", 0, '{"n":7}'),
        ("failed", "api_error", 0, "two so far"), ("failed", "max_turns", 1, "three so far")], run.tool_results  # fmt: skip
    assert {row["runtime"] for row in found} == {"workflow"}


def test_the_users_no(terminal, project, rows, tmp_path):
    """An Agent call that the user refuses in the dialog never started; the next turn's end says so. A skill with a context of
    its own that the user types is an agent, known for what it is by the next turn's end."""
    ask = {"permissions": {"ask": ["Agent"]}}
    (project / ".claude").mkdir(exist_ok=True)
    (project / ".claude" / "settings.json").write_text(json.dumps(ask))
    text = "---\nname: forked\ndescription: does forked work\ncontext: fork\nagent: Explore\n---\nFORKED body. $ARGUMENTS\n"
    other = other_plugin(tmp_path / "other", skill=text)
    play = Play().when("FORKED", "forked result").when("start", spawn("COUNT them"), "seen", "well").when("COUNT", "one")
    window = terminal(project, play, "--permission-mode", "default", "--plugin-dir", str(other))
    window.type("start")
    window.wait_for(lambda screen: "Do you want" in screen or "Yes" in screen)
    window.key("Escape")
    window.wait_for(lambda screen: "Interrupted" in screen or "rejected" in screen.lower() or "declined" in screen.lower())
    window.type("again")
    window.wait_until(lambda: rows(project, "SELECT 1 FROM executions WHERE status = 'failed'"))
    (row,) = rows(project, SHOWN)
    assert (row["status"], row["end_reason"], row["inferred"]) == ("failed", "never_started", 1)
    window.wait_until(lambda: idle(project))
    window.type("/other:forked x")
    window.wait_until(lambda: rows(project, "SELECT 1 FROM executions WHERE status = 'completed'"))
    window.type("more")  # an agent's file, which tells what it came from, may come after it ended; a turn's end looks again
    window.wait_until(lambda: rows(project, "SELECT 1 FROM executions WHERE origin = 'skill'"))
    _, row = rows(project, SHOWN)
    assert (row["origin"], row["agent_type"], row["final_message"]) == ("skill", "Explore", "forked result")


def running(client, home, data, project, play):
    """A headless client that goes on, and its model."""
    model = ScriptedModel(play).__enter__()
    process = subprocess.Popen(
        [client.path, "-p", "start", "--output-format", "stream-json", "--verbose", "--plugin-dir", str(ROOT)],
        cwd=project, env=environment(home, data, model.url), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    return process, model


def kill(process, model):
    """Kills a client and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    model.__exit__()


def test_a_client_that_is_killed_at_work(client, home, data, project, rows):
    """The next command says that its agent is lost, with its last words, the call under way, the files it touched and its
    tokens so far."""
    play = Play().when("start", spawn("COUNT them", run_in_background=True), say("waiting").after(0.2), say("seen").after(60))
    read, work = call("Read", file_path=str(project / "src" / "adder.py")), call("Bash", command="echo 1; sleep 0.1")
    play.when("COUNT", read, Reply("so far so good", work), say("never").after(60))
    process, model = running(client, home, data, project, play)
    try:
        soon(rows, project, "SELECT 1 FROM events WHERE kind = 'started'")
        end = time.monotonic() + 30
        while "so far so good" not in "".join(p.read_text() for p in home.rglob("agent-*.jsonl")):
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        kill(process, model)
    said = command(project, home, data, "list-agents", "--all")
    (row,) = rows(project, "SELECT execution_id FROM lost_executions")
    shown = command(project, home, data, "show", row["execution_id"])
    assert "lost" in said and "so far so good" in shown and "Bash echo 1; sleep 0.1" in shown, shown
    assert "tokens" in shown and "src/adder.py" in shown


def test_a_client_that_is_killed_while_a_finished_agent_works_again(client, home, data, project, rows):
    """It is at work until then; afterwards it stays what it had been, its later segment is lost, and its tokens count."""
    agent = {}
    play = Play().when("start", spawn("COUNT them", run_in_background=True), launched(agent, "waiting"),
                       call("ToolSearch", query="select:SendMessage"), more(agent), say("sent").after(60))  # fmt: skip
    play.when("COUNT", "one", Reply("two so far", shell("echo 1")), say("never").after(60))
    process, model = running(client, home, data, project, play)
    try:
        soon(rows, project, "SELECT 1 FROM segments WHERE ordinal = 2")
        end = time.monotonic() + 30
        while "two so far" not in "".join(p.read_text() for p in home.rglob("agent-*.jsonl")):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert "deployed" in command(project, home, data, "list-agents")
    finally:
        kill(process, model)
    assert command(project, home, data, "list-agents") == ""
    assert ended(rows, project) == [("completed", "end_turn", "one")]
    shown = json.loads(command(project, home, data, "show", rows(project, SHOWN)[0]["execution_id"], "--json"))
    assert [(each["status"], each["lost"]) for each in shown["segments"]] == [("completed", 0), (None, 1)]
    assert shown["messages"] == 2 and shown["lost"] is False


MOMENTS = int(os.environ.get("ORCHESTRATOR_TEST_MOMENTS", "3"))
STEP = 12 // MOMENTS  # events from one to the next


def test_a_client_that_is_killed_after_any_hook(client, home, data, project, rows, tmp_path):
    """kill -9 as soon as the n-th event is recorded, for each n: the next command finds out. What had ended ended so, what had
    not is lost, and nothing is said to be at work."""
    both = Reply(spawn("OUTER", run_in_background=True), spawn("FAIL", run_in_background=True))

    def play():
        """One client's."""
        made = Play().when("start", both, "waiting", say("seen").after(0.2), say("seen").after(60))
        made.when("OUTER", Reply("outer so far", spawn("INNER", run_in_background=False)), say("outer done").after(60))
        made.when("INNER", say("inner done").after(0.2))
        return made.when("FAIL", *[fail(400, "invalid_request_error", "scripted failure")] * 9)

    places = [tmp_path / ("moment %d" % number) for number in range(MOMENTS)]
    for place in places:
        (place / ".git").mkdir(parents=True)
    while places:
        at_once, places = places[:3], places[3:]
        clients = [(place, *running(client, home, data, place, play())) for place in at_once]
        for place, process, model in clients:
            number = int(place.name.split()[1])
            try:
                soon(rows, place, "SELECT 1 FROM events LIMIT 1 OFFSET %d" % (STEP * number))
            finally:
                kill(process, model)
        for place, _, _ in clients:
            said = command(place, home, data, "list-agents")
            found = rows(place, SHOWN + " -- " + said.strip())
            lost = {row["execution_id"] for row in rows(place, "SELECT execution_id FROM lost_executions")}
            assert found and rows(place, "SELECT end_reason FROM claude_sessions") == [{"end_reason": "gone"}], said
            for row in found:
                end = (row["status"], row["end_reason"], row["final_message"])
                assert (row["execution_id"] in lost) == (row["status"] == "deployed"), (place.name, row)
                assert row["status"] == "deployed" or end == ("failed", "never_started", None) and not row["agent_id"] or end in (
                    ("completed", "end_turn", "inner done"), ("failed", "api_error", None)), (place.name, row)  # fmt: skip
                assert row["parent_agent_id"] is None or row["origin"] == "nested"


def test_a_session_in_the_background(claude, home, data, project, rows):
    """A session started with --bg runs in a daemon; its agents are recorded like any other's, and that it was stopped."""
    from harness import onboard

    client = claude.client
    onboard(home, project)
    play = Play().when("start", spawn("COUNT them", run_in_background=True), "waiting", "seen").when("COUNT", "one")
    with ScriptedModel(play) as model:
        env = environment(home, data, model.url)
        (home / ".claude").mkdir()  # 2.1.197's worker has the daemon's environment, not that of the command
        (home / ".claude" / "settings.json").write_text(
            json.dumps({"env": {name: env[name] for name in env if name.startswith(("ANTHROPIC_", "ORCHESTRATOR_"))}})
        )
        words = ["--bg", "start", "--plugin-dir", str(ROOT), "--permission-mode", "default"]
        begun = subprocess.run([client.path, *words], cwd=project, env=env, text=True, capture_output=True,
                               stdin=subprocess.DEVNULL, timeout=60)  # fmt: skip
        if begun.returncode:
            pytest.skip("--bg is missing: %s" % (begun.stderr or begun.stdout)[-200:])
        try:
            soon(rows, project, "SELECT 1 FROM executions WHERE status != 'deployed'", 60)
        finally:
            stop = [client.path, "stop", begun.stdout.rpartition("backgrounded · ")[2].split()[0]]
            subprocess.run(stop, cwd=project, env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            try:
                soon(rows, project, "SELECT 1 FROM claude_sessions WHERE end_reason = 'other'")
            finally:
                _end_daemon(home)
    assert ended(rows, project) == [("completed", "end_turn", "one")]


def _end_daemon(home):
    """Ends the processes whose environment names this home: the daemon that --bg started, and what it runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if ("HOME=%s\0" % home).encode() in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                os.kill(int(folder.name), signal.SIGKILL)
        except (OSError, ValueError):
            pass
