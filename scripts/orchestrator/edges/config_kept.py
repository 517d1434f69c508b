"""Settings of a project's files, kept by each command where hooks find them: in `meta` and the workspace."""

from __future__ import annotations

import os

from orchestrator import paths
from orchestrator.errors import NotOurs, OrchestratorError
from orchestrator.services import settings
from orchestrator.store import open as store
from orchestrator.store import workspace as folder

TYPE_CHECKING = False  # every command comes by here: what reads the files is loaded when they have changed
if TYPE_CHECKING:
    from typing import Any, Optional

    from orchestrator.edges import config

_READ = "settings.read"  # in meta: which state of the project's files its settings are from
_TABLE = "2"  # rises when the table allows something else, so that files are read again


def keep(con: Any, project: str, workspace: str, data: str, history: str, named: bool) -> Optional[str]:
    """Keeps what hooks need of the project's files, where these have changed since the last command.

    Returns the history that the files want where that is another than `history`, made and named for hooks;
    one that was `named` by a flag or the environment stays. OrchestratorError says all that is wrong.
    """
    row = con.execute("SELECT value FROM meta WHERE key = ?", (_READ,)).fetchone()
    unset = not any(each.variable and paths.variable(each.variable) for each in settings.TABLE)
    if unset and row and row[0] == _state((), project, workspace):
        return None
    from orchestrator.edges import config

    above = config.environment()
    state = _state(above.given, project, workspace)
    if not above.faults and row and row[0] == state:
        return None
    check_git(project, workspace, data, history)
    said = config.files(project, workspace, ["history"] if named else [])
    if above.faults or said.faults:
        raise OrchestratorError(" ".join(above.faults + said.faults))
    if not named:
        moved = _move(said.given.get("history"), project, workspace, data, history)
        if moved:
            return moved
    rows = [("setting." + name, given.text) for name, given in said.given.items() if name != "history"]
    _keep_patterns(workspace, dict(rows).get("setting.redact"))
    with store.writing(con):
        con.execute("DELETE FROM meta WHERE key >= 'setting.' AND key < 'setting/'")
        con.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [*rows, (_READ, state)])
        mark = folder.install_mark(data)
        con.execute("INSERT OR IGNORE INTO meta VALUES ('install_id', ?)", (mark,))
    return None


def _keep_patterns(workspace: str, patterns: Optional[str]) -> None:
    """The user's own patterns beside the history: they hold too where that is damaged, or newer than a hook."""
    path = os.path.join(workspace, paths.PATTERNS)
    if not os.path.isdir(workspace):
        return  # a history that lies elsewhere is only read
    if patterns:
        folder.write(path, patterns)
    elif os.path.lexists(path):
        os.unlink(path)


def _state(given: Any, project: str, workspace: str) -> str:
    """Which state the files and git's index are in, and what the environment sets; nothing is read."""
    dotenv, own = os.path.join(project, paths.DOTENV), os.path.join(workspace, paths.CONFIG)
    states = [_TABLE, ",".join(given)]
    for path in (dotenv, own, paths.git_index(project)):
        try:
            found = os.stat(path)
            states.append(f"{found.st_ino}.{found.st_size}.{found.st_mtime_ns}.{found.st_ctime_ns}")
        except OSError:
            states.append("-")
    return " ".join(states)


def check_git(project: str, workspace: str, data: str, history: str) -> None:
    """Takes trust back from a workspace that git tracks: whoever can push could change what is deployed."""
    from orchestrator.services import trust

    if trust.consented(workspace):
        return
    tracked = trust.tracked(project, [workspace, history])
    if tracked:
        trust.withdraw(workspace, data)
        raise NotOurs(
            f"git tracks {tracked[0]}: whoever can push could change what is deployed here. Take it out "
            f"(`git rm -r --cached {paths.WORKSPACE}`), then run `orchestrator trust`."
        )


def _move(
    given: Optional[config.Given], project: str, workspace: str, data: str, history: str
) -> Optional[str]:
    """The history that the files want, where it is another; hooks find it by `history-path`."""
    own, note = os.path.join(workspace, paths.HISTORY), os.path.join(workspace, paths.HISTORY_PATH)
    path = (paths.inside(project, given.text) if given else None) or own
    if os.path.realpath(path) == os.path.realpath(own):
        if os.path.lexists(note):
            os.unlink(note)
    elif os.path.realpath(path) != os.path.realpath(history):
        if not _came_from_here(path, data):
            raise OrchestratorError(
                f"{given.source if given else ''}: the history {path} is there, but this installation did "
                "not make it: move it away or name another; `orchestrator --db FILE` opens any."
            )
        folder.write(note, os.path.relpath(path, os.path.realpath(project)) + "\n")
    return None if os.path.realpath(path) == os.path.realpath(history) else path


def _came_from_here(path: str, data: str) -> bool:
    """Whether a history was made by this installation; one that is not there yet is made, and marked."""
    mark = folder.install_mark(data)
    if not os.path.lexists(path):
        con = store.open_history(path)
        try:
            con.execute("INSERT OR IGNORE INTO meta VALUES ('install_id', ?)", (mark,))
        finally:
            con.close()
        return True
    try:
        con = store.connect(path, timeout=4, read_only=True)
        try:
            con.set_progress_handler(lambda: 1, 1_000_000)  # a stranger's view could count for ever
            con.execute("PRAGMA trusted_schema = OFF")
            row = con.execute("SELECT value FROM meta WHERE key = 'install_id'").fetchone()
        finally:
            con.close()
    except store.Error:
        return False
    return bool(mark) and row is not None and row[0] == mark
