"""Ends that no hook is told: the main conversation's transcript holds the notification, and the next Stop or the end reads it."""

import json
import os

import pytest

from orchestrator.recording import notification
from streams import History, World, at


@pytest.fixture(params=["329", "197"])
def world(request, tmp_path):
    """A session in which nothing was deployed yet."""
    return World(str(tmp_path / "world"), request.param)


def unheard(world, count=1):
    """Takes the last notifications out of what hooks are told and writes them where the client keeps its queue; returns them."""
    told = [e for e in world.events if (e.get("prompt") or "").startswith("<task-notification>")][-count:]
    with open(world.main, "a", encoding="utf-8") as f:
        for event in told:
            f.write(json.dumps({"type": "queue-operation", "operation": "enqueue", "content": event["prompt"],
                                "timestamp": at(world.events.index(event) + 1)}) + "\n")  # fmt: skip
    for event in told:
        world.events.remove(event)
    return told


def taken(world, *more):
    """A history of the events so far and, ten seconds later, of `more`."""
    history = History(world)
    for event in world.events:
        history.take(event)
    history.count += 10
    for event in more:
        history.take(event)
    return history


def turn_over(world):
    """A turn ends, and nothing runs any more."""
    world.stop()
    return world.events.pop()


def over(world):
    """The session ends."""
    return {**world.events[0], "hook_event_name": "SessionEnd", "reason": "other"}


def events(history):
    """How many events of each kind there are."""
    return dict(history.con.execute("SELECT kind, count(*) FROM events GROUP BY kind"))


def one(world):
    """A background agent at its turn limit."""
    return world.agent(10, "max_turns")


def nested(world):
    """The same of an agent's own agent."""
    return world.agent(20, "max_turns", parent=world.agent(10))


def resumed(world):
    """One that had ended and was put to work again, and of whose second end no hook of its own was heard."""
    agent = world.agent(10)
    world.message(agent, 30, "again")
    del world.events[max(n for n, e in enumerate(world.events) if e["hook_event_name"] == "SubagentStop")]
    return agent


def at_its_limit_twice(world):
    """An agent at its turn limit, put to work again in the same turn, and at its limit again, with other words."""
    agent = world.agent(10, "max_turns")
    world.event("PostToolUse", tool_name="Read", tool_use_id="toolu_020", tool_input={}, tool_response={})  # a second passes
    world.message(agent, 30, "still at it", same_turn=True)
    world.events.remove([e for e in world.events if e["hook_event_name"] == "SubagentStop"][-1])
    with open(world.path(agent), encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    lines[-1]["message"]["stop_reason"] = "tool_use"
    lines[-1]["message"]["content"].append({"type": "tool_use", "id": "c-last", "name": "Bash", "input": {"command": "ls"}})
    began = next(n for n, e in enumerate(world.events) if e.get("tool_name") == "SendMessage")
    for line in lines:  # those of the later stretch are written when it works
        line["timestamp"] = at(began + 1) if line in lines[-2:] else at(1)
    with open(world.path(agent), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    return agent


@pytest.mark.parametrize("version", ["329", "197"])
@pytest.mark.parametrize("end", [turn_over, over])
def test_two_ends_in_one_turn(tmp_path, version, end):
    """Two notifications of one agent that no hook was told are two ends, each of its own stretch of work."""
    world = World(str(tmp_path / "world"), version)
    agent = at_its_limit_twice(world)
    last = end(world)
    unheard(world, 2)
    history = taken(world, last)
    assert history.ends()[agent][:2] == ("failed", "max_turns")
    segments = history.rows()[agent][1]
    assert [(n, status, reason) for n, status, reason, _ in segments] == [
        (1, "failed", "max_turns"), (2, "failed", "max_turns")], segments
    assert [text.split("\n")[0] for *_, text in segments] == ["so far: toolu_010", "still at it"]


@pytest.mark.parametrize(
    ("work", "end"), [(one, turn_over), (one, over), (nested, turn_over), (nested, over), (resumed, turn_over), (resumed, over)])
def test_a_notification_that_no_hook_was_told(world, work, end):
    """The row is the same as if a hook had been told, at the time at which it was; a hook that is told it afterwards, and
    another Stop, change nothing."""
    agent = work(world)
    last = end(world)
    heard = taken(world, last)
    (notification,) = unheard(world)
    history = taken(world, last)
    wanted = heard.rows()[agent]
    assert history.rows()[agent] == wanted
    assert history.unsound() == [] and events(history).get("absent") == events(heard).get("absent")
    when = "SELECT max(at) FROM events WHERE kind = 'notified' AND agent_id = ?"
    assert history.con.execute(when, (agent,)).fetchone() == heard.con.execute(when, (agent,)).fetchone()
    count = events(history)
    history.take(notification)
    history.take(last)
    assert events(history)["notified"] == count["notified"] and events(history).get("absent") == count.get("absent")
    assert history.rows()[agent] == wanted


def test_what_is_not_looked_for(world, monkeypatch):
    """Where nothing is concluded no transcript is read; of agents that nobody recorded nothing is taken from it."""
    stranger, agent = world.agent(10, "max_turns"), world.agent(20, "max_turns")
    unheard(world, 2)
    os.rename(world.path(stranger), world.path(stranger) + ".gone")
    started = next(n for n, e in enumerate(world.events) if e.get("tool_use_id") == "toolu_020")
    del world.events[2:started]
    history = History(world)
    for event in world.events:
        history.take(event)
    read, whole = [], notification.written
    monkeypatch.setattr(notification, "written", lambda con, path: read.append(path) or whole(con, path))
    world.stop(agent)
    history.take(world.events[-1])
    assert read == [] and history.ends() == {agent: ("deployed", None, 0)}
    history.settle()
    assert read == [world.main] and history.ends() == {agent: ("failed", "max_turns", 1)}
    history.settle()
    history.take(over(world))
    assert read == [world.main]


def test_a_nested_agent_that_has_just_begun(world):
    """One that the client does not list within seconds of its start has ended where its notification says so; else it may
    still be at work."""
    agent = nested(world)
    unheard(world)
    history, late = History(world), History(world)
    for event in world.events:
        history.take(event)
        late.take(event)
    queue = open(world.main, encoding="utf-8").read()
    os.unlink(world.main)
    late.settle()
    assert late.ends()[agent] == ("deployed", None, 0)
    with open(world.main, "w", encoding="utf-8") as f:
        f.write(queue)
    history.settle()
    assert history.ends()[agent] == ("failed", "max_turns", 1)


def test_an_end_of_which_nothing_is_written(world):
    """Without a notification it is as it was: no longer listed, and nothing says how it ended."""
    agent = one(world)
    unheard(world)
    os.unlink(world.main)
    history = taken(world)
    history.settle()
    assert history.ends() == {agent: ("failed", "ended", 1)}


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("file", [None, "agent-a0000000000000099.jsonl"])
def test_what_was_asked_for_and_never_began(world, planned, file):
    """A call of which nothing shows that an agent began never started, once its session is over; while a transcript of nobody's
    may be its own, and where it was a task's, which is to be deployed again, it is lost."""
    world.agent(10, "denied")
    world.agent(20)
    if file:
        with open(os.path.join(os.path.dirname(world.path("a")), file), "w", encoding="utf-8") as f:
            f.write("{}\n")
    history = taken(world)
    if planned:
        history.con.execute("UPDATE executions SET orchestration_id = 'o', task_id = 't' WHERE tool_use_id = 'toolu_010'")
    history.take(over(world))
    end = ("deployed", None, 0) if planned or file else ("failed", "never_started", 1)
    assert history.ends()["toolu_010"] == end
    assert history.con.execute("SELECT count(*) FROM lost_executions").fetchone() == (int(end[0] == "deployed"),)


def test_a_stop_by_an_older_argument(world):
    """TaskStop takes `shell_id` on 2.1.197: its answer names the agent that it stopped."""
    agent = world.agent(10, "stopped")
    wanted = taken(world, turn_over(world)).rows()[agent]
    (stop,) = [event for event in world.events if event.get("tool_name") == "TaskStop"]
    stop.update(tool_input={"shell_id": agent}, tool_response={"message": "ok", "task_id": agent})
    assert taken(world, turn_over(world)).rows()[agent] == wanted


def test_an_agent_that_is_stopped_before_it_said_anything_again(world):
    """What an agent had said before a message put it to work again is no word of its second segment."""
    agent = world.agent(10)
    history = taken(world)
    with open(world.path(agent), encoding="utf-8") as f:
        lines = [{**json.loads(line), "timestamp": at(1)} for line in f]
    with open(world.path(agent), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    count = len(world.events)
    os.rename(world.path(agent), world.path(agent) + ".kept")
    world.message(agent, 30, "never said")
    os.replace(world.path(agent) + ".kept", world.path(agent))
    for event in world.events[count : count + 3]:
        history.take(event)
    with open(world.path(agent), "a", encoding="utf-8") as f:  # only the message is written
        f.write(json.dumps({**lines[0], "timestamp": at(history.count)}) + "\n")
    history.take(world.event("PostToolUse", tool_name="TaskStop", tool_input={"task_id": agent}, tool_response={"message": "ok"},
                             tool_use_id="toolu_stop"))  # fmt: skip
    (_, *first), (_, *second) = history.rows()[agent][1]
    assert first[:2] == ["completed", "end_turn"] and second == ["failed", "stopped", None]
    assert history.rows()[agent][0][15] == first[2]


def test_an_end_that_a_conversation_was_told_before_it_was_left(world):
    """The next conversation's Stop finds it where it was told."""
    agent = one(world)
    unheard(world)
    second = {**world.events[0], "session_id": "5ec0d000-0000-4000-8000-000000000002", "source": "clear",
              "transcript_path": world.main.replace(".jsonl", "-2.jsonl")}  # fmt: skip
    left = {**over(world), "reason": "clear"}
    history = taken(world, left, second, {**second, "hook_event_name": "Stop", "background_tasks": []})
    assert history.ends()[agent] == ("failed", "max_turns", 1)
    assert history.con.execute("SELECT count(*) FROM claude_sessions WHERE ended_at IS NULL").fetchone() == (1,)
