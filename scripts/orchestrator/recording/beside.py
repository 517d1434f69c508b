"""Beside: the processes that are in a conversation beside the one its row names, as `claude --continue` in another terminal is.

The row stays with the earlier one as long as that lives: what it has at work is not lost, and what the others have at work is
not over because it does not list it. This is loaded only where there are two.
"""

from orchestrator.recording import sessions


def comes(con, session, process, now):
    """Another process than the row's goes on with a conversation."""
    con.execute("INSERT OR IGNORE INTO meta SELECT 'beside.' || ?1 || '.' || ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM "
                "claude_sessions WHERE claude_session_id = ?1 AND pid = ?2)", (
                    session, process[2], "\n".join([str(part or "") for part in (*process, now)])))


def _there(con, session):
    """[(key, process, since when)] of those that live, the earliest first; others are forgotten."""
    found = []
    for key, value in con.execute("SELECT key, value FROM meta WHERE key > 'beside.' || ?1 || '.' AND key < 'beside.' || ?1 || "
                                  "'/'", (session,)).fetchall():
        host, boot, pid, started, since = value.split("\n")
        process = (host, boot or None, int(pid), started or None)
        if sessions.alive(*process):
            found.append((since, key, process))
        else:
            con.execute("DELETE FROM meta WHERE key = ?", (key,))
    return sorted(found)


def since(con, session):
    """When the first of them came; None for none. Of what began since, nobody knows in which process it is."""
    return next((row[0] for row in _there(con, session)), None)


def takes_over(con, session):
    """The former process is out of a conversation: the first of the others is its process now. Returns whether there is one."""
    for came, key, process in _there(con, session):
        con.execute("UPDATE claude_sessions SET host = ?, boot_id = ?, pid = ?, process_started = ?, started_at = ?, ended_at = "
                    "NULL, end_reason = NULL WHERE claude_session_id = ?", (*process, came, session))
        con.execute("DELETE FROM meta WHERE key = ?", (key,))
        return True
    return False
