"""Bundle files: the seed's JSON, read with every fault told."""

import json
from typing import Any

from orchestrator.context.items import PRIORITIES, TYPES
from orchestrator.errors import OrchestratorError

TEXTS = ("bundle_id", "agent_type", "scope", "created_at")
NUMBERS = ("total_tokens", "budget_remaining")


class NotABundle(OrchestratorError):
    """The file is not a bundle; the text lists what is wrong with it."""


def read(path: str) -> dict[str, Any]:
    """The bundle in a file."""
    try:
        with open(path, encoding="utf-8") as f:
            body = json.load(f)
    except OSError as error:
        raise NotABundle(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise NotABundle(f"{path} is not JSON.") from None
    wrong = faults(body)
    if wrong:
        raise NotABundle(f"{path} is not a bundle: {'; '.join(wrong[:8])}.")
    assert isinstance(body, dict)
    return body


def faults(body: Any) -> list[str]:
    """What keeps a value from being a bundle."""
    if not isinstance(body, dict):
        return ["it is not an object"]
    out = [f"{key} is missing or no text" for key in TEXTS if not isinstance(body.get(key), str)]
    out += [f"{key} is missing or no whole number" for key in NUMBERS if not _whole(body.get(key))]
    items = body.get("context_items")
    if not isinstance(items, list):
        return [*out, "context_items is missing or no list"]
    for place, item in enumerate(items):
        out += [f"context_items[{place}]: {fault}" for fault in _item_faults(item)]
    if not out and sum(i["token_count"] for i in items) != body["total_tokens"]:
        out.append("total_tokens is not the sum of its items")
    return out


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _item_faults(item: Any) -> list[str]:
    if not isinstance(item, dict):
        return ["it is not an object"]
    out = []
    if item.get("type") not in TYPES:
        out.append(f"type is none of {', '.join(TYPES)}")
    if not isinstance(item.get("source"), str) or not item.get("source"):
        out.append("source is missing")
    if not _whole(item.get("token_count")) or item["token_count"] < 0:
        out.append("token_count is no whole number")
    if item.get("priority", "required") not in PRIORITIES:
        out.append(f"priority is none of {', '.join(PRIORITIES)}")
    for key in ("sections", "shared_with"):
        value = item.get(key, [])
        if not isinstance(value, list) or any(not isinstance(x, str) for x in value):
            out.append(f"{key} is no list of texts")
    return out
