"""The page on recording: its table of ends says what the fold does."""

import re
from pathlib import Path

import pytest

from orchestrator.model import fold

PAGE = Path(__file__).resolve().parents[2] / "references" / "recording.md"
ROW = re.compile(r"^\| (`(?:intent|started)`[^|]*) \| [^|]+ \| (\w+) \| ?(\w*) ?\|$", re.MULTILINE)
SIGNAL = re.compile(r"`(\w+)`(?: = ([A-Z ]+)| (\w+))?")


def rows():
    """(signals, status, reason) of each row of the table."""
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def event(number, kind, text, word):
    """One event of the table: a word beside a kind is the status it carries; of `closed` it is the reason."""
    known = {"kind": kind, "at": "2024-01-01T00:00:%02d.000Z" % number, "event_id": number}
    known["text"] = text.strip() or ("the last words" if kind in ("stopped", "handback") else None)
    if kind == "closed":
        known.update(status="failed", reason=word)
    elif word:
        known["status"] = word
    return tuple(known.get(name) for name in fold.COLUMNS.split(", "))


@pytest.mark.parametrize(
    ("signals", "status", "reason"), rows(), ids=[row[0].replace("`", "") for row in rows()]
)
def test_the_table_says_what_the_fold_does(signals, status, reason):
    """Folding the signals of a row gives its status and reason, in whatever order they are handed over."""
    events = [event(number, *found) for number, found in enumerate(SIGNAL.findall(signals))]
    for given in (events, events[::-1]):
        row = fold.fold(given)
        assert (row.status, row.end_reason or "") == (status, reason)


def test_the_table_is_read_whole():
    """Every line of the table of ends is one that the test above folds."""
    section = PAGE.read_text(encoding="utf-8").split("## How an agent ends")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(lines) == len(rows()) > 15
