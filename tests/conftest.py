"""What all tests share: the data folder with the plugin's environment; the last word on missing clients."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import clients
from client_fixtures import claude, client, home, newest, project, rows, terminal  # noqa: F401  the tests take them

ROOT = Path(__file__).resolve().parent.parent

# No test fails on a slow day: how long an example takes is no property of ours. The same change gives the same verdict:
# whoever looks for more sets ORCHESTRATOR_TEST_EXAMPLES, and gets other examples each time.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="ORCHESTRATOR_TEST_EXAMPLES" not in os.environ,
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def data():
    """ORCHESTRATOR_DATA shared by all tests of this machine, with the locked environment built in it."""
    folder = Path(os.environ.get("ORCHESTRATOR_TEST_DATA") or clients.cache() / "data")
    folder.mkdir(parents=True, exist_ok=True)
    bootstrap = str(ROOT / "scripts/orchestrator/edges/bootstrap.py")
    built = subprocess.run(
        [os.path.realpath(sys.executable), "-I", "-S", bootstrap, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert built.returncode == 0, built.stdout
    return folder


def pytest_terminal_summary(terminalreporter):
    """A program that is missing is named at the end: what was not tested must not go unseen."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for line in sorted(set(re.findall(r"(?:Claude Code [\d.]+|tmux) is missing[^'\"]*", "\n".join(skipped)))):
        terminalreporter.write_line("WARNING: not everything was tested: " + line, red=True, bold=True)
