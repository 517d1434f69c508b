"""Command `report`: the synthesis of an orchestration, kept in the history and a file; closes what ended."""

import os
from typing import Any, Optional

import click

from orchestrator.edges.cli import tables
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.errors import OrchestratorError

LONG = 12_000  # characters: more is not put into a conversation, its beginning and its path are


@click.command()
@click.argument("orchestration", required=False, type=WORDS)
@click.option("--output", type=click.Path(dir_okay=False), help="Where to write it, instead of printing it.")
@click.option(
    "--format", "form", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True
)
@click.option(
    "--template", metavar="NAME", help="A template's path or bare name, instead of the plugin's own."
)
@pass_place
def report(
    place: Place, orchestration: Optional[str], output: Optional[str], form: str, template: Optional[str]
) -> None:
    """Writes the synthesis of an orchestration, and closes it when all its tasks have ended.

    It is kept in the history and as .orchestrator/report-ORCHESTRATION.md. Without a name it is that of the
    conversation's own orchestration, else of the latest open one, else of the latest.
    """
    place.check_recorded()
    con = place.con
    place.reconcile()
    target = place.orchestration(orchestration)
    body, left = write(place, target, output, form, template, close=True)
    if con.execute("SELECT 1 FROM tasks WHERE orchestration_id = ?", (target,)).fetchone():
        place.project_state(target)
    if not left or body["status"] in ("completed", "failed"):
        click.echo(f"orchestrator: {target} is closed ({body['status']}).", err=True)
    elif body["tasks"]:
        more = f" and {len(left) - 12} more" if len(left) > 12 else ""
        click.echo(f"orchestrator: {target} stays open: {', '.join(left[:12])}{more}.", err=True)
    else:
        click.echo(
            f"orchestrator: {target} has no tasks and stays open; `orchestrator tracker complete-session "
            f"--session-id {target}` closes it.",
            err=True,
        )


def write(
    place: Place, target: str, output: Optional[str], form: str, template: Optional[str], close: bool
) -> tuple[dict[str, Any], list[str]]:
    """Makes, keeps and prints the report of an orchestration; returns its document and what is still open."""
    from orchestrator.services import report as service
    from orchestrator.store import workspace

    text = template_text(place, template)
    body, made, left = service.written(place.con, target, text, functions(), place.now(), close)
    kept = os.path.join(place.workspace, f"report-{target.replace(os.sep, '_')}.md")
    try:
        workspace.write(kept, made)
    except OSError as problem:
        raise OrchestratorError(f"{kept} cannot be written: {problem.strerror}.") from None
    deliver(
        made if form == "markdown" else tables.dumps(body) + "\n", output, kept if place.session else None
    )
    click.echo(f"orchestrator: the report is {kept}", err=True)
    return body, left


def template_text(place: Place, name: Optional[str]) -> str:
    """The text of a template: a path, or a bare name from the workspace's templates or the plugin's own."""
    from orchestrator.context import render
    from orchestrator.services.report import TEMPLATE
    from orchestrator.store import workspace

    trusted = workspace.trusted(place.workspace, place.data)
    return render.find(
        name or TEMPLATE, [os.path.join(place.workspace, "templates")] if name and trusted else []
    )


def functions() -> dict[str, Any]:
    """What a report template may call."""
    names = (tables.code, tables.number, tables.span, tables.when, tables.visible)
    return {"line": _line, **{each.__name__: each for each in names}}


def _line(text: Any, room: Optional[int] = None) -> str:
    return tables.in_markdown(text if room is None else tables.cut(tables.one_line(text), room))


def deliver(text: str, output: Optional[str], kept: Optional[str] = None) -> None:
    """Writes a text to the file asked for, else prints it; a long one only begins in a conversation."""
    from orchestrator.store import workspace

    if output:
        try:
            workspace.write(output, text)
        except OSError as problem:
            raise OrchestratorError(f"{output} cannot be written: {problem.strerror}.") from None
        click.echo(f"orchestrator: written to {output}", err=True)
        return
    if kept and len(text) > LONG:
        text = (
            text[: text.rfind("\n", 0, LONG) + 1]
            + f"\n… {len(text) - LONG:,} characters more; the whole report: {kept}\n"
        )
    tables.exact(text)
