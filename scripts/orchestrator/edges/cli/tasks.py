"""task: tasks added to an orchestration, listed, shown, skipped, offered again."""

import json
from typing import Any

import click

from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.errors import OrchestratorError


@click.group()
def task() -> None:
    """Adds, lists, shows and skips tasks."""


@task.command("add")
@click.argument("title")
@click.option("--agent", type=WORDS, help="The agent type; a bare role such as scout is ours.")
@click.option("--prompt", help="What to do; the title when left out.")
@click.option("--after", multiple=True, metavar="ID", help="Ids it waits for; by comma or repeated.")
@click.option("--files", multiple=True, metavar="SPEC", help="Files for its bundle; by comma or repeated.")
@click.option("--references", multiple=True, metavar="SPEC", help="Files to know rather than to change.")
@click.option("--writes", multiple=True, metavar="GLOB", help="What it may create or change.")
@click.option("--priority", help="high, normal, low or a number.")
@click.option("--model", type=WORDS, help="The model, where it is not the setting's.")
@click.option("--check", help="The command whose passing shows it is done.")
@click.option("--budget-tokens", type=int, help="The most tokens its briefing may have.")
@click.option("--retries", type=int, help="How often it may be tried again.")
@click.option("--may-spawn", is_flag=True, default=None, help="Its agent may spawn agents.")
@click.option("--orchestration", type=WORDS, metavar="ID", help="Which orchestration; the conversation's own when left out.")
@pass_place
def add(place: Place, title: str, orchestration: str | None, **fields: Any) -> None:
    """Adds a task, also while others run. Opens an orchestration where there is none."""
    from orchestrator.edges.plans import not_prepared, task_add
    from orchestrator.edges.schemas import task_spec
    from orchestrator.services import plans
    from orchestrator.services.masks import masked

    con = place.con  # with it come the project's own patterns of what is masked
    title = masked(title)  # its id and, without a prompt, its prompt are made from it
    if orchestration:
        target: str | None = place.unique("orchestrations", "orchestration_id", orchestration)
    elif place.session:
        target = plans.open_one(con, place.session)
    else:
        target = place.latest_open()
    for name in ("after", "files", "references", "writes"):
        fields[name] = [part for each in fields[name] or () for part in str(each).split(",") if part]
    priority = str(fields["priority"] or "")
    if priority.lstrip("-").isdigit():
        fields["priority"] = int(priority)
    known, settings = place.agent_types(), place.settings()
    made, warnings = task_add(title, project=place.project, known_agents=known, existing=plans.existing_tasks(con, target),
                              context=lambda specs: plans.context_faults(con, place.project, target, specs, settings),
                              **fields)
    try:
        done = plans.accept(con, place.project, title, [task_spec(made, known)], orchestration_id=target,
                            session=place.session, now=place.now(), settings=settings)
    except plans.NotPrepared as refused:
        raise not_prepared([made], refused.faults, "task") from None
    place.project_state(done)
    for warning in warnings:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"ADDED {made.id} to {done}")
    place.what_now(done)


@task.command("list")
@click.option("--orchestration", type=WORDS, metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def list_(place: Place, orchestration: str | None, as_json: bool) -> None:
    """Lists the tasks of an orchestration with their states."""
    from orchestrator.edges.cli.state import task_rows, task_table

    target = place.orchestration(orchestration)
    rows = task_rows(place, target)
    click.echo(json.dumps(rows, indent=2, ensure_ascii=False) if as_json else task_table(rows))


@task.command("show")
@click.argument("task_id", metavar="TASK")
@click.option("--orchestration", type=WORDS, metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def show(ctx: click.Context, task_id: str, orchestration: str | None, as_json: bool) -> None:
    """Shows one task: what it is, its state, its executions."""
    from orchestrator.edges.cli.lists import task_details

    ctx.invoke(task_details, **{p.name: {"task_id": task_id, "orchestration": orchestration, "as_json": as_json}.get(
        p.name or "", p.get_default(ctx)) for p in task_details.params if p.name})


@task.command("skip")
@click.argument("task_id", metavar="TASK")
@click.option("--orchestration", type=WORDS, metavar="ID")
@pass_place
def skip(place: Place, task_id: str, orchestration: str | None) -> None:
    """Goes on without a task: what waits for it no longer does."""
    from orchestrator.recording.graph import Graph
    from orchestrator.services import plans

    target = place.orchestration(orchestration)
    task_id = place.whole(task_id, Graph(place.con, target).states)
    fresh = plans.skip(place.con, target, task_id, place.now())
    place.project_state(target)
    click.echo(f"SKIPPED {task_id}" if fresh else f"{task_id} is skipped already.")
    place.what_now(target)


@task.command("retry")
@click.argument("task_id", metavar="TASK")
@click.option("--orchestration", type=WORDS, metavar="ID")
@pass_place
def retry(place: Place, task_id: str, orchestration: str | None) -> None:
    """Says how to deploy a failed, lost or skipped task again; a finished one is never run again."""
    from orchestrator.recording.graph import Graph
    from orchestrator.services.digest import agent_call

    target = place.orchestration(orchestration)
    con = place.con
    task_id = place.whole(task_id, Graph(con, target).states)
    before = Graph(con, target).states.get(task_id)
    con.execute("UPDATE tasks SET skipped_at = NULL WHERE orchestration_id = ? AND task_id = ?", (target, task_id))
    graph = Graph(con, target)
    state = graph.states.get(task_id)
    if state is None:
        raise OrchestratorError(f"{target} has no task {task_id!r}: `orchestrator task list` names them.")
    if state in ("completed", "in_flight"):
        raise OrchestratorError(f"{task_id} is {state.replace('_', ' ')}: it is not run again.")
    place.project_state(target)
    if state == "waiting":
        click.echo(f"{task_id} waits for other tasks and is offered when they are done.")
    else:
        if before == "ready":
            click.echo(f"{task_id} is ready, there is nothing to retry; this deploys it:")
        click.echo(f"- {agent_call(graph.tasks[task_id])}")
