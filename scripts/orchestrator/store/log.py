"""The log: what hooks decided and why, and where they failed; lines of JSON in the workspace, of bounded size."""

import os

NAME, BEFORE = "log.jsonl", "log.1.jsonl"
MOST = 1_000_000  # bytes of the file that is written to; with the one before it, twice as much at most


def write(workspace, line):
    """Appends one line. Where it cannot be written there is no log: nothing else fails for it."""
    path = os.path.join(workspace, NAME)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError:
        return
    try:
        os.write(handle, line.encode("utf-8", "replace") + b"\n")
        here = os.fstat(handle)
        if here.st_size > MOST and os.stat(path).st_ino == here.st_ino:  # else another process has just begun a new one
            os.replace(path, os.path.join(workspace, BEFORE))
    except OSError:
        pass
    finally:
        os.close(handle)
