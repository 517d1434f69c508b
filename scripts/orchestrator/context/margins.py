"""Margins: what our counts become in a model's own tokens, and how much a model can take."""

from typing import Callable, Optional

DEFAULT_WINDOW = 200_000


def window(model: str) -> int:
    """The context window of a model, or the default where it is not known."""
    return DEFAULT_WINDOW


def expected(model: str, items: list[tuple[str, int]]) -> tuple[int, str]:
    """(tokens as the model will count them, how that is known)."""
    return sum(tokens for _, tokens in items), "as counted"


def room(model: str) -> Optional[Callable]:
    """A check that the model itself can take a list of items."""
    return None
