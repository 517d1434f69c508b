"""Ends: what each signal of an end adds to the record, and what follows from it for the orchestration."""

import os

from orchestrator.recording import agents, payload, record, sessions, transcript, usage


def conclude(con, project, execution, now):
    """Settles an execution; on its end keeps the outputs it names and raises `rev` if that matters. Returns the status."""
    before, status, gone = record.settle(con, execution)
    if gone:
        from orchestrator.recording import outputs

        outputs.drop(con, project, execution, gone)
    if status in ("completed", "failed") and before is not None:
        orchestration, task, agent = con.execute(
            "SELECT orchestration_id, task_id, agent_id FROM executions WHERE execution_id = ?", (execution,)).fetchone()
        for (message,) in con.execute("SELECT final_message FROM segments WHERE execution_id = ? AND status IN ('completed', "
                                      "'failed') AND final_message IS NOT NULL", (execution,)).fetchall():
            from orchestrator.recording import outputs

            outputs.keep(con, project, execution, message, now)
        if before != status:
            if agent:
                _orphans(con, project, agent, now)
            if orchestration and task:
                from orchestrator.recording.graph import task_ended

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


def look(con, execution, path, now, unless=None, until=None):
    """Adds what the transcript ends with, or ended with `until` then, as evidence (kind tail), `unless` it ends so, or (so,
    with these words). Returns it, a Tail, or None where nothing was added."""
    since = con.execute("SELECT max(started_at) FROM segments WHERE execution_id = ? AND ordinal > 1 AND started_at <= ?",
                        (execution, until or now)).fetchone()[0]  # what was said before is an earlier one's
    found = transcript.tail(con, path, until, since) if path else None
    if found and unless in (found.how, (found.how, record.clean(found.text) or None)):
        return None
    if found:
        con.execute("UPDATE executions SET transcript_path = ? WHERE execution_id = ?", (path, execution))
        at = until or now
        record.append(con, "tail", at, "%s %s" % (execution, at), execution_id=execution, status=found.how, text=found.text,
                      model=found.model, reason=found.error, body=found.at)
    return found


def notified(con, project, session, main, prompt, told, now, at=None):
    """A task-notification's end. Returns its execution, or None when it is nobody's (a monitor, a workflow, a shell).
    `at`: no hook was told it, it was found, and is of that time."""
    is_agent = (told.summary or "").startswith('Agent "')
    execution = agents.of_other(con, session, main, told.task_id, told.call, now, is_agent)
    if told.status == "handed_back":
        handed_back(con, session, told.task_id, execution, told.result, now)
        if execution:
            conclude(con, project, execution, now)
        return execution
    if execution is None and not is_agent or not told.status:  # a person put it to work again: its start says so
        return execution
    new = record.append(con, "notified", at or now, "%s %s" % (session, prompt), claude_session_id=session, agent_id=told.task_id,
                        tool_use_id=told.call, execution_id=execution, status=told.status, reason=told.summary,
                        text=told.result, body=None if told.tokens is None else str(told.tokens))
    if at and not new:
        return execution
    if execution is None:
        return None  # nobody knows yet whose it is: it will be found by its agent
    path = place(con, execution, main, told.task_id)
    if told.status == "completed" and _said(con, execution) != 1 or _wordless(con, execution):
        look(con, execution, path, now, until=_past(con, execution, at))  # 197 says completed of everything, but not there
    record.fill(con, execution, transcript_path=path)
    conclude(con, project, execution, now)
    usage.due(con, project, now, execution=execution, most=usage.MOST_IN_HOOK)
    return execution


def place(con, execution, main, agent):
    """Where an agent's transcript lies: below a main conversation's, or where its row says, or below its own conversation's,
    which its process may have left for this one; None where it does not."""
    path = transcript.path_of(main, agent)
    if path or execution is None:
        return path
    kept, session = con.execute("SELECT transcript_path, claude_session_id FROM executions WHERE execution_id = ?",
                                (execution,)).fetchone()
    return kept if kept and os.path.exists(kept) else transcript.path_of(transcript.main_of(con, session), agent)


def _past(con, execution, at):
    """That time, where a message put the agent to work again after it."""
    again = "SELECT 1 FROM events WHERE execution_id = ? AND kind IN ('started', 'resumed') AND at > ?"
    return at if at and con.execute(again, (execution, at)).fetchone() else None


def _found_told(con, project, session, main, working, now):
    """Records what the main conversation's transcript tells of the ends of agents that no longer work ({agent: deployed at}),
    where no hook was told: 2.1.197 fires none for a notification that joins a turn, no client for one that an agent gets."""
    from orchestrator.recording import notification

    for prompt, at in notification.written(con, main).items():
        told = notification.parse(prompt)
        if told and told.task_id in working and at >= working[told.task_id]:
            notified(con, project, session, main, prompt, told, now, min(at, now))


def _said(con, execution):
    """How often the agent's own hooks, or TaskStop, have said how it ended."""
    return con.execute("SELECT count(*) FROM events WHERE execution_id = ? AND " + _SAID, (execution,)).fetchone()[0]


_SAID = record.one_of("kind", "stopped", "handback", "api_error", "killed")


def _wordless(con, execution):
    """Whether no words of the agent's are known: they may not have been in its transcript when its own hook was heard."""
    return con.execute("SELECT final_message IS NULL FROM executions WHERE execution_id = ?", (execution,)).fetchone()[0]


def doubted(con, execution, now):
    """An agent that stopped more than once was sent back in between: its transcript shows which words were its last."""
    if _said(con, execution) > 1:
        look(con, execution, con.execute("SELECT transcript_path FROM executions WHERE execution_id = ?",
                                         (execution,)).fetchone()[0], now)


def returned(con, p, project, execution, text, now):
    """The end of a foreground call; returns whether it was new."""
    new = record.append(con, "returned", now, "%s %s %s" % (p.session, p.call, p.given_agent), claude_session_id=p.session,
                        agent_id=p.given_agent, tool_use_id=p.call, execution_id=execution, status=p.given_status,
                        model=p.given_model, text=text, body=p.given_tokens)
    if (not _said(con, execution) or _wordless(con, execution)) and (
            record.by_agent(con, p.given_agent) == execution):  # not where it names another's agent
        look(con, execution, place(con, execution, p.transcript, p.given_agent), now)
    return new


def handed_back(con, session, agent, execution, report, now):
    """An agent delivered its report through the client's tool: that is its end, said twice (by the tool, by a message)."""
    record.append(con, "handback", now, "%s %s" % (agent, (report or "").strip()), claude_session_id=session,
                  agent_id=agent, execution_id=execution, text=(report or "").strip())


def sweep(con, p, project, running, now):
    """At Stop: what the client no longer lists has ended, what was asked for and never began never will."""
    from orchestrator.recording import disk

    others = sessions.left(con, p.session)
    for session in (p.session, *others):
        main = p.transcript if session == p.session else transcript.main_of(con, session)
        disk.unheard(con, session, main, now)
        agents.explain(con, session, main, now)
    for session in (p.session, *others):
        _sweep(con, p, project, session, running, now)
    for session in others:
        if not sessions.works(con, session):
            sessions.over(con, session, now)


def _sweep(con, p, project, session, running, now):
    """The same for one conversation: the one that ended its turn, or one that was left for it."""
    gone, unsure = [], sessions.beside_since(con, session) or "~"
    began = con.execute("SELECT COALESCE(max(started_at), '') FROM claude_sessions WHERE claude_session_id = ?",
                        (session,)).fetchone()[0]
    for execution, agent, runtime, origin, call, parent, deployed, begun in _open(con, session):
        if max(deployed, begun or "") > now or not began <= max(deployed, begun or "") < unsure:
            continue  # this Stop was heard of late: what it lists is older than this; or it is of another process, earlier or now
        if agent is None and parent is None:
            if not begun and not agents.unexplained(con, session, execution):
                never_started(con, project, execution, now)
        elif agent is not None and agent not in running and not _within(con, p, session, agent, runtime, call, running) and not (
                origin == "teammate" and _listed(con, execution, running)):
            gone.append((execution, agent, deployed, begun, parent and _just_begun(con, max(deployed, begun or ""), now)))
    if gone:
        for main in {p.transcript: 0, transcript.main_of(con, session): 0}:  # told before it was left, or since
            _found_told(con, project, p.session, main, {row[1]: row[2] for row in gone}, now)
        still = {row[0] for row in _open(con, session)}
        for execution, agent, _, begun, unsure in gone:
            if execution in still and not unsure:
                record.append(con, "absent", now, "%s %s %s" % (execution, agent, begun), claude_session_id=session,
                              agent_id=agent, execution_id=execution)
                look(con, execution, place(con, execution, p.transcript, agent), now)
                conclude(con, project, execution, now)
    _look_again(con, p, project, session, now)


def _open(con, session):
    """A Claude session's agents that nothing has ended yet, and those that a message put to work again."""
    return con.execute(
        "SELECT execution_id, agent_id, runtime, origin, tool_use_id, parent_agent_id, deployed_at, (SELECT max(s.started_at) "
        "FROM segments s WHERE s.execution_id = e.execution_id AND s.ended_at IS NULL) FROM executions e WHERE "
        "claude_session_id = ?1 AND status = 'deployed' AND runtime IN ('agent', 'workflow') UNION "
        "SELECT e.execution_id, agent_id, runtime, origin, tool_use_id, parent_agent_id, deployed_at, s.started_at FROM "
        "segments s JOIN executions e USING (execution_id) WHERE s.ended_at IS NULL AND s.ordinal > 1 AND claude_session_id = "
        "?1", (session,)).fetchall()


def _just_begun(con, begun, now):
    """Whether an agent's own agent began so shortly ago that the client's list may be older."""
    return con.execute("SELECT (julianday(?2) - julianday(?1)) * 86400 < 5", (begun, now)).fetchone()[0]


def _look_again(con, p, project, session, now):
    """Ends that were concluded from an unfinished transcript, failures that it did not show: by now it is written to its end.
    A failure is told before it is written, at times before the words in front of it: what is not there counts only later."""
    for execution, agent, said, failure, old in con.execute(
            "SELECT execution_id, agent_id, final_message, end_reason = 'api_error', julianday(?2) - julianday(completed_at) > "
            "5 / 86400.0 FROM executions WHERE claude_session_id = ?1 AND status != 'deployed' AND "
            "(transcript_path IS NOT NULL AND inferred = 1 AND (end_reason = 'api_error' OR end_reason IN ('max_turns', 'ended') "
            "AND (usage_read_at IS NULL OR usage_read_at < completed_at)) OR end_reason = 'api_error' AND final_message IS NULL "
            "AND julianday(?2) - julianday(completed_at) < 60 / 86400.0)", (session, now)).fetchall():
        unless = ("unfinished", said) if not failure else None if old else "unfinished"
        if look(con, execution, place(con, execution, p.transcript, agent), now, unless):
            conclude(con, project, execution, now)


def _listed(con, execution, running):
    """Whether a teammate is still listed: as what it was called for (2.1.329) or by how its prompt begins (2.1.197)."""
    known = [text or "" for row in con.execute(
        "SELECT e.scope, v.text FROM executions e LEFT JOIN events v ON v.execution_id = e.execution_id AND v.kind = 'intent' "
        "WHERE e.execution_id = ?", (execution,)) for text in row]
    told = [one[len(payload.MATE):].rstrip("\u2026.") for one in running if one and one.startswith(payload.MATE)]
    return any(text.startswith(one) for one in told for text in known)


def _within(con, p, session, agent, runtime, call, running):
    """Whether a workflow's agent may still be at work: its workflow is still listed. One without a call may be one, until its
    meta file says what it is (its start may be heard of before its workflow's)."""
    from orchestrator.recording import runs

    if runtime != "workflow":
        listed = call is None and any(body in running for _, body, _ in runs.under_way(con, session))
        return listed and transcript.meta(con, p.transcript, agent) is None
    run = con.execute("SELECT body FROM events WHERE kind = 'workflow' AND claude_session_id = ? AND tool_use_id = ?",
                      (runs.of_call(con, session, call), call)).fetchone() if call else None
    return run[0] in running if run else bool(running)


def salvage(con, project, session, now):
    """A Claude session is over: of the agents that were at work in it, those whose notification, or transcript, shows that
    they ended have ended; for the others what is known is kept, and they are lost."""
    main = (transcript.main_of(con, session),)
    if main and main[0]:
        from orchestrator.recording import disk

        disk.unheard(con, session, main[0], now)
        disk.journals(con, session, main[0], None, now)
        usage.hidden(con, project, session, main[0])
    agents.pair(con, session)
    left = _at_work(con, session)
    if left and main and main[0]:
        _found_told(con, project, session, main[0], {row[1]: row[2] for row in left}, now)
        left = _at_work(con, session)
    for execution, agent, _, begun in left:
        con.execute("UPDATE executions SET usage_read_at = NULL WHERE execution_id = ? AND usage_read_at IS NOT NULL",
                    (execution,))  # it is read once more
        meta = transcript.meta(con, main[0], agent) if main and main[0] else None
        if meta:
            execution = agents.by_meta(con, session, agent, meta, now) or execution
        path = meta.path if meta else transcript.path_of(main[0], agent) if main and main[0] else None
        if meta and meta.stopped:
            found = transcript.tail(con, path)
            record.append(con, "tail", now, "%s stopped %s" % (agent, begun), agent_id=agent, execution_id=execution,
                          status="stopped", text=found and found.text, body=found and found.at)
            record.fill(con, execution, transcript_path=path)
            conclude(con, project, execution, now)
            continue
        found = look(con, execution, path, now)
        if found and found.how != "unfinished" and not (found.at and begun and found.at < begun):
            record.append(con, "absent", now, "%s over %s" % (agent, begun), claude_session_id=session, agent_id=agent,
                          execution_id=execution)
        conclude(con, project, execution, now)
    if main and main[0]:
        _never_began(con, project, session, main[0], now)


def _never_began(con, project, session, main, now):
    """Closes what was asked for in a Claude session that is over and of which nothing shows that it began; a task is lost
    instead, so that it is deployed again."""
    for execution, deployed in con.execute(
            "SELECT execution_id, deployed_at FROM executions WHERE claude_session_id = ? AND status = 'deployed' AND agent_id "
            "IS NULL AND started_at IS NULL AND runtime = 'agent' AND task_id IS NULL", (session,)).fetchall():
        if not agents.unexplained(con, session, execution) and all(
                record.by_agent(con, agent) or _earlier(con, main, agent, deployed) for agent in transcript.on_disk(main)):
            never_started(con, project, execution, now)


def _earlier(con, main, agent, than):
    """Whether an agent that nobody recorded had begun before a time."""
    began = transcript.began(con, transcript.path_of(main, agent) or "")
    return began is not None and began[0] < than


def _at_work(con, session):
    """[(execution, agent, deployed at, when a message put it to work again)] of agents that nothing has ended yet."""
    return con.execute(
        "WITH again AS (SELECT execution_id, max(started_at) AS at FROM segments WHERE ended_at IS NULL AND ordinal > 1 GROUP BY "
        "1) SELECT e.execution_id, agent_id, deployed_at, at FROM executions e LEFT JOIN again USING (execution_id) WHERE "
        "claude_session_id = ? AND agent_id IS NOT NULL AND (status = 'deployed' OR at IS NOT NULL)", (session,)).fetchall()
