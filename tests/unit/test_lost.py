"""Lost: deployed, and no process is left that could end them; what was put to work again is at work."""

import os

import pytest

from orchestrator.recording.graph import Graph
from orchestrator.services import purge, queries
from orchestrator.services.conditions import Where
from orchestrator.services.digest import _BUSY
from orchestrator.store import open as store
from streams import SESSION, History, World

NEXT = ("here", "boot", 2, "2")  # the process in which a conversation goes on


@pytest.fixture
def resumed(tmp_path):
    """A conversation that went on in another process while its agent, of a task, was at work."""
    world = World(str(tmp_path))
    world.agent(10)
    history = History(world)
    for event in world.events[:5]:  # the agent began
        history.take(event)
    history.con.execute("INSERT INTO orchestrations (orchestration_id, goal, created_at, updated_at) VALUES ('o', 'g', '', '')")
    history.con.execute("INSERT INTO tasks (orchestration_id, task_id, position, title, agent_type, spec, created_at) "
                        "VALUES ('o', 't', 1, 't', 'x', '{}', '')")
    history.con.execute("UPDATE executions SET orchestration_id = 'o', task_id = 't'")
    history.con.execute("UPDATE claude_sessions SET orchestration_id = 'o'")
    history.process = NEXT
    history.take({**world.events[0], "source": "resume"})
    return history


def message(history, number=11):
    """Writes to the agent: it is at work again."""
    history.world.message(history.con.execute("SELECT agent_id FROM executions").fetchone()[0], number, "more")
    for event in history.world.events[-5:-2]:
        history.take(event)


def listed(con, status):
    """How many executions a list shows in a state."""
    where = Where(con)
    where.add_status(status)
    return len(where.few)


def said(history):
    """What each that is asked says: whether the execution is lost."""
    con = history.con
    where = Where(con)
    where.add_running(history.at(history.count))
    return {
        "view": bool(con.execute("SELECT count(*) FROM lost_executions").fetchone()[0]),
        "states": con.execute("SELECT state FROM task_states").fetchone()[0] == "lost",
        "graph": Graph(con, "o").states["t"] == "lost",
        "rows": bool(con.execute("SELECT %s FROM executions e" % queries.LOST).fetchone()[0]),
        "list of the lost": listed(con, "lost") == 1,
        "list of those at work": listed(con, "deployed") == 0,
        "what ran": not where.few,
        "places": con.execute(_BUSY).fetchone()[0] == 0,
        "purge": not purge.at_work([history.path]),
        "status.json": '"lost"' in open(os.path.join(history.workspace, "status.json")).read(),
    }


def test_an_agent_that_is_written_to_again_is_at_work(resumed):
    """An agent that was lost and then put to work by a message, in the process that goes on with its conversation, is at work:
    whoever is asked says so. It is lost again when that process is gone too, or goes on as a third."""
    resumed.take(resumed.world.events[1])
    assert set(said(resumed).values()) == {True}
    message(resumed)
    assert set(said(resumed).values()) == {False}
    resumed.process = ("here", "boot", 3, "3")
    resumed.take({**resumed.world.events[0], "source": "resume"})
    assert set(said(resumed).values()) == {True}


def test_a_clock_that_jumped_back_between_two_processes(resumed):
    """What was put to work again in a process is lost with it, also where the next begins earlier by its clock."""
    message(resumed)
    resumed.process = ("here", "boot", 3, "3")
    resumed.take({**resumed.world.events[0], "source": "resume"}, number=1)
    assert resumed.con.execute("SELECT count(*) FROM lost_executions").fetchone() == (1,)


def test_a_conversation_is_not_replaced_while_an_agent_works_for_it_again(resumed):
    """Another conversation in the same process leaves one open whose agent was put to work again."""
    message(resumed)
    resumed.take({**resumed.world.events[0], "session_id": "another"})
    row = resumed.con.execute("SELECT ended_at FROM claude_sessions WHERE claude_session_id = ?", (SESSION,)).fetchone()
    assert row == (None,)


def shape(con):
    """Everything a schema says, by name."""
    return dict(con.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def test_an_older_history_is_brought_up(tmp_path):
    """A history of an earlier schema becomes what a new one is as soon as it is opened, step by step."""
    new = store.open_history(str(tmp_path / "new.db"))
    wanted = shape(new)
    old = store.connect(str(tmp_path / "old.db"))
    for statement in store.statements(store._read("execution_db.schema.sql")):
        if "VIEW lost_executions" in statement:
            statement = (
                "CREATE VIEW lost_executions AS SELECT e.* FROM executions e JOIN claude_sessions s USING (claude_session_id) "
                "WHERE e.status = 'deployed' AND (s.ended_at IS NOT NULL OR e.deployed_at < s.started_at)"
            )
        old.execute(statement)
    old.execute("PRAGMA user_version = 1")
    old.close()
    opened = store.open_history(str(tmp_path / "old.db"))
    assert shape(opened) == wanted
    assert opened.execute("PRAGMA user_version").fetchone() == new.execute("PRAGMA user_version").fetchone() == (store.VERSION,)
