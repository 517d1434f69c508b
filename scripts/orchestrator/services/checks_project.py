"""Checks of a project: its workspace, its history, what waits in the inbox, and whether the hooks fire."""

from __future__ import annotations

import os
from typing import Any, Iterable, Optional, Sequence

from orchestrator import paths
from orchestrator.recording import prices
from orchestrator.services import archive, importing, past, prune, trust
from orchestrator.services.checks import Finding, broken, fine, note
from orchestrator.services.purge import measure
from orchestrator.store import inbox, strange
from orchestrator.store import open as store
from orchestrator.store import workspace as folder


def project(at: str, workspace: str, history: str, data: str, session: Optional[str]) -> Iterable[Finding]:
    """What is true of this project and its history."""
    yield fine("project", f"The project is {at}.")
    yield place(at, workspace, history, data)
    yield recording(workspace)
    problem, con = None, None
    if not os.path.lexists(history):
        yield fine("history", f"Nothing has been recorded yet ({history}).")
    else:
        finding, problem, con = look(history)
        yield finding
    yield waiting(list(dict.fromkeys([workspace, paths.elsewhere(at)])), problem)
    yield firing(con, session, paths.off(workspace))
    if con:
        con.close()


def place(at: str, workspace: str, history: str, data: str) -> Finding:
    """Where the workspace is, and whose."""
    if os.path.lexists(workspace) and not os.path.isdir(workspace):
        return broken("workspace", f"{workspace} is no folder, so nothing is recorded here: move it away.")
    if not os.path.isdir(workspace):
        return fine("workspace", f"No workspace yet: {workspace} is made when there is something to record.")
    if not folder.trusted(workspace, data):
        return broken("workspace", f"{workspace} did not come from you, so nothing in it is read and "
                      "nothing recorded: look at it, then run `orchestrator trust`.")  # fmt: skip
    tracked = trust.tracked(at, [workspace, history])
    if tracked and not trust.consented(workspace):
        return broken("workspace", f"git tracks {tracked[0]}: whoever can push could change what is deployed "
                      f"here; take it out (`git rm -r --cached {paths.WORKSPACE}`).")  # fmt: skip
    if os.stat(workspace).st_mode & 0o077:
        return note("workspace", f"Others on this machine can look into {workspace}: chmod 700 it.")
    if not workspace.startswith(at + os.sep):
        return note("workspace", f"{workspace} is yours; it lies there because {at} is the home folder or "
                    "cannot be written.")  # fmt: skip
    return fine("workspace", f"{workspace} is yours{', and git tracks it' if tracked else ''}.")


def recording(workspace: str) -> Finding:
    """Whether anything is recorded here."""
    if paths.variable("ORCHESTRATOR_OFF", "0") != "0":
        return note("recording", "Recording is off: ORCHESTRATOR_OFF is set in this environment.")
    if paths.off(workspace):
        return note("recording", "Recording is off in this project: `orchestrator on`.")
    return fine("recording", "Recording is on.")


def look(history: str) -> tuple[Finding, Optional[str], Any]:
    """(what is to be said of a history, why it cannot be written, a connection that reads it)."""
    con, other = None, strange.amiss(history)
    if other:
        return broken("history", other + "."), other, None
    try:
        con = store.connect(history, timeout=2, read_only=True)
        version = con.execute("PRAGMA user_version").fetchone()[0]
        if version > store.VERSION:
            con.close()
            return _broken(history, f"it has schema {version}, and this orchestrator knows {store.VERSION}",
                           "update the plugin") + (None,)  # fmt: skip
        whole = con.execute("PRAGMA quick_check(1)").fetchone()[0]
        if whole != "ok":
            con.close()
            return _broken(history, f"it is damaged ({whole})", _ASIDE) + (None,)
        mode = con.execute("PRAGMA journal_mode").fetchone()[0]
        counts = con.execute(_COUNTS).fetchone()
    except store.Error as problem:
        if con:
            con.close()
        advice = _ASIDE if store.corrupt(problem) else "see that nobody else holds it and that it may be read"
        return _broken(history, f"it cannot be read ({problem})", advice) + (None,)
    problem_writing = _writing(history)
    if problem_writing:
        return _broken(history, f"it can be read but not written ({problem_writing})",
                       "what happens waits in the inbox until it can") + (con,)  # fmt: skip
    size = sum(measure(each).bytes for each in (history, history + "-wal") if os.path.exists(each))
    orchestrations, executions = counts
    what = (f"{orchestrations:,} orchestration{'' if orchestrations == 1 else 's'}, "
            f"{executions:,} execution{'' if executions == 1 else 's'}")
    text = f"{history}: schema {version}, {size:,} bytes, {what}, whole, journal {mode}."
    if mode != "wal":
        text += " Without a write-ahead log (a network file system?) writers wait for each other."
    return (fine if mode == "wal" else note)("history", text), None, con


def kept(workspace: str, history: str) -> Iterable[Finding]:
    """How large what is kept here is, and what lets go of it."""
    if not os.path.exists(history):
        return
    try:
        con = store.connect(history, timeout=2, read_only=True)
        try:
            found = prune.sizes(con, workspace, history)
            lies = archive.folder_of(con)
        finally:
            con.close()
    except store.Error:
        return  # what is wrong with the history is said elsewhere
    said = "; ".join(f"{each.what}: {each.number:,}" + (f", {each.bytes:,} bytes" if each.bytes else "") for each in found)
    yield fine("kept", f"Kept: {said}. `orchestrator prune --keep-days N --dry-run` says what could go.")
    for each in found:
        if each.what == prune.MISSING:
            yield note("archive", f"Of the transcripts that were archived {each.number:,} {'is' if each.number == 1 else 'are'} "
                       f"not in {lies}: `orchestrator archive` keeps again what Claude Code still has.")
        if each.what == prune.SPOILT:
            yield note("archive", f"Of the archived transcripts in {lies} {each.number:,} {'is' if each.number == 1 else 'are'} "
                       "spoilt: `orchestrator archive` keeps again what Claude Code still has.")


def own_prices(at: str) -> Iterable[Finding]:
    """What is wrong with the project's own price table."""
    text = prices.own_table(at)
    if text is None:
        return
    con = store.connect(":memory:")
    try:
        for sentence in prices.problems(con, text):
            yield note("prices", f"{os.path.join(paths.workspace_of(at), prices.OWN)}: {sentence} Nothing of that counts.")
    finally:
        con.close()


def transcripts(at: str, history: str, client: str) -> Iterable[Finding]:
    """Sessions of this project from before the plugin, whose transcripts Claude Code still has."""
    found = past.find(client, at)
    if found and os.path.exists(history):
        try:
            con = store.connect(history, timeout=2, read_only=True)
            try:
                found = importing.waiting(con, found)
            finally:
                con.close()
        except store.Error:
            return  # what is wrong with the history is said elsewhere
    if found:
        sessions = "1 session" if len(found) == 1 else f"{len(found):,} sessions"
        yield note("import", f"Claude Code has transcripts of {sessions} of this project that are not in the history: "
                   "`orchestrator import` takes them in.")  # fmt: skip


_COUNTS = "SELECT (SELECT count(*) FROM orchestrations), (SELECT count(*) FROM executions)"
_ASIDE = "the next event sets it aside and begins a new one; `sqlite3 FILE .recover` saves what can be saved"


def _broken(history: str, why: str, advice: str) -> tuple[Finding, str]:
    return broken("history", f"{history} cannot be used, because {why}: {advice}."), why


def _writing(history: str) -> Optional[str]:
    """Why a history cannot be written now; None when it can."""
    try:
        con = store.connect(history, timeout=2)
        try:
            con.execute("BEGIN IMMEDIATE")
            con.execute("ROLLBACK")
        finally:
            con.close()
    except store.Error as problem:
        return str(problem)
    return None


def waiting(places: Sequence[str], problem: Optional[str]) -> Finding:
    """What waits in the inbox of these workspaces, and why."""
    found = [path for each in places for path in inbox.waiting(each)]
    odd = [path for each in places for path in inbox.waiting(each, odd=True) if path not in found]
    if not found and odd:
        return note("inbox", f"{len(odd):,} events in {os.path.dirname(odd[0])} could not be taken in; each "
                    "session's start tries again. Please report it.")  # fmt: skip
    if not found:
        return fine("inbox", "No event waits in the inbox.")
    oldest = os.path.basename(found[0])[:10]
    wait = "1 event waits" if len(found) == 1 else f"{len(found):,} events wait"
    text = f"{wait} in the inbox, the oldest of {oldest}"
    if problem:
        return broken("inbox", f"{text}, because the history cannot be used: {problem}.")
    return note("inbox", f"{text}: the next command or hook takes them in (`orchestrator status`).")


def firing(con: Any, session: Optional[str], off: bool) -> Finding:
    """Whether the hooks fire, in this Claude session if there is one."""
    again = "restart Claude Code with the plugin enabled (/plugin), and see that no settings disable hooks"
    if off:
        return note("events", "The hooks do nothing while recording is off.")
    if con is None:
        return note("events", "No event has arrived yet: deploy an agent, then look again.")
    seen, latest = con.execute("SELECT count(*), max(started_at) FROM claude_sessions WHERE pid IS NOT NULL").fetchone()
    last = con.execute("SELECT at, kind FROM events WHERE claude_session_id IN (SELECT claude_session_id FROM claude_sessions "
                       "WHERE pid IS NOT NULL) ORDER BY event_id DESC LIMIT 1").fetchone()  # fmt: skip
    came = f"the last event came at {last[0]} ({last[1]})" if last else f"the last of them began at {latest}"
    if session:
        if con.execute("SELECT 1 FROM claude_sessions WHERE claude_session_id = ? AND pid IS NOT NULL", (session,)).fetchone():
            return fine("events", f"The hooks fire in this Claude session; {came}.")
        if seen:
            return broken("events", f"No hook of this Claude session has arrived; {came}: {again}.")
        return note("events", f"No hook has arrived yet: deploy an agent and look again, else {again}.")
    if seen:
        return fine("events", f"Hooks have fired here: {seen} Claude session{'' if seen == 1 else 's'}; {came}.")
    return note("events", "No hook has fired here yet; what is recorded came from commands: deploy an agent in Claude Code, "
                "then look again.")  # fmt: skip
