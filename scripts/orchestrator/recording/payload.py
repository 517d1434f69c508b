"""One hook event as the client sends it: its fields, taken out by SQLite, so that no json module is loaded."""

from orchestrator.model.redact import own_patterns, redact
from orchestrator.model.secret_shapes import SHORTEST_TOKEN

FIELDS = (
    ("event", "", "hook_event_name"), ("session", "", "session_id"), ("transcript", "", "transcript_path"),
    ("cwd", "", "cwd"), ("prompt_id", "", "prompt_id"), ("mode", "", "permission_mode"),
    ("agent", "", "agent_id"), ("agent_type", "", "agent_type"), ("tool", "", "tool_name"), ("call", "", "tool_use_id"),
    ("last", "", "last_assistant_message"), ("agent_transcript", "", "agent_transcript_path"),
    ("again", "", "stop_hook_active"), ("source", "", "source"), ("model", "", "model"), ("why", "", "reason"),
    ("prompt", "", "prompt"), ("error", "", "error"), ("trigger", "", "trigger"), ("interrupt", "", "is_interrupt"),
    ("input_type", "tool_input", "subagent_type"), ("description", "tool_input", "description"),
    ("input_prompt", "tool_input", "prompt"), ("input_model", "tool_input", "model"),
    ("command", "tool_input", "command"), ("input_name", "tool_input", "name"), ("stop_id", "tool_input", "task_id"),
    ("report", "tool_input", "message"),
    ("given_agent", "tool_response", "agentId"), ("given_status", "tool_response", "status"),
    ("given_model", "tool_response", "resolvedModel"), ("given_task", "tool_response", "taskId"),
    ("given_run", "tool_response", "runId"), ("given_tokens", "tool_response", "totalTokens"),
    ("resumed", "tool_response", "resumedAgentId"), ("given_stop", "tool_response", "task_id"))


class Payload:
    """A hook event's fields as attributes (text; None where absent or empty), and `text`, the JSON itself."""

    def __init__(self, con, text):
        self.text = text
        parts = {"": members(con, text), "tool_input": {}, "tool_response": {}}
        for name in ("tool_input", "tool_response"):
            if parts[""].get(name, _NOTHING)[1] == "object":
                parts[name] = members(con, text, "$." + name)
        for name, part, key in FIELDS:
            value = parts[part].get(key, _NOTHING)[0]
            if value is not None and not isinstance(value, str) and name != "again":
                value = str(value)
            setattr(self, name, None if value == "" else value)
        for name in ("agent_type", "input_type", "input_model", "given_model", "model", "why"):  # anything may stand there
            value = getattr(self, name)
            if value and len(value) >= SHORTEST_TOKEN:
                setattr(self, name, masked(value))


def masked(name):
    """The name of a model or of an agent type, or None, as it is kept."""
    return redact(name)[0] if name and len(name) >= SHORTEST_TOKEN else name


# What an event is joined and found by: ids, names of ours and the client's, paths.
_JOINS = ("hook_event_name", "session_id", "transcript_path", "agent_transcript_path", "cwd", "prompt_id", "permission_mode",
          "agent_id", "tool_name", "tool_use_id", "task_id", "agentId", "taskId", "runId", "resumedAgentId", "status")
# The names of members that are read.
_NAMES = frozenset([*[part for _, part, _ in FIELDS], *[key for _, _, key in FIELDS], "background_tasks", "content", "type",
                    "text", "id", "teammate_id"])


def as_kept(text):
    """An event's JSON text as it may lie in a file, masked. The user's own patterns pass over what the event is joined by and
    the files that are read for it: rows hold these as they are."""
    if not own_patterns():
        return redact(text)[0]
    import json

    try:
        event = json.loads(redact(text, own=False)[0], object_pairs_hook=_first)
        return json.dumps(_members_masked(event, lambda part, key: _members_masked(part, _own_masked) if key in (
            "tool_input", "tool_response") and isinstance(part, dict) else _own_masked(part, key)), allow_nan=False)
    except (ValueError, AttributeError, RecursionError):  # no event that could be taken in
        return redact(text)[0]


def _first(pairs):
    found = {}
    for key, value in pairs:
        found.setdefault(_free(key, found) if "[masked:" in key else key, value)
    return found


def _free(name, found):
    """A masked name, with a number where another is masked alike."""
    free, number = name, len(found)
    while free in found:
        number += 1
        free = "%s %d" % (name, number)
    return free


def _members_masked(part, masked_value):
    """An object's members with the user's own patterns masked; names that are read stay."""
    found = {}
    for key, value in part.items():
        name = key if key in _NAMES else redact(key)[0]
        found[_free(name, found)] = masked_value(value, key)
    return found


def _own_masked(value, name=None):
    if isinstance(value, str):
        from orchestrator.recording.notification import with_masked

        return value if name in _JOINS else with_masked(value, lambda text: redact(text)[0])
    if isinstance(value, dict):
        return _members_masked(value, lambda part, _: _own_masked(part))
    return [_own_masked(part) for part in value] if isinstance(value, list) else value


_NOTHING = (None, None)


def members(con, text, path="$"):
    """{name: (value, JSON type)} of the object at a path of a JSON text, the first where a name stands twice; empty for
    anything else."""
    found = {}
    for key, value, kind in con.execute("SELECT key, value, type FROM json_each(CASE WHEN json_valid(?1) THEN ?1 ELSE 'null' "
                                        "END, ?2)", (text, path)):
        if isinstance(key, str):
            found.setdefault(key, (value, kind))
    return found


def read(con, text):
    """The Payload of a JSON object. ValueError when the text is not one, or names no event and no session."""
    payload = Payload(con, text)
    if not isinstance(payload.event, str) or not isinstance(payload.session, str):
        raise ValueError("the event is not a JSON object, or has no hook_event_name or no session_id")
    return payload


def mend(text):
    """JSON text whose strings hold no NUL and no half of a surrogate pair: SQLite cannot hand them on."""
    if "\\u0000" not in text and "\\ud" not in text and "\\uD" not in text:
        return text
    parts, start, at = [], 0, text.find("\\")
    while at >= 0:
        step = 2
        if text[at + 1:at + 2] == "u":
            code = _code(text, at)
            if 0xD800 <= code < 0xDC00 and 0xDC00 <= _code(text, at + 6) < 0xE000:
                step = 12
            elif code == 0 or 0xD800 <= code < 0xE000:
                parts += [text[start:at], "\\ufffd"]
                start, step = at + 6, 6
        at = text.find("\\", at + step)
    return "".join(parts) + text[start:]


def _code(text, at):
    """The number of the escape \\uXXXX at a place, or -1."""
    digits = text[at + 2:at + 6]
    if text[at:at + 2] != "\\u" or len(digits) < 4:
        return -1
    try:
        return int(digits, 16)
    except ValueError:
        return -1


def response_text(con, payload):
    """The text an Agent call returned in the foreground."""
    rows = con.execute(
        "SELECT json_extract(value, '$.text') FROM json_each(?1, '$.tool_response.content') "
        "WHERE CASE type WHEN 'object' THEN json_extract(value, '$.type') END = 'text'", (payload.text,)).fetchall()
    texts = [r[0] for r in rows if isinstance(r[0], str) and not r[0].startswith("<tools-used-before-summary>")]
    return "\n".join(texts)


def teammate(con, payload):
    """A teammate's name and team, as the call that made it tells."""
    return con.execute("SELECT json_extract(?1, '$.tool_response.teammate_id')", (payload.text,)).fetchone()[0]


MATE = "teammate "  # before the description of one that is listed: its id there is not that of its agent


def background_ids(con, payload):
    """The ids of what Stop says is still running, of teammates what they are there for; None where it does not say."""
    if con.execute("SELECT json_type(?, '$.background_tasks')", (payload.text,)).fetchone()[0] != "array":
        return None
    return {r[0] for r in con.execute(
        "SELECT CASE WHEN type != 'object' THEN NULL WHEN json_extract(value, '$.type') = 'teammate' THEN ?2 || COALESCE("
        "json_extract(value, '$.description'), '') ELSE json_extract(value, '$.id') END "
        "FROM json_each(?1, '$.background_tasks')", (payload.text, MATE))}
