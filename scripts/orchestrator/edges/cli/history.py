"""Command `history`: executions of this project, whoever deployed them, the latest first."""

from typing import Any

import click

from orchestrator.edges.cli import executions, filters
from orchestrator.edges.cli.asked import HISTORY
from orchestrator.edges.cli.place import Place, pass_place


@click.command()
@filters.options(HISTORY)
@pass_place
def history(place: Place, **given: Any) -> None:
    """Lists executions, the latest first: who was deployed for what, how it ended, what it took.

    Times are UTC. Tokens are all that the agent used; with a star, only its last request's are known.
    """
    executions.history(place, **given)
