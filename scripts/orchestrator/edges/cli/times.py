"""Times on the command line: a day, a moment, so long ago; as the history writes them, in UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*(Z|[+-]\d\d(:?\d\d)?)?)?")
_AGO = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_CLOCK = re.compile(r"(\d\d?):(\d\d)(:(\d\d))?Z?")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, kind: str = "since") -> str:
    """A time as UTC text in milliseconds; ValueError for what is none.

    `kind` until: a day is the end of that day. at: the last time the clock showed it, and FROM/TO of the minute, or the day,
    where nothing finer is said.
    """
    text = text.strip()
    ago, clock, written = _AGO.fullmatch(text), _CLOCK.fullmatch(text), _TIME.fullmatch(text)
    whole, now = timedelta(), datetime.now(timezone.utc)  # how long what was said lasts
    try:
        if ago:
            found = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        elif clock:
            found = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[4] or 0), microsecond=0)
            found -= timedelta(days=int(found > now))
            whole = timedelta(minutes=not clock[3])
        elif written:
            found = _read(text)
            whole = timedelta(days=not written[1], minutes=bool(written[1]) and not written[2])
        else:
            raise ValueError(text)
        last = found + max(whole, timedelta(milliseconds=1)) - timedelta(milliseconds=1)
    except OverflowError:
        raise ValueError(text) from None
    if kind == "at" and whole:
        return _text(found) + "/" + _text(last)
    return _text(last if kind == "until" and len(text) == 10 else found)


def _text(found: datetime) -> str:
    return found.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _read(text: str) -> datetime:
    """An aware datetime; Python 3.10 knows neither Z nor short fractions nor offsets without a colon."""
    text = text.replace(" ", "", 1) if len(text) == 10 else text[:10] + "T" + text[11:].replace(" ", "")
    text = re.sub(r"[.,](\d+)", lambda m: "." + m[1][:6].ljust(6, "0"), text)
    if text.endswith("Z"):
        text = text[:-1] + "+00:00"
    text = re.sub(r"(T.*[+-]\d\d):?(\d\d)?$", lambda m: m[1] + ":" + (m[2] or "00"), text)
    found = datetime.fromisoformat(text)
    return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)
