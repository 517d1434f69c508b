"""Claude sessions: which conversation, in which process, and whether that process still exists."""

import os


def process_of(pid):
    """(host, boot id, pid, start) of a process, as far as this system tells without starting another."""
    return os.uname().nodename, _line("/proc/sys/kernel/random/boot_id"), pid, _started(pid)


def _line(path):
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            return f.readline().strip()
    except OSError:
        return None


def _started(pid):
    """The start time in clock ticks since boot, field 22 of /proc/PID/stat; None where there is no /proc."""
    line = _line("/proc/%d/stat" % pid)
    return line.rpartition(")")[2].split()[19] if line and ")" in line else None


def alive(host, boot_id, pid, started):
    """Whether that process still exists; a process of another host is taken to be alive."""
    if pid is None or host != os.uname().nodename:
        return True
    if boot_id and boot_id != _line("/proc/sys/kernel/random/boot_id"):
        return False
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def seen(con, p, pid, now):
    """Makes or refreshes the row of the Claude session an event came from; the first event will do, whichever it is.

    Returns whether this conversation took another's place in its process.
    """
    row = con.execute("SELECT host, boot_id, pid, process_started, ended_at, permission_mode FROM claude_sessions "
                      "WHERE claude_session_id = ?", (p.session,)).fetchone()
    if row is None:
        con.execute(
            "INSERT OR IGNORE INTO claude_sessions (claude_session_id, host, boot_id, pid, process_started, started_at, "
            "cwd, transcript_path, source, model, permission_mode) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (p.session,) + process_of(pid) + (now, p.cwd, p.transcript, p.source, p.model, p.mode))
        return _replaces(con, p.session, now)
    if row[2] is None:  # a command of ours made the row; the process is known only now
        con.execute("UPDATE claude_sessions SET host = ?, boot_id = ?, pid = ?, process_started = ?, cwd = ?, "
                    "transcript_path = ? WHERE claude_session_id = ?",
                    process_of(pid) + (p.cwd, p.transcript, p.session))
    elif p.event == "SessionStart" and p.agent is None:
        process = process_of(pid)
        if row[:4] != process or row[4] is not None:  # another process goes on with this conversation
            con.execute("UPDATE claude_sessions SET host = ?, boot_id = ?, pid = ?, process_started = ?, started_at = ?, "
                        "ended_at = NULL, end_reason = NULL, touched = 0, nagged = 0 WHERE claude_session_id = ?",
                        process + (now, p.session))
    if p.mode and p.mode != row[5] and p.agent is None:
        con.execute("UPDATE claude_sessions SET permission_mode = ? WHERE claude_session_id = ?", (p.mode, p.session))
    return False


def _replaces(con, session, now):
    """Closes the row of the conversation that was in the same process before, unless agents are at work for it.

    A process has one conversation at a time. On 2.1.197 a fork starts under the id of the conversation it was forked from.
    """
    before = con.execute(
        "SELECT o.claude_session_id FROM claude_sessions s JOIN claude_sessions o ON o.pid = s.pid AND o.host = s.host AND "
        "o.boot_id IS s.boot_id AND o.process_started IS s.process_started AND o.claude_session_id != s.claude_session_id "
        "WHERE s.claude_session_id = ? AND o.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM executions e WHERE "
        "e.claude_session_id = o.claude_session_id AND e.status = 'deployed' AND e.deployed_at >= o.started_at)",
        (session,)).fetchall()
    for (other,) in before:
        ended(con, other, "replaced", now)
    return bool(before)


def ended(con, session, reason, now):
    """Closes a Claude session's row."""
    con.execute("UPDATE claude_sessions SET ended_at = ?2, end_reason = ?3 WHERE claude_session_id = ?1 "
                "AND ended_at IS NULL", (session, now, reason))


def bury(con, now):
    """Closes the rows of sessions whose process is gone. Returns their ids."""
    gone = [r[0] for r in con.execute(
        "SELECT claude_session_id, host, boot_id, pid, process_started FROM claude_sessions WHERE ended_at IS NULL")
        if not alive(*r[1:])]
    for session in gone:
        ended(con, session, "gone", now)
    return gone


def current(con, session):
    """The orchestration a Claude session drives, or None."""
    row = con.execute("SELECT orchestration_id FROM claude_sessions WHERE claude_session_id = ?", (session,)).fetchone()
    return row[0] if row else None
