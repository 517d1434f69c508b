"""Transcripts told: what was said, called and answered in one, message by message, each with its line's number."""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator, NamedTuple

from orchestrator.store import words

ANSWER = 600  # characters of a tool's answer that are told; the rest is counted


class Said(NamedTuple):
    """One thing in a transcript: its line, from 1; when; who (prompt, agent, call, answer, error); the words."""

    line: int
    at: str
    who: str
    text: str


def told(lines: Iterable[str], whole: bool = False) -> Iterator[Said]:
    """What a transcript holds, in order; what is no message is passed over. `whole`: answers uncut."""
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict) or entry.get("type") not in ("user", "assistant"):
            continue
        message = entry.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        at = str(entry.get("timestamp") or "")
        for who, text in _parts(entry, content):
            if who in ("answer", "error") and len(text) > ANSWER and not whole:
                text = f"{text[:ANSWER]} … {len(text) - ANSWER:,} characters more"
            if text.strip():
                yield Said(number, at, who, text)


def _parts(entry: dict[str, Any], content: Any) -> Iterator[tuple[str, str]]:
    by_agent = entry["type"] == "assistant"
    words = "error" if entry.get("isApiErrorMessage") else "agent" if by_agent else "prompt"
    if isinstance(content, str):
        yield words, content
        return
    for block in content if isinstance(content, list) else ():
        if not isinstance(block, dict):
            continue
        kind = block.get("type")
        if kind == "text":
            yield words, str(block.get("text") or "")
        elif kind == "tool_use":
            yield "call", f"{block.get('name')} {_arguments(block.get('input'))}"
        elif kind == "tool_result":
            yield ("error" if block.get("is_error") else "answer"), _text(block.get("content"))


def _arguments(given: Any) -> str:
    """A call's arguments: a single one as it is, several as JSON."""
    if isinstance(given, dict) and len(given) == 1:
        given = next(iter(given.values()))
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _text(content: Any) -> str:
    """The words of a tool's answer."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(str(block.get("text") or f"({block.get('type')})") for block in blocks if isinstance(block, dict))


def about(lines: Iterable[str], wanted: str) -> Iterator[Said]:
    """Where a transcript speaks of something, asked as of the history's texts (store/words.py): each line that holds it.

    Where the words stand on several lines, each of these; where words in a row do, all of what was said.
    """
    each = ['"%s%s"' % (term, "" if whole else "*") for term, whole in words.terms(wanted) or ()]
    for said in told(lines, whole=True):
        if not words.holds(said.text, wanted):
            continue
        every = said.text.split("\n")
        found = [line for line in every if words.holds(line, wanted)]
        found = found or [line for line in every if any(words.holds(line, term) for term in each)] or [said.text]
        for line in found:
            yield said._replace(text=line.strip())
