"""Last resort of the hooks: what is left to do when the recorder itself cannot be loaded, or broke before it kept the event.

It needs nothing of the package. The event goes to the inbox of the workspace that is there, without its texts: nothing
here can mask secrets, and the client's transcripts hold them. A line in the log says what happened.
"""

import json
import os
import time

_WORDS = ("hook_event_name", "session_id", "transcript_path", "cwd", "prompt_id", "permission_mode", "agent_id", "agent_type",
          "tool_name", "tool_use_id", "agent_transcript_path", "stop_hook_active", "source", "error", "reason", "trigger",
          "background_tasks")
_ASKED = ("subagent_type", "model", "run_in_background", "task_id", "name")
_GIVEN = ("agentId", "status", "resolvedModel", "taskId", "runId", "resumedAgentId")


def keep(raw, argv, problem):
    """Keeps one event of which only `raw` is known, and what went wrong."""
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03dZ" % (now * 1000 % 1000)
    event, pid = (argv + ["", "", ""])[1:3]
    folder = _workspace()
    if folder is None:
        return
    text = _without_texts(raw)
    name = "%s-%s-%s-%s" % (at.replace(":", ""), event, pid or "0", os.urandom(4).hex())
    inbox = os.path.join(folder, "inbox")
    os.makedirs(inbox, mode=0o700, exist_ok=True)
    if text is not None:
        with open(os.path.join(inbox, "." + name), "w", encoding="utf-8", errors="replace") as f:
            f.write("%s\n%s\n%s\n%s" % (event, pid or "0", at, text))
        os.rename(os.path.join(inbox, "." + name), os.path.join(inbox, name))
    line = {"at": at, "level": "error", "event": event, "doing": "loading or starting the recorder",
            "error": "%s: %s" % (type(problem).__name__, str(problem)[:300])}
    with open(os.path.join(folder, "log.jsonl"), "a", encoding="utf-8", errors="replace") as f:
        if f.tell() < 2_000_000:
            f.write(json.dumps(line) + "\n")


def _workspace():
    """The nearest workspace of this user above the project's folder, or None."""
    folder = os.environ.get("ORCHESTRATOR_PROJECT") or os.environ.get("CLAUDE_PROJECT_DIR") or os.getcwd()
    while True:
        found = os.path.join(folder, ".orchestrator")
        if os.path.isdir(found) and not os.path.islink(found) and os.lstat(found).st_uid == os.getuid():
            return found
        if folder == os.path.dirname(folder):
            return None
        folder = os.path.dirname(folder)


def _without_texts(raw):
    """The event's ids and words of the client, as JSON; None for what is no event."""
    try:
        event = json.loads(raw.decode("utf-8", "replace"))
        kept = {word: event[word] for word in _WORDS if word in event}
        for part, words in (("tool_input", _ASKED), ("tool_response", _GIVEN)):
            if isinstance(event.get(part), dict):
                kept[part] = {word: event[part][word] for word in words if word in event[part]}
        prompt = event.get("prompt")
        if isinstance(prompt, str) and prompt.startswith("<task-notification>"):
            before, _, rest = prompt.partition("<result>")
            kept["prompt"] = before + rest.rpartition("</result>")[2]
        return json.dumps(kept)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
