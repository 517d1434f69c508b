"""Commands `bundle …`: prepare, measure, compare, brief from and record bundles of context."""

import copy
import json
import os
import shlex
import shutil
import sys
from typing import Any

import click

from orchestrator import paths
from orchestrator.context import bundle as bundles
from orchestrator.context import languages, margins, render
from orchestrator.context.tokens import Counter
from orchestrator.edges.cli import draw
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.errors import OrchestratorError
from orchestrator.services import bundles as service
from orchestrator.services import calibrate
from orchestrator.store import workspace

FORMATS = click.Choice(["text", "json"])


@click.group()
def bundle() -> None:
    """Prepare, measure and record bundles of context."""


def _names(given: tuple[str, ...]) -> list[str]:
    """Names given one by one or by comma."""
    return [name.strip() for each in given for name in each.split(",") if name.strip()]


@bundle.command()
@click.option("--agent-type", required=True, help="Who it is for.")
@click.option("--scope", required=True, help="What for, in a line.")
@click.option(
    "--files",
    multiple=True,
    metavar="SPEC,…",
    help="Required: path, path#Heading, path::symbol, path:10-40, glob.",
)
@click.option(
    "--references", multiple=True, metavar="SPEC,…", help="Recommended: may be cut when over budget."
)
@click.option("--optional", multiple=True, metavar="SPEC,…", help="Optional: the first to be cut.")
@click.option(
    "--budget", type=click.IntRange(min=1), help="Tokens it may have; else the model's window, else 200,000."
)
@click.option("--model", default="", help="The model that will read it.")
@click.option("--output", type=click.Path(dir_okay=False), help="Where to write the JSON; else stdout.")
@click.option("--no-store", is_flag=True, help="Do not keep it in the history.")
@pass_place
def prepare(
    place: Place,
    agent_type: str,
    scope: str,
    files: tuple[str, ...],
    references: tuple[str, ...],
    optional: tuple[str, ...],
    budget: int | None,
    model: str,
    output: str | None,
    no_store: bool,
) -> None:
    """Prepare the bundle of some files and references; refused when what is required is over budget."""
    con = None if no_store else place.con
    made = bundles.prepare(
        place.project,
        _names(files),
        _names(references),
        _names(optional),
        agent_type=agent_type,
        scope=scope,
        allowed=budget,
        model=model,
        counter=_counter(place, con),
        calibration=calibrate.known(con, model) if con is not None else None,
    )
    body = made.as_json()
    before = service.load(None, output) if output and os.path.isfile(output) else None
    if con is not None:
        service.keep(con, made)
    _write(json.dumps(body, indent=2, ensure_ascii=False) + "\n", output)
    for change in service.changes(before, body):
        click.echo(f"orchestrator: {change}", err=True)
    for item in made.items:
        if item.reason:
            click.echo(f"orchestrator: {item.label}: {item.reason}", err=True)
    if output:
        click.echo(
            f"{body['bundle_id']}: {body['total_tokens']:,} of {made.budget:,} tokens ({made.how})", err=True
        )


@bundle.command("track-budget")
@click.option("--session-id", type=WORDS, help="The orchestration whose executions are added up.")
@click.option("--phase", type=click.IntRange(1, 5), help="Only those of this phase.")
@click.option("--bundles", "named", multiple=True, metavar="FILE,…", help="Bundles to add up: files or ids.")
@click.option("--budget", type=click.IntRange(min=1), default=margins.DEFAULT_WINDOW, show_default=True)
@click.option("--warn-threshold", type=click.FloatRange(0, 1), default=0.75, show_default=True)
@click.option("--format", "form", type=FORMATS, default="text", show_default=True)
@pass_place
def track_budget(
    place: Place,
    session_id: str | None,
    phase: int | None,
    named: tuple[str, ...],
    budget: int,
    warn_threshold: float,
    form: str,
) -> None:
    """Say how much of a budget bundles, or an orchestration's executions, take. Exit 1 when it is more than
    all.
    """
    names = _names(named)
    if not names and not session_id:
        raise click.UsageError("Name --bundles, or --session-id.")
    session = session_id
    if names:
        told = service.budget_of([_load(place, name) for name in names], budget, warn_threshold)
    else:
        session = place.unique("orchestrations", "orchestration_id", str(session_id))
        told = service.budget_of_session(place.reading, session, phase, budget, warn_threshold)
    if form == "json":
        click.echo(json.dumps({**told, "session_id": session, "phase": phase}, ensure_ascii=False))
    else:
        for row in told["rows"]:
            click.echo(
                f"{row['tokens']:>10,}  {row.get('execution_id') or row['bundle_id']}  {row['agent_type']}"
                f"  {row['scope'] or ''}"
            )
        click.echo(f"{told['total_tokens']:>10,}  of {budget:,} tokens, {100 * told['used']:.1f} %")
    _judge(told, warn_threshold)


@bundle.command()
@click.option(
    "--bundles", "named", multiple=True, required=True, metavar="FILE,…", help="Bundles: files or ids."
)
@click.option(
    "--output", type=click.Path(dir_okay=False), help="Where to write the shared context; else stdout."
)
@pass_place
def deduplicate(place: Place, named: tuple[str, ...], output: str | None) -> None:
    """Find what several bundles hold in common, as a bundle of shared context."""
    names = _names(named)
    if len(names) < 2:
        raise click.UsageError("Name at least two bundles.")
    shared = service.shared_context([_load(place, name) for name in names])
    _write(json.dumps(shared, indent=2, ensure_ascii=False) + "\n", output)
    count = len(shared["context_items"])
    if output:
        click.echo(
            f"{count} shared item{'s' if count != 1 else ''}, {shared['total_tokens']:,} tokens; "
            f"{shared['duplicate_tokens']:,} tokens stand more than once",
            err=True,
        )


@bundle.command("generate-briefing")
@click.option("--bundle", "name", required=True, metavar="FILE", help="The bundle: a file or an id.")
@click.option("--template", default=render.NAME, show_default=True, help="A template's path or bare name.")
@click.option("--output", type=click.Path(dir_okay=False), help="Where to write the briefing; else stdout.")
@pass_place
def generate_briefing(place: Place, name: str, template: str, output: str | None) -> None:
    """Write the briefing of a bundle, by a template of the project's, or the plugin's own."""
    body = _load(place, name)
    folders = (
        [os.path.join(place.workspace, "templates")] if workspace.trusted(place.workspace, place.data) else []
    )
    text, notes = service.briefing_of(_reading(place), place.project, body, render.find(template, folders))
    _write(text, output)
    for note in notes:
        click.echo(f"orchestrator: {note}", err=True)


@bundle.command("record-allocation")
@click.option("--execution-id", type=WORDS, required=True)
@click.option("--bundle", "name", required=True, metavar="FILE", help="The bundle: a file or an id.")
@pass_place
def record_allocation(place: Place, execution_id: str, name: str) -> None:
    """Record, for an execution, which items of a bundle it was given."""
    execution_id = place.recorded("executions", "execution_id", execution_id)
    n = service.record_allocation(place.con, execution_id, _load(place, name))
    click.echo(f"{execution_id}: {n} items recorded", err=True)


@bundle.command("show")
@click.argument("name", metavar="BUNDLE")
@click.option("--format", "form", type=FORMATS, default="text", show_default=True)
@pass_place
def show_bundle(place: Place, name: str, form: str) -> None:
    """Draw where the tokens of a bundle go: a file or an id."""
    body = _load(place, name)
    if form == "json":
        click.echo(json.dumps(body, ensure_ascii=False))
        return
    encoding = (sys.stdout.encoding or "ascii").lower()
    width = shutil.get_terminal_size((100, 24)).columns
    for line in draw.bundle_lines(body, width, plain=not encoding.startswith("utf")):
        click.echo(line)


@bundle.command("refresh")
@click.option(
    "--orchestration", type=WORDS, metavar="ID", help="Which orchestration; the conversation's own when left out."
)
@pass_place
def refresh_briefings(place: Place, orchestration: str | None) -> None:
    """Prepare the briefings of tasks not deployed yet anew where files have changed; says what changed."""
    from orchestrator.services.prepare import refresh

    target = place.orchestration(orchestration)
    progress = place.progress("preparing briefings")
    changed = refresh(place.con, place.project, target, place.settings(), progress)
    for task, changes in changed.items():
        for change in changes:
            click.echo(f"{task}: {change}")
    if not changed:
        click.echo("Every briefing is as fresh as its files.", err=True)


@bundle.command("languages")
def known_languages() -> None:
    """Say of which languages outlines and symbols can be made here, and how to add the others."""
    click.echo("python: yes")
    for ending in languages.GRAMMARS:
        click.echo(f"{ending}: {'yes' if languages.known('x' + ending) else 'no'}")
    extra = os.path.join(paths.plugin_root(), "requirements", "outlines.txt")
    click.echo(f"To add them: {shlex.quote(sys.executable)} -m pip install -r {shlex.quote(extra)}", err=True)


@bundle.command("calibrate")
@pass_place
def calibrate_margins(place: Place) -> None:
    """Fit the margins of each model to the executions recorded here; says the error before and after."""
    place.check_recorded()
    fits = calibrate.calibrate(place.con)
    if not fits:
        raise OrchestratorError(
            f"No model has {calibrate.ENOUGH} executions with a bundle and a transcript yet: the published "
            "margins hold."
        )
    for line in calibrate.lines(fits):
        click.echo(line)


@bundle.command()
@click.argument("paths", nargs=-1, metavar="[SPEC…]")
@click.option(
    "--files", "--context-files", "files", multiple=True, metavar="SPEC,…", help="The same, by comma."
)
@click.option("--budget", "--max-tokens", "budget", type=click.IntRange(min=1), help="Tokens they may have.")
@click.option("--model", default="", help="The model that would read them.")
@click.option("--warn-threshold", type=click.FloatRange(0, 1), default=0.75, show_default=True)
@click.option("--format", "form", type=FORMATS, default="text", show_default=True)
@pass_place
def check(
    place: Place,
    paths: tuple[str, ...],
    files: tuple[str, ...],
    budget: int | None,
    model: str,
    warn_threshold: float,
    form: str,
) -> None:
    """Say whether files or sections of files fit a budget. Exit 1 when they do not."""
    names = [*paths, *_names(files)]
    if not names:
        raise click.UsageError("Name files, or sections of files.")
    told = service.bounds(place.project, names, budget, model, warn_threshold, _counter(place, None))
    if form == "json":
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for row in told["rows"]:
            click.echo(f"{row['tokens']:>10,}  {row['source']}")
        click.echo(f"{told['total_tokens']:>10,}  of {told['budget']:,} tokens, {100 * told['used']:.1f} %")
    _judge(told, warn_threshold)


def _judge(told: dict[str, Any], warn_threshold: float) -> None:
    if told["state"] == "warn":
        click.echo(f"orchestrator: more than {100 * warn_threshold:g} % of the budget is taken.", err=True)
    if told["state"] == "over":
        raise OrchestratorError(
            f"{told['total_tokens']:,} tokens are over the budget of {told['budget']:,} by "
            f"{-told['budget_remaining']:,}: cut the largest, or raise --budget."
        )


def _load(place: Place, name: str) -> dict[str, Any]:
    return service.load(_reading(place), name)


def _reading(place: Place) -> Any:
    """The history if there is one."""
    return place.reading if os.path.exists(place.history) else None


def _counter(place: Place, con: Any) -> Counter:
    from orchestrator.context.count_cache import FileCache, HistoryCache

    return Counter(
        FileCache(os.path.join(place.data, "token-counts.db")) if con is None else HistoryCache(con)
    )


def _write(text: str, output: str | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        workspace.write(output, text)
    except OSError as error:
        raise OrchestratorError(f"{output} cannot be written: {error.strerror}.") from None


seeds_name = copy.copy(prepare)  # seed 002 calls it prepare-bundle
seeds_name.hidden = True
bundle.add_command(seeds_name, "prepare-bundle")
