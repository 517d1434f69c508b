"""Projections for people and scripts: status.json and results/*.md, written whole after each change, never read back."""

import os

from orchestrator.recording.graph import Graph
from orchestrator.store.open import Error
from orchestrator.store.workspace import write


def project(con, workspace, orchestration, now, changed=None, results=True):
    """Writes status.json and the `results` of this orchestration's finished tasks: those that are missing, and those of the
    executions that `changed`; all where that is not said. What cannot be written now is written after the next change:
    the rows are the record.

    Another process may have written what it read later before this one wrote what it read earlier: then it is written again.
    """
    for _ in range(_TURNS):
        version = con.execute("PRAGMA data_version").fetchone()
        try:
            _status(con, workspace, orchestration, Graph(con, orchestration), now)
            if results:
                _results(con, workspace, orchestration, changed)
        except (OSError, Error):
            return
        if con.execute("PRAGMA data_version").fetchone() == version:
            return


_TURNS = 8  # times that others may change something in between


def _status(con, workspace, orchestration, graph, now):
    status, paused, goal, driver = con.execute(
        "SELECT status, paused_at, goal, driver FROM orchestrations WHERE orchestration_id = ?", (orchestration,)).fetchone()
    state = "complete" if status in ("completed", "failed") or (graph.tasks and graph.ended()) else (
        "paused" if paused else "active")
    tasks = [(t, row[1], row[2], graph.states[t], graph.execution.get(t)) for t, row in graph.tasks.items()]
    head = zip(("state", "mode", "updated", "orchestration", "goal", "driver"),
               (state, "background", now, orchestration, goal, driver))
    rows = [_object(zip(("id", "title", "agent", "state", "execution"), task)) for task in tasks]
    write(os.path.join(workspace, "status.json"), '%s,"tasks":[%s]}\n' % (_object(head)[:-1], ",".join(rows)))


def _object(pairs):
    """A JSON object of texts, or nulls, by plain names."""
    return "{%s}" % ",".join(['"%s":%s' % (name, "null" if text is None else _text(text)) for name, text in pairs])


def _text(text):
    plain = text.isprintable() and '"' not in text and "\\" not in text  # as most are: translating takes longer than looking
    return '"%s"' % (text if plain else text.translate(_ESCAPES))


_ESCAPES = {code: "\\u%04x" % code for code in (*range(32), 34, 92)}  # control characters, the quote, the backslash


def _results(con, workspace, orchestration, changed):
    folder = os.path.join(workspace, "results")
    kept = os.path.join(folder, orchestration)
    if os.path.islink(folder) or os.path.islink(kept):
        return  # whatever lies there is not ours to write
    latest = con.execute("SELECT value FROM meta WHERE key = 'results.orchestration'").fetchone()
    if latest != (orchestration,):
        con.execute("INSERT OR REPLACE INTO meta VALUES ('results.orchestration', ?)", (orchestration,))
        if os.path.isdir(folder):  # another orchestration's latest results make room; its kept copies stay
            for name in os.listdir(folder):
                if name.endswith(".md"):
                    os.unlink(os.path.join(folder, name))
    latest, there = _names(folder), _names(kept)
    rows = con.execute(
        "SELECT task_id, attempt, execution_id FROM executions WHERE orchestration_id = ? AND task_id IS NOT NULL AND "
        "status != 'deployed' ORDER BY attempt", (orchestration,)).fetchall()
    last = {task: execution for task, _, execution in rows}
    for task, attempt, execution in rows:
        name, of_task = "%s.%d.md" % (task, attempt), task + ".md"
        anew = changed is None or execution in changed
        if anew or name not in there or (of_task not in latest and last[task] == execution):
            text = _result(con, execution)
            if not os.path.isdir(kept):
                os.makedirs(kept, exist_ok=True)
            write(os.path.join(kept, name), text)
            if last[task] == execution:
                try:
                    os.link(os.path.join(kept, name), os.path.join(folder, of_task))  # costs less than to write it once more
                except OSError:  # an earlier one is there, or this file system has no links
                    write(os.path.join(folder, of_task), text)


def _names(folder):
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _result(con, execution):
    return "<!-- %s · %s · attempt %d · %s · %s -->\n%s\n" % con.execute(
        "SELECT execution_id, agent_type, attempt, status, COALESCE(end_reason, 'None'), COALESCE(NULLIF(final_message, ''), "
        "error_message, '') FROM executions WHERE execution_id = ?", (execution,)).fetchone()
