"""Command `demo`: a real orchestration, a real client, a scripted model; watched, measured, checked."""

import os
import shlex
import signal
import sys
import time
from typing import Any, Optional

import click

from orchestrator import paths
from orchestrator.edges.cli import tables
from orchestrator.errors import OrchestratorError

TONES = {"good": "green", "bad": "red", "note": "cyan"}


@click.command()
@click.option(
    "--project",
    "folder",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Work on this project instead of a sample; only its workspace changes.",
)
@click.option(
    "--client",
    type=click.Path(exists=True, dir_okay=False),
    metavar="PATH",
    help="The Claude Code to run; else the `claude` on PATH, else one is fetched.",
)
@click.option("--keep", is_flag=True, help="Keep the sample project and the client's temporary home, too.")
@click.pass_context
def demo(ctx: click.Context, folder: Optional[str], client: Optional[str], keep: bool) -> None:
    """Run a real orchestration: a real Claude Code with its agents, and a script that plays the model.

    It costs nothing and sends nothing anywhere. It touches no configuration of yours, and no file of a
    project but its workspace. What it leaves behind is named at the end.
    """
    from orchestrator.edges.demo.run import Run

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    if folder is None and ctx.parent is not None:
        folder = ctx.parent.params.get("project_dir")
    run = Run(folder, os.path.abspath(client) if client else None, keep)
    whole = False
    try:
        broken = _show(run)
        whole = True
    except KeyboardInterrupt:
        click.echo(
            "\norchestrator: stopped; what the demo began is ended, what it made is removed.", err=True
        )
        sys.exit(130)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # nothing keeps it from cleaning up
        run.close(abandoned=not whole)
    if broken:
        raise OrchestratorError("Not everything is as it should be: " + "; ".join(broken) + ".")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _show(run: Any) -> list[str]:
    """Runs it and prints what a person sees. Returns the claims that the rows do not bear out."""
    run.prepare(_talk, _progress())
    _introduce(run)
    run.act(_event())
    click.echo("\nThe history, as `orchestrator history` shows it\n")
    sys.stdout.flush()
    colour = {"NO_COLOR": "1"} if paths.variable("NO_COLOR") else {}
    if run.own_command(
        "history", "--orchestration", run.orchestration, COLUMNS=str(tables.terminal_width()), **colour
    ):
        raise OrchestratorError("`orchestrator history` failed.")
    found = run.checked()
    click.echo("\nChecked against the history\n")
    for each in found:
        click.echo(f"  {'yes' if each.true else 'NO '}  {each.claim}")
    _count(run.measured())
    click.echo(f"\nThe report   {run.report()}")
    for place, path in enumerate(run.left()):
        click.echo(("             " if place else "Left behind  ") + path)
    program = os.path.join(paths.plugin_root(), "bin", "orchestrator")
    program = min(program, os.path.relpath(program), key=len)
    click.echo("Look closer  " + shlex.join([program, "--project", run.project, "show", "tests"]))
    return [each.claim for each in found if not each.true]


def _introduce(run: Any) -> None:
    from orchestrator.edges.demo.client import tested

    known = tested()
    word = (
        "a version this is tested with"
        if run.client.version in known
        else f"tested with {' and '.join(known)}"
    )
    kind = "a sample, made for this" if run.own else "yours; only .orchestrator/ in it changes"
    click.echo("A real Claude Code and its agents; a script plays the model. Nothing is spent.\n")
    click.echo(f"  client   Claude Code {run.client.version}, {word}")
    click.echo(f"           {run.client.path} ({run.client.origin})")
    click.echo(f"  model    scripted, at {run.model.url}, the only address the client is given")
    click.echo(f"  project  {run.project} ({kind})")
    click.echo("  home     temporary and empty: no settings, credentials or history of yours\n")


def _event() -> Any:
    """What prints an event as a line: elapsed seconds that never go back, who, what."""
    coloured = sys.stdout.isatty() and not paths.variable("NO_COLOR")
    latest = 0.0

    def tell(elapsed: float, who: str, what: str, tone: str) -> None:
        nonlocal latest
        latest = max(latest, elapsed)
        line = f"{latest:6.1f} s  {who:<10} {what}"
        click.echo(click.style(line, bold=tone == "you", fg=TONES.get(tone)) if coloured else line)
        sys.stdout.flush()

    return tell


def _count(measured: Any) -> None:
    from orchestrator.edges.demo.measure import HOW

    rows = [
        (measured.total, f"in the briefings and results of {measured.agents} agents"),
        (measured.held, "of these in the main conversation"),
        (measured.kept_out, "kept out of it: text that only agents and the history hold"),
        (measured.added, "added to it by the whole run instead: calls, notifications, digests, the report"),
    ]
    click.echo(f"\nTokens ({measured.how})\n")
    for number, what in rows:
        click.echo(f"  {tables.number(number):>7}  {what}")
    click.echo("\n" + "\n".join("  " + line for line in HOW))


def _talk(line: str) -> None:
    click.echo(("\r" if sys.stderr.isatty() else "") + f"orchestrator: {line}", err=True)


def _progress() -> Any:
    """What shows how far a download is: a line that changes, for a pipe one in ten seconds."""
    latest = time.monotonic()

    def tick(far: str) -> None:
        nonlocal latest
        if sys.stderr.isatty():
            click.echo(f"\rorchestrator: {far} ", nl=False, err=True)
        elif time.monotonic() - latest > 10:
            latest = time.monotonic()
            click.echo(f"orchestrator: {far}", err=True)

    return tick
