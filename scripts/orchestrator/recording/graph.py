"""An orchestration's graph as it stands: its tasks, what they wait for, their states; and when `rev` rises."""

from orchestrator.model.states import derive
from orchestrator.store.open import LOST

_OWN = f"""
SELECT e.task_id, e.status, e.execution_id, {LOST}
FROM executions e WHERE e.orchestration_id = ?1 AND e.task_id IS NOT NULL ORDER BY e.task_id, e.attempt"""


class Graph:
    """tasks: rows by id, in order; after: what each waits for; states: derived; execution: each task's latest."""

    def __init__(self, con, orchestration_id):
        self.orchestration_id = orchestration_id
        self.tasks = {}
        self.handed = {}
        own = {}
        for row in con.execute(
                "SELECT task_id, title, agent_type, priority, position, skipped_at, handed_to FROM tasks "
                "WHERE orchestration_id = ? ORDER BY position", (orchestration_id,)):
            self.tasks[row[0]] = row
            if row[5]:
                own[row[0]] = "skipped"
            if row[6]:
                self.handed[row[0]] = row[6]
        self.after = {}
        for task, first in con.execute(
                "SELECT task_id, after_id FROM task_dependencies WHERE orchestration_id = ?", (orchestration_id,)):
            self.after.setdefault(task, []).append(first)
        self.execution = {}
        for task, status, execution, lost in con.execute(_OWN, (orchestration_id,)):
            self.execution[task] = execution
            if own.get(task) != "completed":
                if status == "completed" or own.get(task) != "skipped":
                    own[task] = "lost" if lost else "in_flight" if status == "deployed" else status
        self.states = derive(list(self.tasks), self.after, own)

    def of(self, *states):
        """Task ids in any of these states; those of higher priority first, then in the plan's order."""
        found = [t for t in self.tasks if self.states[t] in states]
        return sorted(found, key=lambda t: (-self.tasks[t][3], self.tasks[t][4]))

    def deployable(self):
        """What the main conversation may deploy now: ready or lost, and not handed to a running workflow."""
        return [t for t in self.of("ready", "lost") if t not in self.handed]

    def ended(self):
        """Whether nothing is left to run: every task completed, failed or skipped."""
        return all(s in ("completed", "failed", "skipped") for s in self.states.values())


def rise(con, orchestration_id, now, matters=True):
    """Raises `rev` where something `matters`: the main conversation has something to do or to know."""
    con.execute("UPDATE orchestrations SET rev = rev + ?3, updated_at = ?2 WHERE orchestration_id = ?1",
                (orchestration_id, now, bool(matters)))


def task_ended(con, orchestration_id, status, now):
    """Raises `rev` after an execution's end if that matters: it failed, something may be deployed, or it was the last."""
    graph = Graph(con, orchestration_id)
    rise(con, orchestration_id, now, status == "failed" or graph.deployable() or not graph.of("in_flight"))
    return graph
