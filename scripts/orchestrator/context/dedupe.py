"""Duplicates within a bundle: what stands there already is pointed at, not sent again."""

from orchestrator.context.items import Item
from orchestrator.context.tokens import Counter


def within(items: list[Item], counter: Counter) -> None:
    """Sets what is sent of each item, and its tokens."""
    for item, (tokens, how) in zip(items, counter.count_many([i.sent for i in items]), strict=True):
        item.tokens, item.how = (tokens, how) if item.included else (0, how)
