"""Checks of a plan that need its graph and the disk: files that will be missing, writes at the same time."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Sequence

from orchestrator.model import globs
from orchestrator.model import plan as graph
from orchestrator.services.plan_files import PlanFiles


class Node(NamedTuple):
    """A task as these checks see it."""

    id: str
    after: Sequence[str]
    reads: Sequence[
        tuple[str, str]
    ] = ()  # (which entry of which field, the reference), as ("files[0]", "src/a.py")
    writes: Sequence[str] = ()
    at: int = -1  # its place in the plan; -1: it was there before
    where: str = ""  # how a fault names it


class Order:
    """Who comes before whom, as sets of bits: a chain of a thousand tasks has half a million such pairs."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        tasks = [{"id": node.id, "after": node.after} for node in nodes]
        edges = graph.edges(tasks)
        self.ids = list(edges)
        self.bit = {name: 1 << at for at, name in enumerate(edges)}
        self.before: dict[str, int] = {}
        for wave in graph.waves(tasks):
            for name in wave:
                mask = 0
                for other in edges[name]:
                    mask |= self.before[other] | self.bit[other]
                self.before[name] = mask
        for (
            name
        ) in edges:  # in a ring or behind one: that is told elsewhere, and nothing more can be said here
            self.before.setdefault(name, (1 << len(edges)) - 1)

    def names(self, mask: int) -> list[str]:
        """The ids whose bits are set."""
        return [name for name in self.ids if mask & self.bit[name]]


class Writers:
    """Which tasks may create a path: plain ones by name, globs by what their matches begin with."""

    def __init__(self, nodes: Sequence[Node], order: Order, files: PlanFiles) -> None:
        self._files = files
        self.plain: dict[str, int] = {}
        self.globs: dict[str, dict[str, int]] = {}
        for node in nodes:
            for pattern in node.writes:
                wild = globs.is_glob(pattern)
                place = self.globs.setdefault(globs.ends(pattern)[0], {}) if wild else self.plain
                place[pattern] = place.get(pattern, 0) | order.bit[node.id]

    def of(self, path: str) -> int:
        """The bits of the tasks whose `writes` match a path, or could match what a glob matches."""
        mask = self.plain.get(path, 0)
        if not globs.is_glob(path):
            for pattern, bits in self.around(path):
                mask |= bits if self._files.matches(pattern, path) else 0
            return mask
        for plain, bits in self.plain.items():
            mask |= bits if self._files.matches(path, plain) else 0
        for patterns in self.globs.values():
            for pattern, bits in patterns.items():
                mask |= bits if self._files.overlap(path, pattern) else 0
        return mask

    def around(self, text: str) -> Iterator[tuple[str, int]]:
        """The globs whose matches begin as `text` does, and their tasks."""
        for length in range(len(text) + 1):
            if text[:length] in self.globs:
                yield from self.globs[text[:length]].items()


def missing_files(nodes: Sequence[Node], files: PlanFiles) -> Iterator[tuple[Node, str, str, str, str]]:
    """(task, entry, reference, what is wrong, what to do) of each file that is outside or will be missing."""
    order = Order(nodes)
    writers = Writers(nodes, order, files)
    known: dict[str, tuple[str, str] | None] = {}
    for node in nodes:
        for entry, text in node.reads:
            path = files.path(text)
            if not isinstance(path, str):
                yield node, entry, text, *path
                continue
            if path not in known:
                known[path] = files.missing(path)
            wrong = known[path]
            if wrong is None:
                continue
            who = writers.of(path)
            if who & order.before[node.id]:
                continue
            if who & ~order.bit[node.id]:
                names = order.names(who & ~order.bit[node.id])
                first = ", ".join(f"`{name}`" for name in names[:3] if len(name) < 65)
                wrong = wrong[0], f"{first} may write it but does not come before: put it in `after`."
            elif who:
                wrong = wrong[0], "The task writes it itself: name it in `writes` alone."
            yield node, entry, text, *wrong


def writes_together(nodes: Sequence[Node], files: PlanFiles, most: int = 5) -> list[tuple[str, str, str]]:
    """[(one task, another, what both may write)], at most `most`: nothing says which comes first."""
    order = Order(nodes)
    writers = Writers(nodes, order, files)
    masks = dict(writers.plain)
    for patterns in writers.globs.values():
        masks.update(patterns)
    found: dict[tuple[str, str], str] = {}
    for pattern, bits in masks.items():
        rivals = bits
        for other, others in writers.around(globs.ends(pattern)[0]):
            if rivals | others != rivals and files.overlap(pattern, other):
                rivals |= others
        if files.tired:
            break  # it is only a warning
        if rivals & (rivals - 1) == 0:
            continue  # one task alone
        for name in order.names(bits):
            for other in order.names(rivals & ~order.before[name] & ~order.bit[name]):
                if not order.before[other] & order.bit[name]:
                    pair = (name, other) if order.bit[name] < order.bit[other] else (other, name)
                    found.setdefault(pair, pattern)
                    if len(found) >= most:
                        return [(*pair, text) for pair, text in found.items()]
    return [(*pair, text) for pair, text in found.items()]
