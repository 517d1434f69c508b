"""Usage: which transcripts are to be read: of executions once they ended, of conversations as they grow."""

import os

from orchestrator.store.open import LOST

MOST_IN_HOOK = 8_000_000  # bytes of transcripts one hook reads; a later command reads the rest
MOST_IN_PASSING = 2_000_000  # where a session begins or ends, which must not take long
SUMS_COME = 10  # seconds after a session's end, of /clear above all, within which the client writes what it used
MOST_TOKENS = 10**12  # of one message; what says more is no count

_TO_READ = "WHERE agent_id IS NOT NULL AND (usage_read_at IS NULL OR usage_read_at < completed_at)"
# what was lost has ended, too, without an end
_UNREAD = "executions e INDEXED BY executions_unread %s AND (status != 'deployed' OR %s)" % (_TO_READ, LOST)
_GROWN = (
    "claude_sessions INDEXED BY claude_sessions_unread WHERE "
    "transcript_path IS NOT NULL AND (ended_at IS NULL OR usage_read_at IS NULL OR usage_read_at <= ended_at)"
)

# An agent's last words reach its transcript a moment after it, or the call that it came from, said that it ended: until they
# are there, what was read is read once more, unless it is said to have failed in the middle; of several segments an
# earlier one's words prove nothing.
_WHOLE = (
    "UPDATE executions SET usage_read_at = ?1 WHERE execution_id = ?2 AND (completed_at IS NULL OR "
    "julianday(?1) - julianday(completed_at) > 5 / 86400.0 OR NOT EXISTS (SELECT 1 FROM segments WHERE execution_id = ?2 "
    "AND ordinal = 2) AND (stop_reason NOT IN ('tool_use', 'pause_turn') OR status = 'failed' AND inferred = 0))"
)


def waiting(con):
    """Whether there is something new to read in a transcript."""
    if con.execute("SELECT 1 FROM %s LIMIT 1" % _UNREAD).fetchone():
        return True
    for path, offset, ended in con.execute(
        "SELECT transcript_path, usage_offset, ended_at FROM " + _GROWN
    ):
        try:
            if ended or os.path.getsize(path) > offset:
                return True
        except OSError:
            pass
    return False


def due(con, project, now, session=None, execution=None, most=None):
    """Reads what has ended, or grown, since it was read: of one execution, of one Claude session, or of all.

    `most` bounds the bytes. With it a transcript that is missing is looked for again the next time.
    """
    # each by its index, so that how long the history is does not matter
    if execution:
        where = "executions %s AND status != 'deployed' AND execution_id = ?" % _TO_READ
    else:
        where = _UNREAD + (" AND claude_session_id = ?" if session else "")
    name = execution or session
    rows = con.execute(
        "SELECT execution_id, transcript_path, claude_session_id, agent_id FROM " + where, (name,) if name else ()
    ).fetchall()
    if rows:
        from orchestrator.recording import tally, transcript

    for owner, path, of, agent in rows:
        if not path or not os.path.exists(path):
            path = _found(con, owner, of, agent) or path
        its = transcript.parts(con, path) if path else []
        if len(its) > 1:  # where it begins
            con.execute("UPDATE executions SET transcript_path = ? WHERE execution_id = ?", (its[0], owner))
        try:
            size = sum([os.path.getsize(part) for part in its or ("",)])
        except OSError:
            if most is None:
                con.execute("UPDATE executions SET usage_read_at = ? WHERE execution_id = ?", (now, owner))
            continue
        if most is not None:
            if size > most:
                continue
            most -= size
        if _alone(con, True, tally.read, project, owner, *its):
            con.execute(_WHOLE, (now, owner))
    for each in {row[2] for row in rows}:
        unseen(con, each, now)
    if execution is None:
        _conversations(con, project, now, session, most)


def _alone(con, otherwise, read, *given):
    """What reading one transcript comes to; `otherwise`, and nothing of it kept, where that holds what nobody foresaw.

    So an event, and what others used, is recorded whatever stands in there.
    """
    con.execute("SAVEPOINT transcript")
    try:
        answer = read(con, *given)
    except Exception as problem:
        from orchestrator.store.open import corrupt, refused

        if refused(problem) or corrupt(problem):
            raise  # the disk, another writer or the history: it is read another time
        con.execute("ROLLBACK TO transcript")
        answer = otherwise
    con.execute("RELEASE transcript")
    return answer


def _end(path):
    """Where a file ends; None where there is none."""
    try:
        return os.path.getsize(path)
    except OSError:
        return None


def forget(con, owner, kind):
    """Removes what was counted for an owner. It is asked first: the triggers of a DELETE cost more than a look."""
    if con.execute("SELECT 1 FROM usage WHERE owner = ? AND kind = ?", (owner, kind)).fetchone():
        con.execute("DELETE FROM usage WHERE owner = ? AND kind = ?", (owner, kind))


def _found(con, execution, session, agent):
    """The transcript of an agent that no signal named, or that has gone from there, kept from now on; None for none."""
    from orchestrator.recording import transcript

    path = transcript.path_of(transcript.main_of(con, session), agent)
    if path:
        con.execute("UPDATE executions SET transcript_path = ? WHERE execution_id = ?", (path, execution))
    return path


def _conversations(con, project, now, session, most):
    """Reads on in the transcripts of main conversations."""
    from orchestrator.recording import tally, transcript

    for owner, path, offset, ended in con.execute(
        "SELECT claude_session_id, transcript_path, usage_offset, ended_at FROM "
        + _GROWN
        + " AND (?1 IS NULL OR claude_session_id = ?1) ORDER BY rowid",  # a fork after its parent
        (session,),
    ).fetchall():
        path = transcript.main_of(con, owner)
        come = _alone(con, _end(path), tally.grow, project, owner, path, "session", offset, most)
        if come is None and (most is not None or ended is None):
            continue
        if most is not None:
            most -= come - offset
        whole = most is None or most > 0
        con.execute(
            "UPDATE claude_sessions SET usage_offset = ?1, usage_read_at = CASE WHEN ?2 THEN ?3 ELSE "
            "usage_read_at END WHERE claude_session_id = ?4",
            (come or 0, whole, _last(con, now, ended), owner),
        )
        if not whole:
            return
        unseen(con, owner, now)


def _last(con, now, ended):
    """When a conversation that ended counts as read: as long as the client may still write its sums, it is read once more."""
    return con.execute(
        "SELECT CASE WHEN julianday(?1) - julianday(?2) BETWEEN 0 AND %d / 86400.0 THEN ?2 ELSE ?1 END" % SUMS_COME, (now, ended)
    ).fetchone()[0]


def hidden(con, project, session, main):
    """Counts what the hidden agents of a Claude session's compactions used, where the client left their transcripts."""
    for (agent,) in con.execute(
        "SELECT DISTINCT agent_id FROM events WHERE claude_session_id = ? AND execution_id IS NULL AND agent_id IS NOT NULL AND "
        "kind = 'stopped' AND COALESCE(agent_type, '') = ''",
        (session,),
    ).fetchall():
        from orchestrator.recording import tally, transcript

        path = transcript.path_of(main, agent)
        if path and os.path.exists(path) and transcript.meta(con, main, agent) is None:
            _alone(con, None, tally.grow, project, session, path, "compaction")


def unseen(con, session, now):
    """Keeps what the client says an ended session used beyond its transcripts: compaction, titles, checks.

    Only client 2.1.329 leaves its own sums in the transcript; those of a fork begin with its parent's, and those of
    conversations that agents went on from or to are of some of these, so nothing is concluded from them.
    """
    forget(con, session, "unseen")
    whole = con.execute(
        "SELECT json_valid(client_usage) FROM claude_sessions WHERE claude_session_id = ? AND NOT forked AND "
        "ended_at IS NOT NULL AND usage_read_at >= ended_at",
        (session,),
    ).fetchone()
    if (
        whole
        and whole[0]
        and con.execute(
            "SELECT 1 FROM executions WHERE claude_session_id = ? AND agent_id IS NOT NULL AND (usage_read_at IS NULL OR "
            "usage_read_at < completed_at)",
            (session,),
        ).fetchone()
        is None
    ):
        from orchestrator.recording import unseen as sums

        sums.keep(con, session, now)
