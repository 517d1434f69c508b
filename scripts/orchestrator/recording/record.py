"""The record: events appended, joined to their execution, and folded into its row, in the caller's transaction."""

from orchestrator.model import fold
from orchestrator.model.ids import content_hash, execution_id
from orchestrator.model.redact import redact

_EVENT = ("claude_session_id", "agent_id", "parent_agent_id", "tool_use_id", "prompt_id", "orchestration_id", "task_id",
          "execution_id", "agent_type", "model", "status", "reason", "text", "body")
_FOLDED = ("started_at", "completed_at", "status", "end_reason", "inferred", "final_message", "error_message")


def clean(text):
    """Text as it is kept: secrets masked, lone surrogates replaced."""
    if not text:
        return text
    return redact(text)[0].encode("utf-8", "replace").decode("utf-8")


def append(con, kind, at, once, **fields):
    """Appends an event unless one with the same `once` key is there; returns whether it was new.

    `once` is any text that tells this fact from others of its kind; `fields` are columns of `events`.
    """
    for name in ("reason", "text", "body"):
        if fields.get(name):
            fields[name] = clean(fields[name])
    key = content_hash(("%s\n%s" % (kind, once)).encode("utf-8", "surrogateescape"))
    cursor = con.execute(
        "INSERT OR IGNORE INTO events (dedupe_key, at, kind, %s) VALUES (?, ?, ?%s)" % (", ".join(_EVENT), ", ?" * len(_EVENT)),
        (key, at, kind) + tuple([fields.get(name) for name in _EVENT]))
    return cursor.rowcount > 0


def open_execution(con, now, **fields):
    """Opens an execution (status deployed); `fields` are columns of `executions`. Returns its id."""
    fields.setdefault("execution_id", execution_id())
    fields.setdefault("deployed_at", now)
    fields["scope"] = clean(fields.get("scope"))
    names = list(fields)
    con.execute("INSERT INTO executions (%s) VALUES (%s)" % (", ".join(names), ", ".join("?" * len(names))),
                [fields[n] for n in names])
    return fields["execution_id"]


def next_attempt(con, orchestration_id, task_id):
    """The number of a task's next attempt, from 1."""
    return con.execute("SELECT 1 + COALESCE(max(attempt), 0) FROM executions WHERE orchestration_id = ? AND task_id = ?",
                       (orchestration_id, task_id)).fetchone()[0]


def by_call(con, session, call):
    """The execution of an Agent call, or None."""
    return _one(con, "SELECT execution_id FROM executions WHERE claude_session_id = ? AND tool_use_id = ? "
                     "AND runtime = 'agent'", session, call) if call else None


def by_agent(con, agent):
    """The execution an agent works on, or None."""
    return _one(con, "SELECT execution_id FROM executions WHERE agent_id = ?", agent) if agent else None


def _one(con, sql, *args):
    row = con.execute(sql, args).fetchone()
    return row[0] if row else None


def join(con, session, call, agent):
    """The execution that a call and an agent belong to, joined when both are known; None when there is none yet.

    An agent that was recorded by itself before its call was known is merged into the call's execution.
    """
    called, working = by_call(con, session, call), by_agent(con, agent)
    if called and working and called != working:
        con.execute("UPDATE executions SET agent_id = NULL WHERE execution_id = ?", (working,))
        con.execute("UPDATE events SET execution_id = ? WHERE execution_id = ?", (called, working))
        con.execute("UPDATE OR IGNORE outputs SET execution_id = ? WHERE execution_id = ?", (called, working))
        con.execute("DELETE FROM segments WHERE execution_id = ?", (working,))
        con.execute("DELETE FROM executions WHERE execution_id = ?", (working,))
    if called and agent and called != working:
        con.execute("UPDATE executions SET agent_id = ? WHERE execution_id = ? AND agent_id IS NULL", (agent, called))
        con.execute("UPDATE events SET execution_id = ? WHERE agent_id = ? AND execution_id IS NULL", (called, agent))
    return called or working


def settle(con, execution):
    """Folds an execution's events into its row and segments. Returns (status before, status now)."""
    before = con.execute("SELECT status FROM executions WHERE execution_id = ?", (execution,)).fetchone()
    if before is None:
        return None, None
    row = fold.fold([tuple(e) for e in con.execute(
        "SELECT %s FROM events WHERE execution_id = ?" % fold.COLUMNS, (execution,))])
    success = None if row.status == "deployed" else int(row.status == "completed")
    con.execute("UPDATE executions SET %s, success = ?, resolved_model = COALESCE(?, resolved_model) "
                "WHERE execution_id = ?" % ", ".join([n + " = ?" for n in _FOLDED]),
                [getattr(row, n) for n in _FOLDED] + [success, row.resolved_model, execution])
    for ordinal, (started, end) in enumerate(row.segments, 1):
        status, reason, _, at, text, _ = end or (None,) * 6
        con.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (execution, ordinal, started, at, status, reason, text))
    return before[0], row.status
