"""The workspace on disk: made private and ignored by git, its origin told, small files written whole."""

import os

from orchestrator.paths import regular


def make(workspace, data):
    """Makes the workspace (0700, ignoring itself in git, marked as this user's) when it is not there.

    It appears whole, so that nobody who races here sees it without its mark.
    """
    if os.path.isdir(workspace):
        return
    parent, name = os.path.split(workspace)
    os.makedirs(parent, exist_ok=True)
    fresh = os.path.join(parent, "%s.%d.tmp" % (name, os.getpid()))
    os.mkdir(fresh, 0o700)
    write(os.path.join(fresh, ".gitignore"), "*\n")
    write(os.path.join(fresh, "origin"), install_mark(data) + "\n")
    try:
        os.rename(fresh, workspace)
    except OSError:
        for left in (".gitignore", "origin"):
            os.unlink(os.path.join(fresh, left))
        os.rmdir(fresh)
        if not os.path.isdir(workspace):
            raise


def install_mark(data):
    """The mark of this user's installation: a hash of a random id kept in the data folder; "" when that cannot be kept."""
    if not data:
        return ""
    path = os.path.join(data, "install-id")
    try:
        secret = _secret(path)
        if not secret:
            os.makedirs(data, mode=0o700, exist_ok=True)
            _settle(path, os.urandom(16).hex())
            secret = _secret(path)  # another may have been quicker
    except (OSError, UnicodeDecodeError):
        return ""
    if not secret:
        return ""
    import _blake2

    return _blake2.blake2b(secret.encode(), digest_size=16).hexdigest()


def _secret(path):
    """What is kept at a path; "" when that is nothing."""
    try:
        return regular(path, 4096).decode("ascii").strip()
    except FileNotFoundError:
        return ""


def _settle(path, secret):
    """Keeps the secret where none is kept yet. It appears whole: who read half of it would take this user for another."""
    fresh = "%s.%d.tmp" % (path, os.getpid())
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, (secret + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(fresh, path)
    except FileExistsError:
        if not _secret(path):  # an empty one, as a power cut may leave: of those who put theirs in its place one is last
            os.rename(fresh, path)
            return
    except OSError:  # a file system without links
        os.rename(fresh, path)
        return
    os.unlink(fresh)


def trusted(workspace, data):
    """Whether the workspace came from this user: not there yet, or marked as theirs."""
    if not os.path.isdir(workspace):
        return True
    if os.path.islink(workspace):
        return False
    mark = install_mark(data)
    try:
        found = regular(os.path.join(workspace, "origin"), 4096, follow=False).decode("ascii").split()
    except (OSError, UnicodeDecodeError):
        found = []
    return (mark in found) if mark else os.lstat(workspace).st_uid == os.getuid()


def write(path, text):
    """Writes a file whole: readers see the old text or the new one."""
    temporary, data = "%s.%d.tmp" % (path, os.getpid()), text.encode("utf-8", "replace")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)  # Python's own files cost more than the writing
    try:
        while data:
            data = data[os.write(handle, data):]
    finally:
        os.close(handle)
    os.replace(temporary, path)
