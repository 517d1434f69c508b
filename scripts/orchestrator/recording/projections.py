"""Projections for people and scripts: status.json and results/*.md, written whole after each change, never read back."""

import os

from orchestrator.recording.graph import Graph
from orchestrator.store.workspace import write


def project(con, workspace, orchestration, now):
    """Writes status.json and the results of this orchestration's finished tasks. What cannot be written now is
    written after the next change: the rows are the record."""
    graph = Graph(con, orchestration)
    try:
        _status(con, workspace, orchestration, graph, now)
        _results(con, workspace, orchestration, graph)
    except OSError:
        pass


def _status(con, workspace, orchestration, graph, now):
    status, paused, goal, driver = con.execute(
        "SELECT status, paused_at, goal, driver FROM orchestrations WHERE orchestration_id = ?", (orchestration,)).fetchone()
    state = "complete" if status in ("completed", "failed") or (graph.tasks and graph.ended()) else (
        "paused" if paused else "active")
    tasks = [(t, row[1], row[2], graph.states[t], graph.execution.get(t)) for t, row in graph.tasks.items()]
    con.execute("CREATE TEMP TABLE IF NOT EXISTS status_tasks (id, title, agent, state, execution)")
    con.execute("DELETE FROM status_tasks")
    con.executemany("INSERT INTO status_tasks VALUES (?, ?, ?, ?, ?)", tasks)
    text = con.execute(
        "SELECT json_object('state', ?, 'mode', 'background', 'updated', ?, 'orchestration', ?, 'goal', ?, 'driver', ?, "
        "'tasks', json((SELECT json_group_array(json_object('id', id, 'title', title, 'agent', agent, 'state', state, "
        "'execution', execution)) FROM status_tasks)))", (state, now, orchestration, goal, driver)).fetchone()[0]
    write(os.path.join(workspace, "status.json"), text + "\n")


def _results(con, workspace, orchestration, graph):
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
    for task, attempt, status, reason, message, error, execution, agent_type in con.execute(
            "SELECT task_id, attempt, status, end_reason, final_message, error_message, execution_id, agent_type "
            "FROM executions WHERE orchestration_id = ? AND task_id IS NOT NULL AND status != 'deployed' ORDER BY attempt",
            (orchestration,)).fetchall():
        mark = "%s %s %s" % (status, reason, len(message or ""))
        path = os.path.join(kept, "%s.%d.md" % (task, attempt))
        text = "<!-- %s · %s · attempt %d · %s · %s -->\n%s\n" % (
            execution, agent_type, attempt, status, reason, message or error or "")
        if not os.path.exists(path) or os.path.getsize(path) != len(text.encode("utf-8", "replace")):
            os.makedirs(kept, exist_ok=True)
            write(path, text)
        if mark and not (os.path.exists(os.path.join(folder, task + ".md"))
                         and os.path.getsize(os.path.join(folder, task + ".md")) == os.path.getsize(path)):
            write(os.path.join(folder, task + ".md"), text)
