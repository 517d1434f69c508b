"""The record: events appended, joined to their execution, and folded into its row, in the caller's transaction."""

from orchestrator.model import fold
from orchestrator.model.ids import content_hash, execution_id
from orchestrator.model.redact import redact

UNKNOWN = "unknown"  # an agent's type while no signal has named it
_EVENT = ("claude_session_id", "agent_id", "parent_agent_id", "tool_use_id", "prompt_id", "orchestration_id", "task_id",
          "execution_id", "agent_type", "model", "status", "reason", "text", "body")
_FOLDED = ("status", "started_at", "completed_at", "end_reason", "inferred", "final_message", "error_message", "success",
           "resolved_model", "context_size")
_SHOWN = {"status", "end_reason", "final_message", "error_message"}  # what projections show of an execution
moved = []  # executions of which that changed in this process
ORIGINS = ("unplanned", "skill", "workflow", "nested", "teammate")  # of an agent nobody planned


def one_of(column, *words):
    """SQL for what a column holds. Of three words IN makes a table, which costs who asks once more than asking."""
    return "(%s)" % " OR ".join(["%s = '%s'" % (column, word) for word in words])


# in another conversation than its own, to which its process went on, an agent's end is told of whichever turn that is in
_EVENTS = "SELECT %s FROM events WHERE execution_id = ?1" % fold.COLUMNS.replace(
    "prompt_id", "CASE WHEN claude_session_id IS ?2 OR NOT %s THEN prompt_id END" % one_of("kind", *fold.SAID))
_UNPLANNED = one_of("origin", *ORIGINS)
_OF_A_CALL = one_of("kind", "intent", "launched", "returned", "refused", "met")


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
        "INSERT OR IGNORE INTO events (dedupe_key, at, kind, %s) VALUES (?, ?, ?%s)" % (
            ", ".join(_EVENT), ", ?" * len(_EVENT)),
        (key, at, kind) + tuple([fields.get(name) for name in _EVENT]))
    return cursor.rowcount > 0


def open_execution(con, now, **fields):
    """Opens an execution (status deployed); `fields` are columns of `executions`. Returns its id.

    It is never deployed before its Claude session's process began: that would be the mark of a lost one.
    """
    fields.setdefault("execution_id", execution_id())
    fields.setdefault("deployed_at", con.execute(
        "SELECT max(?1, COALESCE((SELECT started_at FROM claude_sessions WHERE claude_session_id = ?2), ?1))",
        (now, fields.get("claude_session_id"))).fetchone()[0])
    fields["scope"] = clean(fields.get("scope"))
    if fields.get("agent_type") is None:
        fields["agent_type"] = UNKNOWN
    names = list(fields)
    con.execute("INSERT INTO executions (%s) VALUES (%s)" % (", ".join(names), ", ".join("?" * len(names))),
                [fields[n] for n in names])
    if fields.get("agent_id"):
        adopt(con, fields["execution_id"], fields["agent_id"])
    return fields["execution_id"]


def adopt(con, execution, agent):
    """Gives an execution the events of its agent that nobody's were until now."""
    con.execute("UPDATE events SET execution_id = ? WHERE agent_id = ? AND execution_id IS NULL", (execution, agent))


def fill(con, execution, agent_type=None, surely=False, **fields):
    """Adds to an execution's row what a signal says of it and no other said before; so their order does not matter.

    An agent type that is said `surely` takes the place of another, but for that of a plan, a tracker or an import.
    """
    if "scope" in fields:
        fields["scope"] = clean(fields["scope"])
    names = [name for name in fields if fields[name] is not None]
    if names:
        con.execute("UPDATE executions SET %s WHERE execution_id = ?" % ", ".join(
            ["%s = COALESCE(%s, ?)" % (name, name) for name in names]), [fields[n] for n in names] + [execution])
    if agent_type and con.execute("SELECT agent_type != ? FROM executions WHERE execution_id = ?",
                                  (agent_type, execution)).fetchone() == (1,):
        con.execute("UPDATE executions SET agent_type = ?2 WHERE execution_id = ?1 AND agent_type != ?2 AND (?3 OR agent_type "
                    "= 'unknown') AND " + _UNPLANNED,
                    (execution, agent_type, surely))


def explain(con, execution, call, nested, mate=False):
    """Says which Agent call an execution is of, and whether an agent made it, or it made a teammate; a planned one's is
    known."""
    con.execute("UPDATE executions SET runtime = 'agent', tool_use_id = ?2, origin = CASE WHEN ?4 OR origin = 'teammate' THEN "
                "'teammate' WHEN ?3 OR origin = 'nested' THEN 'nested' ELSE 'unplanned' END WHERE execution_id = ?1 AND "
                "task_id IS NULL AND " + _UNPLANNED,
                (execution, call, nested, mate))


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


def sure_call(con, execution):
    """The Agent call that an execution surely is of, or None."""
    return _one(con, "SELECT tool_use_id FROM events WHERE execution_id = ? AND tool_use_id IS NOT NULL AND " + _OF_A_CALL,
                execution)


def _one(con, sql, *args):
    row = con.execute(sql, args).fetchone()
    return row[0] if row else None


def join(con, session, call, agent):
    """The execution that a call and an agent belong to, joined when both are known; None when there is none yet.

    An agent that was recorded by itself before its call was known is merged into the call's execution. Where the
    two were joined to others before, one signal or the other is wrong: nothing is moved, and the answer is None.
    """
    called, working = by_call(con, session, call), by_agent(con, agent)
    if not called or not agent or called == working:
        return called or working
    if con.execute("SELECT agent_id FROM executions WHERE execution_id = ?", (called,)).fetchone()[0] is not None:
        return None
    if working:
        task = con.execute("SELECT task_id FROM executions WHERE execution_id = ?", (working,)).fetchone()[0]
        if task or sure_call(con, working) not in (None, call):
            return None  # it has a task, or surely another call
        _merge(con, called, working)
    con.execute("UPDATE executions SET agent_id = ? WHERE execution_id = ?", (agent, called))
    adopt(con, called, agent)
    return called


def _merge(con, called, working):
    """Moves everything that was recorded of an agent alone into its call's execution."""
    con.execute("UPDATE executions SET agent_id = NULL WHERE execution_id = ?", (working,))
    con.execute("UPDATE events SET execution_id = ? WHERE execution_id = ?", (called, working))
    con.execute("UPDATE OR IGNORE outputs SET execution_id = ? WHERE execution_id = ?", (called, working))
    con.execute("DELETE FROM outputs WHERE execution_id = ?", (working,))
    kept = con.execute("SELECT transcript_path, context_size, prompt_id, scope, agent_type, usage_read_at, noticed_at "
                       "FROM executions WHERE execution_id = ?", (working,)).fetchone()
    fill(con, called, transcript_path=kept[0], context_size=kept[1], prompt_id=kept[2], scope=kept[3], noticed_at=kept[6])
    fill(con, called, agent_type=kept[4], surely=kept[4] != UNKNOWN)  # an agent's own signals name its real type
    if kept[5]:  # its transcript was read: it is read again for the call's execution
        _unread(con, working)
    con.execute("DELETE FROM segments WHERE execution_id = ?", (working,))
    con.execute("DELETE FROM executions WHERE execution_id = ?", (working,))


def _unread(con, execution):
    """Forgets what was read in a transcript for an execution that it is not of."""
    con.execute("DELETE FROM usage WHERE owner = ? AND kind = 'execution'", (execution,))
    con.execute("DELETE FROM tool_calls WHERE execution_id = ?", (execution,))
    con.execute("DELETE FROM file_touches WHERE execution_id = ?", (execution,))


def part(con, execution, agent):
    """Takes an agent out of the execution of a call that is not its own, as its meta file says: what was heard of the agent
    is nobody's until it is joined again."""
    con.execute("UPDATE executions SET agent_id = NULL, transcript_path = NULL, usage_read_at = NULL WHERE execution_id = ?",
                (execution,))
    con.execute("UPDATE events SET execution_id = NULL WHERE execution_id = ? AND agent_id = ? AND kind NOT IN ('launched', "
                "'returned')", (execution, agent))
    con.execute("DELETE FROM events WHERE execution_id = ? AND kind = 'tail'", (execution,))
    con.execute("DELETE FROM outputs WHERE execution_id = ?", (execution,))
    _unread(con, execution)
    settle(con, execution)


def settle(con, execution):
    """Folds an execution's events into its row and segments. Returns (status before, status now, the messages of its segments
    that no longer stand)."""
    before = con.execute("SELECT deployed_at, paused_ms, claude_session_id, %s FROM executions WHERE execution_id = ?" %
                         ", ".join(_FOLDED), (execution,)).fetchone()
    if before is None:
        return None, None, ()
    events = [tuple(e) for e in con.execute(_EVENTS, (execution, before[2]))]
    row = fold.fold(events)
    deployed = _deployed(con, before[0], before[2], events)
    row.started_at = row.started_at and max(row.started_at, deployed)  # a clock that jumped back makes no negative times
    row.completed_at = row.completed_at and max(row.completed_at, row.started_at or deployed)
    folded = [getattr(row, n) for n in _FOLDED[:7]] + [None if row.status == "deployed" else int(row.status == "completed")]
    folded += [now if now is not None else was for now, was in zip((row.resolved_model, row.context_size), before[-2:])]
    folded += [deployed, _paused(con, row.segments, events)]
    names = _FOLDED + ("deployed_at", "paused_ms")
    changed = [(n, now) for n, now, was in zip(names, folded, before[3:] + before[:2]) if now != was]
    if changed:  # only what changed: SQLite prepares the triggers of every column that a statement names
        con.execute("UPDATE executions SET %s WHERE execution_id = ?" % ", ".join([n + " = ?" for n, _ in changed]),
                    [now for _, now in changed] + [execution])
    if any(n in _SHOWN for n, _ in changed):
        moved.append(execution)
    return before[3], row.status, _segments(con, execution, row.segments)


def _paused(con, segments, events):
    """How many milliseconds lie between segments, the later of which ended: since the earlier's end, or, where that was lost,
    since the last that was heard of it, or written."""
    return sum([con.execute("SELECT CAST(max(0, julianday(?2) - julianday(?1)) * 86400000 + 0.5 AS INTEGER)", (
                    before[3] if before else _heard(events, began, started), started)).fetchone()[0]
                for (began, before), (started, end) in zip(segments, segments[1:]) if started and end])


def _heard(events, began, until):
    """When the last was heard of an agent that began then, or what it wrote is from, `until` it was put to work again."""
    found = [e[9] if e[0] == "tail" else e[1] for e in events if e[0] in ("intent", "launched", "started", "tail")]
    return max([at for at in found + [began] if at and at < until], default=until)


def _segments(con, execution, segments):
    """Writes an execution's segments, as far as they are not there already. Returns the messages they no longer end with."""
    known = con.execute("SELECT * FROM segments WHERE execution_id = ? ORDER BY ordinal", (execution,)).fetchall()
    if len(known) > len(segments):
        con.execute("DELETE FROM segments WHERE execution_id = ? AND ordinal > ?", (execution, len(segments)))
    for ordinal, (started, end) in enumerate(segments, 1):
        status, reason, _, at, text, _ = end or (None,) * 6
        row = (execution, ordinal, started, at, status, reason, text)
        if row not in known:
            con.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    said = [end[4] for _, end in segments if end]
    return [row[6] for row in known if row[6] and row[6] not in said]


def _deployed(con, deployed, session, events):
    """When it was deployed: its earliest signal may have arrived late. (A lost one keeps its time, see open_execution.)"""
    earliest = min([e[1] for e in events], default=deployed)
    if earliest >= deployed:
        return deployed
    began = con.execute("SELECT started_at FROM claude_sessions WHERE claude_session_id = ?", (session,)).fetchone()
    return max(earliest, min(deployed, began[0])) if began else earliest
