"""Sharing: which items sibling agents read first, word for word the same, so that a prompt cache can serve
them.
"""

from dataclasses import dataclass

from orchestrator.context.items import Item


@dataclass(frozen=True)
class Wants:
    """What one task needs, and its family: only agents of one type and model can share a cached prefix."""

    task_id: str
    family: tuple[str, str]
    items: list[Item]


def groups(wants: list[Wants]) -> dict[str, list[str]]:
    """{task: keys of its shared items, in the order they are sent}; tasks of one group have the same list.

    The most valuable group comes first: what a set of tasks has in common, times the siblings that read it
    again.
    """
    found: dict[str, list[str]] = {}
    for family in dict.fromkeys(w.family for w in wants):
        left = {w.task_id: w for w in wants if w.family == family}
        while len(left) > 1:
            members, keys = _best(list(left.values()))
            if not keys:
                break
            for task in members:
                found[task] = keys
                del left[task]
    return found


def _best(wants: list[Wants]) -> tuple[list[str], list[str]]:
    weight: dict[str, int] = {}
    source: dict[str, str] = {}
    users: dict[str, set[str]] = {}
    for want in wants:
        for item in want.items:
            if item.included and item.type != "briefing":
                weight[item.identity] = item.tokens
                source[item.identity] = item.source
                users.setdefault(item.identity, set()).add(want.task_id)
    best: tuple[int, list[str], list[str]] = (0, [], [])
    for members in {frozenset(tasks) for tasks in users.values() if len(tasks) > 1}:
        keys = sorted((k for k, tasks in users.items() if tasks >= members), key=lambda k: (source[k], k))
        value = (len(members) - 1) * sum(weight[k] for k in keys)
        candidate = (value, sorted(members), keys)
        if value > best[0] or (value == best[0] and candidate[1:] < best[1:]):
            best = candidate
    return best[1], best[2]


def arrange(items: list[Item], keys: list[str]) -> tuple[list[Item], int]:
    """The items with the shared ones first, in the group's order, and how many those are."""
    by_key = {item.identity: item for item in items}
    first = [by_key[key] for key in keys]
    return first + [item for item in items if item.identity not in keys], len(first)
