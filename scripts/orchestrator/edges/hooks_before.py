"""Hooks before a tool call: the gate for Agent and Workflow calls, and our own command in Bash."""

import os

from orchestrator import paths
from orchestrator.edges import hooks, hooks_planner
from orchestrator.recording import record, sessions, transcript
from orchestrator.services import gate, handover
from orchestrator.store.open import writing


def before_tool(e):
    """PreToolUse of Agent, Workflow and Bash."""
    if e.late:
        return _late(e)
    if e.p.tool == "Bash":
        return own_command(e)
    if e.p.tool == "SubagentHandback":
        return hooks_planner.before_report(e)
    if e.p.tool not in ("Agent", "Task", "Workflow"):
        return None
    with writing(e.con):
        sessions.seen(e.con, e.p, e.pid, e.now)
        if sessions.deserted(e.con, e.p.session):  # before it is asked how many agents may be at work
            from orchestrator.edges import hooks_after

            hooks_after.bury(e)
    if e.p.call is None:  # no end could ever be joined to it
        planned = gate.task_of(e.p.input_prompt) or e.p.input_name == "orchestrator:run"
        return hooks.deny(e.con, "This call has no tool_use_id, so it cannot be recorded.") if planned else None
    try:
        if e.p.tool == "Workflow":
            if e.p.input_name != "orchestrator:run":
                return None
            changed = handover.workflow_call(e.con, e.p, e.now)
            # whether a workflow may run at all is the user's to say: the client asks, with these args
            return hooks.change(e.con, changed, allow=False)
        changed = gate.agent_call(e.con, e.p, e.project, e.now)
        _project(e, results=False)  # a deployment leaves none
        return hooks.change(e.con, changed) if changed else None
    except gate.Refused as refused:
        with writing(e.con):
            record.append(e.con, "denied", e.now, "%s %s" % (e.p.session, e.p.call), claude_session_id=e.p.session,
                          tool_use_id=e.p.call, parent_agent_id=e.p.agent, agent_type=e.p.input_type,
                          orchestration_id=gate.current(e.con, e.p.session), reason=str(refused), text=e.p.input_prompt)
        return hooks.deny(e.con, str(refused))


def _late(e):
    """An Agent call that could not be written when it was made: recorded as it was let through then, answered by nobody."""
    if e.p.tool in ("Agent", "Task") and e.p.call and gate.task_of(e.p.input_prompt) is None:
        with writing(e.con):
            sessions.seen(e.con, e.p, e.pid, e.now, late=True)
        try:
            gate.agent_call(e.con, e.p, e.project, e.now)
        except gate.Refused:
            pass  # it ran: other signals will record it
    return None


def _project(e, results=True):
    orchestration = gate.current(e.con, e.p.session)
    if orchestration:
        from orchestrator.recording.projections import project

        project(e.con, e.workspace, orchestration, e.now, record.moved, results)


def own_command(e):
    """Bash: our own command runs without a prompt, from our own bin; `brief` joins a workflow's agent to its task."""
    from orchestrator.edges.own_command import judge, quoted

    ours = os.path.join(paths.plugin_root(), "bin", "orchestrator")
    origin = None
    if e.p.agent:
        _join_agent(e)
        row = e.con.execute("SELECT origin, orchestration_id FROM executions WHERE agent_id = ?", (e.p.agent,)).fetchone()
        origin = row[0] if row else None
    judged = judge(e.p.command or "", e.project, e.p.cwd or e.project, bool(e.p.agent), origin == "planner", ours)
    if judged is None:
        return None
    if e.con.execute("SELECT 1 FROM claude_sessions WHERE claude_session_id = ?", (e.p.session,)).fetchone() is None:
        with writing(e.con):  # its first event: the command may want to know its session, as doctor does
            sessions.seen(e.con, e.p, e.pid, e.now)
    verb, words, command = judged
    if verb == "brief" and e.p.agent:
        try:
            execution = handover.brief_call(e.con, e.p, e.project, words[1] if len(words) > 1 else "", e.now)
        except gate.Refused as refused:
            return hooks.deny(e.con, "NO BRIEFING: %s" % refused)
        _project(e)
        command += " --execution-id %s" % quoted(execution)
    elif verb == "plan" and origin == "planner":
        begin = command.index(" plan -", len(ours)) + len(" plan -")
        command = "%s --orchestration %s%s" % (command[:begin], quoted(row[1]), command[begin:])
    return hooks.change(e.con, e.con.execute(
        "SELECT json_set(json_extract(?1, '$.tool_input'), '$.command', ?2)", (e.p.text, command)).fetchone()[0])


def _join_agent(e):
    """By its first tool call an agent's meta file names the call it came from."""
    if record.by_agent(e.con, e.p.agent) is None:
        call = transcript.call_of(e.con, e.p.transcript, e.p.agent)
        if call:
            with writing(e.con):
                record.join(e.con, e.p.session, call, e.p.agent)
