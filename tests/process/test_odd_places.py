"""Odd places: what lies where a hook looks may be anybody's; it is neither believed nor written to."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store import open as store

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3


@pytest.fixture
def project(tmp_path):
    """A project of git's."""
    (tmp_path / "project" / ".git").mkdir(parents=True)
    return tmp_path / "project"


@pytest.fixture
def hook(plugin, bare, project):
    """`hook(NAME, field=value, …)`: one event through the copy's launcher; its exit code is 0 and it says no word of its own."""

    def one(name, environment=None, **more):
        event = {"hook_event_name": name, "session_id": "s", "cwd": str(project), **more}
        env = {**bare(CLAUDE_PROJECT_DIR=project), **(environment or {})}
        done = subprocess.run([str(plugin / "hooks/run"), name], env=env, input=json.dumps(event), text=True,
                              capture_output=True, timeout=30)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return one


@pytest.fixture
def orchestrator(plugin, bare, project):
    """`orchestrator(word, …)`: a command; what it says, both streams."""

    def one(*words):
        done = subprocess.run([sys.executable, str(plugin / "scripts/cli.py"), *words], env=bare(), cwd=project, text=True,
                              capture_output=True, timeout=60)  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    return one


def deployment(number):
    """An Agent call's fields."""
    return {"tool_name": "Agent", "tool_use_id": "toolu_%d" % number, "tool_input": {"description": "d", "prompt": "Go."}}


def recorded(project):
    """How many deployments the history knows."""
    with sqlite3.connect(project / ".orchestrator/history.db") as con:
        return con.execute("SELECT count(*) FROM executions").fetchone()[0]


def test_a_strangers_workspace_is_not_written_to(project, hook, tmp_path):
    """A workspace with another's mark, links in it and a broken .git file: nothing beside it or behind its links changes."""
    shutil.rmtree(project / ".git")
    (project / ".git").write_bytes(b"gitdir: a\0b\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "victim").write_text("")
    (project / ".orchestrator").mkdir(mode=0o700)
    (project / ".orchestrator/origin").write_text("0" * 32 + "\n")
    (project / ".orchestrator/log.jsonl").symlink_to(tmp_path / "victim")
    (project / ".orchestrator/inbox").symlink_to(tmp_path / "folder")
    for number in range(2):
        hook("PreToolUse", **deployment(number))
    assert (tmp_path / "victim").read_text() == "" and os.listdir(tmp_path / "folder") == []


@pytest.mark.parametrize("broken", [True, False], ids=["a recorder that cannot be loaded", "one that can"])
def test_a_broken_recorder_writes_to_its_own_only(project, hook, plugin, tmp_path, broken):
    """The last resort keeps events in this user's workspace, without their texts, and in no other."""
    if not broken:
        hook("PreToolUse", **deployment(0))
    (plugin / "scripts").rename(plugin / "elsewhere")
    for path in (plugin / "hooks/__pycache__").glob("*.kept"):
        path.unlink()
    if broken:
        (project / ".orchestrator").mkdir(mode=0o700)
        (project / ".orchestrator/origin").write_text("0" * 32 + "\n")
    told = "<task-notification>\n<task-id>a1</task-id>\n<status>completed</status>\n<summary>Agent \"%s\"</summary>\n" % TOKEN
    hook("PostToolUseFailure", **deployment(1), error=TOKEN)
    hook("UserPromptSubmit", prompt=told + "<result>%s</result>\n</task-notification>" % TOKEN)
    hook("Stop", background_tasks=[{"id": "a1", "type": "subagent", "description": TOKEN}], reason=TOKEN, source=TOKEN)
    kept = [path.read_text() for path in (project / ".orchestrator").rglob("2*") if path.is_file()]
    assert len(kept) == (0 if broken else 3) and not [text for text in kept if TOKEN in text]


def test_what_is_no_history_stays_where_it_is(project, hook):
    """A file of the user's that ORCHESTRATOR_DB_PATH names is neither moved nor written to; the events wait."""
    hook("SessionStart", source="startup")
    hook("PreToolUse", **deployment(0))
    (project / "README.md").write_text("# Mine\n" * 400)
    said = hook("SessionStart", {"ORCHESTRATOR_DB_PATH": "README.md"}, source="startup")
    hook("PreToolUse", {"ORCHESTRATOR_DB_PATH": "README.md"}, **deployment(1))
    assert (project / "README.md").read_text() == "# Mine\n" * 400 and "not a database" in said
    assert not list(project.glob("README.md.*"))
    hook("Stop", background_tasks=[])
    assert recorded(project) == 2


def test_a_pipe_for_a_history_holds_nobody_up(project, hook):
    """What would never open is not opened: the event waits in the inbox."""
    hook("PreToolUse", **deployment(0))
    for path in (project / ".orchestrator").glob("history.db*"):
        path.unlink()
    os.mkfifo(project / ".orchestrator/history.db")
    hook("PreToolUse", **deployment(1))
    (project / ".orchestrator/history.db").unlink()
    hook("Stop", background_tasks=[])
    assert recorded(project) == 1


def test_a_process_number_that_is_none(project, hook):
    """CLAUDE_PID may hold anything: the launcher's parent takes its place."""
    hook("PreToolUse", {"CLAUDE_PID": "abc"}, **deployment(0))
    assert recorded(project) == 1


def test_a_plugin_that_is_being_removed(project, hook, plugin):
    """Whatever is gone already of the plugin, the launcher ends with 0: 2 would block the call."""
    for gone in ("hooks/preload.py", "hooks/floor.sh"):
        (plugin / gone).unlink()
        hook("PreToolUse", **deployment(0))


def test_a_broken_recorder_in_a_linked_worktree(project, hook, plugin, tmp_path):
    """What cannot be recorded waits in the workspace of the repository, also where the session works in a worktree beside it."""
    hook("PreToolUse", **deployment(0))
    git, linked = project / ".git/worktrees/w", tmp_path / "linked"
    git.mkdir(parents=True)
    linked.mkdir()
    (linked / ".git").write_text("gitdir: %s\n" % git)
    (git / "commondir").write_text("../..\n")
    (git / "gitdir").write_text("%s\n" % (linked / ".git"))
    door = plugin / "scripts/orchestrator/edges/hooks.py"
    door.write_text("import nothing_of_that_name\n" + door.read_text())
    hook("PreToolUse", {"CLAUDE_PROJECT_DIR": str(linked)}, **deployment(1))
    assert len([name for name in os.listdir(project / ".orchestrator/inbox") if name[0] != "."]) == 1
    assert os.listdir(linked) == [".git"]


def test_names_that_hold_a_secret(project, hook):
    """A model's or a type's name, and the reason of an end, are masked like any other text."""
    asked = {"description": "d", "prompt": "Go.", "subagent_type": TOKEN, "model": TOKEN}
    hook("PreToolUse", tool_name="Agent", tool_use_id="toolu_1", tool_input=asked)
    hook("PostToolUse", tool_name="Agent", tool_use_id="toolu_1", tool_input=asked,
         tool_response={"isAsync": True, "status": "async_launched", "agentId": "a1", "resolvedModel": TOKEN})  # fmt: skip
    hook("SessionEnd", reason=TOKEN)
    every = [path.read_bytes() for path in (project / ".orchestrator").rglob("*") if path.is_file()]
    assert every and not [data for data in every if TOKEN.encode() in data]


def test_own_patterns_hold_without_a_history(project, hook, plugin, bare):
    """The user's own patterns mask also while the history is damaged or newer, and in the one that is begun then."""
    hook("PreToolUse", **deployment(0))
    workspace = project / ".orchestrator"
    (workspace / "redact").write_text(json.dumps(["ACME-[0-9]{6}"]))
    secret = {"tool_name": "Agent", "tool_input": {"description": "ACME-123456", "prompt": "ACME-123456"}}
    (workspace / "history.db").write_bytes(b"no database" * 1000)
    for more in ("-wal", "-shm"):
        (workspace / ("history.db" + more)).unlink(missing_ok=True)
    hook("PreToolUse", tool_use_id="toolu_1", **secret)
    assert recorded(project) == 1
    with sqlite3.connect(workspace / "history.db") as con:
        con.execute("PRAGMA user_version = 999")
    hook("PreToolUse", tool_use_id="toolu_2", **secret)
    every = [path.read_bytes() for path in Path(workspace).rglob("*") if path.is_file()]
    assert not [data for data in every if b"ACME-123456" in data]


def nothing_there(path):
    """A link whose target's folder does not exist."""
    path.symlink_to("/nonexistent/history.db")


def other_program(path, version=0):
    """A database as another program makes them."""
    con = sqlite3.connect(path)
    con.execute("CREATE TABLE meta (a)")
    con.execute("CREATE TABLE executions (x)")
    con.execute("PRAGMA user_version = %d" % version)
    con.commit()
    con.close()


@pytest.mark.parametrize("what, put", [
    ("a folder", lambda path: path.mkdir()),
    ("a pipe or a device", os.mkfifo),
    ("a link to /nonexistent/history.db", nothing_there),
    ("the database of another program", other_program),
    ("the database of another program", lambda path: other_program(path, 1)),
    ("the database of another program", lambda path: other_program(path, store.VERSION)),
    ("the database of another program", lambda path: other_program(path, 700)),
], ids=["folder", "pipe", "link", "database", "of an older schema's number", "of this schema's number", "of a newer number"])
def test_something_else_where_the_history_should_be(project, hook, orchestrator, what, put):
    """It is not touched; a session's start, a command and doctor say in a sentence what it is and what to do, events wait, and
    when it is moved away they are taken in."""
    hook("PreToolUse", **deployment(0))
    history = project / ".orchestrator/history.db"
    for path in history.parent.glob("history.db*"):
        path.unlink()
    put(history)
    before = history.read_bytes() if history.is_file() else None
    said = hook("SessionStart", source="startup")
    hook("PreToolUse", **deployment(1))
    hook("Stop", background_tasks=[])
    for told in (said, orchestrator("list-agents"), orchestrator("prime"), orchestrator("doctor")):
        assert "%s is %s" % (history, what) in told and "move it away" in told, told
    assert "inbox" in said and len(os.listdir(project / ".orchestrator/inbox")) >= 3
    if before is not None:
        assert history.read_bytes() == before
    history.rename(project / "away")
    hook("Stop", background_tasks=[])
    assert recorded(project) == 1


def test_an_emptied_history(project, hook, orchestrator):
    """A history that was cut to nothing is begun anew, which is said once; one that is just being made is not taken for that."""
    hook("PreToolUse", **deployment(0))
    history = project / ".orchestrator/history.db"
    for _ in range(2):
        for end in ("-wal", "-shm"):
            history.with_name("history.db" + end).unlink(missing_ok=True)
        history.write_bytes(b"")
        assert hook("PreToolUse", **deployment(1)) == ""
    for end in ("-wal", "-shm"):
        history.with_name("history.db" + end).unlink(missing_ok=True)
    history.write_bytes(b"")
    os.utime(history, (1, 1))
    said = json.loads(hook("PreToolUse", **deployment(2)))["systemMessage"]
    assert "%s had been emptied" % history in said and "orchestrator import" in said
    assert hook("PreToolUse", **deployment(3)) == "" and recorded(project) == 2
    for end in ("-wal", "-shm"):
        history.with_name("history.db" + end).unlink(missing_ok=True)
    history.write_bytes(b"")
    os.utime(history, (1, 1))
    assert "had been emptied" in orchestrator("list-agents") and "had been emptied" not in orchestrator("list-agents")
