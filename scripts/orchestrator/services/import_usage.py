"""Import's usage: what the transcripts of a session that was taken in come to, a transaction for each of them."""

from __future__ import annotations

from typing import Any

from orchestrator.recording import record, rollup, tally, transcript, usage
from orchestrator.services.past import Found
from orchestrator.store.open import writing

PIECE = 8_000_000  # bytes of a conversation counted in one transaction


def count(con: Any, project: str, found: Found, now: str) -> None:
    """Counts what was used, each transcript in a transaction of its own, a conversation piece by piece."""
    for (execution,) in con.execute(
        "SELECT execution_id FROM executions WHERE claude_session_id = ? AND origin = 'imported' AND agent_id IS NOT NULL",
        (found.session,),
    ).fetchall():
        with writing(con):
            usage.due(con, project, now, execution=execution)
    shared = [record.by_agent(con, agent) for agent in transcript.on_disk(found.path)]
    if found.others or any(execution and not _is_of(con, execution, found.session) for execution in shared):
        with writing(con):
            con.execute("UPDATE claude_sessions SET forked = 2 WHERE claude_session_id = ?", (found.session,))
    real = {row[0] for row in con.execute("SELECT agent_id FROM executions WHERE claude_session_id = ?", (found.session,))}
    for agent, path in found.files:
        if agent not in real and transcript.meta(con, found.path, agent) is None:
            with writing(con):
                tally.grow(con, project, found.session, path, kind="compaction")
    while True:
        with writing(con):
            offset = _offset(con, found)
            usage.due(con, project, now, session=found.session, most=PIECE)
            if _offset(con, found) == offset:
                usage.due(con, project, now, session=found.session)
                rollup.take_in(con)
                return


def _is_of(con: Any, execution: str, session: str) -> bool:
    row = con.execute("SELECT claude_session_id FROM executions WHERE execution_id = ?", (execution,)).fetchone()
    return bool(row[0] == session)


def _offset(con: Any, found: Found) -> int:
    row = con.execute("SELECT usage_offset FROM claude_sessions WHERE claude_session_id = ?", (found.session,)).fetchone()
    return int(row[0])
