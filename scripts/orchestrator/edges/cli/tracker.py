"""Commands `tracker …`: sessions and deployments recorded by hand, and asked for (execution_tracker.py)."""

import os
import sys
from typing import Any, Optional

import click

from orchestrator import paths
from orchestrator.edges.cli import filters, tables
from orchestrator.edges.cli.asked import FILTERS, FORMAT, LIMIT, OF, Option
from orchestrator.edges.cli.executions import EXECUTIONS, fitting
from orchestrator.edges.cli.filters import MAYBE_EMPTY, WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import Column
from orchestrator.errors import OrchestratorError
from orchestrator.services import queries

SESSIONS = (
    Column("created", lambda r: tables.lately(r["created_at"])),
    Column("session", lambda r: r["session_id"]),
    Column("status", lambda r: r["status"], give=True),
    Column("phase", lambda r: r["phase"], right=True),
    Column("tasks", lambda r: r["tasks"], right=True),
    Column("at work", lambda r: r["executions"]["deployed"], right=True),
    Column("done", lambda r: r["executions"]["completed"], right=True),
    Column("failed", lambda r: r["executions"]["failed"], right=True),
    Column("lost", lambda r: r["executions"]["lost"] or "", right=True),
    Column("scope", lambda r: r["scope"], give=True),
)
SESSION, EXECUTION = ("orchestrations", "orchestration_id"), ("executions", "execution_id")
STATUSES = ("planning", "executing", "deployed", "completed", "failed", "lost")
OPTIONS = (OF, *[Option(*row[:2], STATUSES, *row[3:]) if row[1] == "status" else row for row in FILTERS], LIMIT, FORMAT)


@click.group()
def tracker() -> None:
    """Records sessions and deployments by hand, and lists them."""


def _off(place: Place) -> bool:
    """Whether recording is left out here; said once, and no reason to fail."""
    if not paths.off(place.workspace):
        return False
    click.echo(
        "orchestrator: recording is off here, nothing was kept; `orchestrator on` records again.", err=True
    )
    return True


@tracker.command("init-session")
@click.option("--scope", type=MAYBE_EMPTY, required=True, help="What the session is for, in a line.")
@click.option("--session-id", type=WORDS, help="Its id, kept as it is; made when left out.")
@click.option("--metadata", type=MAYBE_EMPTY, help="A JSON object to keep with it.")
@pass_place
def init_session(place: Place, scope: str, session_id: Optional[str], metadata: Optional[str]) -> None:
    """Opens a session (an orchestration), in phase 1; prints its id."""
    from orchestrator.services import tracker as service

    if metadata is not None and not isinstance(queries.document(metadata), dict):
        raise click.BadParameter("it is no JSON object.", param_hint="--metadata")
    if _off(place):
        click.echo(session_id or "")
        return
    click.echo(service.init_session(place.con, scope, session_id, place.now(), metadata))


@tracker.command("init-deployment")
@click.option("--session-id", type=WORDS, required=True, help="The session it belongs to.")
@click.option("--execution-id", type=WORDS, help="The execution's id, kept as it is; made when left out.")
@click.option("--agent-type", type=MAYBE_EMPTY, required=True, help="The agent that is deployed.")
@click.option("--scope", type=MAYBE_EMPTY, help="What for, in a line; the bundle's when left out.")
@click.option("--context-token-count", type=click.IntRange(min=0), help="Tokens of what it is given to read.")
@click.option("--context-bundle", type=WORDS, metavar="FILE", help="What it is given: a bundle's file or id.")
@click.option("--model", type=MAYBE_EMPTY, help="The model asked for.")
@pass_place
def init_deployment(
    place: Place,
    session_id: str,
    execution_id: Optional[str],
    agent_type: str,
    scope: Optional[str],
    context_token_count: Optional[int],
    context_bundle: Optional[str],
    model: Optional[str],
) -> None:
    """Records that an agent is about to be deployed; prints the execution's id."""
    from orchestrator.services import tracker as service

    if _off(place):
        click.echo(execution_id or "")
        return
    session_id = place.recorded(*SESSION, session_id)
    bundle = None
    if context_bundle:
        from orchestrator.services import bundles

        bundle = bundles.load(place.con, context_bundle)
    click.echo(
        service.init_deployment(
            place.con,
            session_id,
            agent_type,
            place.now(),
            execution_id=execution_id,
            scope=scope,
            tokens=context_token_count,
            model=model,
            bundle=bundle,
        )
    )


@tracker.command("record-completion")
@click.option("--execution-id", type=WORDS, required=True, help="The execution that ended.")
@click.option("--status", type=click.Choice(["completed", "failed"]), default="completed", show_default=True)
@click.option("--final-message", type=MAYBE_EMPTY, help="The agent's last message; - reads it from standard input.")
@click.option("--deliverables", type=MAYBE_EMPTY, multiple=True, metavar="PATH,…", help="Files it left.")
@pass_place
def record_completion(
    place: Place, execution_id: str, status: str, final_message: Optional[str], deliverables: tuple[str, ...]
) -> None:
    """Records how an execution ended and what it left."""
    from orchestrator.services import tracker as service

    if final_message == "-":
        final_message = sys.stdin.buffer.read().decode("utf-8", "replace")
    if _off(place):
        return
    execution_id = place.recorded(*EXECUTION, execution_id)
    con = place.con
    fresh = service.record_completion(
        con,
        place.project,
        execution_id,
        place.now(),
        status=status,
        message=final_message,
        deliverables=filters.names(deliverables),
    )
    session, task = con.execute(
        "SELECT orchestration_id, task_id FROM executions WHERE execution_id = ?", (execution_id,)
    ).fetchone()
    if session and task:
        place.project_state(session)
    for path in filters.names(deliverables):
        if not os.path.exists(os.path.join(place.project, path)):
            click.echo(f"note: {tables.one_line(path)} is not there; it is recorded all the same.", err=True)
    click.echo(f"{execution_id}: {status}" + ("" if fresh else ", as recorded before"), err=True)


@tracker.command("complete-session")
@click.option("--session-id", type=WORDS, required=True, help="The session to close.")
@click.option("--status", type=click.Choice(["completed", "failed"]), default="completed", show_default=True)
@pass_place
def complete_session(place: Place, session_id: str, status: str) -> None:
    """Closes a session, in phase 5."""
    from orchestrator.services import tracker as service

    if _off(place):
        return
    session_id = place.recorded(*SESSION, session_id)
    left = service.complete_session(place.con, session_id, place.now(), status)
    if place.con.execute("SELECT 1 FROM tasks WHERE orchestration_id = ?", (session_id,)).fetchone():
        place.project_state(session_id)
    click.echo(f"{session_id}: {status}", err=True)
    if left:
        more = f" and {len(left) - 8} more" if len(left) > 8 else ""
        click.echo(
            f"orchestrator: still deployed in it: {', '.join(left[:8])}{more}; `orchestrator tracker "
            "record-completion` says how they ended.",
            err=True,
        )


@tracker.command("set-phase")
@click.option("--session-id", type=WORDS, required=True, help="The session.")
@click.option(
    "--phase",
    type=click.IntRange(1, 5),
    required=True,
    help="1 analyze, 2 plan, 3 execute, 4 validate, 5 confirm.",
)
@pass_place
def set_phase(place: Place, session_id: str, phase: int) -> None:
    """Notes the phase that a session is in."""
    from orchestrator.services import tracker as service

    if _off(place):
        return
    session_id = place.recorded(*SESSION, session_id)
    service.set_phase(place.con, session_id, phase, place.now())
    click.echo(f"{session_id}: phase {phase}", err=True)


@tracker.command("query")
@filters.options(OPTIONS)
@pass_place
def query(
    place: Place, orchestration: Optional[str], status: Optional[str], limit: int, form: str, **asked: Any
) -> None:
    """Lists the executions of a session, an agent type, and so on; without any of these, the latest sessions.

    Executions are listed too where the state asked for, deployed or lost, is none of a session's. Of sessions
    only --since, --until and --status are asked.
    """
    con = place.reading
    place.reconcile()
    period = {name: asked[name] for name in ("since", "until")}
    if orchestration or status in ("deployed", "lost") or any(value for name, value in asked.items() if name not in period):
        if status in ("planning", "executing"):
            raise click.BadParameter(
                f"no execution is {status}; they are {', '.join(queries.STATUSES)}.", param_hint="--status"
            )
        target = _session(place, orchestration) if orchestration else None
        rows = fitting(place, target, status=status, limit=limit + 1, **asked)
        columns: Any = EXECUTIONS
        if form in ("json", "csv"):
            rows = [queries.in_seed_names(row) for row in rows]
    else:
        rows = queries.sessions(con, status=status, limit=limit + 1, **period)
        columns = SESSIONS
    tables.emit(rows, columns, form, "Nothing fits.", limit)


def _session(place: Place, given: str) -> str:
    try:
        return place.orchestration(given)
    except OrchestratorError as refused:
        if "begins several" in str(refused):
            raise
        raise OrchestratorError(
            f"There is no session {given[:128]!r}: `orchestrator tracker query` lists those there are."
        ) from None


@tracker.command("validate")
@click.option("--scope", type=MAYBE_EMPTY, required=True, help="What the session is for, in a line.")
@click.option(
    "--context-files", type=MAYBE_EMPTY, multiple=True, metavar="SPEC,…", help="Files its agents will be given."
)
@click.option("--session-id", type=WORDS, help="The session it is for: what was found is kept with it.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@pass_place
def validate(
    place: Place, scope: str, context_files: tuple[str, ...], session_id: Optional[str], form: str
) -> None:
    """Says whether a scope and its files are fit to plan with. Exit 1 when they are not.

    Files must exist, lie in the project, hold text and fit an agent's window.
    """
    from orchestrator.services import tracker as service

    told = service.validate(place.project, scope, filters.names(context_files), place.data)
    if session_id and not _off(place):
        session_id = place.recorded(*SESSION, session_id)
        service.note_validation(place.con, session_id, told, place.now())
    if form == "json":
        click.echo(tables.dumps(told))
    elif told["files"]:
        click.echo(
            tables.table(
                ["file", "bytes", "tokens", "how"],
                [
                    [f["source"], tables.number(f["bytes"]), tables.number(f["tokens"]), f["how"]]
                    for f in told["files"]
                ],
                [1, 2],
            )
        )
        click.echo(f"{told['total_tokens']:,} tokens together")
    if told["faults"]:
        raise OrchestratorError(" ".join(told["faults"]))
    click.echo("orchestrator: the scope and its files are fit to plan with.", err=True)
