"""Secrets in what commands are given: masked before anything is looked up, hashed or kept."""

from typing import Any

from orchestrator.recording.record import clean


def masked_id(given: str) -> str:
    """An id as it is kept: one that holds a secret is masked the same way each time, and still fits in a command."""
    text = clean(given)
    return given if text == given else text.replace("[masked:", "masked-").replace("]", "")


def masked(value: Any) -> Any:
    """A value as JSON holds it, each text in it masked."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): masked(each) for key, each in value.items()}
    return [masked(each) for each in value] if isinstance(value, list) else value
