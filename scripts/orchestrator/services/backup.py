"""Backup: one consistent copy of a history, taken while others write, checked before it gets its name."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from urllib.parse import quote

from orchestrator.errors import OrchestratorError


def backup(history: str, target: str, force: bool = False) -> int:
    """Copies a history into one file (0600) and returns its size. OrchestratorError where it cannot."""
    target = os.path.abspath(target)
    if not os.path.isfile(history):
        raise OrchestratorError(f"There is no history to copy: {history} is not there.")
    if os.path.isdir(target):
        raise OrchestratorError(f"{target} is a folder: name the file the copy is to be.")
    if os.path.exists(target) and not os.path.isfile(target):
        raise OrchestratorError(f"{target} is a device or a pipe: name the file the copy is to be.")
    if os.path.exists(target) and os.path.samefile(target, history):
        raise OrchestratorError(f"{target} is the history itself: name another file.")
    if os.path.lexists(target) and not force:
        raise OrchestratorError(f"{target} is already there: name another file, or say --force.")
    part = f"{target}.{os.getpid()}.part"
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(history, part)
        _name(part, target, force)
        return os.path.getsize(target)
    except sqlite3.Error as problem:
        raise OrchestratorError(f"The history {history} cannot be copied ({problem}).") from problem
    except OSError as problem:
        raise OrchestratorError(f"{target} cannot be written: {problem.strerror}.") from problem
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def _copy(history: str, part: str) -> None:
    with contextlib.closing(_reading(history)) as here:
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as there:
            here.backup(there)  # in one step: what others write meanwhile is in the next copy
            there.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
            found = there.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise OrchestratorError(f"The history {history} is damaged ({found}), so no copy was kept.")


def _reading(history: str) -> sqlite3.Connection:
    """A connection that reads; where the folder cannot be written and no log lies in it, the file as it is."""
    source, log = "file:" + quote(history) + "?", history + "-wal"
    here = sqlite3.connect(source + "mode=ro", uri=True, timeout=10)
    try:
        here.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        return here
    except sqlite3.OperationalError as problem:
        here.close()
        logged = os.path.exists(log) and os.path.getsize(log)
        if "unable to open" not in str(problem) or logged or os.access(os.path.dirname(history), os.W_OK):
            raise
    return sqlite3.connect(source + "immutable=1", uri=True, timeout=10)


def _name(part: str, target: str, force: bool) -> None:
    """Gives the copy its name; without force never that of a file which came there meanwhile."""
    if force:
        os.replace(part, target)
        return
    try:
        os.link(part, target)
    except FileExistsError:
        raise OrchestratorError(f"{target} is already there: name another file, or say --force.") from None
    except OSError:  # a file system without hard links
        os.replace(part, target)
