"""Outputs: what executions left, kept by command and asked for in the seed's Output Schema."""

from __future__ import annotations

from typing import Any, Optional, Sequence

from orchestrator.errors import OrchestratorError
from orchestrator.model import verdict as judge
from orchestrator.recording import outputs, record
from orchestrator.services import queries
from orchestrator.services.conditions import TYPE_CHECKING, Where
from orchestrator.services.finding import newest
from orchestrator.store.open import writing

if TYPE_CHECKING:
    from orchestrator.services.conditions import Progress

TYPES = ("deliverable", "validation_result", "insight", "error")

_EARLIER = """
SELECT count(DISTINCT e.execution_id) FROM outputs o JOIN executions e USING (execution_id) JOIN executions me
ON me.execution_id = ? AND me.orchestration_id = e.orchestration_id AND me.task_id IS e.task_id
WHERE o.path = ? AND (e.attempt < me.attempt OR e.task_id IS NULL AND e.deployed_at < me.deployed_at)"""
_BESIDE = """
SELECT path FROM outputs WHERE execution_id = ? AND path IS NOT NULL AND output_id != ? ORDER BY output_id"""
_ROW = """
SELECT o.output_id, o.execution_id, o.output_type, o.content, o.created_at, o.metadata, o.path,
    o.content_hash, o.version, e.agent_type, COALESCE(e.resolved_model, e.model), e.orchestration_id,
    e.task_id
FROM outputs o LEFT JOIN executions e USING (execution_id) WHERE o.output_id = ?"""


def collect(
    con: Any,
    project: str,
    execution: str,
    now: str,
    *,
    deliverables: Sequence[str] = (),
    verdicts: Sequence[str] = (),
    insights: Sequence[str] = (),
    errors: Sequence[str] = (),
) -> int:
    """Keeps outputs of an execution; returns how many were new. Raises one error that lists every fault."""
    wrong = faults(project, deliverables, verdicts)
    if wrong:
        raise OrchestratorError(" ".join(wrong))
    with writing(con):
        if con.execute("SELECT 1 FROM executions WHERE execution_id = ?", (execution,)).fetchone() is None:
            raise OrchestratorError(
                f"There is no execution {execution}: record its deployment first, with "
                "`orchestrator tracker init-deployment`."
            )
        return sum(
            [
                keep(con, project, execution, kind, text, now)
                for kind, texts in (
                    ("deliverable", deliverables),
                    ("validation_result", verdicts),
                    ("insight", insights),
                    ("error", errors),
                )
                for text in texts
            ]
        )


def faults(project: str, deliverables: Sequence[str], verdicts: Sequence[str] = ()) -> list[str]:
    """A sentence for each deliverable outside the project and each verdict that is none."""
    out = [
        f"{path[:200]} is not a file of the project {project}."
        for path in deliverables
        if "\0" in path or outputs.inside(project, path)[0] is None
    ]
    return out + [
        f"{each[:80]!r} is no verdict: write check:verdict, as in tests:pass."
        for each in verdicts
        if not all(part.strip() for part in each.partition(":"))
    ]


def keep(con: Any, project: str, execution: str, kind: str, text: str, now: str) -> int:
    """Keeps one output in the caller's transaction, as hooks keep what agents name; returns 1 if it is new.

    Its version counts the executions before it that left the same path, or a result of the same check, for the same task;
    of a path, where there is no task, in the same orchestration.
    """
    path = digest = passed = None
    content, version = record.clean(text), 1
    if kind == "deliverable":
        path, digest = outputs.inside(project, text)
        path = record.clean(path)
        version = 1 + con.execute(_EARLIER, (execution, path)).fetchone()[0]
        content = con.execute("SELECT json_object('file_path', ?)", (path,)).fetchone()[0]
    elif kind == "validation_result":
        name, verdict = judge.halves(content)
        passed = judge.passed(verdict)
        content = con.execute("SELECT json_object(?, ?)", (name, verdict)).fetchone()[0]
    new: int = con.execute(
        "INSERT OR IGNORE INTO outputs (execution_id, output_type, content, created_at, path, "
        "content_hash, version, passed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (execution, kind, content, now, path, digest, version, passed),
    ).rowcount
    if new:
        outputs.number(con, execution, kind, content, path)
    return new


def query(
    con: Any,
    *,
    output: Optional[int] = None,
    execution: Optional[str] = None,
    orchestration: Optional[str] = None,
    task: Optional[str] = None,
    agent_type: Optional[str] = None,
    output_type: Optional[str] = None,
    since: Optional[str] = None,
    until: Optional[str] = None,
    text: Optional[str] = None,
    limit: int = 20,
    progress: Progress = None,
) -> list[dict[str, Any]]:
    """Outputs in the seed's Output Schema, the latest first; what it nests is read from other rows."""
    where = Where(con, "outputs", progress)
    where.add("o.output_id = ?", output)
    where.add_one_of("execution_id", [execution])
    where.add_one_of("orchestration_id", [orchestration])
    where.add_task(task)
    where.add_agent_type(agent_type)
    where.add_period(since, until)
    where.add_type(output_type, TYPES)
    where.add_text(text)
    return [_output(con, *con.execute(_ROW, (number,)).fetchone()) for number in newest(where, limit)]


def _output(
    con: Any,
    number: int,
    execution: str,
    kind: str,
    content: str,
    at: str,
    metadata: Any,
    path: Any,
    digest: Any,
    version: int,
    agent_type: Any,
    model: Any,
    orchestration: Any,
    task: Any,
) -> dict[str, Any]:
    body = queries.document(content) if kind in ("deliverable", "validation_result") else content
    if kind == "deliverable":
        body = body if isinstance(body, dict) else {"file_path": content}
        lines = con.execute(
            "SELECT lines_added, lines_removed FROM file_touches WHERE execution_id = ? AND path = ? AND "
            "mode = 'write'",
            (execution, path),
        ).fetchone()
        if lines:  # a replaced line was added and removed
            body.update(lines_added=lines[0], lines_modified=min(lines), lines_removed=lines[1])
        verdicts = validation(con, execution)
        if verdicts:
            body["validation"] = verdicts
    more = queries.document(metadata)
    return {
        "output_id": number,
        "execution_id": execution,
        "output_type": kind,
        "content": body,
        "created_at": at,
        "metadata": {
            **(more if isinstance(more, dict) else {}),
            "agent_type": agent_type,
            "model": model,
            "related_files": [row[0] for row in con.execute(_BESIDE, (execution, number))],
        },
        "session_id": orchestration,
        "task_id": task,
        "version": version,
        "content_hash": digest,
    }


def validation(con: Any, execution: str) -> dict[str, Any]:
    """What an execution's validation results say, {check: verdict}; numbers as numbers."""
    found: dict[str, Any] = {}
    for (content,) in con.execute(
        "SELECT content FROM outputs WHERE execution_id = ? AND output_type = "
        "'validation_result' ORDER BY output_id",
        (execution,),
    ).fetchall():
        body = queries.document(content)
        for name, verdict in body.items() if isinstance(body, dict) else [(str(content), "named")]:
            text = str(verdict)
            found[name] = int(text) if text.isdigit() and len(text) < 16 else verdict
    return found
