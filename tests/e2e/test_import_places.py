"""Import and hooks where the client changes the place of a session: an entered worktree, /clear, a fork made in a terminal."""

import shutil
import sqlite3
import time

import pytest

from orchestrator.edges.scripted_model import Play, Reply, call, fail, say
from plays import limited, main, spawn

ROWS = (
    "SELECT agent_id, claude_session_id, status, end_reason, final_message, calls, (SELECT sum(output_tokens) FROM usage WHERE "
    "owner = execution_id) FROM executions ORDER BY agent_id"
)


@pytest.fixture
def books(project, home, claude):
    """The executions' rows, and what the conversations used, as they are now."""

    def read():
        claude.command(project, "list-agents")
        con = sqlite3.connect(project / ".orchestrator" / "history.db")
        try:
            used = con.execute("SELECT owner, kind, sum(output_tokens) FROM usage WHERE kind != 'execution' GROUP BY 1, 2 "
                               "ORDER BY 1, 2")  # fmt: skip
            return con.execute(ROWS).fetchall(), used.fetchall()
        finally:
            con.close()

    return read


def imported(claude, project, books):
    """The same after the history was set aside and everything was imported."""
    shutil.move(project / ".orchestrator", project.parent / "recorded")
    claude.command(project, "import")
    return books()


def broken_off(word):
    """What an agent says and does that comes to the end of its turns."""
    return [say(word), call("Bash", command="echo 1")], call("Bash", command="echo 2")


def test_an_entered_worktree(claude, project, books):
    """Agents made in a worktree that the client entered end, and count, as any other; by hooks and by import."""
    limited(project)
    play = Play().when(
        "start", call("ToolSearch", query="select:EnterWorktree,ExitWorktree"), spawn("BEFORE", run_in_background=False),
        call("EnterWorktree", name="tree"), [spawn("WITHIN", run_in_background=False), spawn("FAILS", run_in_background=False),
                                             spawn("LIMITS", "limited", run_in_background=True)],
        spawn("OUTER", run_in_background=False), call("ExitWorktree", action="keep"), "over", "more", "and more")  # fmt: skip
    for word in ("BEFORE", "WITHIN"):
        play.when(word, [say("I look."), call("Bash", command="echo 1")], word.lower() + " done")
    play.when("FAILS", call("Bash", command="echo 1"), fail(400, "invalid_request_error", "scripted failure"))
    play.when("OUTER", spawn("INNER", "limited", run_in_background=False), "outer done")
    play.when("LIMITS", *broken_off("limits said")).when("INNER", *broken_off("inner said"))
    claude.run("start", play, project, permission_mode="bypassPermissions", env={"IS_SANDBOX": "1"})
    rows, used = books()
    assert {row[2:6] for row in rows} == {
        ("completed", "end_turn", "before done", 1), ("completed", "end_turn", "within done", 1),
        ("failed", "api_error", None, 1), ("failed", "max_turns", "limits said", 2),
        ("completed", "end_turn", "outer done", 1), ("failed", "max_turns", "inner said", 2)}  # fmt: skip
    assert imported(claude, project, books) == (rows, used)


def test_an_agent_at_work_through_clear(claude, project, home, books, terminal):
    """The client goes on with an agent in the conversation that /clear begins: it ends, and counts, as a whole."""
    limited(project)
    play = Play().when(lambda r: r.main and not r.auxiliary, [spawn("LIMITS", "limited", run_in_background=True),
                       spawn("GOES on", run_in_background=True)], "waiting for them", "notified", "more", "over")  # fmt: skip
    first, second = broken_off("limits said")
    play.when("LIMITS", first, Reply("limits said more", second).after(4))
    play.when("GOES on", [say("so far"), call("Bash", command="echo 1")], say("its end").after(4))
    with terminal(project, play, "--permission-mode", "acceptEdits") as window:
        window.type("start")
        window.wait_for("waiting for them")
        time.sleep(0.7)
        window.type("/clear")
        window.wait_for("notified", 30)
        time.sleep(1)
        window.type("/exit")
        time.sleep(1)
    rows, used = books()
    expected = [("completed", "end_turn", "its end", 1), ("failed", "max_turns", "limits said more", 2)]
    assert sorted(row[2:6] for row in rows) == expected
    again, also = imported(claude, project, books)  # hooks have them where they ended, import has them where they began
    assert [row[:1] + row[2:] for row in again] == [row[:1] + row[2:] for row in rows] and also == used


def test_a_fork_made_in_a_terminal(claude, project, home, books, terminal):
    """A fork's transcript begins with its parent's lines and times: agents and messages are the parent's all the same."""
    play = Play().when("start", spawn("FIRST", run_in_background=True), "waiting", "it is back").when("FIRST", "first done")
    with terminal(project, play, "--permission-mode", "acceptEdits") as window:
        window.type("start")
        window.wait_for("it is back")
        time.sleep(0.5)
        window.type("/exit")
        time.sleep(1)
    (parent,) = [path.stem for path in (home / ".claude" / "projects").glob("*/*.jsonl")]
    fork = Play().when(main, spawn("FORKED", run_in_background=True), "waiting", "it is done").when("FORKED", "forked done")
    with terminal(project, fork, "--permission-mode", "acceptEdits", "--resume", parent, "--fork-session") as window:
        window.type("a fork")
        window.wait_for("it is done")
        time.sleep(0.5)
        window.type("/exit")
        time.sleep(1)
    rows, used = books()
    assert sorted(row[4] for row in rows if row[1] == parent) == ["first done"] and len(rows) == len(used) == 2
    assert imported(claude, project, books) == (rows, used)
