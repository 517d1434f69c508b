"""Lost: deployed, and no process is left that could end them; what was put to work again is at work."""

import json
import os
import re
from pathlib import Path

import pytest

from orchestrator.edges.cli import describe
from orchestrator.recording import sessions, usage
from orchestrator.recording.graph import Graph
from orchestrator.services import details, purge, queries, stats
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


def test_a_turns_end_leaves_what_an_earlier_process_lost(resumed):
    """What was lost with an earlier process is not listed at a turn's end in the next, and is lost all the same: its task is
    deployed again, as one that failed is not."""
    resumed.take(resumed.world.events[1])
    resumed.settle()
    assert set(said(resumed).values()) == {True}


def test_what_had_ended_when_its_conversation_goes_on(tmp_path, monkeypatch):
    """An agent whose end nobody heard before its process was killed has ended, as its transcript shows, as soon as the
    conversation goes on, though that is left again at once."""
    monkeypatch.setattr(sessions, "alive", lambda *process: process == NEXT)
    world = World(str(tmp_path))
    agent = world.agent(10)
    history = History(world)
    for event in world.events[:5]:
        history.take(event)
    history.process = NEXT
    history.take({**world.events[0], "source": "resume"})
    assert history.ends()[agent] == ("completed", "end_turn", 1)


def test_what_a_lost_one_took_that_was_put_to_work_again(resumed):
    """What it took is without the time between what was last heard of it, or what it last wrote, and the message."""
    agent, con = next(iter(resumed.world.pairs)), resumed.con
    resumed.count += 3600
    message(resumed)
    began = resumed.at(resumed.count)
    resumed.take(resumed.world.events[-2])
    assert resumed.ends()[agent][0] == "completed"
    (row,) = con.execute("SELECT (julianday(?) - julianday(at)) * 86400000, paused_ms FROM events, executions WHERE kind = "
                         "'launched'", (began,))
    assert abs(row[0] - row[1]) < 1 and row[1] > 3_600_000


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


@pytest.fixture
def again(tmp_path):
    """An agent that had ended, and that a message put to work again some seconds later: (history, its rows' number)."""
    world = World(str(tmp_path))
    agent = world.agent(10)
    history = History(world)
    for event in world.events:
        history.take(event)
    history.count += 10
    world.message(agent, 11, "more")
    for event in world.events[-5:-2]:
        history.take(event)
    return history


def running(history, when):
    """Whether it was at work at the time of an arrival."""
    where = Where(history.con)
    where.add_running(history.at(when))
    return bool(where.few)


def counted(con):
    """How many have completed and are at work, by statistics, and how many are beside tasks, by `status`."""
    fleet = stats.statistics(con)["fleet"]
    return fleet["completed"], fleet["in_flight"], queries.others_at_work(con)


def test_an_agent_that_had_ended_and_works_again(again):
    """It is at work, whoever is asked, statistics too, and not between its stretches of work; its row keeps how it ended."""
    con = again.con
    (row,) = queries.executions(con, status="deployed")
    assert row["at_work_again"] and row["status"] == "completed" and queries.state_of(row) == "deployed"
    assert counted(con) == (0, 1, 1)
    ended, began = con.execute("SELECT max(ended_at), max(started_at) FROM segments").fetchone()
    at_end = next(n for n in range(99) if again.at(n) == ended)
    assert [running(again, n) for n in (1, at_end - 1, at_end, at_end + 3, again.count)] == [False, True, False, False, True]
    again.take({**again.world.events[0], "session_id": "another"})
    assert queries.executions(con, status="deployed") != []
    again.take(again.world.events[-2])  # it ends
    assert queries.executions(con, status="deployed") == [] and counted(con) == (1, 0, 0)
    assert [running(again, n) for n in (at_end - 1, at_end + 3, again.count - 2, again.count)] == [True, False, True, False]
    took = "SELECT round(sum(julianday(ended_at) - julianday(started_at)) * 86400.0, 3) FROM segments"
    seconds = con.execute(took).fetchone()[0]
    assert queries.executions(con)[0]["seconds"] == seconds == stats.statistics(con)["fleet"]["seconds"]
    assert round(stats.statistics(con)["quantiles"][0]["seconds"]["50"], 3) == seconds


@pytest.mark.parametrize("written", [True, False])
def test_an_agent_that_worked_again_when_its_session_died(again, written):
    """Its transcript, which is read once more, says how far it came: what it used counts; a stretch of which it shows no end is
    lost, and the row is what it was; one that was not written yet takes no other's end for its own."""
    con, path = again.con, again.world.path(again.world.pairs.copy().popitem()[0])
    con.execute("UPDATE executions SET usage_read_at = '2026-11-20T09:00:00.000Z'")
    with open(path, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    lines[-1]["message"]["stop_reason"] = "tool_use"  # in the middle of it
    for line in lines:
        line["timestamp"] = again.at(again.count if line in lines[-2:] else 1)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in (lines if written else lines[:-2]))
    again.take({**again.world.events[0], "hook_event_name": "SessionEnd", "reason": "other"})
    usage.due(con, again.world.project, again.at(again.count))
    (row,) = queries.executions(con)
    assert (row["status"], row["at_work_again"], queries.state_of(row)) == ("completed", False, "completed")
    assert row["messages"] == (3 if written else 2)
    segments = details.execution(con, row["execution_id"])["segments"]
    assert [(each["status"], each["lost"]) for each in segments] == [("completed", 0), (None, 1)]
    shown = "\n".join(describe.execution(details.execution(con, row["execution_id"])))
    assert "Segments\n" in shown and "lost" in shown.partition("Segments")[2]
    assert queries.executions(con, status="deployed") == [] and not running(again, again.count + 1)


@pytest.mark.parametrize("again", [False, True])
def test_a_lost_one_was_at_work_as_long_as_it_was_heard_of(tmp_path, again):
    """Of a client that was killed nobody knows when: its agents, also one that worked again, were at work until the last sign of
    them, not until somebody looked, and not until another process went on with the conversation."""
    world = World(str(tmp_path))
    agent = world.agent(10)
    history = History(world)
    for event in world.events if again else world.events[:5]:
        history.take(event)
    if again:
        history.count += 10
        world.message(agent, 11, "more")
        for event in world.events[-5:-2]:
            history.take(event)
    os.unlink(world.path(agent))  # it tells nothing
    last = history.count
    assert [running(history, n) for n in (last, last + 50)] == [True, True]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "alive", lambda *process: False)
        history.take({**world.events[0], "session_id": "another"}, last + 100)
    assert [running(history, n) for n in (last, last + 1, last + 50, last + 150)] == [True, False, False, False]
    history.process = NEXT
    history.take({**world.events[0], "source": "resume"}, last + 200)
    assert [running(history, n) for n in (last, last + 1, last + 150, last + 250)] == [True, False, False, False]


def shape(con):
    """Everything a schema says, by name, but for its comments: a column that was added later stands behind them. What a column
    may hold is spelt with IN in a table of before."""
    found = con.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    words = {name: " ".join(re.sub("--.*", "", sql).split()).replace(" )", ")").replace(" ,", ",") for name, sql in found}
    spelt = re.compile(r"CHECK \((\w+) = ('\w+')((?: OR \1 = '\w+')+)\)")
    return {name: spelt.sub(lambda one: "CHECK (%s IN (%s%s))" % (
        one[1], one[2], one[3].replace(" OR %s = " % one[1], ", ")), text) for name, text in words.items()}  # fmt: skip


OLD_LOST = (
    "CREATE VIEW lost_executions AS SELECT e.* FROM executions e JOIN claude_sessions s USING (claude_session_id) "
    "WHERE e.status = 'deployed' AND (s.ended_at IS NOT NULL OR e.deployed_at < s.started_at)"
)
@pytest.mark.parametrize("version", [1, 2])
def test_an_older_history_is_brought_up(tmp_path, version):
    """A history of an earlier schema becomes what a new one is as soon as it is opened, step by step, with its sums."""
    new = store.open_history(str(tmp_path / "new.db"))
    wanted = shape(new)
    old = store.connect(str(tmp_path / "old.db"))
    for statement in store.statements((Path(__file__).parents[1] / "schemas" / "2.sql").read_text()):
        old.execute(OLD_LOST if version == 1 and "VIEW lost_executions" in statement else statement)
    at = "INSERT INTO executions (execution_id, origin, agent_type, status, deployed_at, completed_at) VALUES "
    old.execute(at + "('e', 'skill', 'x', 'completed', '2026-11-20T08:00:00.000Z', '2026-11-20T10:00:09.500Z')")
    for row in ((1, "08:00:00.000", "08:00:05.000"), (2, "10:00:05.000", "10:00:09.500"), (3, "11:00:00.000", None)):
        times = [each and "2026-11-20T%sZ" % each for each in row[1:]]
        old.execute("INSERT INTO segments (execution_id, ordinal, started_at, ended_at) VALUES ('e', ?, ?, ?)", (row[0], *times))
    kept = "INSERT INTO outputs (execution_id, output_type, content, created_at) VALUES ('e', "
    kept += "'validation_result', ?, '2026-11-20')"
    for verdict in ("pass", "fail", "`pass", "85%", "n/a", "\\ud800"):  # the last is no text
        old.execute(kept, ('{"tests": "%s"}' % verdict,))
    assert old.execute("SELECT * FROM daily_checks").fetchall() == [("2026-11-20", 1, 5)]
    old.execute("PRAGMA user_version = %d" % version)
    old.close()
    opened = store.open_history(str(tmp_path / "old.db"))
    assert shape(opened) == wanted
    assert opened.execute("PRAGMA user_version").fetchone() == new.execute("PRAGMA user_version").fetchone() == (store.VERSION,)
    assert opened.execute("SELECT * FROM daily_checks").fetchall() == [("2026-11-20", 2, 1)]
    assert opened.execute("SELECT paused_ms FROM executions").fetchone() == (7_200_000,)
    assert stats.statistics(opened)["fleet"]["seconds"] == queries.executions(opened)[0]["seconds"] == 9.5
    more = kept.replace("created_at", "created_at, passed").replace("'2026-11-20'", "'2026-11-20', 1")
    for con in (new, opened):
        con.execute(more, ('{"types": "ok"}',))
        con.execute("DELETE FROM outputs WHERE content LIKE '%fail%'")
    assert opened.execute("SELECT * FROM daily_checks").fetchall() == [("2026-11-20", 3, 0)]
