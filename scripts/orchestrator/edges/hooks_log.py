"""The log of hooks: a line for each event with what was recorded, what was answered and why. Loaded only when it is on,
or when something failed that nobody foresaw."""

from orchestrator.edges import hooks
from orchestrator.store import log

_ANSWER = """
SELECT CASE
    WHEN NOT json_valid(?1) THEN 'words'
    WHEN json_extract(?1, '$.hookSpecificOutput.permissionDecision') = 'deny' THEN 'deny'
    WHEN json_extract(?1, '$.decision') = 'block' THEN 'block'
    WHEN json_type(?1, '$.hookSpecificOutput.updatedInput') IS NOT NULL THEN 'change'
    WHEN json_type(?1, '$.hookSpecificOutput.additionalContext') IS NOT NULL THEN 'context'
    ELSE 'message' END,
    CASE WHEN json_valid(?1) THEN COALESCE(json_extract(?1, '$.hookSpecificOutput.permissionDecisionReason'),
        json_extract(?1, '$.reason'), json_extract(?1, '$.hookSpecificOutput.additionalContext'),
        json_extract(?1, '$.systemMessage')) ELSE ?1 END"""
_SESSION = """
SELECT json_object('orchestration', s.orchestration_id, 'rev', o.rev, 'seen_rev', s.seen_rev, 'touched', s.touched,
    'nagged', s.nagged, 'idle_since', s.idle_since, 'ended_at', s.ended_at, 'at_work', (SELECT count(*) FROM executions e
    WHERE e.claude_session_id = s.claude_session_id AND e.status = 'deployed'))
FROM claude_sessions s LEFT JOIN orchestrations o USING (orchestration_id) WHERE s.claude_session_id = ?"""
_NOTE = """
CREATE TEMP TABLE IF NOT EXISTS noted (event_id INTEGER PRIMARY KEY);
CREATE TEMP TRIGGER IF NOT EXISTS note AFTER INSERT ON main.events BEGIN INSERT INTO noted VALUES (new.event_id); END;
DELETE FROM noted"""
_RECORDED = """
SELECT kind, execution_id, agent_id, status, reason FROM events WHERE event_id IN (SELECT event_id FROM noted)
ORDER BY event_id LIMIT ?"""
NAMED = 50  # rows that a line names of those that were recorded
SHORT = 200  # letters of a name
LOOKED = 65_536  # letters of a text that are looked through for secrets
EDGE = 4096  # the last of these, where there are more: a secret may begin there whose end was not looked at


def handle(level, con, text, name, pid, now, project, workspace, once):
    """Handles one event as hooks.handle does, and writes a line on it."""
    from time import perf_counter

    start = perf_counter()
    con.executescript(_NOTE)  # what this process records: others record at the same time
    answer = hooks.handle(con, text, name, pid, now, project, workspace, once)
    took = round((perf_counter() - start) * 1000, 1)
    said, why = con.execute(_ANSWER, (answer,)).fetchone() if answer else ("nothing", None)
    session, *named = con.execute(
        "SELECT json_extract(v, '$.session_id'), json_extract(v, '$.agent_id'), json_extract(v, '$.tool_name'), "
        "json_extract(v, '$.tool_use_id') FROM (SELECT CASE WHEN json_valid(?1) THEN ?1 ELSE '{}' END AS v)",
        (text,)).fetchone()
    row = con.execute(_SESSION, (session,)).fetchone()
    rows = con.execute(_RECORDED, (NAMED,)).fetchall()
    recorded = [con.execute("SELECT json_object('kind', ?, 'execution', ?, 'agent', ?, 'status', ?, 'reason', ?)",
                            [_short(value) for value in each]).fetchone()[0] for each in rows]
    line = con.execute(
        "SELECT json_object('at', ?, 'level', 'info', 'event', ?, 'pid', ?, 'claude_session', ?, 'agent', ?, 'tool', ?, "
        "'call', ?, 'recorded', json(?), 'answered', ?, 'why', ?, 'session', json(?), 'ms', ?)",
        (now, name, pid, _short(session), *map(_short, named), "[%s]" % ",".join(recorded), said, _short(why, 400),
         row[0] if row else "null", took)).fetchone()[0]
    log.write(workspace, line)
    if level == "debug":
        log.write(workspace, con.execute(
            "SELECT json_object('at', ?, 'level', 'debug', 'event', ?, 'payload', ?, 'answer', ?)",
            (now, name, _short(text, 4000), _short(answer, 4000))).fetchone()[0])
    return answer


def _short(value, most=SHORT):
    """A value in at most so many letters, without secrets: these are masked before it is cut."""
    if value is None:
        return None
    from orchestrator.recording.record import clean

    text = str(value)
    seen = clean(text[:LOOKED])
    if len(text) > LOOKED:
        return seen[:-EDGE][:most] + "…"
    return seen if len(seen) <= most else seen[:most] + "…"


def failed(memory, workspace, name, at, problem, doing):
    """Writes where something failed that nobody foresaw; the event itself is in the inbox."""
    log.write(workspace, memory.execute(
        "SELECT json_object('at', ?, 'level', 'error', 'event', ?, 'doing', ?, 'error', ?, 'where', ?)",
        (at, name, doing, _short("%s: %s" % (type(problem).__name__, problem), 400), _places(problem))).fetchone()[0])


def _places(problem):
    """The innermost places of our own code, as file:line function."""
    found, trace = [], problem.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append("%s:%s %s" % ("/".join(code.co_filename.split("/")[-2:]), _line(code, trace), code.co_name))
        trace = trace.tb_next
    return " > ".join(found[-6:])


def _line(code, trace):
    """The line of our code that a traceback is at. What hooks keep is without lines: the source is compiled for them."""
    import dis

    waiting, at = [code], max(trace.tb_lineno or 0, code.co_firstlineno)  # 3.10 says -1, later ones None
    try:
        with open(trace.tb_frame.f_globals.get("__file__", code.co_filename), "rb") as f:  # the plugin may have been moved
            waiting.append(compile(f.read(), f.name, "exec", dont_inherit=True, optimize=2))
    except (OSError, ValueError, SyntaxError):
        pass
    while waiting:
        one = waiting.pop()
        if (one.co_name, one.co_firstlineno, one.co_code) == (code.co_name, code.co_firstlineno, code.co_code):
            at = ([line for offset, line in dis.findlinestarts(one) if line and offset <= trace.tb_lasti] or [at])[-1]
        waiting += [const for const in one.co_consts if isinstance(const, type(code))]
    return at
