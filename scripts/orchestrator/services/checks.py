"""Checks of the installation: interpreter, environment, data folder, client, others with our names."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import Iterable, NamedTuple, Optional

from orchestrator import paths
from orchestrator.services import blueprints

TESTED = ((2, 1, 197), (2, 1, 329))  # the clients that the tests drive: the oldest and the newest
_FLOOR = """
import sys, _sqlite3
con = _sqlite3.connect(":memory:")
fts = con.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0]
print("%d.%d.%d" % sys.version_info[:3], _sqlite3.sqlite_version, fts)
"""


class Finding(NamedTuple):
    """One thing that was looked at: fine, a note, or broken; in a sentence."""

    topic: str
    grade: str
    text: str


def fine(topic: str, text: str) -> Finding:
    """What is as it should be."""
    return Finding(topic, "fine", text)


def note(topic: str, text: str) -> Finding:
    """What works, and is to be known."""
    return Finding(topic, "note", text)


def broken(topic: str, text: str) -> Finding:
    """What does not work, and what to do."""
    return Finding(topic, "broken", text)


def installation(root: str, data: str, version: str) -> Iterable[Finding]:
    """What is installed, and what is missing."""
    yield fine("plugin", f"orchestrator {version} in {root}.")
    yield floor(root)
    yield environment(root)
    yield data_folder(data)
    yield client()
    yield from shadows(root)


def _answer(command: list[str], seconds: float = 30) -> Optional[str]:
    """What a command prints; None where it cannot be run or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def floor(root: str) -> Finding:
    """The interpreter that hooks use, found as they find it."""
    script = os.path.join(root, "hooks", "floor.sh")
    python = _answer(["sh", "-c", '. "$1"; printf "%s" "$PY"', "sh", script])
    if not python:
        return broken("hooks", "No python3 (3.9 or newer, with SQLite 3.34 or newer) is on PATH, so nothing "
                      "is recorded: install one.")  # fmt: skip
    told = (_answer([python, "-X", "utf8", "-I", "-S", "-c", _FLOOR]) or "").split()
    if len(told) != 3:
        return broken("hooks", f"Hooks would use {python}, which does not run: install Python anew.")
    search = "with full-text search" if told[2] == "1" else "without full-text search (`--text` reads row by row)"
    sqlite = f"SQLite {told[1]} {search}"
    return fine("hooks", f"Hooks use {python}: Python {told[0]}, {sqlite}.")


def environment(root: str) -> Finding:
    """The locked environment, in which this runs."""
    python = "Python %d.%d.%d" % sys.version_info[:3]
    try:
        with open(os.path.join(root, "requirements", "runtime.hash"), encoding="ascii") as f:
            lock = f.read().strip()
    except OSError as problem:
        return broken("environment", f"The plugin lost its lock ({problem.strerror}): install it again.")
    if f"env-{lock}-" not in sys.prefix:
        return note("environment", f"Commands run in {sys.prefix} ({python}), another lock's.")
    return fine("environment", f"Commands run in {sys.prefix} ({python}).")


def data_folder(data: str) -> Finding:
    """Whether the data folder can be written."""
    probe = os.path.join(data, f".probe-{os.getpid()}")
    try:
        os.makedirs(data, mode=0o700, exist_ok=True)
        with open(probe, "x"):
            pass
        os.unlink(probe)
    except OSError as problem:
        return broken("data folder", f"{data} cannot be written ({problem.strerror}): mend that, or set "
                      "ORCHESTRATOR_DATA to another folder.")  # fmt: skip
    return fine("data folder", f"{data} can be written.")


def client() -> Finding:
    """The Claude Code on PATH."""
    path = shutil.which("claude", path=paths.variable("PATH"))
    if path is None:
        return note("claude", "claude is not on PATH here; hooks run in any client that has the plugin.")
    answer = (_answer([path, "--version"]) or "").split()
    version = _version(answer[0]) if answer else None
    if version is None:
        return note("claude", f"{path} does not say which version it is.")
    if version < TESTED[0]:
        return note("claude", f"{path} is {answer[0]}; {_dots(TESTED[0])} is the oldest that was tested.")
    newer = "" if version <= TESTED[1] else f"; {_dots(TESTED[1])} is the newest that was tested"
    return fine("claude", f"{path} is {answer[0]}{newer}.")


def _version(text: str) -> Optional[tuple[int, ...]]:
    parts = text.split(".")
    return tuple(int(part) for part in parts) if len(parts) == 3 and all(map(str.isdigit, parts)) else None


def _dots(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def shadows(root: str) -> Iterable[Finding]:
    """Another `orchestrator` on PATH."""
    ours = os.path.realpath(os.path.join(root, "bin", "orchestrator"))
    for folder in (paths.variable("PATH") or "").split(os.pathsep):
        path = os.path.join(folder, "orchestrator")
        if folder and os.access(path, os.X_OK) and not os.path.isdir(path):
            if os.path.realpath(path) != ours:
                yield note("command", f"{path} comes first on PATH. In Claude Code the hook runs ours all "
                           f"the same; in a terminal that is {ours}.")  # fmt: skip
            else:
                yield fine("command", f"orchestrator on PATH is ours ({path}).")
            return
    yield fine("command", f"In a terminal the command is {shlex.quote(ours)}, in Claude Code just orchestrator.")


def doors(project: str, config: str) -> Iterable[Finding]:
    """Others that answer to /orchestrate: skills and commands of the user, the project, other plugins."""
    places = [config, os.path.join(project, ".claude")]
    places += [folder for _, folder in blueprints.installed(config, project)]
    found = [path for place in dict.fromkeys(places) for path in _answering(place)]
    for path in found:
        yield note("/orchestrate", f"{path} answers too; ours is always /orchestrator:orchestrate.")
    if not found:
        yield fine("/orchestrate", "Nothing else answers to /orchestrate.")


def _answering(place: str) -> Iterable[str]:
    command = os.path.join(place, "commands", "orchestrate.md")
    if os.path.isfile(command):
        yield command
    skills = os.path.join(place, "skills")
    for name in sorted(os.listdir(skills)) if os.path.isdir(skills) else []:
        path = os.path.join(skills, name, "SKILL.md")
        if os.path.isfile(path) and (blueprints.frontmatter(path).get("name") or name) == "orchestrate":
            yield path
