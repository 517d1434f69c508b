"""Runs of the client's Workflow engine in a Claude session: which are open, and what explains an agent without a call."""

from orchestrator.recording import record, sessions

_RUNS = record.one_of("kind", "handed", "workflow", "workflow_ended")  # as the index events_of_runs says it


def launched(con, p, now):
    """PostToolUse(Workflow): a workflow runs, ours or another's; kept under its call, with the id that Stop lists."""
    record.append(con, "workflow", now, "%s %s" % (p.session, p.call), claude_session_id=p.session, tool_use_id=p.call,
                  orchestration_id=orchestration_of(con, p.call), reason=p.given_run, body=p.given_task)
    if p.given_run:  # agents that ended before this was heard
        con.execute("UPDATE executions SET tool_use_id = ? WHERE claude_session_id = ? AND runtime = 'workflow' AND "
                    "tool_use_id IS NULL AND instr(transcript_path, ?)", (p.call, p.session, "/workflows/%s/" % p.given_run))


def call_of(con, session, run):
    """The Workflow call that a run's folder belongs to, or None. It may run on from a conversation that was left for this one."""
    for each in sessions.all_of(con, session):
        row = con.execute("SELECT tool_use_id FROM events WHERE kind = 'workflow' AND claude_session_id = ? AND reason = ?",
                          (each, run)).fetchone()
        if row:
            return row[0]
    return None


def of_call(con, session, call):
    """The conversation that a workflow was called in: this one, or one that was left for it."""
    found = "SELECT 1 FROM events WHERE %s AND claude_session_id = ? AND tool_use_id = ?" % _RUNS
    return next((s for s in sessions.all_of(con, session) if con.execute(found, (s, call)).fetchone()), session)


def orchestration_of(con, call):
    """The orchestration whose tasks were handed over by a Workflow call, or None."""
    row = con.execute("SELECT orchestration_id FROM events INDEXED BY events_of_runs WHERE kind = 'handed' AND tool_use_id = ?",
                      (call,)).fetchone()
    return row[0] if row else None


def open_runs(con, session):
    """(call, id or None, whether its tasks are ours) of the workflows of a session that have not ended."""
    found = {}
    for call, kind, body, event in con.execute(
            "SELECT tool_use_id, kind, body, event_id FROM events INDEXED BY events_of_runs WHERE claude_session_id = ? AND "
            + _RUNS, (session,)):
        found.setdefault(call, []).append((event, kind, body))
    runs = [(max(told)[0], call, {kind: body for _, kind, body in told}) for call, told in found.items()]
    return [(call, kinds.get("workflow"), "handed" in kinds) for _, call, kinds in sorted(runs, key=lambda run: -run[0])
            if "workflow_ended" not in kinds]


def under_way(con, session):
    """The same with those of the conversations that were left for this one."""
    return [run for each in sessions.all_of(con, session) for run in open_runs(con, each)]


def running(con, session):
    """The call of a workflow that runs in a session, which an agent may be of that no Agent call explains; or None."""
    return next((call for call, _, _ in under_way(con, session)), None)


def take_back(con, session):
    """What was handed to the workflows of a Claude session that is over waits again."""
    con.execute("UPDATE tasks SET handed_to = NULL WHERE handed_to IS NOT NULL AND handed_to IN (SELECT tool_use_id FROM events "
                "WHERE kind = 'handed' AND claude_session_id = ?)", (session,))
