"""Past: Claude sessions of this project whose transcripts lie on this machine, recorded or not.

Claude Code keeps a conversation in `projects/<folder>/<session>.jsonl` of its own folder and what belongs to it in
`<session>/`, where `<folder>` is the working folder with everything but letters and digits as `-`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from functools import cmp_to_key
from itertools import groupby
from typing import Iterator, NamedTuple, Optional

from orchestrator import paths
from orchestrator.recording.sessions import alive

HEAD = 262144  # bytes of a transcript in which its first times and its working folder are looked for
LONGEST = 200  # characters of a folder's name; of a longer one the client keeps so many, and a hash
_TIME = re.compile(rb'"timestamp": ?"([^"]*)"')
UNSURE = 600  # seconds: where the client does not say which sessions live, one written since may be under way


_Times = dict[bytes, None]


class Found(NamedTuple):
    """A session's transcript: when its first line that tells was written, its bytes, when it was written last (seconds),
    whether its client still runs. `files` are its agents' transcripts, each with its agent's id, the earliest of one first;
    `others`: the conversations in whose folders the client went on with some, after /clear."""

    session: str
    path: str
    began: str
    size: int
    written: float
    alive: bool
    files: tuple[tuple[str, str], ...]
    others: tuple[str, ...] = ()


def find(client: str, project: str, since: Optional[float] = None, left: Optional[list[str]] = None) -> list[Found]:
    """The sessions of a project, the oldest first. `client` is Claude Code's own folder; `since`: written after that.
    Transcripts whose names are no text are left out, and added to `left`."""
    found, living = [], _living(client)
    sessions = _sessions(client, project)
    went = _went_on(sessions)
    for (session, path), agents in sessions.items():
        files = tuple(each for each in agents if _sayable(each[1]))
        about = list(filter(None, map(_about, (path, *(each for _, each in files)))))
        if _about(path) is None:
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
        others = went.get(path, {})
        lives = living is not None and not living.isdisjoint((session, *others.values())) or (
            living is None and written > _now() - UNSURE)  # fmt: skip
        size = sum(each.st_size for each in about)
        found.append(Found(session, path, began, size, written, lives, files, tuple(filter(_sayable, others))))
    return _parents_first(found)


def _sessions(client: str, project: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """{(session, its transcript): its agents and theirs}, wherever the client put these: in a worktree that it entered it
    writes to the folder of that."""
    places: dict[str, list[str]] = {}
    at = os.path.join(client, "projects")
    for folder in _names(at):
        for name in _names(os.path.join(at, folder)):
            if not name.endswith(".jsonl"):
                places.setdefault(name, []).append(os.path.join(at, folder, name))
    found = {}
    for folder in _folders(client, project):
        for name in _names(folder):
            session, end = os.path.splitext(name)
            if end == ".jsonl" and not session.startswith("agent-"):
                files = [each for place in places.get(session, ()) for each in _agents(place)]
                found[session, os.path.join(folder, name)] = [each for each in files if _about(each[1])]
    return found


def _went_on(sessions: dict[tuple[str, str], list[tuple[str, str]]]) -> dict[str, dict[str, str]]:
    """Gives each agent that has several files, the earliest first, to the session in which it began. Returns, for a session's
    transcript, {transcript: session} of the conversations that it had others of its agents' files from."""
    files: dict[str, list[tuple[tuple[str, str], str]]] = {}
    for whose, agents in sessions.items():
        for agent, path in agents:
            files.setdefault(agent, []).append((whose, path))
    found: dict[str, dict[str, str]] = {}
    for agent, places in files.items():
        if len(places) == 1:
            continue
        places.sort(key=lambda each: _head(each[1])[0])
        (session, main), _ = places[0]
        for whose, path in places:
            sessions[whose].remove((agent, path))
            sessions[session, main].append((agent, path))
            if whose[0] != session:
                found.setdefault(main, {})[whose[1]] = whose[0]
    return found


def _about(path: str) -> Optional[os.stat_result]:
    """What the system says of a regular file; None where there is none."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about if stat.S_ISREG(about.st_mode) else None


def _parents_first(found: list[Found]) -> list[Found]:
    """The oldest first, and a fork after its parent, of which it is a copy up to where it was made."""
    ordered: list[Found] = []
    for _, same in groupby(sorted(found, key=lambda each: (each.began, each.session)), key=lambda each: each.began):
        group = list(same)
        if len(group) > 1:
            agents = {agent.encode() for each in group for agent, _ in each.files}
            told = [(each, *_told(each.path, agents)) for each in group]
            group = [each for each, _, _ in sorted(told, key=cmp_to_key(_later))]
        ordered += group
    return ordered


def _told(path: str, agents: set[bytes]) -> tuple[_Times, set[str]]:
    """The times of a transcript's lines, in their order, and which of these agents it speaks of."""
    times: _Times = {}
    speaks: set[str] = set()
    named = re.compile(b"|".join(sorted(map(re.escape, agents)))) if agents else None
    try:
        with paths.readable(path, "rb") as f:
            for line in f:
                at = _TIME.search(line)
                if at:
                    times[at.group(1)] = None
                if named:
                    speaks.update(each.decode() for each in named.findall(line))
    except OSError:
        pass
    return times, speaks


def _later(one: tuple[Found, _Times, set[str]], other: tuple[Found, _Times, set[str]]) -> int:
    """Whether one of two sessions that begin alike is the fork (1) or the parent (-1): a fork tells of its parent's agents, whose
    files it has not; else, what it alone tells is the later."""
    of_other = any(agent in one[2] for agent, _ in other[0].files)
    of_one = any(agent in other[2] for agent, _ in one[0].files)
    if of_other != of_one:
        return 1 if of_other else -1
    mine = next((each for each in one[1] if each not in other[1]), b""), not one[0].files, one[0].session
    its = next((each for each in other[1] if each not in one[1]), b""), not other[0].files, other[0].session
    return (mine > its) - (mine < its)


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
    """A working folder as the client names its own folder for it, which counts in UTF-16; of a long one the beginning."""
    return re.sub(r"[^a-zA-Z0-9]", lambda each: "--" if each.group() > "\uffff" else "-", path)[:LONGEST]


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
        with paths.readable(path, "rb") as f:
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
