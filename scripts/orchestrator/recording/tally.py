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
CREATE TEMP TABLE IF NOT EXISTS messages (n INTEGER, last INTEGER, kind TEXT, id TEXT PRIMARY KEY, model TEXT, day TEXT,
    input INTEGER, w5 INTEGER, w1 INTEGER, cached INTEGER, output INTEGER, searches INTEGER, speed TEXT, geo TEXT,
    stop_reason TEXT)"""


def _count(of, path):
    """A count in a message's usage; what is no whole number there, or more than any, counts as none."""
    where = "%s, '%s'" % (of, path)
    return "CASE WHEN json_type(%s) = 'integer' AND json_extract(%s) BETWEEN 0 AND %d THEN json_extract(%s) ELSE 0 END" % (
        where, where, usage.MOST_TOKENS, where)  # fmt: skip


def _counts(of, path):
    """The counts of a usage, by the names that _TOKENS takes."""
    return ", ".join(["%s AS %s" % (_count(of, path + "." + name), short) for name, short in (
        ("input_tokens", "input"), ("cache_creation_input_tokens", "written"),
        ("cache_creation.ephemeral_5m_input_tokens", "s5"), ("cache_creation.ephemeral_1h_input_tokens", "s1"),
        ("cache_read_input_tokens", "cached"), ("output_tokens", "output"))])  # fmt: skip


_TOKENS = "input, max(written, s5 + s1) - min(s1, max(written, s5 + s1)), min(s1, max(written, s5 + s1)), cached, "
_FILL = (
    """
INSERT INTO temp.messages
SELECT min(n), max(n), 'message', id, model,
    CASE WHEN at GLOB '20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*' THEN substr(at, 1, 10) ELSE date('now') END,
    """
    + _TOKENS
    + """max(output), searches, speed, geo, max(stop_reason)
FROM (SELECT n, json_extract(line, '$.message.id') AS id, json_extract(line, '$.message.model') AS model,
        json_extract(line, '$.timestamp') AS at, json_extract(line, '$.message.stop_reason') AS stop_reason,
        json_extract(line, '$.message.usage.speed') AS speed, json_extract(line, '$.message.usage.inference_geo') AS geo,
        """
    + _counts("line", "$.message.usage")
    + ", "
    + _count("line", "$.message.usage.server_tool_use.web_search_requests")
    + """ AS searches
    FROM temp.lines WHERE json_extract(line, '$.type') = 'assistant'
        AND json_extract(line, '$.isApiErrorMessage') IS NULL)
WHERE typeof(id) = 'text' AND typeof(model) = 'text' AND model != '<synthetic>' GROUP BY id"""
)
_SEVERAL = "SELECT 1 FROM temp.lines WHERE json_array_length(line, '$.message.usage.iterations') > 1 LIMIT 1"  # seldom so
# What a message took in several goes: each of them a row, priced by itself, where they come to the whole; and an advisor's
# words, which are in no sum of the message and have a model of their own.
_PARTS = (
    """
INSERT OR IGNORE INTO temp.messages
SELECT n, last, kind, id || '#' || part, model, day, """
    + _TOKENS
    + """output, 0, speed, geo, NULL
FROM (SELECT n, last, id, day, part,
        CASE said WHEN 'advisor_message' THEN 'advisor' WHEN 'message' THEN 'go' WHEN 'fallback_message' THEN 'go' END AS kind,
        CASE said WHEN 'advisor_message' THEN json_extract(of, '$.model') ELSE model END AS model,
        CASE said WHEN 'advisor_message' THEN NULL ELSE speed END AS speed,
        CASE said WHEN 'advisor_message' THEN NULL ELSE geo END AS geo, """
    + _counts("of", "$")
    + """
    FROM (SELECT m.n, m.last, m.id, m.day, m.model, m.speed, m.geo, i.key AS part, i.value AS of,
            json_extract(i.value, '$.type') AS said
        FROM temp.messages m JOIN temp.lines l ON l.n = m.last, json_each(l.line, '$.message.usage.iterations') i
        WHERE i.type = 'object'))
WHERE kind IS NOT NULL AND typeof(model) = 'text'"""
)
_NO_PARTS = """
DELETE FROM temp.messages WHERE kind = 'go' AND n NOT IN (
    SELECT m.n FROM temp.messages m JOIN temp.messages p ON p.n = m.n AND p.kind = 'go' WHERE m.kind = 'message' GROUP BY m.n
    HAVING count(*) > 1 AND sum(p.input) = m.input AND sum(p.w5) = m.w5 AND sum(p.w1) = m.w1 AND sum(p.cached) = m.cached
        AND sum(p.output) = m.output)"""
_IN_PARTS = """
UPDATE temp.messages SET input = 0, w5 = 0, w1 = 0, cached = 0, output = 0 WHERE kind = 'message' AND n IN (
    SELECT n FROM temp.messages WHERE kind = 'go')"""
_SUMS = (
    """
SELECT ?1, ?2, m.model, m.day, sum(m.kind = 'message'), sum(m.input), sum(m.w5), sum(m.w1), sum(m.cached),
    sum(m.output), CASE WHEN m.model IN (SELECT model FROM temp.prices) THEN sum("""
    + prices.COST
    + """) END
FROM temp.messages m WHERE true GROUP BY m.model, m.day"""
)
_MODELS = """
SELECT group_concat(model) FROM (SELECT model FROM temp.messages GROUP BY model ORDER BY min(n), min(kind = 'advisor'))"""
# How large the last go at the last message was: its sums are those of all of them.
_LAST_GO = """
SELECT input + w5 + w1 + cached + output FROM temp.messages WHERE kind = 'go' AND n = (SELECT max(n) FROM temp.messages WHERE
    kind = 'message') ORDER BY length(id) DESC, id DESC LIMIT 1"""
# Whether a signal of its latest segment said how large an agent's last request was.
_TOLD = (
    "EXISTS (SELECT 1 FROM events v WHERE v.execution_id = executions.execution_id AND v.kind IN ('notified', 'returned') AND "
    "length(v.body) BETWEEN 1 AND 12 AND v.body NOT GLOB '*[^0-9]*' AND v.at >= COALESCE((SELECT max(started_at) "
    "FROM segments g WHERE g.execution_id = executions.execution_id), ''))"
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
        _clean(con, name)


def _clean(con, name):
    """Masks what a client wrote into a column of temp.messages."""
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
    if con.execute(_SEVERAL).fetchone():
        for parts in (_PARTS, _NO_PARTS, _IN_PARTS):
            con.execute(parts)
        _clean(con, "model")
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
        "SELECT stop_reason, model, input + w5 + w1 + cached + output FROM temp.messages ORDER BY n DESC LIMIT 1"
    ).fetchone() or (None, None, None)
    _claim(con, project, execution)
    models = con.execute(_MODELS).fetchone()
    last = models + last[:2] + (con.execute(_LAST_GO).fetchone() or last[2:])
    usage.forget(con, execution, "execution")
    con.execute("INSERT INTO usage " + _SUMS, (execution, "execution"))
    con.execute(
        "UPDATE executions SET models = ?, stop_reason = ?, resolved_model = COALESCE(resolved_model, ?), "
        "context_size = CASE WHEN " + _TOLD + " THEN context_size ELSE COALESCE(?, context_size) END, transcript_hash = NULL "
        "WHERE execution_id = ?",
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
