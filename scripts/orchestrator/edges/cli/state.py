"""next, prime, status, brief: where things stand and what to do now, with the exact calls."""

import contextlib
import json
import os
import time
from typing import Any

import click

from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place

NONE_OPEN = "No orchestration is open. Plan one: spawn orchestrator:planner with the goal, or `orchestrator plan -`."


@click.command("next")
@click.option("--orchestration", type=WORDS, metavar="ID")
@click.option("--driver", type=click.Choice(["workflow", "conversation"]), help="Deploy this way from now on.")
@pass_place
def next(place: Place, orchestration: str | None, driver: str | None) -> None:
    """Prints the exact calls that deploy what is ready."""
    target = place.orchestration(orchestration)
    if driver:
        place.con.execute("UPDATE orchestrations SET driver = ? WHERE orchestration_id = ?", (driver, target))
        click.echo({"workflow": "From now on the Workflow tool does the work.",
                    "conversation": "From now on Agent calls do the work, without a workflow."}[driver])
    place.reconcile()
    if not place.what_now(target):
        from orchestrator.recording.graph import Graph

        if Graph(place.con, target).of("waiting"):
            click.echo("Nothing can be deployed now: what waits, waits for tasks that did not complete; "
                       "`orchestrator task list` shows them.")
        else:
            click.echo("Nothing is left to deploy.")


@click.command()
@pass_place
def prime(place: Place) -> None:
    """Prints the state and what to do now, for a conversation that begins or lost its thread."""
    from orchestrator.recording.graph import Graph
    from orchestrator.services.digest import head
    from orchestrator.services.turn import open_orchestrations

    if not place.off and not os.path.lexists(place.history):  # nothing is made by asking
        if not place.session:
            place.check_recorded()
        place.check_trust()
        click.echo(NONE_OPEN)
        return
    con = place.con
    place.reconcile()
    row = con.execute("SELECT orchestration_id FROM claude_sessions WHERE claude_session_id = ?",
                      (place.session,)).fetchone()
    if row and row[0]:
        click.echo(head(con, row[0], Graph(con, row[0])))
        place.what_now(row[0])
        return
    found = open_orchestrations(con, place.session) if place.session else []
    open_one = None if place.session else place.latest_open()
    if open_one:
        click.echo(f"Open: {head(con, open_one, Graph(con, open_one))}")
        click.echo("Go on with it: `/orchestrate resume` in Claude Code.")
    elif found:
        click.echo(f"Open, and no conversation drives it: {head(con, found[0], Graph(con, found[0]))}")
        click.echo("Go on with it: `orchestrator resume`.")
    else:
        click.echo(NONE_OPEN)


def task_rows(place: Place, target: str) -> list[dict[str, Any]]:
    """The tasks of an orchestration with state, agent, attempts, execution, seconds (so far, of one at work) and the reason of a
    failure."""
    from orchestrator.services.queries import tasks

    con, rows = place.reading, []
    for task in tasks(con, target):
        seconds, refused = con.execute(
            "SELECT (julianday('now') - julianday(COALESCE(started_at, deployed_at))) * 86400, refused_names FROM executions "
            "WHERE execution_id = ?", (task["execution_id"],)).fetchone() or (None, None)
        rows.append({
            "id": task["task_id"], "state": task["state"], "title": task["title"], "agent": task["agent_type"],
            "after": task["after"], "attempts": task["attempts"], "execution": task["execution_id"],
            "deployed_at": task["deployed_at"], "completed_at": task["completed_at"],
            "seconds": round(max(0.0, seconds or 0.0), 1) if task["state"] == "in_flight" else task["seconds"],
            "end_reason": task["end_reason"], "refused": refused,
        })  # fmt: skip
    return rows


def task_table(rows: list[dict[str, Any]]) -> str:
    """The tasks as a table for a terminal."""
    from orchestrator.edges.cli.tables import coloured, span, table

    cells = [[r["id"], r["state"] + (f" ({r['end_reason']})" if r["state"] == "failed" else ""),
              r["agent"].replace("orchestrator:", ""), ",".join(r["after"]) or "-", span(r["seconds"]) or "-", r["title"]]
             for r in rows]  # fmt: skip
    return coloured(table(["task", "state", "agent", "after", "took", "title"], cells))


@click.command()
@click.argument("orchestration", required=False, type=WORDS)
@click.option("--json", "as_json", is_flag=True, help="As JSON, the same as status.json.")
@click.option("--watch", is_flag=True, help="Prints again on each change, until all tasks have ended.")
@click.option("--every", type=float, help="Seconds between looks (MONITOR_INTERVAL_SECONDS).")
@pass_place
def status(place: Place, orchestration: str | None, as_json: bool, watch: bool, every: float | None) -> None:
    """Says where an orchestration stands."""
    target = place.orchestration(orchestration)
    place.reconcile()
    seen = None
    while True:
        text = _status_json(place, target) if as_json else _status_text(place, target)
        if text != seen:
            click.echo(text)
            seen = text
        if not watch or place.ended(target):
            return
        time.sleep(every or place.interval())
        place.reconcile()


def _status_text(place: Place, target: str) -> str:
    from orchestrator.recording.graph import Graph
    from orchestrator.services.digest import head
    from orchestrator.services.queries import others_at_work

    con = place.reading
    lines = [head(con, target, Graph(con, target))]
    rows = task_rows(place, target)
    if rows:
        lines.append(task_table(rows))
    others = others_at_work(con)
    if others:
        agents = "agent" if others == 1 else "agents"
        lines.append(f"{others} other {agents} at work: `orchestrator list-agents`.")
    return "\n".join(lines)


def _status_json(place: Place, target: str) -> str:
    place.project_state(target)
    workspace = place.elsewhere or place.workspace
    with contextlib.ExitStack() as stack:
        if not os.path.isdir(workspace):  # a history that lies elsewhere: nothing is made here by asking
            import tempfile

            from orchestrator.recording.projections import project

            workspace = stack.enter_context(tempfile.TemporaryDirectory())
            project(place.reading, workspace, target, place.now(), results=False)
        with open(os.path.join(workspace, "status.json"), encoding="utf-8") as f:
            return json.dumps(json.load(f), indent=2, ensure_ascii=False)


@click.command()
@click.argument("task_id", metavar="TASK")
@click.option("--part", type=click.IntRange(1), help="A part of a long one, for an agent that may not read the file.")
@click.option("--execution-id", help="The execution it is for; the hook on this command fills it in.")
@pass_place
def brief(place: Place, task_id: str, part: int | None, execution_id: str | None) -> None:
    """Prints a task's briefing: an agent's first act in a workflow. A long one is named as a file to read whole."""
    from orchestrator.edges.brief import text_of

    con = place.reading
    if not place.elsewhere:
        place.make()
    click.echo(text_of(con, place.elsewhere or place.workspace, task_id, execution_id, place.session, part), nl=False)
