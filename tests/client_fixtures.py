"""Fixtures for tests with the real client: both pinned versions, an empty home, a project, its history."""

import functools
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

import clients
from harness import Claude, Terminal


@functools.cache
def _found(version):
    """The client, or why it is missing; looked for once in a run."""
    try:
        return clients.find(version)
    except (clients.Unavailable, OSError) as reason:
        return str(reason)


def _client(version):
    found = _found(version)
    if isinstance(found, str):
        pytest.skip("Claude Code %s is missing: %s" % (version, found))
    return found


@pytest.fixture(params=list(clients.PINS))
def client(request):
    """Each pinned client in turn."""
    return _client(request.param)


@pytest.fixture
def newest():
    """The newest pinned client alone."""
    return _client(clients.NEWEST)


@pytest.fixture
def home(tmp_path):
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path):
    """A git repository with a few files, in a path with a space."""
    folder = tmp_path / "a project"
    (folder / "src").mkdir(parents=True)
    (folder / "README.md").write_text("# A project\n\nIt adds numbers.\n")
    (folder / "src" / "adder.py").write_text('"""Adds."""\n\n\ndef add(a, b):\n    return a + b\n')
    test = "from adder import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    (folder / "src" / "test_adder.py").write_text(test)
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run(git + words, cwd=folder, check=True)
    return folder


@pytest.fixture
def claude(client, home, data):
    """`claude.run(prompt, play, project)` with each pinned client."""
    return Claude(client, home, data)


@pytest.fixture
def terminal(client, home, data):
    """`terminal(project, play)` opens each pinned client in a terminal, ready to be typed at."""
    opened = []
    if not shutil.which("tmux"):
        pytest.skip("tmux is missing: no client can be seen in a terminal")

    def start(project, play, *args, **options):
        window = Terminal(client, project, play, home, data, *args, **options)
        opened.append(window)
        return window.__enter__()

    yield start
    for window in opened:
        window.close()


@pytest.fixture
def rows():
    """`rows(project, sql, *values)`: the answer of the project's history, a list of dicts."""

    def ask(project, sql, *values):
        path = (Path(project) / ".orchestrator" / "history.db").as_uri()
        connection = sqlite3.connect(path + "?mode=ro", uri=True)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    return ask
