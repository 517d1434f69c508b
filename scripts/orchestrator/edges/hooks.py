"""The hooks' door: one event in, its record kept whatever happens, at most one answer out."""

import os

from orchestrator import paths
from orchestrator.recording.payload import mend
from orchestrator.store import inbox
from orchestrator.store import open as store
from orchestrator.store import workspace as place


class Event:
    """What every handler gets: the connection, the payload, where, when, and the client's process."""

    __slots__ = ("con", "p", "project", "workspace", "now", "pid", "once", "late")


def run(raw, name, pid, alone=False):
    """Records one event and returns the JSON to answer with, or None. What fails, fails into the inbox.

    `alone`: the process does nothing else.
    """
    text = mend(raw.decode("utf-8", "replace").replace("\x00", ""))
    project = paths.project_of(None if paths.named() else _cwd(text))
    workspace = paths.workspace_of(project)
    if not place.trusted(workspace, paths.data_folder()):
        return _untrusted(name)
    if paths.off(workspace):
        return None
    now = store.now()
    fresh = not os.path.isdir(workspace)
    if fresh and name in _NEEDS_WORKSPACE:
        return _start_export(project) if name == "SessionStart" else None
    once = inbox.name_of(name, pid, now)
    before, journal = None, False  # the history that was set aside; whether it was put under a journal
    while True:
        con = None
        try:
            if fresh:
                place.make(workspace, paths.data_folder())
            path = paths.history_of(workspace, project)
            file = store.file_of(path)
            patience = 1.0 if name == "SessionEnd" else 8.0
            con = store.open_history(path, timeout=patience)
            if alone:
                store.stand_in_line(path + ".line", patience)
            store.for_one_event(con, path, durable=name in _DURABLE)
            if before:
                _keep_patterns(con, workspace)
            answer = _taken_in(con, text, name, pid, now, project, workspace, once, fresh)
            if name != "SessionEnd" and store.log_is_long(path):
                _tidy(con)
            return _said(name, answer, before) if before or store.emptied else answer
        except Exception as problem:
            if before is None and store.corrupt(problem) and _is_ours(path, workspace, problem):
                before = store.set_aside(path, file, now)
                if before is not None:
                    continue
            if con is not None and not journal and store.refused(problem):
                con.close()
                con, journal = None, True
                if store.without_wal(path, problem):
                    continue
            return _put_off(workspace, once, name, pid, now, text, problem, project)
        finally:
            if con is not None:
                if name == "SessionEnd":
                    con.close()  # and with it the write-ahead log is brought home
                else:
                    _kept[:] = [con]  # closing would do that on every event; the process ends at once anyway


def _cwd(text):
    """The working folder that the event names, where it is one."""
    cwd = _memory().execute("SELECT CASE WHEN json_valid(?1) THEN json_extract(?1, '$.cwd') END", (text,)).fetchone()[0]
    return cwd if isinstance(cwd, str) and os.path.isdir(cwd) else None


def _memory():
    """A connection for JSON where no history is open."""
    return store.connect(":memory:")


_kept = []
_DURABLE = ("SessionStart", "SubagentStart", "Stop", "SessionEnd")  # see docs/decisions/0013
_NEEDS_WORKSPACE = ("SessionStart", "UserPromptSubmit", "Stop", "StopFailure", "SubagentStop", "SessionEnd", "PreCompact",
                    "PostCompact", "PostToolUseFailure")


def _taken_in(con, text, name, pid, now, project, workspace, once, fresh):
    """Handles the event after those that waited; what was decided goes to the log where that is kept."""
    if fresh or name == "SessionStart":
        from orchestrator.services.settings import keep_options

        with store.writing(con):
            keep_options(con)
        inbox.reserve(workspace)
    kept = _kept_settings(con)
    if "setting.redact" in kept:
        from orchestrator.model.redact import mask_also
        from orchestrator.services.settings import value

        mask_also(value(con, "redact"))
    replay(con, project, workspace, odd=name == "SessionStart", most=50 if name == "SessionEnd" else 500)
    level = paths.variable("ORCHESTRATOR_LOG_LEVEL") or kept.get("setting.log_level")
    if level and level.lower() in ("info", "debug"):
        from orchestrator.edges import hooks_log

        return hooks_log.handle(level.lower(), con, text, name, pid, now, project, workspace, once)
    return handle(con, text, name, pid, now, project, workspace, once, kept=kept)


def _kept_settings(con):
    """The settings that were made: {key: value}."""
    return dict(con.execute("SELECT key, value FROM meta WHERE key BETWEEN 'setting.' AND 'setting/'").fetchall())


def _keep_patterns(con, workspace):
    """The user's own patterns, as they lie beside the history, into one that knows none yet."""
    try:
        found = paths.regular(os.path.join(workspace, paths.PATTERNS), 65536, follow=False).decode("utf-8", "replace")
    except OSError:
        return
    con.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT)")  # of one that is in memory
    con.execute("INSERT OR IGNORE INTO meta VALUES ('setting.redact', ?)", (found,))


def _mask_as_beside(workspace):
    """Masks the user's own patterns from now on, as they lie beside a history that cannot be read."""
    from orchestrator.model.redact import mask_also
    from orchestrator.services.settings import value

    memory = _memory()
    try:
        _keep_patterns(memory, workspace)
        if memory.execute("SELECT 1 FROM sqlite_master").fetchone():
            mask_also(value(memory, "redact"))
    except Exception:  # whatever lies there: the event is kept
        pass


def _is_ours(path, workspace, problem):
    """Whether what is damaged was a history: another path may name any file of the user's."""
    return os.path.dirname(path) == workspace or "not a database" not in str(problem)


def _tidy(con):
    """What is done now and then: the sums by day take in what changed, and the log is brought home by closing, where no other
    process has it open. Another time where it cannot be done."""
    from orchestrator.recording import rollup

    try:
        with store.writing(con):
            rollup.take_in(con)
        con.close()
    except store.Error:
        pass


def _said(name, answer, before):
    """The answer with a word to the user on the history that was set aside (`before`), or had been emptied."""
    if name in ("PreCompact", "PostCompact"):
        return answer
    memory = _memory()
    if before:
        word = message(memory, "orchestrator: the history was damaged and could not be read any more; it was set aside as %s, "
                               "and a new one was begun." % before)
    else:
        word = message(memory, "orchestrator: the history %s had been emptied, and a new one was begun in it; `orchestrator "
                               "import` takes in what Claude Code's own transcripts still tell." % store.emptied.pop())
    return memory.execute("SELECT json_patch(?1, ?2)", (answer, word)).fetchone()[0] if answer else word


def handle(con, text, name, pid, now, project, workspace, once, late=False, kept=None):
    """Handles one event with an open history. Returns the answer (JSON text) or None. `kept`: the settings, if known."""
    from orchestrator.recording import payload

    try:
        p = payload.read(con, text)
    except ValueError as problem:
        from orchestrator.recording import record

        record.append(con, "malformed", now, text, reason=str(problem), text=record.clean(text)[:20000])
        return None
    if _left_out(con, p, _kept_settings(con) if kept is None else kept):
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


def _left_out(con, p, kept):
    """Whether the user wants only orchestrations recorded, and this event belongs to none."""
    if not paths.variable("ENABLE_OBSERVABILITY") and "setting.observability" not in kept:
        return False  # as almost always
    from orchestrator.services import scope, settings

    return not settings.value(con, "observability") and scope.outside(con, p)


_HANDLERS = {"SessionStart": "session_start", "UserPromptSubmit": "prompt", "PostToolUse": "after_tool",
             "PostToolUseFailure": "tool_failed", "SubagentStart": "agent_start", "SubagentStop": "agent_stop",
             "StopFailure": "agent_failed", "Stop": "stop", "PreCompact": "before_compaction",
             "PostCompact": "after_compaction", "SessionEnd": "session_end"}


def replay(con, project, workspace, odd=False, most=500):
    """Takes in what waits in the inbox, oldest first. What the disk or another writer refuses stays for the next; an
    event that fails by itself is moved out of the others' way, and tried again when `odd` is asked for."""
    spare = paths.elsewhere(project)
    for place_of in (workspace, spare) if spare != workspace else (workspace,):
        if inbox.waiting(place_of, odd):
            with inbox.alone(place_of) as lock:
                if not lock.held:
                    return  # another process is at it
                for path in inbox.waiting(place_of, odd)[:most]:
                    _replay(con, project, workspace, path)


def _replay(con, project, workspace, path):
    kept = inbox.take(path)
    if kept is None:
        return
    name, process, at, text = kept
    try:
        handle(con, text, name, process, at, project, workspace, os.path.basename(path), late=True)
    except Exception as problem:
        if store.refused(problem):
            raise
        _failed(workspace, name, at, problem, "replaying " + os.path.basename(path))
        inbox.set_aside(path)
        return
    inbox.drop(path)


def _failed(workspace, name, at, problem, doing):
    """A line in the log for what nobody foresaw; kept whatever the log's level is."""
    from orchestrator.edges import hooks_log

    hooks_log.failed(_memory(), workspace, name, at, problem, doing)


def _put_off(workspace, once, name, pid, now, text, problem, project):
    """Keeps an event in the inbox, because it could not be taken in. The planned gate fails closed."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.store.strange import amiss

    said = str(problem) if isinstance(problem, (store.Error, OSError, OrchestratorError)) else type(problem).__name__
    other = amiss(paths.history_of(workspace, project)) if "locked" not in said else None
    said = other or said
    if not (other or store.refused(problem) or isinstance(problem, OrchestratorError)):
        _failed(workspace, name, now, problem, "handling it")
    where = _keep(workspace, once, name, pid, now, text, project)
    memory = _memory()
    row = memory.execute("SELECT CASE WHEN json_valid(?1) THEN json_extract(?1, '$.tool_input.prompt') END, CASE WHEN "
                         "json_valid(?1) THEN json_extract(?1, '$.tool_input.name') END", (text,)).fetchone()
    prompt, workflow = [v if isinstance(v, str) else "" for v in row]
    planned = prompt.split()[:2] == ["orchestrator", "task"] or workflow == "orchestrator:run"
    if name == "PreToolUse" and planned:
        return deny(memory, "The orchestrator's history cannot be written (%s), so nothing planned is deployed: "
                            "`orchestrator doctor` says what to do." % said)
    if name == "SessionStart":
        return message(memory, "orchestrator: the history cannot be written (%s); %s" % (
            said, "events wait in %s and are taken in later." % where if where else
            "nor can anything else here, so nothing is recorded: `orchestrator doctor` says what to do."))
    return None


def _keep(workspace, once, name, pid, now, text, project):
    """Keeps an event where there is room for it; returns the folder, or None where nothing can be written at all."""
    from orchestrator.recording.payload import as_kept
    from orchestrator.recording.sessions import process_of

    _mask_as_beside(workspace)
    text, process = as_kept(text), process_of(pid)
    for place_of in (workspace, paths.elsewhere(project)):
        try:
            place.make(place_of, paths.data_folder())
            inbox.keep(place_of, once, name, process, now, text)
            return inbox.folder_of(place_of)
        except OSError:
            pass
    return None


def _untrusted(name):
    if name != "SessionStart":
        return None
    return message(_memory(), "orchestrator: the .orchestrator folder here did not come from you, so nothing in it is read "
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
