"""Claude sessions: which process can be judged from where, and which are the same."""

import os
import subprocess
import sys

import pytest

from orchestrator.recording import sessions
from orchestrator.services import queries, turn
from orchestrator.store import open as store
from streams import SESSION, History, World

HOST, BOOT, ME, STARTED = sessions.process_of(os.getpid())
ID, _, SPACE = BOOT.partition(" ") if BOOT else ("", "", "")
pytestmark = pytest.mark.skipif(not SPACE, reason="this system does not tell in which space processes are counted")


@pytest.mark.parametrize("host, boot, started, lives", [
    (HOST, BOOT, STARTED, True),
    (HOST, BOOT, "1", False),
    ("its former name", BOOT, STARTED, True),
    ("its former name", BOOT, "1", False),
    ("a container", ID + " pid:[1]", "1", None),
    (HOST, ID + " pid:[1]", "1", None),
    (HOST, "another " + SPACE, STARTED, False),
    ("another machine", "another " + SPACE, STARTED, None),
    ("another machine", None, STARTED, None),
    (HOST, None, STARTED, True),
    (HOST, ID, "1", False),
    ("a container", ID, "1", None),
], ids=["runs", "is over", "runs, under another name", "is over, under another name", "of a container", "of a sandbox",
        "before a restart", "of another machine", "of a machine without boots", "of this one, without boots",
        "as kept before spaces were", "of a container, as kept before spaces were"])
def test_a_process_is_judged_where_its_number_was_counted(host, boot, started, lives):
    """A process is judged from its own space of process numbers, whatever the host is called; from beside it nothing is said."""
    assert sessions.alive(host, boot, ME, started) is lives


def test_a_machine_that_changes_its_name(tmp_path):
    """Under another name of the machine a conversation is the same process: what it has at work is not lost, and when the
    process is gone its session is over."""
    world = World(str(tmp_path))
    world.agent(10)
    history = History(world)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as client:
        host, *process = sessions.process_of(client.pid)
        history.process = ("its former name", *process)
        for event in world.events[:5]:
            history.take(event)
        history.process = (host, *process)
        history.take({**world.events[0], "source": "compact"})
        assert sessions.gone(history.con, store.now()) == []
        assert history.con.execute("SELECT * FROM lost_executions").fetchall() == []
    assert sessions.gone(history.con, store.now()) == [SESSION]


def test_what_nobody_can_judge_is_over_in_the_end(tmp_path):
    """A session of a container that was not heard of for two weeks is over."""
    world = World(str(tmp_path))
    history = History(world)
    history.process = (HOST, ID + " pid:[1]", 1, "1")
    history.take(world.events[0])
    history.take(world.event("PreToolUse", tool_name="Agent", tool_use_id="c", tool_input={"prompt": "p"}))
    assert sessions.gone(history.con, "2026-12-03T08:00:00.000Z") == []
    assert sessions.gone(history.con, "2026-12-05T08:00:00.000Z") == [SESSION]


def test_a_session_from_before_the_update(tmp_path):
    """A row that was written before process numbers were kept with their space is of the same process, on the same host."""
    world = World(str(tmp_path))
    world.agent(10)
    history = History(world)
    history.process = (HOST, ID, ME, STARTED)
    for event in world.events[:5]:
        history.take(event)
    history.process = sessions.process_of(ME)
    history.take({**world.events[0], "source": "compact"})
    assert history.con.execute("SELECT * FROM lost_executions").fetchall() == []


@pytest.fixture
def left(tmp_path):
    """A conversation that was left for another one by /clear while its agent worked; (history, {event: …} of the second)."""
    world = World(str(tmp_path))
    world.agent(10)
    history = History(world)
    history.process = sessions.process_of(ME)
    for event in world.events[:5]:
        history.take(event)
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "clear"})
    second = {**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000002", "source": "clear",
              "transcript_path": world.main.replace(".jsonl", "-2.jsonl")}  # fmt: skip
    history.take(second)
    return history, second


def at_work(history):
    """(how many executions are at work, how many are lost), as lists tell it."""
    return len(queries.executions(history.con, status="deployed")), len(queries.executions(history.con, status="lost"))


def test_agents_go_on_with_their_process(left):
    """What works on when its process goes on with another conversation is at work there: a Stop that lists it leaves it, its
    end is heard there, and it is lost when that conversation is over."""
    history, second = left
    agent, stop = next(iter(history.world.pairs)), {**second, "hook_event_name": "Stop", "source": None}
    assert at_work(history) == (1, 0)
    history.take({**stop, "background_tasks": [{"id": agent, "type": "subagent", "status": "running"}]})
    assert at_work(history) == (1, 0)
    others = {**second, "session_id": "5ec0d000-0000-4000-8000-000000000003"}
    history.take({**second, "hook_event_name": "SessionEnd", "reason": "resume"})
    history.take({**others, "source": "resume"})
    assert at_work(history) == (1, 0)
    end = next(event for event in history.world.events if event["hook_event_name"] == "SubagentStop")
    over = History(history.world)
    history.con.backup(over.con)
    over.count, over.process = history.count, history.process
    history.take({**end, "session_id": others["session_id"]})
    assert at_work(history) == (0, 0)
    assert history.con.execute("SELECT status, end_reason FROM executions").fetchall() == [("completed", "end_turn")]
    path = history.world.path(agent)
    os.rename(path, path + ".gone")  # else it shows how it ended
    over.take({**others, "hook_event_name": "SessionEnd", "reason": "other"})
    assert at_work(over) == (0, 1)


def test_a_conversation_that_was_left_is_over_with_its_agents(left):
    """Its row stays open as long as an agent works for it, and no longer; the next turn's end in its process closes it."""
    history, second = left
    rows = "SELECT ended_at IS NULL, end_reason FROM claude_sessions WHERE claude_session_id = ?"
    assert history.con.execute(rows, (SESSION,)).fetchone() == (1, "clear")
    assert turn.open_orchestrations(history.con, "another") == []
    end = next(event for event in history.world.events if event["hook_event_name"] == "SubagentStop")
    history.take({**end, "session_id": second["session_id"]})
    history.take({**second, "hook_event_name": "Stop", "background_tasks": []})
    assert history.con.execute(rows, (SESSION,)).fetchone() == (0, "clear")
    agent = next(iter(history.world.pairs))
    sent = {"tool_name": "SendMessage", "tool_use_id": "toolu_more", "tool_input": {}, "tool_response": {"resumedAgentId": agent}}
    history.take({**second, "hook_event_name": "PostToolUse", "prompt_id": "more", **sent})
    assert history.con.execute(rows, (SESSION,)).fetchone() == (1, "clear") and at_work(history) == (1, 0)
    history.take({**second, "hook_event_name": "SubagentStart", "agent_id": agent, "prompt_id": "more"})
    history.count += 10
    history.take({**second, "hook_event_name": "Stop", "background_tasks": []})
    assert history.con.execute(rows, (SESSION,)).fetchone() == (0, "clear") and at_work(history) == (0, 0)


@pytest.mark.parametrize("heard", [0, 1, 2])
def test_agents_go_on_whatever_was_heard(tmp_path, heard):
    """Neither the end of a conversation that was left need be heard, nor the start of the next, nor either in time."""
    world = World(str(tmp_path))
    agent = world.agent(10)
    history = History(world)
    history.process = sessions.process_of(ME)
    for event in world.events[:5]:
        history.take(event)
    other = {**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000002", "source": "clear"}
    over = {**world.events[0], "hook_event_name": "SessionEnd", "reason": "clear"}
    late = history.count
    if heard == 2:
        history.take(over)
    history.count += 2
    history.take({**other, "hook_event_name": "UserPromptSubmit", "prompt": "go on", "prompt_id": "p"})
    if heard == 1:
        history.take(over, late + 1, late=True)
        history.take(other, late + 2, late=True)
    stop = {**other, "hook_event_name": "Stop", "prompt_id": "p"}
    history.take({**stop, "background_tasks": [{"id": agent, "type": "subagent", "status": "running"}]})
    assert at_work(history) == (1, 0)
    os.rename(world.path(agent), world.path(agent) + ".gone")
    history.take({**stop, "background_tasks": []})
    assert at_work(history) == (0, 0) and history.ends()[agent] == ("failed", "ended", 1)


def test_agents_are_lost_with_their_process(left):
    """When the process is gone, what worked for a conversation that it had left is lost like the rest."""
    history, second = left
    os.unlink(history.world.path(next(iter(history.world.pairs))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "alive", lambda *process: False)
        history.take({**second, "session_id": "5ec0d000-0000-4000-8000-000000000003"})
    assert at_work(history) == (0, 1)


def test_a_conversation_in_two_processes(tmp_path):
    """One that another process goes on with is not over when its former process ends."""
    world = World(str(tmp_path))
    history = History(world)
    history.process = (HOST, BOOT, ME, "1")
    history.take(world.events[0])
    history.process = sessions.process_of(ME)
    history.take({**world.events[0], "source": "resume"})
    history.process = (HOST, BOOT, ME, "1")
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "other"})
    assert history.con.execute("SELECT ended_at FROM claude_sessions").fetchall() == [(None,)]
    history.process = sessions.process_of(ME)
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "other"})
    assert history.con.execute("SELECT ended_at IS NULL FROM claude_sessions").fetchall() == [(0,)]
    history.process = sessions.process_of(os.getppid())  # the one of before goes on all the same
    history.take({**world.events[1], "hook_event_name": "UserPromptSubmit", "prompt": "go on"})
    assert history.con.execute("SELECT ended_at FROM claude_sessions").fetchall() == [(None,)]


@pytest.fixture
def both(tmp_path):
    """A conversation whose agent is at work in one process, and that another, which lives too, goes on with; (history, start)."""
    world = World(str(tmp_path))
    history = History(world)
    history.process = sessions.process_of(ME)
    world.agent(10)
    for event in world.events[:5]:
        history.take(event)
    history.process = sessions.process_of(os.getppid())
    history.take({**world.events[0], "source": "resume"})
    return history, world.events[0]


def test_a_conversation_in_two_living_processes(both):
    """What works in the one is not lost because the other goes on with its conversation, nor over because that does not list
    it; when the one ends, what it had at work is lost, and the other's is not."""
    history, start = both
    first, stop = next(iter(history.world.pairs)), {**start, "hook_event_name": "Stop"}
    assert at_work(history) == (1, 0)
    call = next(event for event in history.world.events if event["hook_event_name"] == "PreToolUse")
    history.take({**call, "tool_use_id": "toolu_2"})
    history.take({**call, "hook_event_name": "PostToolUse", "tool_use_id": "toolu_2",
                  "tool_response": {"isAsync": True, "status": "async_launched", "agentId": "a2"}})  # fmt: skip
    assert at_work(history) == (2, 0)
    history.take({**stop, "background_tasks": [{"id": "a2", "type": "subagent", "status": "running"}]})
    assert at_work(history) == (2, 0)
    history.process = sessions.process_of(ME)
    history.take({**stop, "background_tasks": [{"id": first, "type": "subagent", "status": "running"}]})
    assert at_work(history) == (2, 0)
    history.take({**start, "hook_event_name": "SessionEnd", "reason": "other"})
    assert at_work(history) == (1, 1)
    history.process = sessions.process_of(os.getppid())
    history.take({**stop, "background_tasks": []})
    assert at_work(history) == (0, 1) and history.ends()["a2"] == ("failed", "ended", 1)
    history.take({**start, "hook_event_name": "SessionEnd", "reason": "other"})
    assert history.con.execute("SELECT ended_at IS NULL FROM claude_sessions").fetchall() == [(0,)]


def test_a_message_from_a_conversation_that_two_processes_are_in(tmp_path):
    """An agent of a conversation that its process left for one in which another is, too, is at work there when a message puts it
    to work again, also when the other process does not list it."""
    world = World(str(tmp_path))
    history = History(world)
    agent, other = world.agent(10), {**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000002"}
    history.process = sessions.process_of(os.getppid())
    history.take(other)
    history.process = sessions.process_of(ME)
    for event in world.events:
        history.take(event)
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "resume"})
    history.take({**other, "source": "resume"})
    world.message(agent, 11, "more")
    for event in world.events[-5:-2]:
        history.take({**event, "session_id": other["session_id"]})
    assert at_work(history) == (1, 0)
    history.process, history.count = sessions.process_of(os.getppid()), history.count + 10
    history.take({**other, "hook_event_name": "Stop", "background_tasks": []})
    assert at_work(history) == (1, 0)


def test_the_earlier_of_two_processes_is_killed(both):
    """Its conversation goes on in the other, with what that has at work; when that is gone as well, the conversation is over."""
    history, start = both
    history.take({**history.world.events[2], "tool_use_id": "toolu_2"})
    os.unlink(history.world.path(next(iter(history.world.pairs))))
    other = {**start, "session_id": "5ec0d000-0000-4000-8000-000000000009", "source": "startup"}
    lives, history.process = [os.getppid()], (HOST, BOOT, 1, "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "alive", lambda host, boot, pid, started: pid in lives)
        history.take(other)
        rows = "SELECT pid, end_reason FROM claude_sessions WHERE claude_session_id = ?"
        assert history.con.execute(rows, (SESSION,)).fetchone() == (os.getppid(), None) and at_work(history) == (1, 1)
        lives.clear()
        history.take({**other, "source": "compact"})
        assert history.con.execute(rows, (SESSION,)).fetchone() == (os.getppid(), "gone")


def test_the_earlier_of_two_processes_is_there_alone_again(both):
    """When the other is gone, what is not listed has ended."""
    history, start = both
    os.unlink(history.world.path(next(iter(history.world.pairs))))
    history.take({**history.world.events[2], "tool_use_id": "toolu_2"})
    history.process, stop = sessions.process_of(ME), {**start, "hook_event_name": "Stop", "background_tasks": []}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "alive", lambda host, boot, pid, started: pid == ME)
        history.take(stop)
    assert sorted(history.ends().values()) == [("failed", "ended", 1), ("failed", "never_started", 1)]


@pytest.mark.parametrize("lives", [True, False], ids=["lives", "is gone"])
def test_a_process_whose_start_was_not_heard(tmp_path, monkeypatch, lives):
    """What goes on in another process is at work there, also where its start was not heard, whether the earlier one lives
    or not."""
    living = [1, 2, 3]
    monkeypatch.setattr(sessions, "alive", lambda host, boot, pid, started: pid in living)
    world = World(str(tmp_path))
    world.agent(10)
    history = History(world)
    history.process = (HOST, BOOT, 1, "1")
    history.take(world.events[0])
    living[:1] = [1] if lives else []
    history.process = (HOST, BOOT, 2, "1")
    for event in world.events[1:5]:
        history.take(event)
    history.process = (HOST, BOOT, 3, "1")
    history.take({**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000008"})
    living.remove(2)
    os.unlink(world.path(next(iter(world.pairs))))
    assert at_work(history) == (1, 0)
    history.take({**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000008", "source": "compact"})
    assert at_work(history) == ((1, 0) if lives else (0, 1))


def test_an_end_that_is_heard_when_its_conversation_goes_on(both):
    """An end that is told late of a conversation which another process has by now, which lives, is none of that."""
    history, start = both
    history.process = (HOST, BOOT, ME, "1")
    history.take({**start, "hook_event_name": "SessionEnd", "reason": "other"}, 1, late=True)
    assert history.con.execute("SELECT ended_at FROM claude_sessions").fetchall() == [(None,)] and at_work(history) == (1, 0)


def test_a_conversation_that_is_come_back_to_unheard(tmp_path):
    """What a conversation that had been left has at work is its own again as soon as it is heard of, though its start was not;
    and a start that is heard of late opens none that has ended since."""
    world = World(str(tmp_path))
    world.agent(10)
    history = History(world)
    history.process = sessions.process_of(ME)
    over, second = {**world.events[0], "hook_event_name": "SessionEnd"}, "5ec0d000-0000-4000-8000-000000000002"
    history.take(world.events[0])
    history.take({**over, "reason": "clear"})
    history.take({**world.events[0], "session_id": second, "source": "clear"})
    history.take({**over, "session_id": second, "reason": "resume"})
    for event in world.events[1:5]:
        history.take(event)
    rows = "SELECT claude_session_id, ended_at IS NULL FROM claude_sessions ORDER BY claude_session_id"
    assert at_work(history) == (1, 0) and history.con.execute(rows).fetchall() == [(SESSION, 1), (second, 0)]
    history.take({**world.events[0], "session_id": second, "source": "resume"}, 2, late=True)
    assert history.con.execute(rows).fetchall() == [(SESSION, 1), (second, 0)]


def test_a_message_from_a_conversation_that_is_come_back_to_unheard(left):
    """An agent that had ended, and that a message puts to work again from its own conversation, which had been left and of whose
    going on nothing was heard, is at work."""
    history, second = left
    for event in history.world.events[5:]:
        history.take({**event, "session_id": second["session_id"]})
    history.take({**second, "hook_event_name": "Stop", "background_tasks": []})
    history.world.message(next(iter(history.world.pairs)), 11, "more")
    assert at_work(history) == (0, 0)
    sent = next(event for event in history.world.events if event.get("tool_name") == "SendMessage")
    history.take(sent)
    assert at_work(history) == (1, 0)


def test_a_call_that_was_let_through_before_the_conversation_was_left(left):
    """An agent's call that was let through before /clear, and came back after it, is one call."""
    history, second = left
    agent = next(iter(history.world.pairs))
    call = next(event for event in history.world.events if event["hook_event_name"] == "PreToolUse")
    inner = {**call, "agent_id": agent, "tool_use_id": "toolu_inner"}
    history.take(inner)
    history.take({**inner, "session_id": second["session_id"], "hook_event_name": "PostToolUse",
                  "tool_response": {"isAsync": True, "status": "async_launched", "agentId": "a2"}})  # fmt: skip
    rows = history.con.execute("SELECT tool_use_id, agent_id, parent_agent_id FROM executions ORDER BY number").fetchall()
    assert rows == [("toolu_010", agent, None), ("toolu_inner", "a2", agent)]


@pytest.mark.parametrize("moved", [True, False], ids=["wrote on", "wrote nothing yet"])
@pytest.mark.parametrize("heard", ["PostToolUse", "SubagentStop", "UserPromptSubmit", "Stop"])
def test_an_agent_whose_call_did_not_come_back_before_the_conversation_was_left(tmp_path, heard, moved):
    """Whichever signal in the next conversation names its call, the agent is that call's, and the one execution there is."""
    world = World(str(tmp_path))
    agent = world.agent(10)
    world.stop()
    history = History(world)
    history.process = sessions.process_of(ME)
    os.rename(world.main[:-6], world.main[:-6] + "-not-yet")
    for event in world.events[:4]:
        history.take(event)
    assert history.con.execute("SELECT agent_id FROM executions").fetchall() == [(None,)]
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "clear"})
    second = {"session_id": "5ec0d000-0000-4000-8000-000000000002", "transcript_path": world.main.replace(".jsonl", "-2.jsonl")}
    history.take({**world.events[0], **second, "source": "clear"})
    os.rename(world.main[:-6] + "-not-yet", world.main[:-6] + ("-2" if moved else ""))  # where the client goes on with it
    history.count += 10
    for event in world.events[4:]:
        if event["hook_event_name"] == heard:
            history.take({**event, **second})
    assert history.con.execute("SELECT tool_use_id, agent_id FROM executions").fetchall() == [("toolu_010", agent)]


@pytest.mark.parametrize("turn", [None, "the person's"], ids=["2.1.329", "2.1.197"])
def test_an_agent_that_works_again_in_the_next_conversation(left, turn):
    """An agent that was woken by its own agent's end, after /clear: each stretch of work has its own end and time, though the
    turn in which the client tells the end of the one is that in which the next begins, and though they say the same."""
    history, second = left
    agent = next(iter(history.world.pairs))
    os.unlink(history.world.path(agent))
    who = {**second, "agent_id": agent, "agent_type": "general-purpose"}
    end = {**who, "hook_event_name": "SubagentStop", "last_assistant_message": "done"}
    words = ("<task-notification>\n<task-id>%s</task-id>\n<status>completed</status>\n<summary>Agent \"it\" finished</summary>\n"
             "<result>done</result>\n</task-notification>") % agent  # fmt: skip
    told = {**second, "hook_event_name": "UserPromptSubmit", "prompt": words}
    times = []
    for number, event in enumerate((
            {**end, "prompt_id": turn}, {**who, "hook_event_name": "SubagentStart", "prompt_id": turn},
            {**end, "prompt_id": "one more"}, told, {**who, "hook_event_name": "SubagentStart", "prompt_id": "one more"},
            {**end, "prompt_id": "and another"}, {**told, "prompt": words + "\n"})):  # fmt: skip
        history.take(event)
        if number not in (3, 6):
            times.append(history.at(history.count))
    found = history.con.execute("SELECT started_at, ended_at, final_message FROM segments ORDER BY ordinal").fetchall()
    assert found == [(history.at(4), times[0], "done"), (times[1], times[2], "done"), (times[3], times[4], "done")]


def test_an_agent_of_a_conversation_that_an_earlier_process_left(left):
    """When the conversation that followed it goes on in another process, and puts the agent to work again from there, it is at
    work as long as it is listed there, and no longer than that process."""
    history, second = left
    agent = next(iter(history.world.pairs))
    end = next(event for event in history.world.events if event["hook_event_name"] == "SubagentStop")
    history.take({**end, "session_id": second["session_id"]})
    history.take({**second, "hook_event_name": "SessionEnd", "reason": "other"})
    history.process = sessions.process_of(os.getppid())
    history.take({**second, "source": "resume"})
    sent = {"tool_name": "SendMessage", "tool_use_id": "toolu_more", "tool_input": {}, "tool_response": {"resumedAgentId": agent}}
    history.take({**second, "hook_event_name": "PostToolUse", "prompt_id": "more", **sent})
    history.take({**second, "hook_event_name": "SubagentStart", "agent_id": agent, "prompt_id": "more"})
    assert at_work(history) == (1, 0)
    listed = [{"id": agent, "type": "subagent", "status": "running"}]
    history.take({**second, "hook_event_name": "Stop", "background_tasks": listed})
    assert at_work(history) == (1, 0)
    history.take({**second, "hook_event_name": "SessionEnd", "reason": "other"})
    assert at_work(history) == (0, 0)
    rows = "SELECT ended_at IS NULL FROM claude_sessions"
    assert history.con.execute(rows).fetchall() == [(0,), (0,)]


def test_an_agent_of_a_conversation_that_another_process_has_by_now(left):
    """A message puts it to work again from the process in which it was: that the other process does not list it says nothing."""
    history, second = left
    agent = next(iter(history.world.pairs))
    end = next(event for event in history.world.events if event["hook_event_name"] == "SubagentStop")
    history.take({**end, "session_id": second["session_id"]})
    history.take({**second, "hook_event_name": "Stop", "background_tasks": []})
    history.process = sessions.process_of(os.getppid())
    history.take({**history.world.events[0], "source": "resume"})
    history.process = sessions.process_of(ME)
    history.take({**second, "hook_event_name": "SubagentStart", "agent_id": agent, "prompt_id": "more"})
    history.process = sessions.process_of(os.getppid())
    history.count += 10
    history.take({**history.world.events[0], "hook_event_name": "Stop", "background_tasks": []})
    assert at_work(history) == (1, 0)


@pytest.mark.parametrize("how, reason", [("TaskStop", "stopped"), ("Stop", "ended")])
def test_a_workflow_that_runs_on_when_its_conversation_is_left(tmp_path, how, reason):
    """It is the next conversation's to stop, and its agents, also those that begin there, end with it; till then it keeps the
    conversation it was called in open, though no agent is at work."""
    world = World(str(tmp_path))
    world.workflow(10, ("normal", "normal"))
    history = History(world)
    history.process = sessions.process_of(ME)
    os.rename(world.main[:-6], world.main[:-6] + "-gone")  # else it shows how they ended
    begun = [event for event in world.events if event["hook_event_name"] == "SubagentStart"]
    for event in world.events[:4]:
        history.take(event)
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "clear"})
    second = {**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000002", "source": "clear"}
    history.take(second)
    stop = {**second, "hook_event_name": "Stop"}
    history.take({**stop, "background_tasks": [{"id": "w%08x" % 10, "type": "workflow", "status": "running"}]})
    assert history.con.execute("SELECT count(*) FROM claude_sessions WHERE ended_at IS NULL").fetchone() == (2,)
    for event in begun:
        history.take({**event, "session_id": second["session_id"]})
    history.take({**stop, "background_tasks": [{"id": "w%08x" % 10, "type": "workflow", "status": "running"}]})
    assert at_work(history) == (2, 0)
    if how == "TaskStop":
        history.take({**second, "hook_event_name": "PostToolUse", "tool_name": "TaskStop", "tool_use_id": "toolu_stop",
                      "tool_input": {"task_id": "w%08x" % 10}, "tool_response": {"message": "ok"}})  # fmt: skip
    history.take({**stop, "background_tasks": []})
    rows = history.con.execute("SELECT runtime, tool_use_id, end_reason FROM executions").fetchall()
    assert rows == [("workflow", "toolu_wf10", reason)] * 2
    assert history.con.execute("SELECT count(*) FROM claude_sessions WHERE ended_at IS NULL").fetchone() == (1,)


def test_a_stretch_of_work_that_an_earlier_process_lost(left):
    """An agent whose second stretch of work was lost with an earlier process, and whose third has ended in this one, is not at
    work: the conversation is over when it is left."""
    history, second = left
    agent = next(iter(history.world.pairs))
    who = {**second, "agent_id": agent, "agent_type": "general-purpose"}
    end = {**who, "hook_event_name": "SubagentStop", "last_assistant_message": "done"}
    again = {**history.world.events[0], "source": "resume"}
    os.unlink(history.world.path(agent))
    history.take({**end, "session_id": SESSION, "prompt_id": "prompt-1"})
    history.take(again)
    history.take({**who, "session_id": SESSION, "hook_event_name": "SubagentStart", "prompt_id": "two"})
    history.process = sessions.process_of(os.getppid())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "alive", lambda host, boot, pid, started: pid != ME)
        history.take(again)
        history.take({**who, "session_id": SESSION, "hook_event_name": "SubagentStart", "prompt_id": "three"})
        history.take({**end, "session_id": SESSION, "prompt_id": "three", "last_assistant_message": "all"})
    assert at_work(history) == (0, 0) and not sessions.works(history.con, SESSION)
    assert history.con.execute("SELECT ended_at IS NULL FROM segments").fetchall() == [(0,), (1,), (0,)]


def test_what_is_heard_late_of_a_conversation_that_was_left(tmp_path):
    """An agent that began before its conversation was left, and is heard of only then, is at work for the one that followed."""
    world = World(str(tmp_path))
    world.agent(10)
    history = History(world)
    history.process = sessions.process_of(ME)
    history.take(world.events[0])
    history.count = 10
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "clear"})
    second = {**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000002", "source": "clear"}
    history.take(second)
    for number, event in enumerate(world.events[1:5], 2):
        history.take(event, number, late=True)
    assert at_work(history) == (1, 0)
    os.rename(world.main[:-6], world.main[:-6] + "-gone")
    history.take({**second, "hook_event_name": "Stop", "background_tasks": []})
    assert at_work(history) == (0, 0) and list(history.ends().values()) == [("failed", "ended", 1)]


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system has no /proc")
def test_a_process_that_nobody_waited_for(tmp_path):
    """One that is over and was not waited for, as under an init that does not, is gone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as client:
        process = sessions.process_of(client.pid)
        assert sessions.alive(*process)
        client.kill()
        os.waitid(os.P_PID, client.pid, os.WEXITED | os.WNOWAIT)
        assert sessions.alive(*process) is False


def test_what_an_earlier_process_lost_stays_lost(left):
    """A conversation that goes on here, with what it takes over, has not what was at work for it in an earlier process."""
    history, second = left
    lost = {**history.world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000004"}
    call = next(event for event in history.world.events if event["hook_event_name"] == "PreToolUse")
    history.process = (HOST, BOOT, ME, "1")
    history.take(lost, 0)
    history.take({**call, "session_id": lost["session_id"], "tool_use_id": "toolu_lost"}, 0)
    history.take({**call, "session_id": lost["session_id"], "hook_event_name": "PostToolUse", "tool_use_id": "toolu_lost",
                  "tool_response": {"isAsync": True, "status": "async_launched", "agentId": "a3"}}, 0)  # fmt: skip
    history.process = sessions.process_of(ME)
    history.take({**second, "hook_event_name": "SessionEnd", "reason": "resume"})
    history.take({**lost, "source": "resume"})
    assert at_work(history) == (1, 1)


@pytest.mark.parametrize("name", ["SubagentStart", "UserPromptSubmit", "SessionStart", "Stop"])
def test_a_hook_that_outlives_its_killed_client(tmp_path, name):
    """What it tells is recorded, and the conversation is over all the same: nobody goes on with it."""
    world = World(str(tmp_path / "world"))
    world.agent(10)
    history = History(world)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as client:
        history.process = client.pid
        for event in world.events[:3]:
            history.take(event)
        client.kill()
        client.wait()
    assert sessions.bury(history.con, history.at(history.count)) == [SESSION]
    told = next(event for event in world.events if event["hook_event_name"] in (name, "SubagentStop"))
    history.take({**told, "source": "resume", "hook_event_name": name})
    row = history.con.execute("SELECT ended_at IS NULL, end_reason FROM claude_sessions").fetchall()
    assert row == [(0, "gone")]
