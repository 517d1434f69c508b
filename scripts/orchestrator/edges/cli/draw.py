"""Drawing of a bundle: where the tokens go, a bar for each item, cuts and duplicates marked. Plain text."""

from typing import Any

FULL, HALF = "█", "▌"
MARKS = {
    "pointers": "duplicates pointed at",
    "diff": "sent as a diff",
    "outline": "outline",
    "path": "not sent",
}


def bundle_lines(body: dict[str, Any], width: int = 100, plain: bool = False) -> list[str]:
    """The lines of a drawing of a bundle's JSON, at most `width` wide. `plain`: ASCII only."""
    items = body["context_items"]
    budget = body["budget_remaining"] + body["total_tokens"]
    total = max(1, body["total_tokens"])
    largest = max([i["token_count"] for i in items], default=0) or 1
    room = max(10, min(30, width - 70))
    out = []
    for item in items:
        bar = _bar(item["token_count"] / largest, room, plain)
        label = item["source"] + "".join(f", {section}" for section in item.get("sections") or [])
        note = _note(item)
        left = f"{item['token_count']:>9,} {100 * item['token_count'] / total:3.0f}% {bar} "
        out.append((left + _fit(label, note, width - len(left))).rstrip())
    how = body.get("how", "given")
    out.append(
        f"{body['total_tokens']:>9,} of {budget:,} tokens ({how}), {100 * total / max(1, budget):.1f} %"
    )
    expected = body.get("expected")
    if expected and expected["tokens"] != body["total_tokens"]:
        model = body.get("model") or "the model"
        out.append(f"{expected['tokens']:>9,} expected by {model} ({expected['how']})")
    saved = sum(_saved(item) for item in items)
    if saved:
        out.append(f"{saved:>9,} tokens less than everything in full")
    return out


def _bar(share: float, room: int, plain: bool) -> str:
    halves = round(2 * room * share)
    full, half = ("#", "") if plain else (FULL, HALF)
    drawn = full * (halves // 2) + (half if halves % 2 else "")
    return drawn.ljust(room)


def _saved(item: dict[str, Any]) -> int:
    return max(0, item.get("full_tokens", item["token_count"]) - item["token_count"])


def _note(item: dict[str, Any]) -> str:
    marks = []
    if item["type"] == "shared_context":
        marks.append(f"shared with {len(item.get('shared_with') or [])}")
    elif item["type"] != "file":
        marks.append(item["type"])
    if item.get("priority", "required") != "required":
        marks.append(item["priority"])
    if item.get("form") in MARKS and not (
        item.get("form") == "outline" and item.get("sections") == ["outline"]
    ):
        marks.append(MARKS[item["form"]])
    if _saved(item) and item.get("form") != "path":
        marks.append(f"{_saved(item):,} saved")
    if item.get("reason") and item["reason"] not in marks:
        marks.append(item["reason"])
    return "; ".join(marks)


def _fit(label: str, note: str, room: int) -> str:
    label = "".join(c if c.isprintable() else "?" for c in label)
    note = "".join(c if c.isprintable() else "?" for c in note)
    note = f"  [{note}]" if note else ""
    if len(label) + len(note) > room:
        most = max(room // 2, room - len(label))
        note = note if len(note) <= most else note[: max(0, most - 4)] + "...]"
        spare = room - len(note)
        label = label if len(label) <= spare else "..." + label[-max(1, spare - 3) :]
    return label + note
