"""Bundles on their own: prepared, measured, compared, turned into a briefing and recorded, without a plan."""

import os
from typing import Any, Iterable, Optional

from orchestrator.context import briefing, bundle_file, margins, parts, quoting, render
from orchestrator.context.bundle import BadItems, Bundle
from orchestrator.context.items import Request, Shelf, gather
from orchestrator.context.kept import find_bundle, keep_bundle
from orchestrator.context.replica import items_of
from orchestrator.context.tokens import Counter
from orchestrator.errors import OrchestratorError
from orchestrator.services.masks import masked, masked_id
from orchestrator.store import blobs
from orchestrator.store.open import writing


def keep(con: Any, bundle: Bundle) -> None:
    """Keeps a bundle and the text of its items in the history."""
    with writing(con):
        for item in bundle.items:
            if item.included:
                blobs.put(con, item.sent.encode("utf-8", "surrogatepass"))
        keep_bundle(con, bundle.as_json())


def load(con: Any, name: str) -> dict[str, Any]:
    """A bundle by its file, secrets in it masked, or by its id in the history."""
    if os.path.isfile(name):
        read = bundle_file.read(name)
        return {**masked(read), "bundle_id": masked_id(read["bundle_id"])}
    found = find_bundle(con, masked_id(name)) if con is not None else None
    if found is None:
        raise OrchestratorError(
            f"There is no bundle {name}: name its file, or an id that `orchestrator show` knows."
        )
    return found


def changes(before: Optional[dict[str, Any]], after: dict[str, Any]) -> list[str]:
    """What changed in the files of a bundle since it was prepared before, a sentence each."""
    if before is None:
        return []
    old = {(i["source"], tuple(i.get("sections") or [])): i for i in before["context_items"]}
    new = {(i["source"], tuple(i.get("sections") or [])): i for i in after["context_items"]}
    out = []
    for key in [*old, *(k for k in new if k not in old)]:
        name = ", ".join([key[0], *key[1]])
        if key not in new:
            out.append(f"{name} is no longer in the bundle.")
        elif key not in old:
            out.append(f"{name} is new in the bundle.")
        elif old[key].get("included", True) != new[key].get("included", True):
            gain = new[key]["token_count"] - old[key]["token_count"]
            word = "newly included" if new[key].get("included", True) else "no longer included"
            out.append(f"{name} is {word} ({gain:+,} tokens).")
        elif old[key].get("file_hash") != new[key].get("file_hash"):
            gain = new[key]["token_count"] - old[key]["token_count"]
            same = old[key].get("item_hash") == new[key].get("item_hash")
            what = "elsewhere than in what is sent" if same else f"{gain:+,} tokens"
            out.append(f"{name} has changed ({what}).")
    return out


def budget_of(bodies: Iterable[dict[str, Any]], budget: int, warn: float) -> dict[str, Any]:
    """How much of a budget some bundles take together."""
    rows = [
        {
            "bundle_id": b["bundle_id"],
            "agent_type": b["agent_type"],
            "scope": b["scope"],
            "tokens": b["total_tokens"],
            "how": b.get("how", "given"),
        }
        for b in bodies
    ]
    return _budget(rows, budget, warn)


def budget_of_session(
    con: Any, orchestration: str, phase: Optional[int], budget: int, warn: float
) -> dict[str, Any]:
    """How much of a budget an orchestration's executions were given, in all or in one phase."""
    rows = [
        {
            "execution_id": e,
            "bundle_id": b,
            "agent_type": a,
            "scope": s,
            "tokens": t or 0,
            "how": h or "given",
        }
        for e, b, a, s, t, h, p in con.execute(_EXECUTIONS, (orchestration,)).fetchall()
        if phase is None or p == phase
    ]
    return _budget(rows, budget, warn)


def bounds(
    root: str, specs: list[str], budget: Optional[int], model: str, warn: float, counter: Counter
) -> dict[str, Any]:
    """Whether files and sections of files fit a budget, nothing cut."""
    items, faults = gather(Shelf(root), [Request(spec) for spec in specs])
    if faults:
        raise BadItems(" ".join(faults))
    counts = counter.count_many(item.text for item in items)
    rows = [
        {"source": item.label, "tokens": tokens, "how": how}
        for item, (tokens, how) in zip(items, counts, strict=True)
    ]
    return _budget(sorted(rows, key=lambda row: -row["tokens"]), budget or margins.window(model), warn)


# Planning is phases 1 and 2, checking is 4, writing down is 5; all other agents work in phase 3.
_EXECUTIONS = """
SELECT e.execution_id, e.bundle_id, e.agent_type, e.scope, COALESCE(e.context_token_count, b.total_tokens),
    COALESCE(e.count_how, b.how), CASE
        WHEN e.origin = 'planner' THEN 2
        WHEN e.agent_type IN ('orchestrator:tester', 'orchestrator:reviewer') THEN 4
        WHEN e.agent_type = 'orchestrator:documenter' THEN 5
        ELSE 3 END
FROM executions e LEFT JOIN bundles b USING (bundle_id) WHERE e.orchestration_id = ? ORDER BY e.deployed_at
"""


def _budget(rows: list[dict[str, Any]], budget: int, warn: float) -> dict[str, Any]:
    total = sum(row["tokens"] for row in rows)
    share = total / budget
    state = "over" if total > budget else "warn" if share >= warn else "ok"
    return {
        "rows": rows,
        "total_tokens": total,
        "budget": budget,
        "budget_remaining": budget - total,
        "used": round(share, 4),
        "warn_threshold": warn,
        "state": state,
    }


def shared_context(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """What several bundles hold in common, as a bundle of shared_context items in the seed's form.

    Items are the same when their source and sections are, and their hashes where both have one.
    """
    users: dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]] = {}
    for body in bodies:
        for item in body["context_items"]:
            key = (item["source"], tuple(item.get("sections") or []), item.get("item_hash"))
            if item.get("included", True) and item["type"] != "briefing":
                users.setdefault(key, []).append((body["bundle_id"], item))
    items = []
    for held in users.values():
        names = list(dict.fromkeys(name for name, _ in held))
        if len(held) > 1:
            first = held[0][1]
            items.append({**first, "type": "shared_context", "shared_with": names})
    total = sum(i["token_count"] for i in items)
    copies = sum(i["token_count"] * (len(users[_key(i)]) - 1) for i in items)
    keys = [
        briefing.item_key(
            i["source"], "\x1e".join(i.get("sections") or []), i.get("form", "all"), i.get("item_hash") or ""
        )
        for i in items
    ]
    return {
        "bundle_id": briefing.bundle_id_of(["shared", *keys]),  # not that of a bundle of just these items
        "agent_type": "shared",
        "scope": "shared context of " + ", ".join(b["bundle_id"] for b in bodies),
        "created_at": max((b["created_at"] for b in bodies), default=""),
        "context_items": items,
        "total_tokens": total,
        "budget_remaining": min((b["budget_remaining"] for b in bodies), default=0),
        "bundles": [b["bundle_id"] for b in bodies],
        "duplicate_tokens": copies,
    }


def _key(item: dict[str, Any]) -> tuple[Any, ...]:
    return (item["source"], tuple(item.get("sections") or []), item.get("item_hash"))


def briefing_of(con: Any, root: str, body: dict[str, Any], template: str) -> tuple[str, list[str]]:
    """(the briefing of a bundle alone, notes). An item whose file has changed is given by its path."""
    items, notes = items_of(con, root, body)
    bundle = Bundle(body["agent_type"], body["scope"], items, int(body.get("budget") or 0))
    task = {"id": body["bundle_id"], "title": body["scope"], "prompt": body["scope"]}
    values = parts.values(bundle, task)
    blocks = ["".join(parts.head_and_body(item)) if item.included else "" for item in items]
    shared = "".join(b for b, i in zip(blocks, items, strict=True) if i.type == "shared_context")
    own = "".join(b for b, i in zip(blocks, items, strict=True) if i.type != "shared_context")
    safe = [
        {
            "type": i.type,
            "source": quoting.label(i.source),
            "label": quoting.label(i.label),
            "priority": i.priority,
            "token_count": i.tokens,
            "sections": [quoting.label(s) for s in i.sections],
            "text": block,
            "included": i.included,
            "reason": quoting.label(i.reason),
        }
        for i, block in zip(items, blocks, strict=True)
    ]
    extra = {
        "items": safe,
        "context_items": safe,
        "shared": shared,
        "context": own,
        "results": "",
        "scope": quoting.label(body["scope"]),
        "agent_type": quoting.label(body["agent_type"]),
        "bundle_id": body["bundle_id"],
        "total_tokens": body["total_tokens"],
        "budget_remaining": body["budget_remaining"],
        "created_at": body["created_at"],
    }
    return render.render(template, {**values, **extra}), notes


def record_allocation(con: Any, execution_id: str, body: dict[str, Any]) -> int:
    """Records, for an execution, each item of a bundle as included or not; once, however often said."""
    with writing(con):
        if con.execute("SELECT 1 FROM executions WHERE execution_id = ?", (execution_id,)).fetchone() is None:
            raise OrchestratorError(
                f"There is no execution {execution_id}: record its deployment first, with init-deployment."
            )
        full = {"how": "given", "budget": body["budget_remaining"] + body["total_tokens"], **body}
        keep_bundle(con, full)
        con.execute(
            "DELETE FROM allocations WHERE execution_id = ? AND bundle_id = ?",
            (execution_id, body["bundle_id"]),
        )
        con.executemany(
            "INSERT INTO allocations (execution_id, bundle_id, context_type, context_source, token_count,"
            " how, priority, included, reason, item_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    execution_id,
                    body["bundle_id"],
                    i["type"],
                    i["source"],
                    i["token_count"],
                    i.get("how", "given"),
                    i.get("priority"),
                    int(i.get("included", True)),
                    i.get("reason"),
                    i.get("item_hash"),
                )
                for i in body["context_items"]
            ],
        )
        con.execute(
            "UPDATE executions SET bundle_id = COALESCE(bundle_id, ?2), context_token_count ="
            " COALESCE(context_token_count, ?3), count_how = COALESCE(count_how, ?4) WHERE execution_id = ?1",
            (execution_id, body["bundle_id"], body["total_tokens"], full["how"]),
        )
    return len(body["context_items"])
