"""Past: Claude sessions of this project whose transcripts lie on this machine, recorded or not.

Claude Code keeps a conversation in `projects/<folder>/<session>.jsonl` of its own folder and what belongs to it in
`<session>/`, where `<folder>` is the working folder with everything but letters and digits as `-`.
"""

from __future__ import annotations

import json
import os
import re
from typing import Iterator, NamedTuple, Optional

from orchestrator import paths
from orchestrator.recording.sessions import alive

HEAD = 262144  # bytes of a transcript in which its first times and its working folder are looked for
LONGEST = 200  # characters of a folder's name; of a longer one the client keeps so many, and a hash
UNSURE = 600  # seconds: where the client does not say which sessions live, one written since may be under way


class Found(NamedTuple):
    """A session's transcript: when its first line that tells was written, its bytes, when it was written last (seconds),
    whether its client still runs. `files` are its agents' transcripts, each with its agent's id."""

    session: str
    path: str
    began: str
    size: int
    written: float
    alive: bool
    files: tuple[tuple[str, str], ...]


def find(client: str, project: str, since: Optional[float] = None, left: Optional[list[str]] = None) -> list[Found]:
    """The sessions of a project, the oldest first. `client` is Claude Code's own folder; `since`: written after that.
    Transcripts whose names are no text are left out, and added to `left`."""
    found, living = [], _living(client)
    for folder in _folders(client, project):
        for name in _names(folder):
            session, end = os.path.splitext(name)
            if end != ".jsonl" or session.startswith("agent-"):
                continue
            path = os.path.join(folder, name)
            agents = list(_agents(os.path.join(folder, session)))
            files = tuple(each for each in agents if _sayable(each[1]))
            try:
                about = [os.stat(each) for each in (path, *(each for _, each in files))]
            except OSError:
                continue  # the client deletes it just now
            written = max(each.st_mtime for each in about)
            if since is not None and written < since:
                continue
            began, cwd = _head(path)
            if cwd is None or not belongs(cwd, project):
                continue
            if left is not None:
                left += [os.fsencode(each).decode("utf-8", "backslashreplace") for each in (path, *(each for _, each in agents))
                         if not _sayable(each)]  # fmt: skip
            if not _sayable(path):
                continue
            lives = session in living if living is not None else written > _now() - UNSURE
            found.append(Found(session, path, began, sum(each.st_size for each in about), written, lives, files))
    return sorted(found, key=lambda each: (each.began, not each.files, each.session))  # a fork after its parent


def _sayable(path: str) -> bool:
    """Whether a path is text that the history can hold."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def belongs(cwd: str, project: str) -> bool:
    """Whether a working folder, though it may be gone, is of the project."""
    place = cwd
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    if paths.project_of(place, {"HOME": paths.home()}) == project:
        return True
    return place != cwd and any(cwd == tree or cwd.startswith(tree + os.sep) for tree in _worktrees(project))


def _worktrees(project: str) -> Iterator[str]:
    """The linked worktrees that git knows of, also those whose folders are gone."""
    at = os.path.join(project, ".git", "worktrees")
    for name in _names(at):
        try:
            with open(os.path.join(at, name, "gitdir"), encoding="utf-8", errors="surrogateescape") as f:
                yield os.path.dirname(f.readline().strip())
        except OSError:
            continue


def _folders(client: str, project: str) -> Iterator[str]:
    """The client's folders that may hold sessions of a project, by their names: others' are not even opened."""
    at = os.path.join(client, "projects")
    own, trees = _flat(project), {_flat(tree) for tree in _worktrees(project)}
    for name in _names(at):
        if any(name == each or name.startswith(each + "-") for each in (own, *trees)):
            yield os.path.join(at, name)


def _flat(path: str) -> str:
    """A working folder as the client names its own folder for it; of a long one the beginning."""
    return re.sub(r"[^a-zA-Z0-9]", "-", path)[:LONGEST]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _agents(folder: str) -> Iterator[tuple[str, str]]:
    """(agent id, path) of the transcripts of a session's agents, those in workflows too."""
    at = os.path.join(folder, "subagents")
    places = [at] + [os.path.join(at, "workflows", run) for run in _names(os.path.join(at, "workflows"))]
    for place in places:
        for name in _names(place):
            if name.startswith("agent-") and name.endswith(".jsonl"):
                yield name[6:-6], os.path.join(place, name)


def _head(path: str) -> tuple[str, Optional[str]]:
    """(the first time, the first working folder) that a transcript names."""
    began, read = "", 0
    try:
        with open(path, "rb") as f:
            for line in f:
                read += len(line)
                if began == "" or b'"cwd"' in line:
                    entry = _entry(line)
                    began = began or text(entry.get("timestamp")) or ""
                    cwd = text(entry.get("cwd"))
                    if cwd:
                        return began, cwd
                if read > HEAD:
                    break
    except OSError:
        pass
    return began, None


def _entry(line: bytes) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def text(value: object) -> Optional[str]:
    """A value that is a text with something in it, else None."""
    return value if isinstance(value, str) and value else None


def _living(client: str) -> Optional[set[str]]:
    """The sessions whose client runs now, as it says itself in `sessions/<pid>.json`; None where it does not say."""
    at = os.path.join(client, "sessions")
    if not os.path.isdir(at):
        return None
    found = set()
    for name in _names(at):
        if not name.endswith(".json"):
            continue
        try:
            with open(os.path.join(at, name), "rb") as f:
                said = _entry(f.read(65536))
        except OSError:
            continue
        session, pid, start = text(said.get("sessionId")), said.get("pid"), text(said.get("procStart")) or ""
        if session and isinstance(pid, int) and alive(os.uname().nodename, None, pid, start if start.isdigit() else None):
            found.add(session)
    return found


def _now() -> float:
    import time

    return time.time()
