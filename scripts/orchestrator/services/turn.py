"""Turns: which notifications wake the main conversation, when a turn goes on at Stop, what a session is told at its start."""

import time

from orchestrator.recording import transcript
from orchestrator.recording.graph import Graph
from orchestrator.recording.sessions import current
from orchestrator.services.digest import digest, head, line
from orchestrator.services.settings import limit
from orchestrator.store.open import BEGAN

MOST_NAGS = 2
TOGETHER = 10  # seconds within which a notification follows its agent's end


def tell(con, session, orchestration, now):
    """Marks the present state as told to the session's conversation."""
    con.execute("UPDATE claude_sessions SET seen_rev = (SELECT rev FROM orchestrations WHERE orchestration_id = ?2) "
                "WHERE claude_session_id = ?1", (session, orchestration))
    con.execute("UPDATE executions SET told_at = ?3 WHERE orchestration_id = ?2 AND status != 'deployed' "
                "AND told_at IS NULL AND claude_session_id = ?1", (session, orchestration, now))


def news(con, session, orchestration):
    """Whether `rev` has risen since this session's conversation was told."""
    row = con.execute("SELECT o.rev, s.seen_rev FROM orchestrations o, claude_sessions s WHERE o.orchestration_id = ? "
                      "AND s.claude_session_id = ?", (orchestration, session)).fetchone()
    return row is None or row[0] != row[1]


def receive(con, session, execution, mode, now):
    """What to do with a notification whose end was just recorded: ("hold", progress line) or ("pass", digest or None).

    Held only when nothing is lost by it: it is a planned task's, and another will surely wake the main conversation:
    one that waits in the client's queue, that of an agent that ended at the same moment, or, when nothing calls for the
    main conversation yet, of one still at work (decision 0006). The last one always passes.
    """
    orchestration = current(con, session)
    if orchestration and (_belongs(con, execution, orchestration) or news(con, session, orchestration)):
        con.execute("UPDATE claude_sessions SET touched = 1 WHERE claude_session_id = ?", (session,))
    first = con.execute("SELECT 1 FROM executions WHERE execution_id = ? AND noticed_at IS NULL AND status != 'deployed'",
                        (execution,)).fetchone()  # what is told again answers a message, what did not end is in doubt
    con.execute("UPDATE executions SET noticed_at = ? WHERE execution_id = ?", (now, execution))
    if orchestration is None:
        return "pass", None
    if first and _planned(con, execution, orchestration):
        due, at_work = _others(con, session, execution, now)
        if due or _waiting(con, session, execution) or (at_work and not news(con, session, orchestration)):
            return "hold", progress(con, orchestration, execution)
    con.execute("UPDATE claude_sessions SET idle_since = NULL WHERE claude_session_id = ?", (session,))
    if not news(con, session, orchestration):
        return "pass", None
    con.execute("UPDATE claude_sessions SET nagged = 0 WHERE claude_session_id = ?", (session,))
    return "pass", _told_digest(con, session, orchestration, mode, now)


def _others(con, session, execution, now):
    """(how many of the session's planned agents ended at this moment and are still to be notified of, how many are at
    work). Only an end that the client surely announces counts: of a background agent, while no turn is under way
    (2.1.197 attaches what ends during a turn without saying so)."""
    return con.execute(
        "SELECT count(CASE WHEN e.status != 'deployed' AND e.noticed_at IS NULL AND e.inferred = 0 AND e.end_reason IN "
        "('end_turn', 'api_error', 'no_briefing') AND e.runtime = 'agent' AND "
        "e.completed_at >= s.idle_since AND julianday(?3) - julianday(e.completed_at) < ?4 AND "
        "EXISTS (SELECT 1 FROM events v WHERE v.execution_id = "
        "e.execution_id AND v.kind = 'launched') THEN 1 END), "
        "count(CASE WHEN e.status = 'deployed' AND e.noticed_at IS NULL AND " + BEGAN + " THEN 1 END) "
        "FROM executions e JOIN claude_sessions s USING (claude_session_id) WHERE e.claude_session_id = ?1 AND "
        "e.execution_id != ?2 AND e.task_id IS NOT NULL AND (e.status = 'deployed' OR e.completed_at >= s.started_at)",
        (session, execution, now, TOGETHER / 86400.0)).fetchone()


def _waiting(con, session, execution=None):
    """Whether the client is about to wake the main conversation with the end of another agent than this execution's."""
    path, since = con.execute("SELECT transcript_path, started_at FROM claude_sessions WHERE claude_session_id = ?",
                              (session,)).fetchone()
    for agent in transcript.waiting(con, path, since) if path else ():
        if con.execute("SELECT 1 FROM executions WHERE agent_id = ? AND execution_id IS NOT ? AND noticed_at IS NULL",
                       (agent, execution)).fetchone():
            return True
    return False


def _received(con, session, orchestration):
    """Whether an end came in without a word, an agent's or a workflow's: 2.1.197 attaches what ends during a turn and fires
    no hook for it."""
    return con.execute(
        "SELECT 1 FROM executions e JOIN claude_sessions s USING (claude_session_id) WHERE s.claude_session_id = ? AND "
        "e.status != 'deployed' AND e.completed_at >= s.started_at AND e.orchestration_id = ? AND e.told_at IS NULL AND "
        "e.noticed_at IS NULL AND CASE e.runtime WHEN 'agent' THEN EXISTS (SELECT 1 FROM events v WHERE v.execution_id = "
        "e.execution_id AND v.kind = 'launched') WHEN 'workflow' THEN EXISTS (SELECT 1 FROM events v WHERE v.kind = "
        "'workflow_ended' AND v.claude_session_id = e.claude_session_id "
        "AND v.tool_use_id = e.tool_use_id) END",
        (session, orchestration)).fetchone() is not None


def _told_digest(con, session, orchestration, mode, now):
    text = digest(con, orchestration, limit(con), None, mode)
    tell(con, session, orchestration, now)
    return text


def _belongs(con, execution, orchestration):
    """Whether an end is one of this orchestration's: not a shell's or a monitor's, nor that of an agent outside of it."""
    return con.execute("SELECT 1 FROM executions WHERE execution_id = ? AND orchestration_id = ?",
                       (execution, orchestration)).fetchone() is not None


def _planned(con, execution, orchestration):
    return con.execute("SELECT 1 FROM executions WHERE execution_id = ? AND orchestration_id = ? AND task_id IS NOT NULL",
                       (execution, orchestration)).fetchone() is not None


def progress(con, orchestration, execution):
    """The line a person sees when a notification is held."""
    graph = Graph(con, orchestration)
    task, status = con.execute("SELECT task_id, status FROM executions WHERE execution_id = ?", (execution,)).fetchone()
    running = graph.of("in_flight")
    return "%s %s · %d of %d done%s · %s" % (
        task, status, len(graph.of("completed")), len(graph.tasks), ", at work: " + ", ".join(running[:5]) if running else "",
        "nothing needs you yet" if status == "completed" else "Claude has been told")


def sure_to_wake(con, p, running, now):
    """At Stop: whether a notification will wake the main conversation at once, and so bring the digest.

    That of an agent that has ended while the client still lists it, or one in its queue. 2.1.197 attaches what ends during a
    turn without a hook, and the transcript says so a moment later: only when the turn's last words are written is it sure
    that what waits was not attached.
    """
    if current(con, p.session) is None:
        return False
    ended = con.execute(
        "SELECT agent_id FROM executions WHERE claude_session_id = ?1 AND orchestration_id IS NOT NULL AND runtime = 'agent' "
        "AND parent_agent_id IS NULL AND status != 'deployed' AND noticed_at IS NULL AND julianday(?2) - "
        "julianday(completed_at) < ?3", (p.session, now, TOGETHER / 86400.0)).fetchall()
    if any(agent in running for (agent,) in ended):
        return True
    for _ in range(8 if ended else 0):
        if transcript.ends_with(con, p.transcript, p.last):
            return _waiting(con, p.session)
        time.sleep(0.04)
    return False


def stop(con, p, now, woken=False):
    """The digest with which a turn goes on at Stop, or None. It does not nag (design.md §5). `woken`: another turn follows."""
    orchestration = current(con, p.session)
    touched, nagged, nagged_rev = con.execute(
        "SELECT touched, nagged, nagged_rev FROM claude_sessions WHERE claude_session_id = ?", (p.session,)).fetchone()
    con.execute("UPDATE claude_sessions SET touched = 0, idle_since = ? WHERE claude_session_id = ?", (now, p.session))
    if orchestration is None or p.mode == "plan" or not (touched or _received(con, p.session, orchestration)):
        return None
    status, paused, driver, rev = con.execute(
        "SELECT status, paused_at, claude_session_id, rev FROM orchestrations WHERE orchestration_id = ?",
        (orchestration,)).fetchone()
    if paused or status not in ("planning", "executing") or driver != p.session:
        return None
    graph = Graph(con, orchestration)
    ready = graph.deployable() if not graph.handed else []
    room = limit(con) > len(graph.of("in_flight"))
    untold = news(con, p.session, orchestration) and (graph.of("failed") or (graph.tasks and graph.ended()))
    if not (ready and room) and not untold:
        return None
    if rev != nagged_rev:
        nagged = 0
    if nagged >= MOST_NAGS or woken or transcript.interrupted(con, p.transcript or ""):
        return None
    con.execute("UPDATE claude_sessions SET nagged = ?, nagged_rev = ?, touched = 1, idle_since = NULL "
                "WHERE claude_session_id = ?",
                (nagged + 1, rev, p.session))
    return _told_digest(con, p.session, orchestration, p.mode, now)


def opened(con, p):
    """Notes that a process has just begun or resumed a conversation: what it is told then waits for the first prompt."""
    if p.source != "compact":
        con.execute("UPDATE claude_sessions SET idle_since = started_at WHERE claude_session_id = ?", (p.session,))


def just_opened(con, session):
    """Whether nothing was asked since: what was told at the start is still to be read, even after a compaction."""
    return con.execute("SELECT 1 FROM claude_sessions WHERE claude_session_id = ? AND idle_since = started_at",
                       (session,)).fetchone() is not None


def _drives(con, session, orchestration):
    """Whether the orchestration is open and this session's to drive."""
    return con.execute("SELECT 1 FROM orchestrations WHERE orchestration_id = ? AND status IN ('planning', 'executing') AND "
                       "claude_session_id = ?", (orchestration, session)).fetchone() is not None


def begin(con, p, now):
    """What a starting, resumed or compacted conversation is told: the state of what it drives or could adopt; else None."""
    orchestration = current(con, p.session)
    if _drives(con, p.session, orchestration):
        if p.source == "compact" and just_opened(con, p.session) and not news(con, p.session, orchestration):
            return None
        text = digest(con, orchestration, limit(con), "State of", p.mode)
        if p.source == "compact":  # on 2.1.197 an agent's own compaction looks like the main conversation's
            return text + "\n(If you are an agent at work on one task: this is not for you; carry on with your task.)"
        tell(con, p.session, orchestration, now)
        return text
    adoptable = open_orchestrations(con, p.session)
    if not adoptable or p.source == "compact":
        return None
    found = adoptable[0]
    return "[orchestrator] Open, with no conversation driving it: %s `orchestrator resume` adopts it, if the user wants " \
           "to go on." % head(con, found, Graph(con, found))


def open_orchestrations(con, session):
    """Open orchestrations that no living Claude session drives, the latest first."""
    return [r[0] for r in con.execute(
        "SELECT o.orchestration_id FROM orchestrations o LEFT JOIN claude_sessions s ON s.claude_session_id = "
        "o.claude_session_id WHERE o.status IN ('planning', 'executing') AND o.origin = 'planned' AND "
        "(s.claude_session_id IS NULL OR s.end_reason IS NOT NULL OR s.ended_at IS NOT NULL OR "
        "s.orchestration_id IS NOT o.orchestration_id) "
        "AND o.claude_session_id IS NOT ? ORDER BY o.updated_at DESC", (session,))]


def asked(con, p, first=False):
    """The state, as context, for a typed /orchestrate; None where there is nothing to say. `first`: it is what the
    conversation was opened with, so that the start's words stand beside it."""
    orchestration = current(con, p.session)
    if orchestration is None:
        found = open_orchestrations(con, p.session) if not first else None
        return "[orchestrator] Open, adopt with `orchestrator resume`: %s" % head(con, found[0], Graph(con, found[0])) \
            if found else None
    if first and _drives(con, p.session, orchestration) and not news(con, p.session, orchestration):
        return None
    return digest(con, orchestration, limit(con), None, p.mode)


def keep_in_summary(con, p):
    """Words for a compaction: what its summary must keep; None where there is nothing."""
    orchestration = current(con, p.session)
    row = con.execute("SELECT status, goal FROM orchestrations WHERE orchestration_id = ?",
                      (orchestration,)).fetchone() if orchestration else None
    if not row or row[0] not in ("planning", "executing"):
        return None
    return "Keep in the summary: orchestration %s is open (goal: \"%s\"); its tasks are deployed and recorded by the " \
           "orchestrator plugin, which states what is done, at work and ready right after the compaction. Leave out the " \
           "tasks' results and their ids' details." % (orchestration, line(row[1], 120))
