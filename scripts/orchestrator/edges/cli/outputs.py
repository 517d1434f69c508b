"""Commands `outputs …`: what executions left, collected, asked for, put together (output_collector.py)."""

from typing import Any, Optional

import click

from orchestrator.edges.cli import filters, tables
from orchestrator.edges.cli.executions import AgentType
from orchestrator.edges.cli.filters import MAYBE_EMPTY, WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import Column
from orchestrator.services import outputs as left


def _said(row: dict[str, Any]) -> str:
    """An output on one line: its path and verdicts, or its words."""
    body = row["content"]
    if not isinstance(body, dict):
        return str(body)
    verdicts = body.get("validation", {}) if row["output_type"] == "deliverable" else body
    told = ", ".join([f"{check}: {verdict}" for check, verdict in verdicts.items()])
    if row["output_type"] != "deliverable":
        return told
    return (
        str(body.get("file_path", ""))
        + (f" (version {row['version']})" if row["version"] > 1 else "")
        + (f" [{told}]" if told else "")
    )


OUTPUTS = (
    Column("created", lambda r: tables.lately(r["created_at"])),
    Column("output", lambda r: f"#{r['output_id']}", right=True),
    Column("execution", lambda r: r["execution_id"]),
    AgentType("agent", lambda r: r["metadata"]["agent_type"], give=True),
    Column("type", lambda r: r["output_type"]),
    Column("content", _said, give=True),
)


@click.group()
def outputs() -> None:
    """Collects what executions left, lists it, puts it together."""


@outputs.command()
@click.option("--execution-id", type=WORDS, required=True, help="The execution that left it.")
@click.option("--deliverables", type=MAYBE_EMPTY, multiple=True, metavar="PATH,…", help="Files it left.")
@click.option(
    "--validation-results",
    type=MAYBE_EMPTY,
    multiple=True,
    metavar="CHECK:VERDICT,…",
    help="What checks said, as in format:pass,tests:pass,coverage:85.",
)
@click.option(
    "--insights", type=MAYBE_EMPTY, multiple=True, metavar="TEXT", help="What later work can use; repeat for more."
)
@click.option("--errors", type=MAYBE_EMPTY, multiple=True, metavar="TEXT", help="What went wrong; repeat for more.")
@pass_place
def collect(
    place: Place,
    execution_id: str,
    deliverables: tuple[str, ...],
    validation_results: tuple[str, ...],
    insights: tuple[str, ...],
    errors: tuple[str, ...],
) -> None:
    """Keeps outputs of an execution; the same ones again change nothing."""

    if not (deliverables or validation_results or insights or errors):
        raise click.UsageError("Name --deliverables, --validation-results, --insights or --errors.")
    execution_id = place.recorded("executions", "execution_id", execution_id)
    fresh = left.collect(
        place.con,
        place.project,
        execution_id,
        place.now(),
        deliverables=filters.names(deliverables),
        verdicts=filters.names(validation_results),
        insights=[i.strip() for i in insights if i.strip()],
        errors=[e.strip() for e in errors if e.strip()],
    )
    click.echo(f"{execution_id}: {fresh} output{'' if fresh == 1 else 's'} kept", err=True)


@outputs.command()
@click.option("--session-id", type=WORDS, metavar="ID", help="Of this session; a prefix will do.")
@click.option("--execution-id", type=WORDS, metavar="ID", help="Of this execution; a prefix will do.")
@click.option("--task", type=WORDS, metavar="ID", help="Of this task.")
@click.option("--agent-type", type=WORDS, help="Of this agent type; a bare role such as builder is ours.")
@click.option("--output-type", type=click.Choice(left.TYPES), help="Of this kind.")
@click.option("--text", type=WORDS, help="With this in it.")
@filters.period
@filters.limit(50)
@filters.form()
@pass_place
def query(
    place: Place,
    session_id: Optional[str],
    execution_id: Optional[str],
    task: Optional[str],
    agent_type: Optional[str],
    output_type: Optional[str],
    text: Optional[str],
    since: Optional[str],
    until: Optional[str],
    limit: int,
    form: str,
) -> None:
    """Lists outputs, the latest first; JSON has the seed's Output Schema."""
    con = place.reading
    place.reconcile()
    found = left.query(
        con,
        orchestration=place.orchestration(session_id) if session_id else None,
        execution=place.unique("executions", "execution_id", execution_id) if execution_id else None,
        task=task,
        agent_type=agent_type,
        output_type=output_type,
        text=text,
        since=since,
        until=until,
        limit=limit + 1,
        progress=place.progress("indexing texts") if text else None,
    )
    nothing = "No output fits. What an agent said last is its result: `orchestrator show ID --result`."
    tables.emit(found, OUTPUTS, form, nothing, limit)


@outputs.command()
@click.argument("files", nargs=-1, type=click.Path(), metavar="[REPORT…]")
@click.option("--session-id", type=WORDS, metavar="ID", help="The session to put together, from the history.")
@click.option(
    "--template", metavar="NAME", help="A template's path or bare name, instead of the plugin's own."
)
@click.option(
    "--format", "form", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True
)
@click.option("--output", type=click.Path(dir_okay=False), help="Where to write it, instead of printing it.")
@pass_place
def synthesize(
    place: Place,
    files: tuple[str, ...],
    session_id: Optional[str],
    template: Optional[str],
    form: str,
    output: Optional[str],
) -> None:
    """Puts together what a session's executions left, or what report files (text, Markdown, JSON) say.

    That of a session is kept in the history as `orchestrator report` keeps it; the session stays as it is.
    """
    from orchestrator.edges.cli import report

    if bool(files) == bool(session_id):
        raise click.UsageError("Name report files, or --session-id.")
    if session_id:
        place.check_recorded()
        place.reconcile()
        report.write(place, place.orchestration(session_id), output, form, template, close=False)
        return
    from orchestrator.services import report as service
    from orchestrator.services import report_files
    from orchestrator.services.masks import masked

    body = masked(report_files.of_files(files))
    text = (
        tables.dumps(body) + "\n"
        if form == "json"
        else service.text_of(body, report.template_text(place, template), report.functions())
    )
    report.deliver(text, output)
