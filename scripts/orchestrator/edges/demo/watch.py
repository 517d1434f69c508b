"""Watching the demo: the history's rows and the client's own lines as they come, one line an event."""

import json
import sqlite3
from datetime import datetime, timezone
from typing import Callable, Iterator, Optional

# seconds since the beginning, who, what, and how it is to be coloured
Tell = Callable[[float, str, str, str], None]
Line = tuple[str, str, str, str]  # the same, with the time as the history writes it

_EXECUTIONS = """
SELECT execution_id, task_id, origin, runtime, attempt, agent_type, context_token_count, deployed_at,
    completed_at, status, end_reason,
    round((julianday(completed_at) - julianday(deployed_at)) * 86400, 1) AS seconds
FROM executions WHERE claude_session_id = ? AND (task_id IS NOT NULL OR origin = 'planner')
ORDER BY deployed_at, execution_id"""
_EVENTS = """
SELECT event_id, at, kind, body FROM events WHERE claude_session_id = ? AND event_id > ? ORDER BY event_id"""
_PLAN = """
SELECT o.orchestration_id, o.status, o.updated_at, count(t.task_id), min(t.created_at),
    (SELECT sum(tokens) FROM prepared p WHERE p.orchestration_id = o.orchestration_id)
FROM claude_sessions s JOIN orchestrations o USING (orchestration_id)
    LEFT JOIN tasks t USING (orchestration_id)
WHERE s.claude_session_id = ? GROUP BY o.orchestration_id"""


class Watch:
    """Tells what is new in the rows of one Claude session, each thing once."""

    def __init__(self, history: str, log: str, session: str, tell: Tell) -> None:
        self.history, self.log, self.session, self.tell = history, log, session, tell
        self.began = datetime.now(timezone.utc)
        self.orchestration: Optional[str] = None
        self._seen: set[tuple[str, str]] = set()
        self._event = 0
        self._read = 0

    def connect(self) -> Optional[sqlite3.Connection]:
        """The history, to be read; None while there is none."""
        try:
            con = sqlite3.connect(f"file:{_quoted(self.history)}?mode=ro", uri=True, timeout=2)
            con.row_factory = sqlite3.Row
            return con
        except sqlite3.Error:
            return None

    def elapsed(self, at: Optional[str] = None) -> float:
        """Seconds since the beginning, now or at a time of the history."""
        then = datetime.fromisoformat(at.replace("Z", "+00:00")) if at else datetime.now(timezone.utc)
        return max(0.0, (then - self.began).total_seconds())

    def say(self, who: str, what: str, tone: str = "") -> None:
        """Tells a line of our own."""
        self.tell(self.elapsed(), who, what, tone)

    def look(self) -> None:
        """Tells what has come since the last look, in its order."""
        con = self.connect()
        if con is None:
            return
        try:
            plan = con.execute(_PLAN, (self.session,)).fetchone()
            events = con.execute(_EVENTS, (self.session, self._event)).fetchall()
            executions = con.execute(_EXECUTIONS, (self.session,)).fetchall()
        except sqlite3.Error:  # being made, or busy: the next look sees it
            return
        finally:
            con.close()
        news = [*self._plan(plan), *self._events(events), *self._executions(executions)]
        for at, who, what, tone in sorted(news, key=lambda line: line[0]):
            self.tell(self.elapsed(at), who, what, tone)
        for line in self._held():
            self.say("held", line, "note")

    def _once(self, key: str, what: str) -> bool:
        fresh = (key, what) not in self._seen
        self._seen.add((key, what))
        return fresh

    def _plan(self, row: Optional[sqlite3.Row]) -> Iterator[Line]:
        if row is None:
            return
        self.orchestration, status, changed, tasks, made, tokens = row
        if tasks and self._once("plan", ""):
            yield made, "plan", f"{tasks} tasks accepted, {tokens or 0:,} tokens of briefings prepared", ""
        if status in ("completed", "failed") and self._once("closed", ""):
            yield changed, "report", f"written; the orchestration is {status}", "good"

    def _events(self, rows: list[sqlite3.Row]) -> Iterator[Line]:
        for number, at, kind, body in rows:
            self._event = number
            if kind == "handed":
                yield at, "workflow", f"{body} tasks handed over by one call", ""
            elif kind == "workflow_ended":
                yield at, "workflow", "ended", ""
            elif kind == "compacted":
                yield at, "compacted", "the conversation forgot everything; the history did not", "note"

    def _executions(self, rows: list[sqlite3.Row]) -> Iterator[Line]:
        for e in rows:
            who, briefed = e["task_id"] or "planner", e["context_token_count"] is not None
            if (e["task_id"] is None or briefed) and self._once(e[0], "deployed"):
                yield e["deployed_at"], who, "deployed" + _how(e), ""
            if e["status"] == "completed" and self._once(e[0], "ended"):
                yield e["completed_at"], who, f"completed in {e['seconds']} s", "good"
            if e["status"] == "failed" and self._once(e[0], "ended"):
                yield e["completed_at"], who, f"failed: {e['end_reason']}", "bad"

    def _held(self) -> list[str]:
        """What the client has shown, since the last look, of notifications that a hook held."""
        try:
            with open(self.log, "rb") as f:
                f.seek(self._read)
                lines = f.read().rpartition(b"\n")[0]
        except OSError:
            return []
        self._read += len(lines) + 1 if lines else 0
        found = []
        for line in lines.splitlines():
            if b"informational" in line and b"blocked by hook" in line:
                found.append(str(json.loads(line).get("content")).rpartition("\n")[2])
        return found


def _how(e: sqlite3.Row) -> str:
    if e["task_id"] is None:
        return " to plan"
    again = f", attempt {e['attempt']}" if e["attempt"] > 1 else ""
    agent = e["agent_type"].replace("orchestrator:", "")
    return f": {agent}{again}, {e['context_token_count']:,} tokens of briefing"


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
