"""Times on the command line: what they mean, and what is no time."""

from datetime import datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.edges.cli.filters import Moment, names

START, END = Moment(), Moment("until")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-01-15", "2025-01-15T00:00:00.000Z"),
        ("2025-01-15T08:30", "2025-01-15T08:30:00.000Z"),
        ("2025-01-15 08:30", "2025-01-15T08:30:00.000Z"),
        ("2025-01-15T08:30:05.5Z", "2025-01-15T08:30:05.500Z"),
        ("2025-01-15T08:30:05,123456Z", "2025-01-15T08:30:05.123Z"),
        ("2025-01-15T08:30+02:00", "2025-01-15T06:30:00.000Z"),
        ("2025-01-15T00:30:00 +0530", "2025-01-14T19:00:00.000Z"),
        ("2025-01-15T08:30-08", "2025-01-15T16:30:00.000Z"),
        ("0999-01-15", "0999-01-15T00:00:00.000Z"),
    ],
)
def test_times_are_read_as_utc(text, moment):
    """A time without a zone is UTC, one with a zone is turned into it (S2-15)."""
    assert START.convert(text, None, None) == moment
    assert END.convert(text, None, None) == (moment if len(text) > 10 else text + "T23:59:59.999Z")


@pytest.mark.parametrize(
    ("text", "last"),
    [("2025-01-15", "2025-01-15T23:59:59.999Z"), ("2025-01-15T08:30", "2025-01-15T08:30:59.999Z"),
     ("2025-01-15T08:30+02:00", "2025-01-15T06:30:59.999Z"), ("2025-01-15T08:30:05", None), ("2025-01-15T08:30:05.5Z", None)],
)  # fmt: skip
def test_at_a_minute_is_at_any_moment_of_it(text, last):
    """What was running at 15:20 is what ran in that minute, and on a day what ran on it; a second is a moment."""
    assert Moment("at").convert(text, None, None) == START.convert(text, None, None) + (f"/{last}" if last else "")


def test_a_clock_means_when_it_last_showed_that():
    """15:20 is that minute of today, or of yesterday where it is yet to come."""
    since, until = [datetime.fromisoformat(each.replace("Z", "+00:00")) for each in Moment("at").convert(
        "15:20", None, None).split("/")]  # fmt: skip
    assert (since.hour, since.minute, until - since) == (15, 20, timedelta(minutes=1, milliseconds=-1))
    assert timedelta() <= datetime.now(timezone.utc) - since < timedelta(days=1, minutes=1)


@pytest.mark.parametrize(
    ("text", "ago"), [("30m", 1800), ("12h", 43200), ("7d", 604800), ("2 w", 1209600), ("400000d", 34_560_000_000)]
)
def test_a_time_may_be_so_long_ago(text, ago):
    """30m, 12h, 7d and 2w count back from now."""
    found = datetime.fromisoformat(START.convert(text, None, None).replace("Z", "+00:00"))
    assert abs((datetime.now(timezone.utc) - found) - timedelta(seconds=ago)) < timedelta(seconds=30)


@given(
    st.one_of(st.text(max_size=30), st.from_regex(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?Z?", fullmatch=True))
)
def test_any_text_is_a_time_or_a_usage_error(text):
    """What is no time is refused with a sentence; what is one sorts as text."""
    try:
        found = START.convert(text, None, None)
    except click.BadParameter as refused:
        assert "is no time" in str(refused)
    else:
        assert datetime.strptime(found, "%Y-%m-%dT%H:%M:%S.%fZ")
        assert len(found) == 24


def test_names_may_stand_apart_or_with_commas():
    """--files a,b and --files a --files b mean the same."""
    assert names(("a, b", "c,,")) == ["a", "b", "c"]
