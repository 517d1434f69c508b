"""Cache statistics: what siblings' first requests read from the prompt cache, by their transcripts."""

from dataclasses import dataclass, field
from typing import Any, Iterable, Optional

from orchestrator.services.first_request import of_execution


@dataclass
class Group:
    """Executions whose briefings begin with the same bytes, in the order they were deployed."""

    orchestration_id: str
    agent_type: str
    model: str
    shared_tokens: int  # of the common beginning, by our count
    executions: list[dict[str, Any]] = field(default_factory=list)
    unread: int = 0  # executions whose transcript is not there, or has no answer

    @property
    def read_again(self) -> int:
        """Cache reads of all but the first to be deployed."""
        return sum(e["read"] for e in self.executions[1:])

    @property
    def written(self) -> int:
        """Cache writes of all but the first."""
        return sum(e["written"] for e in self.executions[1:])

    @property
    def served(self) -> Optional[float]:
        """The part of the later siblings' input that the cache served; None with no later sibling."""
        total = sum(e["read"] + e["written"] + e["fresh"] for e in self.executions[1:])
        return self.read_again / total if total else None


_EXECUTIONS = """
SELECT p.shared_hash, e.orchestration_id, e.agent_type, COALESCE(e.resolved_model, e.model, ''),
    e.execution_id, e.task_id, e.deployed_at, e.transcript_path, e.runtime = 'workflow',
    (SELECT sum(json_extract(i.value, '$.token_count')) FROM bundles b, json_each(b.body, '$.context_items') i
        WHERE b.bundle_id = p.bundle_id AND json_extract(i.value, '$.type') = 'shared_context')
FROM prepared p CROSS JOIN executions e ON e.orchestration_id = p.orchestration_id AND e.task_id = p.task_id
WHERE p.shared_hash IS NOT NULL AND p.orchestration_id {}
ORDER BY e.deployed_at, e.execution_id
"""  # CROSS JOIN: in this order, as most executions had no briefing that siblings share


def groups(con: Any, orchestration_id: Optional[str] = None) -> list[Group]:
    """Every sibling group with at least one deployment, of one orchestration or of all."""
    found: dict[tuple[str, ...], Group] = {}
    for shared, home, kind, model, execution, task, deployed, path, workflow, tokens in con.execute(
        _EXECUTIONS.format("= ?1" if orchestration_id else "IS NOT ?1"), (orchestration_id,)
    ).fetchall():
        group = found.setdefault((shared, home, kind, model), Group(home, kind, model, tokens or 0))
        request = of_execution(con, execution, path, bool(workflow))
        if request is None:
            group.unread += 1
            continue
        group.executions.append(
            {"execution_id": execution, "task_id": task, "deployed_at": deployed, "fresh": request.fresh,
             "written": request.written, "read": request.read}
        )  # fmt: skip
    return list(found.values())


def as_json(found: Iterable[Group]) -> list[dict[str, Any]]:
    """The groups as plain values."""
    return [
        {"orchestration_id": g.orchestration_id, "agent_type": g.agent_type, "model": g.model or None,
         "shared_tokens": g.shared_tokens, "executions": g.executions, "without_transcript": g.unread,
         "read": g.read_again, "written": g.written, "served": g.served}
        for g in found
    ]  # fmt: skip


def lines(found: Iterable[Group]) -> list[str]:
    """The groups for a person: a line each, and one for each of its first requests."""
    out = []
    for group in found:
        served = (
            f"{100 * group.served:.0f} % of the later ones' input"
            if group.served is not None
            else "no later one"
        )
        out.append(
            f"{group.agent_type} {group.model or 'model not said'} in {group.orchestration_id}: "
            f"{group.shared_tokens:,} shared tokens; read from the cache: {served} "
            f"({group.read_again:,} read, {group.written:,} written)"
        )
        for e in group.executions:
            out.append(
                f"  {e['task_id']}: {e['read']:,} read, {e['written']:,} written, {e['fresh']:,} fresh"
            )
        if group.unread:
            out.append(f"  {group.unread} without a transcript, or an answer in it")
    return out or ["No sibling group has been deployed yet."]
