"""Lost: what is known of an execution that no signal ended, from its rows and from what its agent's transcript shows."""

from __future__ import annotations

import os
from typing import Any, Optional

from orchestrator.paths import readable
from orchestrator.recording.record import clean
from orchestrator.recording.transcript import parts, path_of
from orchestrator.services import transcripts

END = 2_000_000  # bytes of a transcript's end that are read for its last words and calls


def known_of(con: Any, execution: str) -> dict[str, Any]:
    """The last thing heard of an agent, its last words and call, the files it touched, its tokens so far.

    `answered` is 0 while the last call has no answer: it was under way. Tokens and files are those of the
    whole transcript, which a session's end and every command read; words and calls are read from its end now.
    """
    path, agent, session, calls, read_at = con.execute(
        "SELECT transcript_path, agent_id, claude_session_id, calls, usage_read_at FROM executions "
        "WHERE execution_id = ?",
        (execution,),
    ).fetchone()
    heard = con.execute(
        "SELECT at, kind FROM events WHERE execution_id = ? AND kind NOT IN ('tail', 'met') ORDER BY at DESC, event_id DESC "
        "LIMIT 1", (execution,),
    ).fetchone()
    known: dict[str, Any] = {
        "heard_at": heard and heard[0],
        "heard": heard and heard[1],
        "written_at": None,
        "last_words": None,
        "last_call": None,
        "answered": None,
        "calls": calls,
        "tokens": con.execute(
            "SELECT sum(input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens + "
            "output_tokens) FROM usage WHERE owner = ? AND kind = 'execution'",
            (execution,),
        ).fetchone()[0],
        "read": _files(con, execution, "read"),
        "wrote": _files(con, execution, "write"),
        "complete": read_at is not None,
    }
    for part in parts(con, path if path and os.path.exists(path) else _found(con, session, agent) or ""):
        _add_end(known, part)
    return known


def _files(con: Any, execution: str, mode: str) -> list[str]:
    return [
        row[0]
        for row in con.execute(
            "SELECT path FROM file_touches WHERE execution_id = ? AND mode = ? ORDER BY last_at DESC", (execution, mode)
        )
    ]


def _found(con: Any, session: Optional[str], agent: Optional[str]) -> Optional[str]:
    """The transcript of an agent whose path no signal named."""
    row = con.execute(
        "SELECT transcript_path FROM claude_sessions WHERE claude_session_id = ?", (session,)
    ).fetchone()
    found: Optional[str] = path_of(row[0], agent) if row and row[0] and agent else None
    return found


def _add_end(known: dict[str, Any], path: str) -> None:
    """Adds what stands at a transcript's end."""
    try:
        with readable(path, "rb") as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - END))
            lines = f.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return
    for said in transcripts.told(lines):
        known["written_at"] = said.at or known["written_at"]
        if said.who == "agent":
            known["last_words"] = clean(said.text)
        elif said.who == "call":
            known["last_call"], known["answered"] = clean(said.text), 0
        elif said.who in ("answer", "error"):
            known["answered"] = 1
