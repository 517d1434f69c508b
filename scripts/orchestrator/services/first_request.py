"""First requests: what an agent's transcript says its first request to the model cost, cache and all."""

import json
from dataclasses import dataclass
from typing import Optional


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


def first_request(path: str) -> Optional[Request]:
    """The first answered request in a transcript; None when there is none to be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                found = _usage(line)
                if found:
                    return found
    except OSError:
        pass
    return None


def _usage(line: str) -> Optional[Request]:
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
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return request if request.total else None
