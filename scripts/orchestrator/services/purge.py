"""Purge: what this project and the installation keep on the disk, whether it may go now, and its removal."""

from __future__ import annotations

import os
import re
import shutil
from typing import Iterable, NamedTuple

from orchestrator import paths
from orchestrator.errors import OrchestratorError
from orchestrator.recording import sessions
from orchestrator.services import trust
from orchestrator.store import open as store
from orchestrator.store import workspace as folder
from orchestrator.store.search_index import SUFFIX

_SQLITE = "(-wal|-shm|-journal)?"
_MADE = "[a-z0-9_]{8}"  # the end of a temporary folder's name
# What this plugin puts into the data folder, beside the workspaces in `projects`: whole names, as they are written.
# Whatever else lies there is somebody else's: the folder may be one that is used for more.
OURS = re.compile(
    rf"token-counts\.db{_SQLITE}|build\.lock|build\.log|(building|fetching)-{_MADE}|python-floor(\.\d+)?|"
    r"claude-\d+\.\d+\.\d+|ready-[0-9a-f]{12}(\.\d+)?|env-[0-9a-f]{12}-3\.\d+", re.ASCII
)  # fmt: skip
MARK = "install-id"  # stays: without it every workspace elsewhere would count as another user's
_ELSEWHERE = re.compile(r".+-[0-9a-f]{10}", re.DOTALL)  # as paths.elsewhere names a workspace
# What lies beside a history, and what does when nothing is written in it, as in those that only locks are for.
_BESIDE = re.compile(rf"-wal|-shm|-journal|{re.escape(SUFFIX)}{_SQLITE}|"
                     rf"\.corrupt-\d{{4}}-\d\d-\d\dT\d{{6}}\.\d{{3}}Z{_SQLITE}", re.ASCII)
_ARCHIVED = re.compile(r"[0-9a-f]{32}\.jsonl\.gz|\.\d+-[0-9a-f]{8}\.part", re.ASCII)
_LOCKS, _LONGEST = (".lock", ".line"), 1_000_000


class Thing(NamedTuple):
    """A file or folder that goes, with what is in it."""

    path: str
    files: int
    bytes: int


def of_project(project: str, workspace: str, history: str, named: bool) -> list[Thing]:
    """What is kept for one project: its workspace, what waits elsewhere because that could not be written,
    and a history elsewhere unless a person named it."""
    found = list(dict.fromkeys([workspace, paths.elsewhere(project)]))
    own = os.path.realpath(os.path.join(workspace, paths.HISTORY))
    if not named and os.path.realpath(history) != own:
        found += [history, *_beside(history), *_archived(paths.archive_of(history))]
    return [measure(each) for each in found if os.path.lexists(each)]


def _beside(history: str) -> list[str]:
    """The files beside a history that come of it; one that is merely named like it is somebody else's."""
    at, name = os.path.split(history)
    found = []
    for each in _names(at):
        path, end = os.path.join(at, each), each[len(name):]
        if each.startswith(name) and (_BESIDE.fullmatch(end) or end in _LOCKS and _is_blank(path)):
            found.append(path)
    return found


def _archived(folder: str) -> list[str]:
    """The archive beside a history: the folder, or what in it is ours where there is more."""
    names = _names(folder) if os.path.isdir(folder) and not os.path.islink(folder) else []
    ours = [name for name in names if _ARCHIVED.fullmatch(name)]
    if ours and not set(names) - set(ours) - {".gitignore"}:
        return [folder]
    return [os.path.join(folder, name) for name in ours]


def _is_blank(path: str) -> bool:
    """Whether nothing is written in a file: what is locked in it are bytes that nobody wrote."""
    try:
        return not paths.regular(path, _LONGEST, follow=False).strip(b"\0") and os.lstat(path).st_size < _LONGEST
    except OSError:
        return False


def of_installation(data: str) -> tuple[list[Thing], list[str]]:
    """(what is ours in the data folder, names that are not and stay); what runs this goes last, MARK stays."""
    names = _names(data)
    if MARK not in names and "python-floor" not in names:
        return [], names
    projects = _workspaces(data)
    ours = sorted((name for name in names if OURS.fullmatch(name)), key=lambda name: name.startswith("env-"))
    whole = projects and len(projects) == len(_names(os.path.join(data, "projects")))
    left = [n for n in names if n not in ours and n != MARK and not (n == "projects" and whole)]
    return [measure(each) for each in projects + [os.path.join(data, name) for name in ours]], left


def _names(at: str) -> list[str]:
    try:
        return sorted(os.listdir(at))
    except OSError:
        return []


def _workspaces(data: str) -> list[str]:
    """The workspaces that lie in the data folder: named as ours are, with this installation's mark."""
    at = os.path.join(data, "projects")
    named = [os.path.join(at, each) for each in _names(at) if _ELSEWHERE.fullmatch(each)]
    mark = folder.install_mark(data) if named and os.path.exists(os.path.join(data, MARK)) else ""
    return [each for each in named if mark and not os.path.islink(each) and mark in trust.marks(each)]


def measure(path: str) -> Thing:
    """How much is in a file or folder; a link counts as itself."""
    if os.path.islink(path) or not os.path.isdir(path):
        return Thing(path, 1, os.lstat(path).st_size)
    files = size = 0
    for at, folders, names in os.walk(path):
        links = [name for name in folders if os.path.islink(os.path.join(at, name))]
        for name in [*names, *links]:
            try:
                files, size = files + 1, size + os.lstat(os.path.join(at, name)).st_size
            except OSError:
                pass  # it went meanwhile
    return Thing(path, files, size)


def at_work(histories: Iterable[str]) -> list[tuple[str, int]]:
    """(Claude session, agents in flight) of living sessions in these histories; unreadable ones have none."""
    found = []
    for history in histories:
        try:
            con = store.connect(history, timeout=4, read_only=True)
            try:
                rows = con.execute(
                    "SELECT s.claude_session_id, count(*), s.host, s.boot_id, s.pid, s.process_started FROM "
                    "claude_sessions s JOIN executions e USING (claude_session_id) WHERE s.ended_at IS NULL "
                    f"AND e.status = 'deployed' AND {store.BEGAN} GROUP BY s.claude_session_id"
                ).fetchall()
            finally:
                con.close()
        except store.Error:
            continue
        found += [(row[0], row[1]) for row in rows if sessions.alive(*row[2:]) is not False]
    return found


def histories_in(data: str) -> list[str]:
    """The histories of projects whose workspace lies in the data folder."""
    found = [os.path.join(each, paths.HISTORY) for each in _workspaces(data)]
    return [each for each in found if os.path.isfile(each)]


def remove(path: str) -> None:
    """Removes a file or folder; a link goes, what it points to stays. A folder loses its name first, so that
    whoever still writes there does not find half of it."""
    try:
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
            return
        going = f"{path}.going-{os.getpid()}"
        try:
            os.rename(path, going)
        except OSError:
            going = path
        shutil.rmtree(going)
    except FileNotFoundError:
        pass  # somebody else removed it
    except OSError as problem:
        raise OrchestratorError(f"{path} cannot be removed whole: {problem.strerror}.") from problem


def remove_empty(folder: str) -> None:
    """Removes a folder in which nothing is left."""
    try:
        os.rmdir(folder)
    except OSError:
        pass
