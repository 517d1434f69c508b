"""Requests to the scripted model: a body of the Messages API, read the way a script or a test asks."""

import json
import re
import time

NOTIFICATION = "<task-notification>"
HANDED_BACK = r'<agent-message from="(.*?)">(.*?)</agent-message>'
REMINDER = "<system-reminder>"
# How the client's own questions about a conversation begin, when they come with the conversation's tools.
COMPACTION = re.compile(r"Your task is to create a detailed summary of (the|this) ")
SUGGESTION = "[SUGGESTION MODE"


class Request:
    """One request of the client.

    first_text, prompt and last_text are the words of the first user's message, of the newest one that has
    words, and of the newest one of all, without reminders and tool results. last_results are the tool results
    of that last one, as (tool_use_id, text, is_error). Since the last answer: notifications are the task
    notifications, as dicts; agent_messages are what agents handed back, as (agent_id, text).
    """

    def __init__(self, index, headers, body):
        self.index = index
        self.at = time.time()
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        self.agent_id = self.headers.get("x-claude-code-agent-id")
        self.parent_agent_id = self.headers.get("x-claude-code-parent-agent-id")
        self.claude_session_id = self.headers.get("x-claude-code-session-id")
        self.model = body.get("model", "")
        self.system = text_of(body.get("system"))
        self.messages = body.get("messages") or []
        self.tools = [tool.get("name") or tool.get("type") for tool in body.get("tools") or []]
        self.bytes = len(json.dumps(self.messages).encode())
        self.text = "\n".join([self.system] + [text_of(message.get("content")) for message in self.messages])
        self.turn = sum(message.get("role") == "assistant" for message in self.messages)
        users = [message for message in self.messages if message.get("role") == "user"]
        words = [text for text in map(_words, users) if text]
        self.first_text = words[0] if words else ""
        self.prompt = words[-1] if words else ""
        self.last_text = _words(users[-1]) if users else ""
        self.last_results = _results(users[-1]) if users else []
        news = _since_the_last_answer(self.messages)
        found = re.findall(NOTIFICATION + "(.*?)</task-notification>", news, re.DOTALL)
        self.notifications = [dict(re.findall(r"<([a-z-]+)>(.*?)</\1>", part, re.DOTALL)) for part in found]
        self.agent_messages = re.findall(HANDED_BACK, news, re.DOTALL)
        self.compaction = bool(COMPACTION.search(self.last_text))
        self.suggestion = SUGGESTION in self.last_text
        # Auto mode asks a model how harmful an action is, and stops it at the closing tag.
        self.safety_check = "</severity>" in (body.get("stop_sequences") or [])
        self.usage = {}  # what its answer is said to have used
        self.reply = None

    @property
    def auxiliary(self):
        """A question of the client's own (title, safety check, summary), not a turn of a conversation."""
        return self.compaction or self.suggestion or not self.tools

    @property
    def main(self):
        """A turn of the main conversation."""
        return self.agent_id is None and not self.auxiliary

    @property
    def conversation(self):
        """Which conversation it belongs to: an agent's id, or "main"."""
        return self.agent_id or "main"

    def __repr__(self):
        kind = "compaction" if self.compaction else "auxiliary" if self.auxiliary else self.conversation
        return "<Request %d: %s, turn %d, %r>" % (self.index, kind, self.turn, self.last_text[:60])


def text_of(content):
    """Every word of a content: texts, tool calls as JSON, results."""
    if isinstance(content, str) or content is None:
        return content or ""
    parts = []
    for block in content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind == "text":
            parts.append(block if isinstance(block, str) else block["text"])
        elif kind == "tool_use":
            parts.append("%s %s" % (block["name"], json.dumps(block["input"], ensure_ascii=False)))
        elif kind == "tool_result":
            parts.append(text_of(block.get("content")))
    return "\n".join(parts)


def _blocks(message):
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _words(message):
    """A message's own words. A notification counts as such also when the client wraps it in a reminder."""
    texts = [block["text"] for block in _blocks(message) if block.get("type") == "text"]
    return "\n".join(text for text in texts if NOTIFICATION in text or not text.lstrip().startswith(REMINDER))


def _results(message):
    return [
        (block["tool_use_id"], text_of(block.get("content")), bool(block.get("is_error")))
        for block in _blocks(message)
        if block.get("type") == "tool_result"
    ]


def _since_the_last_answer(messages):
    newest: list = []
    for message in messages:
        newest = [] if message.get("role") == "assistant" else newest + [text_of(message.get("content"))]
    return "\n".join(newest)
