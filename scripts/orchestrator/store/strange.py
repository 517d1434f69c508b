"""Something else where the history should be: what it is, and what to do; loaded where a history is begun, or cannot be used."""

import os
import stat
import time

from orchestrator.errors import NoHistory
from orchestrator.store.open import Error, connect

_NO_HISTORY = "%s is %s and no history: move it away, or name another place with ORCHESTRATOR_DB_PATH"
# How many tables there are, and how many of those that every history has
_TABLES = "SELECT count(*), count(CASE WHEN name IN ('claude_sessions', 'executions', 'events') THEN 1 END) FROM sqlite_master " \
          "WHERE type = 'table'"


def was_emptied(path):
    """Whether a file without content once was a history: hooks stood in line for it, and it is not just being made."""
    try:
        return os.path.exists(path + ".line") and time.time() - os.stat(path).st_mtime > 10
    except OSError:
        return False


def refuse(con, path):
    """Raises NoHistory for the database of another program: nothing is written into it."""
    tables, ours = con.execute(_TABLES).fetchone()
    if tables and ours < 3:
        raise NoHistory(_NO_HISTORY % (path, "the database of another program"))


def amiss(path):
    """What is said of something else that lies where the history should, with what to do about it; None where it may well be a
    history, or nothing is there."""
    try:
        link = os.path.islink(path) and os.readlink(path)
        mode = os.lstat(path).st_mode if link and not os.path.exists(path) else os.stat(path).st_mode
        if stat.S_ISLNK(mode):
            return _NO_HISTORY % (path, "a link to %s, where nothing can be made," % link)
        if not stat.S_ISREG(mode):
            return _NO_HISTORY % (path, "a folder" if stat.S_ISDIR(mode) else "a pipe or a device")
        con = connect(path, 1.0, read_only=True)
        try:
            refuse(con, path)
        finally:
            con.close()
    except NoHistory as problem:
        return str(problem)
    except (OSError, Error):
        pass  # nothing is there, or nothing can be told of it
    return None
