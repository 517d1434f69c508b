"""A machine that stops after any hook of a run: the next session, hook or command finds out, and says what it knows."""

import os
import shutil

import pytest

from orchestrator.recording.sessions import process_of
from orchestrator.services import lost
from orchestrator.services.reconcile import reconcile
from orchestrator.store import open as store
from streams import SESSION, History, World, user
from streams import at as world_at

BEFORE = (os.uname().nodename, "the boot before this one", 1, "1")  # a process of this machine, before it was started again


def everything(world):
    """Each way an agent ends, one after another."""
    for number, end in enumerate(("normal", "api_error", "max_turns", "stopped", "refused", "denied"), 1):
        world.agent(number * 10, end)
        world.agent(number * 10 + 1, end, background=False)
    world.agent(91, "normal", parent=world.agent(90))
    world.message(world.agent(100), 101, "more")
    world.skill(110)
    world.teammate(120, 1)
    world.workflow(130, ("normal", "api_error"))
    world.compaction(140)


class Moment(History):
    """A copy of a history, as a machine that stopped at this moment left it."""

    def __init__(self, history, folder):
        self.world, self.count, self.process = history.world, history.count, BEFORE
        self.workspace = os.path.join(folder, ".orchestrator")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(history.workspace, self.workspace)
        os.unlink(self.workspace + "/history.db-shm")
        self.con = store.open_history(os.path.join(self.workspace, "history.db"))


def next_command(moment):
    """A command of ours, in a terminal."""
    reconcile(moment.con, moment.world.project, moment.workspace)


def next_session(moment):
    """Another conversation begins."""
    moment.process = ("here", "boot", 2, "2")
    moment.take({**moment.world.events[0], "session_id": "another", "source": "startup"})


def next_hook(moment):
    """A turn of another conversation, which had begun before, ends."""
    moment.process = ("here", "boot", 2, "2")
    moment.take({**moment.world.events[0], "session_id": "another", "hook_event_name": "Stop", "background_tasks": []})


@pytest.mark.parametrize("version", ["329", "197"])
def test_a_machine_that_stops_after_any_hook(version, tmp_path):
    """Whatever had begun is recorded; what had ended ended as it did, what had not is lost, with what is known of it."""
    history, seen, doors = [], [], (next_command, next_session, next_hook)

    def heard(world, event):
        if not history:
            history.append(History(world))
            history[0].process = BEFORE
        history[0].take(event)
        if len(world.events) % 2 == (version == "197"):
            return  # what the clients have in common is tried once
        moment = Moment(history[0], str(tmp_path / "moment"))
        doors[len(world.events) // 2 % 3](moment)
        seen.append((len(world.events) - 1, moment.unsound(), *left(moment)))
        moment.con.close()

    world = World(str(tmp_path / "world"), version, heard=heard)
    everything(world)
    assert len(seen) >= 40
    for number, unsound, gone, rows in seen:
        begun = {e["agent_id"] for e in world.events[: number + 1] if e["hook_event_name"] == "SubagentStart"}
        assert unsound == [] and gone == [("gone",)], number
        assert begun <= set(rows) | {agent for agent, call in world.pairs.items() if call in rows}, number
        for key, (status, reason, inferred, is_lost, known) in rows.items():
            calls = {call: agent for agent, call in world.pairs.items()}
            wanted = world.expected.get(key) or world.expected[calls[key]]
            assert is_lost == (status == "deployed"), (number, key)
            assert inferred or is_lost or (status, reason) == wanted[:2], (number, key, status, reason)
            assert not is_lost or known["heard_at"], (number, key)


def left(moment):
    """How the session is said to have ended; {agent, or call where none began: (status, reason, inferred, lost, known)}."""
    rows = moment.con.execute(
        "SELECT COALESCE(agent_id, tool_use_id), execution_id, status, end_reason, inferred, execution_id IN (SELECT "
        "execution_id FROM lost_executions) FROM executions"
    ).fetchall()
    ended = moment.con.execute("SELECT end_reason FROM claude_sessions WHERE claude_session_id = ?", (SESSION,)).fetchall()
    return ended, {row[0]: (*row[2:], lost.known_of(moment.con, row[1])) for row in rows}


def test_what_a_client_wrote_on_its_way_out(tmp_path):
    """An agent that was broken off with its session was stopped, with what it had said, also where its transcript said so only
    after the session's last hook; while that process lives, it may still be written to. (Commands do the same.)"""
    world = World(str(tmp_path))
    agent = world.agent(10, "max_turns")
    broken = {**user([{"type": "text", "text": "[Request interrupted by user for tool use]"}]), "timestamp": world_at(50)}
    history = Moment(History(world), str(tmp_path / "moment"))
    history.process = process_of(os.getpid())
    for event in world.events[:-1]:
        history.take(event)
    history.take({**world.events[0], "hook_event_name": "SessionEnd", "reason": "other"})
    world.append(agent, [broken])
    next_session(history)
    assert history.ends()[agent] == ("deployed", None, 0)
    history.con.execute("UPDATE claude_sessions SET boot_id = 'the boot before'")
    next_session(history)
    assert history.ends()[agent] == ("failed", "stopped", 1)
    assert history.rows()[agent][0][15] == "so far: toolu_010"
    before = history.con.execute("SELECT count(*) FROM events WHERE kind = 'tail'").fetchone()
    next_session(history)
    assert history.con.execute("SELECT count(*) FROM events WHERE kind = 'tail'").fetchone() == before
