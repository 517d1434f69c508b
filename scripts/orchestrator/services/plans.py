"""Plans accepted: an orchestration opened or extended by tasks, their briefings prepared, all or nothing."""

import json
from typing import Any, Callable, Mapping, Optional, Sequence

from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import orchestration_id as new_id
from orchestrator.recording import record
from orchestrator.recording.graph import rise
from orchestrator.services.masks import masked, masked_id
from orchestrator.services.prepare import prepare
from orchestrator.store.open import writing

Progress = Callable[[int, int], None]
_OPENED = ("files", "references", "documents")  # names that must be found; a bundle masks them when it has their text


class NotPrepared(OrchestratorError):
    """The plan's context cannot be prepared; `faults` are (task, what is wrong and what to do)."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        self.faults = list(faults)
        lines = [f"{i}. {task}: {fault}" for i, (task, fault) in enumerate(faults, 1)]
        super().__init__("The plan is refused; nothing was kept. Mend these and submit again:\n" + "\n".join(lines))


def context_faults(con: Any, project: str, orchestration_id: str | None, specs: Sequence[Mapping[str, Any]],
                   settings: Optional[Mapping[str, Any]] = None) -> list[tuple[str, str]]:
    """(task, what is wrong and what to do) of each task whose context cannot be prepared; keeps nothing."""
    return prepare(con, project, orchestration_id or "", [dict(s) for s in specs], settings).faults


def open_one(con: Any, session: str | None) -> str | None:
    """The orchestration that a plan from this Claude session extends: its own, while something of it is open."""
    from orchestrator.recording.graph import Graph

    row = con.execute(
        "SELECT o.orchestration_id FROM claude_sessions s JOIN orchestrations o USING (orchestration_id) "
        "WHERE s.claude_session_id = ? AND o.status IN ('planning', 'executing')", (session,)).fetchone()
    if row is None:
        return None
    graph = Graph(con, row[0])
    return None if graph.tasks and graph.ended() else row[0]


def existing_tasks(con: Any, orchestration_id: str | None) -> list[dict[str, Any]]:
    """The tasks an orchestration has already, as the plan's door wants them: id, after, writes."""
    after: dict[str, list[str]] = {}
    for task, first in con.execute("SELECT task_id, after_id FROM task_dependencies WHERE orchestration_id = ?",
                                   (orchestration_id,)):
        after.setdefault(task, []).append(first)
    return [
        {"id": task, "after": after.get(task, []), "writes": json.loads(spec).get("writes") or []}
        for task, spec in con.execute("SELECT task_id, spec FROM tasks WHERE orchestration_id = ? ORDER BY position",
                                      (orchestration_id,))]


def accept(
    con: Any,
    project: str,
    goal: str,
    specs: Sequence[Mapping[str, Any]],
    *,
    orchestration_id: str | None,
    session: str | None,
    now: str,
    settings: Optional[Mapping[str, Any]] = None,
    progress: Optional[Progress] = None,
) -> str:
    """Takes valid task specs into an orchestration, a new one where none is named. Returns its id.

    Raises NotPrepared with every fault; then nothing is kept. The slow part stands outside the transaction.
    """
    fresh = orchestration_id is None
    orchestration = orchestration_id or new_id(now)
    specs = [_without_secrets(spec) for spec in specs]
    made = prepare(con, project, orchestration, [dict(s) for s in specs], settings, progress)
    if made.faults:
        raise NotPrepared(made.faults)
    with writing(con):
        if fresh:
            con.execute(
                "INSERT INTO orchestrations (orchestration_id, goal, status, phase, claude_session_id, created_at, "
                "updated_at) VALUES (?, ?, 'planning', 2, ?, ?, ?)", (orchestration, record.clean(goal), session, now, now))
            if session:
                _drive(con, session, orchestration, now)
        elif con.execute("SELECT status FROM orchestrations WHERE orchestration_id = ?",
                         (orchestration,)).fetchone()[0] not in ("planning", "executing"):
            raise OrchestratorError(f"{orchestration} is closed: plan a new orchestration instead.")
        taken = {t["id"] for t in existing_tasks(con, orchestration)}
        doubled = [str(s["id"]) for s in specs if s["id"] in taken]
        if doubled:
            raise OrchestratorError(f"{orchestration} has tasks {', '.join(doubled)} already: choose other ids.")
        place = con.execute("SELECT COALESCE(max(position), 0) FROM tasks WHERE orchestration_id = ?",
                            (orchestration,)).fetchone()[0]
        for position, spec in enumerate(specs, place + 1):
            con.execute(
                "INSERT INTO tasks (orchestration_id, task_id, position, title, agent_type, priority, spec, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (orchestration, spec["id"], position, record.clean(str(spec["title"])), spec["agent"],
                 spec.get("priority") or 0, record.clean(json.dumps(spec, ensure_ascii=False)), now))
            con.executemany("INSERT OR IGNORE INTO task_dependencies VALUES (?, ?, ?)",
                            [(orchestration, spec["id"], first) for first in spec.get("after") or []])
        made.keep(con)
        con.execute("UPDATE orchestrations SET phase = max(COALESCE(phase, 2), 2), updated_at = ? "
                    "WHERE orchestration_id = ?", (now, orchestration))
        record.append(con, "plan", now, f"{orchestration} {now} {len(specs)}", claude_session_id=session,
                      orchestration_id=orchestration, body=json.dumps([s["id"] for s in specs]))
        rise(con, orchestration, now)
    return orchestration


def _without_secrets(spec: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: each for key, each in spec.items() if key not in _OPENED}
    told = masked(given)
    if told is given:
        return dict(spec)
    ids = {"id": masked_id(str(spec["id"])), "after": [masked_id(str(each)) for each in spec.get("after") or []]}
    return {**spec, **told, **ids}


def _drive(con: Any, session: str, orchestration: str, now: str) -> None:
    con.execute("INSERT OR IGNORE INTO claude_sessions (claude_session_id, started_at) VALUES (?, ?)", (session, now))
    con.execute("UPDATE claude_sessions SET orchestration_id = ?, seen_rev = 0 WHERE claude_session_id = ?",
                (orchestration, session))


def quote(con: Any, orchestration_id: str) -> tuple[int, str]:
    """(tokens, how) of the briefings of the tasks that have not ended; results still to come are not in it."""
    rows = con.execute("SELECT tokens, how FROM prepared WHERE orchestration_id = ?", (orchestration_id,)).fetchall()
    hows = {r[1] for r in rows}
    return sum(r[0] for r in rows), hows.pop() if len(hows) == 1 else "estimate"


def skip(con: Any, orchestration_id: str, task: str, now: str) -> bool:
    """Goes on without a task: what waits for it no longer does; False: it was skipped already.

    OrchestratorError while it runs or when it is done.
    """
    from orchestrator.recording.graph import Graph

    with writing(con):
        graph = Graph(con, orchestration_id)
        state = graph.states.get(task)
        if state is None:
            raise OrchestratorError(f"{orchestration_id} has no task {task!r}: `orchestrator task list` names them.")
        if state in ("completed", "in_flight"):
            raise OrchestratorError(f"{task} is {state.replace('_', ' ')}: only a task that is not running and has not "
                                    "finished can be skipped.")
        if state == "skipped":
            return False
        con.execute("UPDATE tasks SET skipped_at = ? WHERE orchestration_id = ? AND task_id = ?",
                    (now, orchestration_id, task))
        record.append(con, "skipped", now, f"{orchestration_id} {task} {now}", orchestration_id=orchestration_id,
                      task_id=task)
        rise(con, orchestration_id, now)
    return True


def adopt(con: Any, orchestration_id: str, session: str, now: str, take: bool = False) -> None:
    """Makes a Claude session the driver of an orchestration and resumes it if it was paused.

    OrchestratorError when another living session drives it (unless `take`), or when it is closed.
    """
    with writing(con):
        status, driver = con.execute("SELECT status, claude_session_id FROM orchestrations WHERE orchestration_id = ?",
                                     (orchestration_id,)).fetchone()
        if status not in ("planning", "executing"):
            raise OrchestratorError(f"{orchestration_id} is closed ({status}): there is nothing to resume.")
        alive = con.execute("SELECT 1 FROM claude_sessions WHERE claude_session_id = ? AND ended_at IS NULL AND "
                            "end_reason IS NULL AND orchestration_id = ?", (driver, orchestration_id)).fetchone()
        if alive and driver != session and not take:
            raise OrchestratorError(f"Another open conversation ({driver[:8]}) drives {orchestration_id}: go on there, or "
                                    "take it over with `orchestrator resume --take`.")
        if driver and driver != session:
            con.execute("UPDATE claude_sessions SET orchestration_id = NULL WHERE claude_session_id = ? AND "
                        "orchestration_id = ?", (driver, orchestration_id))
        con.execute("UPDATE orchestrations SET claude_session_id = ?, paused_at = NULL, updated_at = ? "
                    "WHERE orchestration_id = ?", (session, now, orchestration_id))
        _drive(con, session, orchestration_id, now)
        record.append(con, "adopted", now, f"{orchestration_id} {session} {now}", claude_session_id=session,
                      orchestration_id=orchestration_id)
        rise(con, orchestration_id, now)


def pause(con: Any, orchestration_id: str, now: str) -> None:
    """Deploys nothing more until resumed; what is at work finishes. OrchestratorError when it is closed."""
    with writing(con):
        status = con.execute("SELECT status FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,)).fetchone()[0]
        if status not in ("planning", "executing"):
            raise OrchestratorError(f"{orchestration_id} is closed ({status}): there is nothing to stop.")
        con.execute("UPDATE orchestrations SET paused_at = COALESCE(paused_at, ?1), updated_at = ?1, rev = rev + 1 "
                    "WHERE orchestration_id = ?2", (now, orchestration_id))
        record.append(con, "paused", now, f"{orchestration_id} {now}", orchestration_id=orchestration_id)
