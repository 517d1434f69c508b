"""A task-notification, or an agent's report handed back as a message: its fields, its result, those in a transcript."""

import os

from orchestrator.paths import readable
from orchestrator.recording.payload import mend

OPEN = "<task-notification>"
_END = "</task-notification>"
_EARLIER = 'Background agent "'  # so a process that goes on with a conversation speaks of what an earlier one had at work
REPORT = '<agent-message from="'  # 2.1.329 in auto mode: agents report through a tool, and no notification comes
_HANDED, _FOLLOWS, _CLOSE = "[Subagent hand-back]", "The report follows:\n", "</agent-message>"

_OPEN = OPEN.encode()
_MOST = 8_000_000  # bytes at a transcript's end: 2.1.329 keeps its requests there as well


class Notification:
    """task_id (the agent's), call (tool-use-id), status (handed_back for a report), summary, result, tokens (of the last
    request); None where absent."""

    __slots__ = ("task_id", "call", "status", "summary", "result", "tokens")


def parse(prompt):
    """The Notification a prompt is, or None. Tags inside the result are the agent's words, not the client's."""
    prompt = prompt.lstrip()
    if prompt.startswith(REPORT):  # other messages of agents, and what a person writes so, are not the end of anything
        return _report(prompt) if _HANDED in prompt and _FOLLOWS in prompt and prompt.rstrip().endswith(_CLOSE) else None
    if not prompt.startswith(OPEN):
        return None
    head, begun, rest = prompt.partition("\n<result>")  # a task's description stands in the summary, before it
    body, closed, after = rest.rpartition("</result>")
    found = Notification()
    found.task_id, found.call = _tag(head, "task-id"), _tag(head, "tool-use-id")
    found.status, found.summary = _tag(head, "status"), _tag(head, "summary")
    if (found.summary or "").startswith(_EARLIER) and found.status != "completed":
        found.status = None  # that nobody heard how it ended is no end
    found.result = body if closed else (rest if begun else None)
    tokens = _tag(after if closed else head, "subagent_tokens")
    found.tokens = int(tokens) if tokens and tokens.isdecimal() and len(tokens) < 13 else None
    return found


def with_masked(prompt, masked):
    """The prompt with what was written in it masked by `masked`; of a notification or a report the ids and numbers stay."""
    if parse(prompt) is None:
        return masked(prompt)
    if prompt.lstrip().startswith(REPORT):
        head, follows, rest = prompt.partition(_FOLLOWS)
        body, close, after = rest.rpartition(_CLOSE)
        return head + follows + masked(body) + close + after
    head, begun, rest = prompt.partition("\n<result>")
    before, opened, summary = head.partition("<summary>")
    summary, ended, more = summary.partition("</summary>")
    body, closed, after = rest.rpartition("</result>")
    if not closed:
        body, after = after, body
    if not opened:
        before = _end_masked(before, masked)
    return (before + opened + masked(summary) + ended + _end_masked(more, masked) + begun + masked(body) + closed
            + _end_masked(after, masked))


def _end_masked(text, masked):
    """What stands behind a notification's end was written by whoever sent it."""
    ours, end, behind = text.partition(_END)
    return ours + end + (masked(behind) if behind.strip() else behind)


def _tag(text, name):
    start = text.find("<%s>" % name)
    end = text.find("</%s>" % name, start)
    return text[start + len(name) + 2:end] if 0 <= start < end else None


def _report(prompt):
    """An agent's report; every line of it is indented by two blanks."""
    found = Notification()
    found.task_id = prompt[len(REPORT):].partition('"')[0]
    found.call = found.summary = found.tokens = None
    found.status = "handed_back"
    body = prompt.partition(_FOLLOWS)[2].rpartition(_CLOSE)[0]
    found.result = "\n".join([line[2:] if line[:2] == "  " else line for line in body.split("\n")]).strip()
    return found


def written(con, path, most=_MOST):
    """{text: when} of the task-notifications in a main conversation's transcript, in the order of its lines; `most` bounds the
    bytes at its end that are read (None: all). Each that the client queued is there: it began a turn, joined one, or went to
    an agent at work."""
    found = {}
    try:
        with readable(path or "", "rb") as f:
            if most is not None:
                f.seek(max(0, os.fstat(f.fileno()).st_size - most))
            for line in f:
                if _OPEN in line and (b'"queue-operation"' in line or b'"user"' in line):
                    text, at = con.execute(
                        "SELECT CASE json_extract(l, '$.type') WHEN 'queue-operation' THEN json_extract(l, '$.content') WHEN "
                        "'user' THEN json_extract(l, '$.message.content') END, json_extract(l, '$.timestamp') FROM (SELECT CASE "
                        "WHEN json_valid(?1) THEN ?1 ELSE '{}' END AS l) WHERE strftime('%Y-%m-%dT%H:%M:%fZ', julianday("
                        "json_extract(l, '$.timestamp'))) = json_extract(l, '$.timestamp')",
                        (mend(line.decode("utf-8", "replace")),)).fetchone() or (None, None)
                    if isinstance(text, str) and text.lstrip().startswith(OPEN):
                        found.setdefault(text, at)
    except OSError:
        pass
    return found
