"""Unarchived transcripts: whether one is to be kept now. One indexed look, before anything else of the archive is loaded.

Those that were not where Claude Code keeps them are looked for again after a day, or once a folder that was missing is there:
deleted ones stay away, but others are out of reach only here, as in a container that does not mount them.
"""

import os

DUE = "transcript_hash IS NULL AND usage_read_at IS NOT NULL AND transcript_path IS NOT NULL"
ENDED = "COALESCE(completed_at, usage_read_at)"  # a lost one has no end, but it has been read
SETTLED = 3600  # seconds after its end from which on a transcript is kept in passing
MISSING = "archive.missing"  # in meta: when a round of looks began, the end it came to (24 characters each), what was missing

_TIME = "strftime('%Y-%m-%dT%H:%M:%fZ', ?1, "
_MISSED = ("SELECT substr(value, 1, 24), substr(value, 25, 24), substr(value, 49) FROM meta WHERE key = '" + MISSING
           + "' AND value > " + _TIME + "'-1 day')")  # fmt: skip
_WAITING = ("SELECT 1 FROM executions WHERE " + DUE + " AND " + ENDED + " < " + _TIME + "'-%d seconds') AND " % SETTLED
            + ENDED + " > ?2 LIMIT 1")  # fmt: skip


def missed(con, now):
    """(when the round began, the end up to which all were looked for in it); empty where a new one is to begin."""
    row = con.execute(_MISSED, (now,)).fetchone()
    return row[:2] if row and not os.path.lexists(row[2]) else ("", "")


def waiting(con, now):
    """Whether a transcript that ended a while ago has not been looked for yet."""
    return con.execute(_WAITING, (now, missed(con, now)[1])).fetchone() is not None
