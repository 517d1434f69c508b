"""Command group: the `orchestrator` program as click runs it."""

import importlib
import json
import os

import click

from orchestrator import paths
from orchestrator.edges.cli import GROUPS, VERBS
from orchestrator.edges.cli.quick import outcome


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
        return command

    def main(self, *args, **kwargs):
        """Runs a verb; what was refused is one sentence on stderr and exit 1."""
        inner = super().main
        return outcome(lambda: inner(*args, **kwargs))


def version() -> str:
    """The version that the plugin's manifest states."""
    with open(os.path.join(paths.plugin_root(), ".claude-plugin", "plugin.json"), encoding="utf-8") as manifest:
        return str(json.load(manifest)["version"])


@click.group(cls=Verbs, name="orchestrator", invoke_without_command=True,
             context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--project", "project_dir", metavar="DIR", help="The project, instead of the one around this folder.")
@click.option("--db", metavar="FILE", help="The history, instead of the workspace's own.")
@click.version_option(version(), prog_name="orchestrator", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, project_dir: str | None, db: str | None) -> None:
    """Plans a goal, runs it on background agents, records every deployment and its end."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        return
    from orchestrator.edges.cli.place import Place

    ctx.obj = Place(project_dir, db)
