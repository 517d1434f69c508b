"""Trees of token counts: every file below some paths, read once, counted from the cache where it can be."""

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Optional

from orchestrator.context import files
from orchestrator.context.count_cache import States
from orchestrator.context.tokens import Counter
from orchestrator.model.ids import content_hash

BATCH = 200  # files looked up at a time


@dataclass
class Counted:
    """Files with their tokens and bytes, and those that were left out, each with the reason."""

    how: str
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    estimated: int = 0

    @property
    def total(self) -> tuple[int, int]:
        """(tokens, bytes) of all files."""
        return sum(t for t, _ in self.files.values()), sum(b for _, b in self.files.values())

    def as_json(self) -> dict[str, Any]:
        """Totals and every file."""
        tokens, size = self.total
        return {
            "total_tokens": tokens,
            "bytes": size,
            "how": self.how,
            "files": [{"path": p, "token_count": t, "bytes": b} for p, (t, b) in self.files.items()],
            "left_out": [{"path": p, "reason": why} for p, why in self.left_out],
        }

    def lines(self, depth: int) -> Iterator[str]:
        """The tree to a depth: tokens, share and name, the largest first at each level."""
        tokens, _ = self.total
        root: dict[str, Any] = {}
        for path, (count, _) in self.files.items():
            node = root
            *folders, name = path.split("/")
            for folder in folders:
                node = node.setdefault(folder + "/", {})
            node[name] = count
        yield from _branch(root, "", depth, max(tokens, 1))
        names = "file" if len(self.files) == 1 else "files"
        yield f"{tokens:>12,}  100%  {len(self.files):,} {names} ({self.how})"


def _weight(node: Any) -> int:
    return node if isinstance(node, int) else sum(_weight(child) for child in node.values())


def _branch(node: dict[str, Any], indent: str, depth: int, total: int) -> Iterator[str]:
    weighed = sorted(
        ((_weight(child), name, child) for name, child in node.items()), key=lambda x: (-x[0], x[1])
    )
    for weight, name, child in weighed:
        while (
            not isinstance(child, int) and len(child) == 1
        ):  # a folder that holds one thing is shown with it
            ((more, child),) = child.items()
            name += more
        yield f"{weight:>12,}  {100 * weight / total:3.0f}%  {indent}{_shown(name)}"
        if not isinstance(child, int) and depth > 0:
            yield from _branch(child, indent + "  ", depth - 1, total)


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)


def count_paths(
    paths: list[str],
    counter: Counter,
    progress: Optional[Callable[[int, int], None]] = None,
    states: Optional[States] = None,
) -> Counted:
    """Counts the files at and below these absolute paths.

    `states` remembers which content an unchanged file has, so that it is not even read again.
    """
    counted = Counted(counter.how)
    found = _found(paths, counted)
    hashes: dict[str, tuple[str, int]] = {}
    counter.stream(_missing(found, counter, counted, hashes, progress, states))
    for name, (digest, size) in hashes.items():
        known = counter.known(digest)
        if known:
            counted.files[name] = (known[0], size)
            if known[1] != counter.how:
                counted.how = known[1]
    return counted


def _missing(
    found: list[tuple[str, str]],
    counter: Counter,
    counted: Counted,
    hashes: dict[str, tuple[str, int]],
    progress: Optional[Callable[[int, int], None]],
    states: Optional[States],
) -> Iterator[tuple[str, str]]:
    """(hash, text) of each file whose count is not known; fills in the hashes of all."""
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        if progress:
            progress(start, len(found))
        seen = states.recall([full for _, full in batch]) if states else {}
        fresh: dict[str, str] = {}
        read: dict[str, bytes] = {}
        for name, full in batch:
            if full in seen:
                hashes[name] = seen[full]
                continue
            data = _bytes(name, full, counted)
            if data is not None:
                read[name], hashes[name] = data, (content_hash(data), len(data))
                fresh[full] = hashes[name][0]
        if states and fresh:
            states.keep(fresh)
        unknown = counter.recall([hashes[name][0] for name, _ in batch if name in hashes])
        for name, full in batch:
            if name in hashes and hashes[name][0] in unknown:
                text = _text(name, read.pop(name, None) or _bytes(name, full, counted), counted)
                if text is None:
                    del hashes[name]
                else:
                    yield hashes[name][0], text
    if progress:
        progress(len(found), len(found))


def _text(name: str, data: Optional[bytes], counted: Counted) -> Optional[str]:
    if data is None:
        return None
    try:
        return files.decode(name, data)
    except files.Unreadable as error:
        counted.left_out.append((name, str(error).removeprefix(name + " ")))
        return None


def _found(paths: list[str], counted: Counted) -> list[tuple[str, str]]:
    """(shown name, full path) of every file, once."""
    found: dict[str, str] = {}
    for path in paths:
        if os.path.isdir(path):
            shown = "" if len(paths) == 1 else os.path.relpath(path) + "/"
            top = os.path.join(os.path.realpath(path), "")
            for name in files.listing(path):
                full = os.path.join(path, name)
                if os.path.islink(full) and not os.path.realpath(full).startswith(top):
                    counted.left_out.append((shown + name, "is a link that leads out of the folder."))
                else:
                    found.setdefault(shown + name, full)
        elif os.path.isfile(path):
            found.setdefault(os.path.relpath(path), path)
        else:
            counted.left_out.append((os.path.relpath(path), "does not exist."))
    return sorted(found.items())


def _bytes(name: str, full: str, counted: Counted) -> Optional[bytes]:
    try:
        with open(full, "rb") as f:
            return f.read()
    except OSError as error:
        counted.left_out.append((name, f"cannot be read: {error.strerror}."))
        return None
