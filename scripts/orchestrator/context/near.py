"""Near-duplicates: an edited copy as a diff against the text it was copied from, where that is short and
readable.
"""

import re
from collections import Counter as Tally
from functools import lru_cache
from typing import Optional, Sequence

from orchestrator.context.items import Item
from orchestrator.context.sections import lines_of

ALIKE = 0.6  # part of the lines that must be the other's too
HUNKS = 24  # more places of change than this are not read with pleasure
LONG = 4_000  # lines beyond which nothing is compared


def closest(earlier: Sequence[Item], text: str) -> tuple[Optional[int], str]:
    """(place of the item that is sent whole and most alike, the diff that turns it into the text), or (None,
    "").
    """
    lines = tuple(lines_of(text))
    if not 12 <= len(lines) <= LONG or not text.endswith("\n"):
        return None, ""
    tally, total = _tally(text)
    best: tuple[float, Optional[int]] = (ALIKE, None)
    for place, item in enumerate(earlier):
        if item.form != "all" or item.type == "briefing" or not item.text.endswith("\n"):
            continue
        other, size = _tally(item.text)
        if abs(size - total) > 0.5 * max(size, total):
            continue
        both = max(1, total + size)
        if 2 * (total - len(tally.keys() - other.keys())) / both <= best[0]:
            continue  # so many lines that the other has not: the dearer sum below cannot change it
        alike = 2 * (tally & other).total() / both
        if alike > best[0]:
            best = (alike, place)
    if best[1] is None:
        return None, ""
    diff = _diff(earlier[best[1]].text, text)
    return (best[1], diff) if diff else (None, "")


@lru_cache(maxsize=4096)
def _tally(text: str) -> tuple["Tally[str]", int]:
    """How often each line stands there, bare of its indentation, and how many lines that are."""
    lines = list(filter(None, map(str.strip, text.split("\n"))))
    return Tally(lines), len(lines)


@lru_cache(maxsize=1024)
def _diff(old: str, new: str) -> str:
    """The changes as hunks of a unified diff with one line around each; "" when there are too many."""
    import difflib

    hunks = list(difflib.unified_diff(lines_of(old), lines_of(new), n=1))[2:]
    return "".join(hunks) if sum(line.startswith("@@") for line in hunks) <= HUNKS else ""


_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@$")


def apply(old: str, diff: str) -> str:
    """The text that a diff makes of the old one."""
    source = lines_of(old)
    out: list[str] = []
    at = 0
    for line in lines_of(diff):
        hunk = _HUNK.match(line.rstrip("\n"))
        if hunk:
            start = int(hunk[1]) - (0 if hunk[2] == "0" else 1)
            out.extend(source[at:start])
            at = start
        elif line[0] == "+":
            out.append(line[1:])
        else:
            if line[0] == " ":
                out.append(source[at])
            at += 1
    return "".join(out + source[at:])
