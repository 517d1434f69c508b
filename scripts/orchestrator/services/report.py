"""The report: the synthesis of one orchestration, from its rows or from files; kept, closing what ended."""

from typing import Any, Optional, Sequence

from orchestrator.context import quoting, render
from orchestrator.errors import OrchestratorError
from orchestrator.model import plan
from orchestrator.recording.graph import Graph
from orchestrator.services import outputs, queries, stats
from orchestrator.store import blobs
from orchestrator.store.open import writing

TEMPLATE = "synthesis-report.tmpl"
NOT_BEGUN = ("refused", "never_started")  # they used nothing, so nothing of theirs is unknown


def document(con: Any, orchestration: str) -> dict[str, Any]:
    """All that a report says of an orchestration, as a document; counted from rows, nothing guessed."""
    out = queries.sessions(con, orchestration=orchestration, limit=1)[0]
    head = {
        "orchestration_id": out["session_id"],
        "goal": out["scope"],
        **{name: out[name] for name in ("status", "phase", "origin", "created_at", "completed_at")},
    }
    executions = queries.executions(con, orchestration=orchestration, limit=100_000)[::-1]
    attempts: dict[Optional[str], list[dict[str, Any]]] = {}
    for each in executions:
        attempts.setdefault(each["task_id"], []).append(each)
    tasks = queries.tasks(con, orchestration)
    items = [
        _item(
            con,
            task["task_id"],
            task["title"],
            task["state"],
            task["agent_type"],
            attempts.get(task["task_id"], []),
            task["after"],
            stats.with_its_agents(con, "task", task["task_id"], orchestration),
        )
        for task in tasks
    ]
    others = [
        _item(
            con,
            each["execution_id"],
            each["scope"] or "",
            queries.state_of(each),
            each["agent_type"],
            [each],
            [],
            stats.with_its_agents(con, "execution", each["execution_id"]),
        )
        for each in attempts.get(None, [])
    ]
    states = [task["state"] for task in tasks]
    return {
        **head,
        "states": {state: states.count(state) for state in dict.fromkeys(states)},
        "executions": len(executions),
        "tokens": _sum_tokens(executions),
        "cost": _sum_costs(executions),
        "with_its_agents": stats.with_its_agents(con, "orchestration", orchestration),
        "seconds": _between(con, head["created_at"], head["completed_at"]),
        "failures": failures(items + others),
        "failed_before": [
            {"id": each["id"], "state": each["state"], **before} for each in items
            if each["state"] == "completed" for before in each["failed_before"]
        ],
        "refused": _refused(items + others),
        "graph": plan.mermaid(
            [{"id": t["task_id"], "title": t["title"], "after": t["after"]} for t in tasks],
            {t["task_id"]: t["state"] for t in tasks},
        )
        if tasks
        else "",
        "tasks": items,
        "others": others,
    }


def _item(
    con: Any,
    name: str,
    title: str,
    state: str,
    agent_type: str,
    attempts: list[dict[str, Any]],
    after: list[str],
    in_all: Optional[dict[str, Any]],
) -> dict[str, Any]:
    """One task, or one execution without a task, as the report tells it: the attempt that counts speaks."""
    done = [each for each in attempts if each["status"] == "completed"] or attempts
    last = done[-1] if done else None
    left = outputs.query(con, execution=last["execution_id"], limit=500)[::-1] if last else []
    named = {
        kind: [each["content"] for each in left if each["output_type"] == kind] for kind in outputs.TYPES
    }
    found: dict[str, Any] = {
        "id": name,
        "title": title,
        "state": state,
        "agent_type": agent_type,
        "after": after,
        "attempts": len(attempts),
        "failed_before": [
            {name: each[name] for name in ("execution_id", "attempt", "end_reason", "error_message")}
            for each in attempts
            if each["status"] == "failed" and each is not last
        ],
        "model": None,
        "execution_id": None,
        "end_reason": None,
        "seconds": None,
        "result": None,
        "error": None,
        "briefing": {"number": None, "how": None},
        "tokens": _sum_tokens(attempts),
        "cost": _sum_costs(attempts),
        "with_its_agents": in_all,
        "refused_calls": sum([each["refused_calls"] for each in attempts]),
        "refused_names": ", ".join(
            dict.fromkeys([e["refused_names"] for e in attempts if e["refused_names"]])
        ),
        "deliverables": [body["file_path"] for body in named["deliverable"]],
        "validation": outputs.validation(con, last["execution_id"]) if last else {},
        "insights": named["insight"],
        "errors": named["error"],
    }
    if last:
        found.update(
            model=last["resolved_model"] or last["model"],
            execution_id=last["execution_id"],
            end_reason=last["end_reason"],
            seconds=last["seconds"],
            result=last["final_message"],
            error=last["error_message"],
            briefing={"number": last["context_token_count"], "how": last["count_how"]},
        )
    return found


def _sum_tokens(executions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """(number, how) of several executions together; how says when not all are known, or known so well."""
    counts = [each["tokens"] for each in executions if each["end_reason"] not in NOT_BEGUN]
    known = [each for each in counts if each["number"] is not None]
    if not known:
        return {"number": None, "how": None}
    how = " and ".join(sorted({each["how"] for each in known}, reverse=True))
    return {"number": sum([each["number"] for each in known]), "how": how + _some(len(known), len(counts))}


def _sum_costs(executions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The cost of several executions together, as far as it is known, how far that is, and the tokens it leaves out."""
    parts = [each for each in executions if each["end_reason"] not in NOT_BEGUN]
    known = [each["priced_usd"] for each in parts if each["priced_usd"] is not None]
    return {
        "usd": sum(known) if known else None,
        "how": "usage" + _some(len(known), len(parts)) if known else None,
        "unpriced_tokens": sum([each["unpriced_tokens"] for each in parts]),
    }


def _some(known: int, of: int) -> str:
    return "" if known == of else f", {known} of {of} executions"


def _between(con: Any, start: Optional[str], end: Optional[str]) -> Optional[float]:
    seconds = con.execute(
        "SELECT round((julianday(?) - julianday(?)) * 86400.0, 3)", (end, start)
    ).fetchone()[0]
    return None if seconds is None else max(0.0, seconds)


def failures(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bad = [each for each in items if each["state"] in ("failed", "lost", "skipped")]
    return [
        {name: each[name] for name in ("id", "title", "state", "end_reason", "error", "attempts")}
        for each in bad
    ]


def _refused(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "id": each["id"],
            "state": each["state"],
            "calls": each["refused_calls"],
            "names": each["refused_names"],
        }
        for each in items
        if each["refused_calls"]
    ]


def text_of(body: dict[str, Any], template: str, show: dict[str, Any]) -> str:
    """The report in Markdown. `show` are the functions that make a value fit for a line, a cell, a person."""
    visible = show["visible"]  # before quoting: what is taken out must not leave a quotation's end behind
    try:
        return str(
            visible(render.render(template, {**body, **show, "quoted": lambda text: quoted(visible(text))}))
        )
    except render.BadTemplate as fault:
        raise OrchestratorError(str(fault).replace("briefing template", "report template")) from None


def quoted(text: Any) -> str:
    """A text as data: in a fence it cannot close, each line marked where it could pose as the harness."""
    body = str(text)
    if quoting.suspicious(body):
        body = quoting.lines(body)
    mark = quoting.fence(body)
    return f"{mark}\n{body.rstrip()}\n{mark}"


def open_work(con: Any, orchestration: str) -> list[str]:
    """What keeps an orchestration from being closed, in words; nothing when all its tasks have ended."""
    graph = Graph(con, orchestration)
    if not graph.tasks:
        return ["it has no tasks"]
    return [
        f"{task} ({graph.states[task].replace('_', ' ')})"
        for task in graph.of("in_flight", "lost", "ready", "waiting")
    ]


def keep(con: Any, orchestration: str, text: str, now: str, close: bool = False) -> None:
    """Keeps a report in the history, and closes the orchestration with it if its tasks have ended."""
    with writing(con):
        if close and not open_work(con, orchestration):
            con.execute(
                "UPDATE orchestrations SET status = ?2, phase = 5, completed_at = ?3, updated_at = ?3 WHERE "
                "orchestration_id = ?1 AND status IN ('planning', 'executing')",
                (orchestration, ending(con, orchestration), now),
            )
        con.execute(
            "UPDATE orchestrations SET report_hash = ?2 WHERE orchestration_id = ?1",
            (orchestration, blobs.put(con, text.encode("utf-8", "replace"))),
        )


def ending(con: Any, orchestration: str) -> str:
    """How an orchestration whose tasks have ended ends: failed when one of them did."""
    return "failed" if Graph(con, orchestration).of("failed") else "completed"


def written(
    con: Any, orchestration: str, template: str, show: dict[str, Any], now: str, close: bool = False
) -> tuple[dict[str, Any], str, list[str]]:
    """Makes and keeps the report: (document, Markdown, what is still open). `close` closes what has ended."""
    left = open_work(con, orchestration)
    body = document(con, orchestration)
    if close and not left and body["status"] in ("planning", "executing"):
        body.update(
            status=ending(con, orchestration),
            phase=5,
            completed_at=now,
            seconds=_between(con, body["created_at"], now),
        )
    text = text_of(body, template, show)
    keep(con, orchestration, text, now, close)
    return body, text, left
