"""Command line: the `orchestrator` program's click group; each noun's verbs live in a file of their own, loaded when used."""

import importlib
import json
import os
import sys

import click

from orchestrator import paths
from orchestrator.errors import OrchestratorError

# verb: the file of this folder that defines it, under the same name with _ for -
# (in the order in which help lists them)
VERBS = {
    "init": "project", "off": "project", "on": "project", "trust": "project", "purge": "project", "backup": "project",
    "doctor": "doctor", "import": "importing",
    "plan": "plans", "task": "tasks", "next": "state", "prime": "state", "status": "state", "brief": "state",
    "resume": "drive", "stop": "drive",
    "show": "show", "report": "report", "history": "history", "agents": "agents",
    "list-agents": "lists", "list-tasks": "lists", "task-details": "lists", "agent-details": "lists",
    "tracker": "tracker", "outputs": "outputs", "bundle": "bundle", "count": "count", "replay": "replay",
    "archive": "archive", "prune": "archive",
    "demo": "demo", "completion": "completion",
}  # fmt: skip
# the verb that a group of help's list begins with: the group's name
GROUPS = {"init": "This project", "plan": "Orchestrations", "show": "What happened", "tracker": "By hand",
          "demo": "More"}


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
        try:
            return super().main(*args, **kwargs)
        except OrchestratorError as refused:
            click.echo(f"orchestrator: {refused}", err=True)
            sys.exit(1)
        except BrokenPipeError:  # the reader left, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as bug:
            if paths.variable("ORCHESTRATOR_LOG_LEVEL", "").upper() == "DEBUG":
                raise
            click.echo(f"orchestrator: that failed in a way nobody foresaw ({type(bug).__name__}: {bug}); "
                       "ORCHESTRATOR_LOG_LEVEL=DEBUG shows where. Please report it.", err=True)
            sys.exit(1)


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
