"""Command group: the `orchestrator` program as click runs it."""

import difflib
import importlib
import json
import os
from typing import Any

import click

from orchestrator import paths
from orchestrator.edges.cli import GROUPS, VERBS
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.quick import heard, outcome


class Verbs(click.Group):
    """A group whose verbs are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, in the table's order."""
        return list(VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs in groups, each with its whole first sentence."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for verb in self.list_commands(ctx):
            command = self.get_command(ctx, verb)
            if command is None or command.hidden:
                continue
            said = " ".join((command.help or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
            rows.setdefault(GROUPS.get(verb) or list(rows)[-1], []).append((verb, said))
        for heading, listed in rows.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{verb:<13}", said + ".") for verb, said in listed])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module("orchestrator.edges.cli." + VERBS[cmd_name])
        command: click.Command = getattr(module, cmd_name.replace("-", "_") if cmd_name != "import" else "import_")
        _either_json(command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is meant; one that does not exist is named with the likely one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], VERBS, 1, 0.6)
            hint = f"Did you mean {close[0]}?" if close else "`orchestrator --help` lists them."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def make_context(self, *args, **kwargs):
        """Reads a command's words; help may be printed."""
        inner = super().make_context
        return heard(lambda: inner(*args, **kwargs))

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; of a reader who leaves click would make a failure."""
        inner = super().invoke
        return heard(lambda: inner(ctx))

    def main(self, *args, **kwargs):
        """Runs a verb; what was refused is one sentence on stderr and exit 1."""
        inner = super().main
        return outcome(lambda: inner(*args, **kwargs))


def _either_json(command: click.Command) -> None:
    """Lets a command that offers JSON be asked for it by `--json` and by `--format json`, whichever is its own."""
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _either_json(each)
    own = {name for param in command.params for name in param.opts}
    if "--json" in own and "--format" not in own:
        instead = {"--format=json": ["--json"]}
    elif "--format" in own and "--json" not in own:
        instead = {"--json": ["--format", "json"]}
    else:
        return
    parse = command.parse_args

    def parse_args(ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        for at in range(len(words) - 2, -1, -1):
            if "--json" in own and words[at : at + 2] == ["--format", "json"]:
                words[at : at + 2] = ["--json"]
        return parse(ctx, [word for each in words for word in instead.get(each, [each])])

    command.parse_args = parse_args  # type: ignore[method-assign]


def version() -> str:
    """The version that the plugin's manifest states."""
    with open(os.path.join(paths.plugin_root(), ".claude-plugin", "plugin.json"), encoding="utf-8") as manifest:
        return str(json.load(manifest)["version"])


@click.group(cls=Verbs, name="orchestrator", invoke_without_command=True,
             context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--project", "project_dir", type=WORDS, metavar="DIR", help="The project, instead of the one around this folder.")
@click.option("--db", type=WORDS, metavar="FILE", help="The history, instead of the workspace's own.")
@click.version_option(version(), prog_name="orchestrator", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, project_dir: str | None, db: str | None) -> None:
    """Plans a goal, runs it on background agents, records every deployment and its end."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        return
    from orchestrator.edges.cli.place import Place

    ctx.obj = Place(project_dir, db)
