"""Fields of a plan: one written object held against its model, what is wrong with it in sentences."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from typing import Any, Iterable

from orchestrator.edges.faults import Faults, quoted
from orchestrator.edges.plan_text import Doubled
from orchestrator.edges.schemas import Written, made

# What models write for a key, where spelling alone does not lead there.
_MEANT = {
    "after": "depends_on dependson dependencies depends needs requires blocked_by blockedby",
    "prompt": "description instructions task details",
    "title": "name summary label",
    "agent": "agent_type agenttype subagent_type type role blueprint",
    "files": "context context_files inputs",
    "writes": "outputs output deliverables creates",
    "check": "test verify validation done_when",
    "budget_tokens": "budget max_tokens tokens",
    "goal": "objective scope",
    "tasks": "subtasks steps queue plan",
}
_LIKELY = {word: key for key, words in _MEANT.items() for word in words.split()}


def known_keys(
    raw: dict[str, Any],
    model: type[Written],
    where: str,
    faults: Faults,
    at: int = -1,
    also: tuple[str, ...] = (),
) -> dict[str, Any]:
    """`raw` without the keys that the model does not have; they and doubled ones are faults."""
    known = [*model.fields, *also]
    for key in raw.keys_twice if isinstance(raw, Doubled) else ():
        faults.add(where, f"the key {quoted(key)} is written twice", "Keep one.", at)
    for key in raw:
        if key not in known and not faults.full:
            likely = _LIKELY.get(key.casefold())
            if likely not in known:
                close = difflib.get_close_matches(key[:60].casefold(), known, 1, 0.6)
                likely = close[0] if close else None
            do = (
                f"Did you mean `{likely}`?"
                if likely
                else f"Leave it out; known are {', '.join(model.fields)}."
            )
            faults.add(where, f"the key {quoted(key)} is not known", do, at)
    return {key: value for key, value in raw.items() if key in known}


def validated(
    model: type[Written], fields: dict[str, Any], where: str, faults: Faults, at: int = -1, skip: str = ""
) -> Any:
    """The model made of `fields`, or None and the faults."""
    short = {}
    for key, value in fields.items():  # a list of a million wrong entries would be a million errors
        most = model.fields[key].most if isinstance(value, list) and key in model.fields else None
        short[key] = value[: most + 1] if most is not None and len(value) > most + 1 else value
    value, errors = made(model, short)
    for error in errors:
        field = str(error["loc"][0]) if error["loc"] else ""
        if field == skip and skip:
            continue
        entry = next((f"[{part}]" for part in error["loc"][1:] if isinstance(part, int)), "")
        what, do = _sentence(model, field, entry, error, fields)
        faults.add(where, f"`{field}{entry}` {what}", do, at)
        if faults.full:
            break
    return value


def _sentence(
    model: type[Written], field: str, entry: str, error: Any, fields: dict[str, Any]
) -> tuple[str, str]:
    """(what is wrong, what to do) of one of pydantic's errors."""
    value, kind, context = error.get("input"), error["type"], error.get("ctx") or {}
    info = model.fields.get(field)
    example = json.dumps(info.example, ensure_ascii=False) if info and info.example is not None else "…"
    like = f'Write it like "{field}": {example}.'
    if kind == "missing":
        if field == "id" and isinstance(fields.get("title"), str):
            like = f'Write it like "id": "{free_id(fields["title"], ())}".'
        return "is missing", like
    if kind in ("blank", "string_too_short", "too_short"):
        return "is empty", like
    if kind == "string_too_long":
        return f"has {len(value):,} characters, more than {context['max_length']:,}", "Shorten it."
    if kind == "too_long":
        count = len(fields.get(field) or ())
        return f"has {count:,} entries, more than {context['max_length']:,}", "Name fewer."
    if kind == "control":
        return f"contains the control character U+{context['point']}", "Take it out."
    if kind == "string_unicode":
        return "contains half a character, a lone surrogate", "Write the character itself."
    if kind == "string_pattern_mismatch" and field in ("id", "after"):
        do = "Ids are lower case letters, digits, `.`, `_` and `-`, at most 64, the first a letter or digit"
        return f"is {quoted(value)}", f"{do}: {free_id(value, ())}."
    if kind in ("greater_than_equal", "less_than_equal"):
        low = kind == "greater_than_equal"
        return (
            f"is {quoted(value)}, {'less' if low else 'more'} than {context['ge' if low else 'le']:,}",
            like,
        )
    if kind == "string_pattern_mismatch" or kind == "priority":
        return f"is {quoted(value)}", f"{info.description if info else ''} For example {example}."
    wanted = {"string_type": "text", "list_type": "a list", "bool_type": "true or false"}.get(
        kind, "a whole number"
    )
    if kind not in ("string_type", "list_type", "bool_type", "int_type", "int_from_float"):
        wanted = "what belongs there"
    if entry:
        like = f"Write text there, as in {like[len('Write it like ') :]}" if kind == "string_type" else like
    return f"is {quoted(value)}, not {wanted}", like


def free_id(title: str, taken: Iterable[str]) -> str:
    """An id made of a title's letters and digits that no task has yet."""
    plain = unicodedata.normalize("NFKD", title[:200]).encode("ascii", "ignore").decode().lower()
    stem = "-".join(re.findall(r"[a-z0-9]+", plain))[:40].strip("-") or "task"
    taken, name, number = set(taken), stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name
