"""Tables and texts: readable at 100 columns, harmless to a terminal, exact for programs."""

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.edges.cli import tables
from orchestrator.edges.cli.tables import Column

HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\x1b\x07\x9b\x9d\x9c\r\n\t|`<>[]*\\\u202e\u2066\u200b\u2028日本👍\u0301=+-@\"',;"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=200,
)
COLUMNS = [
    Column("id", lambda r: r["id"]),
    Column("tokens", lambda r: r["tokens"]["number"], right=True),
    Column("text", lambda r: r["text"], give=True),
]
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.from_regex(r"exec-[a-z0-9]{1,10}", fullmatch=True),
            "text": st.one_of(st.none(), HOSTILE),
            "tokens": st.fixed_dictionaries(
                {"number": st.one_of(st.none(), st.integers()), "how": st.just("usage")}
            ),
            "list": st.lists(HOSTILE, max_size=2),
        }
    ),
    max_size=5,
)


def harmless(text, but="\n"):
    """Whether no character of a text can drive a terminal."""
    return not [
        c for c in text if c not in but and unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
    ] and not (set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"))


@given(HOSTILE)
def test_a_visible_text_cannot_drive_a_terminal(text):
    """No escape, control or turn of direction is left; visible text stays as it is, and once is enough."""
    shown = tables.visible(text)
    assert harmless(shown, "\n\t")
    assert tables.visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b2Jgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;clip", "52;c;clip"),  # not closed: nothing of what follows is hidden
        ("\x1b]52;c;\nall this is seen", "52;c;\nall this is seen"),
        ("\x1bcreset", "reset"),
        ("over\rwritten", "overwritten"),
        ("a\r\nb", "a\nb"),
        ("abc\u202edcba", "abcdcba"),
        ("日本 👍", "日本 👍"),
    ],
)
def test_escape_sequences_are_taken_out_whole(text, shown):
    """An escape sequence leaves no litter, and hides nothing that is not its own."""
    assert tables.visible(text) == shown


@given(RECORDS)
def test_a_table_stays_within_the_window_and_cuts_no_id(records):
    """Every line fits 100 places, whatever the texts hold, and ids stand whole."""
    lines = tables.aligned(COLUMNS, records).split("\n")
    assert len(lines) == len(records) + 1
    for line, record in zip(lines[1:], records, strict=True):
        assert harmless(line) and tables.width(line) <= 100
        assert line.startswith(record["id"])


def test_columns_line_up_also_behind_wide_characters():
    """A character that takes two places counts as two, a combining one as none."""
    text = tables.table(["a", "b"], [["日本", "x"], ["e\u0301", "x"], ["abcd", "x"]])
    assert [tables.width(line.split("x")[0]) for line in text.split("\n")[1:]] == [6, 6, 6]


def test_what_does_not_fit_is_cut_visibly(monkeypatch):
    """In a narrow window the columns that may give way do, down to a few places."""
    monkeypatch.setenv("COLUMNS", "40")
    text = tables.table(["id", "title"], [["exec-0123456789", "word " * 20]])
    assert [tables.width(line) <= 40 for line in text.split("\n")] == [True, True]
    assert text.endswith("…") and "exec-0123456789" in text


@given(RECORDS)
def test_csv_reads_back(records):
    """CSV holds each value in its own field, whatever it holds: formulas, quotes, commas, line breaks."""
    text = tables.comma_separated(records)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert row["id"] == record["id"]
        assert row["text"] == tables.visible(record["text"])
        assert row["tokens_number"] == (
            "" if record["tokens"]["number"] is None else str(record["tokens"]["number"])
        )
        assert row["tokens_how"] == "usage"


def test_csv_puts_texts_in_quotes():
    """A text that a spreadsheet could take for a formula is a quoted text."""
    assert (
        tables.comma_separated([{"a": '=cmd|"x"', "b": 1, "c": None}]) == '"a","b","c"\n"=cmd|""x""",1,""\n'
    )


@given(RECORDS)
def test_json_reads_back_and_holds_no_control(records):
    """JSON is exact, and what a terminal could obey is escaped in it."""
    text = tables.dumps(records)
    assert json.loads(text) == records
    assert tables.visible(text) == text


@given(RECORDS)
def test_a_markdown_cell_stays_a_cell(records):
    """Nothing in a value ends its cell or its row, or becomes markup, a link or HTML."""
    lines = tables.markdown(COLUMNS, records).rstrip("\n").split("\n")
    assert len(lines) == len(records) + 2
    for line in lines[2:]:
        bare = (
            line.replace("\\\\", "")
            .replace("\\|", "")
            .replace("\\<", "")
            .replace("\\[", "")
            .replace("\\`", "")
        )
        assert bare.count("|") == 4
        assert harmless(bare) and not set(bare) & set("<[`")


def test_durations_and_counts_are_short():
    """A duration has the unit that fits it; what is not known is empty."""
    assert [tables.span(s) for s in (None, 0.04, 9.9, 42.4, 100, 5999, 7300)] == [
        "",
        "0.0 s",
        "9.9 s",
        "42 s",
        "2 min",
        "1 h 40",
        "2 h 02",
    ]
    assert tables.number(None) == "" and tables.number(1234567) == "1,234,567"
