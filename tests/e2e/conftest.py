"""Fixtures for tests with the real client: both pinned versions, an empty home, a project, a shared data folder."""
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import clients  # noqa: E402
from harness import Claude, Terminal  # noqa: E402

_found = {}
_missing = {}


def _client(version):
    """The client, or a skip; every missing one is named again at the end of the run."""
    if version not in _found and version not in _missing:
        try:
            _found[version] = clients.find(version)
        except (clients.Unavailable, OSError) as reason:
            _missing[version] = str(reason)
    if version in _missing:
        pytest.skip("Claude Code %s is missing: %s" % (version, _missing[version]))
    return _found[version]


def pytest_terminal_summary(terminalreporter):
    for version, reason in _missing.items():
        terminalreporter.write_line("")
        terminalreporter.write_line(
            "WARNING: nothing was tested with Claude Code %s, which is missing: %s" % (version, reason), red=True, bold=True
        )


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


@pytest.fixture(scope="session")
def data():
    """ORCHESTRATOR_DATA, kept between runs, so that the plugin's environment is built once."""
    folder = Path(os.environ.get("ORCHESTRATOR_TEST_DATA") or clients.cache() / "data")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def project(tmp_path):
    """A git repository with a few files, in a path with a space."""
    folder = tmp_path / "a project"
    (folder / "src").mkdir(parents=True)
    (folder / "README.md").write_text("# A project\n\nIt adds numbers.\n")
    (folder / "src" / "adder.py").write_text('"""Adds."""\n\n\ndef add(a, b):\n    return a + b\n')
    (folder / "src" / "test_adder.py").write_text("from adder import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n")
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
        path = Path(project) / ".orchestrator" / "history.db"
        connection = sqlite3.connect("file:%s?mode=ro" % str(path).replace("?", "%3f"), uri=True)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    return ask
