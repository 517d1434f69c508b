"""Hooks after the fact: what began, what ended, what the conversation is told about it."""


from orchestrator.edges import hooks
from orchestrator.recording import ends, notification, payload, record, sessions, transcript, usage
from orchestrator.store.open import writing


def nothing(e):
    """An event that is not ours."""
    return None


def _seen(e):
    return sessions.seen(e.con, e.p, e.pid, e.now)


def _project(e, execution=None):
    """Brings the projections up to date after a change."""
    if execution:
        row = e.con.execute("SELECT orchestration_id FROM executions WHERE execution_id = ?", (execution,)).fetchone()
    else:
        row = e.con.execute("SELECT orchestration_id FROM claude_sessions WHERE claude_session_id = ?",
                            (e.p.session,)).fetchone()
    if row and row[0]:
        from orchestrator.recording.projections import project

        project(e.con, e.workspace, row[0], e.now)


def session_start(e):
    """SessionStart: exports the project, closes what is gone, tells the state where this session drives or could adopt."""
    from orchestrator.services import turn

    if e.late:
        return None
    if e.p.agent is None:
        hooks.export(e.project)
    with writing(e.con):
        _seen(e)
        for gone in sessions.bury(e.con, e.now):
            _lost(e, gone)
        text = None if e.p.agent else turn.begin(e.con, e.p, e.now)
    _project(e)
    return hooks.context(e.con, "SessionStart", text) if text else None


def _lost(e, session):
    """A session is gone: its planned executions are lost, which its orchestration's driver must know."""
    from orchestrator.recording.graph import rise

    for (orchestration,) in e.con.execute(
            "SELECT DISTINCT orchestration_id FROM lost_executions WHERE claude_session_id = ? AND task_id IS NOT NULL",
            (session,)).fetchall():
        rise(e.con, orchestration, e.now)
    e.con.execute("UPDATE tasks SET handed_to = NULL WHERE handed_to IN (SELECT tool_use_id FROM events WHERE kind = "
                  "'handed' AND claude_session_id = ?)", (session,))


def prompt(e):
    """UserPromptSubmit: a task-notification's end is recorded, then held or passed; a typed /orchestrate gets the state."""
    from orchestrator.services import turn

    told = notification.parse(e.p.prompt or "")
    if told is None:
        if e.late:
            return None
        with writing(e.con):
            forked = _seen(e)  # 2.1.197 told the fork's start under the id of the conversation it was forked from
            e.con.execute("UPDATE claude_sessions SET nagged = 0, touched = 0, idle_since = NULL "
                          "WHERE claude_session_id = ?", (e.p.session,))
            word = (e.p.prompt or "").lstrip().split(" ")[0].split("\n")[0]
            typed = word in ("/orchestrate", "/orchestrator:orchestrate")
            text = turn.asked(e.con, e.p) if typed else turn.begin(e.con, e.p, e.now) if forked else None
        return hooks.context(e.con, "UserPromptSubmit", text) if text else None
    with writing(e.con):
        _seen(e)
        execution = ends.notified(e.con, e.p, e.project, told, e.now)
        if execution is None and told.call:
            from orchestrator.services import handover

            handover.ended(e.con, e.p, e.project, told.call, e.now)
            usage.due(e.con, e.project, e.now, session=e.p.session, most=usage.MOST_IN_HOOK)
        verdict, text = turn.receive(e.con, e.p.session, execution, e.p.mode, e.now)
    _project(e, execution)
    if e.late:
        return None
    if verdict == "hold":
        return e.con.execute(
            "SELECT json_object('decision', 'block', 'reason', ?, 'hookSpecificOutput', json_object('hookEventName', "
            "'UserPromptSubmit', 'suppressOriginalPrompt', json('true')))", (text,)).fetchone()[0]
    return hooks.context(e.con, "UserPromptSubmit", text) if text else None


def after_tool(e):
    """PostToolUse: an Agent call was launched or came back, a workflow was launched, a task was stopped."""
    execution = text = None
    with writing(e.con):
        _seen(e)
        if e.p.tool == "Workflow":
            from orchestrator.recording import runs

            runs.launched(e.con, e.p, e.now)
            return None
        if e.p.tool == "TaskStop":
            execution = _stopped(e)
        elif e.p.tool == "SubagentHandback":
            execution = _ended_agent(e)
            if execution:
                ends.handed_back(e.con, e.p.session, e.p.agent, execution, e.p.report, e.now)
                ends.conclude(e.con, e.project, execution, e.now)
        else:
            execution = record.join(e.con, e.p.session, e.p.call, e.p.given_agent)
            if execution is None:  # the gate's own event was lost: the call is recorded from what came back
                execution = record.open_execution(
                    e.con, e.now, origin="nested" if e.p.agent else "unplanned", claude_session_id=e.p.session,
                    tool_use_id=e.p.call, parent_agent_id=e.p.agent, prompt_id=e.p.prompt_id,
                    agent_type=e.p.input_type or "general-purpose", scope=e.p.description)
                record.join(e.con, e.p.session, e.p.call, e.p.given_agent)
            kind = "launched" if e.p.given_status == "async_launched" else "returned"
            record.append(e.con, kind, e.now, "%s %s" % (e.p.session, e.p.call), claude_session_id=e.p.session,
                          agent_id=e.p.given_agent, tool_use_id=e.p.call, execution_id=execution, status=e.p.given_status,
                          model=e.p.given_model, text=payload.response_text(e.con, e.p) if kind == "returned" else None)
            if kind == "returned":
                told = e.con.execute("SELECT 1 FROM events WHERE execution_id = ? AND kind IN ('stopped', 'api_error')",
                                     (execution,)).fetchone()
                if told is None:
                    ends.look(e.con, execution, transcript.path_of(e.p.transcript, e.p.given_agent), e.now)
            ends.conclude(e.con, e.project, execution, e.now)
            if kind == "returned" and not e.p.agent and not e.late:
                from orchestrator.services import turn

                verdict, text = turn.receive(e.con, e.p.session, execution, e.p.mode, e.now)
                text = text if verdict == "pass" else None
    _project(e, execution)
    return hooks.context(e.con, "PostToolUse", text) if text else None


def _stopped(e):
    """TaskStop: an agent, or a workflow with all its agents, was stopped."""
    from orchestrator.services import handover

    execution = record.by_agent(e.con, e.p.stop_id)
    if execution is None:
        for execution in handover.stopped(e.con, e.p, e.project, e.p.stop_id, e.now):
            ends.conclude(e.con, e.project, execution, e.now)
        return None
    record.append(e.con, "killed", e.now, "%s %s" % (e.p.call, execution), claude_session_id=e.p.session,
                  tool_use_id=e.p.call, execution_id=execution)
    ends.look(e.con, execution, transcript.path_of(e.p.transcript, e.p.stop_id), e.now)
    ends.conclude(e.con, e.project, execution, e.now)
    return execution


def tool_failed(e):
    """PostToolUseFailure: the client did not start an agent or a workflow."""
    from orchestrator.services import handover, turn

    execution = text = None
    with writing(e.con):
        _seen(e)
        if e.p.tool == "Workflow":
            if handover.refused(e.con, e.p.session, e.p.call, e.now) and not e.late:
                text = turn.asked(e.con, e.p)
        elif e.p.tool != "TaskStop":
            execution = record.by_call(e.con, e.p.session, e.p.call)
            if execution:
                record.append(e.con, "refused", e.now, "%s %s" % (e.p.session, e.p.call), claude_session_id=e.p.session,
                              tool_use_id=e.p.call, execution_id=execution, reason=e.p.error)
                ends.conclude(e.con, e.project, execution, e.now)
    _project(e, execution)
    return hooks.context(e.con, "PostToolUseFailure", text) if text else None


def agent_start(e):
    """SubagentStart: joined to its call when that is known, else opened by its agent id when no call can be its own."""
    with writing(e.con):
        _seen(e)
        execution = record.by_agent(e.con, e.p.agent)
        if execution is None and e.p.agent_type and not e.con.execute(
                "SELECT 1 FROM executions WHERE claude_session_id = ? AND status = 'deployed' AND agent_id IS NULL AND "
                "agent_type = ?", (e.p.session, e.p.agent_type)).fetchone():
            execution = _open_by_agent(e)
        record.append(e.con, "started", e.now, e.once, claude_session_id=e.p.session, agent_id=e.p.agent,
                      prompt_id=e.p.prompt_id, execution_id=execution, agent_type=e.p.agent_type)
        if execution:
            ends.conclude(e.con, e.project, execution, e.now)
    return None


def _open_by_agent(e):
    """An agent that no Agent call explains: of a workflow, a skill, or a call whose events are still to come."""
    from orchestrator.recording import runs

    origin, call = runs.origin_of(e.con, e.p.session)
    return record.open_execution(e.con, e.now, origin=origin, runtime="workflow" if call else "agent", tool_use_id=call,
                                 claude_session_id=e.p.session, agent_id=e.p.agent, prompt_id=e.p.prompt_id,
                                 agent_type=e.p.agent_type)


def _ended_agent(e):
    """The execution of an agent that says it ended; its meta file is there by now."""
    execution = record.by_agent(e.con, e.p.agent)
    call = transcript.call_of(e.con, e.p.transcript, e.p.agent)
    execution = record.join(e.con, e.p.session, call, e.p.agent) or execution
    if execution is None and e.p.agent_type:
        execution = _open_by_agent(e)
        e.con.execute("UPDATE events SET execution_id = ? WHERE agent_id = ? AND execution_id IS NULL",
                      (execution, e.p.agent))
    if execution:
        path = e.p.agent_transcript or transcript.path_of(e.p.transcript, e.p.agent)
        e.con.execute("UPDATE executions SET transcript_path = COALESCE(?, transcript_path) WHERE execution_id = ?",
                      (path, execution))
        if e.con.execute("SELECT 1 FROM executions WHERE execution_id = ? AND runtime = 'workflow' AND task_id IS NULL",
                         (execution,)).fetchone():
            from orchestrator.services import handover

            handover.join_by_prompt(e.con, e.p.session, execution, path)
    return execution


def agent_stop(e):
    """SubagentStop: a normal end. A planner that submitted nothing is sent back once, with the command to use."""
    from orchestrator.edges import hooks_planner

    with writing(e.con):
        _seen(e)
        execution = _ended_agent(e) if e.p.agent_type else None  # compaction's hidden agent has no type: no execution
    if execution and not e.late:
        back = hooks_planner.send_back(e, execution)
        if back:
            return back
    with writing(e.con):
        record.append(e.con, "stopped", e.now, e.once, claude_session_id=e.p.session, agent_id=e.p.agent,
                      prompt_id=e.p.prompt_id, execution_id=execution, agent_type=e.p.agent_type, text=e.p.last)
        if execution:
            ends.conclude(e.con, e.project, execution, e.now)
    _project(e, execution)
    return None


def agent_failed(e):
    """StopFailure: an agent's (with agent_id), or the main conversation's, which ends no execution."""
    with writing(e.con):
        _seen(e)
        execution = _ended_agent(e) if e.p.agent else None
        record.append(e.con, "api_error", e.now, e.once, claude_session_id=e.p.session, agent_id=e.p.agent,
                      execution_id=execution, agent_type=e.p.agent_type, reason=e.p.error, text=e.p.last)
        if execution:
            ends.conclude(e.con, e.project, execution, e.now)
    _project(e, execution)
    return None


def stop(e):
    """Stop: what no longer runs has ended; goes on with the digest when something is to be done, and does not nag."""
    from orchestrator.recording import runs
    from orchestrator.services import turn

    with writing(e.con):
        _seen(e)
        running = payload.background_ids(e.con, e.p)
        if runs.open_runs(e.con, e.p.session):
            from orchestrator.services import handover

            handover.sweep(e.con, e.p, e.project, running, e.now)
        ends.sweep(e.con, e.p, e.project, running, e.now)
        usage.due(e.con, e.project, e.now, session=e.p.session, most=usage.MOST_IN_HOOK)
        text = None if e.late else turn.stop(e.con, e.p, e.now)
    _project(e)
    return hooks.context(e.con, "Stop", text) if text else None


def before_compaction(e):
    """PreCompact: plain words on what the summary must keep (the one answer that is not JSON)."""
    from orchestrator.services import turn

    if e.p.agent:
        return None
    return turn.keep_in_summary(e.con, e.p)


def after_compaction(e):
    """PostCompact: recorded; prints nothing (an answer would land in the model's context as an error)."""
    with writing(e.con):
        record.append(e.con, "compacted", e.now, e.once, claude_session_id=e.p.session, agent_id=e.p.agent,
                      reason=e.p.trigger)
    return None


def session_end(e):
    """SessionEnd: closes the Claude session's row; what is still at work there is lost."""
    with writing(e.con):
        _seen(e)
        sessions.ended(e.con, e.p.session, e.p.why or "ended", e.now)
        _lost(e, e.p.session)
    _project(e)
    return None
