"""The disk: what a Claude session's folder of subagents tells that no hook did: agents nobody heard of, workflows' journals."""

from orchestrator.recording import agents, record, runs, transcript


def unheard(con, session, main_transcript, now):
    """Records the agents whose files are there and of whom no signal was taken in, as begun when their transcript was.

    Only those that began while this session was recorded (a minute of grace: its row is made by its first event); nobody's
    where the user wants orchestrations only.
    """
    found = transcript.on_disk(main_transcript) if main_transcript else ()
    if not found or con.execute("SELECT 1 FROM meta WHERE key = 'setting.observability'").fetchone():
        return
    since = None
    for agent in found:
        if record.by_agent(con, agent):
            continue
        meta = transcript.meta(con, main_transcript, agent)
        first = transcript.began(con, meta.path) if meta and (meta.agent_type or meta.mate) else None
        if first is None:
            continue  # compaction's hidden agent, or half written
        since = since or _since(con, session)
        if first[0] < since or first[0] > now:
            continue
        execution = agents.by_meta(con, session, agent, meta, now, meta.agent_type, first[1])
        if execution:
            record.append(con, "started", first[0], "%s %s %s" % (session, agent, first[1]), claude_session_id=session,
                          agent_id=agent, prompt_id=first[1], execution_id=execution, agent_type=meta.agent_type)
            record.adopt(con, execution, agent)
            record.settle(con, execution)


def _since(con, session):
    """From when on what a Claude session's agents did is recorded."""
    return con.execute(
        "SELECT max(COALESCE(strftime('%Y-%m-%dT%H:%M:%fZ', julianday(started_at) - 60 / 86400.0), '9'), COALESCE((SELECT value "
        "FROM meta WHERE key = 'recorded_since'), '')) FROM (SELECT max(started_at) AS started_at FROM claude_sessions WHERE "
        "claude_session_id = ?)", (session,)).fetchone()[0]


def journals(con, session, main_transcript, call, now):
    """Adds what the journals of a session's workflows (of one `call`, or of all) say their agents returned, and what those
    agents are called, where their meta files were not whole when they said that they began and ended."""
    for folder in transcript.runs_on_disk(main_transcript):
        if call is not None and runs.call_of(con, session, folder.rpartition("/")[2]) not in (None, call):
            continue
        for agent, how, result in transcript.journal(con, folder):
            execution = record.by_agent(con, agent)
            if execution:
                record.append(con, "returned", now, "journal %s" % agent, claude_session_id=session, agent_id=agent,
                              execution_id=execution, status="failed" if how == "failed" else "completed", text=result)
    for execution, agent in con.execute(
            "SELECT execution_id, agent_id FROM executions WHERE claude_session_id = ?1 AND runtime = 'workflow' AND scope IS "
            "NULL AND agent_id IS NOT NULL AND COALESCE(?2, tool_use_id) IS tool_use_id", (session, call)).fetchall():
        found = transcript.meta(con, main_transcript, agent)
        if found:
            record.fill(con, execution, agent_type=found.agent_type, scope=found.description)
