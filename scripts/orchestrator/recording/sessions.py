"""Claude sessions: which conversation, in which process, and whether that process still exists."""

import os

from orchestrator.paths import variable
from orchestrator.store.open import AGAIN, BEGAN

LEFT = ("clear", "resume", "replaced")  # why a conversation ended whose process goes on with another one
FOREIGN_DAYS = 14  # a session of which nothing can be told from here is over after that


def process_of(pid):
    """(host, boot, pid, start) of a process, as far as this system tells. One that was kept as such is given back."""
    if isinstance(pid, tuple):
        return pid
    return os.uname().nodename, _boot(), pid, _started(pid)


def _boot():
    """The boot's id, and the space in which process numbers are counted: containers share the one, not the other."""
    boot = _line("/proc/sys/kernel/random/boot_id")
    try:
        return boot and "%s %s" % (boot, os.readlink("/proc/self/ns/pid"))
    except OSError:
        return boot


def _line(path):
    try:
        with open(path, "rb") as f:
            return f.readline().decode("ascii", "replace").strip()
    except OSError:
        return None


def _started(pid):
    """The start time in clock ticks since boot, field 22 of /proc/PID/stat; without /proc what `ps` says; None where there
    is no such process."""
    line = _line("/proc/%d/stat" % pid)
    if line and ")" in line:
        about = line.rpartition(")")[2].split()
        return None if about[0] in "ZX" else about[19]  # one that was not waited for is over too
    if os.path.exists("/proc/self/stat"):
        return None
    with os.popen("LC_ALL=C TZ=UTC ps -o lstart= -p %d 2>/dev/null" % pid) as answer:  # once a session, where it must be
        return answer.read().strip() or None


def alive(host, boot, pid, started):
    """Whether that process still exists; None where that cannot be told from here.

    A process is judged in the space its number was counted in, whatever the host is called by now. From beside it (a container,
    its host, a sandbox of the same name) nothing is said: a client that is taken for gone while it runs is worse than a
    container that is gone and taken for alive, until its conversation goes on or FOREIGN_DAYS are over. Another boot under
    the same name is this machine, started again; what has another name and another boot is another machine.
    """
    named, now = host == os.uname().nodename, _boot()
    if pid is None or not (named if boot is None else now):
        return None
    if boot:
        (boot, _, space), (now, _, space_now) = boot.partition(" "), now.partition(" ")
        if boot != now:
            return False if named else None
        if space != space_now if space and space_now else not named:
            return None
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _same(one, other):
    """Whether two are the same process. Its machine may have changed its name meanwhile."""
    if not (one[1] and other[1]):
        return one == other
    (boot, _, space), (other_boot, _, other_space) = one[1].partition(" "), other[1].partition(" ")
    counted = space == other_space if space and other_space else one[0] == other[0]
    return one[2:] == other[2:] and boot == other_boot and counted


def of_another(con, session, pid):
    """Whether a conversation is by now another process's than this one, and that lives."""
    row = con.execute("SELECT host, boot_id, pid, process_started FROM claude_sessions WHERE claude_session_id = ?",
                      (session,)).fetchone()
    return bool(row and row[2] is not None and not _same(row, process_of(pid)) and alive(*row))


def seen(con, p, pid, now, late=False):
    """Makes or refreshes the row of the Claude session an event came from; the first event will do, whichever it is.

    Returns whether this conversation took another's place in its process.
    """
    row = con.execute("SELECT host, boot_id, pid, process_started, ended_at, permission_mode, end_reason, source, "
                      "transcript_path FROM claude_sessions WHERE claude_session_id = ?", (p.session,)).fetchone()
    main = p.agent is None  # an agent's working folder may be a worktree, its mode its own
    if row is None:
        con.execute(
            "INSERT OR IGNORE INTO claude_sessions (claude_session_id, host, boot_id, pid, process_started, started_at, "
            "cwd, transcript_path, source, model, permission_mode, client_version) VALUES (?, ?, ?, "
            "?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (p.session,) + process_of(pid) + (now, p.cwd if main else None, p.transcript, p.source, p.model,
                                              p.mode if main else None, None if late else _client()))
        return not late and (_replaces(con, p.session, now) or _is_beside(con, pid))
    if row[4] and row[3] and row[2] == pid and process_of(pid)[3] is None:
        return False  # its process is gone by now: a hook of it, still under way, tells what was
    if row[6] == "imported" and not late:  # a conversation from before the plugin goes on with it
        _goes_on(con, p.session, process_of(pid), now)
    elif row[2] is None:  # a command of ours made the row; the process is known only now
        con.execute("UPDATE claude_sessions SET host = ?, boot_id = ?, pid = ?, process_started = ?, cwd = COALESCE(?, cwd), "
                    "transcript_path = COALESCE(?, transcript_path) WHERE claude_session_id = ?",
                    process_of(pid) + (p.cwd if main else None, p.transcript, p.session))
    elif p.event == "SessionStart" and main:
        if not _elsewhere(con, p.session, row, pid, now, late):
            if row[4] is not None and p.source != "startup" and not (late and row[4] > now):
                _goes_on(con, p.session, process_of(pid), now)
            if not late:
                _comes_back(con, p.session, now)
        con.execute("UPDATE claude_sessions SET source = COALESCE(source, ?), model = COALESCE(model, ?), cwd = COALESCE(?, cwd) "
                    "WHERE claude_session_id = ?", (p.source, p.model, p.cwd, p.session))
    elif not late and p.event != "SessionEnd" and (row[4] or row[2] != (pid[2] if isinstance(pid, tuple) else pid)) and (
            _elsewhere(con, p.session, row, pid, now)):
        pass  # what began it there was not heard
    elif row[6] == "gone" and not late and _same(row[:4], process_of(pid)):  # it was only thought to be gone
        con.execute("UPDATE claude_sessions SET ended_at = NULL, end_reason = NULL WHERE claude_session_id = ?", (p.session,))
    elif row[6] and main and not late and (  # left, and nobody heard it go on
            p.event in ("UserPromptSubmit", "PreToolUse") or p.tool == "SendMessage"):  # of which only the return is heard
        if row[4]:
            _goes_on(con, p.session, process_of(pid), now)
        _comes_back(con, p.session, now)
    elif late and row[4] and row[6] in LEFT and row[4] >= now:  # it may tell of what works on
        con.execute("UPDATE claude_sessions SET ended_at = NULL WHERE claude_session_id = ?", (p.session,))
    if p.transcript and row[8] and p.transcript != row[8] and not late:  # 2.1.329 takes it along into a worktree, and back
        from orchestrator.recording import transcript

        if os.path.basename(p.transcript) == os.path.basename(row[8]):  # else it is another's: a fork's, on 2.1.197
            transcript.moved(con, p.session, row[8], p.transcript)
    if p.mode and p.mode != row[5] and main and not late:
        con.execute("UPDATE claude_sessions SET permission_mode = ? WHERE claude_session_id = ?", (p.mode, p.session))
    return False


def _client():
    """The client's version, as it tells its hooks: claude-code_2-1-329_harness."""
    words = (variable("AI_AGENT") or "").split("_")
    return words[1].replace("-", ".")[:40] if len(words) > 1 and words[0] == "claude-code" else None


def _comes_back(con, session, now):
    """A conversation is its process's present one, whether it was left or not."""
    con.execute("UPDATE claude_sessions SET end_reason = NULL WHERE claude_session_id = ? AND ended_at IS NULL", (session,))
    _replaces(con, session, now)


def _elsewhere(con, session, row, pid, now, late=False):
    """Whether a conversation is by now in another process than its row says: it goes on there, or, as long as the former one
    lives and is in it, beside that."""
    process = process_of(pid)
    if _same(row[:4], process):
        return False
    if row[4] is None and (alive(*row[:4]) or not late and not ended(con, session, "gone", now)):
        from orchestrator.recording import beside

        beside.comes(con, session, process, now)
        return True
    if late:
        return False
    _goes_on(con, session, process, now)
    _replaces(con, session, now)
    return True


def _goes_on(con, session, process, now):
    """Another process goes on with a conversation: what an earlier one had at work is lost, also when the clock jumped."""
    con.execute(
        "UPDATE claude_sessions SET host = ?, boot_id = ?, pid = ?, process_started = ?, started_at "
        "= max(?, COALESCE((SELECT strftime('%Y-%m-%dT%H:%M:%fZ', julianday(max(max(deployed_at, COALESCE((SELECT "
        "max(g.started_at) FROM segments g WHERE g.execution_id = e.execution_id), '')))) + 0.001 / 86400) "
        "FROM executions e WHERE e.claude_session_id = claude_sessions.claude_session_id AND status = 'deployed'), '')), "
        "ended_at = NULL, end_reason = NULL, touched = 0, nagged = 0 WHERE claude_session_id = ?", process + (now, session))


_SAME = ("o.pid = s.pid AND (o.host = s.host OR o.boot_id IS NOT NULL) AND o.boot_id IS s.boot_id AND o.process_started IS "
         "s.process_started AND o.claude_session_id != s.claude_session_id")  # two conversations of one process
_WORKS = "(e.status = 'deployed' AND " + BEGAN + " OR " + AGAIN + ")"


def works(con, session):
    """Whether agents, or a workflow, are at work for a conversation, in its present process."""
    return con.execute("SELECT 1 FROM claude_sessions s JOIN executions e USING (claude_session_id) WHERE claude_session_id = ?1 "
                       "AND " + _WORKS + " UNION ALL SELECT 1 FROM claude_sessions s JOIN events v INDEXED BY events_of_runs "
                       "USING (claude_session_id) WHERE claude_session_id = ?1 AND v.kind = 'workflow' AND v.at >= s.started_at "
                       "AND NOT EXISTS (SELECT 1 FROM events o WHERE o.kind = 'workflow_ended' AND o.claude_session_id = ?1 AND "
                       "o.tool_use_id = v.tool_use_id)", (session,)).fetchone() is not None


def leave(con, session, reason, now):
    """A conversation is left for another of its process. As long as agents are at work for it its row stays open: the client
    lets them work on, and tells the other conversation of their ends."""
    if works(con, session):
        con.execute("UPDATE claude_sessions SET end_reason = ?, forked = 2 WHERE claude_session_id = ?", (reason, session))
    else:
        ended(con, session, reason, now)


def left(con, session):
    """The conversations that were left for this one, and are not over."""
    return [row[0] for row in con.execute(
        "SELECT o.claude_session_id FROM claude_sessions s JOIN claude_sessions o INDEXED BY claude_sessions_open ON " + _SAME +
        " WHERE s.claude_session_id = ? AND o.ended_at IS NULL AND o.end_reason IS NOT NULL", (session,)).fetchall()]


def all_of(con, session):
    """A conversation and those that were left for it, and are not over."""
    return (session, *left(con, session))


def _shares(con, session):
    """What the client says that a conversation used is from now on not its own alone: agents went on from it, or to it."""
    con.execute("UPDATE claude_sessions SET forked = 2 WHERE claude_session_id = ?", (session,))


def works_beside(con, session, execution, pid, now):
    """An agent of a conversation that its process has left is put to work from the one it has now: it is not over. One that
    was left in an earlier process is by now left in this one; one that another process is in, this one is in, too."""
    row = con.execute("SELECT o.claude_session_id, host, boot_id, pid, process_started, ended_at, o.end_reason FROM executions e "
                      "JOIN claude_sessions o USING (claude_session_id) WHERE execution_id = ? AND o.claude_session_id != ?",
                      (execution, session)).fetchone()
    if row is None:
        return
    of, process = row[0], process_of(pid)  # its own, also where another that is in this conversation has its row
    if _same(row[1:5], process):
        if row[6] in LEFT:
            con.execute("UPDATE claude_sessions SET ended_at = NULL, forked = 2 WHERE claude_session_id = ?", (of,))
    elif row[5] or not alive(*row[1:5]):
        _goes_on(con, of, process, now)
        con.execute("UPDATE claude_sessions SET end_reason = 'replaced', forked = 2 WHERE claude_session_id = ?", (of,))
    else:
        from orchestrator.recording import beside

        beside.comes(con, of, process, now)
    if left(con, session):
        _shares(con, session)


def _replaces(con, session, now):
    """Leaves the conversation that was in the same process before, which no hook may have told. Returns whether there was one
    that is over.

    A process has one conversation at a time. On 2.1.197 a fork starts under the id of the conversation it was forked from.
    """
    before = con.execute("SELECT o.claude_session_id FROM claude_sessions s JOIN claude_sessions o ON " + _SAME + " WHERE "
                         "s.claude_session_id = ? AND o.ended_at IS NULL AND o.end_reason IS NULL", (session,)).fetchall()
    for (other,) in before:
        leave(con, other, "replaced", now)
    if left(con, session):
        _shares(con, session)
    return any(not works(con, other) for (other,) in before)


def beside_since(con, session):
    """Since when a conversation is in other processes, too, which live; None where it is not, as almost always."""
    if con.execute("SELECT 1 FROM meta WHERE key > 'beside.' || ?1 || '.' AND key < 'beside.' || ?1 || '/'",
                   (session,)).fetchone() is None:
        return None
    from orchestrator.recording import beside

    return beside.since(con, session)


def _is_beside(con, pid):
    """Whether a process began in a conversation that is another one's, which lives: on 2.1.197 a fork does."""
    return con.execute("SELECT 1 FROM meta WHERE key > 'beside.' AND key < 'beside/' AND key GLOB '*.' || ?",
                       (process_of(pid)[2],)).fetchone() is not None


def ended(con, session, reason, now):
    """Closes a Claude session's row. Returns whether it is over: in another process it goes on there."""
    if beside_since(con, session):
        from orchestrator.recording import beside

        return not beside.takes_over(con, session)
    con.execute("UPDATE claude_sessions SET ended_at = ?2, end_reason = COALESCE(?3, end_reason) WHERE claude_session_id = ?1 "
                "AND ended_at IS NULL", (session, now, reason))
    return True


def over(con, session, now):
    """Closes the row of a conversation that was left, when the last agent at work for it has ended."""
    ended(con, session, None, now)


def gone(con, now):
    """The ids of sessions whose process is gone and whose rows do not say so yet."""
    found = []
    for session, host, boot, pid, started, old in con.execute(
            "SELECT claude_session_id, host, boot_id, pid, process_started, julianday(?) - julianday(started_at) > ? FROM "
            "claude_sessions WHERE ended_at IS NULL", (now, FOREIGN_DAYS)):
        lives = alive(host, boot, pid, started)
        if lives is False or lives is None and old and not _still(con, session, now):
            found.append(session)
    return found


def deserted(con, session):
    """Whether another session has agents that look as if they were at work, and its process is gone. Every event asks, so this is
    a look at an index, mostly for nothing."""
    return any(alive(*process) is False for process in con.execute(
        "SELECT host, boot_id, pid, process_started FROM claude_sessions s INDEXED BY claude_sessions_open WHERE ended_at IS "
        "NULL AND claude_session_id != ? AND EXISTS (SELECT 1 FROM executions e WHERE e.claude_session_id = "
        "s.claude_session_id AND e.status = 'deployed')", (session,)))


def unread(con, now):
    """The ids of sessions of the last day that said they ended, had agents at work whose transcripts were looked at only then,
    and whose process is gone by now: what it wrote on its way out is all there."""
    return [r[0] for r in con.execute(
        "SELECT claude_session_id, host, boot_id, pid, process_started FROM claude_sessions s INDEXED BY claude_sessions_ended "
        "WHERE ended_at > strftime('%Y-%m-%dT%H:%M:%fZ', ?, '-1 day') AND end_reason NOT IN ('gone', 'imported') AND EXISTS ("
        "SELECT 1 FROM executions e WHERE e.claude_session_id = s.claude_session_id AND e.status = 'deployed' AND (SELECT "
        "max(t.at) FROM events t WHERE t.execution_id = e.execution_id AND t.kind = 'tail') <= s.ended_at)", (now,))
        if alive(*r[1:]) is False]


def bury(con, now):
    """Closes the rows of sessions whose process is gone. Returns their ids."""
    return [session for session in gone(con, now) if ended(con, session, "gone", now)]


def _still(con, session, now):
    """Whether a session of which nothing else is known had an agent deployed in the last days."""
    return con.execute("SELECT 1 FROM executions WHERE claude_session_id = ? AND status = 'deployed' AND "
                       "julianday(?) - julianday(deployed_at) < ?", (session, now, FOREIGN_DAYS)).fetchone()


def current(con, session):
    """The orchestration a Claude session drives, or None."""
    row = con.execute("SELECT orchestration_id FROM claude_sessions WHERE claude_session_id = ?", (session,)).fetchone()
    return row[0] if row else None
