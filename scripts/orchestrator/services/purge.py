"""Purge: what this project and the installation keep on the disk, whether it may go now, and its removal."""

from __future__ import annotations

import fnmatch
import glob
import os
import shutil
from typing import Iterable, NamedTuple

from orchestrator import paths
from orchestrator.errors import OrchestratorError
from orchestrator.recording import sessions
from orchestrator.store import open as store
from orchestrator.store.search import SUFFIX

# What this plugin puts into the data folder, beside the workspaces in `projects`. Whatever else lies there is
# somebody else's: the folder may be one that is used for more.
OURS = (
    "token-counts.db*", "build.lock", "build.log", "building-????????", "python-floor*",
    "claude-[0-9]*.*", "ready-????????????*", "env-????????????-3.*",
)  # fmt: skip
MARK = "install-id"  # stays: without it every workspace elsewhere would count as another user's


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
        found += [history] + [history + each
                  for each in ("-wal", "-shm", ".lock", ".line", *[SUFFIX + e for e in ("", "-wal", "-shm")])]
        found += sorted(glob.glob(glob.escape(history) + ".corrupt-*"))
    return [measure(each) for each in found if os.path.lexists(each)]


def of_installation(data: str) -> tuple[list[Thing], list[str]]:
    """(what is ours in the data folder, names that are not and stay); what runs this goes last, MARK stays."""
    try:
        names = sorted(os.listdir(data))
    except OSError:
        return [], []
    if MARK not in names and "python-floor" not in names:
        return [], names
    projects = [os.path.dirname(each) for each in _in_projects(data, "origin")]
    ours = [each for pattern in OURS for each in fnmatch.filter(names, pattern)]
    left = [n for n in names if n not in ours and n != MARK and not (n == "projects" and projects)]
    return [measure(each) for each in projects + [os.path.join(data, name) for name in ours]], left


def _in_projects(data: str, name: str) -> list[str]:
    """The files of this name in the workspaces that lie in the data folder."""
    folder = os.path.join(data, "projects")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = [os.path.join(folder, each, name) for each in names]
    return [each for each in found if os.path.isfile(each)]


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
                    "AND e.status = 'deployed' AND e.deployed_at >= s.started_at GROUP BY s.claude_session_id"
                ).fetchall()
            finally:
                con.close()
        except store.Error:
            continue
        found += [(row[0], row[1]) for row in rows if sessions.alive(*row[2:])]
    return found


def histories_in(data: str) -> list[str]:
    """The histories of projects whose workspace lies in the data folder."""
    return _in_projects(data, paths.HISTORY)


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
