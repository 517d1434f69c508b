"""Command `count`: tokens of files and folders, as a tree, cached by content."""

import json
import os

import click

from orchestrator.context import files, tokens, tree
from orchestrator.context.count_cache import FileCache
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.progress import Bar


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH…]")
@click.option("--depth", type=click.IntRange(min=0), default=2, show_default=True, help="Levels of the tree.")
@click.option("--format", "form", type=click.Choice(["tree", "json"]), default="tree", show_default=True)
@click.option("--no-cache", is_flag=True, help="Count everything anew.")
@pass_place
def count(place: Place, paths: tuple[str, ...], depth: int, form: str, no_cache: bool) -> None:
    """Count the tokens of files and folders; files that git ignores are left out unless named."""
    cache = None if no_cache else FileCache(os.path.join(place.data, "token-counts.db"))
    counter = tokens.Counter(cache)
    bar = Bar("counting")
    counted = tree.count_paths([os.path.abspath(p) for p in paths or (".",)], counter, bar.step, cache)
    bar.end()
    if counted.files and form == "json":
        click.echo(json.dumps(counted.as_json(), ensure_ascii=False))
    elif counted.files:
        for line in counted.lines(depth):
            click.echo(line)
    for path, why in counted.left_out[:20]:
        click.echo(f"orchestrator: left out {path}: {why}", err=True)
    if len(counted.left_out) > 20:
        click.echo(f"orchestrator: left out {len(counted.left_out) - 20} more", err=True)
    if not counted.files:
        raise files.Unreadable("There is nothing to count: name files or folders that hold text.")
