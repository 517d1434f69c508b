"""Tables and texts: readable at 100 columns, harmless to a terminal, exact for programs."""

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.edges.cli import describe, executions, lists, outputs, stats, tables, tracker
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


LISTS = (executions.EXECUTIONS, lists.AGENTS, lists.TASKS, tracker.SESSIONS, outputs.OUTPUTS, describe.TOUCHES, stats.TYPES)


@pytest.mark.parametrize("columns", LISTS, ids=lambda columns: " ".join([c.head for c in columns]))
def test_a_list_fits_the_window_of_a_terminal(columns, monkeypatch):
    """A list of ordinary rows is at most 80 wide in a window of 80, and its ids, states and numbers stand whole."""
    monkeypatch.setenv("COLUMNS", "80")
    execution = {
        "execution_id": "exec-kvgxkhzxf0", "agent_id": "a0c1d2e3f4a5b6c7d", "task_id": "t12", "attempt": 2, "origin": "planned",
        "agent_type": "orchestrator:documenter", "scope": "Announce what is new", "resolved_model": "claude-opus-4-8",
        "model": None, "status": "completed", "lost": False, "again_since": None, "at_work_again": False, "seconds": 754.0,
        "deployed_at": "2024-11-20T08:30:00.000Z", "started_at": None, "tokens": {"number": 1_234_567, "how": "context size"},
    }  # fmt: skip
    row = {
        **execution, "state": "in_flight", "after": ["t1", "t2"], "attempts": 2, "end_reason": None, "title": "Announce it",
        "created_at": "2024-11-20T08:30:00.000Z", "session_id": "orch-2026-11-20-aex3dz", "phase": 3, "tasks": 12,
        "executions": {"deployed": 12, "completed": 11, "failed": 1, "lost": 1},
        "output_id": 15000, "output_type": "validation_result",
        "content": {"tests": "pass", "format": "pass"}, "metadata": {"agent_type": "orchestrator:documenter"}, "version": 1,
        "last_at": "2024-11-20T08:30:00.000Z", "mode": "write", "lines_added": 1200, "lines_removed": 300,
        "completed": 120, "failed": 12, "in_flight": 0, "retry_rate": 0.05, "files_read": 1200, "files_written": 130,
        "output_tokens": 123_456, "cost_usd": 123.4, "unpriced_tokens": 0, "unmeasured": 1,
    }  # fmt: skip
    row["lost"], row["in_flight"] = (2, 1) if columns is stats.TYPES else (False, 0)
    text = tables.aligned(columns, [row, row])
    assert max(map(tables.width, text.split("\n"))) <= 80
    for column in columns:
        assert column.give or str(column.cell(row) or "") in text


def test_a_type_of_the_projects_own_is_not_taken_for_ours():
    """Our prefix is left out of a table, but where another agent type has the same name without it."""
    column = executions.AgentType("agent", lambda r: r["agent_type"])
    types = ["orchestrator:builder", "builder", "orchestrator:scout", "other:scout", None]
    assert column.cells([{"agent_type": name} for name in types]) == [
        "orchestrator:builder", "builder", "scout", "other:scout", "",
    ]  # fmt: skip
    assert column.cells([{"agent_type": "orchestrator:builder"}]) == ["builder"]


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
    """CSV holds each value in its own field, whatever it holds: quotes, commas, line breaks; a formula behind an apostrophe."""
    text = tables.comma_separated(records)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert row["id"] == record["id"]
        text = tables.visible(record["text"])
        assert row["text"] == ("'" if text[:1] in tuple("=+-@\t\n") else "") + text
        assert row["tokens_number"] == (
            "" if record["tokens"]["number"] is None else str(record["tokens"]["number"])
        )
        assert row["tokens_how"] == "usage"


@pytest.mark.parametrize("text", ['=cmd|"x"', "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\x1b[1m=1"])
def test_a_text_is_no_formula_in_a_spreadsheet(text):
    """What a spreadsheet would reckon out, in quotes or not, is a text behind an apostrophe; numbers stay numbers."""
    first, second = csv.reader(io.StringIO(tables.comma_separated([{"a": text, "b": -1, "c": None}])))
    assert first == ["a", "b", "c"] and second == ["'" + tables.visible(text), "-1", ""]
    assert json.loads(tables.dumps([text])) == [text]


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


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("http://x.org/a", "http\\://x.org/a"),
        ("see www.x.org, WWW.x.org", "see www\\.x.org, WWW\\.x.org"),
        ("bob@x.org", "bob\\@x.org"),
        ("_x_ and __init__", "\\_x\\_ and \\_\\_init\\_\\_"),
        ("~~x~~", "\\~\\~x\\~\\~"),
        ("snake_case at 15:20", "snake_case at 15:20"),
        ("*a* [b](c) `d` <e> | \\", "\\*a\\* \\[b\\](c) \\`d\\` \\<e\\> \\| \\\\"),
    ],
)
def test_no_markup_comes_of_a_value(text, escaped):
    """Emphasis, strikethrough and addresses that would become links are escaped; what is no markup stays as it is."""
    assert tables.in_markdown(text) == escaped


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
