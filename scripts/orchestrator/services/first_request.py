"""First requests: what an agent's transcript says its first request to the model cost, cache and all."""

import json
import os
from dataclasses import dataclass
from typing import Any, Iterable, Optional

from orchestrator.errors import OrchestratorError
from orchestrator.services import archive

FETCH = "orchestrator brief "  # what a workflow's agent runs first


@dataclass(frozen=True)
class Request:
    """The input tokens of one request, by how they were had."""

    model: str
    fresh: int
    written: int
    read: int

    @property
    def total(self) -> int:
        """All input tokens."""
        return self.fresh + self.written + self.read


def of_execution(con: Any, execution: str, path: Optional[str], workflow: bool = False) -> Optional[Request]:
    """The same of an execution whose transcript lies at a path, or in the archive when Claude Code has deleted it."""
    if path and os.path.exists(path):
        return first_request(path, workflow)
    try:
        return _first(archive.transcript_of(con, execution), workflow)
    except OrchestratorError:
        return None


def first_request(path: str, workflow: bool = False) -> Optional[Request]:
    """The first answered request in a transcript that held the briefing; None when there is none to be read.

    A `workflow`'s agent fetches its briefing with its first answer: the request after that one is meant.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return _first(f, workflow)
    except OSError:
        return None


def _first(lines: Iterable[str], workflow: bool) -> Optional[Request]:
    held: Optional[tuple[str, Request]] = None
    fetching = ""  # the answer that fetches the briefing; a transcript has a line for each of its blocks
    for line in lines:
        found = _usage(line)
        if found is None or found[0] == fetching:
            continue
        message, request = found
        if not workflow:
            return request
        if not fetching and FETCH in line:
            fetching, held = message, None
        elif held is None:
            held = found
        if held and (fetching or held[0] != message):
            break
    return held[1] if held else None


def _usage(line: str) -> Optional[tuple[str, Request]]:
    """(the id of an answer, what its request used)."""
    if '"usage"' not in line:
        return None
    try:
        row = json.loads(line)
        message = row["message"]
        if row.get("type") != "assistant" or row.get("isApiErrorMessage"):
            return None
        usage = message["usage"]
        request = Request(
            str(message.get("model") or ""),
            int(usage.get("input_tokens") or 0),
            int(usage.get("cache_creation_input_tokens") or 0),
            int(usage.get("cache_read_input_tokens") or 0),
        )
        return (str(message.get("id") or ""), request) if request.total else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
