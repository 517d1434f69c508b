"""doctor: what is installed and missing, whether it works here, which settings are in force; in sentences."""

import os
import sys
from typing import Any

import click

from orchestrator import paths
from orchestrator.edges import config
from orchestrator.edges.cli import version
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import dumps, one_line
from orchestrator.services import checks, checks_project, settings
from orchestrator.services.checks import Finding, broken, fine, note
from orchestrator.store import open as store
from orchestrator.store import workspace as folder

MARKS = {"fine": "✓", "note": "!", "broken": "✗"}
COLOURS = {"fine": "green", "note": "yellow", "broken": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def doctor(place: Place, as_json: bool) -> None:
    """Says what is installed, what is missing and what to do. Exit 1 where something is broken."""
    root = paths.plugin_root()
    findings = list(checks.installation(root, place.data, version()))
    at, workspace = place.project, place.workspace
    findings += checks_project.project(at, workspace, place.history, place.data, place.session)
    if place.before:
        findings.append(note("history", f"What was recorded before {at} could no longer be written is in {place.before}: "
                             "commands read it while nothing newer is, and --db names it."))  # fmt: skip
    findings += checks_project.kept(workspace, place.history)
    findings += checks_project.own_prices(at)
    findings += checks_project.transcripts(at, place.history, paths.client_folder())
    findings += checks.doors(at, paths.client_folder())
    said, in_force = _settings(place)
    findings += said
    ok = not any(each.grade == "broken" for each in findings)
    if as_json:
        rows = [_row(setting, value, source) for setting, value, source in in_force]
        click.echo(dumps({"ok": ok, "version": version(), "settings": rows,
                          "findings": [each._asdict() for each in findings]}))  # fmt: skip
    else:
        for each in findings:
            mark = click.style(MARKS[each.grade], fg=COLOURS[each.grade])
            click.echo(f"{mark} {one_line(each.text)}")
    sys.exit(0 if ok else 1)


def _row(setting: settings.Setting, value: Any, source: str) -> dict[str, Any]:
    return {"name": setting.name, "value": value, "source": source, "default": setting.default}


def _settings(place: Place) -> tuple[list[Finding], list[tuple[settings.Setting, Any, str]]]:
    """(what is wrong with the settings and which differ from their defaults, every setting in force)."""
    above = config.environment()
    said = config.Said({}, [], [], frozenset())
    if folder.trusted(place.workspace, place.data):
        said = config.files(place.project, place.workspace, ["history"] if place.named else [])
    found = [broken("settings", each) for each in above.faults + said.faults]
    found += [note("settings", f"{each} It is passed over.") for each in above.notes + said.notes]
    in_force = config.in_force(said, _options(place.history))
    for setting, value, source in in_force:
        if value != setting.default:
            shown = str(value).lower() if setting.kind == "switch" else value
            found.append(fine("settings", f"{setting.name} is {shown}, from {source}."))
    if all(value == setting.default for setting, value, _ in in_force):
        found.append(fine("settings", "Every setting has its default."))
    return found, in_force


def _options(history: str) -> dict[str, str]:
    """The plugin's options as the last session's start left them."""
    if not os.path.isfile(history):
        return {}
    try:
        con = store.connect(history, timeout=2, read_only=True)
        try:
            return dict(con.execute("SELECT key, value FROM meta WHERE key GLOB 'option.*'").fetchall())
        finally:
            con.close()
    except store.Error:
        return {}
