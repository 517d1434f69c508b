"""Command `replay`: an execution's briefing again, word for word, and the results side by side."""

import json
import shutil

import click

from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.services import replay as service


@click.command()
@click.argument("execution", metavar="EXEC")
@click.option("--model", type=WORDS, help="Another model than the original's.")
@click.option("--compare", is_flag=True, help="Plan nothing: show the original and its replays side by side.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def replay(place: Place, execution: str, model: str | None, compare: bool, as_json: bool) -> None:
    """Plan an execution's identical briefing as a new task; --compare shows the results side by side."""
    name = place.unique("executions", "execution_id", execution)
    if compare:
        place.reconcile()  # what an execution used is read once its end is sure
        found = service.runs(place.reading, name)
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
            return
        for line in service.side_by_side(found, shutil.get_terminal_size((100, 24)).columns):
            click.echo(line)
        return
    made = service.replay(
        place.con,
        place.project,
        name,
        model=model,
        session=place.session,
        now=place.now(),
        settings=place.settings(),
    )
    place.project_state(made.orchestration_id)
    if as_json:
        click.echo(json.dumps(made.__dict__, ensure_ascii=False))
        return
    click.echo(f"REPLAY {made.task_id} in {made.orchestration_id}")
    place.what_now(made.orchestration_id)
    click.echo(f"When it has ended: orchestrator replay {name} --compare")
