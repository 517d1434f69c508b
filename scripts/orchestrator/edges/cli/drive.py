"""resume, stop: which conversation drives an orchestration, and whether anything more is deployed."""

import click

from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.errors import OrchestratorError


@click.command()
@click.argument("orchestration", required=False, type=WORDS)
@click.option("--take", is_flag=True, help="Also from another open conversation.")
@pass_place
def resume(place: Place, orchestration: str | None, take: bool) -> None:
    """Adopts an open orchestration in this conversation, or goes on with a stopped one."""
    from orchestrator.services import plans
    from orchestrator.services.turn import open_orchestrations

    if not place.session:
        raise OrchestratorError("Only a Claude Code conversation drives an orchestration: open one here and type "
                                "`/orchestrate resume`.")
    place.check_recorded()
    con = place.con
    place.reconcile()
    if orchestration:
        target = place.unique("orchestrations", "orchestration_id", orchestration)
    else:
        row = con.execute(
            "SELECT o.orchestration_id FROM claude_sessions s JOIN orchestrations o USING (orchestration_id) WHERE "
            "s.claude_session_id = ? AND o.status IN ('planning', 'executing')", (place.session,)).fetchone()
        found = [row[0]] if row else open_orchestrations(con, place.session)
        if not found:
            found = [o for o in [place.latest_open()] if o]
        if not found:
            raise OrchestratorError("No orchestration is open: `/orchestrate <goal>` begins one.")
        target = found[0]
    plans.adopt(con, target, place.session, place.now(), take)
    place.project_state(target)
    click.echo(f"RESUMED {target}")
    place.what_now(target)


@click.command()
@click.argument("orchestration", required=False, type=WORDS)
@pass_place
def stop(place: Place, orchestration: str | None) -> None:
    """Deploys nothing more; agents at work finish. `orchestrator resume` goes on."""
    from orchestrator.services import plans

    target = place.orchestration(orchestration)
    plans.pause(place.con, target, place.now())
    place.project_state(target)
    click.echo(f"STOPPED {target}: nothing more is deployed; agents at work finish. "
               "`/orchestrate resume` in Claude Code (there also `orchestrator resume`) goes on.")
