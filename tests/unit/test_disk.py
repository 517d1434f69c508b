"""The sweep of a Claude session's folder: agents that no hook told of, and what a workflow's journal says of its own."""

import json
import os
from pathlib import Path

import pytest

from orchestrator.edges.cli import main as command
from orchestrator.services.reconcile import reconcile
from orchestrator.store import open as store
from streams import SESSION, History, World, assistant, user


@pytest.fixture
def world(tmp_path):
    """A session in which nothing was deployed yet."""
    return World(str(tmp_path / "world"))


def silent(world, number, **more):
    """An agent whose hooks were all lost: only its files are there. Its id."""
    agent, count = world.agent(number, **more), len(world.events)
    del world.events[next(n for n in range(count) if world.events[n]["hook_event_name"] == "PreToolUse") :]
    return agent


def ends(history):
    """{agent: (origin, status, reason, final message)}"""
    rows = history.con.execute("SELECT agent_id, origin, status, end_reason, final_message FROM executions").fetchall()
    return {row[0]: row[1:] for row in rows}


def test_agents_that_nobody_heard_of(world):
    """Each is recorded as begun and ended by what its files say, in whatever way it came about."""
    first, second = silent(world, 10), silent(world, 20, end="max_turns")
    history = History(world)
    for event in world.events:
        history.take(event)
    history.count = 60
    history.settle()
    assert ends(history) == {
        first: ("unplanned", "completed", "end_turn", world.expected[first][2]),
        second: ("unplanned", "failed", "ended", "so far: toolu_020"),
    }
    in_time = history.con.execute("SELECT count(*) FROM executions WHERE inferred AND started_at < completed_at")
    assert in_time.fetchone() == (2,)
    assert history.unsound() == []


def test_when_their_session_is_gone(world):
    """The next command finds them as well; those that did not end are lost."""
    silent(world, 10)
    silent(world, 20, end="max_turns")
    history = History(world)
    history.process = (os.uname().nodename, "the boot before this one", 1, "1")
    history.take(next(event for event in world.events if event["hook_event_name"] == "UserPromptSubmit"))
    reconcile(history.con, world.project, history.workspace)
    assert sorted((row[1:3] for row in ends(history).values()), key=str) == [("completed", "end_turn"), ("deployed", None)]
    assert history.con.execute("SELECT count(*) FROM lost_executions").fetchone() == (1,)


@pytest.mark.parametrize("why", ["before", "recording was off", "orchestrations only", "no meta file", "no type"])
def test_agents_that_are_not_recorded(world, why):
    """Neither what began before the session was recorded or while recording was off, nor compaction's hidden agent, nor
    anything where the user wants orchestrations only."""
    agent = silent(world, 10)
    history = History(world)
    for event in world.events:
        history.take(event, 3 if why != "before" else 300)
    path = Path(world.path(agent))
    if why == "recording was off":
        history.con.execute("INSERT INTO meta (key, value) VALUES ('recorded_since', ?)", ("2026-11-20T08:00:59.000Z",))
    elif why == "orchestrations only":
        history.con.execute("INSERT INTO meta (key, value) VALUES ('setting.observability', 'false')")
    elif why == "no meta file":
        Path(str(path)[:-6] + ".meta.json").unlink()
    elif why == "no type":
        Path(str(path)[:-6] + ".meta.json").write_text('{"agentType": ""}')
    history.count = 400
    history.settle()
    assert ends(history) == {}


def test_switching_on_again_is_remembered(tmp_path, monkeypatch, capsys):
    """`orchestrator on` keeps when recording went on."""
    for name in [n for n in os.environ if n.startswith(("ORCHESTRATOR_", "CLAUDE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    (tmp_path / ".git").mkdir()
    for words in (["init"], ["off"], ["on"]):
        command(words, standalone_mode=False)
        store.open_history(str(tmp_path / ".orchestrator" / "history.db")).close()
    capsys.readouterr()
    con = store.open_history(str(tmp_path / ".orchestrator" / "history.db"))
    assert con.execute("SELECT value FROM meta WHERE key = 'recorded_since'").fetchone() is not None
    con.close()


def test_a_journal_tells_what_agents_returned(world):
    """A value that is no text is the agent's result; one that failed, and of which nothing else is known, failed."""
    world.workflow(10, ("normal", "normal", "normal"))
    run = Path(world.path("x", "wf_0000000a-abc")).parent
    agents = sorted(world.pairs)
    stops = [e for e in world.events if e["hook_event_name"] == "SubagentStop"]
    stops[0].pop("last_assistant_message")  # it handed its result over by a call
    world.events.remove(stops[1])
    world.events.remove(stops[2])
    lines = [user("do"), assistant("1", "looking", tools=[("c1", "StructuredOutput", {"n": 7})])]
    for agent in agents:
        (run / ("agent-%s.jsonl" % agent)).write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = [
        {"type": "started", "agentId": agents[0]},
        {"type": "result", "agentId": agents[0], "result": {"n": 7}},
        {"type": "result", "agentId": agents[1], "result": ""},
        {"type": "failed", "agentId": agents[2]},
        {"type": "failed", "agentId": ""},
    ]
    (run / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told) + '{"type": "result", "agen')
    history = History(world)
    for event in world.events:
        history.take(event)
    history.settle()
    found = ends(history)
    assert found[agents[0]] == ("workflow", "completed", "end_turn", '{"n":7}')
    assert found[agents[1]] == ("workflow", "failed", "max_turns", "looking")
    assert found[agents[2]] == ("workflow", "failed", "ended", "looking")
    assert history.con.execute("SELECT count(*) FROM claude_sessions WHERE claude_session_id = ?", (SESSION,)).fetchone() == (1,)


@pytest.mark.parametrize("over", ["the workflow", "the session"])
def test_a_workflows_agents_whose_meta_files_came_late(world, over):
    """Not there yet, or half written, when the agents' own hooks were heard: what the agents are called is read when their
    workflow, or their session, is over."""
    world.workflow(10, ("normal", "api_error", "normal"))
    *before, last = world.events
    if over == "the session":
        last = {**world.events[0], "hook_event_name": "SessionEnd", "reason": "other"}
    files = [Path(world.path(agent, "wf_0000000a-abc")[:-6] + ".meta.json") for agent in sorted(world.pairs)]
    files[0].unlink()
    for file in files[1:]:
        file.write_text('{"agentType": "workflow-sub')
    history = History(world)
    for event in before:
        history.take(event)
    for n, file in enumerate(files):
        file.write_text(json.dumps({"agentType": "workflow-subagent", "description": "label %d" % n}))
    history.take(last)
    rows = history.con.execute("SELECT scope, status, origin FROM executions ORDER BY agent_id").fetchall()
    assert [tuple(row) for row in rows] == [("label %d" % n, status, "workflow") for n, status in enumerate(
        ("completed", "failed", "completed"))]


def test_what_a_compactions_hidden_agent_used(world):
    """Where the client left its transcript, its tokens are counted when the session is over, once, and it is no execution."""
    world.compaction(30)
    stop = next(e for e in world.events if e.get("agent_type") == "")
    os.makedirs(os.path.dirname(stop["agent_transcript_path"]), exist_ok=True)
    Path(stop["agent_transcript_path"]).write_text(json.dumps(assistant("hidden", "<summary>s</summary>")) + "\n")
    history = History(world)
    for event in world.events:
        history.take(event)
    over = {**world.events[0], "hook_event_name": "SessionEnd", "reason": "other"}
    for _ in range(2):
        history.take(over)
        assert history.con.execute("SELECT owner, kind, messages, input_tokens FROM usage").fetchall() == [
            (SESSION, "compaction", 1, 20)]
    assert ends(history) == {}
