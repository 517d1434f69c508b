"""One thing of the history, whole: found by its id or any unique prefix."""

from typing import Any, Optional

from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import begins
from orchestrator.recording.prices import tracked
from orchestrator.services import outputs, queries
from orchestrator.store import blobs

ALL = 100_000  # of what belongs to one thing: nothing of it is left out unsaid
WINDOW_USED = 0.8  # from here on an agent is better retired than given more (seed 003)
_PLACES = (  # kind, table, column
    ("execution", "executions", "execution_id"),
    ("execution", "executions", "agent_id"),
    ("orchestration", "orchestrations", "orchestration_id"),
    ("bundle", "bundles", "bundle_id"),
)


def find(con: Any, given: str, orchestration: Optional[str] = None) -> tuple[str, str, Optional[str]]:
    """(kind, id, a task's orchestration) that an id or a prefix names; OrchestratorError for none or several.

    A task of `orchestration` comes first, then exact ids, then prefixes, its tasks' too; an output is named by
    its number, a task of another orchestration by ORCHESTRATION/TASK, or by its id alone when only one has it.
    """
    before, slash, task = given.rpartition("/")
    if slash:
        kind, home, _ = find(con, before)
        if kind == "orchestration" and _task(con, home, task):
            return "task", task, home
    if orchestration and _task(con, orchestration, given):
        return "task", given, orchestration
    for kind, table, column in _PLACES:
        row = con.execute(
            f"SELECT {column}, execution_id FROM {table} WHERE {column} = ?"
            if kind == "execution"
            else f"SELECT {column}, {column} FROM {table} WHERE {column} = ?",
            (given,),
        ).fetchone()
        if row:
            return kind, row[1], None
    number = given.lstrip("#")
    if (
        number.isdigit()
        and len(number) < 16
        and con.execute("SELECT 1 FROM outputs WHERE output_id = ?", (int(number),)).fetchone()
    ):
        return "output", number, None
    return _by_prefix(con, given, orchestration)


def _task(con: Any, orchestration: str, task: str) -> bool:
    return (
        con.execute(
            "SELECT 1 FROM tasks WHERE orchestration_id = ? AND task_id = ?", (orchestration, task)
        ).fetchone()
        is not None
    )


def _by_prefix(con: Any, given: str, orchestration: Optional[str]) -> tuple[str, str, Optional[str]]:
    found: list[tuple[str, str, Optional[str], str]] = []
    end = given + "\U0010ffff"
    for kind, table, column in _PLACES if given else ():
        target = "execution_id" if kind == "execution" else column
        found += [
            (kind, row[1], None, row[0])
            for row in con.execute(
                f"SELECT {column}, {target} FROM {table} WHERE {column} >= ? AND {column} < ? LIMIT 6",
                (given, end),
            )
        ]
    found += [
        ("task", given, row[0], f"{row[0]}/{given}")
        for row in con.execute(
            "SELECT orchestration_id FROM tasks WHERE task_id = ? ORDER BY created_at DESC LIMIT 6", (given,)
        )
    ]
    found += [
        ("task", row[0], orchestration, row[0])
        for row in con.execute(
            "SELECT task_id FROM tasks WHERE orchestration_id = ? AND task_id >= ? AND task_id < ? LIMIT 99",
            (orchestration, given, end),
        )
        if begins(given, row[0])
    ]
    if not found:
        raise OrchestratorError(
            f"Nothing here has an id that is or begins with {given[:128]!r}: `orchestrator history` and "
            "`orchestrator list-tasks` name them."
        )
    if len({each[:3] for each in found}) > 1:
        raise OrchestratorError(
            f"{given[:128]!r} may be any of {some([each[3] for each in found])}: write more of it."
        )
    return found[0][:3]


def some(ids: list[str]) -> str:
    """The first of several ids in a sentence, and whether there are more."""
    return ", ".join(ids[:5]) + (" and more" if len(ids) > 5 else "")


_SUMS = ", ".join(f"sum({name}) AS {name}" for name in queries.USAGE)
_PARTS = {
    "usage_by_model": f"""
        SELECT model, {_SUMS}, CASE WHEN count(cost_usd) = count(*) THEN sum(cost_usd) END AS cost_usd
        FROM usage WHERE owner = ? AND kind = 'execution' GROUP BY model ORDER BY model""",
    "tool_calls": """
        SELECT tool, calls, refused, failed FROM tool_calls
        WHERE execution_id = ? ORDER BY calls DESC, tool""",
    "files": """
        SELECT path, mode, times, first_at, last_at, lines_added, lines_removed FROM file_touches
        WHERE execution_id = ? ORDER BY mode DESC, path""",
    "segments": """
        SELECT ordinal, g.started_at, g.ended_at, g.status, g.end_reason, g.ended_at IS NULL AND
            s.claude_session_id IS NOT NULL AND (s.ended_at IS NOT NULL OR
            COALESCE(g.started_at, e.deployed_at) < s.started_at) AS lost
        FROM segments g JOIN executions e USING (execution_id) LEFT JOIN claude_sessions s USING (claude_session_id)
        WHERE execution_id = ? ORDER BY ordinal""",
    "allocations": """
        SELECT context_type, context_source, token_count, how, priority, included, reason FROM allocations
        WHERE execution_id = ? ORDER BY allocation_id""",
}


def execution(con: Any, execution_id: str) -> dict[str, Any]:
    """An execution with its usage by model, tools, files, segments, outputs and allocated items; where it deployed agents,
    with what it and they used in all."""
    out = queries.executions(con, execution=execution_id, limit=1)[0]
    for name, sql in _PARTS.items():
        out[name] = _rows(con, sql, execution_id)
    out["outputs"] = outputs.query(con, execution=execution_id, limit=ALL)[::-1]
    children = "SELECT execution_id FROM executions WHERE parent_agent_id = ? ORDER BY deployed_at"
    out["children"] = [row[0] for row in con.execute(children, (out["agent_id"],))]
    if out["children"]:
        out["with_its_agents"] = _rolled_up(con, "execution", execution_id)
    out["unpriced_models"] = sorted({used["model"] for used in out["usage_by_model"] if used["cost_usd"] is None})
    out["cost_tracked"] = tracked(con)
    out["context_usage"] = context_usage(out)
    if out["lost"]:
        heard = (
            "SELECT at, kind, text FROM events WHERE execution_id = ? AND kind NOT IN ('tail', 'met') "
            "ORDER BY at DESC, event_id DESC LIMIT 1"
        )
        out["last_known"] = next(iter(_rows(con, heard, execution_id)), None)
        from orchestrator.services.lost import known_of

        out["known"] = known_of(con, execution_id)
    return out


def _rolled_up(con: Any, kind: str, name: str, home: Optional[str] = None) -> Optional[dict[str, Any]]:
    from orchestrator.services.stats import with_its_agents

    return with_its_agents(con, kind, name, home)


def context(con: Any, execution_id: str) -> dict[str, Any]:
    """What an execution's agent was given to read, item by item, and what was left out."""
    whole = queries.executions(con, execution=execution_id, limit=1)[0]
    names = ("execution_id", "agent_type", "deployed_at", "bundle_id", "context_token_count", "count_how")
    return {**{name: whole[name] for name in names}, "allocations": _rows(con, _PARTS["allocations"], execution_id)}


_TOUCHES = """
SELECT last_at, mode, times, first_at, f.lines_added, f.lines_removed, execution_id, e.agent_type, e.orchestration_id, e.task_id,
    e.attempt, e.origin, e.scope, (SELECT title FROM tasks t WHERE t.orchestration_id = e.orchestration_id AND
    t.task_id = e.task_id) AS title
FROM (SELECT * FROM (SELECT * FROM file_touches WHERE path = ?1 ORDER BY last_at DESC LIMIT ?2)
    UNION ALL SELECT * FROM (SELECT execution_id, path, 'left', 1, created_at, created_at, 0, 0 FROM outputs o WHERE path = ?1 AND
        NOT EXISTS (SELECT 1 FROM file_touches t WHERE t.execution_id = o.execution_id AND t.path = ?1 AND t.mode = 'write')
        ORDER BY created_at DESC LIMIT ?2)) f JOIN executions e USING (execution_id)
ORDER BY last_at DESC LIMIT ?2"""


def touches(con: Any, path: str, limit: int) -> dict[str, Any]:
    """Who read, wrote or left (as an output) a file, named as rows name it, the last touch first, and what for."""
    cursor = con.execute(_TOUCHES, (path, limit))
    names = [column[0] for column in cursor.description]
    return {"path": path, "touches": [dict(zip(names, row, strict=True)) for row in cursor]}


def _rows(con: Any, sql: str, value: str) -> list[dict[str, Any]]:
    cursor = con.execute(sql, (value,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def context_usage(execution: dict[str, Any]) -> Optional[dict[str, Any]]:
    """How much of its model's window an agent's last request filled, and advice; None where no request is known.

    Of a model whose window is not known only the tokens are said: a share of some window would be made up.
    """
    size = execution["context_size"]
    if size is None:
        return None
    from orchestrator.context.margins import known_window

    room = known_window(execution["resolved_model"] or execution["model"] or "")
    full = room is not None and size / room >= WINDOW_USED
    return {
        "tokens": size,
        "how": "context size",
        "window": room,
        "usage_percentage": None if room is None else round(100 * size / room, 1),
        "advice": "retire it: start another agent for what comes next" if full else None,
    }


def task(con: Any, orchestration_id: str, task_id: str) -> dict[str, Any]:
    """A task: what it is, its state, its executions, the latest first, and the outputs of those; where they deployed agents,
    with what they and those used in all."""
    out = next((t for t in queries.tasks(con, orchestration_id) if t["task_id"] == task_id), None)
    if out is None:
        raise OrchestratorError(
            f"{orchestration_id} has no task {task_id!r}: `orchestrator list-tasks` names them."
        )
    spec = con.execute(
        "SELECT spec FROM tasks WHERE orchestration_id = ? AND task_id = ?", (orchestration_id, task_id)
    ).fetchone()[0]
    out["spec"] = queries.document(spec)
    prepared = con.execute(
        "SELECT bundle_id, tokens, how FROM prepared WHERE orchestration_id = ? AND task_id = ?",
        (orchestration_id, task_id),
    ).fetchone()
    out["prepared"] = dict(zip(("bundle_id", "tokens", "how"), prepared, strict=True)) if prepared else None
    out["executions"] = queries.executions(con, orchestration=orchestration_id, task=task_id, limit=ALL)
    out["with_its_agents"] = _rolled_up(con, "task", task_id, orchestration_id)
    out["outputs"] = outputs.query(con, orchestration=orchestration_id, task=task_id, limit=ALL)[::-1]
    return out


def orchestration(con: Any, orchestration_id: str) -> dict[str, Any]:
    """An orchestration with its tasks and its executions, the latest first, and what these used with the agents they deployed."""
    out = queries.sessions(con, orchestration=orchestration_id, limit=1)[0]
    out["orchestration_id"], out["goal"] = out.pop("session_id"), out.pop("scope")
    out["executions"] = queries.executions(con, orchestration=orchestration_id, limit=ALL)
    out["with_its_agents"] = _rolled_up(con, "orchestration", orchestration_id)
    out["tasks"] = queries.tasks(con, orchestration_id)
    return out


def bundle(con: Any, bundle_id: str) -> dict[str, Any]:
    """A bundle's JSON, and the executions it was sent to."""
    body = queries.document(
        con.execute("SELECT body FROM bundles WHERE bundle_id = ?", (bundle_id,)).fetchone()[0]
    )
    body["executions"] = [
        row[0]
        for row in con.execute(
            "SELECT execution_id FROM executions WHERE bundle_id = ? ORDER BY deployed_at DESC LIMIT 100",
            (bundle_id,),
        )
    ]
    return dict(body)


def output(con: Any, number: int) -> dict[str, Any]:
    """An output in the seed's Output Schema."""
    return outputs.query(con, output=number, limit=1)[0]


def briefing(con: Any, execution_id: str) -> str:
    """The text an execution's agent read first, byte for byte."""
    row = con.execute(
        "SELECT briefing_hash FROM executions WHERE execution_id = ?", (execution_id,)
    ).fetchone()
    if row is None or row[0] is None:
        raise OrchestratorError(
            f"No briefing of {execution_id} is kept: it was not deployed through the hooks, or not yet."
        )
    try:
        return str(blobs.get(con, row[0]).decode("utf-8", "replace"))
    except KeyError:
        raise OrchestratorError(f"The briefing of {execution_id} was pruned; what it held is listed in its bundle.") from None


def result(con: Any, execution_id: str) -> str:
    """An execution's final message, or what is known instead of it."""
    message, error, status = con.execute(
        "SELECT final_message, error_message, status FROM executions WHERE execution_id = ?", (execution_id,)
    ).fetchone()
    if message is None and error is None:
        raise OrchestratorError(
            f"{execution_id} has left no result" + (": it has not ended." if status == "deployed" else ".")
        )
    return str(message if message is not None else error)


def report(con: Any, orchestration_id: str) -> str:
    """The last report that was written of an orchestration."""
    row = con.execute(
        "SELECT report_hash FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,)
    ).fetchone()
    if row is None or row[0] is None:
        raise OrchestratorError(
            f"{orchestration_id} has no report yet: `orchestrator report {orchestration_id}` writes it."
        )
    return str(blobs.get(con, row[0]).decode("utf-8", "replace"))


def latest(con: Any, orchestration_id: str, task_id: str) -> str:
    """The execution of a task that counts: one that completed, else its latest attempt."""
    row = con.execute(
        "SELECT execution_id FROM executions WHERE orchestration_id = ? AND task_id = ? ORDER BY status = "
        "'completed' DESC, attempt DESC LIMIT 1",
        (orchestration_id, task_id),
    ).fetchone()
    if row is None:
        raise OrchestratorError(f"{task_id} has not been deployed yet.")
    return str(row[0])
