"""Last resort of the hooks: what is left to do when the recorder itself cannot be loaded, or broke before it kept the event.

It needs nothing of the package, and asks of it what it can. The event goes to the inbox of the workspace that is there,
without its texts: nothing here can mask secrets, and the client's transcripts hold them. A line in the log says what
happened.
"""

import json
import os
import sys
import time

_WORDS = ("hook_event_name", "session_id", "transcript_path", "cwd", "prompt_id", "permission_mode", "agent_id", "agent_type",
          "tool_name", "tool_use_id", "agent_transcript_path", "stop_hook_active", "source", "error", "reason", "trigger")
_ASKED = ("subagent_type", "model", "run_in_background", "task_id", "name")
_GIVEN = ("agentId", "status", "resolvedModel", "taskId", "runId", "resumedAgentId")
_RUNNING = ("id", "type", "status")
_TOLD = ("task-id", "tool-use-id", "status")  # of a notification
_PLACES = ("transcript_path", "cwd", "agent_transcript_path")
_LONGEST = 40  # characters of a word of the client's, or of an id


def keep(raw, argv, problem):
    """Keeps one event of which only `raw` is known, and what went wrong."""
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03dZ" % (now * 1000 % 1000)
    event, pid = (argv + ["", "", ""])[1:3]
    folder = _workspace()
    if folder is None or not _ours(folder):
        return
    text = _without_texts(raw)
    name = "%s-%s-%s-%s" % (at.replace(":", ""), event, pid or "0", os.urandom(4).hex())
    inbox = os.path.join(folder, "inbox")
    os.makedirs(inbox, mode=0o700, exist_ok=True)
    if text is not None and not os.path.islink(inbox):
        with open(os.path.join(inbox, "." + name), "x", encoding="utf-8", errors="replace") as f:
            f.write("%s\n%s\n%s\n%s" % (event, pid or "0", at, text))
        os.rename(os.path.join(inbox, "." + name), os.path.join(inbox, name))
    line = {"at": at, "level": "error", "event": event, "doing": "loading or starting the recorder",
            "error": "%s: %s" % (type(problem).__name__, str(problem)[:300])}
    log = os.open(os.path.join(folder, "log.jsonl"),
                  os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    with os.fdopen(log, "a", encoding="utf-8", errors="replace") as f:
        if f.tell() < 2_000_000:
            f.write(json.dumps(line) + "\n")


def _workspace():
    """The project's workspace, where the package can still tell; else the nearest one of this user above its folder, or None."""
    try:
        sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts"))
        from orchestrator import paths

        found = paths.workspace_of(paths.project_of())
        return found if os.path.isdir(found) else None
    except Exception:
        pass
    folder = os.environ.get("ORCHESTRATOR_PROJECT") or os.environ.get("CLAUDE_PROJECT_DIR") or os.getcwd()
    while True:
        found = os.path.join(folder, ".orchestrator")
        if os.path.isdir(found) and not os.path.islink(found) and os.lstat(found).st_uid == os.getuid():
            return found
        if folder == os.path.dirname(folder):
            return None
        folder = os.path.dirname(folder)


def _ours(folder):
    """Whether a workspace bears the mark of this installation, as store/workspace.py makes it."""
    import hashlib

    data = os.environ.get("ORCHESTRATOR_DATA") or os.path.join(
        os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share"), "orchestrator")
    try:
        with open(os.path.join(data, "install-id"), "rb") as f:
            mark = hashlib.blake2b(f.read(4096).strip(), digest_size=16).hexdigest()
        handle = os.open(os.path.join(folder, "origin"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as f:
            return mark.encode() in f.read(4096).split()
    except OSError:
        return False


def _without_texts(raw):
    """The event's ids and words of the client, as JSON; None for what is no event."""
    try:
        event = json.loads(raw.decode("utf-8", "replace"))
        kept = _plain(event, _WORDS)
        for part, words in (("tool_input", _ASKED), ("tool_response", _GIVEN)):
            if isinstance(event.get(part), dict):
                kept[part] = _plain(event[part], words)
        if isinstance(event.get("background_tasks"), list):
            kept["background_tasks"] = [_plain(each, _RUNNING) for each in event["background_tasks"] if isinstance(each, dict)]
        prompt = event.get("prompt")
        if isinstance(prompt, str) and prompt.startswith("<task-notification>"):
            told = [(tag, prompt.partition("<%s>" % tag)[2].partition("</%s>" % tag)[0]) for tag in _TOLD]
            whose = '<summary>Agent "" ended</summary>\n' if '<summary>Agent "' in prompt else ""
            kept["prompt"] = "<task-notification>\n%s%s</task-notification>" % (
                "".join(["<%s>%s</%s>\n" % (tag, text, tag) for tag, text in told if _is_plain(text)]), whose)
        return json.dumps(kept)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None


def _plain(values, names):
    """Of some values those that are no text of anybody's."""
    return {name: values[name] for name in names if name in values and (
        isinstance(values[name], bool) or name in _PLACES or _is_plain(values[name]))}


def _is_plain(value):
    """Whether a text is a word or an id, and too short or too plain for a secret: a session's id has its letters in groups."""
    if not isinstance(value, str) or len(value) > _LONGEST or not value.replace("-", "").replace("_", "").replace(
            ":", "").replace(".", "").isalnum():
        return False
    return value[:6] == "toolu_" or max(map(len, value.replace(":", "-").replace("_", "-").split("-"))) <= 18
