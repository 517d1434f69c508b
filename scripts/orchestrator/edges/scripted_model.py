"""Scripted model: a loopback server speaking the Messages API, for `orchestrator demo` and the tests.

    play = Play().when("add CSV", call("Agent", description="d", prompt="p"), "done")
    with ScriptedModel(play) as model:
        ...  # run a client with ANTHROPIC_BASE_URL=model.url
    model.requests

It sends nothing anywhere. Token counts follow from the bytes of each request, so that totals can be compared.
"""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from orchestrator.edges.scripted_request import Request

BYTES_PER_TOKEN = 4


class Reply:
    """One answer: words and tool calls, or an error; how long it takes; what it is said to have used."""

    def __init__(self, *parts, delay=0.0, usage=None, stop_reason=None, error=None):
        self.blocks = list(_blocks(parts))
        self.delay = delay
        self.usage = usage
        calls = any(block["type"] == "tool_use" for block in self.blocks)
        self.stop_reason = stop_reason or ("tool_use" if calls else "end_turn")
        self.error = error

    def after(self, seconds):
        """The same answer, that many seconds later."""
        self.delay = seconds
        return self


def say(*texts, **options):
    """An answer in words."""
    return Reply(*texts, **options)


def call(tool, tool_use_id=None, **arguments):
    """One tool call, alone or beside other parts of a Reply. Its id is made when it is sent, unless given."""
    return {"type": "tool_use", "id": tool_use_id, "name": tool, "input": arguments}


def report(text):
    """An agent's last words: through the tool the client gives it for them (in auto mode), else plain."""
    return lambda request: Reply(
        call("SubagentHandback", message=text) if "SubagentHandback" in request.tools else text
    )


def fail(status, kind, message, retry=False, delay=0.0):
    """An API error, as `fail(500, "api_error", "out of order")`. The client is told not to try again."""
    return Reply(error=(status, kind, message, retry), delay=delay)


class Play:
    """A script: the first rule that fits answers; main and each agent go through its replies on their own."""

    def __init__(self, otherwise=None):
        self.rules = []
        self.otherwise = otherwise
        self.steps = {}
        self.lock = threading.Lock()

    def when(self, condition, *replies):
        """Answer with `replies` in turn, the last one again and again, where the condition holds.

        A text holds when it is part of the first or the newest prompt of a conversation. A function is asked
        about every request, the client's own questions too. A reply may be a function of the request.
        """
        self.rules.append((condition, replies))
        return self

    def __call__(self, request):
        for number, (condition, replies) in enumerate(self.rules):
            if _holds(condition, request):
                with self.lock:
                    step = self.steps.get((number, request.conversation), 0)
                    self.steps[number, request.conversation] = step + 1
                reply = replies[min(step, len(replies) - 1)]
                return reply(request) if callable(reply) else reply
        return None if request.auxiliary else self.otherwise


class ScriptedModel:
    """The server. `play` is a Play or any function of a Request that answers a Reply, its parts, or None."""

    def __init__(self, play=None):
        self.play = play or Play()
        self.faults = []  # exceptions of the play itself
        self._requests = []
        self._sent = {}  # conversation -> the pieces its last request was made of
        self._lock = threading.Lock()
        self._tag = os.urandom(3).hex()  # a resumed session holds messages of two servers: ids must differ
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self._server.server_port

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    @property
    def requests(self):
        """Every request so far, in the order of arrival."""
        with self._lock:
            return list(self._requests)

    def answer(self, headers, body):
        """The request, kept, with the Reply to it."""
        with self._lock:
            request = Request(len(self._requests), headers, body)
            self._requests.append(request)
            request.usage = self._count(request)
        try:
            reply = self.play(request)
        except Exception as error:  # a broken script must not hang the client
            self.faults.append(error)
            reply = fail(500, "api_error", "the play failed: %r" % (error,))
        if not isinstance(reply, Reply):
            reply = Reply(_plain(request) if reply is None else reply)
        request.reply = reply
        return request

    def _count(self, request):
        """A request's tokens: the newest message is input, what the conversation sent before is cached."""
        head = [request.body.get("tools") or [], request.body.get("system") or []]
        pieces = [_unmarked(piece) for piece in head + request.messages]
        key = (request.claude_session_id, request.conversation, request.model, request.auxiliary)
        before, known = self._sent.get(key, []), 0
        while known < min(len(before), len(pieces) - 1) and before[known] == pieces[known]:
            known += 1
        self._sent[key] = pieces
        sizes = [len(piece.encode()) // BYTES_PER_TOKEN for piece in pieces]
        return {
            "input_tokens": sizes[-1] + 1,
            "cache_creation_input_tokens": sum(sizes[known:-1]),
            "cache_read_input_tokens": sum(sizes[:known]),
        }

    def message(self, request):
        """The API's answer object; the request's usage becomes what it says."""
        reply, name = request.reply, "%s_%05d" % (self._tag, request.index)
        content = [dict(block) for block in reply.blocks]
        for place, block in enumerate(content):
            if block["type"] == "tool_use":
                block["id"] = block["id"] or "toolu_%s_%d" % (name, place)
        usage = dict(request.usage, output_tokens=len(json.dumps(reply.blocks).encode()) // BYTES_PER_TOKEN)
        written = usage["cache_creation_input_tokens"]
        usage["cache_creation"] = {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0}
        usage.update(reply.usage or {})
        request.usage = usage
        return {
            "id": "msg_" + name,
            "type": "message",
            "role": "assistant",
            "model": request.model,
            "content": content,
            "stop_reason": reply.stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }


def _handler(model):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._send(200, b"")

        def do_GET(self):
            self._send_error(404, "not_found_error", "nothing here")

        def do_POST(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.split("?")[0]
            try:
                body = json.loads(raw)
            except ValueError:
                return self._send_error(400, "invalid_request_error", "the body is not JSON")
            if path == "/v1/messages/count_tokens":
                return self._send_json(200, {"input_tokens": len(raw) // BYTES_PER_TOKEN})
            if path != "/v1/messages":
                return self._send_error(404, "not_found_error", "nothing at " + path)
            request = model.answer(self.headers, body)
            time.sleep(request.reply.delay)
            if request.reply.error:
                request.usage = dict.fromkeys([*request.usage, "output_tokens"], 0)
                return self._send_error(*request.reply.error)
            message = model.message(request)
            if not body.get("stream"):
                return self._send_json(200, message)
            text = "event: %s\ndata: %s\n\n"
            lines = [text % (event["type"], json.dumps(event)) for event in _stream(message)]
            self._send(200, "".join(lines).encode(), "text/event-stream")

        def _send_error(self, status, kind, message, retry=False):
            error = {"type": "error", "error": {"type": kind, "message": message}}
            self._send_json(status, error, {"x-should-retry": "true" if retry else "false"})

        def _send_json(self, status, value, headers=None):
            self._send(status, json.dumps(value).encode(), "application/json", headers)

        def _send(self, status, data, kind="text/plain", headers=None):
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("request-id", "req_" + os.urandom(6).hex())
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:  # the client has gone
                self.close_connection = True

    return Handler


def _stream(message):
    """An answer object as the events of a stream."""
    start = dict(message, content=[], stop_reason=None, usage=dict(message["usage"], output_tokens=1))
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(message["content"]):
        if block["type"] == "tool_use":
            empty = dict(block, input={})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        else:
            empty = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _holds(condition, request):
    if callable(condition):
        return condition(request)
    return not request.auxiliary and (condition in request.first_text or condition in request.prompt)


def _plain(request):
    """What a request gets that nobody scripted."""
    if request.compaction:
        return "<summary>A summary of the conversation so far.</summary>"
    if request.safety_check:
        return "<severity>0</severity>"
    if "title" in request.system and not request.tools:
        return '{"title": "A title"}'
    return "ok"


def _blocks(parts):
    """The blocks of texts, blocks, Replies and lists of them."""
    for part in parts:
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif isinstance(part, dict):
            yield part
        else:
            yield from part.blocks if isinstance(part, Reply) else _blocks(part)


def _unmarked(piece):
    """A piece of a request as text, without the cache marks, which move from one request to the next."""
    if isinstance(piece, dict) and isinstance(piece.get("content"), list):
        piece = dict(piece, content=[_without_mark(block) for block in piece["content"]])
    elif isinstance(piece, list):
        piece = [_without_mark(block) for block in piece]
    return json.dumps(piece, sort_keys=True)


def _without_mark(block):
    if not isinstance(block, dict):
        return block
    return {key: value for key, value in block.items() if key != "cache_control"}
