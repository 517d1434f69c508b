"""The hooks' door: one event in, its record kept whatever happens, at most one answer out."""

import os

from orchestrator import paths
from orchestrator.errors import OrchestratorError
from orchestrator.store import inbox, open as store, workspace as place


class Event:
    """What every handler gets: the connection, the payload, where, when, and the client's process."""

    __slots__ = ("con", "p", "project", "workspace", "now", "pid", "once", "late")


def run(raw, name, pid):
    """Records one event and returns the JSON to answer with, or None. Raises nothing that is not a bug."""
    text = raw.decode("utf-8", "replace").replace("\x00", "")
    memory = store.connect(":memory:")
    cwd = memory.execute("SELECT CASE WHEN json_valid(?1) THEN json_extract(?1, '$.cwd') END", (text,)).fetchone()[0]
    project = paths.project_of(cwd if isinstance(cwd, str) and os.path.isdir(cwd) else None)
    workspace = paths.workspace_of(project)
    if not place.trusted(workspace, paths.data_folder()):
        return _untrusted(memory, name)
    if paths.off(workspace):
        return None
    now = store.now(memory)
    fresh = not os.path.isdir(workspace)
    if fresh and name in _NEEDS_WORKSPACE:
        return _start_export(project) if name == "SessionStart" else None
    try:
        if fresh:
            place.make(workspace, paths.data_folder())
        con = store.open_history(paths.history_of(workspace, project), timeout=1.0 if name == "SessionEnd" else 8.0)
    except (store.Error, OSError, OrchestratorError) as problem:
        return _put_off(memory, workspace, name, pid, now, text, str(problem), project)
    try:
        if fresh or name == "SessionStart":
            from orchestrator.services.settings import keep_options

            with store.writing(con):
                keep_options(con)
        replay(con, project, workspace)
        return handle(con, text, name, pid, now, project, workspace, now + str(pid))
    except (store.Error, OSError) as problem:
        return _put_off(memory, workspace, name, pid, now, text, str(problem), project)
    finally:
        if name == "SessionEnd":
            con.close()  # and with it the write-ahead log is brought home
        else:
            _kept[:] = [con]  # closing would do that on every event; the process ends at once anyway


_kept = []
_NEEDS_WORKSPACE = ("SessionStart", "UserPromptSubmit", "Stop", "StopFailure", "SubagentStop", "SessionEnd", "PreCompact",
                    "PostCompact", "PostToolUseFailure")


def handle(con, text, name, pid, now, project, workspace, once, late=False):
    """Handles one event with an open history. Returns the answer (JSON text) or None."""
    from orchestrator.recording import payload

    try:
        p = payload.read(con, text)
    except ValueError as problem:
        from orchestrator.recording import record

        record.append(con, "malformed", now, text, reason=str(problem), text=text[:20000])
        return None
    event = Event()
    event.con, event.p, event.project, event.workspace, event.now, event.pid = con, p, project, workspace, now, pid
    event.once, event.late = once, late
    if p.event in ("PreToolUse",):
        from orchestrator.edges import hooks_before

        return hooks_before.before_tool(event)
    from orchestrator.edges import hooks_after

    handler = getattr(hooks_after, _HANDLERS.get(p.event, "nothing"))
    return handler(event)


_HANDLERS = {"SessionStart": "session_start", "UserPromptSubmit": "prompt", "PostToolUse": "after_tool",
             "PostToolUseFailure": "tool_failed", "SubagentStart": "agent_start", "SubagentStop": "agent_stop",
             "StopFailure": "agent_failed", "Stop": "stop", "PreCompact": "before_compaction",
             "PostCompact": "after_compaction", "SessionEnd": "session_end"}


def replay(con, project, workspace):
    """Takes in what waits in the inbox; what cannot be taken in stays there."""
    for path in inbox.waiting(workspace)[:500]:
        kept = inbox.take(path)
        if kept is None:
            continue
        name, pid, at, text = kept
        handle(con, text, name, pid, at, project, workspace, os.path.basename(path), late=True)
        inbox.drop(path)


def _put_off(memory, workspace, name, pid, now, text, problem, project):
    """Keeps an event in the inbox, because the history could not be written. The planned gate fails closed."""
    from orchestrator.model.redact import redact

    try:
        os.makedirs(workspace, mode=0o700, exist_ok=True)
        inbox.keep(workspace, name, pid, now, redact(text)[0])
    except OSError:
        pass  # nowhere to write at all
    row = memory.execute("SELECT CASE WHEN json_valid(?1) THEN json_extract(?1, '$.tool_input.prompt') END, CASE WHEN "
                         "json_valid(?1) THEN json_extract(?1, '$.tool_input.name') END", (text,)).fetchone()
    prompt, workflow = [v if isinstance(v, str) else "" for v in row]
    planned = prompt.split()[:2] == ["orchestrator", "task"] or workflow == "orchestrator:run"
    if name == "PreToolUse" and planned:
        return deny(memory, "The orchestrator's history cannot be written (%s), so nothing planned is deployed: "
                            "`orchestrator doctor` says what to do." % problem)
    if name == "SessionStart":
        return message(memory, "orchestrator: the history cannot be written (%s); events wait in %s and are taken in "
                               "later." % (problem, inbox.folder_of(workspace)))
    return None


def _untrusted(memory, name):
    if name != "SessionStart":
        return None
    return message(memory, "orchestrator: the .orchestrator folder here did not come from you, so nothing in it is read "
                           "or recorded; look at it, then run `orchestrator trust`.")


def _start_export(project):
    """A session's start where there is nothing yet: only the project is exported."""
    export(project)
    return None


def export(project):
    """Exports the project to the session's Bash commands, so that hooks, Bash and worktrees agree."""
    path = paths.variable("CLAUDE_ENV_FILE")
    if not path:
        return
    quoted = "'" + project.replace("'", "'\\''") + "'"
    try:
        with open(path, "a", encoding="utf-8", errors="surrogateescape") as f:
            f.write("export ORCHESTRATOR_PROJECT=%s\n" % quoted)
    except OSError:
        pass


def deny(con, reason):
    """The answer that refuses a tool call."""
    return con.execute(
        "SELECT json_object('hookSpecificOutput', json_object('hookEventName', 'PreToolUse', 'permissionDecision', 'deny', "
        "'permissionDecisionReason', ?))", (reason,)).fetchone()[0]


def change(con, tool_input, allow=True):
    """The answer that lets a tool call through with another input."""
    return con.execute(
        "SELECT json_patch(json_object('hookSpecificOutput', json_object('hookEventName', 'PreToolUse', 'updatedInput', "
        "json(?1))), CASE WHEN ?2 THEN json_object('hookSpecificOutput', json_object('permissionDecision', 'allow')) "
        "ELSE '{}' END)", (tool_input, allow)).fetchone()[0]


def context(con, event, text):
    """The answer that adds context to the conversation."""
    return con.execute("SELECT json_object('hookSpecificOutput', json_object('hookEventName', ?, 'additionalContext', ?))",
                       (event, text)).fetchone()[0]


def message(con, text):
    """The answer that shows the user a line."""
    return con.execute("SELECT json_object('systemMessage', ?)", (text,)).fetchone()[0]
