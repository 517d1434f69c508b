"""Duplicates within a bundle: what the agent has read before in it is pointed at, not sent again.

Nothing is lost: from the texts as sent and the pointers, `rebuild` gives back each text as it was. A pointer
leads to lines that stand earlier in the same briefing, word for word.
"""

from bisect import bisect_left
from collections import Counter as Tally
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Optional, Sequence

from orchestrator.context import near
from orchestrator.context.items import Item
from orchestrator.context.sections import lines_of
from orchestrator.context.tokens import Counter

WINDOW = 4  # equal lines in a row that may begin a repetition
ITEM = 1 << 32  # more lines than any item has
LEAST = 200  # characters of a repetition worth pointing at: a pointer costs about 30 tokens


@dataclass(frozen=True)
class Pointer:
    """A line of the sent text that stands for some lines of an item's original text."""

    at: int  # which line of the sent text it is, from 0
    item: int  # whose lines they are
    first: int  # from which line on, from 0
    count: int


Lines = tuple[str, ...]
Windows = list[int]  # the hash of the WINDOW lines from each line on; what it finds is compared line by line


class Cut(NamedTuple):
    """The lines of a text, the window that begins at each, and those that stand there twice."""

    lines: Lines
    windows: Windows
    repeated: frozenset[int]


_known: set[int] = set()  # windows of all texts that were cut
_again: set[int] = set()  # those that were known when another text was cut: nothing else can be a repetition


@lru_cache(maxsize=1024)
def _cut(text: str) -> Cut:
    lines = tuple(lines_of(text))
    windows = list(map(hash, zip(*(lines[n:] for n in range(WINDOW)), strict=False)))
    before = len(_known)
    _again.update(_known.intersection(windows))
    _known.update(windows)
    if len(_known) - before == len(windows) or len(set(windows)) == len(windows):
        return Cut(lines, windows, frozenset())
    return Cut(lines, windows, frozenset(w for w, n in Tally(windows).items() if n > 1))


class Seen:
    """The lines sent so far, found by any window of them."""

    def __init__(self) -> None:
        self.places: dict[int, int] = {}  # where a window was sent last: the item times ITEM, and the line
        self._lines: dict[int, Lines] = {}
        self._gaps: dict[int, list[tuple[int, int]]] = {}

    def run(self, lines: Lines, at: int, window: int, item: int) -> tuple[int, int, int]:
        """(item, first line, lines) of the run sent before that `lines` repeats from `at` on, or zeros."""
        place = self.places.get(window)
        if place is None:
            return 0, 0, 0
        other, first = divmod(place, ITEM)
        old = lines if other == item else self._lines[other]
        most = min(len(lines) - at, (at if other == item else len(old)) - first)
        for start, end in self._gaps.get(other, ()):  # lines that were pointed at are no target
            if first < end:
                most = min(most, start - first)
                break
        n = 0
        while n < most and old[first + n] == lines[at + n]:
            n += 1
        return other, first, n

    def add(self, item: int, cut: Cut, spots: list[int], first: int, end: int) -> None:
        """Lines of an item that are sent as they are; `spots` are those whose windows may stand elsewhere."""
        self._lines[item] = cut.lines
        for at in spots[bisect_left(spots, first) : bisect_left(spots, end - WINDOW + 1)]:
            self.places[cut.windows[at]] = item * ITEM + at

    def skip(self, item: int, first: int, end: int) -> None:
        """Lines of an item that a pointer stands for."""
        self._gaps.setdefault(item, []).append((first, end))


def within(items: list[Item], counter: Counter, diffs: bool = True) -> None:
    """Sets what is sent of each item, and its tokens. Outlines and paths stay as they are."""
    whole = counter.count_many([i.sent if i.form in ("outline", "path") else i.text for i in items])
    cuts = [_cut(i.text) if i.form not in ("outline", "path") and i.type != "briefing" else None for i in items]
    seen = Seen()
    for place, (item, (tokens, how)) in enumerate(zip(items, whole, strict=True)):
        item.tokens, item.how, item.needs, item.pointers = tokens, how, [], []
        item.full_tokens = counter.count(item.text)[0] if item.form != item.asked else tokens
        if item.form == "path":
            item.tokens = 0
        cut = cuts[place]
        if cut is None:
            continue
        item.form, item.sent, item.base = item.asked, item.text, ""
        may = _again.intersection(cut.windows) | cut.repeated
        spots = [at for at, window in enumerate(cut.windows) if window in may] if may else []
        pieces = _pieces(seen, cut, spots, place)
        if len(pieces) > 1 or pieces and pieces[0][2]:
            _choose(items, place, cut.lines, pieces, counter, diffs)
        if item.form == "diff":
            continue
        if not item.pointers:
            pieces = [(0, len(cut.lines), None)]
        for first, end, target in pieces:
            if target is None:
                seen.add(place, cut, spots, first, end)
            else:
                seen.skip(place, first, end)


def measure(items: list[Item], counter: Counter) -> None:
    """The tokens of what is asked for, nothing left out."""
    for item, (tokens, how) in zip(items, counter.count_many([i.sent for i in items]), strict=True):
        item.tokens, item.how = tokens if item.included else 0, how


Piece = tuple[int, int, Optional[tuple[int, int]]]  # first line, end, (item, line) that it repeats


def _pieces(seen: Seen, cut: Cut, spots: list[int], place: int) -> list[Piece]:
    """The text as runs of lines to send and runs that stand there already.

    A run that repeats lines of its own text leads to the part before it that is sent as it is.
    """
    lines, windows, places = cut.lines, cut.windows, seen.places
    hits = [at for at in spots if windows[at] in places or windows[at] in cut.repeated]
    out: list[Piece] = []
    own = Seen()
    literal, waiting = 0, 0  # where the present run of lines to send began; the hits known to own
    for number, at in enumerate(hits):
        if at < literal:
            continue
        while waiting < number and hits[waiting] + WINDOW <= at:
            if hits[waiting] >= literal:
                own.add(place, cut, hits, hits[waiting], hits[waiting] + WINDOW)
            waiting += 1
        other, first, n = seen.run(lines, at, windows[at], place)
        mine = own.run(lines, at, windows[at], place)
        if mine[2] > n:
            other, first, n = mine
        if n >= WINDOW and sum(len(line.strip()) for line in lines[at : at + n]) >= LEAST:
            if literal < at:
                out.append((literal, at, None))
            out.append((at, at + n, (other, first)))
            own.skip(place, at, at + n)
            literal = at + n
    if literal < len(lines):
        out.append((literal, len(lines), None))
    return out


def _choose(
    items: list[Item], place: int, lines: Lines, pieces: list[Piece], counter: Counter, diffs: bool
) -> None:
    """Sends the text as it is, with pointers, or as a diff against a whole item: whichever is shortest."""
    item = items[place]
    pointed, pointers = _pointed(items, place, lines, pieces)
    best = item.full_tokens
    if pointers:
        tokens, how = counter.count(pointed)
        if tokens < best:
            best, item.tokens, item.how, item.sent, item.pointers = tokens, tokens, how, pointed, pointers
            item.form = "pointers"
            item.needs = sorted({p.item for p in pointers} - {place})
    base, diff = near.closest(items[:place], item.text) if diffs else (None, "")
    if base is not None and diff:
        tokens, how = counter.count(diff)
        chain = len(pointers) > 3 and {p.item for p in pointers} == {
            base
        }  # many pointers read worse than a diff
        if tokens < min((1.5 if chain else 0.8) * best, 0.5 * item.full_tokens):
            item.tokens, item.how, item.sent, item.pointers = tokens, how, diff, []
            item.form, item.needs, item.base = "diff", [base], items[base].label


def _pointed(items: list[Item], place: int, lines: Lines, pieces: list[Piece]) -> tuple[str, list[Pointer]]:
    sent: list[str] = []
    pointers = []
    for first, end, target in pieces:
        if target is None:
            sent.extend(lines[first:end])
            continue
        other, at = target
        if sent and not sent[-1].endswith("\n"):
            sent[-1] += "\n"
        pointers.append(Pointer(len(sent), other, at, end - first))
        begins = next((line.strip() for line in lines[first:end] if line.strip()), "")
        where = "above in this file" if other == place else f"in {items[other].label}, above"
        sent.append(f"[{end - first} lines that stand {where}, from `{_short(begins)}` on]\n")
    return "".join(sent), pointers


def _short(line: str) -> str:
    return (line if len(line) <= 60 else line[:57] + "...").replace("`", "'")


def rebuild(items: Sequence[Item]) -> list[str]:
    """Each item's text as it was, from what is sent of all of them."""
    texts: list[list[str]] = []
    for item in items:
        if item.form == "diff":
            texts.append(lines_of(near.apply("".join(texts[item.needs[0]]), item.sent)))
            continue
        out: list[str] = []
        texts.append(out)
        stand_for = {pointer.at: pointer for pointer in item.pointers}
        for number, line in enumerate(lines_of(item.sent)):
            pointer = stand_for.get(number)
            if pointer is None:
                out.append(line)
            else:
                out.extend(texts[pointer.item][pointer.first : pointer.first + pointer.count])
    return ["".join(lines) for lines in texts]
