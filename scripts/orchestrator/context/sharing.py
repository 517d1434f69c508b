"""Sharing: which items sibling agents read first, word for word the same, so that a prompt cache can serve
them.
"""

from dataclasses import dataclass
from typing import Collection

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
    again. A task is in one group only, since a briefing has one beginning.
    """
    found: dict[str, list[str]] = {}
    for family in dict.fromkeys(w.family for w in wants):
        mine = {w.task_id: _shareable(w) for w in wants if w.family == family}
        ranked = sorted(((_value(group, mine), sorted(group)) for group in _candidates(mine)), key=_rank)
        for _, members in ranked:
            left = [task for task in members if task not in found]
            if len(left) > 1:
                common = _common(left, mine)
                keys = sorted(common, key=lambda key: (common[key].source, key))
                found.update((task, keys) for task in left)
    return found


Shareable = dict[str, Item]


def _shareable(want: Wants) -> Shareable:
    return {item.identity: item for item in want.items if item.included and item.type != "briefing"}


def _candidates(mine: dict[str, Shareable]) -> set[frozenset[str]]:
    """The sets of tasks that want some item together."""
    users: dict[str, set[str]] = {}
    for task, items in mine.items():
        for key in items:
            users.setdefault(key, set()).add(task)
    return {frozenset(tasks) for tasks in users.values() if len(tasks) > 1}


def _common(members: Collection[str], mine: dict[str, Shareable]) -> Shareable:
    """The items that all of them want."""
    smallest = min((mine[task] for task in members), key=len)
    return {key: item for key, item in smallest.items() if all(key in mine[task] for task in members)}


def _value(members: Collection[str], mine: dict[str, Shareable]) -> int:
    return (len(members) - 1) * sum(item.tokens for item in _common(members, mine).values())


def _rank(candidate: tuple[int, list[str]]) -> tuple[int, list[str]]:
    return -candidate[0], candidate[1]


def arrange(items: list[Item], keys: list[str]) -> tuple[list[Item], int]:
    """The items with the shared ones first, in the group's order, and how many those are."""
    by_key = {item.identity: item for item in items}
    first = [by_key[key] for key in keys]
    rest = set(by_key) - set(keys)
    return first + [item for item in items if item.identity in rest], len(first)
