"""Command `show`: one thing of the history, by its id or any unique prefix."""

from typing import Any, Callable, Iterable, Optional

import click

from orchestrator.edges.cli import describe, tables
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.errors import OrchestratorError

Shown = tuple[Callable[..., dict[str, Any]], Callable[[dict[str, Any]], list[str]]]


@click.command()
@click.argument("thing", metavar="[ID]", type=WORDS, required=False)
@click.option("--last", type=WORDS, metavar="TYPE", help="The latest execution of this agent type, instead of an ID.")
@click.option("--context", is_flag=True, help="What its agent was given to read, and what was left out.")
@click.option("--briefing", is_flag=True, help="The text its agent read first, whole.")
@click.option("--result", is_flag=True, help="Its final message, or an orchestration's report, whole.")
@click.option("--transcript", is_flag=True, help="What its agent did, message by message; with --json the lines themselves.")
@click.option("--said", type=WORDS, metavar="TEXT", help="Where its transcript speaks of this, asked as history --text is.")
@click.option("--orchestration", type=WORDS, metavar="ID", help="Whose task it is.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def show(
    place: Place,
    thing: Optional[str],
    last: Optional[str],
    context: bool,
    briefing: bool,
    result: bool,
    transcript: bool,
    said: Optional[str],
    orchestration: Optional[str],
    as_json: bool,
) -> None:
    """Shows a task, an execution, an orchestration, a bundle or an output, by its id or any unique prefix.

    An output's id is its number, an execution's also its agent's id. A task of another orchestration is named
    ORCHESTRATION/TASK. With --transcript or --said, a Claude session's id names its main conversation.
    """
    from orchestrator.services import details

    if context + briefing + result + (transcript or said is not None) > 1:
        raise click.UsageError("Choose one of --context, --briefing, --result and --transcript (or --said).")
    if (thing is None) == (last is None):
        raise click.UsageError("Name one ID, or --last and an agent type.")
    con = place.reading
    place.reconcile()
    if transcript or said is not None:
        from orchestrator.services import archive

        session = archive.session_of(con, thing) if thing else None
        if session:  # a main conversation
            _transcript(archive.conversation(con, session), session, said, as_json)
            return
    target = place.orchestration(orchestration) if orchestration else None
    kind, name, home = _last(con, last, target) if last else place.find(str(thing), target or place.current())
    if context or briefing or result or transcript or said is not None:
        if kind == "task":
            kind, name = "execution", details.latest(con, str(home), name)
        if kind == "execution" and context:
            describe.say(details.context(con, name), describe.context, as_json)
        elif kind == "execution" and (transcript or said is not None):
            _transcript(archive.transcript_of(con, name), name, said, as_json)
        elif kind == "execution":
            tables.exact(details.briefing(con, name) if briefing else details.result(con, name))
        elif kind == "orchestration" and result:
            tables.exact(details.report(con, name))
        else:
            raise OrchestratorError(
                f"Only a task or an execution has a context, a briefing, a result and a transcript, {kind} {name} not."
            )
        return
    kinds: dict[str, Shown] = {
        "task": (lambda: details.task(con, str(home), name), describe.task),
        "execution": (lambda: details.execution(con, name), describe.execution),
        "orchestration": (lambda: details.orchestration(con, name), describe.orchestration),
        "output": (lambda: details.output(con, int(name)), describe.output),
        "bundle": (lambda: details.bundle(con, name), describe.bundle),
    }
    body, text = kinds[kind]
    describe.say(body(), text, as_json)


def _last(con: Any, agent_type: str, orchestration: Optional[str]) -> tuple[str, str, None]:
    """The latest execution of an agent type, as details.find names it."""
    from orchestrator.services import queries

    found = queries.executions(con, agent_type=agent_type, orchestration=orchestration, limit=1)
    if not found:
        raise OrchestratorError(f"No {agent_type[:128]} was deployed here: `orchestrator list-agents --all` lists the agents.")
    return "execution", found[0]["execution_id"], None


def _transcript(lines: Iterable[str], of: str, said: Optional[str], as_json: bool) -> None:
    """Prints what an agent did, or where it speaks of something, with the lines of its transcript."""
    from orchestrator.services import transcripts

    if as_json and said is None:
        for line in lines:
            click.echo(line, nl=False)
        return
    found = list(transcripts.told(lines) if said is None else transcripts.about(lines, said))
    if as_json:
        click.echo(tables.dumps([each._asdict() for each in found]))
        return
    for each in found:
        first, *rest = tables.visible(each.text).split("\n")
        click.echo(f"{each.line:>5}  {each.at[11:19]}  {each.who:<6}  {first}")
        for line in rest:
            click.echo(f"{'':23}  {line}")
    if not found:
        raise OrchestratorError(f"Nothing in the transcript of {of} " + ("speaks of that." if said else "was said."))
