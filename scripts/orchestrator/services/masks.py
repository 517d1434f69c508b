"""Secrets in what commands are given: masked before anything is looked up, hashed or kept."""

from typing import Any

from orchestrator.recording.record import clean


def masked_id(given: str) -> str:
    """An id as it is kept: one that holds a secret is masked the same way each time, and still fits in a command."""
    text = clean(given)
    return given if text == given else text.replace("[masked:", "masked-").replace("]", "")


def masked(value: Any) -> Any:
    """A value as JSON holds it, each text in it masked."""
    together = "\n".join(_texts(value))  # looked through once: hardly ever is there anything
    return value if clean(together) == together else _each(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in _texts(part)]


def _each(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _each(part) for key, part in value.items()}
    return [_each(part) for part in value] if isinstance(value, list) else value
