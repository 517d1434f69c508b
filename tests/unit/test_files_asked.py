"""Files that are asked for: by whatever name, a file is the one that was touched, and who touched it is found."""

import os
import subprocess

import pytest

from orchestrator import paths
from orchestrator.recording import outputs as left
from orchestrator.services import details, queries
from orchestrator.store import open as store


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a folder behind a link and a file behind another, an agent's worktree and one beside it; its path."""
    top = tmp_path / "project"
    for folder in ("src", "libs/real", "src/sub"):
        (top / folder).mkdir(parents=True)
    for name in ("src/a.py", "libs/real/m.py", "AGENTS.md"):
        (top / name).write_text("x\n")
    (top / "src" / "pkg").symlink_to("../libs/real")
    (top / "CLAUDE.md").symlink_to("AGENTS.md")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"], ["worktree", "add", "-q", "../beside"],
                  ["worktree", "add", "-q", "within"], ["worktree", "add", "-q", ".claude/worktrees/agent-1"]):  # fmt: skip
        subprocess.run(git + words, cwd=top, check=True, capture_output=True)
    monkeypatch.chdir(top)
    return str(top)


NAMES = [
    ("src/a.py", "src/a.py"), ("src/../src/a.py", "src/a.py"), ("{top}/src/a.py", "src/a.py"),
    ("src/pkg/m.py", "libs/real/m.py"), ("{top}/src/pkg/gone.py", "libs/real/gone.py"), ("CLAUDE.md", "AGENTS.md"),
    (".claude/worktrees/agent-1/src/a.py", "src/a.py"), (".claude/worktrees/agent-gone/src/a.py", "src/a.py"),
    ("within/src/a.py", "src/a.py"), ("../beside/src/a.py", "src/a.py"), ("{top}/../beside/src/pkg/m.py", "libs/real/m.py"),
    ("{top}s/src/a.py", "{top}s/src/a.py"), ("/elsewhere/x.py", "/elsewhere/x.py"), ("src", "src"), ("src/pkg", "libs/real"),
    (".", "."), ("../beside", "."), ("within", "."), (".claude/worktrees/agent-1", "."), ("../beside/src", "src"),
]  # fmt: skip


@pytest.mark.parametrize("given, name", NAMES)
def test_a_file_goes_by_its_place_in_the_project(project, given, name):
    """Rows name a file by its real place in the project, that of a worktree as the project's; what lies outside by its whole
    path. Who asks names it the same."""
    given, name = given.format(top=project), name.format(top=project)
    if name != ".":
        assert paths.file_in(project, given, {}) == name
    con = store.open_history(project + "/history.db")
    assert queries.path_in(con, project, given) == name
    con.close()


def rows(con, *paths):
    """An execution that wrote each of these, by the names that rows have of them."""
    for n, path in enumerate(paths):
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES (?, 'unplanned', 'x', "
                    "'work', '2026-11-21')", ("e%d" % n,))  # fmt: skip
        con.execute("INSERT INTO file_touches (execution_id, path, mode, last_at) VALUES (?, ?, 'write', '2026-11-21')",
                    ("e%d" % n, path))  # fmt: skip


@pytest.mark.parametrize("folder, given", [
    (".", "src/a.py"), ("src", "a.py"), ("src/sub", "../a.py"), (".claude/worktrees/agent-1", "src/a.py"),
    ("../beside/src", "a.py"), ("within", "src/a.py"), ("/", "src/a.py"),
])  # fmt: skip
def test_a_file_is_found_from_wherever_it_is_asked_for(project, folder, given):
    """In a subfolder and in worktrees a name is one of that place; whoever asks from outside names it from the project's top."""
    con = store.open_history(project + "/history.db")
    rows(con, "src/a.py")
    os.chdir(os.path.join(project, folder))
    name = queries.path_in(con, project, given)
    assert [each["execution_id"] for each in queries.executions(con, file=name)] == ["e0"]
    assert [each["execution_id"] for each in details.touches(con, name, 20)["touches"]] == ["e0"]
    con.close()


def test_a_name_that_was_recorded_as_it_was_written(project):
    """A file that rows name by a link's own path, as it was recorded before the link was one, is found by that."""
    con = store.open_history(project + "/history.db")
    rows(con, "src/pkg/m.py")
    assert queries.path_in(con, project, "src/pkg/m.py") == "src/pkg/m.py"
    assert queries.path_in(con, project, "src/pkg") == "src/pkg"
    rows_of_real = "UPDATE file_touches SET path = 'libs/real/m.py'"
    con.execute(rows_of_real)
    assert queries.path_in(con, project, "src/pkg/m.py") == "libs/real/m.py"
    con.close()


def test_what_was_left_was_touched(project):
    """Who named a file as a deliverable is said to have left it, once where it was seen to write it, too."""
    con = store.open_history(project + "/history.db")
    rows(con, "src/a.py", "src/other.py")
    for n in (0, 1):
        con.execute("INSERT INTO outputs (execution_id, output_type, content, path, created_at) VALUES (?, 'deliverable', '{}', "
                    "'src/a.py', '2026-11-2%d')" % (n + 1), ("e%d" % n,))  # fmt: skip
    found = details.touches(con, "src/a.py", 20)["touches"]
    assert [(each["execution_id"], each["mode"]) for each in found] == [("e1", "left"), ("e0", "write")]
    assert len(details.touches(con, "src/a.py", 1)["touches"]) == 1
    con.close()


def test_a_deliverable_goes_by_the_same_name(project):
    """What an agent says it delivered has the name that its call to write it has, and the hash of the file that is there."""
    assert left.inside(project, "src/pkg/m.py")[0] == "libs/real/m.py"
    name, digest = left.inside(project, ".claude/worktrees/agent-1/src/a.py")
    assert name == "src/a.py" and digest
    assert left.inside(project, "../elsewhere.py") == (None, None) == left.inside(project, ".")
