"""Options that several commands share: forms, times, limits, names by comma."""

import re
from typing import Any, Callable, Optional

import click

from orchestrator.edges.cli.tables import FORMATS

_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*(Z|[+-]\d\d(:?\d\d)?)?)?")
_AGO = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Words(click.ParamType):
    """A text from the command line; what is no UTF-8 in it is replaced."""

    name = "TEXT"

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> str:
        """The text as it can be kept."""
        return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


WORDS = Words()


class Moment(click.ParamType):
    """A time: 2026-11-20, 2026-11-20T08:30, with Z or an offset, or as long ago as 30m, 12h, 7d; in UTC.

    Its value is a time as the history writes it; a day as an `end` is the end of that day.
    """

    name = "TIME"

    def __init__(self, end: bool = False) -> None:
        self.end = end

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> str:
        """The time as UTC text in milliseconds."""
        from datetime import datetime, timedelta, timezone

        text = str(value).strip()
        try:
            ago = _AGO.fullmatch(text)
            if ago:
                moment = datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            elif _TIME.fullmatch(text):
                moment = _read(text)
                if self.end and len(text) == 10:
                    moment += timedelta(days=1) - timedelta(milliseconds=1)
            else:
                raise ValueError(text)
        except (ValueError, OverflowError):
            self.fail(
                f"{text[:40]!r} is no time: write 2026-11-20, 2026-11-20T08:30, or 30m, 12h, 7d ago.",
                param,
                ctx,
            )
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (moment.microsecond // 1000)


def _read(text: str) -> Any:
    """An aware datetime; Python 3.10 knows neither Z nor short fractions nor offsets without a colon."""
    from datetime import datetime, timezone

    text = text.replace(" ", "", 1) if len(text) == 10 else text[:10] + "T" + text[11:].replace(" ", "")
    text = re.sub(r"[.,](\d+)", lambda m: "." + m[1][:6].ljust(6, "0"), text)
    if text.endswith("Z"):
        text = text[:-1] + "+00:00"
    text = re.sub(r"(T.*[+-]\d\d):?(\d\d)?$", lambda m: m[1] + ":" + (m[2] or "00"), text)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def form(default: str = "table") -> Callable[[Any], Any]:
    """The option that says in which form rows are printed."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default=default,
        show_default=True,
        help="How rows are printed.",
    )


def period(command: Any) -> Any:
    """The options --since and --until."""
    command = click.option(
        "--until", type=Moment(end=True), help="Not later than this; a day is meant whole."
    )(command)
    return click.option(
        "--since", type=Moment(), help="Not earlier: 2026-11-20, 2026-11-20T08:30 (UTC), 12h, 7d."
    )(command)


def limit(most: int) -> Callable[[Any], Any]:
    """The option that says how many rows are printed at most."""
    return click.option(
        "--limit", type=click.IntRange(min=1), default=most, show_default=True, help="The most rows."
    )


def names(given: tuple[str, ...]) -> list[str]:
    """Names given one by one or by comma."""
    return [name.strip() for each in given for name in each.split(",") if name.strip()]
