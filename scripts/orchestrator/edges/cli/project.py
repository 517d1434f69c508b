"""init, off, on, trust, backup, purge: a project's workspace made, switched, trusted, copied and removed."""

import contextlib
import os

import click

from orchestrator import paths
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import one_line
from orchestrator.errors import OrchestratorError
from orchestrator.store import open as store
from orchestrator.store import workspace as folder

CONFIG = "config.toml"


@click.command()
@click.option("--print", "only_print", is_flag=True, help="Print the file of settings instead.")
@pass_place
def init(place: Place, only_print: bool) -> None:
    """Makes the workspace, with a commented file of settings; what is there stays."""
    source = os.path.join(paths.plugin_root(), "assets", CONFIG)
    if only_print:
        with open(source, encoding="utf-8") as f:
            click.echo(f.read(), nl=False)
        return
    place.check_trust()
    there = os.path.isdir(place.workspace)
    config = os.path.join(place.workspace, CONFIG)
    try:
        folder.make(place.workspace, place.data)
        try:
            with open(source, "rb") as f, open(config, "xb") as made:
                made.write(f.read())
            written = "all of it commented out"
        except FileExistsError:
            written = "as it was"
    except OSError as problem:
        raise OrchestratorError(f"{place.workspace} cannot be made: {problem.strerror}.") from problem
    click.echo(f"Project    {one_line(place.project)}")
    click.echo(f"Workspace  {one_line(place.workspace)} ({'as it was' if there else 'made; git ignores it'})")
    click.echo(f"Settings   {one_line(config)} ({written})")
    if place.off:
        click.echo("Recording is off here: `orchestrator on`.")


@click.command()
@pass_place
def off(place: Place) -> None:
    """Records nothing in this project from now on: hooks end at once."""
    from orchestrator.services.purge import at_work

    try:
        folder.make(place.workspace, place.data)
        folder.write(os.path.join(place.workspace, "off"), "")
    except OSError as problem:
        raise OrchestratorError(f"{place.workspace} cannot be written: {problem.strerror}.") from problem
    click.echo(f"Recording is off in {one_line(place.project)}; hooks do nothing until `orchestrator on`.")
    for session, count in at_work([place.history]):
        click.echo(f"note: {_agents(count)} at work in {session}; their end is not recorded.", err=True)


@click.command()
@pass_place
def on(place: Place) -> None:
    """Records again in this project."""
    if paths.off(place.workspace) and os.path.exists(place.history):
        place.check_trust()
        with contextlib.suppress(store.Error, OrchestratorError), contextlib.closing(store.open_history(place.history)) as con:
            con.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('recorded_since', ?)", (store.now(),))
    try:
        os.unlink(os.path.join(place.workspace, "off"))
    except FileNotFoundError:
        pass
    except OSError as problem:
        raise OrchestratorError(f"{place.workspace} cannot be written: {problem.strerror}.") from problem
    if place.off:
        raise OrchestratorError("ORCHESTRATOR_OFF is set in this environment, which switches recording off.")
    click.echo(f"Recording is on in {one_line(place.project)}.")


@click.command()
@click.option("--yes", is_flag=True, help="Without asking, and although git tracks it.")
@pass_place
def trust(place: Place, yes: bool) -> None:
    """Shows a workspace that did not come from you, and makes it yours when you say so."""
    from orchestrator.services import trust as service

    if not os.path.isdir(place.workspace):
        raise OrchestratorError(f"There is no workspace in {place.project}: `orchestrator init` makes one.")
    tracked = service.tracked(place.project, [place.workspace, place.history])
    if folder.trusted(place.workspace, place.data) and (not tracked or service.consented(place.workspace)):
        click.echo(f"{one_line(place.workspace)} is yours.")
        return
    click.echo(one_line(place.workspace))
    for line in service.why(place.workspace, tracked) + service.contents(place.workspace, place.history):
        click.echo("  " + one_line(line))
    if tracked and not yes:
        raise OrchestratorError(
            "Whoever can push to the repository could change what is deployed here: take it out "
            f"(`git rm -r --cached {tracked[0]}`, and so on), or say `orchestrator trust --yes`."
        )
    if not yes and not _agreed("Trust it? What is planned in it can then be deployed; its settings hold"):
        raise OrchestratorError("Nothing was trusted; `--yes` trusts without asking.")
    try:
        service.grant(place.workspace, place.data, bool(tracked))
    except OSError as problem:
        raise OrchestratorError(f"{place.workspace} cannot be written: {problem.strerror}.") from problem
    click.echo("It is yours now.")


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@pass_place
def backup(place: Place, file: str, force: bool) -> None:
    """Copies the history into FILE, whole and checked, while others write."""
    from orchestrator.services.backup import backup as copy
    from orchestrator.store import inbox

    place.check_recorded()
    place.check_trust()
    size = copy(place.history, file, force)
    click.echo(f"{one_line(os.path.abspath(file))}  {_size(size)}, checked")
    waiting = len(inbox.waiting(place.workspace))
    if waiting:
        click.echo(f"note: {waiting} events wait in the inbox and are not in the copy.", err=True)


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also what is ours in the data folder.")
@click.option("--yes", is_flag=True, help="Without asking.")
@click.option("--force", is_flag=True, help="Although agents are at work.")
@pass_place
def purge(place: Place, everything: bool, yes: bool, force: bool) -> None:
    """Removes what is kept for this project, for good."""
    from orchestrator.services import purge as service

    histories = [place.history, *(service.histories_in(place.data) if everything else [])]
    busy = service.at_work(histories)
    if busy and not force:
        raise OrchestratorError(
            f"{_agents(sum(count for _, count in busy))} at work in the Claude session {busy[0][0]}: "
            "let them end, or say --force."
        )
    things = service.of_project(place.project, place.workspace, place.history, place.named)
    left: list[str] = []
    if everything:
        more, left = service.of_installation(place.data)
        known = {each.path for each in things}
        things += [each for each in more if each.path not in known]
    if not things:
        click.echo(f"Nothing is kept for {one_line(place.project)}.")
        return
    for each in things:
        what = f"{each.files:,} file{'s' if each.files != 1 else ''}, {_size(each.bytes)}"
        click.echo(f"{one_line(each.path)}  {what}")
    if place.named and os.path.exists(place.history):
        click.echo(f"stays: {one_line(place.history)}, which you named yourself", err=True)
    for name in left:
        click.echo(f"stays: {one_line(os.path.join(place.data, name))}, which is not ours", err=True)
    mark = os.path.join(place.data, service.MARK)
    if everything and os.path.exists(mark):
        click.echo(f"stays: {one_line(mark)}, by which workspaces in other projects are known as yours; "
                   "delete it when none is left", err=True)
    if not yes and not _agreed("Remove this for good"):
        raise OrchestratorError("Nothing was removed; `--yes` removes without asking.")
    for each in things:
        service.remove(each.path)
    if everything:
        service.remove_empty(os.path.join(place.data, "projects"))
        service.remove_empty(place.data)
    click.echo(f"Removed: {_size(sum(each.bytes for each in things))}.")
    if everything:
        click.echo("Workspaces in other projects stay: `orchestrator purge` there.", err=True)


def _agreed(question: str) -> bool:
    """Whether a person says yes; nobody there to ask is a no."""
    try:
        return click.confirm(question)
    except click.Abort:
        click.echo(err=True)
        return False


def _agents(count: int) -> str:
    return "1 agent is" if count == 1 else f"{count} agents are"


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count = round(count / 1000)
    return f"{count:,} {unit}"
