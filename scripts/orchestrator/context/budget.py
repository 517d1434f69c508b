"""Budgets: what gives way when a bundle is too large, and what is refused."""

from typing import Callable, Optional

from orchestrator.context import dedupe
from orchestrator.context.items import PRIORITIES, Item
from orchestrator.context.outline import outline
from orchestrator.context.tokens import Counter
from orchestrator.errors import OrchestratorError

WORTH = 0.6  # an outline is sent when it is at most this part of the whole

Room = Callable[[list[Item]], Optional[str]]  # says why the model itself could not take these items


class OverBudget(OrchestratorError):
    """The required context does not fit; the text names the largest items and what to do."""


def fit(
    items: list[Item], allowed: int, counter: Counter, locked: int = 0, room: Optional[Room] = None
) -> None:
    """Makes the items fit: optional ones give way before recommended ones, the largest first, each first to
    its outline and then to its path. The first `locked` items stay as they are. Raises OverBudget when
    nothing is left to give.
    """
    dedupe.within(items, counter)
    fits = _fits(allowed, room)
    if fits(items):
        return
    for priority in reversed(PRIORITIES[1:]):
        for step in (_to_outline, _to_path):
            for item in sorted(items[locked:], key=lambda i: -i.tokens):
                if (
                    item.priority == priority
                    and item.included
                    and item.type != "briefing"
                    and step(item, counter)
                ):
                    dedupe.within(items, counter)
                    if fits(items):
                        _give_back(items, locked, counter, fits)
                        return
    raise OverBudget(_refusal(items, allowed, room))


def _fits(allowed: int, room: Optional[Room]) -> Callable[[list[Item]], bool]:
    return lambda items: sum(i.tokens for i in items) <= allowed and not (room and room(items))


def _to_outline(item: Item, counter: Counter) -> bool:
    if item.form in ("outline", "path"):
        return False
    short = outline(item.source, item.text) if not item.sections else None
    if short is None or counter.count(short)[0] > WORTH * counter.count(item.text)[0]:
        return False
    item.form, item.sent, item.needs = "outline", short, []
    item.reason = "over budget: signatures and first docstring lines only"
    return True


def _to_path(item: Item, counter: Counter) -> bool:
    item.form, item.sent, item.needs, item.tokens = "path", "", [], 0
    item.reason = "over budget: read it when you need it"
    return True


def _give_back(items: list[Item], locked: int, counter: Counter, fits: Callable[[list[Item]], bool]) -> None:
    """Cutting the largest first may leave room for smaller ones that were cut before it: they come back."""
    cut = [i for i in items[locked:] if i.reason.startswith("over budget")]
    for item in sorted(cut, key=lambda i: (PRIORITIES.index(i.priority), counter.count(i.text)[0])):
        before = (item.form, item.sent, item.reason)
        item.reset()
        dedupe.within(items, counter)
        if fits(items):
            continue
        if before[0] == "path" and _to_outline(item, counter):
            dedupe.within(items, counter)
            if fits(items):
                continue
        item.form, item.sent, item.reason = before
        dedupe.within(items, counter)


def _refusal(items: list[Item], allowed: int, room: Optional[Room]) -> str:
    kept = sorted((i for i in items if i.included), key=lambda i: -i.tokens)
    total = sum(i.tokens for i in kept)
    largest = "; ".join(f"{i.label} {i.tokens:,}" for i in kept[:5])
    why = (room(items) if room and total <= allowed else None) or (
        f"What is required is {total:,} tokens ({kept[0].how}), the budget is {allowed:,}."
    )
    return (
        f"{why} Largest: {largest}. Name sections of them (path#Heading, path::symbol, path:10-40) or their "
        "outlines (path::*), give some as references, split the task, or raise its budget_tokens."
    )
