"""Executions as a list: its columns, and what `history` prints of them."""

from __future__ import annotations

from orchestrator.edges.cli import tables
from orchestrator.edges.cli.tables import Column
from orchestrator.errors import OrchestratorError
from orchestrator.services import queries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Sequence

    from orchestrator.edges.cli.place import Place


def purpose(row: dict[str, Any]) -> str:
    """What an execution was for: its task and attempt, or where it came from, and its scope."""
    task = row["task_id"] and row["task_id"] + (f" #{row['attempt']}" if row["attempt"] > 1 else "")
    return f"{task or row['origin']}: {row['scope'] or ''}".rstrip(": ")


def model(row: dict[str, Any]) -> str:
    """The model that was used, or else asked for, by its short name."""
    return (row["resolved_model"] or row["model"] or "").replace("claude-", "", 1)


def short(agent_type: Optional[str]) -> str:
    """An agent type without our own prefix."""
    return (agent_type or "").replace("orchestrator:", "", 1)


class AgentType(Column):
    """The column of agent types, whose cell is the whole name; without our own prefix where that cannot be confused."""

    def cells(self, records: Sequence[dict[str, Any]]) -> list[Any]:
        """Their names; ours stay whole where another has the same name without the prefix."""
        types = super().cells(records)
        bare = {name for name in types if name == short(name)}
        return [name if short(name) in bare else short(name) for name in types]


def tokens(row: dict[str, Any]) -> str:
    """A number of tokens; one that is only the last request's is marked."""
    count = row["tokens"]
    return tables.number(count["number"]) + ("*" if count["how"] == "context size" else "")


EXECUTIONS = (
    Column("deployed", lambda r: tables.lately(r["deployed_at"])),
    Column("execution", lambda r: r["execution_id"]),
    AgentType("agent", lambda r: r["agent_type"], give=True),
    Column("model", model, give=True),
    Column("status", queries.state_of),
    Column("tokens", tokens, right=True),
    Column("took", lambda r: tables.span(r["seconds"]), right=True),
    Column("what for", purpose, give=True),
)


def history(place: Place, orchestration: Optional[str], form: str, limit: int, **filters: Any) -> None:
    """Prints the executions that fit, the latest first."""
    place.check_recorded()
    place.reconcile()
    found = fitting(place, orchestration, limit=limit + 1, **filters)
    tables.emit(found, EXECUTIONS, form, "No execution fits.", limit)


def fitting(
    place: Place, orchestration: Optional[str], *, task: Optional[str], file: Optional[str], **filters: Any
) -> list[dict[str, Any]]:
    """The executions that fit the options of asked.py, given as these are called there."""
    con = place.reading
    target = place.orchestration(orchestration) if orchestration else None
    if task:
        target, task = _task(place, task, target)
    return queries.executions(
        con,
        orchestration=target,
        task=task,
        file=queries.path_in(con, place.project, file) if file else None,
        progress=place.progress("indexing texts") if filters.get("text") else None,
        **filters,
    )


def _task(place: Place, given: str, orchestration: Optional[str]) -> tuple[Optional[str], str]:
    """(orchestration, task) of a task's name; the conversation's own orchestration comes first."""
    kind, name, home = place.find(given, orchestration or place.current())
    if kind != "task" or (orchestration and home != orchestration):
        raise OrchestratorError(f"There is no task {given[:128]!r} here: `orchestrator list-tasks` names them.")
    return home, name
