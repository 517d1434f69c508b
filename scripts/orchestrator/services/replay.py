"""Replay: the identical briefing of an execution again, as a new task, and the results side by side."""

import json
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from orchestrator.errors import OrchestratorError
from orchestrator.services import plans
from orchestrator.store.open import writing


@dataclass(frozen=True)
class Replay:
    """The task that a replay became, in its orchestration."""

    orchestration_id: str
    task_id: str
    agent_type: str
    model: Optional[str]


def replay(
    con: Any,
    project: str,
    execution_id: str,
    *,
    model: Optional[str] = None,
    session: Optional[str] = None,
    now: str,
    settings: Optional[Mapping[str, Any]] = None,
) -> Replay:
    """Plans the execution's briefing, byte for byte, as a task of the session's open orchestration or a new
    one.
    """
    row = con.execute(
        "SELECT e.agent_type, e.briefing_hash, e.bundle_id, COALESCE(e.model, e.resolved_model), e.scope,"
        " e.context_token_count, e.count_how, b.size FROM executions e"
        " LEFT JOIN blobs b ON b.hash = e.briefing_hash WHERE e.execution_id = ?",
        (execution_id,),
    ).fetchone()
    if row is None:
        raise OrchestratorError(f"There is no execution {execution_id}: `orchestrator history` lists them.")
    agent_type, briefing, bundle_id, asked, scope, tokens, how, size = row
    if briefing is None or size is None:
        raise OrchestratorError(f"The briefing of {execution_id} was not kept, so it cannot be replayed.")
    target = plans.open_one(con, session) if session else None
    spec = {
        "id": _free_id(con, target, execution_id),
        "title": f"Replay of {execution_id}" + (f": {scope}" if scope else ""),
        "agent": agent_type,
        "prompt": f"Replay of {execution_id}.",
        "after": [],
        "model": model or asked,
        "replay_of": execution_id,
    }
    home = plans.accept(
        con, project, f"Replay of {execution_id}", [spec], orchestration_id=target, session=session, now=now,
        settings=settings,
    )  # fmt: skip
    parts = json.dumps([{"kind": "text", "slot": "task", "hash": briefing}])
    with writing(con):
        con.execute(
            "UPDATE prepared SET bundle_id = ?, parts = ?, shared_hash = NULL, tokens = ?, how = ?"
            " WHERE orchestration_id = ? AND task_id = ?",
            (bundle_id, parts, tokens or 0, how or "given", home, spec["id"]),
        )
    return Replay(home, str(spec["id"]), agent_type, model or asked)


def _free_id(con: Any, orchestration_id: Optional[str], execution_id: str) -> str:
    """replay-<the execution's tail>, numbered when that is taken."""
    tail = "".join(c if c.isascii() and c.isalnum() else "-" for c in execution_id.lower())[-40:].strip("-")
    taken = {
        r[0] for r in con.execute("SELECT task_id FROM tasks WHERE orchestration_id = ?", (orchestration_id,))
    }
    name, number = f"replay-{tail}", 2
    while name in taken:
        name, number = f"replay-{tail}.{number}", number + 1
    return name


_RUNS = """
SELECT e.execution_id, COALESCE(e.resolved_model, e.model), e.status, e.end_reason,
    (julianday(e.completed_at) - julianday(e.deployed_at)) * 86400, e.final_message,
    (SELECT sum(u.input_tokens + u.cache_write_5m_tokens + u.cache_write_1h_tokens + u.cache_read_tokens)
        FROM usage u WHERE u.owner = e.execution_id AND u.kind = 'execution'),
    (SELECT sum(u.output_tokens) FROM usage u WHERE u.owner = e.execution_id AND u.kind = 'execution'),
    (SELECT sum(u.cost_usd) FROM usage u WHERE u.owner = e.execution_id AND u.kind = 'execution'),
    (SELECT count(*) > count(u.cost_usd) FROM usage u WHERE u.owner = e.execution_id AND u.kind = 'execution'),
    e.briefing_hash
FROM executions e LEFT JOIN tasks t USING (orchestration_id, task_id)
WHERE e.execution_id = ?1 OR json_extract(t.spec, '$.replay_of') = ?1
ORDER BY e.execution_id != ?1, e.deployed_at
"""
FIELDS = (
    "execution_id model status end_reason seconds result input_tokens output_tokens cost_usd unpriced briefing_hash"
).split()


def runs(con: Any, execution_id: str) -> list[dict[str, Any]]:
    """The execution and its replays, the original first, each with what it cost and said."""
    found = [dict(zip(FIELDS, row, strict=True)) for row in con.execute(_RUNS, (execution_id,)).fetchall()]
    return [{**run, "unpriced": bool(run["unpriced"])} for run in found]


def side_by_side(found: list[dict[str, Any]], width: int = 100) -> list[str]:
    """The runs in columns: facts first, then the results, wrapped."""
    import textwrap

    room = max(20, (width - 3 * (len(found) - 1)) // max(1, len(found)))
    columns = []
    for run in found:
        seconds = f"{run['seconds']:.0f} s" if run["seconds"] is not None else "no end yet"
        tokens = f"{run['input_tokens'] or 0:,} in, {run['output_tokens'] or 0:,} out"
        cost = f"${run['cost_usd']:.4f}{'+' if run['unpriced'] else ''}" if run["cost_usd"] is not None else "cost not known"
        facts = [
            run["execution_id"],
            run["model"] or "model not said",
            run["status"],
            seconds,
            tokens,
            cost,
            "",
        ]
        for line in (run["result"] or "no result").splitlines():
            facts += textwrap.wrap("".join(c if c.isprintable() else " " for c in line), room) or [""]
        columns.append([fact[:room] for fact in facts])
    rows = max((len(column) for column in columns), default=0)
    return [
        " | ".join((column[n] if n < len(column) else "").ljust(room) for column in columns).rstrip()
        for n in range(rows)
    ]
