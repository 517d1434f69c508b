"""agents: the agent types that a plan may name here, with their tools and models."""

import os
from typing import Any

import click

from orchestrator import paths
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import dumps, table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def agents(place: Place, as_json: bool) -> None:
    """Lists the agent types of this place: ours, the project's, yours, other plugins', the client's."""
    from orchestrator.services.blueprints import known

    root, config = paths.plugin_root(), paths.client_folder()
    found = known(root, place.project, paths.home(), config=config, cwd=os.getcwd())
    rows: list[dict[str, Any]] = []
    for name, each in sorted(found.items(), key=lambda pair: (not pair[0].startswith("orchestrator:"), pair)):
        where = each.where
        if where == "client":
            whose = "client"
        elif where.startswith(root + "/"):
            whose = "ours"
        elif where.startswith(place.project + "/"):
            whose = "project"
        else:
            whose = "plugin" if ":" in name else "yours"
        rows.append({"name": name, "whose": whose, "model": each.model,
                     "tools": None if each.tools is None else list(each.tools), "but": _denied(name, where),
                     "bash": each.has_bash, "where": where})  # fmt: skip
    if as_json:
        click.echo(dumps(rows))
        return
    cells = []
    for row in rows:
        tools = ", ".join(row["tools"] or ["all"])
        tools += f" but {row['but']}" if row["but"] else ""
        tools += "" if row["bash"] else " (no Bash)"
        cells.append([row["name"], row["whose"], row["model"], tools])
    click.echo(table(["agent type", "whose", "model", "tools"], cells))


def _denied(name: str, where: str) -> str | None:
    from orchestrator.services.blueprints import CLIENTS_DENIED, frontmatter

    return frontmatter(where).get("disallowedTools") if os.path.isabs(where) else CLIENTS_DENIED.get(name)
