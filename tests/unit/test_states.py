"""Task states: the view that any SQLite tool sees and the derivation that the gate uses agree on every graph."""

import os
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.model.states import derive
from orchestrator.recording.graph import Graph
from orchestrator.store import open as store

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENDS = ("completed", "failed", "deployed", "lost")


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    """One empty history."""
    con = store.open_history(str(tmp_path_factory.mktemp("history") / "history.db"))
    con.execute("PRAGMA synchronous = OFF")
    return con


@st.composite
def graphs(draw):
    """(tasks, what each waits for, the ends of each task's attempts, the skipped ones); cycles are possible."""
    tasks = ["t%d" % n for n in range(draw(st.integers(1, 8)))]
    after = {task: draw(st.sets(st.sampled_from(tasks), max_size=3)) - {task} for task in tasks}
    attempts = {task: draw(st.lists(st.sampled_from(ENDS), max_size=3)) for task in tasks}
    for ends in attempts.values():  # the database allows one in flight for each task, and no other after it
        while any(end in ("deployed", "lost") for end in ends[:-1]):
            ends.remove(next(end for end in ends if end in ("deployed", "lost")))
    return tasks, after, attempts, draw(st.sets(st.sampled_from(tasks)))


def fill(con, graph):
    """Writes a graph as rows; returns its orchestration's id."""
    tasks, after, attempts, skipped = graph
    for table in ("orchestrations", "tasks", "task_dependencies", "executions", "claude_sessions"):
        con.execute("DELETE FROM " + table)
    now = "2026-11-20T10:00:00.000Z"
    con.execute(
        "INSERT INTO orchestrations (orchestration_id, goal, created_at, updated_at) VALUES ('o', 'g', ?, ?)", (now, now)
    )
    con.execute("INSERT INTO claude_sessions (claude_session_id, started_at) VALUES ('living', ?)", (now,))
    con.execute("INSERT INTO claude_sessions (claude_session_id, started_at, ended_at) VALUES ('gone', ?, ?)", (now, now))
    con.execute("INSERT INTO claude_sessions (claude_session_id, started_at) VALUES ('resumed', '2026-11-20T11:00:00.000Z')")
    for position, task in enumerate(tasks):
        con.execute(
            "INSERT INTO tasks (orchestration_id, task_id, position, title, agent_type, priority, spec, created_at, skipped_at) "
            "VALUES ('o', ?, ?, 'title', 'a', 0, '{}', ?, ?)",
            (task, position, now, now if task in skipped else None),
        )
        con.executemany("INSERT INTO task_dependencies VALUES ('o', ?, ?)", [(task, first) for first in sorted(after[task])])
        for attempt, end in enumerate(attempts[task], 1):
            session = "living" if end != "lost" else ("gone", "resumed")[position % 2]
            con.execute(
                "INSERT INTO executions (execution_id, orchestration_id, task_id, attempt, origin, agent_type, deployed_at, "
                "status, claude_session_id) VALUES (?, 'o', ?, ?, 'planned', 'a', ?, ?, ?)",
                ("%s.%d" % (task, attempt), task, attempt, now, "deployed" if end == "lost" else end, session),
            )
    return "o"


def view(con):
    """The states as the view has them."""
    return dict(con.execute("SELECT task_id, state FROM task_states WHERE orchestration_id = 'o'").fetchall())


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=graphs())
def test_the_view_and_the_derivation_agree(con, graph):
    """For every graph, every history of attempts and every skipping the view says what the gate's derivation says."""
    assert Graph(con, fill(con, graph)).states == view(con)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=graphs(), chance=st.randoms(use_true_random=False))
def test_order_does_not_matter(con, graph, chance):
    """The states do not depend on the order in which tasks and dependencies are listed."""
    tasks, after, attempts, skipped = graph
    own = {}
    for task in tasks:
        ends = attempts[task]
        state = "completed" if "completed" in ends else "skipped" if task in skipped else ends[-1] if ends else None
        own[task] = {"deployed": "in_flight"}.get(state, state)
    own = {task: state for task, state in own.items() if state}
    wanted = derive(tasks, {task: sorted(first) for task, first in after.items()}, own)
    chance.shuffle(tasks)
    assert derive(tasks, {task: chance.sample(sorted(first), len(first)) for task, first in after.items()}, own) == wanted
    fill(con, (tasks, after, attempts, skipped))
    assert view(con) == wanted


@pytest.mark.parametrize(
    "ends, skipped, state",
    [
        ([], False, "ready"),
        (["deployed"], False, "in_flight"),
        (["lost"], False, "lost"),
        (["failed"], False, "failed"),
        (["failed", "deployed"], False, "in_flight"),
        (["failed", "lost"], False, "lost"),
        (["failed", "completed"], False, "completed"),
        (["completed", "failed"], False, "completed"),
        (["failed"], True, "skipped"),
        (["completed"], True, "completed"),
        ([], True, "skipped"),
    ],
)
def test_a_task_alone(con, ends, skipped, state):
    """A completed attempt stands whatever came after it; else the user's word, else the latest attempt."""
    fill(con, (["t"], {"t": set()}, {"t": ends}, {"t"} if skipped else set()))
    assert view(con) == Graph(con, "o").states == {"t": state}


def test_what_waits_for_a_failed_task(con):
    """It is skipped, and what waits for that too, until the failed task succeeds in another attempt or is skipped itself."""
    after = {"a": set(), "b": {"a"}, "c": {"b"}, "d": set()}
    states = {}
    for name, ends, skipped in (("failed", ["failed"], set()), ("again", ["failed", "completed"], set()),
                                ("without", ["failed"], {"a"})):  # fmt: skip
        fill(con, (list(after), after, {"a": ends, "b": [], "c": [], "d": []}, skipped))
        states[name] = view(con)
        assert Graph(con, "o").states == states[name]
    assert states["failed"] == {"a": "failed", "b": "skipped", "c": "skipped", "d": "ready"}
    assert states["again"] == {"a": "completed", "b": "ready", "c": "waiting", "d": "ready"}
    assert states["without"] == {"a": "skipped", "b": "ready", "c": "waiting", "d": "ready"}


def test_one_in_flight_for_each_task(con):
    """The database itself forbids two executions in flight for one task."""
    fill(con, (["t"], {"t": set()}, {"t": ["deployed"]}, set()))
    with pytest.raises(sqlite3.IntegrityError):
        con.execute(
            "INSERT INTO executions (execution_id, orchestration_id, task_id, attempt, origin, agent_type, deployed_at) "
            "VALUES ('second', 'o', 't', 2, 'planned', 'a', '2026-11-20T10:00:00.000Z')"
        )
