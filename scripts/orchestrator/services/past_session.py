"""Past session: what a conversation's and its agents' transcripts tell, read line by line: calls, answers, ends.

Facts of both pinned clients: an agent's lines need not be in the order of their times; a line that a fork copied keeps
its time and ids; only the main conversation's answers carry `toolUseResult`.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, Iterator, Optional

from orchestrator.paths import readable
from orchestrator.recording.payload import mend
from orchestrator.recording.transcript import INTERRUPTED
from orchestrator.services.past import Found, text

AGENT = ("Agent", "Task")
CALLS = (*AGENT, "TaskStop", "SendMessage", "Workflow", "SubagentHandback")
_KINDS = re.compile(rb'"type": ?"(?:user|assistant|queue-operation)"')  # so that the rest need not be read as JSON
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_NOTE = "<tools-used-before-summary>"  # the client's own words before an agent's


class Call:
    """A tool call that bears on agents: its id, time, tool, arguments, the agent that made it (None: the conversation),
    its turn; and what came back: when, whether an error, the words, the client's own account."""

    def __init__(self, call: str, at: str, tool: str, given: dict[str, Any], parent: Optional[str], prompt: Optional[str]):
        self.call, self.at, self.tool, self.given, self.parent, self.prompt = call, at, tool, given, parent, prompt
        self.answered: Optional[str] = None
        self.error, self.words = False, ""
        self.result: dict[str, Any] = {}


class Stretch:
    """One stretch of an agent's work, begun by its call or a message: its turn, times, and what it ends with
    (end_turn, unfinished, stopped, api_error, as recording/transcript.tail has it), its last words, an API failure's class and
    words."""

    def __init__(self, at: str):
        self.prompt: Optional[str] = None
        self.began, self.last, self.how = at, "", "unfinished"
        self.text: Optional[str] = None
        self.text_at = ""
        self.model: Optional[str] = None
        self.error: Optional[str] = None
        self.failure: Optional[str] = None


class Session:
    """What was read; `agents` are the stretches by agent."""

    def __init__(self) -> None:
        self.began = self.ended = ""
        self.cwd: Optional[str] = None
        self.version: Optional[str] = None
        self.mode: Optional[str] = None
        self.model: Optional[str] = None
        self.calls: dict[str, Call] = {}
        self.agents: dict[str, list[Stretch]] = {}


def read(found: Found) -> Session:
    """Reads a session's transcripts. One that is gone or cut off tells what it tells."""
    session = Session()
    turn: Optional[str] = None
    for entry in entries(found.path):
        turn = text(entry.get("promptId")) or turn
        _main(session, entry)
        _calls(session, entry, None, turn)
    for agent, path in found.files:
        stretches = session.agents.setdefault(agent, [])  # the client may have gone on with it in another file
        for entry in entries(path):
            stretch = _stretch(stretches, entry)
            _calls(session, entry, agent, stretch.prompt)
    return session


def entries(path: str) -> Iterator[dict[str, Any]]:
    """A transcript's messages and notifications that have a time; one line at a time is held."""
    try:
        with readable(path, "rb") as f:
            for line in f:
                if _KINDS.search(line):
                    try:
                        entry = json.loads(mend(line.decode("utf-8", "replace")))
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(entry, dict) and _moment(entry.get("timestamp")):
                        yield entry
    except OSError:
        return


def _moment(at: object) -> bool:
    """Whether this is a time as the history writes it, which the client does too: one that SQLite reads as well."""
    if not isinstance(at, str) or not _MOMENT.fullmatch(at):
        return False
    try:
        datetime.fromisoformat(at[:-1])
    except ValueError:
        return False  # the 31st of November
    return True


def _main(session: Session, entry: dict[str, Any]) -> None:
    """The conversation's own facts."""
    at = entry["timestamp"]
    session.began = min(session.began or at, at)
    session.ended = max(session.ended, at)
    session.cwd = session.cwd or text(entry.get("cwd"))
    session.version = text(entry.get("version")) or session.version
    session.mode = text(entry.get("permissionMode")) or session.mode
    message = entry.get("message")
    if entry.get("type") == "assistant" and isinstance(message, dict) and message.get("model") != "<synthetic>":
        session.model = text(message.get("model")) or session.model


def _blocks(entry: dict[str, Any]) -> list[dict[str, Any]]:
    message = entry.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _calls(session: Session, entry: dict[str, Any], agent: Optional[str], turn: Optional[str]) -> None:
    """Keeps the calls that bear on agents, and what came back of them."""
    for block in _blocks(entry):
        kind = block.get("type")
        if kind == "tool_use" and block.get("name") in CALLS and text(block.get("id")):
            given = block.get("input")
            call = Call(block["id"], entry["timestamp"], block["name"], given if isinstance(given, dict) else {}, agent, turn)
            session.calls.setdefault(call.call, call)
        elif kind == "tool_result":
            known = session.calls.get(str(block.get("tool_use_id")))
            if known is not None and known.answered is None:
                known.answered, known.error = entry["timestamp"], block.get("is_error") is True
                known.words = _words(block.get("content"))
                result = entry.get("toolUseResult")
                known.result = result if isinstance(result, dict) else {}


def _words(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = [block.get("text") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return "\n".join(each for each in texts if isinstance(each, str) and not each.lstrip().startswith(_NOTE))


def resumed(call: Call) -> Optional[str]:
    """The agent that an agent's message put to work again: of its calls only the words that it was answered are written."""
    try:
        said = json.loads(call.words)
    except (ValueError, RecursionError):
        return None
    return text(said.get("resumedAgentId")) if isinstance(said, dict) else None


def returned_text(call: Call) -> str:
    """What a foreground agent gave back; empty for a nested one, whose answer is only the client's framed words."""
    return _words(call.result.get("content")) if call.result else ""


def launched(call: Call) -> bool:
    """Whether the words that a nested call came back with say that its agent runs on. A report names it too, at its end."""
    return "agentId: " in call.words[:600] and "(use SendMessage with to: " not in call.words


def _answers(entry: dict[str, Any]) -> bool:
    """Whether an entry answers a call: it begins no stretch, though 2.1.197 gives it the turn that came with /clear."""
    return any(block.get("type") == "tool_result" for block in _blocks(entry))


def _stretch(stretches: list[Stretch], entry: dict[str, Any]) -> Stretch:
    """The stretch of an agent that an entry is of, made when it begins one; brought up to date by it."""
    at, prompt, message = entry["timestamp"], None, entry.get("message")
    if entry.get("type") == "user":
        prompt = text(entry.get("promptId"))
    found = None
    if prompt:
        found = next((each for each in stretches if each.prompt == prompt), None)
        if found is None and stretches and stretches[-1].prompt is None:
            found = stretches[-1]  # its first lines stood before the prompt
    if found is None and stretches and (not prompt or _answers(entry)):
        found = next((each for each in reversed(stretches) if each.began <= at), stretches[0])
    if found is None:
        found = Stretch(at)
        stretches.append(found)
    found.prompt, found.began = found.prompt or prompt, min(found.began, at)
    if at >= found.last and isinstance(message, dict):
        found.last = at
        if entry["type"] == "user":  # a call may be the end: one that hands over a result
            broken = any(str(block.get("text")).startswith(INTERRUPTED) for block in _blocks(entry)[:1])
            found.how = "end_turn" if entry.get("toolEndsTurn") is True else "stopped" if broken else "unfinished"
        elif entry.get("isApiErrorMessage"):
            found.how, found.error = "api_error", text(entry.get("error"))
        else:
            found.how = "unfinished" if message.get("stop_reason") == "tool_use" else "end_turn"
            found.model = text(message.get("model")) or found.model
    words = [block["text"] for block in _blocks(entry) if block.get("type") == "text" and text(block.get("text"))]
    if words and entry["type"] == "assistant" and entry.get("isApiErrorMessage"):
        found.failure = "\n".join(words)
    elif words and entry["type"] == "assistant" and at >= found.text_at:
        found.text, found.text_at = "\n".join(words), at
    return found
