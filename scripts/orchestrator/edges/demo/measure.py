"""Measuring the demo: what agents were given and said, and how much of it the main conversation ever held."""

from typing import NamedTuple

from orchestrator.context import tokens
from orchestrator.edges.demo.script import Script
from orchestrator.edges.scripted_model import ScriptedModel
from orchestrator.edges.scripted_request import Request, text_of

HOW = (
    "Measured in the requests that the model received: each agent's briefing as it read it, and",
    "its last words; which of these texts the main conversation's requests hold; and by how much",
    "the messages of those requests grew, before the compaction and after it.",
)


class Measured(NamedTuple):
    """Token counts, and how they were counted."""

    agents: int
    total: int  # tokens of all briefings and last words
    held: int  # tokens of those that the main conversation held, word for word
    added: int  # tokens that calls, notifications, digests and the report added to it
    requests: int  # of the main conversation
    how: str

    @property
    def kept_out(self) -> int:
        """Tokens of briefings and results that never entered the main conversation."""
        return self.total - self.held


def measure(model: ScriptedModel, script: Script) -> Measured:
    """Counts what the model received."""
    counter = tokens.Counter()
    main = [request for request in model.requests if request.main]
    texts = [*script.given.values(), *script.said.values()]
    counts = [number for number, _ in counter.count_many(texts)]
    everything = "\n".join(_messages(request) for request in main)
    held = sum(number for number, text in zip(counts, texts, strict=True) if text.strip() in everything)
    added = 0
    for first, last in _stretches(main):
        before, after = (number for number, _ in counter.count_many([_messages(first), _messages(last)]))
        added += after - before
    return Measured(len(script.given), sum(counts), held, added, len(main), counter.how)


def _stretches(main: list[Request]) -> list[tuple[Request, Request]]:
    """The first and the last request of the main conversation, before its compaction and after it."""
    stretches: list[tuple[Request, Request]] = []
    for request in main:
        if stretches and request.turn > stretches[-1][1].turn:
            stretches[-1] = stretches[-1][0], request
        else:  # fewer answers than before: most of it is forgotten
            stretches.append((request, request))
    return stretches


def _messages(request: Request) -> str:
    return "\n".join(text_of(message.get("content")) for message in request.messages)
