"""Commands `list-agents`, `list-tasks`, `task-details`, `agent-details`: the fleet under seed 003's names."""

from typing import Any, Optional

import click

from orchestrator.edges.cli import filters, tables
from orchestrator.edges.cli.executions import EXECUTIONS, AgentType, model, purpose, tokens
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import Column
from orchestrator.errors import OrchestratorError
from orchestrator.services import queries

AGENTS = (
    Column("agent id", lambda r: r["agent_id"] or r["execution_id"]),
    AgentType("agent", lambda r: r["agent_type"], give=True),
    Column("model", model, give=True),
    Column("status", queries.state_of),
    Column("since", lambda r: tables.lately(r["again_since"] or r["started_at"] or r["deployed_at"])),
    Column("tokens", tokens, right=True),
    Column("what for", purpose, give=True),
)
TASKS = (
    Column("task", lambda r: r["task_id"]),
    Column("state", lambda r: r["state"]),
    AgentType("agent", lambda r: r["agent_type"], give=True),
    Column("after", lambda r: ",".join(r["after"]), give=True),
    Column("attempts", lambda r: r["attempts"] or "", right=True),
    Column("took", lambda r: tables.span(r["seconds"]), right=True),
    Column("ended", lambda r: r["end_reason"]),
    Column("title", lambda r: r["title"], give=True),
)


@click.command("list-agents")
@click.option("--all", "everyone", is_flag=True, help="Also those that have ended or are lost.")
@click.option("--orchestration", type=WORDS, metavar="ID", help="Of this orchestration; a prefix will do.")
@click.option("--agent-type", type=WORDS, help="Of this agent type; a bare role such as builder is ours.")
@click.option("--status", type=click.Choice(queries.STATUSES), help="In this state.")
@filters.limit(50)
@filters.form()
@pass_place
def list_agents(
    place: Place,
    everyone: bool,
    orchestration: Optional[str],
    agent_type: Optional[str],
    status: Optional[str],
    limit: int,
    form: str,
) -> None:
    """Lists the agents at work, planned or not; with --all every one there was."""
    con = place.reading
    place.reconcile()
    found = queries.executions(
        con,
        orchestration=place.orchestration(orchestration) if orchestration else None,
        agent_type=agent_type,
        status=status or (None if everyone else "deployed"),
        limit=limit + 1,
    )
    if status or ((orchestration or agent_type) and everyone):
        nothing = "No agent fits."
    elif orchestration or agent_type:
        nothing = "No agent at work fits; --all looks at those that have ended too."
    else:
        nothing = "No agent was deployed." if everyone else "No agent is at work."
    if form == "json":
        found = [{**each, "metrics": queries.metrics(each)} for each in found]
    tables.emit(found, EXECUTIONS if everyone else AGENTS, form, nothing, limit)


@click.command("list-tasks")
@click.option(
    "--orchestration",
    type=WORDS,
    metavar="ID",
    help="Of this orchestration; the conversation's own when left out.",
)
@click.option("--all", "everyone", is_flag=True, help="Of all orchestrations, the latest first.")
@click.option(
    "--status",
    "--state",
    "state",
    type=click.Choice(["waiting", "ready", "in_flight", "completed", "failed", "skipped", "lost"]),
    help="In this state.",
)
@filters.limit(200)
@filters.form()
@pass_place
def list_tasks(
    place: Place, orchestration: Optional[str], everyone: bool, state: Optional[str], limit: int, form: str
) -> None:
    """Lists tasks with their states, agents and attempts."""
    con = place.reading
    place.reconcile()
    found = (
        queries.tasks_of_all(con, state, limit + 1)
        if everyone
        else queries.tasks(con, place.orchestration(orchestration), state)
    )
    columns = (Column("orchestration", lambda r: r["orchestration_id"]), *TASKS) if everyone else TASKS
    tables.emit(found, columns, form, "No task fits.", limit)


@click.command("task-details")
@click.argument("task_id", metavar="TASK", type=WORDS)
@click.option(
    "--orchestration",
    type=WORDS,
    metavar="ID",
    help="Of this orchestration; the conversation's own when left out.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def task_details(place: Place, task_id: str, orchestration: Optional[str], as_json: bool) -> None:
    """Shows a task: what it is, its state, its executions, what they left."""
    from orchestrator.edges.cli import describe
    from orchestrator.services import details

    con = place.reading
    place.reconcile()
    target = place.orchestration(orchestration) if orchestration else place.current()
    kind, name, home = place.find(task_id, target)
    if kind != "task" or (orchestration and home != target):
        raise OrchestratorError(
            f"{target or 'The history'} has no task {task_id[:128]!r}: `orchestrator list-tasks` names them."
        )
    describe.say(details.task(con, str(home), name), describe.task, as_json)


@click.command("agent-details")
@click.argument("agent_id", metavar="AGENT", type=WORDS)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def agent_details(place: Place, agent_id: str, as_json: bool) -> None:
    """Shows an agent: by its id, its execution's or its task's; what it used, did and left."""
    from orchestrator.edges.cli import describe
    from orchestrator.services import details

    con = place.reading
    place.reconcile()
    kind, name, home = place.find(agent_id, place.current())
    if kind == "task":
        name = details.latest(con, str(home), name)
    elif kind != "execution":
        raise OrchestratorError(f"{name} is no agent: `orchestrator list-agents --all` lists them.")
    body: dict[str, Any] = details.execution(con, name)
    describe.say(body, describe.execution, as_json)
