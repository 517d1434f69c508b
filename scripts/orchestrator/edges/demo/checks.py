"""Checking the demo: every claim it makes, asked of the history's rows."""

import json
import os
import sqlite3
from typing import NamedTuple

from orchestrator.edges.demo import plan
from orchestrator.edges.demo.script import Script
from orchestrator.store import blobs, inbox, log
from orchestrator.store import open as store

_STATES = "SELECT state FROM task_states WHERE orchestration_id = ?"
_EXECUTIONS = "SELECT * FROM executions WHERE orchestration_id = ? ORDER BY deployed_at, execution_id"


class Check(NamedTuple):
    """A claim, and whether the rows bear it out."""

    claim: str
    true: bool


def check(
    history: str, workspace: str, orchestration: str, session: str, script: Script, heard: set
) -> list[Check]:
    """Every claim of the demo. `heard` are the agents whose notification a main request brought."""
    con = sqlite3.connect(history)
    con.row_factory = sqlite3.Row
    try:
        found = list(con.execute(_EXECUTIONS, (orchestration,)))
        of_tasks = [e for e in found if e["task_id"]]
        states = [row[0] for row in con.execute(_STATES, (orchestration,))]
        broken = [e["end_reason"] for e in of_tasks if e["task_id"] == plan.FAILS]
        others = [e["task_id"] for e in of_tasks if e["task_id"] != plan.FAILS]
        by = [sum(e["runtime"] == runtime for e in of_tasks) for runtime in ("workflow", "agent")]
        compacted = con.execute(
            "SELECT count(*) FROM events WHERE claude_session_id = ? AND kind = 'compacted'", (session,)
        ).fetchone()[0]
        closed = con.execute(
            "SELECT status FROM orchestrations WHERE orchestration_id = ?", (orchestration,)
        ).fetchone()
        waits = sum(e["runtime"] == "agent" and e["agent_id"] not in heard for e in of_tasks)
    finally:
        con.close()
    same = _as_recorded(history, found, script)
    ended = sum(e["status"] != "deployed" for e in found)
    return [
        Check(f"{states.count('completed')} of {len(script.tasks)} tasks completed",
              states.count("completed") == len(script.tasks)),
        Check(f"{len(found)} executions, {ended} of them ended; no finished task was deployed again",
              ended == len(found) and len(others) == len(set(others))),
        Check(f"`{plan.FAILS}` failed once (api_error) and completed on its second attempt",
              broken == ["api_error", "end_turn"]),
        _drivers(by[0], by[1], script.workflow),
        Check("one compaction in between; what was done and what failed outlived it", compacted == 1),
        Check(f"{waits} end{'' if waits == 1 else 's'} held until something needed the main conversation",
              waits > 0),
        Check(f"{same} of {len(script.given)} briefings in the history are what the model received",
              same == len(script.given) == len(found)),
        Check("the report is written and the orchestration closed",
              bool(closed) and closed[0] == "completed" and os.path.exists(report(workspace, orchestration))),
    ]  # fmt: skip


def _drivers(workflow: int, calls: int, offered: bool) -> Check:
    if not offered:
        return Check(f"{calls} executions by Agent calls; this client has no Workflow tool", calls > 0)
    return Check(
        f"{workflow} executions by the Workflow tool, {calls} by Agent calls", workflow > 0 and calls > 0
    )


def no_hook_failed(workspace: str, since: str, waited: set[str]) -> Check:
    """Whether the hooks' log holds no error since then, and the inbox no event that did not wait before."""
    found = []
    for name in (log.BEFORE, log.NAME):
        path = os.path.join(workspace, name)
        errors = sum(_error_since(line, since) for line in _lines(path))
        found += [_many(errors, "error", path)] if errors else []
    left = [each for each in inbox.waiting(workspace, odd=True) if os.path.basename(each) not in waited]
    for folder in sorted({os.path.dirname(each) for each in left}):
        events = sum(os.path.dirname(each) == folder for each in left)
        found.append(_many(events, "event", folder) + " could not be taken in")
    return Check("no hook failed" + (": " + ", ".join(found) if found else ""), not found)


def waiting(workspace: str) -> set[str]:
    """The names of the events that wait in the inbox."""
    return {os.path.basename(each) for each in inbox.waiting(workspace, odd=True)}


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()
    except OSError:
        return []


def _error_since(line: str, since: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and entry.get("level") == "error" and str(entry.get("at")) >= since


def _many(number: int, what: str, place: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'} in {place}"


def report(workspace: str, orchestration: str) -> str:
    """Where the report of an orchestration is kept."""
    return os.path.join(workspace, f"report-{orchestration}.md")


def _as_recorded(history: str, executions: list[sqlite3.Row], script: Script) -> int:
    """How many briefings of the history are, byte for byte, what an agent's requests held."""
    con = store.open_history(history)
    try:
        same = 0
        for e in executions:
            given = script.given.get(e["agent_id"])
            kept = blobs.get(con, e["briefing_hash"]) if e["briefing_hash"] else None
            sent = kept.decode("utf-8", "replace").strip() if kept else None
            same += sent is not None and given is not None and sent == given.strip()
        return same
    finally:
        con.close()
