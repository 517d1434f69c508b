"""Files of the project: found inside it only, read whole, decoded as they declare or not at all."""

import contextlib
import os
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from typing import Optional

from orchestrator.context.tokens import addressed
from orchestrator.errors import OrchestratorError
from orchestrator.model import globs
from orchestrator.model.ids import content_hash

HUGE = 2_000_000  # bytes: a larger file is given by sections or by its path
NEVER = {".git", ".hg", ".svn", ".orchestrator"}
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


class Unreadable(OrchestratorError):
    """The file cannot be given as text: it is missing, outside the project, binary, huge or of unknown
    encoding.
    """


@dataclass(frozen=True)
class Source:
    """A file as it was read: its text and what tells later whether it is still the same."""

    path: str  # relative to the project, with /
    text: str
    size: int
    mtime_ns: int
    file_hash: str


@lru_cache(maxsize=8)
def _top(root: str) -> str:
    return os.path.realpath(root)


def inside(root: str, path: str) -> str:
    """The path relative to the project, links resolved; refuses what leads out of it."""
    top = _top(root)
    full = _within(top, path)
    if full is None:
        full = os.path.realpath(os.path.join(top, path)) if "\0" not in path else "/"
        if full != top and not full.startswith(top.rstrip(os.sep) + os.sep):
            raise Unreadable(f"{path} leads out of the project: name a file inside it.")
    return os.path.relpath(full, top).replace(os.sep, "/")


def _within(top: str, path: str) -> Optional[str]:
    """The full path, if it goes straight down from the top with no link on the way; else None."""
    parts = path.split("/")
    if os.path.isabs(path) or "\0" in path or os.pardir in parts:
        return None
    full = top
    for part in parts:
        full = os.path.join(full, part)
        if os.path.islink(full):
            return None
    return full


def plain(root: str, path: str) -> str:
    """The path as named, relative to the project, when the file it leads to is inside."""
    real = inside(root, path)
    top = _top(root)
    named = os.path.normpath(os.path.join(top, path))
    if named == top or named.startswith(top.rstrip(os.sep) + os.sep):
        return os.path.relpath(named, top).replace(os.sep, "/")
    return real


def read(root: str, path: str, whole: bool = True) -> Source:
    """Reads a file of the project as text. `whole` says that all of it is to be given, so that a huge one is
    refused.
    """
    path = plain(root, path)
    full = os.path.join(_top(root), path)
    try:
        if not os.path.isfile(full):
            raise Unreadable(
                f"{path} is a folder: name its files, or a pattern such as {path}/*.py."
                if os.path.isdir(full)
                else f"{path} does not exist."
                if not os.path.lexists(full)
                else f"{path} is not a regular file."
            )
        with open(full, "rb") as f:
            state = os.fstat(f.fileno())
            if whole and state.st_size > HUGE:
                raise Unreadable(
                    f"{path} is huge ({state.st_size:,} bytes): name a section of it, as {path}:1-200."
                )
            data = f.read()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}.") from None
    text, digest = decode(path, data), content_hash(data)
    addressed(text, data, digest)
    return Source(path, text, state.st_size, state.st_mtime_ns, digest)


def decode(path: str, data: bytes) -> str:
    """The text of a file: UTF-8, or what its first bytes declare. Anything else is refused, never guessed."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _strict(path, data, name)
    if b"\0" in data:
        raise Unreadable(f"{path} is binary.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    for line in data.split(b"\n", 2)[:2]:
        found = _COOKIE.match(line)
        if found:
            return _strict(path, data, found[1].decode("ascii", "replace"))
    raise Unreadable(f"{path} is neither UTF-8 nor does it declare another encoding.")


def _strict(path: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        raise Unreadable(f"{path} declares the encoding {encoding} and is not in it.") from None


_LIST = ["git", "-c", "core.fsmonitor=false", "ls-files", "-z", "-co", "--exclude-standard", "--"]


def matching(root: str, pattern: str) -> list[str]:
    """The project's files that match a glob, sorted; files that git ignores are left out."""
    if globs.leads_out(pattern):
        raise Unreadable(f"{pattern} leads out of the project: name files inside it.")
    found: set[str] = set()
    for each in globs.alternatives(pattern):
        below = globs.head(each) if globs.is_glob(each) else os.path.dirname(each)
        if below:
            inside(root, below)  # refuses a link that leads out
        if os.path.isdir(os.path.join(root, below)):
            found.update(path for path in names(root, below) if globs.matches(each, path))
    return sorted(path for path in found if os.path.isfile(os.path.join(root, path)))


def listing(root: str, below: str = "") -> list[str]:
    """The project's files below a folder, sorted, as git sees them: tracked or new, not ignored."""
    return [name for name in names(root, below) if os.path.isfile(os.path.join(root, name))]


def names(root: str, below: str = "") -> list[str]:
    """The same without a look at each: what git still tracks may be gone."""
    listed = _whole(root, below) or _git_names(root, below)
    return sorted(_walk(root, below)) if listed is None else sorted(listed)


_ahead: dict[str, subprocess.Popen[bytes]] = {}  # by project: git, on its way
_all: dict[str, set[str]] = {}  # and what it said


def ahead(root: str) -> None:
    """Begins to list the project's files, for a command that will ask and ends before the answer is old."""
    with contextlib.suppress(OSError):
        _ahead[root] = subprocess.Popen(_LIST, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _whole(root: str, below: str) -> Optional[set[str]]:
    process = _ahead.pop(root, None)
    if process:
        try:
            listed = process.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return None
        if process.returncode == 0:
            _all[root] = _named(listed)
    found = _all.get(root)
    return {name for name in found if name.startswith(below + "/")} if found and below else found


def _git_names(root: str, below: str) -> Optional[set[str]]:
    try:
        done = subprocess.run(
            [*_LIST, ":(literal)" + below] if below else _LIST, cwd=root, capture_output=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return None if done.returncode else _named(done.stdout)


def _named(listed: bytes) -> set[str]:
    found = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    return {name for name in found if not NEVER & set(name.split("/"))}


def _walk(root: str, below: str) -> list[str]:
    found = []
    for folder, folders, names in os.walk(os.path.join(root, below)):
        folders[:] = [name for name in folders if name not in NEVER]
        for name in names:
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                found.append(os.path.relpath(full, root).replace(os.sep, "/"))
    return found
