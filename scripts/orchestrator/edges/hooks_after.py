"""Hooks after the fact: what began, what ended, what the conversation is told about it."""

from orchestrator.edges import hooks
from orchestrator.recording import agents, ends, payload, record, sessions, usage
from orchestrator.store.open import writing

MATE = "teammate_spawned"  # what an Agent call answers that made a teammate (2.1.197 does not name its agent)


def nothing(e):
    """An event that is not ours."""
    return None


def _seen(e):
    return sessions.seen(e.con, e.p, e.pid, e.now, e.late)


def _met(e):
    """Marks the session as seen; another whose process is gone, and with it agents at work, is closed."""
    forked = _seen(e)
    if not e.late and sessions.deserted(e.con, e.p.session):
        bury(e)
    return forked


def _odd(e, why):
    """An event that lacks what it is about, or contradicts what is known: kept as it is, and nobody's."""
    text = record.clean(e.p.text)[:20000]
    record.append(e.con, "malformed", e.now, e.p.text, claude_session_id=e.p.session, reason=why, text=text)


def _project(e, execution=None):
    """Brings the projections up to date after a change; an event that changed nothing they show leaves them."""
    if execution and not record.moved:
        return
    if execution:
        row = e.con.execute("SELECT orchestration_id FROM executions WHERE execution_id = ?", (execution,)).fetchone()
    else:
        row = e.con.execute("SELECT orchestration_id FROM claude_sessions WHERE claude_session_id = ?",
                            (e.p.session,)).fetchone()
    if row and row[0]:
        from orchestrator.recording.projections import project

        project(e.con, e.workspace, row[0], e.now, record.moved)


def session_start(e):
    """SessionStart: exports the project, closes what is gone, tells the state where this session drives or could adopt."""
    if e.late:
        with writing(e.con):
            _seen(e)
        return None
    from orchestrator.services import turn

    if e.p.agent is None:
        hooks.export(e.project)
    with writing(e.con):
        bury(e)  # its own, too: what an earlier process had at work is looked at before it goes on in this one
        _seen(e)
        for session in sessions.unread(e.con, e.now):
            _lost(e, session)
        if e.p.agent is None:  # what others left unread; a fork's parent before the fork
            usage.due(e.con, e.project, e.now, most=usage.MOST_IN_PASSING)
            turn.opened(e.con, e.p)
        text = None if e.p.agent else turn.begin(e.con, e.p, e.now)
    _project(e)
    if e.p.agent is None:
        from orchestrator.services import archive

        archive.in_passing(e.con, e.project, e.now)
    return hooks.context(e.con, "SessionStart", text) if text else None


def bury(e):
    """Sessions whose process is gone, by a kill or a restart of the machine, are closed."""
    for gone in sessions.bury(e.con, e.now):
        _lost(e, gone)


def _lost(e, session):
    """A session is over: agents whose transcript shows their end have ended; planned ones that have not are lost, which
    their orchestration's driver must know."""
    from orchestrator.recording import runs
    from orchestrator.recording.graph import rise

    ends.salvage(e.con, e.project, session, e.now)
    for (orchestration,) in e.con.execute(
            "SELECT DISTINCT orchestration_id FROM lost_executions WHERE claude_session_id = ? AND task_id IS NOT NULL",
            (session,)).fetchall():
        rise(e.con, orchestration, e.now)
    runs.take_back(e.con, session)


def prompt(e):
    """UserPromptSubmit: a task-notification's end is recorded, then held or passed; a typed /orchestrate gets the state."""
    from orchestrator.recording import notification, runs
    from orchestrator.services import turn

    told = notification.parse(e.p.prompt or "")
    if told is None:
        if e.late:
            return None
        with writing(e.con):
            forked = _met(e)  # 2.1.197 told the fork's start under the id of the conversation it was forked from
            first = turn.just_opened(e.con, e.p.session)
            e.con.execute("UPDATE claude_sessions SET nagged = 0, touched = 0, idle_since = NULL "
                          "WHERE claude_session_id = ?", (e.p.session,))
            word = (e.p.prompt or "").lstrip().split(" ")[0].split("\n")[0]
            asked = word in ("/orchestrate", "/orchestrator:orchestrate")
            if runs.open_runs(e.con, e.p.session):
                from orchestrator.services import handover

                asked = handover.given_up(e.con, e.p.session, e.now) or asked  # a person refused a workflow in its dialog
            text = turn.asked(e.con, e.p, first) if asked else turn.begin(e.con, e.p, e.now) if forked else None
        return hooks.context(e.con, "UserPromptSubmit", text) if text else None
    with writing(e.con):
        _met(e)
        execution = ends.notified(e.con, e.project, e.p.session, e.p.transcript, e.p.prompt, told, e.now)
        if execution is None and told.call and not (told.summary or "").startswith('Agent "'):
            from orchestrator.services import handover

            handover.ended(e.con, e.p, e.project, told.call, e.now)
            usage.due(e.con, e.project, e.now, session=e.p.session, most=usage.MOST_IN_HOOK)
        if e.late:  # it was passed when it came
            e.con.execute("UPDATE executions SET noticed_at = ? WHERE execution_id = ?", (e.now, execution))
        else:
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
    """PostToolUse: an Agent call was launched or came back, a message put an agent to work again, a workflow was launched,
    a task was stopped, a report was handed back."""
    execution = text = None
    with writing(e.con):
        _met(e)
        if e.p.tool == "Workflow":
            from orchestrator.recording import runs

            runs.launched(e.con, e.p, e.now)
            return None
        if e.p.tool == "TaskStop":
            execution = _stopped(e)
        elif e.p.tool == "SendMessage":
            execution = _resumed(e)
        elif e.p.tool == "SubagentHandback" and e.p.agent:
            execution, _ = _ended_agent(e)
            ends.handed_back(e.con, e.p.session, e.p.agent, execution, e.p.report, e.now)
            if execution:
                ends.conclude(e.con, e.project, execution, e.now)
        elif e.p.tool in ("Agent", "Task") and e.p.call is None:
            _odd(e, "an Agent call without tool_use_id")
        elif e.p.tool in ("Agent", "Task"):
            execution = _called(e)
            returned = e.p.given_status == "completed"
            if returned:
                ends.returned(e.con, e.p, e.project, execution, payload.response_text(e.con, e.p), e.now)
            else:
                record.append(e.con, "launched", e.now, "%s %s %s" % (e.p.session, e.p.call, e.p.given_agent),
                              claude_session_id=e.p.session, agent_id=e.p.given_agent, tool_use_id=e.p.call,
                              execution_id=execution, status=e.p.given_status, model=e.p.given_model,
                              body=payload.teammate(e.con, e.p) if e.p.given_status == MATE else None)
            ends.conclude(e.con, e.project, execution, e.now)
            if returned and not e.p.agent and not e.late:
                from orchestrator.services import turn

                verdict, text = turn.receive(e.con, e.p.session, execution, e.p.mode, e.now)
                text = text if verdict == "pass" else None
    _project(e, execution)
    return hooks.context(e.con, "PostToolUse", text) if text else None


def _called(e):
    """The execution of an Agent call that was let through; opened where the gate's own event was lost."""
    asked = agents.asked(e.con, e.p.session, e.p.call)  # an agent's call may have been let through before /clear
    execution = record.join(e.con, asked, e.p.call, e.p.given_agent) or record.by_call(e.con, asked, e.p.call)
    if execution and record.sure_call(e.con, execution) not in (None, e.p.call):
        execution = record.by_call(e.con, asked, e.p.call)  # its agent is surely another call's
    if execution is None:
        execution = record.open_execution(
            e.con, e.now, origin="unplanned", claude_session_id=e.p.session, tool_use_id=e.p.call,
            agent_id=None if record.by_agent(e.con, e.p.given_agent) else e.p.given_agent)
    record.explain(e.con, execution, e.p.call, e.p.agent is not None, e.p.given_status == MATE)
    record.fill(e.con, execution, agent_type=e.p.input_type or "general-purpose", scope=e.p.description,
                parent_agent_id=e.p.agent, prompt_id=e.p.prompt_id)
    return execution


def _resumed(e):
    """SendMessage to an agent that had ended: another segment of its execution, known by the call."""
    if e.p.resumed is None or e.p.call is None:
        return None  # to an agent at work, a teammate, another session
    execution = record.by_agent(e.con, e.p.resumed)
    sessions.works_beside(e.con, e.p.session, execution, e.pid, e.now)
    record.append(e.con, "resumed", e.now, "%s %s" % (e.p.session, e.p.call), claude_session_id=e.p.session,
                  agent_id=e.p.resumed, tool_use_id=e.p.call, prompt_id=e.p.prompt_id, execution_id=execution)
    if execution:
        ends.conclude(e.con, e.project, execution, e.now)
        record.moved.append(execution)  # a lost one is at work again, though its row is the same
    return execution


def _stopped(e):
    """TaskStop: an agent, or a workflow with all its agents, was stopped; something else is no agent's end."""
    name = e.p.stop_id or e.p.given_stop  # by an older argument of the tool, only its answer names it
    execution = record.by_agent(e.con, name)
    if execution is None:
        from orchestrator.recording import runs

        if any(body == name for _, body, _ in runs.under_way(e.con, e.p.session)):
            from orchestrator.services import handover

            for each in handover.stopped(e.con, e.p, e.project, name, e.now):
                ends.conclude(e.con, e.project, each, e.now)
            return None
    record.append(e.con, "killed", e.now, "%s %s" % (e.p.call, name), claude_session_id=e.p.session,
                  agent_id=name, tool_use_id=e.p.call, execution_id=execution)
    if execution:
        ends.look(e.con, execution, ends.place(e.con, execution, e.p.transcript, name), e.now)
        ends.conclude(e.con, e.project, execution, e.now)
    return execution


def tool_failed(e):
    """PostToolUseFailure: the client did not start an agent or a workflow."""
    from orchestrator.services import handover, turn

    execution = text = None
    with writing(e.con):
        _met(e)
        if e.p.tool == "Workflow":
            if handover.refused(e.con, e.p.session, e.p.call, e.now) and not e.late:
                text = turn.asked(e.con, e.p)
        elif e.p.tool in ("Agent", "Task") and e.p.call:
            execution = _called(e)
            record.append(e.con, "refused", e.now, "%s %s" % (e.p.session, e.p.call), claude_session_id=e.p.session,
                          tool_use_id=e.p.call, execution_id=execution, reason=e.p.error)
            ends.conclude(e.con, e.project, execution, e.now)
    _project(e, execution)
    return hooks.context(e.con, "PostToolUseFailure", text) if text else None


def agent_start(e):
    """SubagentStart: joined to its call when that is known, else opened by its agent id when no call can be its own."""
    with writing(e.con):
        _met(e)
        if e.p.agent is None or agents.contradicts(e.con, e.p):
            _odd(e, "a start without agent_id, or of an agent that was of another type")
            return None
        execution = agents.of_start(e.con, e.p, e.now)
        sessions.works_beside(e.con, e.p.session, execution, e.pid, e.now)
        record.append(e.con, "started", e.now, "%s %s %s" % (e.p.session, e.p.agent, e.p.prompt_id),
                      claude_session_id=e.p.session, agent_id=e.p.agent, prompt_id=e.p.prompt_id, execution_id=execution,
                      agent_type=e.p.agent_type)
        if execution:
            ends.conclude(e.con, e.project, execution, e.now)
    return None


def _ended_agent(e):
    """(the execution, its origin) of an agent that says it ended; a workflow's agent that asked for no briefing is given its
    task."""
    execution, origin = agents.of_end(e.con, e.p, e.now), None
    if execution:
        runtime, task, path, origin = e.con.execute("SELECT runtime, task_id, transcript_path, origin FROM executions WHERE "
                                                    "execution_id = ?", (execution,)).fetchone()
        if runtime == "workflow" and task is None and path:
            from orchestrator.services import handover

            handover.join_by_prompt(e.con, e.p.session, execution, path)
    return execution, origin


def agent_stop(e):
    """SubagentStop: a normal end. A planner that submitted nothing is sent back once, with the command to use."""
    with writing(e.con):
        _met(e)
        if e.p.agent is None or agents.contradicts(e.con, e.p):
            _odd(e, "an end without agent_id, or of two agents at once")
            return None
        execution, origin = _ended_agent(e)
        planner = origin == "planner" and not e.late
        if not planner:
            _stop_said(e, execution)
    if planner:  # its plan is taken by a command of our own, outside of any transaction
        from orchestrator.edges import hooks_planner

        back = hooks_planner.send_back(e, execution)
        if back:
            return back
        with writing(e.con):
            execution = record.by_agent(e.con, e.p.agent)  # it may have been joined to its call since
            _stop_said(e, execution)
    _project(e, execution)
    return None


def _stop_said(e, execution):
    again = "again" if e.p.again else None
    record.append(e.con, "stopped", e.now, "%s %s %s %s %s" % (e.p.session, e.p.agent, e.p.prompt_id, again, e.p.last),
                  claude_session_id=e.p.session, agent_id=e.p.agent, prompt_id=e.p.prompt_id, execution_id=execution,
                  agent_type=e.p.agent_type, status=again, text=e.p.last)
    if execution:
        ends.doubted(e.con, execution, e.now)
        ends.conclude(e.con, e.project, execution, e.now)


def agent_failed(e):
    """StopFailure: an agent's (with agent_id), or the main conversation's, which ends no execution."""
    execution = None
    with writing(e.con):
        _met(e)
        if e.p.agent:
            if agents.contradicts(e.con, e.p):
                _odd(e, "a failure of two agents at once")
                return None
            execution, _ = _ended_agent(e)
        record.append(e.con, "api_error", e.now, "%s %s %s %s %s" % (
            e.p.session, e.p.agent, e.p.prompt_id, e.p.error, e.p.last if e.p.agent else e.once),
            claude_session_id=e.p.session, agent_id=e.p.agent, prompt_id=e.p.prompt_id, execution_id=execution,
            agent_type=e.p.agent_type, reason=e.p.error, text=e.p.last)
        if execution:
            path = ends.place(e.con, execution, e.p.transcript, e.p.agent)
            ends.look(e.con, execution, path, e.now)  # what it had said by then
            ends.conclude(e.con, e.project, execution, e.now)
    _project(e, execution)
    return None


def stop(e):
    """Stop: what no longer runs has ended; goes on with the digest when something is to be done, and does not nag."""
    from orchestrator.recording import runs
    from orchestrator.services import turn

    running = payload.background_ids(e.con, e.p)
    woken = not e.late and turn.sure_to_wake(e.con, e.p, running or set(), e.now)
    with writing(e.con):
        _seen(e)
        if sessions.of_another(e.con, e.p.session, e.pid):
            running = None  # what it lists is what this process has at work
        if not e.late:
            bury(e)
            if running is not None and runs.under_way(e.con, e.p.session):
                from orchestrator.services import handover

                handover.sweep(e.con, e.p, e.project, running, e.now)
        if running is not None:  # else nothing is said of what has ended
            ends.sweep(e.con, e.p, e.project, running, e.now)
        usage.due(e.con, e.project, e.now, session=e.p.session, most=usage.MOST_IN_HOOK)
        text = None if e.late else turn.stop(e.con, e.p, e.now, woken)
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
    """SessionEnd: closes the Claude session's row; what is still at work there is lost, unless its process only goes on with
    another conversation."""
    with writing(e.con):
        _seen(e)
        usage.due(e.con, e.project, e.now, session=e.p.session, most=usage.MOST_IN_PASSING)
        if sessions.of_another(e.con, e.p.session, e.pid):
            return None  # it goes on there
        if e.p.why in sessions.LEFT:
            sessions.leave(e.con, e.p.session, e.p.why, e.now)
            return None
        for session in sessions.all_of(e.con, e.p.session):
            if sessions.ended(e.con, session, e.p.why or "ended", e.now):
                _lost(e, session)
    _project(e)
    return None
