"""Items of a bundle that was prepared before: their texts from the history, or from the files if they are
unchanged.
"""

from typing import Any, Optional

from orchestrator.context import sections
from orchestrator.context.files import Unreadable
from orchestrator.context.items import Item, Request, Shelf, gather
from orchestrator.context.tokens import text_hash
from orchestrator.store import blobs

CHANGED = "changed since the bundle was prepared"


def items_of(con: Any, root: str, body: dict[str, Any]) -> tuple[list[Item], list[str]]:
    """(the items, notes on what could not be given as it was)."""
    shelf = Shelf(root)
    out: dict[int, Item] = {}  # by place in the bundle, as pointers name them
    notes = []
    for place, entry in enumerate(body["context_items"]):
        if entry["type"] == "briefing":
            continue
        item, why = _item(con, shelf, entry)
        if not why and any(out[n].form == "path" for n in item.needs if n in out):
            item, why = _whole(shelf, item)  # what it points at is not given: it is given in full
        if why:
            notes.append(f"{entry['source']} is {why}; its path is given instead.")
        out[place] = item
    return list(out.values()), notes


def _whole(shelf: Shelf, item: Item) -> tuple[Item, str]:
    found = _gathered(shelf, item.type, item.source, item.sections)
    if found is None:
        return Item(
            item.type, item.source, item.priority, item.sections, form="path", reason=CHANGED
        ), CHANGED
    found.priority = item.priority
    return found, ""


def _item(con: Any, shelf: Shelf, entry: dict[str, Any]) -> tuple[Item, str]:
    kind, source = entry["type"], entry["source"]
    priority = entry.get("priority", "required")
    names = list(entry.get("sections") or [])
    if not entry.get("included", True):
        return Item(kind, source, priority, names, form="path", reason=entry.get("reason", "")), ""
    try:
        if entry.get("file_hash") and shelf.source(source, False).file_hash != entry["file_hash"]:
            return Item(kind, source, priority, names, form="path", reason=CHANGED), CHANGED
    except Unreadable as error:
        return Item(kind, source, priority, names, form="path", reason=str(error)), "not readable"
    text, form = _kept(con, entry.get("item_hash")), entry.get("form", "all")
    if text is None and form in ("pointers", "diff", "outline") and entry.get("file_hash"):
        return _whole(shelf, Item(kind, source, priority, names))  # the file is the same, what was sent not kept
    if text is None:
        text = _again(shelf, kind, source, names, entry)
        if text is None:
            return Item(kind, source, priority, names, form="path", reason=CHANGED), CHANGED
    masked = [(m["kind"], m["count"]) for m in entry.get("masked") or []]
    return Item(
        kind,
        source,
        priority,
        names,
        text,
        form=form,
        tokens=entry["token_count"],
        how=entry.get("how", "given"),
        reason=entry.get("reason", ""),
        masked=masked,
        needs=list(entry.get("needs") or []),
        base=entry.get("diff_against") or "",
    ), ""


def _kept(con: Any, digest: Any) -> Any:
    if con is None or not isinstance(digest, str):
        return None
    try:
        return blobs.get(con, digest).decode("utf-8", "surrogatepass")
    except KeyError:
        return None


def _again(shelf: Shelf, kind: str, source: str, names: list[str], entry: dict[str, Any]) -> Any:
    """The item cut anew; only if it comes out as the bundle says."""
    found, digest = _gathered(shelf, kind, source, names), entry.get("item_hash")
    return found.text if found and (digest is None or text_hash(found.sent) == digest) else None


def _gathered(shelf: Shelf, kind: str, source: str, names: list[str]) -> Optional[Item]:
    specs = [_spec(source, name) for name in names] or [source]
    items, faults = gather(shelf, [Request(spec, kind) for spec in specs])
    return items[0] if len(items) == 1 and not faults else None


def _spec(source: str, name: str) -> str:
    if name == "outline":
        return source + "::" + sections.OUTLINE
    if name.startswith("lines "):
        return source + ":" + name[6:]
    return source + ("#" if source.lower().endswith((".md", ".markdown", ".rst", ".txt")) else "::") + name
