"""Parts of a prepared briefing: what the hook joins at deployment, each piece of text kept under its hash."""

import json
import time
from functools import lru_cache
from typing import Any

from orchestrator.context import quoting, render
from orchestrator.context.bundle import Bundle
from orchestrator.context.items import Item
from orchestrator.context.tokens import Counter, address
from orchestrator.model.ids import content_hash
from orchestrator.model.redact import redact
from orchestrator.store import blobs

YOUNG = 2_000_000_000  # nanoseconds
OURS = ("shared context", "task", "context", "results of the tasks before this one", "left out", "contract")


_rendered: dict[tuple[str, str, str], list[str]] = {}


def texts(bundle: Bundle, task: dict[str, Any], template: str) -> list[str]:
    """The template's text around the shared items, the other items and the results: four pieces."""
    own = [item for item in bundle.items[bundle.shared :] if item.included and item.type != "briefing"]
    filled = {"results"} | ({"shared"} if bundle.shared else set()) | ({"context"} if own else set())
    given = values(bundle, task)
    key = (template, repr(given), repr(sorted(filled)))  # it is counted first, and kept unchanged later
    if key not in _rendered:
        _rendered[key] = render.cut(template, given, filled)
    return _rendered[key]


def values(bundle: Bundle, task: dict[str, Any]) -> dict[str, Any]:
    """What a template may use; all of it is made safe before, so that no template can undo a quotation."""
    out = [
        {
            "path": quoting.label(i.label),
            "reason": quoting.label(i.reason),
            "form": i.form,
            "outline": i.form == "outline",
        }
        for i in bundle.items
        if i.reason and not i.type == "briefing"
    ]
    return {
        "task": {
            "id": quoting.label(str(task.get("id") or "")),
            "title": quoting.label(str(task.get("title") or "")),
            "prompt": task_text(str(task.get("prompt") or "")),
            "agent": quoting.label(bundle.agent_type),
            "check": quoting.label(str(task.get("check") or "")),
            "writes": [quoting.label(str(w)) for w in task.get("writes") or []],
            "may_spawn": bool(task.get("may_spawn")),
        },
        "left_out": out,
        "bundle": {"budget": bundle.budget, "agent_type": quoting.label(bundle.agent_type)},
    }


def task_text(prompt: str) -> str:
    """The task as the plan words it; line by line quoted where it could be taken for the harness or for our
    headings.
    """
    text = redact(prompt.replace("\0", ""))[0].strip()
    ours = any(
        line.lstrip("# \t").casefold().startswith(OURS) for line in text.splitlines() if line.startswith("# ")
    )
    return quoting.lines(text) if ours or quoting.suspicious(text) else text + "\n"


def head_and_body(item: Item) -> tuple[str, str, str]:
    """(head, body, tail) of an item as the agent reads it."""
    notes = []
    if item.form == "outline" and item.sections != ["outline"]:
        notes.append("outline")
    if item.form == "diff":
        notes.append(f"an edited copy: what differs from {quoting.label(item.base)}, above")
    opening, body, tail = _quoted(item.sent)
    return _head(item, notes) + opening, body, tail


@lru_cache(maxsize=4096)
def _quoted(text: str) -> tuple[str, str, str]:
    """A quotation, made once: siblings share it, and it is measured before it is kept."""
    return quoting.block(text)


def _head(item: Item, notes: list[str]) -> str:
    if item.masked:
        notes = [*notes, "masked: " + ", ".join(f"{n} {kind}" for kind, n in item.masked)]
    return f"## {quoting.label(item.label)}{' (' + '; '.join(notes) + ')' if notes else ''}\n\n"


def frame(bundle: Bundle, task: dict[str, Any], template: str) -> str:
    """All that the agent reads beside the items' own text; its tokens are those of the item `briefing`."""
    heads = []
    for item in bundle.items:
        if item.included and item.type != "briefing":
            head, _, tail = head_and_body(item)
            heads.append(head + tail)
    return "".join(texts(bundle, task, template)) + "".join(heads)


class Store:
    """Blobs of one history, to which texts are given; the same text again costs nothing."""

    def __init__(self, con: Any) -> None:
        self.con = con
        self._kept: dict[str, str] = {}

    def put(self, text: str) -> str:
        """Keeps a text; returns its address."""
        if text not in self._kept:
            self._kept[text] = blobs.put(self.con, text.encode("utf-8", "surrogatepass"), address(text))
        return self._kept[text]


def store(kept: Store, bundle: Bundle, task: dict[str, Any], template: str) -> tuple[str, str]:
    """Keeps every piece; returns the parts as JSON and the hash of the shared part, "" for none."""
    before, between, after, last = texts(bundle, task, template)
    parts: list[dict[str, Any]] = []
    shared = [before] if bundle.shared else []
    _text(kept, parts, "shared", before)
    for place, item in enumerate(bundle.items):
        if place == bundle.shared:
            _text(kept, parts, "task", between)
        if not item.included or item.type == "briefing":
            continue
        head, body, tail = head_and_body(item)
        if place < bundle.shared:
            shared.append(head + body + tail)
        parts.append(_item(kept, item, place, head, body, tail))
    if bundle.shared >= len(bundle.items):
        _text(kept, parts, "task", between)
    _text(kept, parts, "context", after)
    parts.append({"kind": "results"})
    _text(kept, parts, "contract", last)
    joined = "".join(shared).encode("utf-8", "surrogatepass")
    return json.dumps(parts, ensure_ascii=False), content_hash(joined) if bundle.shared else ""


def _text(kept: Store, parts: list[dict[str, Any]], slot: str, text: str) -> None:
    if text:
        parts.append({"kind": "text", "slot": slot, "hash": kept.put(text)})


def _item(kept: Store, item: Item, place: int, head: str, body: str, tail: str) -> dict[str, Any]:
    part = {
        "kind": "item",
        "hash": kept.put(body),
        "item": place,
        "label": quoting.label(item.label),
        "tokens": item.tokens,
        "head": head,
        "tail": tail,
    }
    if item.file:
        young = (
            time.time_ns() - item.file.mtime_ns < YOUNG
        )  # it may change again within the same tick of its clock
        part.update(path=item.source, size=item.file.size, file_hash=item.file.file_hash)
        part.update(mtime_ns=0 if young else item.file.mtime_ns)
    if item.sent != body:
        kept.put(item.sent)  # what the item's hash in the bundle stands for
    if item.needs:
        opening, whole, tail = _quoted(item.text)
        part.update(needs=",".join(map(str, item.needs)), full_tokens=item.full_tokens)
        part.update(full=kept.put(whole))
        part.update(full_head=_head(item, []) + opening, full_tail=tail)
    return part


def count_frame(bundle: Bundle, task: dict[str, Any], template: str, counter: Counter) -> Item:
    """The item that stands for the frame, counted."""
    text = frame(bundle, task, template)
    tokens, how = counter.count(text)
    return Item("briefing", "task " + str(task.get("id") or ""), text=text, tokens=tokens, how=how)
