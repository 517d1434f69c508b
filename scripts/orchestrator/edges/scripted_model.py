"""Scripted model: a loopback server that speaks the Messages API, for `orchestrator demo` and the tests with the real client.

    with ScriptedModel(Play().when("add CSV", call("Agent", description="d", prompt="p"), say("done"))) as model:
        ...  # run a client with ANTHROPIC_BASE_URL=model.url
        model.requests

It sends nothing anywhere, and its token counts follow from the bytes of each request, so that they can be compared later.
"""
import json
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BYTES_PER_TOKEN = 4
# What the client's own side questions say; everything else with tools and a prompt is a conversation.
COMPACTION_MARKS = ("create a detailed summary of", "Your task is to create a detailed summary")
SUGGESTION_MARKS = ("[SUGGESTION MODE",)
REMINDER = "<system-reminder>"
NOTIFICATION = "<task-notification>"


class Reply:
    """One answer of the model: text and tool calls, or an error; how long it takes; what it is said to have used."""

    def __init__(self, *blocks, delay=0.0, usage=None, stop_reason=None, error=None):
        self.blocks = [say_block(block) if isinstance(block, str) else block for block in _flat(blocks)]
        self.delay = delay
        self.usage = usage
        self.stop_reason = stop_reason or (
            "tool_use" if any(block["type"] == "tool_use" for block in self.blocks) else "end_turn"
        )
        self.error = error

    def after(self, seconds):
        """The same answer, that many seconds later."""
        self.delay = seconds
        return self


def say_block(text):
    return {"type": "text", "text": text}


def say(*texts, **options):
    """An answer in words."""
    return Reply(*texts, **options)


def call(tool, tool_use_id=None, **arguments):
    """One tool call, to be sent alone or with other blocks in a Reply. Unless given, its id is made when it is sent."""
    return {"type": "tool_use", "id": tool_use_id, "name": tool, "input": arguments}


def fail(status, kind, message, retry=False, delay=0.0):
    """An API error, as `fail(500, "api_error", "out of order")`. The client is told not to retry unless `retry`."""
    return Reply(error=(status, kind, message, retry), delay=delay)


class Request:
    """One request of the client, read the way a test asks about it."""

    def __init__(self, index, headers, body):
        self.index = index
        self.at = time.time()
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        self.agent_id = self.headers.get("x-claude-code-agent-id")
        self.parent_agent_id = self.headers.get("x-claude-code-parent-agent-id")
        self.claude_session_id = self.headers.get("x-claude-code-session-id")
        self.model = body.get("model", "")
        self.system = _text(body.get("system"))
        self.messages = body.get("messages") or []
        self.tools = [tool.get("name") or tool.get("type") for tool in body.get("tools") or []]
        self.bytes = len(json.dumps(self.messages).encode())
        users = [message for message in self.messages if message.get("role") == "user"]
        self.first_text = next((text for text in map(_prompt, users) if text), "")
        self.prompt = next((text for text in map(_prompt, reversed(users)) if text), "")
        self.last_text = _prompt(users[-1]) if users else ""
        self.last_results = _results(users[-1]) if users else []
        self.text = self.system + "\n" + "\n".join(_text(message.get("content")) for message in self.messages)
        self.notifications = _notifications(self.messages)
        self.turn = sum(message.get("role") == "assistant" for message in self.messages)
        self.compaction = any(mark in self.last_text for mark in COMPACTION_MARKS)
        # A side question is asked without tools (titles, topics, quota), or at the end of a copy of the conversation.
        self.auxiliary = (
            self.compaction or not self.tools or any(mark in self.last_text for mark in SUGGESTION_MARKS)
        )
        self.main = self.agent_id is None and not self.auxiliary
        self.usage = None
        self.reply = None

    @property
    def conversation(self):
        """Which conversation it belongs to: an agent's id, or "main"."""
        return self.agent_id or "main"

    def __repr__(self):
        kind = "compaction" if self.compaction else "auxiliary" if self.auxiliary else self.conversation
        return "<Request %d %s turn %d %r>" % (self.index, kind, self.turn, self.last_text[:60])


class Play:
    """A script: the first rule that fits answers, each agent and the main conversation going through its replies on their own."""

    def __init__(self, otherwise=None):
        self.rules = []
        self.otherwise = otherwise
        self.at = {}
        self.lock = threading.Lock()

    def when(self, condition, *replies):
        """Answer with `replies` in turn (the last one again and again) when the condition holds.

        A text holds when it is part of the first or of the newest prompt of a conversation; a function is given every request,
        side questions too. A reply may itself be a function of the request.
        """
        self.rules.append((condition, replies))
        return self

    def __call__(self, request):
        for number, (condition, replies) in enumerate(self.rules):
            if _holds(condition, request):
                with self.lock:
                    step = self.at.get((number, request.conversation), 0)
                    self.at[number, request.conversation] = step + 1
                reply = replies[min(step, len(replies) - 1)]
                return reply(request) if callable(reply) else reply
        return None if request.auxiliary else self.otherwise


def _holds(condition, request):
    if callable(condition):
        return condition(request)
    return not request.auxiliary and (condition in request.first_text or condition in request.prompt)


class ScriptedModel:
    """The server: `with ScriptedModel(play) as model`, then `model.url` and `model.requests`."""

    def __init__(self, play=None):
        self.play = play or Play()
        self.lock = threading.Lock()
        self.seen = []
        self.sent = {}  # conversation -> the pieces its last request was made of
        self.faults = []  # exceptions of the play itself: a test looks here first
        self.tag = os.urandom(3).hex()  # ids must differ between two servers: a resumed session has messages of both
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def requests(self):
        """Every request so far, in the order of arrival."""
        with self.lock:
            return list(self.seen)

    def answer(self, headers, body):
        """The request, recorded, and the Reply to it."""
        with self.lock:
            request = Request(len(self.seen), headers, body)
            self.seen.append(request)
            request.usage = self._usage(request)
        try:
            reply = self.play(request)
        except Exception as error:  # a broken script must show up in the test, not hang the client
            self.faults.append(error)
            reply = fail(400, "invalid_request_error", "the play failed: %r" % (error,))
        if reply is None:
            reply = Reply(_plain_answer(request))
        elif not isinstance(reply, Reply):
            reply = Reply(reply)
        request.reply = reply
        return request, reply

    def _usage(self, request):
        """Tokens of a request: what the conversation had sent before is read from the cache, its newest message is input."""
        body = request.body
        pieces = [_bare(body.get("tools") or []), _bare(body.get("system") or [])] + [_bare(m) for m in request.messages]
        key = (request.claude_session_id, request.conversation, request.model, request.auxiliary)
        before, known = self.sent.get(key, []), 0
        while known < min(len(before), len(pieces) - 1) and before[known] == pieces[known]:
            known += 1
        self.sent[key] = pieces
        sizes = [len(piece.encode()) // BYTES_PER_TOKEN for piece in pieces]
        return {
            "input_tokens": sizes[-1] + 1,
            "cache_creation_input_tokens": sum(sizes[known:-1]),
            "cache_read_input_tokens": sum(sizes[:known]),
        }


def _plain_answer(request):
    """What a side question, or a request nobody scripted, gets."""
    if request.compaction:
        return "<summary>A summary of the conversation so far.</summary>"
    if "title" in request.system and not request.tools:
        return '{"title": "A title"}'
    return "ok"


def _message(request, reply, tag):
    """The Messages API's answer object."""
    blocks = []
    for number, block in enumerate(reply.blocks):
        block = dict(block)
        if block["type"] == "tool_use" and not block.get("id"):
            block["id"] = "toolu_%s_%05d_%d" % (tag, request.index, number)
        blocks.append(block)
    usage = dict(request.usage, output_tokens=len(json.dumps(blocks).encode()) // BYTES_PER_TOKEN)
    usage["cache_creation"] = {
        "ephemeral_5m_input_tokens": usage["cache_creation_input_tokens"],
        "ephemeral_1h_input_tokens": 0,
    }
    usage.update(reply.usage or {})
    request.usage = usage
    return {
        "id": "msg_%s_%05d" % (tag, request.index),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": blocks,
        "stop_reason": reply.stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _stream(message):
    """The same answer as server-sent events."""
    start = dict(message, content=[], stop_reason=None, usage=dict(message["usage"], output_tokens=1))
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(message["content"]):
        if block["type"] == "tool_use":
            opening, delta = dict(block, input={}), {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        else:
            opening, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        yield {"type": "content_block_start", "index": index, "content_block": opening}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _handler(model):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        request_id = "req_none"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            self._json(404, _error("not_found_error", "nothing here"))

        def do_POST(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                body = json.loads(raw)
            except ValueError:
                return self._json(400, _error("invalid_request_error", "the body is not JSON"))
            path = self.path.split("?")[0]
            if path == "/v1/messages/count_tokens":
                return self._json(200, {"input_tokens": len(raw) // BYTES_PER_TOKEN})
            if path != "/v1/messages":
                return self._json(404, _error("not_found_error", "nothing at " + path))
            request, reply = model.answer(self.headers, body)
            self.request_id = "req_%s_%05d" % (model.tag, request.index)
            if reply.delay:
                time.sleep(reply.delay)
            try:
                self._send(request, reply)
            except OSError:  # the client has gone: killed, or it stopped listening
                self.close_connection = True

        def _send(self, request, reply):
            if reply.error:
                status, kind, message, retry = reply.error
                return self._json(status, _error(kind, message), {"x-should-retry": "true" if retry else "false"})
            message = _message(request, reply, model.tag)
            if not request.body.get("stream"):
                return self._json(200, message)
            lines = "".join("event: %s\ndata: %s\n\n" % (event["type"], json.dumps(event)) for event in _stream(message))
            self._bytes(200, "text/event-stream", lines.encode())

        def _json(self, status, value, headers=None):
            self._bytes(status, "application/json", json.dumps(value).encode(), headers)

        def _bytes(self, status, kind, data, headers=None):
            self.send_response(status)
            for name, value in dict(headers or {}, **{"Content-Type": kind, "Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.send_header("request-id", self.request_id)
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _error(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}}


def _flat(blocks):
    for block in blocks:
        if isinstance(block, (list, tuple)):
            yield from _flat(block)
        elif isinstance(block, Reply):
            yield from block.blocks
        else:
            yield block


def _bare(value):
    """A piece of a request as text, without the cache marks, which move from request to request."""
    if isinstance(value, dict) and isinstance(value.get("content"), list):
        value = dict(value, content=[_unmarked(block) for block in value["content"]])
    elif isinstance(value, list):
        value = [_unmarked(block) for block in value]
    return json.dumps(value, sort_keys=True)


def _unmarked(block):
    return {key: part for key, part in block.items() if key != "cache_control"} if isinstance(block, dict) else block


def _text(content):
    """Every word in a content: texts, tool calls as JSON, results."""
    if isinstance(content, str) or content is None:
        return content or ""
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif block.get("type") == "text":
            parts.append(block["text"])
        elif block.get("type") == "tool_use":
            parts.append("%s %s" % (block["name"], json.dumps(block["input"], ensure_ascii=False)))
        elif block.get("type") == "tool_result":
            parts.append(_text(block.get("content")))
    return "\n".join(parts)


def _prompt(message):
    """The words of a user's message itself, without reminders and tool results."""
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [b["text"] for b in content or [] if b.get("type") == "text"]
    return "\n".join(text for text in texts if NOTIFICATION in text or not text.lstrip().startswith(REMINDER))


def _notifications(messages):
    """The task notifications that came since the last answer, each as a dict of its parts (`task-id`, `status`, `result`…)."""
    newest = []
    for message in messages:
        newest = [] if message.get("role") == "assistant" else newest + [_text(message.get("content"))]
    found = re.findall(NOTIFICATION + "(.*?)</task-notification>", "\n".join(newest), re.DOTALL)
    return [dict(re.findall(r"<([a-z-]+)>(.*?)</\1>", text, re.DOTALL)) for text in found]


def _results(message):
    """(tool_use_id, text, is_error) for each tool result in a message."""
    content = message.get("content")
    blocks = [] if isinstance(content, str) else content or []
    return [
        (block["tool_use_id"], _text(block.get("content")), bool(block.get("is_error")))
        for block in blocks
        if block.get("type") == "tool_result"
    ]
