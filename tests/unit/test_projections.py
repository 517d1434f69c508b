"""Projections: status.json shows what the rows say last, whoever writes it when."""

import json

from orchestrator.recording import projections
from orchestrator.store import open as store

NOW = "2026-11-21T08:00:00.000Z"


def test_what_changes_while_it_is_written_is_in_it(tmp_path, monkeypatch):
    """A task that another process deploys, and shows, before this one has written what it read earlier is not shown as ready."""
    con, other = [store.open_history(str(tmp_path / "history.db")) for _ in range(2)]
    con.execute("INSERT INTO orchestrations (orchestration_id, goal, created_at, updated_at) VALUES ('o', 'g', ?, ?)", (NOW, NOW))
    con.execute("INSERT INTO tasks (orchestration_id, task_id, position, title, agent_type, spec, created_at) "
                "VALUES ('o', 't1', 0, 'T', 'scout', '{}', ?)", (NOW,))  # fmt: skip
    ready, write = [], projections.write

    def slowly(path, text):
        if not ready:
            ready.append(json.loads(text)["tasks"][0]["state"])
            other.execute("INSERT INTO executions (execution_id, orchestration_id, task_id, origin, agent_type, deployed_at) "
                          "VALUES ('e', 'o', 't1', 'planned', 'scout', ?)", (NOW,))  # fmt: skip
            projections.project(other, str(tmp_path), "o", NOW)
        write(path, text)

    monkeypatch.setattr(projections, "write", slowly)
    projections.project(con, str(tmp_path), "o", NOW)
    shown = json.loads((tmp_path / "status.json").read_text())
    assert (ready, [task["state"] for task in shown["tasks"]]) == (["ready"], ["in_flight"])


def test_a_history_that_another_writes_to(tmp_path):
    """Where the history stays locked while the results are written, nothing is raised: what was recorded before stands, and
    the next change writes them."""
    con, other = [store.open_history(str(tmp_path / "history.db"), timeout=0.01) for _ in range(2)]
    con.execute("INSERT INTO orchestrations (orchestration_id, goal, created_at, updated_at) VALUES ('o', 'g', ?, ?)", (NOW, NOW))
    con.execute("INSERT INTO executions (execution_id, orchestration_id, task_id, origin, agent_type, deployed_at, status, "
                "final_message) VALUES ('e', 'o', 't1', 'planned', 'scout', ?, 'completed', 'Done.')", (NOW,))  # fmt: skip
    other.execute("BEGIN IMMEDIATE")
    projections.project(con, str(tmp_path), "o", NOW)
    other.execute("ROLLBACK")
    projections.project(con, str(tmp_path), "o", NOW)
    assert (tmp_path / "results" / "t1.md").read_text().endswith("Done.\n")
