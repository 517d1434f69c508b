"""Command `stats`: what the agents of this project did, used and cost, summed up."""

from typing import Any, Optional

import click

from orchestrator.edges.cli import filters, tables
from orchestrator.edges.cli.describe import counted, facts, listed
from orchestrator.edges.cli.executions import AgentType
from orchestrator.edges.cli.filters import WORDS
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.edges.cli.tables import Column, number


def _rate(share: Optional[float]) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _cost(row: dict[str, Any]) -> str:
    """Dollars; with a + where tokens of models without a price are left out, or executions of which no usage is known."""
    return tables.dollars(row["cost_usd"], row["unpriced_tokens"] + row["unmeasured"])


def _tokens(row: dict[str, Any]) -> str:
    """How many tokens, likewise."""
    return number(row["tokens"]["number"]) + ("+" if row["unmeasured"] and row["tokens"]["number"] else "")


def _spread(name: str, heads: tuple[str, str], shown: Any) -> list[Column]:
    """Columns of what half of them, and nine of ten, do not pass."""

    def cell(q: str) -> Any:
        return lambda r: shown(r[name][q]) if r[name] else ""

    return [Column(head, cell(q), right=True) for head, q in ((heads[0], "50"), (heads[1], "90"))]


USED = (
    Column("tokens", _tokens, right=True),
    Column("output", lambda r: number(None if r["tokens"]["number"] is None else r["output_tokens"]), right=True),
    Column("cost", _cost, right=True),
)
COUNTED = (
    Column("done", lambda r: number(r["completed"]), right=True),
    Column("failed", lambda r: number(r["failed"]), right=True),
)
TYPES = (
    AgentType("agent", lambda r: r["agent_type"], give=True),
    *COUNTED,
    Column("lost", lambda r: r["lost"] or "", right=True),
    Column("at work", lambda r: r["in_flight"] or "", right=True),
    Column("retried", lambda r: _rate(r["retry_rate"]), right=True),
    Column("read", lambda r: number(r["files_read"]), right=True),
    Column("wrote", lambda r: number(r["files_written"]), right=True),
    *USED,
)
MODELS = (Column("model", lambda r: r["model"]), *USED)
BY_DAY = (Column("day", lambda r: r["day"]), *COUNTED, *USED)
CHECKS = (
    Column("day", lambda r: r["day"]),
    Column("passed", lambda r: number(r["passed"]), right=True),
    Column("not", lambda r: number(r["not_passed"]), right=True),
    Column("rate", lambda r: _rate(r["pass_rate"]), right=True),
)
SPREAD = (
    AgentType("agent", lambda r: r["agent_type"], give=True),
    Column("model", lambda r: (r["model"] or "").replace("claude-", "", 1), give=True),
    Column("of", lambda r: r["executions"], right=True),
    *_spread("seconds", ("time, half", "9 of 10"), tables.span),
    *_spread("tokens", ("tokens, half", "9 of 10"), number),
    *_spread("cost_usd", ("cost, half", "9 of 10"), lambda dollars: f"${dollars:.3f}"),
)
BUNDLES = (
    Column("bundle", lambda r: r["bundle_id"]),
    AgentType("agent", lambda r: r["agent_type"], give=True),
    Column("tokens", lambda r: number(r["total_tokens"]), right=True),
    Column("sent to", lambda r: r["executions"], right=True),
    *COUNTED,
    Column("passed", lambda r: number(r["passed"]), right=True),
    Column("not", lambda r: number(r["not_passed"]), right=True),
    Column("scope", lambda r: r["scope"], give=True),
)


@click.command()
@click.argument("thing", metavar="[ID]", type=WORDS, required=False)
@filters.period
@click.option("--bundles", is_flag=True, help="Which bundles led to results whose checks passed.")
@click.option("--cache", is_flag=True, help="What siblings' first requests read from the prompt cache.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def stats(
    place: Place, thing: Optional[str], since: Optional[str], until: Optional[str], bundles: bool, cache: bool, as_json: bool
) -> None:
    """Sums up: agents by status and type, tokens and cost, files, rates, checks, how long and how much they take.

    Of everything, of some days (--since and --until, whole days in UTC), or of one orchestration, task or
    execution and all agents that were deployed by its agents in turn. A cost with a + leaves out tokens of
    models whose price is not known, and executions of which no usage is.
    """
    from orchestrator.services import stats as service

    if thing and (since or until or bundles) or bundles and cache:
        raise click.UsageError("Name an ID, or some days, or --bundles; --cache goes with an ID or alone.")
    con = place.reading
    place.reconcile()
    kind, name, home = _find(place, thing)
    if cache:
        from orchestrator.services import cache_stats

        found = cache_stats.groups(con, home or (name if kind == "orchestration" else None))
        click.echo(tables.dumps(cache_stats.as_json(found)) if as_json else "\n".join(cache_stats.lines(found)))
        return
    if bundles:
        rows, before = service.bundles(con, since, until)
        tables.emit(rows, BUNDLES, "json" if as_json else "table", "No bundle was sent.")
        if before:
            click.echo(
                f"orchestrator: these are the bundles of the latest {service.JUDGED:,} executions that had one; "
                f"--until {before} lists those before.",
                err=True,
            )
        return
    _say_faulty_prices(place)
    body = service.of(con, kind, name, home) if kind else service.statistics(con, since and since[:10], until and until[:10])
    click.echo(tables.dumps(body) if as_json else "\n".join(told(body)))


def _say_faulty_prices(place: Place) -> None:
    """A note for each thing that is wrong with the project's own price table: costs stand without it."""
    from orchestrator.recording import prices

    text = prices.own_table(place.project)
    for sentence in [] if text is None else prices.problems(place.reading, text):
        click.echo(tables.visible(f"note: the project's {prices.OWN}: {sentence} Nothing of that counts."), err=True)


def _find(place: Place, thing: Optional[str]) -> tuple[str, str, Optional[str]]:
    """What statistics of one thing are of; empty names where they are of everything."""
    if not thing:
        return "", "", None
    return place.find(thing, place.current())


def told(body: dict[str, Any]) -> list[str]:
    """Statistics for a person."""
    fleet, used = body["fleet"], body["usage"]
    ended = f"{number(fleet['completed'])} completed, {number(fleet['failed'])} failed"
    parts = [f"{kind} {number(each['tokens']['number'])}" for kind, each in body["by_part"].items() if each["tokens"]["number"]]
    lines = facts(
        {
            "of": body.get("of"),
            "days": (body.get("since") or body.get("until")) and f"{body.get('since') or ''} to {body.get('until') or 'now'}",
            "agents": f"{number(fleet['executions'])}: {ended}, {fleet['in_flight']} at work, {fleet['lost']} lost",
            "failed": fleet["failure_rate"] is not None and f"{_rate(fleet['failure_rate'])} of those that ended",
            "retried": _rate(fleet["retry_rate"]),
            "refused": fleet["calls"] and f"{_rate(fleet['refusal_rate'])} of {number(fleet['calls'])} tool calls",
            "files": f"{number(fleet['files_read'])} read, {number(fleet['files_written'])} written; "
            f"{number(fleet['lines_added'])} lines added, {number(fleet['lines_removed'])} removed",
            "tokens": (counted(**used["tokens"]) or "not known") + (": " + ", ".join(parts) if parts else ""),
            "cost": _cost(used),
            "unknown": used["unmeasured"]
            and f"of {number(used['unmeasured'])} of {number(fleet['executions'])} executions no usage is known",
            "checks": body.get("validation") and _checks(body["validation"]),
        }
    )
    lines += listed("By agent type", TYPES, body["by_agent_type"])
    lines += listed("By model", MODELS, body["by_model"])
    lines += listed("By day (UTC)", BY_DAY, body.get("by_day", [])) + _before(body)
    checks = body.get("validation", {})
    lines += listed("Checks by day", CHECKS, checks.get("by_day", [])) + _before(checks)
    days = " in these days" if body.get("since") or body.get("until") else ""
    return lines + listed(f"What one takes (of the latest that completed{days})", SPREAD, body.get("quantiles", []))


def _before(body: dict[str, Any]) -> list[str]:
    """A line that says where the days before those that are listed are to be had."""
    return [f"(days before: --until {body['days_before']})"] if body.get("days_before") else []


def _checks(body: dict[str, Any]) -> Optional[str]:
    if not body["passed"] + body["not_passed"]:
        return None
    return f"{number(body['passed'])} passed, {number(body['not_passed'])} not ({_rate(body['pass_rate'])})"
