"""Agents: whose execution a signal is about, as the call, the agent's id, its meta file and its place on disk tell."""

from orchestrator.recording import record, runs, transcript


def of_start(con, p, now):
    """The execution of an agent that begins; None while one of several calls may be its own (its meta file is not there
    yet). An agent that no call can explain is opened by itself."""
    execution = record.by_agent(con, p.agent)
    if execution is None:
        meta = transcript.meta(con, p.transcript, p.agent)
        if meta:
            execution = _by_meta(con, p.session, p.agent, meta, now, p.agent_type, p.prompt_id)
        elif p.agent_type and not _candidate(con, p.session, p.agent_type):
            execution = _open(con, p.session, p.agent, now, p.agent_type, p.prompt_id)
    if execution:
        record.fill(con, execution, agent_type=p.agent_type, surely=True, prompt_id=p.prompt_id)
    return execution


def of_end(con, p, now):
    """The execution of an agent that says it ended; its meta file is there by now. None for compaction's hidden agent,
    which has no type and leaves no file, and while one of several calls may be its own."""
    execution = record.by_agent(con, p.agent)
    meta = transcript.meta(con, p.transcript, p.agent)
    if meta:
        execution = _by_meta(con, p.session, p.agent, meta, now, p.agent_type, p.prompt_id) or execution
    elif execution is None and p.agent_type and not _candidate(con, p.session, p.agent_type):
        execution = _open(con, p.session, p.agent, now, p.agent_type, p.prompt_id)
    if execution:
        record.fill(con, execution, agent_type=p.agent_type, transcript_path=meta.path if meta else p.agent_transcript)
    return execution


def of_other(con, p, agent, call, now, is_agent):
    """The execution that a signal of the main conversation (a notification) is about, by the agent's id, its call or both.
    None when it is no agent's, or nobody knows which; `is_agent`: the signal itself says that it is one."""
    execution = record.join(con, p.session, call, agent)
    if execution or not agent:
        return execution
    execution = record.by_agent(con, agent)
    meta = transcript.meta(con, p.transcript, agent)
    if meta:
        return _by_meta(con, p.session, agent, meta, now) or execution
    if execution is None and is_agent and record.by_call(con, p.session, call) is None:
        execution = _open(con, p.session, agent, now, call=call)
    return execution


def explain(con, p, now):
    """At Stop: agents whose call was not known when they began, or was only guessed, are looked up again on disk."""
    waiting = con.execute(
        "SELECT agent_id, max(agent_type) FROM events WHERE claude_session_id = ?1 AND execution_id IS NULL AND agent_id IS "
        "NOT NULL AND kind IN ('started', 'stopped', 'api_error', 'notified') GROUP BY agent_id", (p.session,)).fetchall()
    for agent, agent_type in waiting:
        meta = transcript.meta(con, p.transcript, agent)
        if meta:
            execution = _by_meta(con, p.session, agent, meta, now, agent_type)
        elif agent_type and not record.by_agent(con, agent):
            execution = _only_candidate(con, p.session, agent, agent_type)
        else:
            continue
        if execution:
            record.adopt(con, execution, agent)
            record.fill(con, execution, agent_type=agent_type, surely=True)
            record.settle(con, execution)


def _only_candidate(con, session, agent, agent_type):
    """The call that must have begun an agent, because no other call of its type is open and no other such agent waits."""
    calls = con.execute("SELECT tool_use_id FROM executions WHERE claude_session_id = ? AND status = 'deployed' AND agent_id "
                        "IS NULL AND agent_type = ? LIMIT 2", (session, agent_type)).fetchall()
    others = con.execute("SELECT 1 FROM events WHERE claude_session_id = ? AND execution_id IS NULL AND agent_id != ? AND "
                         "kind = 'started' AND agent_type = ?", (session, agent, agent_type)).fetchone()
    return record.join(con, session, calls[0][0], agent) if len(calls) == 1 and not others else None


def unexplained(con, session, execution):
    """Whether an agent waits for its call to be known that may be this execution's."""
    return con.execute(
        "SELECT 1 FROM events v JOIN executions e ON e.execution_id = ?2 AND e.agent_type = v.agent_type WHERE "
        "v.claude_session_id = ?1 AND v.execution_id IS NULL AND v.agent_id IS NOT NULL AND v.kind = 'started'",
        (session, execution)).fetchone() is not None


def contradicts(con, p):
    """Whether an agent's signal speaks of two agents at once: its transcript is another's, or it changed its type."""
    if p.agent_transcript and not p.agent_transcript.endswith("agent-%s.jsonl" % p.agent):
        return True
    return bool(p.agent_type and con.execute(
        "SELECT 1 FROM events WHERE agent_id = ? AND kind = 'started' AND agent_type != ?", (p.agent, p.agent_type)).fetchone())


def _candidate(con, session, agent_type):
    """Whether a call is open that may have begun an agent of this type."""
    return con.execute("SELECT 1 FROM executions WHERE claude_session_id = ? AND status = 'deployed' AND agent_id IS NULL "
                       "AND agent_type = ?", (session, agent_type)).fetchone()


def _open(con, session, agent, now, agent_type=None, prompt=None, call=None):
    """Opens the execution of an agent: of its call, else a workflow's while one runs, else a skill's. What is learnt
    later may correct that."""
    origin, runtime = "unplanned", "agent"
    if call is None:
        origin, call = runs.origin_of(con, session)
        runtime = "workflow" if call else "agent"
    return record.open_execution(con, now, origin=origin, runtime=runtime, tool_use_id=call, claude_session_id=session,
                                 agent_id=agent, prompt_id=prompt, agent_type=agent_type)


def _by_meta(con, session, agent, meta, now, agent_type=None, prompt=None):
    """The execution that an agent's files lead to, opened when there is none."""
    execution = record.join(con, session, meta.call, agent) if meta.call else record.by_agent(con, agent)
    if execution is None:
        if record.by_agent(con, agent) or record.by_call(con, session, meta.call):
            return None  # two signals contradict each other
        execution = _open(con, session, agent, now, agent_type, prompt)
    row = con.execute("SELECT origin, runtime, tool_use_id, task_id FROM executions WHERE execution_id = ?",
                      (execution,)).fetchone()
    if meta.call:
        record.append(con, "met", now, "%s %s" % (agent, meta.call), claude_session_id=session, agent_id=agent,
                      tool_use_id=meta.call, execution_id=execution)
    if row[0] in record.ORIGINS and row[3] is None:
        if meta.call:
            if row[2] != meta.call or row[1] != "agent":
                con.execute("UPDATE executions SET runtime = 'agent', tool_use_id = ? WHERE execution_id = ?",
                            (meta.call, execution))
            record.fill(con, execution, origin="nested" if meta.nested else "unplanned")
        elif meta.run:
            con.execute("UPDATE executions SET runtime = 'workflow', origin = 'workflow', tool_use_id = ? "
                        "WHERE execution_id = ?", (runs.call_of(con, session, meta.run), execution))
        elif row[1] == "workflow":  # it was taken for a workflow's because one was running
            con.execute("UPDATE executions SET runtime = 'agent', origin = 'skill', tool_use_id = NULL "
                        "WHERE execution_id = ?", (execution,))
    record.fill(con, execution, agent_type=meta.agent_type, scope=meta.description, parent_agent_id=meta.parent,
                transcript_path=meta.path)
    return execution
