"""Tally: a transcript's messages counted and priced, an execution's as a whole, a conversation's as it grows.

One message stands on a line per content block, each repeating the same usage: it is counted once per message
id. A forked transcript repeats its parent's history: an id counted for another owner is not counted again.
"""

import os

from orchestrator.paths import readable
from orchestrator.recording import prices, touches, usage
from orchestrator.recording.payload import mend
from orchestrator.recording.record import clean

_PIECE = 8_000_000  # bytes of a conversation held at once
_WORDS = ('"assistant"', '"tool_result"', '"cost-state"')  # what a line that is looked at holds
_LINES = "CREATE TEMP TABLE IF NOT EXISTS lines (n INTEGER PRIMARY KEY, line TEXT)"
_MESSAGES = """
CREATE TEMP TABLE IF NOT EXISTS messages (n INTEGER, id TEXT PRIMARY KEY, model TEXT, day TEXT, input INTEGER,
    w5 INTEGER, w1 INTEGER, cached INTEGER, output INTEGER, searches INTEGER, speed TEXT, geo TEXT,
    stop_reason TEXT)"""


def _count(path):
    """A count in a message's usage; what is no whole number there, or more than any, counts as none."""
    path = "'$.message.usage.%s'" % path
    return "CASE WHEN json_type(line, %s) = 'integer' AND json_extract(line, %s) BETWEEN 0 AND %d THEN json_extract(line, %s) " \
        "ELSE 0 END" % (path, path, usage.MOST_TOKENS, path)  # fmt: skip


_FILL = (
    """
INSERT INTO temp.messages
SELECT min(n), id, model,
    CASE WHEN at GLOB '20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*' THEN substr(at, 1, 10) ELSE date('now') END,
    input, max(written, s5 + s1) - min(s1, max(written, s5 + s1)), min(s1, max(written, s5 + s1)),
    cached, max(output), searches, speed, geo, max(stop_reason)
FROM (SELECT n, json_extract(line, '$.message.id') AS id, json_extract(line, '$.message.model') AS model,
        json_extract(line, '$.timestamp') AS at, json_extract(line, '$.message.stop_reason') AS stop_reason,
        json_extract(line, '$.message.usage.speed') AS speed,
        json_extract(line, '$.message.usage.inference_geo') AS geo,
        """
    + _count("input_tokens")
    + " AS input, "
    + _count("cache_creation_input_tokens")
    + """ AS written,
        """
    + _count("cache_creation.ephemeral_5m_input_tokens")
    + """ AS s5,
        """
    + _count("cache_creation.ephemeral_1h_input_tokens")
    + """ AS s1,
        """
    + _count("cache_read_input_tokens")
    + " AS cached, "
    + _count("output_tokens")
    + """ AS output,
        """
    + _count("server_tool_use.web_search_requests")
    + """ AS searches
    FROM temp.lines WHERE json_extract(line, '$.type') = 'assistant'
        AND json_extract(line, '$.isApiErrorMessage') IS NULL)
WHERE typeof(id) = 'text' AND typeof(model) = 'text' AND model != '<synthetic>' GROUP BY id"""
)
_SUMS = (
    """
SELECT ?1, ?2, m.model, m.day, count(*), sum(m.input), sum(m.w5), sum(m.w1), sum(m.cached),
    sum(m.output), CASE WHEN m.model IN (SELECT model FROM temp.prices) THEN sum("""
    + prices.COST
    + """) END
FROM temp.messages m WHERE true GROUP BY m.model, m.day"""
)
_ADD = (
    "INSERT INTO usage "
    + _SUMS
    + """
ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cache_write_5m_tokens = cache_write_5m_tokens + excluded.cache_write_5m_tokens,
    cache_write_1h_tokens = cache_write_1h_tokens + excluded.cache_write_1h_tokens,
    cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
    cost_usd = cost_usd + excluded.cost_usd"""
)


def _take(con, lines):
    """Puts a transcript's lines into temp.lines and its messages, once each, into temp.messages."""
    con.execute(_LINES)
    con.execute(_MESSAGES)
    con.execute("DELETE FROM temp.lines")
    con.execute("DELETE FROM temp.messages")
    con.executemany(
        "INSERT INTO temp.lines (line) SELECT ?1 WHERE json_valid(?1)",
        ((mend(line) if "\\u" in line else line,) for line in lines if any(word in line for word in _WORDS)),
    )
    con.execute(_FILL)
    for name in ("model", "stop_reason"):
        for (said,) in con.execute("SELECT DISTINCT %s FROM temp.messages" % name).fetchall():
            if clean(said) != said:
                con.execute("UPDATE temp.messages SET %s = ?2 WHERE %s = ?1" % (name, name), (said, clean(said)))


def _claim(con, project, owner):
    """Leaves in temp.messages what counts for this owner, loads prices. Returns how many were another's."""
    con.execute("INSERT OR IGNORE INTO counted_messages SELECT id, ?1 FROM temp.messages", (owner,))
    others = con.execute(
        "SELECT m.id, c.owner FROM temp.messages m JOIN counted_messages c "
        "ON c.message_id = m.id WHERE c.owner != ?1",
        (owner,),
    ).fetchall()
    for message, other in others:
        if con.execute(
            "SELECT 1 FROM executions WHERE execution_id = ?1 UNION ALL SELECT 1 FROM claude_sessions "
            "WHERE claude_session_id = ?1",
            (other,),
        ).fetchone():
            con.execute("DELETE FROM temp.messages WHERE id = ?", (message,))
        else:  # that execution was merged into another since
            con.execute("UPDATE counted_messages SET owner = ? WHERE message_id = ?", (owner, message))
    prices.load(con, project, [r[0] for r in con.execute("SELECT DISTINCT model FROM temp.messages")])
    return len(others)


def _lines(con, paths):
    for path in paths:
        with readable(path, encoding="utf-8", errors="replace") as f:
            yield from _own(con, f)


def _own(con, lines):
    """An agent's own lines: a fork's file says so first, and then repeats the message of its parent that deployed it."""
    copied = False
    for n, line in enumerate(lines):
        if (copied or n == 0) and (copied or '"fork-context-ref"' in line[:200]):
            kind = con.execute("SELECT CASE WHEN json_valid(?1) THEN json_extract(?1, '$.type') END", (line,)).fetchone()[0]
            copied = kind != "user"
        if not copied:
            yield line


def read(con, project, execution, *paths):
    """Reads an execution's transcript, in its parts: its usage, tool calls, files, models. Returns whether it was there."""
    try:
        _take(con, _lines(con, paths))
    except OSError:
        return False
    last = con.execute(
        "SELECT group_concat(model), (SELECT stop_reason FROM temp.messages ORDER BY n DESC LIMIT 1), "
        "(SELECT model FROM temp.messages ORDER BY n DESC LIMIT 1), "
        "(SELECT input + w5 + w1 + cached + output FROM temp.messages ORDER BY n DESC LIMIT 1) FROM "
        "(SELECT model FROM temp.messages GROUP BY model ORDER BY min(n))"
    ).fetchone()
    _claim(con, project, execution)
    usage.forget(con, execution, "execution")
    con.execute("INSERT INTO usage " + _SUMS, (execution, "execution"))
    con.execute(
        "UPDATE executions SET models = ?, stop_reason = ?, resolved_model = COALESCE(resolved_model, ?), "
        "context_size = COALESCE(context_size, ?), transcript_hash = NULL WHERE execution_id = ?",
        last + (execution,),
    )
    touches.keep(con, execution, project)
    return True


def grow(con, project, session, path, kind="session", offset=0, most=None):
    """Counts the messages of a Claude session's transcript from `offset` on. Returns the offset it came to.

    kind compaction: the transcript of the hidden agent that summed a conversation up. None: it is not there.
    """
    try:
        with readable(path, "rb") as f:
            if offset > os.fstat(f.fileno()).st_size:  # another file by that name: ids tell what is new in it
                offset = 0
            f.seek(offset)
            while most is None or most > 0:
                data = f.read(_PIECE if most is None else min(most, _PIECE))
                data += f.readline() if data[-1:] != b"\n" else b""
                if data[-1:] != b"\n":
                    data = data[: data.rfind(b"\n") + 1]  # a line that is still being written waits
                if not data:
                    break
                _piece(con, project, session, kind, data)
                offset += len(data)
                most = None if most is None else most - len(data)
    except OSError:
        return None
    return offset


def _piece(con, project, session, kind, data):
    """Counts what is new in some whole lines, and keeps what the client itself says it used."""
    _take(con, data.decode("utf-8", "replace").split("\n"))
    said = con.execute(
        "SELECT json_extract(line, '$.modelUsage') FROM temp.lines WHERE json_extract(line, '$.type') = "
        "'cost-state' AND json_type(line, '$.modelUsage') = 'object' ORDER BY n DESC LIMIT 1"
    ).fetchone()
    con.execute(
        "DELETE FROM temp.messages WHERE id IN (SELECT message_id FROM counted_messages WHERE owner = ?)",
        (session,),
    )
    copied = _claim(con, project, session)
    con.execute(_ADD, (session, kind))
    con.execute(
        "UPDATE claude_sessions SET forked = max(forked, ?), client_usage = COALESCE(?, client_usage) "
        "WHERE claude_session_id = ?",
        (copied > 0, clean(said[0]) if said else None, session),
    )
