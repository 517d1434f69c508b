"""Sections of a file: a Markdown heading, a symbol or lines, each found as a range of lines."""

import os
import re
from dataclasses import dataclass
from typing import Optional

from orchestrator.context import languages, outline
from orchestrator.errors import OrchestratorError

OUTLINE = "*"  # path::* asks for the outline of a file


class NoSection(OrchestratorError):
    """The file has no such section."""


@dataclass(frozen=True)
class Spec:
    """What a plan or a command names: a path, and of that file all, a heading, a symbol or lines."""

    path: str
    heading: Optional[str] = None
    symbol: Optional[str] = None
    lines: Optional[tuple[int, int]] = None

    @property
    def whole(self) -> bool:
        """Whether all of the file is meant."""
        return self.heading is None and self.symbol is None and self.lines is None

    @property
    def label(self) -> str:
        """The section in words, as the bundle's `sections` hold it."""
        if self.lines:
            return "lines %d-%d" % self.lines
        return self.heading or self.symbol or ""


_LINES = re.compile(r"(?P<path>.+):(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?\Z", re.DOTALL)


def parse(text: str, root: str) -> Spec:
    """Reads `path`, `path#Heading`, `path::symbol`, `path:10-40` or a glob. A file of that very name comes
    first.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise NoSection("A file is named by its path, as src/app.py.")
    if os.path.lexists(os.path.join(root, text)):
        return Spec(text)
    path, mark, symbol = text.rpartition("::")
    if mark and path and symbol.strip():
        return Spec(path, symbol=symbol.strip())
    path, mark, heading = text.partition("#")
    if mark and path and heading.strip("# "):
        return Spec(path, heading=heading.strip("# "))
    found = _LINES.match(text)
    if not found:
        return Spec(text)
    first, last = int(found["first"]), int(found["last"] or found["first"])
    if first < 1 or last < first:
        raise NoSection(f"{text}: lines are named from 1, the smaller first, as {found['path']}:10-40.")
    return Spec(found["path"], lines=(first, last))


def find(spec: Spec, path: str, text: str) -> tuple[int, int]:
    """The first and last line (from 1, inclusive) of the section that is meant."""
    if spec.lines:
        last = len(lines_of(text))
        if spec.lines[0] > last:
            raise NoSection(f"{path} has {last} line{'' if last == 1 else 's'}: line {spec.lines[0]} is not there.")
        return spec.lines[0], min(spec.lines[1], last)
    if spec.heading is not None:
        return _heading(spec.heading, path, text)
    return _symbol(spec.symbol or "", path, text)


_OTHER_ENDS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # where splitlines cuts too


def lines_of(text: str) -> list[str]:
    """The lines of a text with their ends, cut at \\n only, so that joining them gives the text again."""
    if not any(map(text.__contains__, _OTHER_ENDS)):
        return text.splitlines(True)
    parts = text.split("\n")
    out = [part + "\n" for part in parts[:-1]]
    return [*out, parts[-1]] if parts[-1] else out


_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*\r?$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


def headings(text: str) -> list[tuple[int, int, str]]:
    """The Markdown headings of a text: (line from 1, level, title). What stands in a fence is none."""
    found = []
    fence = ""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        mark = _FENCE.match(line)
        if mark:
            if not fence:
                fence = mark[1]
            elif mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif not fence:
            title = _HEADING.match(line)
            if title:
                found.append((number, len(title[1]), title[2].strip()))
            elif (
                number > 1 and re.fullmatch(r" {0,3}(=+|-{2,})[ \t]*\r?", line) and lines[number - 2].strip()
            ):
                above = lines[number - 2].strip()
                if not (found and found[-1][0] == number - 1) and not above.startswith(("|", "-", "*", ">")):
                    found.append((number - 1, 1 if "=" in line else 2, above))
    return found


def _heading(wanted: str, path: str, text: str) -> tuple[int, int]:
    """From the heading to the next one of its level or above. `A > B` finds B below A."""
    found = headings(text)
    steps = [step.strip() for step in wanted.split(" > ")]
    first, last = 1, len(lines_of(text))
    for step in steps:
        for place, (line, level, title) in enumerate(found):
            if first <= line <= last and _same_title(title, step):
                end = next((n for n, other, _ in found[place + 1 :] if other <= level), last + 1)
                first, last = line, min(end - 1, last)
                break
        else:
            near = ", ".join(title for _, _, title in found[:12]) or "none"
            raise NoSection(f"{path} has no heading '{wanted}'. Its headings: {near}.")
    return first, last


def _same_title(title: str, wanted: str) -> bool:
    def bare(words: str) -> str:
        return re.sub(r"[\W_]+", " ", re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", words)).strip().casefold()

    return bare(title) == bare(wanted)


def _symbol(wanted: str, path: str, text: str) -> tuple[int, int]:
    if path.endswith((".py", ".pyi")):
        try:
            places = outline.python_symbols(text)
        except (SyntaxError, ValueError) as error:
            raise NoSection(
                f"{path} is not Python that can be read ({error}): name lines instead, as {path}:10-40."
            ) from None
    else:
        found = languages.symbols(path, text)
        if found is None:
            raise NoSection(
                f"Symbols of {os.path.splitext(path)[1] or 'this kind of'} files are not known here: "
                f"name lines instead, as {path}:10-40{_extra(path)}."
            )
        places = found
    place = places.get(wanted) or next((p for name, p in places.items() if name.endswith("." + wanted)), None)
    if place is None:
        near = ", ".join(list(places)[:12]) or "none"
        raise NoSection(f"{path} has no function or class '{wanted}'. It has: {near}.")
    return place


def _extra(path: str) -> str:
    ending = os.path.splitext(path)[1].lower()
    return ", or install requirements/outlines.txt" if ending in languages.GRAMMARS else ""
