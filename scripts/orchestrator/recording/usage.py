"""What a transcript shows once its agent has ended: tokens by model, tool calls, refused calls, files touched.

One message stands on a line per content block, each repeating the same usage: it is counted once per message id
(client-facts §1.5). A forked transcript repeats its parent's history: an id counted for another owner is not counted again.
"""

import os

MOST_IN_HOOK = 8_000_000  # bytes of transcripts one hook reads; a later command reads the rest

_LINES = "CREATE TEMP TABLE IF NOT EXISTS lines (n INTEGER PRIMARY KEY, line TEXT)"
_ASSISTANT = "json_valid(line) AND json_extract(line, '$.type') = 'assistant'"
_REAL = " AND json_extract(line, '$.isApiErrorMessage') IS NULL AND json_extract(line, '$.message.id') IS NOT NULL"
_USAGE = """
INSERT OR REPLACE INTO usage (owner, kind, model, messages, input_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    cache_read_tokens, output_tokens)
SELECT ?1, ?2, model, count(*), sum(input), sum(CASE WHEN w5 + w1 = 0 THEN written ELSE w5 END), sum(w1), sum(cached),
    sum(output)
FROM (SELECT json_extract(line, '$.message.id') AS id, json_extract(line, '$.message.model') AS model,
        COALESCE(json_extract(line, '$.message.usage.input_tokens'), 0) AS input,
        COALESCE(json_extract(line, '$.message.usage.cache_creation_input_tokens'), 0) AS written,
        COALESCE(json_extract(line, '$.message.usage.cache_creation.ephemeral_5m_input_tokens'), 0) AS w5,
        COALESCE(json_extract(line, '$.message.usage.cache_creation.ephemeral_1h_input_tokens'), 0) AS w1,
        COALESCE(json_extract(line, '$.message.usage.cache_read_input_tokens'), 0) AS cached,
        max(COALESCE(json_extract(line, '$.message.usage.output_tokens'), 0)) AS output
    FROM lines WHERE """ + _ASSISTANT + _REAL + """ GROUP BY id)
WHERE model IS NOT NULL AND model != '<synthetic>'
    AND EXISTS (SELECT 1 FROM counted_messages c WHERE c.message_id = id AND c.owner = ?1)
GROUP BY model"""
_COUNTED = ("INSERT OR IGNORE INTO counted_messages SELECT DISTINCT json_extract(line, '$.message.id'), ?1 FROM lines "
            "WHERE " + _ASSISTANT + _REAL)
_CALLS = """
SELECT json_extract(b.value, '$.id'), json_extract(b.value, '$.name'),
    COALESCE(json_extract(b.value, '$.input.file_path'), json_extract(b.value, '$.input.notebook_path')),
    json_extract(line, '$.timestamp'), json_extract(b.value, '$.input.content')
FROM lines, json_each(line, '$.message.content') b
WHERE """ + _ASSISTANT + """ AND json_extract(b.value, '$.type') = 'tool_use' ORDER BY n"""
_RESULTS = """
SELECT json_extract(b.value, '$.tool_use_id'), json_extract(b.value, '$.is_error'),
    substr(CASE json_type(b.value, '$.content') WHEN 'array' THEN json_extract(b.value, '$.content[0].text')
        ELSE json_extract(b.value, '$.content') END, 1, 200),
    (SELECT count(*) FROM json_each(line, '$.toolUseResult.structuredPatch') h, json_each(h.value, '$.lines') l
        WHERE l.value LIKE '+%'),
    (SELECT count(*) FROM json_each(line, '$.toolUseResult.structuredPatch') h, json_each(h.value, '$.lines') l
        WHERE l.value LIKE '-%')
FROM lines, json_each(line, '$.message.content') b
WHERE json_valid(line) AND json_extract(line, '$.type') = 'user' AND json_type(line, '$.message.content') = 'array'
    AND json_extract(b.value, '$.type') = 'tool_result'"""

# How both pinned clients begin the answer to a call they did not let through, and how hooks' denials read.
_REFUSALS = ("Permission to use", "Claude requested permissions", "The user doesn't want to", "Cannot write to",
             "This command requires approval", "Claude Code is running in don't ask mode")
_WRITERS = ("Edit", "Write", "MultiEdit", "NotebookEdit")


def read(con, owner, kind, path):
    """Reads a transcript's messages into `usage` (kind: execution, session or compaction). Returns whether it was there.

    Lines stay in the temporary table for `calls`.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            con.execute(_LINES)
            con.execute("DELETE FROM lines")
            con.executemany("INSERT INTO lines (line) VALUES (?)", (
                (line,) for line in f if '"assistant"' in line or '"tool_result"' in line))
    except OSError:
        return False
    con.execute(_COUNTED, (owner,))
    con.execute("DELETE FROM usage WHERE owner = ? AND kind = ?", (owner, kind))
    con.execute(_USAGE, (owner, kind))
    return True


def calls(con, execution, project):
    """Reads tool calls, refused and failed ones, and files touched, from the lines that `read` left."""
    by_id, tools, refused_names = {}, {}, []
    for call, tool, path, at, content in con.execute(_CALLS).fetchall():
        if call not in by_id:
            by_id[call] = (tool, path, at, content)
            tools.setdefault(tool, [0, 0, 0])[0] += 1
    touched = {}
    answers = {}
    for call, wrong, text, added, removed in con.execute(_RESULTS).fetchall():
        if call in by_id and call not in answers:
            answers[call] = (wrong, text or "", added, removed)
    for call, (tool, path, at, content) in by_id.items():
        wrong, text, added, removed = answers.get(call, (0, "", 0, 0))
        if wrong:
            refused = text.startswith(_REFUSALS) or " hook error: " in text[:60]
            tools[tool][1 if refused else 2] += 1
            if refused and tool not in refused_names:
                refused_names.append(tool)
        elif path and (tool == "Read" or tool in _WRITERS):
            inside = _relative(project, path)
            if inside:
                mode = "write" if tool in _WRITERS else "read"
                row = touched.setdefault((inside, mode), [0, at, at, 0, 0])
                row[0] += 1
                row[2] = at
                if not (added or removed) and tool == "Write" and isinstance(content, str):  # a new file has no patch
                    added = content.count("\n") + (not content.endswith("\n"))
                row[3] += added
                row[4] += removed
    con.execute("DELETE FROM tool_calls WHERE execution_id = ?", (execution,))
    con.execute("DELETE FROM file_touches WHERE execution_id = ?", (execution,))
    con.executemany("INSERT INTO tool_calls VALUES (?, ?, ?, ?, ?)", [(execution, t or "?") + tuple(n) for t, n in tools.items()])
    con.executemany("INSERT INTO file_touches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [(execution,) + key + tuple(row) for key, row in touched.items()])
    con.execute("UPDATE executions SET refused_calls = ?, refused_names = ? WHERE execution_id = ?",
                (sum([n[1] for n in tools.values()]), ", ".join(refused_names) or None, execution))


def _relative(project, path):
    """A path relative to the project; one that lies outside is kept as it is; None for what is no path."""
    if not isinstance(path, str):
        return None
    full = os.path.normpath(os.path.join(project, path))
    return os.path.relpath(full, project) if full.startswith(project + os.sep) else full


def due(con, project, now, session=None, execution=None, most=None):
    """Reads the transcripts of executions that have ended and were not read since. `most` bounds the bytes."""
    rows = con.execute(
        "SELECT execution_id, transcript_path, status FROM executions WHERE transcript_path IS NOT NULL AND "
        "status != 'deployed' AND (usage_read_at IS NULL OR usage_read_at < completed_at) AND "
        "(?1 IS NULL OR claude_session_id = ?1) AND (?2 IS NULL OR execution_id = ?2)", (session, execution)).fetchall()
    for owner, path, _ in rows:
        try:
            size = os.path.getsize(path)
        except OSError:
            continue
        if most is not None:
            most -= size
            if most < 0:
                return
        if read(con, owner, "execution", path):
            calls(con, owner, project)
            con.execute("UPDATE executions SET usage_read_at = ? WHERE execution_id = ?", (now, owner))
