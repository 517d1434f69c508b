"""Agents: whose execution a signal is about, as the call, the agent's id, its meta file and its place on disk tell."""

from orchestrator.recording import record, runs, sessions, transcript


def of_start(con, p, now):
    """The execution of an agent that begins; None while one of several calls may be its own (its meta file is not there
    yet). An agent that no call can explain is opened by itself."""
    execution = record.by_agent(con, p.agent)
    if execution is None:
        meta = _meta(con, p.session, p.transcript, p.agent)
        if meta:
            execution = by_meta(con, p.session, p.agent, meta, now, _type(p), p.prompt_id)
        elif p.agent_type and not _candidate(con, p.session, _type(p)):
            execution = _open(con, p.session, p.agent, now, _type(p), p.prompt_id)
    if execution:
        record.fill(con, execution, agent_type=_type(p), surely=True, prompt_id=p.prompt_id)
    return execution


def _meta(con, session, main, agent):
    """The Meta of an agent, whose files may still lie with a conversation that its process has left for this one."""
    found = transcript.meta(con, main, agent)
    for other in () if found else sessions.left(con, session):
        found = found or transcript.meta(con, transcript.main_of(con, other), agent)
    return found


def _type(p):
    """The agent's type; None for a teammate, which says its name instead: its id begins with that."""
    return None if is_mate(p.agent, p.agent_type) else p.agent_type


def is_mate(agent, agent_type):
    """Whether an agent's id and type are those of a teammate."""
    return bool(agent and agent_type and agent.startswith("a%s-" % agent_type))


def of_end(con, p, now):
    """The execution of an agent that says it ended; its meta file is there by now. None for compaction's hidden agent,
    which has no type and leaves no file, and while one of several calls may be its own."""
    execution = record.by_agent(con, p.agent)
    meta = _meta(con, p.session, p.transcript, p.agent)
    if meta:
        execution = by_meta(con, p.session, p.agent, meta, now, _type(p), p.prompt_id) or execution
    elif execution is None and p.agent_type and not _candidate(con, p.session, _type(p)):
        execution = _open(con, p.session, p.agent, now, _type(p), p.prompt_id)
    if execution and not (meta and meta.agent_type == _type(p)):  # else all is said
        record.fill(con, execution, agent_type=_type(p), transcript_path=meta.path if meta else p.agent_transcript)
    return execution


def of_other(con, session, main, agent, call, now, is_agent):
    """The execution that a signal of the main conversation (a notification) is about, by the agent's id, its call or both.
    None when it is no agent's, or nobody knows which; `is_agent`: the signal itself says that it is one."""
    session = asked(con, session, call)
    execution = record.join(con, session, call, agent)
    if execution or not agent:
        return execution
    execution = record.by_agent(con, agent)
    meta = _meta(con, session, main, agent)
    if meta:
        return by_meta(con, session, agent, meta, now) or execution
    if execution is None and is_agent and record.by_call(con, session, call) is None and not _candidate(con, session):
        execution = _open(con, session, agent, now)
    return execution


def asked(con, session, call, execution=None):
    """The conversation in which a call was let through: this one, or one that its process has left for it, or that of an
    execution which the call is of."""
    if call and record.by_call(con, session, call) is None:
        others = sessions.left(con, session) + [row[0] for row in con.execute(
            "SELECT claude_session_id FROM executions WHERE execution_id = ?", (execution,))]
        return next((other for other in others if record.by_call(con, other, call)), session)
    return session


def explain(con, session, main, now):
    """At Stop: agents whose call was not known when they were heard of are looked up again."""
    for agent, agent_type in con.execute(
            "SELECT agent_id, max(agent_type) FROM events WHERE claude_session_id = ?1 AND "
            "execution_id IS NULL AND agent_id "
            "IS NOT NULL AND kind IN ('started', 'stopped', 'api_error', 'notified') GROUP BY agent_id",
            (session,)).fetchall():
        agent_type = None if is_mate(agent, agent_type) else agent_type
        meta = transcript.meta(con, main, agent)
        execution = record.by_agent(con, agent)
        if meta:
            execution = by_meta(con, session, agent, meta, now, agent_type) or execution
        elif execution is None and agent_type and not _candidate(con, session, agent_type):
            execution = _open(con, session, agent, now, agent_type)
        if execution:
            record.adopt(con, execution, agent)
            record.fill(con, execution, agent_type=agent_type, surely=True)
            record.settle(con, execution)
    for execution, agent in con.execute(
            "SELECT execution_id, agent_id FROM executions e WHERE claude_session_id = ? AND runtime = 'agent' AND agent_id IS "
            "NOT NULL AND origin NOT IN ('skill', 'tracker', 'imported') AND NOT EXISTS (SELECT 1 FROM events v WHERE "
            "v.execution_id = e.execution_id AND v.kind = 'met') ORDER BY tool_use_id IS NULL", (session,)).fetchall():
        if record.by_agent(con, agent) != execution:
            continue
        meta = transcript.meta(con, main, agent)
        if meta:
            joined = by_meta(con, session, agent, meta, now)
        else:
            told = con.execute("SELECT e.execution_id, v.tool_use_id FROM events v JOIN executions e ON e.claude_session_id = "
                               "?2 AND e.tool_use_id = v.tool_use_id AND e.runtime = 'agent' WHERE v.execution_id = ?1 AND "
                               "v.kind = 'notified'", (execution, session)).fetchone()
            joined = record.join(con, session, told[1], agent) if told else None
        if joined:
            record.settle(con, joined)


def pair(con, session):
    """When a session is over: an agent that was heard of and left no file is of the one open call that asked for its type.
    Where there are several of either, nobody knows."""
    for agent, agent_type, call in con.execute(
            "SELECT v.agent_id, v.agent_type, (SELECT CASE WHEN count(*) = 1 THEN min(e.tool_use_id) END FROM executions e WHERE "
            "e.claude_session_id = ?1 AND e.status = 'deployed' AND e.agent_id IS NULL AND e.agent_type = v.agent_type) FROM "
            "events v WHERE v.claude_session_id = ?1 AND v.execution_id IS NULL AND v.agent_id IS NOT NULL AND v.agent_type IS "
            "NOT NULL AND v.kind = 'started' GROUP BY v.agent_type HAVING count(DISTINCT v.agent_id) = 1", (session,)).fetchall():
        joined = record.join(con, session, call, agent) if call else None
        if joined:
            record.fill(con, joined, agent_type=agent_type, surely=True)
            record.settle(con, joined)


def unexplained(con, session, execution):
    """Whether an agent is known, but not its call, that may be this execution's."""
    return con.execute(
        "SELECT 1 FROM executions me WHERE me.execution_id = ?2 AND (EXISTS (SELECT 1 FROM events v WHERE "
        "v.claude_session_id = ?1 AND v.execution_id IS NULL AND v.agent_id IS NOT NULL AND v.kind "
        "IN ('started', 'notified') "
        "AND COALESCE(v.agent_type, me.agent_type) = me.agent_type) OR EXISTS (SELECT 1 FROM executions o WHERE "
        "o.claude_session_id = ?1 AND o.agent_id IS NOT NULL AND o.tool_use_id IS NULL AND o.runtime "
        "= 'agent' AND o.origin = "
        "'unplanned' AND o.agent_type IN (me.agent_type, 'unknown')))", (session, execution)).fetchone() is not None


def contradicts(con, p):
    """Whether an agent's signal speaks of two agents at once: its transcript is another's, or it changed its type (unless the
    earlier signal was the wrong one, as its meta file tells)."""
    if p.agent_transcript and not p.agent_transcript.endswith("agent-%s.jsonl" % p.agent):
        return True
    if not p.agent_type or con.execute("SELECT 1 FROM events WHERE agent_id = ? AND kind = 'started' AND agent_type != ?",
                                       (p.agent, p.agent_type)).fetchone() is None:
        return False
    meta = transcript.meta(con, p.transcript, p.agent)
    return meta is None or p.agent_type != (meta.mate.partition("@")[0] if meta.mate else meta.agent_type)


def _candidate(con, session, agent_type=None):
    """Whether a call is open that may have begun an agent (of this type)."""
    return con.execute("SELECT 1 FROM executions WHERE claude_session_id = ?1 AND status = 'deployed' AND agent_id IS NULL "
                       "AND agent_type = COALESCE(?2, agent_type)", (session, agent_type)).fetchone()


def _open(con, session, agent, now, agent_type=None, prompt=None):
    """Opens the execution of an agent whose call is not known: a workflow's while one runs. Its files will tell."""
    call = runs.running(con, session)
    return record.open_execution(con, now, origin="workflow" if call else "unplanned", runtime="workflow" if call else "agent",
                                 tool_use_id=call, claude_session_id=session, agent_id=agent, prompt_id=prompt,
                                 agent_type=agent_type)


def by_meta(con, session, agent, meta, now, agent_type=None, prompt=None):
    """The execution that an agent's files lead to, opened when there is none."""
    if meta.mate and not meta.call:
        meta.call = _called_mate(con, session, agent, meta.mate)
    working = record.by_agent(con, agent)
    session = asked(con, session, meta.call, working)
    called = record.by_call(con, session, meta.call)
    if called and called != working:  # where another signal named the wrong agent, the client's own file knows better
        if working and con.execute("SELECT 1 FROM executions WHERE execution_id = ? AND tool_use_id IS NOT NULL AND runtime = "
                                   "'agent'", (working,)).fetchone():
            record.part(con, working, agent)
        other = con.execute("SELECT agent_id FROM executions e WHERE execution_id = ? AND agent_id IS NOT NULL AND NOT EXISTS ("
                            "SELECT 1 FROM events v WHERE v.execution_id = e.execution_id AND v.kind = 'met' AND v.agent_id = "
                            "e.agent_id)", (called,)).fetchone()
        if other:
            record.part(con, called, other[0])
    execution = record.join(con, session, meta.call, agent) if meta.call else record.by_agent(con, agent)
    if execution is None:
        if record.by_agent(con, agent) or record.by_call(con, session, meta.call):
            return None  # two signals contradict each other
        execution = _open(con, session, agent, now, agent_type, prompt)
    about = ("SELECT origin, runtime, tool_use_id, task_id, agent_type, scope, parent_agent_id, transcript_path FROM executions "
             "WHERE execution_id = ?")
    row = con.execute(about, (execution,)).fetchone()
    if not meta.call and row[1] == "agent" and row[2] and (meta.mate or row[0] in record.ORIGINS and row[3] is None):
        record.part(con, execution, agent)  # no Agent call began it
        execution = _open(con, session, agent, now, agent_type, prompt)
        row = con.execute(about, (execution,)).fetchone()
    if meta.call:
        if record.append(con, "met", now, "%s %s" % (agent, meta.call), claude_session_id=session, agent_id=agent,
                         tool_use_id=meta.call, execution_id=execution):
            _give_back(con, session, execution, meta.call)
        if row[3] is None:  # a planned one's is known
            record.explain(con, execution, meta.call, meta.nested, bool(meta.mate))
    elif meta.mate:
        con.execute("UPDATE executions SET runtime = 'agent', origin = 'teammate', tool_use_id = NULL WHERE execution_id = ? "
                    "AND origin IN ('unplanned', 'workflow') AND task_id IS NULL", (execution,))
    elif row[0] in record.ORIGINS and row[3] is None:
        call = runs.call_of(con, session, meta.run) if meta.run else None
        con.execute("UPDATE executions SET runtime = ?, origin = ?, tool_use_id = ? WHERE execution_id = ?",
                    ("workflow" if meta.run else "agent", "workflow" if meta.run else "skill", call, execution))
    told = {name: now for name, was, now in zip(("scope", "parent_agent_id", "transcript_path"), row[5:], (
        meta.description, meta.parent, meta.path)) if was is None and now}
    agent_type = meta.agent_type if row[4] == record.UNKNOWN else None
    if told or agent_type:
        record.fill(con, execution, agent_type=agent_type, **told)
    return execution


def _give_back(con, session, execution, call):
    """What another call's signals said of an execution goes to that call's own."""
    if con.execute("SELECT 1 FROM events WHERE execution_id = ? AND kind IN ('launched', 'returned') AND tool_use_id != ?",
                   (execution, call)).fetchone():
        con.execute("UPDATE events SET execution_id = (SELECT e.execution_id FROM executions e WHERE e.claude_session_id = "
                    "?2 AND e.tool_use_id = events.tool_use_id AND e.runtime = 'agent') WHERE execution_id = ?1 AND kind IN "
                    "('launched', 'returned') AND tool_use_id != ?3", (execution, session, call))


def _called_mate(con, session, agent, mate):
    """The Agent call that a teammate came from: by its agent's id, by the name and team that the call's return told, by the
    name it was asked for with."""
    row = con.execute(
        "SELECT v.tool_use_id FROM events v LEFT JOIN executions e ON e.execution_id = v.execution_id WHERE "
        "v.claude_session_id = ?1 AND (v.kind = 'launched' AND v.body = ?2 OR v.kind = 'intent' AND v.body = ?4 AND NOT EXISTS "
        "(SELECT 1 FROM events l WHERE l.claude_session_id = ?1 AND l.tool_use_id = v.tool_use_id AND l.kind = 'launched' AND "
        "l.body != ?2)) AND ?3 IN (COALESCE(e.agent_id, ?3), v.agent_id) ORDER BY e.agent_id IS NULL, v.kind = 'intent', v.at "
        "LIMIT 1",
        (session, mate, agent, mate.partition("@")[0])).fetchone()
    return row[0] if row else None
