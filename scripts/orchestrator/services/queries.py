"""Lists of the history: executions, sessions, tasks; the newest first, each row a document."""

from __future__ import annotations

import os

from orchestrator.model.redact import redact
from orchestrator.paths import file_in, of_project
from orchestrator.services.conditions import AGAIN, AT_WORK, Where, many_lost, used_beside
from orchestrator.services.finding import newest
from orchestrator.store.open import LOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from orchestrator.services.conditions import Progress

STATUSES = ("deployed", "completed", "failed", "lost")
ORIGINS = ("planned", "planner", "unplanned", "nested", "workflow", "skill", "teammate", "tracker", "imported")

_EXECUTION = (
    "execution_id",
    "orchestration_id",
    "task_id",
    "attempt",
    "origin",
    "runtime",
    "claude_session_id",
    "agent_id",
    "parent_agent_id",
    "agent_type",
    "scope",
    "model",
    "resolved_model",
    "status",
    "end_reason",
    "inferred",
    "success",
    "deployed_at",
    "started_at",
    "completed_at",
    "context_token_count",
    "count_how",
    "context_size",
    "bundle_id",
    "calls",
    "failed_calls",
    "refused_calls",
    "refused_names",
    "files_read",
    "files_written",
    "lines_added",
    "lines_removed",
    "models",
    "stop_reason",
    "final_message",
    "error_message",
)
USAGE = (
    "messages",
    "input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "output_tokens",
)
_ROW = f"""SELECT {", ".join(["e." + name for name in _EXECUTION])}, {LOST},
    CASE WHEN {AGAIN} THEN (SELECT max(g.started_at) FROM segments g WHERE g.execution_id = e.execution_id) END,
    (julianday(e.completed_at) - julianday(COALESCE(e.started_at, e.deployed_at))) * 86400.0 - e.paused_ms / 1000.0
FROM executions e WHERE e.number = ?"""
_USED = f"""SELECT {", ".join([f"sum({name})" for name in USAGE])},
    CASE WHEN count(cost_usd) = count(*) THEN sum(cost_usd) END, sum(cost_usd), COALESCE(sum(input_tokens +
    cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens + output_tokens) FILTER (WHERE cost_usd IS NULL), 0)
FROM usage WHERE owner = ? AND kind = 'execution'"""


_NEWEST = """
SELECT e.number FROM json_each(?) j CROSS JOIN executions e ON e.number = j.value ORDER BY e.deployed_at DESC, e.execution_id DESC
LIMIT ?"""


def executions(
    con: Any,
    *,
    execution: Optional[str] = None,
    orchestration: Optional[str] = None,
    task: Optional[str] = None,
    agent_type: Optional[str] = None,
    model: Optional[str] = None,
    status: Optional[str] = None,
    origin: Optional[str] = None,
    since: Optional[str] = None,
    until: Optional[str] = None,
    at: Optional[str] = None,
    text: Optional[str] = None,
    file: Optional[str] = None,
    limit: int = 20,
    progress: Progress = None,
) -> list[dict[str, Any]]:
    """Executions that fit all that is given, the latest deployed first.

    `agent_type` may be a bare role of ours; `model` part of the name of one it used; `status` also lost, which deployed leaves
    out; `at` a moment, or FROM/TO, at which it was running; `text` words in scope, result or error (store/search.py);
    `file` a path or folder that was read, written or left.
    """

    def where() -> Where:
        out = Where(con, progress=progress)
        out.add_one_of("execution_id", [execution])
        out.add_one_of("orchestration_id", [orchestration])
        out.add_task(task)
        out.add_agent_type(agent_type)
        out.add_one_of("origin", [origin])
        out.add_period(since, until)
        out.add_running(at)
        out.add_status(status)
        out.add_path(file)
        out.add_text(text)
        return out

    ran = where()
    ran.add_model(model)
    found = newest(ran, limit)
    names = used_beside(con, model) if model else []
    if names:  # few ever used more than the one they ran on
        used = where()
        used.add_used_beside(names)
        found = [row[0] for row in con.execute(_NEWEST, (str(found + newest(used, limit)), limit))]
    return [_execution(con, number) for number in found]


def _execution(con: Any, number: int) -> dict[str, Any]:
    row = con.execute(_ROW, (number,)).fetchone()
    out = dict(zip(_EXECUTION, row, strict=False))
    lost, again, seconds = row[len(_EXECUTION) :]
    out["lost"], out["at_work_again"], out["again_since"] = bool(lost), again is not None, again
    out["inferred"] = bool(out["inferred"])
    out["success"] = None if out["success"] is None else bool(out["success"])
    out["seconds"] = None if seconds is None else round(max(0.0, seconds), 3)
    used = con.execute(_USED, (out["execution_id"],)).fetchone()
    out.update(zip((*USAGE, "cost_usd", "priced_usd", "unpriced_tokens"), used, strict=True))
    out["tokens"] = tokens_of(out)
    return out


def tokens_of(execution: dict[str, Any]) -> dict[str, Any]:
    """(number, how) of what an execution took: its transcript's sum, else its last request."""
    used = [execution[name] for name in USAGE[1:]]
    if None not in used:
        return {"number": sum(used), "how": "usage"}
    if execution["context_size"] is not None:
        return {"number": execution["context_size"], "how": "context size"}
    return {"number": None, "how": None}


def others_at_work(con: Any) -> int:
    """How many agents are at work that the states of tasks do not tell of: of no task, or of one that has ended, put to work
    again."""
    others = f"SELECT count(*) FROM executions WHERE number IN ({AT_WORK}) AND (task_id IS NULL OR status != 'deployed')"
    return int(con.execute(others).fetchone()[0])


_METRICS = ("cost_usd", "input_tokens", "output_tokens", "messages", "files_read", "files_written", "seconds")


def metrics(execution: dict[str, Any]) -> dict[str, Any]:
    """What seed 003 calls an agent's metrics: cost, tokens, messages, tool calls, files, execution time."""
    return {**{name: execution[name] for name in _METRICS}, "tokens": execution["tokens"], "tool_calls": execution["calls"]}


def state_of(execution: dict[str, Any]) -> str:
    """An execution's status as a person is told it: lost is not at work, and what a message put to work again is."""
    return "lost" if execution["lost"] else "deployed" if execution["at_work_again"] else str(execution["status"])


def in_seed_names(execution: dict[str, Any]) -> dict[str, Any]:
    """An execution under the column names of the view agent_executions, and what we know besides."""
    mine = dict(execution)
    session, resolved = mine.pop("orchestration_id"), mine.pop("resolved_model")
    first = (
        "execution_id",
        "agent_type",
        "deployed_at",
        "completed_at",
        "status",
        "scope",
        "context_token_count",
    )
    return {
        "session_id": session,
        **{name: mine.pop(name) for name in first},
        "model": resolved or mine.pop("model"),
        **{name: mine.pop(name) for name in ("final_message", "success", "error_message")},
        **{name: value for name, value in mine.items() if name != "model"},
    }


_SESSION = f"""
SELECT o.orchestration_id, o.created_at, o.completed_at, o.goal, o.phase, o.status, o.metadata, o.origin,
    (SELECT count(*) FROM tasks t WHERE t.orchestration_id = o.orchestration_id),
    (SELECT json_object({", ".join([f"'{state}', COALESCE(sum(state = '{state}'), 0)" for state in STATUSES])}) FROM (
        SELECT CASE WHEN {LOST} THEN 'lost' WHEN {AGAIN} THEN 'deployed' ELSE e.status END AS state
        FROM executions e WHERE e.orchestration_id = o.orchestration_id))
FROM orchestrations o"""


def sessions(
    con: Any,
    *,
    orchestration: Optional[str] = None,
    status: Optional[str] = None,
    since: Optional[str] = None,
    until: Optional[str] = None,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Orchestrations under the column names of the view sessions, with their tasks counted, and their executions by state."""
    import json

    asked = (("o.orchestration_id = ?", orchestration), ("o.status = ?", status), ("o.created_at >= ?", since),
             ("o.created_at <= ?", until))  # fmt: skip
    conditions = [condition for condition, value in asked if value]
    rows = con.execute(
        _SESSION + (" WHERE " + " AND ".join(conditions) if conditions else "")
        + " ORDER BY o.created_at DESC, o.orchestration_id DESC LIMIT ?",
        (*[value for _, value in asked if value], limit),
    )
    names = (
        "session_id",
        "created_at",
        "completed_at",
        "scope",
        "phase",
        "status",
        "metadata",
        "origin",
        "tasks",
        "executions",
    )
    found = [dict(zip(names, row, strict=True)) for row in rows]
    for each in found:
        each["metadata"], each["executions"] = document(each["metadata"]), json.loads(each["executions"])
    return found


def document(text: Optional[str]) -> Any:
    """A JSON text as a value; what is no JSON stays text."""
    import json

    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def tasks(con: Any, orchestration: str, state: Optional[str] = None) -> list[dict[str, Any]]:
    """The tasks of an orchestration in the plan's order, with derived states and their latest execution; of one state, or any."""
    from orchestrator.recording.graph import Graph

    graph = Graph(con, orchestration)
    names = [name for name in graph.tasks if state in (None, graph.states[name])]
    if not names:
        return []
    latest: dict[str, tuple[Any, ...]] = {}
    for row in con.execute(
        "SELECT task_id, execution_id, attempt, end_reason, error_message, deployed_at, completed_at, "
        "COALESCE(resolved_model, model), (julianday(completed_at) - julianday(COALESCE(started_at, "
        "deployed_at))) * 86400.0 - paused_ms / 1000.0 FROM executions WHERE orchestration_id = ? AND task_id IS NOT NULL "
        "ORDER BY attempt",
        (orchestration,),
    ):
        latest[row[0]] = row[1:]
    out = []
    for name in names:
        task = graph.tasks[name]
        execution, attempt, reason, error, deployed, completed, model, seconds = latest.get(name, (None,) * 8)
        out.append(
            {
                "task_id": name,
                "orchestration_id": orchestration,
                "title": task[1],
                "agent_type": task[2],
                "priority": task[3],
                "state": graph.states[name],
                "after": graph.after.get(name, []),
                "attempts": attempt or 0,
                "execution_id": execution,
                "model": model,
                "deployed_at": deployed,
                "completed_at": completed,
                "seconds": None if seconds is None else round(max(0.0, seconds), 3),
                "end_reason": reason,
                "error_message": error,
            }
        )
    return out


_UNTRIED = """EXISTS (SELECT 1 FROM %s t WHERE t.orchestration_id = o.orchestration_id AND NOT EXISTS (SELECT 1 FROM
    executions e WHERE e.orchestration_id = t.orchestration_id AND e.task_id = t.task_id))"""
_LEFT_OUT = "o.orchestration_id IN (SELECT t.orchestration_id FROM tasks t WHERE t.skipped_at IS NOT NULL)"
_OF_FEW = "o.orchestration_id IN (SELECT e.orchestration_id FROM %s AND e.task_id IS NOT NULL)"
_ENDED = """EXISTS (SELECT 1 FROM executions e WHERE e.orchestration_id = o.orchestration_id AND e.task_id IS NOT NULL AND
    e.status = '%s')"""
_SOME_LOST = f"""EXISTS (SELECT 1 FROM executions e WHERE e.orchestration_id = o.orchestration_id AND e.task_id IS NOT NULL AND
    {LOST})"""
_MAY_HOLD = {  # a task's state: SQL, which orchestrations may have such tasks; soon told, as most may have none
    "waiting": _UNTRIED % "task_dependencies",
    "ready": _UNTRIED % "tasks",
    "skipped": f"({_UNTRIED % 'task_dependencies'} OR {_LEFT_OUT})",
    "in_flight": _OF_FEW % f"executions e WHERE e.number IN ({AT_WORK})",
    "lost": _OF_FEW % "lost_executions e WHERE true",
    "completed": _ENDED % "completed",
    "failed": _ENDED % "failed",
}


def tasks_of_all(con: Any, state: Optional[str], limit: int) -> list[dict[str, Any]]:
    """The tasks of all orchestrations, the latest first, as `tasks` gives them; of one state, or of any."""
    found: list[dict[str, Any]] = []
    may_hold = f" WHERE {_MAY_HOLD[state]}" if state else ""
    order = "+o.created_at" if state in ("in_flight", "lost") else "o.created_at"  # +: few are sorted sooner than all looked at
    if state == "lost" and many_lost(con):
        may_hold, order = f" WHERE {_SOME_LOST}", "o.created_at"
    for (orchestration,) in con.execute(
        f"SELECT o.orchestration_id FROM orchestrations o{may_hold} ORDER BY {order} DESC, o.orchestration_id DESC"
    ):
        found += tasks(con, orchestration, state)
        if len(found) >= limit:
            break
    return found[:limit]


_NAMED = " UNION ALL ".join(
    f"SELECT 1 FROM {table} WHERE {which}"
    for table in ("file_touches", "outputs")
    for which in ("path = ?1", "path >= ?1 || '/' AND path < ?1 || '0'")
)


def path_in(con: Any, project: str, given: str) -> str:
    """A file or folder as rows name it, also where it no longer exists: as it is recorded now, else, where there are rows of
    that, just as it was written or, for whoever asks from elsewhere, below the project."""
    root, full = os.path.realpath(project), os.path.abspath(given)
    name = file_in(root, of_project(root, os.path.realpath(full)) if os.path.isdir(full) else full, {})
    written = os.path.relpath(full, root).replace(os.sep, "/") if full.startswith(root.rstrip(os.sep) + os.sep) else full
    others = [written] if os.path.isabs(given) else [written, os.path.normpath(given)]
    names = [redact(each)[0] for each in (name, *others)]
    return next((each for each in names if each == "." or con.execute(_NAMED + " LIMIT 1", (each,)).fetchone()), names[0])
