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
        try:
            secret = regular(path, 4096).decode("ascii").strip()
        except FileNotFoundError:
            os.makedirs(data, mode=0o700, exist_ok=True)
            secret = os.urandom(16).hex()
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as f:
                f.write(secret + "\n")
    except FileExistsError:  # another made it at this moment
        return install_mark(data)
    except (OSError, UnicodeDecodeError):
        return ""
    import _blake2

    return _blake2.blake2b(secret.encode(), digest_size=16).hexdigest()


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
