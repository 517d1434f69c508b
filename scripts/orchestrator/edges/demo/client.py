"""The client of the demo: the one named, else the `claude` on PATH, else the pinned one, fetched."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from typing import Callable, NamedTuple, Optional

from orchestrator import paths
from orchestrator.errors import OrchestratorError

PINS = os.path.join(paths.plugin_root(), "assets", "clients.json")
PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
MEGABYTE = 1_000_000

Say = Callable[[str], None]


class Client(NamedTuple):
    """A program that runs, its version, and where it is from."""

    path: str
    version: str
    origin: str


class Unusable(OrchestratorError):
    """A program that is no Claude Code, or one that does not run here."""


def pins() -> dict:
    """The versions the plugin is tested with, and the one that is fetched where there is none."""
    with open(PINS, encoding="utf-8") as f:
        return dict(json.load(f))


def tested() -> list[str]:
    """The versions the plugin is tested with, the newest first."""
    return list(pins()["tested"])


def find(given: Optional[str], data: str, environment: dict[str, str], say: Say, tick: Say) -> Client:
    """The client to run; fetches one if need be. `environment` is what it runs in, nothing of the user's.

    `say` hears a line; `tick` hears, many times, how far a download is.
    """
    if given:
        return Client(given, version_of(given, environment), "as named")
    on_path = shutil.which("claude")
    if on_path:
        try:
            return Client(on_path, version_of(on_path, environment), "on PATH; nothing else of it is used")
        except Unusable as problem:
            say(f"{problem} Another one is used.")
    pin = pins()["fetch"]
    program = os.path.join(data, "claude-" + pin["version"], "claude")
    if not os.path.exists(program):
        fetch(pin, program, say, tick)
    return Client(program, version_of(program, environment), "in the data folder")


def version_of(program: str, environment: dict[str, str]) -> str:
    """What a program says its version is. Unusable when it says none."""
    try:
        asked = subprocess.run(
            [program, "--version"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )
        said = asked.stdout + asked.stderr
    except (OSError, subprocess.TimeoutExpired) as problem:
        said = str(problem)
    found = re.match(r"\s*(\d+\.\d+\.\d+)\b.*Claude Code", said)
    if not found:
        words = " ".join(said.split())[:160] or "nothing"
        raise Unusable(f"{program} does not run as Claude Code (it says: {words}).")
    return found[1]


def fetch(pin: dict, program: str, say: Say, tick: Say) -> None:
    """Downloads the pinned wheel with pip, which checks its hash, and keeps the program that is in it."""
    home = os.path.dirname(program)
    os.makedirs(os.path.dirname(home), mode=0o700, exist_ok=True)
    say(f"There is no Claude Code here; fetching {pin['version']} ({pin['package']}).")
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=os.path.dirname(home)) as folder:
        wheel = _download(pin, folder, tick)
        size = os.path.getsize(wheel)
        tick("unpacking         ")
        fresh = os.path.join(folder, "fresh")
        os.mkdir(fresh)
        with zipfile.ZipFile(wheel) as archive, open(os.path.join(fresh, "claude"), "wb") as out:
            with archive.open(pin["program"]) as inside:
                shutil.copyfileobj(inside, out, MEGABYTE)
        os.chmod(os.path.join(fresh, "claude"), 0o755)
        unpacked = os.path.getsize(os.path.join(fresh, "claude"))
        try:
            os.rename(fresh, home)
        except OSError:  # another demo did the same meanwhile, or that folder is in the way
            if not os.path.exists(program):
                raise OrchestratorError(f"{home} is in the way: remove it and run this again.") from None
    say(f"Fetched {size // MEGABYTE} MB, {unpacked // MEGABYTE} MB unpacked: {program}")


def _download(pin: dict, folder: str, tick: Say) -> str:
    wanted = os.path.join(folder, "wanted.txt")
    with open(wanted, "w", encoding="ascii") as f:
        f.write(
            " ".join([pin["package"], *("--hash=sha256:" + each for each in pin["sha256"].values())]) + "\n"
        )
    command = [
        sys.executable,
        "-I",
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--no-cache-dir",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "raw",
        "-r",
        wanted,
        "-d",
        folder,
    ]
    last = ""
    pip = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=paths.environment(TMPDIR=folder),
    )
    try:
        assert pip.stdout
        for line in pip.stdout:
            done = PROGRESS.search(line)
            if done:
                tick(f"{int(done[1]) // MEGABYTE} of {int(done[2]) // MEGABYTE} MB")
            elif line.startswith("ERROR"):
                last = last or line.strip()
        code = pip.wait()
    finally:
        if pip.poll() is None:
            pip.kill()
            pip.wait()
    wheels = [name for name in os.listdir(folder) if name.endswith(".whl")]
    if code or not wheels:
        raise OrchestratorError(
            f"Claude Code could not be fetched ({last or 'pip failed'}): go online or point pip at an index "
            "you can reach, or name one that is here: `orchestrator demo --client PATH`."
        )
    return os.path.join(folder, wheels[0])
