"""Preparation of a plan: each task's bundle, and the parts its briefing is joined from at deployment."""

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional, Sequence

from orchestrator.context import briefing, budget, dedupe, margins, parts, render, sharing
from orchestrator.context.bundle import Bundle
from orchestrator.context.clean_texts import CleanTexts
from orchestrator.context.count_cache import HistoryCache
from orchestrator.context.items import Item, Request, Shelf, gather
from orchestrator.context.kept import find_bundle, keep_bundle
from orchestrator.context.tokens import Counter
from orchestrator.errors import OrchestratorError
from orchestrator.model import plan
from orchestrator.services import bundles, calibrate
from orchestrator.store.open import writing

Progress = Callable[[int, int], None]  # (done, of): half is reading, half is fitting
NO_DOCUMENT = "no document of this name is kept here, so there is nothing to open"


@dataclass
class Prepared:
    """What was prepared for some tasks, not yet kept; nothing is kept when there are faults."""

    orchestration_id: str
    template: str
    tasks: list[dict[str, Any]] = field(default_factory=list)
    bundles: dict[str, Bundle] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)  # (task, what is wrong and what to do)
    changes: dict[str, list[str]] = field(
        default_factory=dict
    )  # by task: what differs from the last preparation
    calibrations: dict[str, Optional[margins.Calibration]] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """The faults as sentences, in the tasks' order."""
        return [f"{name}: {fault}" for name, fault in self.faults]

    def keep(self, con: Any) -> None:
        """Writes bundles, texts and parts, within the caller's transaction."""
        kept = parts.Store(con)
        for task in self.tasks:
            bundle = self.bundles[task["id"]]
            pieces, shared_hash = parts.store(kept, bundle, task, self.template)
            body = bundle.as_json()
            keep_bundle(con, body)
            con.execute(
                "INSERT OR REPLACE INTO prepared (orchestration_id, task_id, bundle_id, parts, shared_hash,"
                " tokens, how) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    self.orchestration_id,
                    task["id"],
                    body["bundle_id"],
                    pieces,
                    shared_hash or None,
                    bundle.total_tokens,
                    bundle.how,
                ),
            )


def prepare_plan(
    con: Any,
    project_root: str,
    orchestration_id: str,
    tasks: Sequence[Any],
    settings: Optional[Mapping[str, Any]] = None,
    progress: Optional[Progress] = None,
) -> list[str]:
    """Prepares and keeps the bundles of these tasks; returns a sentence for each fault, and then nothing was
    kept.

    `settings` may name `budget_tokens`, `model` and `template` (the text of the project's own, if it is
    trusted).
    """
    made = prepare(con, project_root, orchestration_id, tasks, settings, progress)
    if not made.faults:
        if con.in_transaction:
            made.keep(con)
        else:
            with writing(con):
                made.keep(con)
    return made.told


def prepare(
    con: Any,
    project_root: str,
    orchestration_id: str,
    tasks: Sequence[Any],
    settings: Optional[Mapping[str, Any]] = None,
    progress: Optional[Progress] = None,
) -> Prepared:
    """The same without keeping it, so that the slow part stands outside any transaction."""
    settings = settings or {}
    specs = [task if isinstance(task, dict) else task.model_dump() for task in tasks]
    template = settings.get("template") or render.find(render.NAME, [], here=False)
    made = Prepared(orchestration_id, template, specs)
    counter = Counter(HistoryCache(con), remember=True)
    wants = _gathered(con, project_root, orchestration_id, specs, settings, made, progress)
    calibrate.refresh(con)
    made.calibrations = {model: calibrate.known(con, model) for model in {_model(s, settings) for s in specs}}
    counter.count_many(item.text for want in wants for item in want.items)
    for want in wants:
        dedupe.measure(want.items, counter)
    shared = sharing.groups(wants)
    for place, (spec, want) in enumerate(zip(specs, wants, strict=True), 1 + len(specs)):
        try:
            made.bundles[spec["id"]] = _bundle(spec, want, shared, settings, made, counter)
        except OrchestratorError as error:
            made.faults.append((spec["id"], str(error)))
        if progress:
            progress(place, 2 * len(specs))
    if made.faults:
        order = {spec["id"]: place for place, spec in enumerate(specs)}
        made.faults.sort(key=lambda fault: order[fault[0]])
        return made
    _tell_siblings(made, shared)
    for name, bundle in made.bundles.items():
        before = _before(con, orchestration_id, name)
        if before:
            made.changes[name] = bundles.changes(before, bundle.as_json())
    return made


def _before(con: Any, orchestration_id: str, task_id: str) -> Optional[dict[str, Any]]:
    row = con.execute(
        "SELECT bundle_id FROM prepared WHERE orchestration_id = ? AND task_id = ?",
        (orchestration_id, task_id),
    ).fetchone()
    return find_bundle(con, row[0]) if row and row[0] else None


def refresh(
    con: Any,
    project_root: str,
    orchestration_id: str,
    settings: Optional[Mapping[str, Any]] = None,
    progress: Optional[Progress] = None,
) -> dict[str, list[str]]:
    """Prepares the tasks that were not deployed yet anew, if a file of one of them has changed since.

    Returns, by task, what changed. Raises OrchestratorError with every fault; then the old preparation stays.
    """
    rows = con.execute(
        "SELECT t.task_id, t.spec FROM tasks t JOIN prepared p USING (orchestration_id, task_id)"
        " WHERE t.orchestration_id = ?1 AND t.skipped_at IS NULL"
        " AND json_extract(t.spec, '$.replay_of') IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.orchestration_id = ?1 AND e.task_id = t.task_id)"
        " ORDER BY t.position",
        (orchestration_id,),
    ).fetchall()
    if not any(briefing.stale(con, project_root, orchestration_id, name) for name, _ in rows):
        return {}
    made = prepare(
        con, project_root, orchestration_id, [json.loads(spec) for _, spec in rows], settings, progress
    )
    if made.faults:
        raise OrchestratorError("The briefings stay as they were: " + " ".join(made.told))
    with writing(con):
        made.keep(con)
    return {name: changes for name, changes in made.changes.items() if changes}


def _gathered(
    con: Any,
    root: str,
    orchestration_id: str,
    specs: list[dict[str, Any]],
    settings: Mapping[str, Any],
    made: Prepared,
    progress: Optional[Progress] = None,
) -> list[sharing.Wants]:
    clean = CleanTexts(con)
    shelf = Shelf(root, clean)
    known = {row[0]: row[1] for row in _earlier(con, orchestration_id)}
    writes = {**known, **{spec["id"]: list(spec.get("writes") or []) for spec in specs}}
    waits = plan.edges(_graph(con, orchestration_id, specs))
    wants = []
    for place, spec in enumerate(specs, 1):
        before = plan.reachable(waits, spec["id"])
        pending = [glob for name in before for glob in writes.get(name, [])]
        requests = [_request(each, "file", "required") for each in spec.get("files") or []]
        requests += [_request(each, "reference", "recommended") for each in spec.get("references") or []]
        documents = [str(each) for each in spec.get("documents") or []]
        there = [each for each in documents if shelf.has(each)]
        requests += [Request(each, "document", "recommended") for each in there]
        items, faults = gather(shelf, requests, pending)
        items += [_document(each) for each in documents if each not in there]
        made.faults += [(spec["id"], fault) for fault in faults]
        wants.append(sharing.Wants(spec["id"], (str(spec.get("agent")), _model(spec, settings)), items))
        if progress:
            progress(place, 2 * len(specs))
    clean.keep()
    return wants


def _earlier(con: Any, orchestration_id: str) -> list[tuple[str, list[str]]]:
    """The tasks that are there already, each with the globs it writes."""
    rows = con.execute(
        "SELECT task_id, json_extract(spec, '$.writes') FROM tasks WHERE orchestration_id = ?",
        (orchestration_id,),
    ).fetchall()
    return [(name, json.loads(writes) if writes else []) for name, writes in rows]


def _graph(con: Any, orchestration_id: str, specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = {spec["id"] for spec in specs}
    tasks: dict[str, list[str]] = {name: [] for name, _ in _earlier(con, orchestration_id) if name not in ids}
    for name, after in con.execute(
        "SELECT task_id, after_id FROM task_dependencies WHERE orchestration_id = ?", (orchestration_id,)
    ).fetchall():
        if name in tasks:
            tasks[name].append(after)
    return [{"id": name, "after": after} for name, after in tasks.items()] + specs


def _request(each: Any, kind: str, priority: str) -> Request:
    """A file as the plan names it: its spec, or an object with a path and a priority."""
    if isinstance(each, dict):
        return Request(str(each["path"]), kind, str(each.get("priority") or priority))
    return Request(str(each), kind, priority)


def _document(name: str) -> Item:
    """A document that is no file of the project: it is named, so that the agent does not look for it."""
    return Item("document", name, "recommended", form="path", reason=NO_DOCUMENT, why_absent=NO_DOCUMENT)


def _model(spec: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    return str(spec.get("model") or settings.get("model") or "")


def _bundle(
    spec: dict[str, Any],
    want: sharing.Wants,
    shared: dict[str, list[str]],
    settings: Mapping[str, Any],
    made: "Prepared",
    counter: Counter,
) -> Bundle:
    template = made.template
    model = _model(spec, settings)
    allowed = int(spec.get("budget_tokens") or settings.get("budget_tokens") or margins.window(model))
    items, first = sharing.arrange(want.items, shared.get(want.task_id, []))
    agent_type = str(spec.get("agent") or "")
    known = made.calibrations.get(model)
    bundle = Bundle(
        agent_type, str(spec.get("title") or ""), items, allowed, model, calibration=known, shared=first
    )
    room = margins.room(model, agent_type, known)
    try:
        _fit(bundle, spec, template, counter, room)
    except budget.OverBudget:
        if not first:
            raise
        shared.pop(want.task_id)  # what is shared may be cut only in a briefing of its own
        for item in want.items:
            item.reset()
        bundle.items, bundle.shared = list(want.items), 0
        _fit(bundle, spec, template, counter, room)
    return bundle


def _fit(
    bundle: Bundle, spec: dict[str, Any], template: str, counter: Counter, room: Optional[budget.Room]
) -> None:
    """Cuts to the budget. The frame is one of the items: it grows with what it says was left out."""
    items = bundle.items

    def check(_: Any) -> Optional[str]:
        bundle.items = items
        frame = parts.count_frame(bundle, spec, template, counter)
        bundle.items = [*items, frame]
        total = bundle.total_tokens
        if total > bundle.budget:
            return f"With its frame it is {total:,} tokens ({bundle.how}), the budget is {bundle.budget:,}."
        return room(bundle.items) if room else None

    budget.fit(items, bundle.budget, counter, bundle.shared, check)


def _tell_siblings(made: Prepared, shared: dict[str, list[str]]) -> None:
    """Marks the shared items, and names in each the bundles that hold it too."""
    ids = {name: bundle.bundle_id for name, bundle in made.bundles.items()}
    for name, bundle in made.bundles.items():
        siblings = [
            ids[task]
            for task, other in made.bundles.items()
            if task != name and other.shared and shared.get(task) == shared.get(name)
        ]
        for item in bundle.items[: bundle.shared]:
            item.type, item.shared_with = "shared_context", siblings
