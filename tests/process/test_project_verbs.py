"""The verbs about a project: init, off, on, trust, backup, purge, each as a process beside real hooks."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from commands import ROOT, Here

GIT = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]


@pytest.fixture
def here(tmp_path, bare, data):
    """A project in a git repository, in a path with a space and an apostrophe."""
    project = tmp_path / "a project's"
    project.mkdir()
    subprocess.run([*GIT, "init", "-q"], cwd=project, check=True)
    return Here(project, bare(ORCHESTRATOR_DATA=data))


def rows(path, sql):
    """The answer of a history, opened to read."""
    con = sqlite3.connect("file:%s?mode=ro" % str(path).replace("'", "%27").replace(" ", "%20"), uri=True)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


def executions(here, history=None):
    """How many deployments the history has."""
    path = history or here.workspace / "history.db"
    return rows(path, "SELECT count(*) FROM executions")[0][0] if path.exists() else 0


@pytest.fixture
def own_data(tmp_path, data):
    """A data folder with a copy of the environment, to be removed."""
    folder = tmp_path / "own data"
    folder.mkdir()
    lock = (ROOT / "requirements/runtime.hash").read_text().strip()
    environment = (data / ("ready-" + lock)).read_text().splitlines()[0]
    copy = folder / os.path.basename(environment)
    shutil.copytree(environment, copy, symlinks=True)
    (folder / ("ready-" + lock)).write_text("%s\n\n" % copy)
    return folder


# init

def test_init_makes_a_private_workspace_and_says_where(here):
    """The workspace is private, git ignores it, and the commented file of settings is in it."""
    said = here.says("init")
    assert str(here.workspace) in said and str(here.workspace / "config.toml") in said
    assert here.workspace.stat().st_mode & 0o777 == 0o700
    assert (here.workspace / "config.toml").read_bytes() == (ROOT / "assets/config.toml").read_bytes()
    status = subprocess.run(["git", "status", "--short"], cwd=here.project, capture_output=True, text=True)
    assert status.stdout == ""


def test_init_never_writes_over_anything(here):
    """Run again, it leaves what is there and says so."""
    here.run("init")
    (here.workspace / "config.toml").write_text("max_parallel_agents = 2\n")
    assert "as it was" in here.says("init")
    assert (here.workspace / "config.toml").read_text() == "max_parallel_agents = 2\n"


def test_init_can_print_the_file_instead(here):
    """`init --print` shows the file and makes nothing."""
    assert here.run("init", "--print").stdout == (ROOT / "assets/config.toml").read_text()
    assert not here.workspace.exists()


def test_init_in_a_subfolder_is_the_projects(here):
    """From below, the workspace is the repository's; `--project` makes one further down."""
    below = here.project / "packages/one"
    below.mkdir(parents=True)
    here.run("init", cwd=below)
    assert here.workspace.is_dir() and not (below / ".orchestrator").exists()
    here.run("--project", below, "init")
    assert (below / ".orchestrator/config.toml").is_file()


def test_init_in_the_home_folder_goes_to_the_data_folder(own_data, bare):
    """Nothing is made in the home folder itself."""
    env = bare(ORCHESTRATOR_DATA=own_data)
    home = Here(env["HOME"], env)
    assert str(own_data / "projects") in home.says("init")
    assert os.listdir(env["HOME"]) == []


# off and on

def test_off_ends_recording_and_on_begins_it_again(here):
    """`off` is a file that every hook honours; nothing arrives, not even at the next session's start."""
    here.deploys("c1")
    assert executions(here) == 1
    said = here.says("off")
    assert "Recording is off" in said and "1 agent is at work" in said
    here.deploys("c2")
    assert here.hook("SessionStart", "s2", source="startup") is None
    assert here.hook("UserPromptSubmit", prompt="/orchestrate") is None
    assert executions(here) == 1
    assert not [name for name in os.listdir(here.workspace / "inbox") if not name.startswith(".")]
    here.run("on")
    here.deploys("c3")
    assert executions(here) == 2


def test_off_before_anything_was_recorded(here):
    """`off` comes first where nobody wants a record at all."""
    here.run("off")
    here.deploys()
    assert sorted(os.listdir(here.workspace)) == [".gitignore", "off", "origin"]


def test_a_hook_that_is_off_starts_no_python(here, tmp_path):
    """The launcher ends by itself: no interpreter is looked for, let alone started."""
    here.run("off")
    watched = tmp_path / "watched"
    watched.mkdir()
    for name in ("python3", "python3.12"):
        (watched / name).write_text("#!/bin/sh\necho started >>'%s/started'\nexit 1\n" % tmp_path)
        (watched / name).chmod(0o755)
    env = {"PATH": "%s:/usr/bin:/bin" % watched, "ORCHESTRATOR_DATA": str(tmp_path / "empty")}
    for event in ("PreToolUse", "PostToolUse", "SubagentStart", "SubagentStop", "UserPromptSubmit", "Stop"):
        assert here.hook(event, env=env) is None
    assert not (tmp_path / "started").exists()
    here.run("on")
    here.hook("PreToolUse", env=env)
    assert (tmp_path / "started").exists()


def test_off_holds_below_the_project_and_in_its_worktrees(here):
    """A session that began in a subfolder, or an agent in a linked git worktree, is off with its project."""
    (here.project / "sub").mkdir()
    (here.project / "f").write_text("x")
    subprocess.run([*GIT, "add", "f"], cwd=here.project, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "x"], cwd=here.project, check=True)
    subprocess.run([*GIT, "worktree", "add", "-q", ".claude/worktrees/w"], cwd=here.project, check=True)
    here.run("off")
    for place in ("sub", ".claude/worktrees/w"):
        here.deploys(cwd=here.project / place)
    assert not (here.workspace / "history.db").exists()
    assert not (here.project / "sub/.orchestrator").exists()


def test_a_session_behind_a_link_is_the_projects(here, tmp_path):
    """Where the client calls the project by a link, what the launcher cannot tell is left to the entry: no
    event is lost, and off is off.
    """
    (here.project / "sub").mkdir()
    link = tmp_path / "link"
    link.symlink_to(here.project / "sub")
    here.deploys("c1", cwd=link)
    started = {"agent_id": "a1", "agent_type": "general-purpose"}
    here.hook("SubagentStart", cwd=link, **started)
    here.hook("SubagentStop", cwd=link, last_assistant_message="done", **started)
    kinds = rows(here.workspace / "history.db", "SELECT kind FROM events WHERE agent_id = 'a1'")
    assert {kind for (kind,) in kinds} == {"started", "stopped"}
    before = executions(here)
    here.run("off")
    here.deploys("c2", cwd=link)
    assert executions(here) == before


def test_a_project_that_is_not_there(here):
    """A --project that names no folder is refused, and none is made."""
    assert "no folder" in here.says("--project", here.project / "typo", "init", code=1)
    assert not (here.project / "typo").exists()


def test_off_by_the_environment(here):
    """ORCHESTRATOR_OFF=1 records nothing, and `on` says that it cannot help."""
    here.deploys(env={"ORCHESTRATOR_OFF": "1"})
    assert not here.workspace.exists()
    assert "ORCHESTRATOR_OFF" in here.says("on", code=1, ORCHESTRATOR_OFF=1)


def test_another_users_file_switches_nothing_off(here):
    """An `off` that belongs to somebody else is left to the entry, which looks at whose workspace it is."""
    here.run("init")
    (here.workspace / "off").touch()
    try:
        os.chown(here.workspace, 12345, -1)
        os.chown(here.workspace / "off", 12345, -1)
    except PermissionError:
        pytest.skip("only root can give a file away")
    below = here.project / "below"
    below.mkdir()
    subprocess.run([*GIT, "init", "-q"], cwd=below, check=True)
    here.deploys(cwd=below)
    assert (below / ".orchestrator/history.db").exists()


def test_commands_while_recording_is_off(here):
    """What is there can be read; what would plan or deploy is refused with the way back."""
    here.run("task", "add", "Look around", "--agent", "scout")
    here.run("off")
    assert "Look around" in here.says("task", "list")
    assert "orchestrator on" in here.says("task", "add", "More", code=1)
    assert "orchestrator on" in here.says("next", code=1)


# trust

@pytest.fixture
def cloned(here, tmp_path, bare, data):
    """A project with a workspace that another installation made, with a plan in it."""
    theirs = tmp_path / "their data"
    theirs.mkdir()
    for name in os.listdir(data):
        if name.startswith(("ready-", "python-floor")):
            shutil.copy(data / name, theirs)
    other = Here(here.project, {**here.environment, "ORCHESTRATOR_DATA": str(theirs)})
    other.run("task", "add", "Run the deploy script", "--agent", "builder")
    con = sqlite3.connect(here.workspace / "history.db")
    con.execute("UPDATE orchestrations SET goal = char(27) || '[31m' || goal")
    con.commit()
    con.close()
    return here


def test_a_workspace_of_somebody_else_is_shown_and_then_trusted(cloned):
    """Until the user says so nothing in it is read; `trust` shows what is in it and why, and asks."""
    assert "did not come from you" in cloned.says("status", code=1)
    assert "orchestrator trust" in cloned.hook("SessionStart", source="startup")["systemMessage"]
    shown = cloned.says("trust", code=1, stdin="n\n")
    assert "another installation" in shown and "history.db" in shown
    assert "Run the deploy script" in shown and "\x1b" not in shown
    assert "did not come from you" in cloned.says("status", code=1)
    assert "It is yours now" in cloned.says("trust", stdin="y\n")
    assert "Run the" in cloned.says("status")
    assert "is yours" in cloned.says("trust")


def test_nobody_there_to_answer_is_no_yes(cloned):
    """Without an answer nothing is trusted; a script says --yes."""
    assert "Nothing was trusted; `--yes` trusts without asking." in cloned.says("trust", code=1)
    cloned.run("status", code=1)
    cloned.run("trust", "--yes")
    cloned.run("status")


def test_trust_keeps_the_marks_of_others(cloned):
    """The other installation goes on trusting it."""
    before = (cloned.workspace / "origin").read_text().split()
    cloned.run("trust", "--yes")
    assert (cloned.workspace / "origin").read_text().split()[:1] == before
    assert len((cloned.workspace / "origin").read_text().split()) == 2


def tracked(here):
    """Puts the history into git, by force: the workspace ignores itself."""
    subprocess.run([*GIT, "add", "-f", ".orchestrator/history.db"], cwd=here.project, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "history"], cwd=here.project, check=True)


def test_what_git_tracks_is_not_trusted_unless_said_twice(here):
    """Whoever can push could change the plan: a command takes the trust back, hooks follow, and `trust` wants
    the files out of git or --yes.
    """
    here.run("task", "add", "Look around", "--agent", "scout")
    tracked(here)
    assert "git tracks .orchestrator/history.db" in here.says("status", code=1)
    assert "did not come from you" in here.hook("SessionStart", source="startup")["systemMessage"]
    here.deploys()
    assert executions(here) == 0
    assert "git rm" in here.says("trust", code=1, stdin="y\n")
    here.run("trust", "--yes")
    assert "Look around" in here.says("status")
    subprocess.run([*GIT, "rm", "-q", "--cached", "-r", ".orchestrator"], cwd=here.project, check=True)
    here.run("status")


def test_taken_out_of_git_it_is_trusted_like_any_other(here):
    """Once git no longer tracks it, a yes is enough."""
    here.run("task", "add", "Look around", "--agent", "scout")
    tracked(here)
    here.run("status", code=1)
    subprocess.run([*GIT, "rm", "-q", "--cached", "-r", ".orchestrator"], cwd=here.project, check=True)
    here.run("trust", stdin="y\n")
    here.run("status")


def test_a_hostile_history_can_be_looked_at(here):
    """A database made to hang or to lie is shown as one that cannot be read; nothing waits for it."""
    here.workspace.mkdir(mode=0o700)
    con = sqlite3.connect(here.workspace / "history.db")
    con.execute("CREATE TABLE tasks (orchestration_id)")
    con.execute(
        "CREATE VIEW orchestrations AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i AS goal, 'executing' AS status, i AS orchestration_id, i AS updated_at FROM n"
    )
    con.close()
    said = here.says("trust", code=1)
    assert "Nothing in it says whose it is" in said and "cannot be read" in said


def test_there_is_nothing_to_trust_without_a_workspace(here):
    """`trust` makes no workspace."""
    assert "orchestrator init" in here.says("trust", code=1)


# backup

def test_a_backup_is_whole_and_private(here, tmp_path):
    """The copy is one file that any SQLite tool opens, with every row, for its owner alone."""
    here.run("task", "add", "Look around", "--agent", "scout")
    copy = tmp_path / "copy.db"
    assert str(copy) in here.says("backup", copy)
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]
    assert rows(copy, "SELECT title FROM tasks") == [("Look around",)]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [name for name in os.listdir(tmp_path) if name.startswith("copy")] == ["copy.db"]


def test_a_backup_replaces_nothing_unasked(here, tmp_path):
    """A file that is there stays, a folder, a device or a pipe is no file, and the history is not its own copy."""
    here.run("task", "add", "Look around", "--agent", "scout")
    there = tmp_path / "there.db"
    there.write_text("mine")
    assert "--force" in here.says("backup", there, code=1)
    assert there.read_text() == "mine"
    assert "is a folder" in here.says("backup", tmp_path, code=1)
    os.mkfifo(tmp_path / "pipe")
    assert "is a device or a pipe" in here.says("backup", "--force", tmp_path / "pipe", code=1)
    assert "itself" in here.says("backup", "--force", here.workspace / "history.db", code=1)
    assert "cannot be written" in here.says("backup", tmp_path / "no/such.db", code=1)
    here.run("backup", "--force", there)
    assert rows(there, "SELECT count(*) FROM tasks") == [(1,)]


def test_there_is_nothing_to_copy_yet(here, tmp_path):
    """Without a history no file is made."""
    assert "Nothing has been recorded" in here.says("backup", tmp_path / "copy.db", code=1)
    assert not (tmp_path / "copy.db").exists()


WRITER = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
n = 0
while True:
    n += 1
    con.execute("BEGIN IMMEDIATE")
    con.execute("INSERT INTO meta VALUES (?, ?)", ("a.%d" % n, "x" * 2000))
    con.execute("INSERT INTO meta VALUES (?, ?)", ("b.%d" % n, "x" * 2000))
    con.execute("COMMIT")
"""


@pytest.fixture
def writer(here):
    """A process that writes pairs of rows into the history as fast as it can."""
    here.run("task", "add", "Look around", "--agent", "scout")
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(here.workspace / "history.db")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_backup_is_consistent_while_others_write(here, writer, tmp_path):
    """Copied under a writer, a transaction is in the copy whole or not at all."""
    for number in range(3):
        copy = tmp_path / ("copy%d.db" % number)
        here.run("backup", copy)
        first, second = rows(copy, "SELECT count(*) FROM meta WHERE key GLOB 'a.*' UNION ALL "
                                   "SELECT count(*) FROM meta WHERE key GLOB 'b.*'")  # fmt: skip
        assert first == second
        assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert first[0] > 0
    assert writer.poll() is None


# purge

def test_purge_lists_what_goes_and_asks(here):
    """What goes is listed with its size; without a yes it stays."""
    here.run("task", "add", "Look around", "--agent", "scout")
    said = here.says("purge", code=1, stdin="n\n")
    assert str(here.workspace) in said and " files, " in said and "kB" in said
    assert "Nothing was removed; `--yes` removes without asking." in said
    said = here.says("purge", code=1)
    assert "Nothing was removed; `--yes` removes without asking." in said and "Aborted" not in said
    assert (here.workspace / "history.db").exists()
    assert "Removed" in here.says("purge", stdin="y\n")
    assert os.listdir(here.project) == [".git"]
    assert "Nothing is kept" in here.says("purge")


def test_purge_follows_no_link_out(here, tmp_path):
    """A link in the workspace goes; what it points to stays."""
    here.run("init")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (here.workspace / "results").symlink_to(outside)
    (here.workspace / "one").symlink_to(outside / "precious")
    here.run("purge", "--yes")
    assert (outside / "precious").read_text() == "x"
    assert not here.workspace.exists()


def test_purge_of_a_workspace_that_is_a_link(here, tmp_path):
    """Where the workspace itself is a link, the link goes."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    here.workspace.symlink_to(elsewhere)
    here.run("purge", "--yes")
    assert (elsewhere / "precious").exists() and not here.workspace.is_symlink()


def test_purge_waits_for_agents_at_work(here):
    """While a living Claude session has agents in flight nothing goes without --force; a dead one's agents
    do not count.
    """
    here.deploys("c1")
    assert "at work in the Claude session s1" in here.says("purge", "--yes", code=1)
    assert (here.workspace / "history.db").exists()
    here.run("purge", "--yes", "--force")
    assert not here.workspace.exists()
    gone = subprocess.Popen(["true"])
    gone.wait()
    here.deploys("c2", session="s2", env={"CLAUDE_PID": str(gone.pid)})
    here.run("purge", "--yes")
    assert not here.workspace.exists()


def test_purge_beside_a_writer(here, writer):
    """A history that is being written goes all the same, and hooks begin a new one."""
    here.run("purge", "--yes")
    assert not here.workspace.exists()
    assert [name for name in os.listdir(here.project) if "going" in name] == []
    here.deploys()
    assert executions(here) == 1


def test_purge_takes_a_history_that_lies_elsewhere(here, tmp_path):
    """A history that `.env` placed in the project goes too; one that a person named stays, which is said.
    Files that are only named like it stay.
    """
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=./h.db\n")
    here.run("task", "add", "Look around", "--agent", "scout")
    assert (here.project / "h.db").exists()
    (here.project / "h.db.line").write_bytes(b"\0\0\0")  # as a line is in which two places were taken
    here.run("purge", "--yes")
    assert sorted(os.listdir(here.project)) == [".env", ".git"]
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=poetry\n")
    here.run("task", "add", "Look around", "--agent", "scout")
    aside = "poetry.corrupt-2026-11-20T080000.123Z"
    ours = ["poetry", "poetry-search-journal", aside, aside + "-wal"]
    theirs = ["poetry.line", "poetry.lock", "poetry.corrupt-notes.md", "poetry-walk", aside + ".md"]
    for name in [*ours[1:], *theirs]:
        (here.project / name).write_text("mine")
    here.run("purge", "--yes")
    assert sorted(os.listdir(here.project)) == sorted([".env", ".git", *theirs])
    named = tmp_path / "named.db"
    here.run("task", "add", "Look around", "--agent", "scout", ORCHESTRATOR_DB_PATH=named)
    assert "stays: %s" % named in here.says("purge", "--yes", ORCHESTRATOR_DB_PATH=named)
    assert named.exists()


def test_purge_all_leaves_nothing_of_ours(here, own_data):
    """`--all` also removes what is ours in the data folder, the running environment last."""
    here.environment["ORCHESTRATOR_DATA"] = str(own_data)
    home = Here(here.environment["HOME"], here.environment)
    home.deploys()
    here.run("init")
    for name in ("a letter", "foo", "foo-0123456789"):
        (own_data / "projects" / name).mkdir(parents=True)
        (own_data / "projects" / name / "origin").write_text("https://example.com/foo.git\n")
    theirs = ["claude-1.2.3-my-diary", "env-of-mine", "notes.txt", "python-floor-notes.txt", "ready-abcdefghijkl-my-novel"]
    for name in theirs:
        (own_data / name).write_text("x")
    assert "at work in the Claude session" in here.says("purge", "--all", "--yes", code=1)
    said = here.says("purge", "--all", "--force", code=1, stdin="n\n")
    assert "notes.txt, which is not ours" in said and "projects" in said
    here.run("purge", "--all", "--yes", "--force")
    assert not here.workspace.exists()
    assert sorted(os.listdir(own_data)) == sorted([*theirs, "install-id", "projects"])
    assert sorted(os.listdir(own_data / "projects")) == ["a letter", "foo", "foo-0123456789"]


def test_purge_all_leaves_other_projects_workspaces_yours(here, data, tmp_path):
    """The installation's mark stays, which is said: a workspace elsewhere still counts as the user's, and
    doctor finds nothing broken.
    """
    mine = tmp_path / "data"
    mine.mkdir()
    for name in os.listdir(data):
        if name.startswith("ready-"):
            shutil.copy(data / name, mine)
    here.environment["ORCHESTRATOR_DATA"] = str(mine)
    other = Here(tmp_path / "other", here.environment)
    other.project.mkdir()
    other.run("init")
    here.run("init")
    ready = {name: (mine / name).read_text() for name in os.listdir(mine) if name.startswith("ready-")}
    said = here.says("purge", "--all", "--yes")
    assert "stays: %s, by which workspaces" % (mine / "install-id") in said
    for name, text in ready.items():
        (mine / name).write_text(text)
    assert "is yours" in other.says("trust")
    assert "did not come from you" not in other.says("doctor")


def test_two_at_once_make_one_workspace(here):
    """Commands and hooks that race to make the workspace all end well."""
    threads = [threading.Thread(target=here.run, args=("init",)) for _ in range(3)]
    threads += [threading.Thread(target=here.deploys, args=("c%d" % n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert executions(here) == 3
    assert sorted(os.listdir(here.project)) == [".git", ".orchestrator"]
