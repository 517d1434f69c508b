"""The tracker: orchestrations and deployments recorded by command, in the rows that hooks write."""

import json
import os
import re
from typing import Any, Optional, Sequence

from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import orchestration_id as new_orchestration
from orchestrator.recording import ends, record
from orchestrator.services import outputs
from orchestrator.services.gate import started
from orchestrator.services.masks import masked_id
from orchestrator.store.open import writing

_ID = re.compile(r"[^\W_][\w.:@+=-]{0,127}")


def checked_id(given: str, what: str) -> str:
    """An id as given, a secret in it masked. OrchestratorError for one that could not be written in a command or a
    file's name."""
    given = masked_id(given)
    if not _ID.fullmatch(given):
        raise OrchestratorError(
            f"{given[:60]!r} is no {what}: use at most 128 letters, digits and . _ - : @ + =, a letter "
            "or digit first."
        )
    return given


def init_session(
    con: Any, scope: str, session_id: Optional[str], now: str, metadata: Optional[str] = None
) -> str:
    """Opens an orchestration, said again not a second one; refused with another scope. Returns its id."""
    goal = record.clean(scope.strip())
    if not goal:
        raise OrchestratorError("The scope is empty: say in a line what the session is for.")
    orchestration = checked_id(session_id, "session id") if session_id else new_orchestration(now)
    with writing(con):
        row = con.execute(
            "SELECT goal FROM orchestrations WHERE orchestration_id = ?", (orchestration,)
        ).fetchone()
        if row is None:
            con.execute(
                "INSERT INTO orchestrations (orchestration_id, goal, status, phase, origin, created_at, "
                "updated_at, metadata) VALUES (?1, ?2, 'planning', 1, 'tracker', ?3, ?3, ?4)",
                (orchestration, goal, now, record.clean(metadata)),
            )
        elif row[0] != goal:
            raise OrchestratorError(
                f"{orchestration} is there already, for {row[0][:120]!r}: give this session another id, "
                "or leave --session-id out."
            )
    return orchestration


def open_session(con: Any, session_id: str) -> str:
    """The session's id, if it is there and open."""
    row = con.execute(
        "SELECT status FROM orchestrations WHERE orchestration_id = ?", (session_id,)
    ).fetchone()
    if row is None:
        raise OrchestratorError(
            f"There is no session {session_id[:128]!r}: begin it with `orchestrator tracker init-session "
            "--scope … --session-id …`; `orchestrator tracker query` lists those there are."
        )
    if row[0] not in ("planning", "executing"):
        raise OrchestratorError(
            f"{session_id} is closed ({row[0]}): begin another session with `orchestrator tracker "
            "init-session --scope …`."
        )
    return session_id


def init_deployment(
    con: Any,
    session_id: str,
    agent_type: str,
    now: str,
    *,
    execution_id: Optional[str] = None,
    scope: Optional[str] = None,
    tokens: Optional[int] = None,
    model: Optional[str] = None,
    bundle: Optional[dict[str, Any]] = None,
) -> str:
    """Records that an agent is about to be deployed; returns the execution's id. Said again it is no second.

    `bundle` gives scope and tokens where they are not given, and the allocation of its items.
    """
    if not agent_type.strip():
        raise OrchestratorError("The agent type is empty: name the agent that is deployed.")
    if execution_id:
        execution_id = checked_id(execution_id, "execution id")
    session_id, agent_type, model = masked_id(session_id), record.clean(agent_type), record.clean(model)
    said = {"scope": record.clean(scope), "model": model, "tokens": tokens}
    if bundle:
        scope = scope or bundle["scope"]
    with writing(con):
        open_session(con, session_id)
        row = con.execute(
            "SELECT orchestration_id, agent_type, scope, model, context_token_count FROM executions "
            "WHERE execution_id = ?",
            (execution_id,),
        ).fetchone()
        if row is None:
            execution_id = record.open_execution(
                con,
                now,
                **({"execution_id": execution_id} if execution_id else {}),
                orchestration_id=session_id,
                origin="tracker",
                runtime="tracker",
                agent_type=agent_type,
                scope=scope,
                model=model,
                context_token_count=tokens,
                count_how=None if tokens is None else "given",
            )
            record.append(
                con,
                "intent",
                now,
                execution_id,
                orchestration_id=session_id,
                execution_id=execution_id,
                agent_type=agent_type,
                model=model,
                text=scope,
            )
            started(con, session_id, now)
        elif row[:2] != (session_id, agent_type):
            raise OrchestratorError(
                f"{execution_id} is there already, an execution of {row[1]} in {row[0]}: give this one "
                "another id, or leave --execution-id out."
            )
        else:
            for (what, given), kept in zip(said.items(), row[2:], strict=True):
                if given is not None and given != kept:
                    raise OrchestratorError(
                        f"{execution_id} is there already, with the {what} {str(kept)[:120]!r}: give this one "
                        "another id, or leave --execution-id out."
                    )
    if bundle:
        from orchestrator.services.bundles import record_allocation

        record_allocation(con, str(execution_id), bundle)
    return str(execution_id)


def record_completion(
    con: Any,
    project: str,
    execution: str,
    now: str,
    *,
    status: str = "completed",
    message: Optional[str] = None,
    deliverables: Sequence[str] = (),
) -> bool:
    """Records an execution's end, once; returns whether it was new. Refused when it says otherwise, and while the
    execution is an agent's at work: hooks recorded it, and record how it really ends."""
    wrong = outputs.faults(project, deliverables)
    if wrong:
        raise OrchestratorError(" ".join(wrong))
    with writing(con):
        row = con.execute(
            "SELECT status, final_message, end_reason, completed_at, inferred, status = 'deployed' AND "
            "runtime != 'tracker' AND NOT EXISTS (SELECT 1 FROM lost_executions l WHERE l.execution_id = "
            "e.execution_id) FROM executions e WHERE execution_id = ?",
            (execution,),
        ).fetchone()
        if row is None:
            raise OrchestratorError(
                f"There is no execution {execution[:128]!r}: record its deployment first, with "
                "`orchestrator tracker init-deployment`."
            )
        if row[5]:
            raise OrchestratorError(
                f"{execution} is an agent at work: its end is recorded when it ends, nobody needs to say it. "
                f"`orchestrator outputs collect --execution-id {execution} …` adds what it left."
            )
        concluded = (
            row[0] != "deployed" and not row[4]
        )  # an end that was only inferred gives way to one that is said
        if concluded and (row[0] != status or message is not None and row[1] != record.clean(message)):
            raise OrchestratorError(
                f"The end of {execution} is recorded already ({row[0]}, {row[2]}, {row[3]}) and stays; "
                f"`orchestrator show {execution}` shows it."
            )
        if not concluded:
            record.append(
                con,
                "closed",
                now,
                execution + " given",
                execution_id=execution,
                status=status,
                reason="given",
                text=message,
            )
            ends.conclude(con, project, execution, now)
        for path in deliverables:
            outputs.keep(con, project, execution, "deliverable", path, now)
    return not concluded


def complete_session(con: Any, session_id: str, now: str, status: str = "completed") -> list[str]:
    """Closes an orchestration, in phase 5; returns what is still deployed. Said again it changes nothing."""
    with writing(con):
        row = con.execute(
            "SELECT status FROM orchestrations WHERE orchestration_id = ?", (session_id,)
        ).fetchone()
        if row is None or row[0] != status:
            open_session(con, session_id)
            con.execute(
                "UPDATE orchestrations SET status = ?2, phase = 5, completed_at = ?3, updated_at = ?3 WHERE "
                "orchestration_id = ?1",
                (session_id, status, now),
            )
        return [
            r[0]
            for r in con.execute(
                "SELECT execution_id FROM executions WHERE orchestration_id = ? AND status = "
                "'deployed' ORDER BY deployed_at",
                (session_id,),
            )
        ]


def set_phase(con: Any, session_id: str, phase: int, now: str) -> None:
    """Notes the phase an orchestration is in; from the third on it is executing."""
    with writing(con):
        open_session(con, session_id)
        con.execute(
            "UPDATE orchestrations SET phase = ?2, updated_at = ?3, status = CASE WHEN ?2 >= 3 THEN "
            "'executing' ELSE status END WHERE orchestration_id = ?1",
            (session_id, phase, now),
        )


def validate(project: str, scope: str, specs: Sequence[str], data: str) -> dict[str, Any]:
    """Whether a scope and its files are fit to plan with: each file measured, each fault a sentence."""
    from orchestrator.context import margins
    from orchestrator.context.count_cache import FileCache
    from orchestrator.context.items import Request, Shelf, gather
    from orchestrator.context.tokens import Counter

    items, wrong = gather(Shelf(project), [Request(spec) for spec in specs])
    if not scope.strip():
        wrong = ["The scope is empty: say in a line what the session is for.", *wrong]
    counts = Counter(FileCache(os.path.join(data, "token-counts.db"))).count_many(item.text for item in items)
    files = [
        {"source": item.label, "bytes": item.file.size if item.file else None, "tokens": tokens, "how": how}
        for item, (tokens, how) in zip(items, counts, strict=True)
    ]
    total = sum([tokens for tokens, _ in counts])
    if total > margins.DEFAULT_WINDOW:
        wrong = [
            *wrong,
            f"The files have {total:,} tokens together, more than the {margins.DEFAULT_WINDOW:,} of an "
            "agent's window: name sections, or give each agent its own.",
        ]
    return {"scope": scope, "valid": not wrong, "files": files, "total_tokens": total, "faults": wrong}


def note_validation(con: Any, session_id: str, told: dict[str, Any], now: str) -> None:
    """Keeps what a validation found as an event of its session."""
    with writing(con):
        open_session(con, session_id)
        record.append(
            con,
            "validated",
            now,
            f"{session_id} {now}",
            orchestration_id=session_id,
            status="valid" if told["valid"] else "faulty",
            body=json.dumps(told, ensure_ascii=False),
        )
