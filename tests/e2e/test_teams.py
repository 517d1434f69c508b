"""Agent teams: teammates of a session in a terminal, recorded as what they were called for, on both clients."""

from orchestrator.edges.scripted_model import Play, Reply, call, fail, say
from plays import ask, deploy, idle, main, news, shell, spawn, submit, task

TEAMS = {"CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS": "1"}
SHOWN = (
    "SELECT agent_id, agent_type, origin, status, end_reason, inferred, final_message, tool_use_id FROM executions "
    "ORDER BY number"
)
SEGMENTS = (
    "SELECT s.final_message FROM segments s JOIN executions USING (execution_id) WHERE agent_type = 'Explore' ORDER BY ordinal"
)


def ended(project, count):
    """Whether so many turns of teammates have ended."""
    return ask(project, "SELECT count(*) FROM segments WHERE ended_at IS NOT NULL") == [(count,)]


def mate(name, prompt, **more):
    """The Agent call that makes a teammate of a session: it has a name."""
    return {**spawn(prompt, **more), "input": {**spawn(prompt, **more)["input"], "name": name}}


def test_teammates(terminal, project, rows):
    """Each is one execution, joined to its call: a message begins another segment of it, one at work stays at work
    while others end, and a planned task is never made a teammate."""
    planned = deploy("t1")
    planned["input"]["name"] = "planner"
    asked = {
        "start": Reply(mate("finder", "COUNT them", kind="Explore"), mate("slow", "SLOW work"), mate("bad", "BREAK it")),
        "tell": call("SendMessage", to="finder", message="MORE of them", summary="more"),
        "plan": submit(task("t1")),
    }

    def answer(request):
        """What the newest words of the user ask for, once; else a word."""
        for word in list(asked):
            # a message that comes while they are typed may have the client put the words before them there, too
            if request.main and any(line.strip().endswith(word + " now") for line in news(request).split("\n")):
                return asked.pop(word)
        return planned if "PLAN ACCEPTED" in news(request) else say("well")

    play = Play().when(main, *[answer] * 40)
    play.when("COUNT", Reply("looking", shell("echo 1")), "three", "four")
    play.when("SLOW", Reply("slow so far", shell("echo 1")), say("never said").after(120))
    play.when("BREAK", fail(400, "invalid_request_error", "scripted failure"))
    play.when("DO t1.", "t1 done")
    window = terminal(project, play, "--permission-mode", "acceptEdits", env=TEAMS)
    done = "SELECT 1 FROM executions WHERE task_id = 't1' AND status = 'completed'"
    for word, holds in (
        ("start", lambda: ended(project, 2)),
        ("tell", lambda: ended(project, 3)),
        ("plan", lambda: ask(project, done)),
    ):
        window.type(word + " now")
        window.wait_until(lambda holds=holds: holds() and idle(project), 40)
    assert sorted((row["origin"], row["agent_type"], row["status"], row["final_message"]) for row in rows(project, SHOWN)) == [
        ("planned", "orchestrator:scout", "completed", "t1 done"),
        ("teammate", "Explore", "completed", "four"),
        ("teammate", "general-purpose", "deployed", None),
        ("teammate", "general-purpose", "failed", None),
    ]
    assert [row["final_message"] for row in rows(project, SEGMENTS)] == ["three", "four"]
    assert all(row["tool_use_id"] and row["agent_id"] for row in rows(project, SHOWN))
    assert rows(project, "SELECT 1 FROM lost_executions") == []
