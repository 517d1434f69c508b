"""Command `history`: executions of this project, whoever deployed them, the latest first."""

from typing import Any, Optional

import click

from orchestrator.edges.cli import filters, tables
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import Column
from orchestrator.errors import OrchestratorError
from orchestrator.services import queries


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


def tokens(row: dict[str, Any]) -> str:
    """A number of tokens; one that is only the last request's is marked."""
    count = row["tokens"]
    return tables.number(count["number"]) + ("*" if count["how"] == "context size" else "")


EXECUTIONS = (
    Column("deployed", lambda r: tables.lately(r["deployed_at"])),
    Column("execution", lambda r: r["execution_id"]),
    Column("agent", lambda r: short(r["agent_type"]), give=True),
    Column("model", model, give=True),
    Column("status", queries.state_of),
    Column("tokens", tokens, right=True),
    Column("took", lambda r: tables.span(r["seconds"]), right=True),
    Column("what for", purpose, give=True),
)


@click.command()
@click.option(
    "--orchestration",
    "--session-id",
    type=WORDS,
    metavar="ID",
    help="Of this orchestration; a prefix will do.",
)
@click.option("--task", type=WORDS, metavar="ID", help="Of this task: T or ORCHESTRATION/T.")
@click.option("--agent-type", type=WORDS, help="Of this agent type; a bare role such as builder is ours.")
@click.option("--model", type=WORDS, help="On models whose name holds this.")
@click.option(
    "--status", type=click.Choice(queries.STATUSES), help="In this state; lost ones can no longer end."
)
@click.option("--origin", type=click.Choice(queries.ORIGINS), help="Deployed in this way.")
@filters.period
@click.option("--text", type=WORDS, help="With this in scope, result or error.")
@click.option(
    "--file", "file", type=WORDS, metavar="PATH", help="That read, wrote or left this file, or one below it."
)
@filters.limit(20)
@filters.form()
@pass_place
def history(
    place: Place,
    orchestration: Optional[str],
    task: Optional[str],
    agent_type: Optional[str],
    model: Optional[str],
    status: Optional[str],
    origin: Optional[str],
    since: Optional[str],
    until: Optional[str],
    text: Optional[str],
    file: Optional[str],
    limit: int,
    form: str,
) -> None:
    """Lists executions, the latest first: who was deployed for what, how it ended, what it took.

    Times are UTC. Tokens are all that the agent used; with a star, only its last request's are known.
    """
    con = place.reading
    place.reconcile()
    target = place.orchestration(orchestration) if orchestration else None
    if task:
        target, task = _task(place, task, target)
    found = queries.executions(
        con,
        orchestration=target,
        task=task,
        agent_type=agent_type,
        model=model,
        status=status,
        origin=origin,
        since=since,
        until=until,
        text=text,
        file=queries.path_in(place.project, file) if file else None,
        limit=limit + 1,
    )
    tables.emit(found[:limit], EXECUTIONS, form, "No execution fits.")
    if len(found) > limit:
        click.echo(f"orchestrator: there are more; --limit {limit * 5} shows more of them.", err=True)


def _task(place: Place, given: str, orchestration: Optional[str]) -> tuple[Optional[str], str]:
    """(orchestration, task) of a task's name; the conversation's own orchestration comes first."""
    from orchestrator.edges.cli.show import current
    from orchestrator.services import details

    kind, name, home = details.find(place.reading, given, orchestration or current(place))
    if kind != "task" or (orchestration and home != orchestration):
        raise OrchestratorError(
            f"There is no task {given[:128]!r} here: `orchestrator list-tasks` names them."
        )
    return home, name
