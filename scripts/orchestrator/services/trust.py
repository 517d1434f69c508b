"""Trust: whose workspace this is, whether git tracks it, and the user's word that it is theirs."""

from __future__ import annotations

import os
from typing import Sequence

from orchestrator import paths
from orchestrator.errors import OrchestratorError
from orchestrator.store import open as store
from orchestrator.store import workspace as folder

_CONSENT = "tracked"  # in the origin file: the user trusts it although git tracks it


def tracked(project: str, places: Sequence[str]) -> list[str]:
    """Names of files in these places that git tracks, relative to the project; none where there is no git."""
    import subprocess

    if not paths.git_index(project):
        return []
    inside = [each for each in places if os.path.normpath(each).startswith(project + os.sep)]
    if not inside:
        return []
    quiet = {name: value for name, value in paths.environment().items() if not name.startswith("GIT_")}
    command = ["git", "-C", project, "--no-optional-locks", "-c", "core.fsmonitor=false", "ls-files", "-z"]
    try:
        answer = subprocess.run(
            [*command, "--", *inside], env=quiet, stdin=subprocess.DEVNULL, capture_output=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    names = answer.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [name for name in names if name] if answer.returncode == 0 else []


def _words(workspace: str) -> list[str]:
    try:
        with open(os.path.join(workspace, "origin"), encoding="ascii", errors="replace") as f:
            return f.read(65536).split()
    except OSError:
        return []


def marks(workspace: str) -> list[str]:
    """The installations that say this workspace is theirs."""
    return [word for word in _words(workspace) if word != _CONSENT]


def consented(workspace: str) -> bool:
    """Whether the user trusts it although git tracks it."""
    return _CONSENT in _words(workspace)


def _real(workspace: str) -> None:
    """OrchestratorError for a workspace that is a link, or whose mark is: what it leads to is another's."""
    for path in (workspace, os.path.join(workspace, "origin")):
        if os.path.islink(path):
            raise OrchestratorError(f"{path} is a link to {os.path.realpath(path)}: remove it, then ask again.")


def grant(workspace: str, data: str, although_tracked: bool) -> None:
    """Adds this user's mark: what is in the workspace is read and deployed from now on."""
    _real(workspace)
    found = [*marks(workspace), folder.install_mark(data), *([_CONSENT] if although_tracked else [])]
    folder.write(os.path.join(workspace, "origin"), "\n".join(dict.fromkeys(filter(None, found))) + "\n")


def withdraw(workspace: str, data: str) -> None:
    """Takes this user's mark away: hooks and commands leave the workspace alone."""
    _real(workspace)
    mark = folder.install_mark(data)
    left = [word for word in marks(workspace) if word != mark]
    folder.write(os.path.join(workspace, "origin"), "".join(word + "\n" for word in left))


def why(workspace: str, tracked_files: Sequence[str]) -> list[str]:
    """What speaks against trusting a workspace, a sentence each."""
    found = []
    if os.path.islink(workspace):
        found.append(f"It is a link to {os.path.realpath(workspace)}.")
    owner = os.stat(workspace).st_uid
    if owner != os.getuid():
        found.append(f"It belongs to another user (uid {owner}).")
    if tracked_files:
        more = ", …" if len(tracked_files) > 3 else ""
        found.append(f"git tracks {len(tracked_files)} of its files: {', '.join(tracked_files[:3])}{more}.")
    elif marks(workspace):
        found.append("It carries another installation's mark: another user's, or one of yours that is gone.")
    else:
        found.append("Nothing in it says whose it is.")
    return found


def contents(workspace: str, history: str) -> list[str]:
    """What is in a workspace, a line each: its files with their sizes, the latest goals of its history."""
    from orchestrator.services.purge import measure

    lines = []
    for name in sorted(os.listdir(workspace))[:40]:
        path = os.path.join(workspace, name)
        thing = measure(path)
        link = f" -> {os.readlink(path)}" if os.path.islink(path) else ""
        several = f" in {thing.files:,} files" if os.path.isdir(path) and not link else ""
        lines.append(f"{name}{link}  {thing.bytes:,} bytes{several}")
    return lines + [f'goal "{goal}" ({status}, {tasks} tasks)' for goal, status, tasks in _goals(history)]


def _goals(history: str) -> list[tuple[str, str, int]]:
    if not os.path.isfile(history):
        return []
    try:
        con = store.connect(history, timeout=4, read_only=True)
        try:
            con.set_progress_handler(lambda: 1, 1_000_000)  # a stranger's view could count for ever
            con.execute("PRAGMA trusted_schema = OFF")
            rows = con.execute(
                "SELECT substr(o.goal, 1, 200), o.status, (SELECT count(*) FROM tasks t WHERE "
                "t.orchestration_id = o.orchestration_id) FROM orchestrations o "
                "ORDER BY o.updated_at DESC LIMIT 5"
            ).fetchall()
        finally:
            con.close()
    except store.Error as problem:
        return [(f"cannot be read: {problem}", "no history of ours", 0)]
    return [(" ".join(str(row[0]).split()), str(row[1]), int(row[2])) for row in rows]
