"""Pinned clients: the two versions of Claude Code the tests run, found in a cache folder or fetched into it.

Usage: python tests/clients.py        fetches what is missing and prints a path a line
Exit codes: 0 all here, or there is nothing to fetch the others with; 1 one could not be fetched
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

PINS: Dict[str, dict] = json.loads(Path(__file__).with_name("clients.json").read_text())
NEWEST, OLDEST = PINS


class Client(NamedTuple):
    """One program to test with."""

    version: str
    path: str


class Unavailable(Exception):
    """The client is not here and cannot be had; the text says why."""


class NothingToFetchWith(Unavailable):
    """The program that would fetch this client is not installed."""


def cache() -> Path:
    """Where clients and the plugin's environment are kept between runs of the tests."""
    if os.environ.get("ORCHESTRATOR_TEST_CACHE"):
        return Path(os.environ["ORCHESTRATOR_TEST_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchestrator-tests"


def find(version: str, say: Callable[[str], None] = lambda line: None) -> Client:
    """The client of that version, fetched if need be. Raises Unavailable."""
    pin, home = PINS[version], cache() / ("claude-" + version)
    program = home / pin["program"]
    if not program.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetching-") as folder:
            say("fetching Claude Code %s (%s, %s) ..." % (version, pin["from"], pin["package"]))
            fresh = Path(folder) / "client"
            {"pypi": _from_pypi, "npm": _from_npm}[pin["from"]](pin, fresh)
            _keep(fresh, home)
    if not program.exists():
        raise Unavailable("%s is incomplete; remove that folder" % home)
    asked = [str(program), "--version"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    said = (answer.stdout + answer.stderr).strip()
    if not said.startswith(version):
        raise Unavailable("%s says it is %r, not %s" % (program, said[:200], version))
    return Client(version, str(program))


def _keep(fresh: Path, home: Path) -> None:
    """Put a complete client in its place; another process may have done the same meanwhile."""
    try:
        os.replace(fresh, home)
    except OSError:
        if not home.is_dir():
            raise


def _from_pypi(pin: dict, folder: Path) -> None:
    """Out of the SDK's wheel, whose hash pip checks."""
    folder.mkdir()
    wanted = folder / "wanted.txt"
    hashes = ["--hash=sha256:" + digest for digest in pin["sha256"].values()]
    wanted.write_text(" ".join([pin["package"], *hashes]) + "\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-q"]
    _run([sys.executable, "-m", "pip", "download", *options, "-r", str(wanted), "-d", str(folder)])
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(pin["program"], folder)
    (folder / pin["program"]).chmod(0o755)
    wheel.unlink()
    wanted.unlink()


def _from_npm(pin: dict, folder: Path) -> None:
    """With npm, where there is one."""
    npm = shutil.which("npm")
    if not npm:
        raise NothingToFetchWith("there is no npm here to fetch %s with" % pin["package"])
    options = ["--no-audit", "--no-fund", "--loglevel=error"]
    _run([npm, "install", "--prefix", str(folder), *options, pin["package"]])


def _run(command: List[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Unavailable("%s failed: %s" % (" ".join(command[:4]), " / ".join(last)))


def main() -> int:
    """Fetch them all."""
    code = 0
    for version in PINS:
        try:
            client = find(version, lambda line: print(line, file=sys.stderr, flush=True))
            print(version, client.path, flush=True)
        except (Unavailable, OSError) as reason:
            code = code if isinstance(reason, NothingToFetchWith) else 1
            print("WARNING: Claude Code %s is missing: %s" % (version, reason), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
