"""Trees of token counts: every file below some paths, read once, counted from the cache where it can be."""

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Optional

from orchestrator.context import files
from orchestrator.context.tokens import Counter
from orchestrator.model.ids import content_hash

SPAN = 8_000_000  # bytes of text held at a time


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
    paths: list[str], counter: Counter, progress: Optional[Callable[[int, int], None]] = None
) -> Counted:
    """Counts the files at and below these absolute paths."""
    counted = Counted(counter.how)
    found = _found(paths, counted)
    hashes: dict[str, tuple[str, int]] = {}
    for start in range(0, len(found), 400):  # first what is known: reading and hashing only
        batch = found[start : start + 400]
        for name, full in batch:
            data = _bytes(name, full, counted)
            if data is not None:
                hashes[name] = content_hash(data), len(data)
    missing = counter.recall([digest for digest, _ in hashes.values()])
    todo = [(name, full) for name, full in found if name in hashes and hashes[name][0] in missing]
    done = len(found) - len(todo)
    if progress:
        progress(done, len(found))
    _count_rest(todo, counter, counted, hashes, progress, done, len(found))
    for name, (digest, size) in hashes.items():
        known = counter.known(digest)
        if known:
            counted.files[name] = (known[0], size)
            if known[1] != counter.how:
                counted.how = known[1]
    return counted


def _count_rest(
    todo: list[tuple[str, str]],
    counter: Counter,
    counted: Counted,
    hashes: dict[str, tuple[str, int]],
    progress: Optional[Callable[[int, int], None]],
    done: int,
    total: int,
) -> None:
    texts: list[str] = []
    size = 0
    for place, (name, full) in enumerate(todo, 1):
        data = _bytes(name, full, counted)
        try:
            text = files.decode(name, data) if data is not None else None
        except files.Unreadable as error:
            counted.left_out.append((name, str(error).removeprefix(name + " ")))
            text = None
        if text is None:
            hashes.pop(name, None)
        else:
            encoded = text.encode("utf-8", "surrogatepass")
            hashes[name] = content_hash(encoded), len(data or b"")
            texts.append(text)
            size += len(encoded)
        if size >= SPAN or place == len(todo):
            counter.count_many(texts)
            texts, size = [], 0
            if progress:
                progress(done + place, total)


def _found(paths: list[str], counted: Counted) -> list[tuple[str, str]]:
    """(shown name, full path) of every file, once."""
    found: dict[str, str] = {}
    for path in paths:
        if os.path.isdir(path):
            shown = "" if len(paths) == 1 else os.path.relpath(path) + "/"
            for name in files.listing(path):
                found.setdefault(shown + name, os.path.join(path, name))
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
