"""Tables and texts as people and programs read them; nothing in them can drive a terminal."""

from __future__ import annotations

import os
import sys
import time

from orchestrator import paths

TYPE_CHECKING = False  # lists load this: what only some texts need is imported for these
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Optional, Sequence

WIDTH = 100  # where nothing says how wide the reader's window is
GAP = "  "
LEAST, FEWER, FEWEST = 12, 8, 4  # places a column keeps when it gives way: where the others leave so many
PAIRS = ("tokens", "executions")  # what is nested in a record and always there
COLOURS = {"failed": 31, "lost": 31, "completed": 32, "deployed": 33, "in_flight": 33}  # as terminals number them
_ESCAPES = (  # one that is not closed on its line loses its first marks only: it hides nothing
    "\x1b\\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\n\x07\x1b\x9c]*(?:\x1b\\\\|\x07|\x9c)"  # OSC, DCS
    "|\x1b[ -/]*[0-~]"
)
_MARKUP = r"[\\`*~\[\]<>|]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=[wW]{3})\.|@"  # snake_case is no markup
_RECKONED = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a cell begins with that spreadsheets reckon out


class Column:
    """One column of a table: its heading, how its cell is made of a record, and whether it gives way."""

    def __init__(
        self, head: str, cell: Callable[[dict[str, Any]], Any], right: bool = False, give: bool = False
    ) -> None:
        self.head, self.cell, self.right, self.give = head, cell, right, give

    def cells(self, records: Sequence[dict[str, Any]]) -> list[Any]:
        """Its cells, of all records of a table."""
        return [self.cell(record) for record in records]


def say(text: str, err: bool = False, end: str = "\n") -> None:
    """Prints a text at once, on stderr when it is none of the answer."""
    print(text, end=end, file=sys.stderr if err else sys.stdout, flush=True)


def visible(text: Optional[str]) -> str:
    """Text that cannot drive a terminal: no escape sequence, nothing unseen but line breaks and tabs."""
    out = str(text or "")
    if out.isascii() and out.isprintable():
        return out
    import re
    import unicodedata

    out = re.sub(_ESCAPES, "", out).replace("\r\n", "\n")
    if out.isascii() and out.replace("\n", "").replace("\t", "").isprintable():
        return out
    return "".join([c for c in out if c in "\n\t\u200d" or unicodedata.category(c) not in _UNSEEN])


_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def one_line(text: Any) -> str:
    """A value on one line."""
    return "" if text is None else " ".join(visible(str(text)).split())


def width(text: str) -> int:
    """How many places a terminal gives to a text on one line."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        [
            0
            if unicodedata.category(c) in ("Mn", "Me", "Cf")
            else 2
            if unicodedata.east_asian_width(c) in "WF"
            else 1
            for c in text
        ]
    )


def cut(text: str, room: int) -> str:
    """The text in at most `room` places; what was cut is shown by an ellipsis."""
    if width(text) <= room:
        return text
    out, used = "", 0
    for char in text:
        wide = width(char)
        if used + wide > room - 1:
            break
        out, used = out + char, used + wide
    return out + "…" if room > 0 else ""


def terminal_width() -> int:
    """How wide the reader's window is: COLUMNS, the terminal's own word, else 100."""
    given = paths.variable("COLUMNS") or ""
    if given.isdigit() and int(given) > 0:
        return max(40, int(given))
    try:
        return max(40, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError, AttributeError):
        return WIDTH


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    right: Sequence[int] = (),
    give: Optional[Sequence[int]] = None,
) -> str:
    """Rows under headings, aligned, within the reader's window as far as the columns in `give` can give way.

    Those are the last column where nothing is said. Ids and numbers are never cut. Where that is not enough, columns
    without a value are left out, and the others stand closer.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max([width(head)] + [width(row[at]) for row in cells]) for at, head in enumerate(heads)]
    every = list(range(len(heads)))
    used = [at for at in every if not cells or any(row[at] for row in cells)]
    giving = [len(heads) - 1] if give is None else list(give)
    for shown, gap, least in ((every, GAP, LEAST), (used, GAP, FEWER), (used, " ", FEWER), (used, " ", FEWEST)):
        narrow = _narrowed(widths, shown, giving, len(gap), least)
        if sum(narrow) + len(gap) * (len(shown) - 1) <= terminal_width():
            break
    lines = []
    for row in [[head.upper() for head in heads], *cells]:
        line = []
        for at, room in zip(shown, narrow, strict=True):
            cell = cut(row[at], room)
            blank = " " * (room - width(cell))
            cell = painted(cell) if len(gap) == 1 and cell in COLOURS and colourful() else cell
            line.append(blank + cell if at in right else cell + blank)
        lines.append(gap.join(line).rstrip())
    return "\n".join(lines)


def _narrowed(widths: list[int], shown: list[int], give: list[int], gap: int, least: int) -> list[int]:
    """The widths of the columns that are shown: from those that give way is taken, the widest first, until all fit or each
    has its least."""
    narrow = [widths[at] for at in shown]
    giving = [place for place, at in enumerate(shown) if at in give]
    over = sum(narrow) + gap * (len(shown) - 1) - terminal_width()
    while over > 0:
        wide = [place for place in giving if narrow[place] > least]
        if not wide:
            break
        narrow[max(wide, key=lambda place: narrow[place])] -= 1
        over -= 1
    return narrow


def _rows(columns: Sequence[Column], records: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*[c.cells(records) for c in columns], strict=True))


def aligned(columns: Sequence[Column], records: Sequence[dict[str, Any]]) -> str:
    """Records as a table."""
    places = list(enumerate(columns))
    return table(
        [c.head for c in columns],
        _rows(columns, records),
        [at for at, c in places if c.right],
        [at for at, c in places if c.give],
    )


def dumps(value: Any) -> str:
    """JSON that is exact and safe to look at: what nobody sees is escaped in it."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if not text.isascii() or "\x7f" in text:
        import unicodedata

        unseen = [c for c in set(text) if unicodedata.category(c) in _UNSEEN and c not in "\n\u200d"]
        text = text.translate({ord(c): json.dumps(c)[1:-1] for c in unseen})
    return text


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record as one row: pairs and counts become columns (tokens_number), other nesting JSON."""
    import json

    out: dict[str, Any] = {}
    for key, value in record.items():
        if key in PAIRS and isinstance(value, dict):
            out.update({f"{key}_{inner}": each for inner, each in value.items()})
        else:
            out[key] = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
    return out


def comma_separated(records: Sequence[dict[str, Any]]) -> str:
    """CSV with a heading row, every text in quotes; nothing where there is no record.

    A text that a spreadsheet would take for a formula, quotes or not, gets an apostrophe before it.
    """
    import csv
    import io

    out = io.StringIO()
    rows = [flat(record) for record in records]
    if rows:
        writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(list(rows[0]))
        for row in rows:
            writer.writerow([_scalar(row.get(name)) for name in rows[0]])
    return out.getvalue()


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return "" if value is None else int(value)
    if isinstance(value, (int, float)):
        return value
    text = visible(value)
    return "'" + text if text.startswith(_RECKONED) else text


def in_markdown(text: Any) -> str:
    """A value inside a Markdown line or cell: no markup, link, image, HTML or new cell comes of it."""
    import re

    return re.sub(_MARKUP, r"\\\g<0>", one_line(text))


def code(text: Any) -> str:
    """A name as code inside a Markdown line or cell."""
    text = one_line(text).replace("`", "'").replace("|", "\\|")
    return f"`{text}`" if text else ""


def markdown(columns: Sequence[Column], records: Sequence[dict[str, Any]]) -> str:
    """A Markdown table."""
    lines = [
        "| " + " | ".join([c.head for c in columns]) + " |",
        "|" + "|".join([" ---: " if c.right else " --- " for c in columns]) + "|",
    ]
    lines += ["| " + " | ".join(map(in_markdown, row)) + " |" for row in _rows(columns, records)]
    return "\n".join(lines) + "\n"


def emit(
    found: Sequence[dict[str, Any]], columns: Sequence[Column], form: str, nothing: str, limit: Optional[int] = None
) -> None:
    """Prints records in the form asked for; `nothing` is what a person is told when there are none.

    With a `limit` one more was looked for than is to be printed: where it was found, that is said.
    """
    records = found[:limit]
    if form == "json":
        say(dumps(list(records)))
    elif form == "csv":
        say(comma_separated(records), end="")
    elif not records:
        say(nothing, err=True)
    elif form == "markdown":
        say(markdown(columns, records), end="")
    else:
        say(coloured(aligned(columns, records)))
    say_more(found, limit)


def say_more(found: Sequence[Any], limit: Optional[int]) -> None:
    """Says that there is more than the limit lets through, where that is so."""
    if limit is not None and len(found) > limit:
        say(f"orchestrator: there are more; --limit {limit * 5} shows more of them.", err=True)


def colourful() -> bool:
    """Whether this is read at a terminal whose owner has nothing against colour."""
    return sys.stdout.isatty() and not paths.variable("NO_COLOR")


def painted(state: str) -> str:
    """A state in its colour."""
    return f"\x1b[{COLOURS[state]}m{state}\x1b[0m"


def coloured(text: str) -> str:
    """A text with its states in colour, as far as they stand apart."""
    if not colourful():
        return text
    import re

    words = re.compile("(?<=  )(%s)(?=  |$)" % "|".join(COLOURS), re.MULTILINE)
    return words.sub(lambda m: painted(m.group()), text)


def exact(text: str) -> None:
    """Prints a kept text: as it is into a file or a pipe, harmless into a terminal."""
    if sys.stdout.isatty():
        text = visible(text)
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    if not text.endswith("\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def when(text: Optional[str]) -> str:
    """A time of the history, to the minute."""
    return (text or "")[:16].replace("T", " ")


def lately(text: Optional[str]) -> str:
    """A time for a narrow column: without the year in this year, without the hour in another."""
    this = time.strftime("%Y", time.gmtime())
    return when(text)[5:] if (text or "").startswith(this) else when(text)[:10]


def span(seconds: Optional[float]) -> str:
    """A duration for people."""
    if seconds is None:
        return ""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d}"


def dollars(cost: Optional[float], unpriced: int, places: int = 2) -> str:
    """Dollars; with a + where tokens of models without a price are left out, and nothing made up where that is all."""
    return "not known" if cost is None else f"${cost:,.{places}f}" + ("+" if unpriced else "")


def number(count: Optional[int]) -> str:
    """A count with its thousands set apart; nothing where it is not known."""
    return "" if count is None else f"{count:,}"
