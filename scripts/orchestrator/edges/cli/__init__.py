"""Command line: the `orchestrator` program's click group; each noun's verbs live in a file of their own here."""

import json
import os

import click

from orchestrator import paths


def version() -> str:
    """The version that the plugin's manifest states."""
    with open(os.path.join(paths.plugin_root(), ".claude-plugin", "plugin.json"), encoding="utf-8") as manifest:
        return str(json.load(manifest)["version"])


@click.group(name="orchestrator")
@click.version_option(version(), prog_name="orchestrator", message="%(prog)s %(version)s")
def main() -> None:
    """Plans a goal, runs it on subagents, records every deployment."""
