"""Outputs an agent names in its last message: deliverables, validation results, insights (the contract's headings)."""

import os

from orchestrator.model.redact import redact
from orchestrator.paths import file_in, regular

_EPOCH = 2440587.5  # the Julian day of 1970
_HEADINGS = {"deliverables:": "deliverable", "validation:": "validation_result", "insights:": "insight"}


def named(message):
    """[(output type, text)] from lines under, or behind, the contract's headings; at most 200."""
    found, kind = [], None
    for line in (message or "").split("\n"):
        words = line.strip().strip("*").strip()
        lower = words.lower().replace("**", "")
        heading = next((h for h in _HEADINGS if lower.startswith(h)), None)
        if heading:
            kind, words = _HEADINGS[heading], words.replace("**", "")[len(heading):].strip()
            items = words.split(", ") if kind == "deliverable" else [words]
        elif kind and line.strip()[:2] in ("- ", "* "):
            items = [line.strip()[2:]]
        elif not words or kind is None:
            continue
        else:
            kind = None
            continue
        for item in items:
            item = item.strip().strip("`").strip()
            if kind == "deliverable":
                item = item.split(" ")[0].strip("`,;:") if "`" not in item else item.split("`")[0]
            if item and item.lower() not in ("none", "none.", "-", "n/a"):
                found.append((kind, item[:500]))
    return found[:200]


def keep(con, project, execution, message, now):
    """Keeps what a message names as outputs of its execution; a deliverable with its version and its content's hash, unless
    it was changed after `now`, when that was a while ago."""
    for kind, content, path, digest, passed in _outputs(con, project, message):
        if path:
            digest = None if digest and _changed_after(con, os.path.join(project, path), now) else digest
            path = redact(path)[0]
        new = con.execute("INSERT OR IGNORE INTO outputs (execution_id, output_type, content, created_at, path, content_hash, "
                          "passed) VALUES (?, ?, ?, ?, ?, ?, ?)", (execution, kind, content, now, path, digest, passed)).rowcount
        if new:
            number(con, execution, kind, content, path)


_CHECK = "(SELECT key FROM json_each(CASE WHEN json_valid(%s) THEN %s ELSE 'null' END) LIMIT 1)"
_NAME = "CASE {0}output_type WHEN 'deliverable' THEN {0}path WHEN 'validation_result' THEN %s END" % (
    _CHECK % ("{0}content", "{0}content"))
# The plus: a path may be that of a million outputs, a task has few executions.
_NUMBER = """
UPDATE outputs SET version = 1 + (SELECT count(DISTINCT e.execution_id) FROM executions me JOIN executions e ON
    e.orchestration_id = me.orchestration_id AND e.task_id = me.task_id AND e.attempt < me.attempt JOIN outputs o ON
    o.execution_id = e.execution_id AND +o.output_type = ?2 AND %s = ?3 WHERE me.execution_id = outputs.execution_id)
WHERE +output_type = ?2 AND %s = ?3 AND execution_id IN (SELECT e.execution_id FROM executions me JOIN executions e ON
    e.orchestration_id = me.orchestration_id AND e.task_id = me.task_id AND e.attempt >= me.attempt WHERE me.execution_id = ?1)
""" % (_NAME.format("o."), _NAME.format("outputs."))


def number(con, execution, kind, content, path):
    """Numbers the versions of a path, or of a check's result, that an attempt of a task left, and those of the later attempts:
    it may be heard of late. An insight or an error is no version of another."""
    name = path
    if kind == "validation_result":
        name = con.execute("SELECT " + _CHECK % ("?1", "?1"), (content,)).fetchone()[0]
    if name is not None:
        con.execute(_NUMBER, (execution, kind, name))


def drop(con, project, execution, messages):
    """Drops what messages named that were not the last word after all; what the last one names too is left as it was kept."""
    last = [row[0] for row in con.execute("SELECT final_message FROM segments WHERE execution_id = ?", (execution,))]
    gone, stands = [{row[:3] for message in some for row in _outputs(con, project, message)} for some in (messages, last)]
    for kind, content, path in gone - stands:
        con.execute("DELETE FROM outputs WHERE execution_id = ? AND output_type = ? AND content = ?", (execution, kind, content))
        number(con, execution, kind, content, path and redact(path)[0])


def _outputs(con, project, message):
    """(output type, content, path inside the project, hash, whether its check passed) of what a message names; path and hash of
    deliverables only."""
    for kind, text in named(message):
        content, path, digest, passed = text, None, None, None
        if kind == "deliverable":
            path, digest = inside(project, text)
            if path is None:
                continue
            content = con.execute("SELECT json_object('file_path', ?)", (redact(path)[0],)).fetchone()[0]
        elif kind == "validation_result":
            from orchestrator.model import verdict as judge

            name, verdict = judge.halves(text)
            passed = judge.passed(verdict)
            content = con.execute("SELECT json_object(?, ?)", (name, verdict or "named")).fetchone()[0]
        yield kind, content, path, digest, passed


def inside(project, name):
    """(path relative to the project, hash of its bytes or None); (None, None) for what lies outside."""
    full, named_so = os.path.realpath(os.path.join(project, name)), file_in(os.path.realpath(project), name, {})
    if os.path.isabs(named_so) or named_so == ".":
        return None, None
    digest = None
    try:
        if os.path.getsize(full) < 8_000_000:
            from orchestrator.model.ids import content_hash

            digest = content_hash(regular(full, 8_000_000))
    except OSError:
        pass
    return named_so, digest


def _changed_after(con, path, now):
    """Whether a file was changed more than a minute after a time."""
    changed = os.stat(path).st_mtime / 86400 + _EPOCH
    return con.execute("SELECT ? > julianday(?) + 60 / 86400.0", (changed, now)).fetchone()[0]
