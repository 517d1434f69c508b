"""Ends: what each signal of an end adds to the record, and what follows from it for the orchestration."""

from orchestrator.recording import outputs, record, transcript, usage
from orchestrator.recording.graph import task_ended


def conclude(con, project, execution, now):
    """Settles an execution; on its end keeps the outputs it names and raises `rev` if that matters. Returns the status."""
    before, status = record.settle(con, execution)
    if status in ("completed", "failed") and before is not None:
        orchestration, task, message, agent = con.execute(
            "SELECT orchestration_id, task_id, final_message, agent_id FROM executions WHERE execution_id = ?",
            (execution,)).fetchone()
        if message and status == "completed":
            outputs.keep(con, project, execution, message, now)
        if before != status:
            if agent:
                _orphans(con, project, agent, now)
            if orchestration and task:
                task_ended(con, orchestration, status, now)
    return status


def _orphans(con, project, agent, now):
    """An ended agent's calls that never started can no longer start."""
    for (child,) in con.execute("SELECT execution_id FROM executions WHERE parent_agent_id = ? AND status = 'deployed' "
                                "AND agent_id IS NULL", (agent,)).fetchall():
        never_started(con, project, child, now)


def never_started(con, project, execution, now):
    """Closes what was asked for and never began."""
    record.append(con, "closed", now, execution + " never_started", execution_id=execution, status="failed",
                  reason="never_started", text="It never started: the call was denied, or the client did not run it.")
    conclude(con, project, execution, now)


def look(con, execution, path, now):
    """Adds what the transcript ends with as evidence (kind tail)."""
    found = transcript.tail(con, path) if path else None
    if found:
        con.execute("UPDATE executions SET transcript_path = ? WHERE execution_id = ?", (path, execution))
        record.append(con, "tail", now, "%s %s" % (execution, now), execution_id=execution, status=found[0], text=found[1],
                      model=found[2])
    return found


def notified(con, p, project, told, now):
    """A task-notification's end. Returns its execution, or None when it is nobody's (a monitor, a workflow, a shell)."""
    execution = record.join(con, p.session, told.call, told.task_id)
    if execution is None:
        call = transcript.call_of(con, p.transcript, told.task_id) if told.task_id else None
        execution = record.join(con, p.session, call, told.task_id) if call else None
    if execution is None:
        return None
    if told.status == "handed_back":
        handed_back(con, p.session, told.task_id, execution, told.result, now)
        conclude(con, project, execution, now)
        return execution
    record.append(con, "notified", now, p.text, claude_session_id=p.session, agent_id=told.task_id, tool_use_id=told.call,
                  execution_id=execution, status=told.status, reason=told.summary, text=told.result)
    if told.tokens is not None:
        con.execute("UPDATE executions SET context_size = ? WHERE execution_id = ?", (told.tokens, execution))
    said = con.execute("SELECT count(*) FROM events WHERE execution_id = ? AND kind IN ('stopped', 'handback', 'api_error', 'killed')",
                       (execution,)).fetchone()[0]
    if told.status == "completed" and not said:  # 197 says completed of everything: the transcript knows better
        look(con, execution, transcript.path_of(p.transcript, told.task_id), now)
    conclude(con, project, execution, now)
    path = transcript.path_of(p.transcript, told.task_id)
    con.execute("UPDATE executions SET transcript_path = COALESCE(transcript_path, ?) WHERE execution_id = ?", (path, execution))
    usage.due(con, project, now, execution=execution, most=usage.MOST_IN_HOOK)
    return execution


def handed_back(con, session, agent, execution, report, now):
    """An agent delivered its report through the client's tool: that is its end, said twice (by the tool, by a message)."""
    record.append(con, "handback", now, "%s %s" % (agent, (report or "").strip()), claude_session_id=session,
                  agent_id=agent, execution_id=execution, text=(report or "").strip())


def sweep(con, p, project, running, now):
    """At Stop: what the client no longer lists has ended, what was asked for and never began never will."""
    for execution, agent, runtime, call, parent in con.execute(
            "SELECT execution_id, agent_id, runtime, tool_use_id, parent_agent_id FROM executions "
            "WHERE claude_session_id = ? AND status = 'deployed' AND runtime IN ('agent', 'workflow')",
            (p.session,)).fetchall():
        if agent is None and parent is None:
            begun = con.execute("SELECT 1 FROM events WHERE execution_id = ? AND kind IN ('launched', 'started')",
                                (execution,)).fetchone()
            if not begun:
                never_started(con, project, execution, now)
        elif agent is not None and agent not in running and not _within(con, p, execution, runtime, call, running):
            record.append(con, "absent", now, "%s %s" % (execution, agent), claude_session_id=p.session, agent_id=agent,
                          execution_id=execution)
            look(con, execution, transcript.path_of(p.transcript, agent), now)
            conclude(con, project, execution, now)


def _within(con, p, execution, runtime, call, running):
    """Whether a workflow's agent may still be at work: its workflow is still listed."""
    if runtime != "workflow":
        return False
    run = con.execute("SELECT body FROM events WHERE kind = 'workflow' AND claude_session_id = ? AND tool_use_id = ?",
                      (p.session, call)).fetchone() if call else None
    return run[0] in running if run else bool(running)
