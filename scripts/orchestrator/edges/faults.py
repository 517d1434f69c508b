"""Faults of a plan: gathered while it is read, told all at once."""

from __future__ import annotations

import unicodedata
from typing import Iterable, NamedTuple

from orchestrator.errors import OrchestratorError

SHOWN = 50  # faults that a refusal lists
KEPT = 500  # faults that are gathered at all: a hostile plan could have a million


class Fault(NamedTuple):
    """One thing wrong with a plan."""

    where: str  # "task t1, files[2]"; "" for the plan as a whole
    what: str  # what is wrong, without a full stop
    do: str  # what to do about it, a sentence; "" where `what` says it

    def __str__(self) -> str:
        return (f"{self.where}: " if self.where else "") + f"{self.what}. {self.do}".rstrip()


class PlanRefused(OrchestratorError):
    """The plan was refused and nothing of it stored; `faults` are all that is wrong with it, in order."""

    def __init__(self, faults: Iterable[Fault], subject: str = "plan") -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self._lines(subject)))

    def _lines(self, subject: str) -> Iterable[str]:
        many = len(self.faults) != 1
        count = f"at least {KEPT}" if len(self.faults) >= KEPT else str(len(self.faults))
        yield f"The {subject} is refused and nothing of it was stored: {count} fault{'s' if many else ''}."
        for number, fault in enumerate(self.faults[:SHOWN], 1):
            yield f"{number}. {fault}"
        if len(self.faults) > SHOWN:
            yield f"… and {len(self.faults) - SHOWN} more."
        again = "submit the whole plan again" if subject == "plan" else "add it again"
        yield f"Mend {'all of them' if many else 'it'} and {again}."


class Faults:
    """The faults while they are gathered."""

    def __init__(self) -> None:
        self._found: list[tuple[int, Fault]] = []

    def add(self, where: str, what: str, do: str, at: int = -1) -> None:
        """Keeps one more. `at`: the place in the plan that it is told by."""
        if not self.full:
            self._found.append((at, Fault(where, what, do)))

    @property
    def full(self) -> bool:
        """Whether there are so many that more would help nobody."""
        return len(self._found) >= KEPT

    def in_order(self) -> list[Fault]:
        """By place in the plan, then as they were found."""
        return [fault for _, fault in sorted(self._found, key=lambda each: each[0])]

    def __bool__(self) -> bool:
        return bool(self._found)


def quoted(value: object, most: int = 60) -> str:
    """A value as data: text in double quotes, on one line, cut, with what a terminal would act on escaped."""
    if isinstance(value, str):
        return '"' + "".join(_shown(char) for char in value[:most]) + ("…" if len(value) > most else "") + '"'
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return "NaN" if value != value else repr(value) if abs(value) < 1e15 else "a huge number"
    return "a list" if isinstance(value, list) else "an object"


def _shown(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char == "\n":
        return "\\n"
    if unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp"):
        return f"\\u{ord(char):04x}"
    return char


def sentence(words: str) -> str:
    """A fault's `what` of sentences that hold names from files: on one line, nothing in it that a terminal acts on."""
    return "".join(char if char.isprintable() else "?" for char in words).rstrip(".")


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in a row, cut: a, b, c and 4 more."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
