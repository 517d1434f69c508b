"""import: what the transcripts on this machine tell of this project's agents from before the plugin, taken into the history."""

from typing import Any, Optional

import click

from orchestrator import paths
from orchestrator.edges.cli.archive import counted, measured
from orchestrator.edges.cli.filters import Moment
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.store.open import corrupt, refused


@click.command(name="import")
@click.option("--since", type=Moment(), help="Only sessions that were at work since then.")
@click.option("--dry-run", is_flag=True, help="Only say which sessions would be read.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def import_(place: Place, since: Optional[str], dry_run: bool, as_json: bool) -> None:
    """Takes in the agents of sessions from before the plugin, from the transcripts that Claude Code still has.

    Worktrees and subfolders of the project belong to it. What hooks recorded is recognised and stays as it is; running it
    again takes in only what is new.
    """
    from orchestrator.edges.cli.tables import dumps, one_line
    from orchestrator.services import importing, past

    left: list[str] = []
    found = past.find(paths.client_folder(), place.project, _seconds(since), left)
    for path in left:
        click.echo(f"note: {one_line(path)} is left out: its name is not UTF-8.", err=True)
    con = place.con if found else None  # where there is nothing to be taken in no history is made
    due = importing.waiting(con, found) if found else []
    body: dict[str, Any] = {
        "dry_run": dry_run, "sessions": len(found), "read": len(due), "bytes": sum(each.size for each in due),
        "executions": 0, "changed": 0, "recognised": 0, "at_work": sum(each.alive for each in due), "left_out": 0,
    }  # fmt: skip
    if due and not dry_run:
        show, done = place.progress("reading transcripts"), 0
        importing.prepare(con, found)
        for each in due:
            try:
                taken = importing.take(con, place.project, each, place.now())
            except Exception as problem:  # whatever stands in a transcript: the other sessions are taken in
                if refused(problem) or corrupt(problem):
                    raise
                click.echo(f"note: session {one_line(each.session)} is left out: its transcripts hold what nobody foresaw "
                           f"({type(problem).__name__}: {one_line(str(problem))[:99]}). Please report it.", err=True)  # fmt: skip
                body["left_out"] += 1
                continue
            body["executions"] += taken.new
            body["changed"] += taken.changed
            body["recognised"] += taken.known
            done += each.size
            show(done, body["bytes"])
    if as_json:
        click.echo(dumps(body))
        return
    for line in _said(body, since):
        click.echo(line)


def _said(body: dict[str, Any], since: Optional[str]) -> list[str]:
    """What was done, for people."""
    if not body["sessions"] and since:
        return [f"No session of this project was at work since {since[:16].replace('T', ' ')} UTC."]
    if not body["sessions"]:
        return ["Claude Code has no transcripts of this project."]
    if not body["read"]:
        return [f"{counted(body['sessions'], 'session')} found, and nothing new in them."]
    read = f"{counted(body['read'], 'session')} of {body['sessions']:,}, {measured(body['bytes'])}"
    if body["dry_run"]:
        return [f"Would read {read}."]
    lines = [f"Read {read}: {counted(body['executions'], 'execution')} imported."]
    if body["changed"]:
        lines.append(f"{counted(body['changed'], 'execution')} imported before went on since.")
    if body["recognised"]:
        lines.append(f"{counted(body['recognised'], 'call')} had been recorded by hooks.")
    if body["at_work"]:
        lines.append(f"{counted(body['at_work'], 'session is', 'sessions are')} still at work: import again later.")
    return lines


def _seconds(moment: Optional[str]) -> Optional[float]:
    """A time of the history's as seconds since 1970."""
    from datetime import datetime

    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() if moment else None
