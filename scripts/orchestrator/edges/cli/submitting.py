"""Plans submitted: read, checked as a whole, prepared and accepted, or refused with every fault at once."""

from __future__ import annotations

import os
import sys

from orchestrator.edges.cli.tables import say
from orchestrator.errors import OrchestratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.edges.cli.place import Place

QUEUES = ("queue.json", "orchestrator-queue.json")  # the names that the founding documents gave a file of tasks


def submit(place: Place, source: str, orchestration: str | None = None, goal: str | None = None,
           driver: str | None = None, from_message: bool = False) -> None:
    """Submits the plan in a file, or on standard input for `-`, and says what was accepted."""
    from orchestrator.context import files

    text, con = _text(source), place.con
    if b"*" in text:  # patterns: git lists the files while the rest is loaded
        files.ahead(place.project)
    from orchestrator.edges.plans import find_plan, not_prepared, read_plan
    from orchestrator.edges.schemas import task_spec
    from orchestrator.services import plans
    from orchestrator.services.digest import line as shown

    if from_message:
        found = find_plan(text.decode("utf-8", "replace"))
        if found is None:
            raise OrchestratorError("There is no JSON plan in that message.")
        text = found.encode()
    target = place.unique("orchestrations", "orchestration_id", orchestration) if orchestration else plans.open_one(
        con, place.session)
    known = place.agent_types()
    settings = place.settings()
    row = con.execute("SELECT goal FROM orchestrations WHERE orchestration_id = ?", (target,)).fetchone()
    accepted, warnings = read_plan(text, project=place.project, known_agents=known,
                                   existing=plans.existing_tasks(con, target), goal=goal or (row[0] if row else None),
                                   context=lambda specs: plans.context_faults(con, place.project, target, specs, settings))
    specs = [task_spec(task, known) for task in accepted.tasks]
    try:
        done = plans.accept(con, place.project, accepted.goal, specs, orchestration_id=target, session=place.session,
                            now=place.now(), settings=settings, progress=place.progress("preparing briefings"))
    except plans.NotPrepared as refused:
        raise not_prepared(accepted.tasks, refused.faults) from None
    if driver:
        con.execute("UPDATE orchestrations SET driver = NULLIF(?, 'auto') WHERE orchestration_id = ?", (driver, done))
    place.project_state(done)
    for warning in warnings:
        say(f"note: {warning}", err=True)
    tokens, how = plans.quote(con, done)
    count = len(specs)
    say(f"PLAN ACCEPTED {done} {count} task{'s' if count != 1 else ''}, "
               f"briefings {tokens:,} tokens ({how})")
    if os.path.basename(source) in QUEUES:  # somebody may have left it here: nobody deploys it unseen
        for spec in specs:
            say(f"- {spec['id']} ({spec['agent']}): {shown(spec['title'])}")
        say("Show the user this list; when they agree, `orchestrator next` prints the calls.")
    elif not orchestration:  # a planner's plan is told to the main conversation by the digest that its end brings
        place.what_now(done)


def _text(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(8_000_000)
    try:
        with open(source, "rb") as f:
            return f.read(8_000_000)
    except OSError as problem:
        raise OrchestratorError(f"The plan {source} cannot be read: {problem.strerror}.") from problem
