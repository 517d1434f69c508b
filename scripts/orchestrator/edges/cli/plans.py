"""plan: the command as click runs it; without options the quick door answers it."""

import click

from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.submitting import submit


@click.command()
@click.argument("source", metavar="FILE|-")
@click.option("--orchestration", type=WORDS, metavar="ID", help="Extend this orchestration instead of the conversation's own.")
@click.option("--goal", help="The goal, where the plan names none.")
@click.option("--driver", type=click.Choice(["auto", "workflow", "conversation"]), help="How its tasks are deployed.")
@click.option("--from-message", is_flag=True, help="SOURCE is an agent's last message with a plan somewhere in it.")
@pass_place
def plan(place: Place, source: str, orchestration: str | None, goal: str | None, driver: str | None,
         from_message: bool) -> None:
    """Submits the JSON plan in FILE, or on standard input for `-`. A refusal lists every fault."""
    submit(place, source, orchestration, goal, driver, from_message)
