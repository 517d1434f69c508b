"""A task-notification: its header's fields and the result it carries, read as data."""

OPEN = "<task-notification>"


class Notification:
    """task_id, call (tool-use-id), status, summary, result, tokens (of the last request); None where absent."""

    __slots__ = ("task_id", "call", "status", "summary", "result", "tokens")


def parse(prompt):
    """The Notification a prompt is, or None. Tags inside the result are the agent's words, not the client's."""
    prompt = prompt.lstrip()
    if not prompt.startswith(OPEN):
        return None
    head, begun, rest = prompt.partition("<result>")
    body, closed, after = rest.rpartition("</result>")
    found = Notification()
    found.task_id, found.call = _tag(head, "task-id"), _tag(head, "tool-use-id")
    found.status, found.summary = _tag(head, "status"), _tag(head, "summary")
    found.result = body if closed else (rest if begun else None)
    tokens = _tag(after if closed else head, "subagent_tokens")
    found.tokens = int(tokens) if tokens and tokens.isdigit() else None
    return found


def _tag(text, name):
    start = text.find("<%s>" % name)
    end = text.find("</%s>" % name, start)
    return text[start + len(name) + 2:end] if 0 <= start < end else None
