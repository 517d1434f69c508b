"""Command `who`: which agents touched a file, and why."""

import os

import click

from orchestrator.edges.cli import describe, filters, tables
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.errors import OrchestratorError
from orchestrator.services import details, queries


@click.command()
@click.argument("path", metavar="FILE", type=WORDS)
@filters.limit(5)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def who(place: Place, path: str, limit: int, as_json: bool) -> None:
    """Says who last touched a file, and why: what each agent that read or wrote it was there for.

    `orchestrator history --file` lists whole executions, and takes folders too.
    """
    con = place.reading
    place.reconcile()
    body = details.touches(con, queries.path_in(con, place.project, path), limit + 1)
    found = body["touches"]
    body["touches"] = found[:limit]
    if not found and not as_json:
        folder = " `orchestrator history --file` takes folders." if os.path.isdir(path) else ""
        raise OrchestratorError(f"No agent is known to have touched {body['path']!r}.{folder}")
    describe.say(body, describe.touches, as_json)
    tables.say_more(found, limit)
