"""The inbox: events that could not be written, each in a file, until the next writer replays them."""

import os

MOST = 64_000_000  # bytes kept at most; a history that cannot be written for weeks must not fill the disk
ODD = "odd"  # beside the inbox's events: those that failed when they were replayed, tried again at a session's start
_RESERVE = ".reserve"  # files that hold room for events, to be used when the disk is full
_ROOM, _ROOMS = 16384, 16


def folder_of(workspace):
    """Where the inbox of a workspace lies."""
    return os.path.join(workspace, "inbox")


def name_of(event, pid, at):
    """A name for one event, which no other has; by name they sort in the order of arrival."""
    return "%s-%s-%d-%s" % (at.replace(":", ""), "".join([c for c in event if c.isalpha()])[:40], pid, os.urandom(4).hex())


def reserve(workspace):
    """Takes room for events while there is some, so that a full disk loses none."""
    folder = folder_of(workspace)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for n in range(_ROOMS):
            path = os.path.join(folder, "%s-%d" % (_RESERVE, n))
            if not os.path.exists(path):
                with open(path, "wb") as f:
                    f.write(b"\n" * _ROOM)
    except OSError:
        pass  # no room now: the next session tries again


def keep(workspace, name, event, process, at, text):
    """Keeps one event under its name: what it is, the client's process (host, boot id, pid, start), the time, the JSON
    text (secrets masked by the caller). OSError where that cannot be done."""
    folder = folder_of(workspace)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if sum([_size(path) for path in waiting(workspace, odd=True)]) > MOST:
        raise OSError("the inbox is full")
    host, boot, pid, started = process
    data = ("%s\n%d\t%s\t%s\t%s\n%s\n%s" % (event, pid, host, boot or "", started or "", at, text)).encode("utf-8", "replace")
    temporary = os.path.join(folder, "." + name)
    try:
        with open(temporary, "wb") as f:
            f.write(data)
    except OSError:
        _unlink(temporary)
        temporary = _in_reserve(folder, data)
    os.rename(temporary, os.path.join(folder, name))


def _in_reserve(folder, data):
    """Writes into room that was taken before. OSError when none is left or it is too small."""
    for n in range(_ROOMS):
        path = os.path.join(folder, "%s-%d" % (_RESERVE, n))
        mine = "%s.%d" % (path, os.getpid())
        try:
            os.rename(path, mine)  # only one process gets it
        except OSError:
            continue
        if len(data) > _ROOM:  # its room is given back, for what is larger
            _unlink(mine)
            try:
                with open(mine, "wb") as f:
                    f.write(data)
                return mine
            except OSError:
                _unlink(mine)
                continue
        with open(mine, "r+b") as f:
            f.write(data)
            f.truncate()
        return mine
    raise OSError("no room is left")


def waiting(workspace, odd=False):
    """Paths of the events that wait, oldest first; the odd ones too when asked."""
    folder = folder_of(workspace)
    found = _names(folder)
    if odd:
        found += _names(os.path.join(folder, ODD))
    return sorted(found, key=os.path.basename)


def _names(folder):
    try:
        return [os.path.join(folder, n) for n in os.listdir(folder) if not n.startswith(".") and n != ODD]
    except OSError:
        return []


def take(path):
    """(event, process, at, text) of one kept event, or None when another took it or it is none of ours."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as f:
            event, process, at, text = f.read().split("\n", 3)
        pid, host, boot, started = (process.split("\t") + [""] * 3)[:4]
        return event, (host or os.uname().nodename, boot or None, int(pid), started or None), at, text
    except (OSError, ValueError):
        return None


def drop(path):
    """Removes an event that was replayed."""
    _unlink(path)


def set_aside(path):
    """Moves an event that failed out of the others' way."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) == ODD:
        return
    try:
        os.makedirs(os.path.join(folder, ODD), mode=0o700, exist_ok=True)
        os.rename(path, os.path.join(folder, ODD, name))
    except OSError:
        pass


class alone:
    """A lock that one replay at a time holds; `held` is False while another process replays."""

    def __init__(self, workspace):
        self.folder, self.handle, self.held = folder_of(workspace), None, True

    def __enter__(self):
        import fcntl

        try:
            self.handle = os.open(os.path.join(self.folder, ".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.held = False
        except OSError:
            pass  # a file system without locks, or without room: what is replayed twice is recorded once
        return self

    def __exit__(self, *_):
        if self.handle is not None:
            os.close(self.handle)


def _size(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _unlink(path):
    try:
        os.unlink(path)
    except OSError:
        pass
