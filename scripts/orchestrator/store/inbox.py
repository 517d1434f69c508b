"""The inbox: events that could not be written, each in a file, until the next writer replays them."""

import os

MOST = 64_000_000  # bytes kept at most; a history that cannot be written for weeks must not fill the disk


def folder_of(workspace):
    """Where the inbox of a workspace lies."""
    return os.path.join(workspace, "inbox")


def keep(workspace, event, pid, at, text):
    """Keeps one event: its name, the client's pid, the time and the JSON text (secrets masked by the caller)."""
    folder = folder_of(workspace)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = "%s-%s-%d-%s" % (at.replace(":", ""), event, pid, os.urandom(4).hex())
    temporary = os.path.join(folder, "." + name)
    with open(temporary, "w", encoding="utf-8", errors="replace") as f:
        f.write("%s\n%d\n%s\n%s" % (event, pid, at, text))
    os.rename(temporary, os.path.join(folder, name))


def waiting(workspace):
    """Paths of the events that wait, oldest first."""
    folder = folder_of(workspace)
    try:
        return [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if not n.startswith(".")]
    except OSError:
        return []


def take(path):
    """(event, pid, at, text) of one kept event, or None when another took it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            event, pid, at, text = f.read().split("\n", 3)
        return event, int(pid), at, text
    except (OSError, ValueError):
        return None


def drop(path):
    """Removes an event that was replayed."""
    try:
        os.unlink(path)
    except OSError:
        pass
