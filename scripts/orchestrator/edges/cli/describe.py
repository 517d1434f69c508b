"""Descriptions of one thing for a person: a task, an execution, an orchestration, an output, a bundle."""

from typing import Any, Callable, Iterable, Optional

import click

from orchestrator.edges.cli import draw, tables
from orchestrator.edges.cli.executions import EXECUTIONS, AgentType, purpose, short
from orchestrator.edges.cli.lists import TASKS
from orchestrator.edges.cli.outputs import OUTPUTS
from orchestrator.edges.cli.tables import Column
from orchestrator.services.queries import USAGE, state_of

ROOM = 6000  # characters of a text that is shown beside other things
NAMES = 20  # of files shown on a line

ITEMS = (
    Column("type", lambda r: r["context_type"]),
    Column("tokens", lambda r: tables.number(r["token_count"]), right=True),
    Column("sent", lambda r: "yes" if r["included"] else "no"),
    Column("priority", lambda r: r["priority"]),
    Column("source", lambda r: r["context_source"], give=True),
    Column("why", lambda r: r["reason"], give=True),
)

SEGMENTS = (
    Column("began", lambda r: tables.lately(r["started_at"])),
    Column("ended", lambda r: tables.lately(r["ended_at"])),
    Column("status", lambda r: r["status"] or ("lost" if r["lost"] else "deployed")),
    Column("why", lambda r: r["end_reason"]),
)

TOUCHES = (
    Column("last", lambda r: tables.lately(r["last_at"])),
    Column("what", lambda r: {"write": "wrote", "read": "read"}.get(r["mode"], r["mode"])),
    Column("lines", lambda r: f"+{r['lines_added']} -{r['lines_removed']}" if r["mode"] == "write" else "", right=True),
    Column("execution", lambda r: r["execution_id"]),
    AgentType("agent", lambda r: r["agent_type"], give=True),
    Column("why", purpose, give=True),
)


def say(body: dict[str, Any], text: Callable[[dict[str, Any]], Iterable[str]], as_json: bool) -> None:
    """Prints a document, as JSON or for a person."""
    click.echo(tables.dumps(body) if as_json else tables.coloured("\n".join(text(body))))


def facts(pairs: dict[str, Any]) -> list[str]:
    """Lines of a name and a value each; what is not known is left out."""
    known = {name: tables.one_line(value) for name, value in pairs.items() if value}
    wide = max([len(name) for name in known], default=0)
    return [f"{name:<{wide}}  {value}" for name, value in known.items()]


def block(name: str, text: Optional[str], more: str) -> list[str]:
    """A text of many lines under its name, each line set in: it is data. `more` shows all of it."""
    if not text:
        return []
    shown = tables.visible(text).rstrip("\n")
    lines = ["", name, *["  " + line for line in shown[:ROOM].split("\n")]]
    return lines + ([f"  … {len(shown) - ROOM:,} characters more: {more}"] if len(shown) > ROOM else [])


def listed(name: str, columns: tuple[Column, ...], rows: list[dict[str, Any]]) -> list[str]:
    """A table under its name; nothing where there are no rows."""
    return ["", name, tables.aligned(columns, rows)] if rows else []


def counted(number: Optional[int], how: Optional[str]) -> Optional[str]:
    """A token count and how it was obtained."""
    return None if number is None else f"{number:,} ({how or 'how is not known'})"


def named(names: Iterable[Any]) -> str:
    """Names on a line, not too many."""
    every = [str(name) for name in names]
    more = f" and {len(every) - NAMES} more" if len(every) > NAMES else ""
    return ", ".join(every[:NAMES]) + more


def task(body: dict[str, Any]) -> list[str]:
    """A task."""
    spec = body["spec"] if isinstance(body["spec"], dict) else {}
    made = body["prepared"]
    lines = facts(
        {
            "task": f"{body['task_id']} of {body['orchestration_id']}",
            "title": body["title"],
            "state": body["state"],
            "agent": short(body["agent_type"]),
            "model": body["model"] or spec.get("model"),
            "after": named(body["after"]),
            "priority": body["priority"],
            "files": named(spec.get("files") or []),
            "references": named(spec.get("references") or []),
            "documents": named(spec.get("documents") or []),
            "bundle": f"{made['bundle_id']}, {made['tokens']:,} tokens ({made['how']})" if made else None,
            "writes": named(spec.get("writes") or []),
            "check": spec.get("check"),
            "budget": spec.get("budget_tokens") and f"{spec['budget_tokens']:,} tokens",
            "retries": spec.get("retries"),
            "may spawn": spec.get("may_spawn") and "yes",
            "ended": body["end_reason"],
            "error": body["error_message"],
            "with its agents": body["with_its_agents"] and _in_all(body["with_its_agents"]),
        }
    )
    lines += block("Prompt", spec.get("prompt"), f"orchestrator show {body['task_id']} --json")
    lines += listed("Executions", EXECUTIONS[:-1], body["executions"])
    done = [each for each in body["executions"] if each["status"] == "completed"] or body["executions"]
    if done:
        more = f"orchestrator show {done[0]['execution_id']} --result"
        lines += block("Result", done[0]["final_message"], more)
    return lines + listed("Outputs", OUTPUTS[1:], body["outputs"])


def execution(body: dict[str, Any]) -> list[str]:
    """An execution."""
    window = body["context_usage"] or {}
    reason = ", ".join(
        [w for w in (body["end_reason"], "concluded, not said" if body["inferred"] else "") if w]
    )
    reason = "again" if body["at_work_again"] else reason
    last, tokens = body.get("last_known") or {}, body["tokens"]
    known = body.get("known") or {}
    lines = facts(
        {
            "execution": body["execution_id"],
            "orchestration": body["orchestration_id"],
            "task": body["task_id"] and f"{body['task_id']}, attempt {body['attempt']}",
            "scope": body["scope"],
            "agent": short(body["agent_type"]),
            "agent id": body["agent_id"],
            "origin": body["origin"],
            "model": body["resolved_model"] or body["model"],
            "status": state_of(body) + (f" ({reason})" if reason else ""),
            "error": body["error_message"],
            "last known": last and f"{last['at']} {last['kind']}",
            "last call": known.get("last_call")
            and tables.one_line(known["last_call"])[:200]
            + ("" if known["answered"] else " (not answered)"),
            "deployed": body["deployed_at"],
            "again since": body["again_since"],
            "ended": None if body["at_work_again"] else body["completed_at"],
            "took": tables.span(body["seconds"]),
            "briefing": counted(body["context_token_count"], body["count_how"]),
            "bundle": body["bundle_id"],
            "tokens": counted(tokens["number"], tokens["how"]),
            "by model": len(body["usage_by_model"]) > 1
            and named(f"{u['model']} {tables.number(sum(u[name] for name in USAGE[1:]))}" for u in body["usage_by_model"]),
            "cost": _cost(body),
            "window": window and _filled(window),
            "advice": window.get("advice"),
            "refused": body["refused_calls"]
            and f"{body['refused_calls']} calls: {body['refused_names'] or ''}",
            "tools": named(f"{each['tool']} {each['calls']}" for each in body["tool_calls"]),
            "read": named(each["path"] for each in body["files"] if each["mode"] == "read"),
            "wrote": named(each["path"] for each in body["files"] if each["mode"] == "write"),
            "lines": body["files_written"]
            and f"{body['lines_added']} added, {body['lines_removed']} removed",
            "its agents": named(body["children"]),
            "with them": body.get("with_its_agents") and _in_all(body["with_its_agents"]),
        }
    )
    lines += block("Result", body["final_message"], f"orchestrator show {body['execution_id']} --result")
    if len(body["segments"]) > 1:
        lines += listed("Segments", SEGMENTS, body["segments"])
    lines += block("Last words", known.get("last_words"), f"orchestrator show {body['execution_id']} --transcript")
    lines += listed("Outputs", OUTPUTS[1:2] + OUTPUTS[4:], body["outputs"])
    return lines + listed("Context", ITEMS, body["allocations"])


def _cost(body: dict[str, Any]) -> Optional[str]:
    """What an execution cost, or why that is not known; None where it used nothing."""
    if not body["unpriced_models"]:
        return None if body["cost_usd"] is None else tables.dollars(body["cost_usd"], 0, 4)
    why = f"no price for {named(body['unpriced_models'])}" if body["cost_tracked"] else "cost_tracking is off"
    return f"{tables.dollars(body['priced_usd'], 1, 4)}, {why}"


def _filled(window: dict[str, Any]) -> str:
    """How much of its window an agent's last request filled."""
    if window["window"] is None:
        return f"{window['tokens']:,} tokens at its last request; its model's window is not known"
    return f"{window['usage_percentage']} % of {window['window']:,} at its last request"


def _in_all(used: dict[str, Any]) -> str:
    """What an execution and the agents it deployed used, in a line."""
    unpriced, unmeasured = used["unpriced_tokens"], used["unmeasured"]
    known = used["cost_usd"] is not None
    told = [
        f"{used['executions']} executions",
        counted(used["tokens"]["number"], used["tokens"]["how"]) or "tokens not known",
        tables.dollars(used["cost_usd"], unpriced + unmeasured, 4) if known else "cost not known",
        f"{tables.number(unpriced)} tokens without a price" if unpriced else "",
        f"of {tables.number(unmeasured)} no usage is known" if unmeasured else "",
    ]
    return ", ".join([part for part in told if part])


def context(body: dict[str, Any]) -> list[str]:
    """What an agent was given to read."""
    lines = facts(
        {
            "execution": f"{body['execution_id']} ({short(body['agent_type'])})",
            "deployed": body["deployed_at"],
            "bundle": body["bundle_id"],
            "briefing": counted(body["context_token_count"], body["count_how"]),
        }
    )
    return lines + (listed("Context", ITEMS, body["allocations"]) or ["", "Nothing was given to it beside its task."])


def touches(body: dict[str, Any]) -> list[str]:
    """Who touched a file, the last first."""
    return listed(f"{body['path']}, the last touch first", TOUCHES, body["touches"])[1:]


def orchestration(body: dict[str, Any]) -> list[str]:
    """An orchestration."""
    alone = [each for each in body["executions"] if not each["task_id"]]
    lines = facts(
        {
            "orchestration": body["orchestration_id"],
            "status": body["status"],
            "phase": body["phase"],
            "origin": body["origin"],
            "created": body["created_at"],
            "closed": body["completed_at"],
            "executions": len(body["executions"]),
            "with its agents": body["with_its_agents"] and _in_all(body["with_its_agents"]),
        }
    )
    lines += block("Goal", body["goal"], f"orchestrator show {body['orchestration_id']} --json")
    lines += listed("Tasks", TASKS, body["tasks"])
    return lines + listed("Agents without a task", EXECUTIONS, alone)


def output(body: dict[str, Any]) -> list[str]:
    """An output."""
    content, about = body["content"], body["metadata"]
    lines = facts(
        {
            "output": f"#{body['output_id']}",
            "type": body["output_type"],
            "execution": body["execution_id"],
            "task": body["task_id"],
            "agent": short(about["agent_type"]),
            "model": about["model"],
            "created": body["created_at"],
            "version": body["version"],
            "hash": body["content_hash"],
            "beside it": named(about["related_files"]),
        }
    )
    text = content if isinstance(content, str) else tables.dumps(content)
    return lines + block("Content", text, f"orchestrator show {body['output_id']} --json")


def bundle(body: dict[str, Any]) -> list[str]:
    """A bundle: what it held, and who got it."""
    lines = facts(
        {
            "bundle": body["bundle_id"],
            "agent": short(body["agent_type"]),
            "scope": body["scope"],
            "created": body["created_at"],
            "tokens": counted(body["total_tokens"], body.get("how", "given")),
            "left of its budget": tables.number(body["budget_remaining"]),
            "sent to": named(body["executions"]),
        }
    )
    drawing = draw.bundle_lines(body, tables.terminal_width())
    return [*lines, "", "Items", *[tables.visible(line).replace("\n", " ") for line in drawing]]
