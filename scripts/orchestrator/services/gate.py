"""The gate: whether a deployment may start, its record, and the briefing put in its prompt's place."""

from orchestrator.context import briefing
from orchestrator.model.ids import orchestration_id as new_orchestration
from orchestrator.recording import record
from orchestrator.recording.graph import Graph
from orchestrator.recording.sessions import current
from orchestrator.services.digest import full, line, places
from orchestrator.services.settings import limit, model
from orchestrator.store import blobs
from orchestrator.store.open import writing

WORD = "orchestrator task "
PLANNER = "orchestrator:planner"
ALIASES = ("haiku", "sonnet", "opus")


class Refused(Exception):
    """Why a deployment may not start, as a sentence the model can act on."""


def task_of(prompt):
    """The task id of a prompt that is only `orchestrator task <id>`, else None."""
    words = (prompt or "").split()
    return words[2] if len(words) == 3 and words[:2] == ["orchestrator", "task"] else None


def check(con, orchestration, task, graph=None):
    """Raises Refused unless the task may be deployed now. Returns the graph it read."""
    graph = graph or Graph(con, orchestration)
    if task not in graph.tasks:
        raise Refused("%s has no task %s; deployable now: %s." % (
            orchestration, line(task, 40), ", ".join(graph.deployable()[:20]) or "none"))
    paused, status = con.execute("SELECT paused_at, status FROM orchestrations WHERE orchestration_id = ?",
                                 (orchestration,)).fetchone()
    if paused:
        raise Refused("%s is paused; `orchestrator resume` goes on." % orchestration)
    if status not in ("planning", "executing"):
        raise Refused("%s is closed (%s); nothing more is deployed for it." % (orchestration, status))
    state, execution = graph.states[task], graph.execution.get(task)
    if state == "completed":
        raise Refused("%s has finished and is not run again; its result: `orchestrator show %s`." % (task, task))
    if state == "in_flight":
        driver, session = con.execute(
            "SELECT o.claude_session_id, e.claude_session_id FROM orchestrations o, executions e WHERE o.orchestration_id = ? "
            "AND e.execution_id = ?", (orchestration, execution)).fetchone()
        raise Refused("%s is already being worked on (%s); %s." % (
            task, execution, "its end will be told" if driver == session else
            "`orchestrator status` shows when it has ended, as another conversation deployed it"))
    if state == "waiting":
        open_ones = [t for t in graph.after[task] if graph.states[t] not in ("completed", "skipped")]
        raise Refused("%s waits for %s; it is offered when they are done." % (
            task, ", ".join(["%s (%s)" % (t, graph.states[t]) for t in open_ones[:8]])))
    if state == "skipped":
        bad = [t for t in graph.of("failed") if t != task]
        raise Refused("%s is skipped%s; deploy that again first, or go on without it: `orchestrator task skip ID`." % (
            task, ", because %s failed" % ", ".join(bad[:8]) if bad else ""))
    return graph


def agent_call(con, p, project, now):
    """PreToolUse(Agent). Returns (changed tool input as JSON or None); raises Refused. Records what it lets through."""
    task = task_of(p.input_prompt)
    if p.agent:
        _may_spawn(con, p, task)
    if task is not None:
        return _planned(con, p, project, task, now)
    _misspelt(con, p)
    with writing(con):
        known = record.by_call(con, p.session, p.call)
        record.append(con, "intent", now, "%s %s" % (p.session, p.call), claude_session_id=p.session, tool_use_id=p.call,
                      parent_agent_id=p.agent, prompt_id=p.prompt_id, agent_type=p.input_type, model=p.input_model,
                      text=p.input_prompt, execution_id=_unplanned(con, p, now),
                      body=p.input_name)  # that of a teammate, where the client makes one
        if known:
            record.settle(con, known)
    if p.input_type == PLANNER and not p.agent:  # in the background on either client
        return con.execute("SELECT json_set(json_extract(?1, '$.tool_input'), '$.run_in_background', json('true'))",
                           (p.text,)).fetchone()[0]
    return None


def _may_spawn(con, p, task):
    row = con.execute("SELECT e.task_id, e.origin, json_extract(t.spec, '$.may_spawn') FROM executions e LEFT JOIN tasks t "
                      "USING (orchestration_id, task_id) WHERE e.agent_id = ?", (p.agent,)).fetchone()
    if task is not None:
        raise Refused("Only the main conversation deploys planned tasks; do your own task and return.")
    if row and row[1] == "planner":
        raise Refused("The planner plans alone: look around yourself, then submit with `orchestrator plan -`.")
    if row and row[0] and not row[2]:
        raise Refused("Task %s may not spawn agents (may_spawn is not set): do the work yourself." % row[0])


def _misspelt(con, p):
    """Refuses a call that names a task of this conversation and says more: its agent would get no briefing."""
    words = (p.input_prompt or "").replace("`", " ").split()
    task = words[2].rstrip(".,:;") if words[:2] == ["orchestrator", "task"] and len(words) > 2 else None
    if task and con.execute("SELECT 1 FROM claude_sessions s JOIN tasks t USING (orchestration_id) WHERE "
                            "s.claude_session_id = ? AND t.task_id = ?", (p.session, task)).fetchone():
        raise Refused("The prompt must be exactly `orchestrator task %s`: the briefing takes its place." % task)


def _unplanned(con, p, now):
    """Opens the execution of a call that names no task; the planner's belongs to the session's orchestration."""
    existing = record.by_call(con, p.session, p.call)
    if existing:  # heard of late: other signals opened it
        record.explain(con, existing, p.call, p.agent is not None)
        record.fill(con, existing, agent_type=p.input_type, scope=p.description, parent_agent_id=p.agent,
                    prompt_id=p.prompt_id, model=p.input_model,
                    briefing_hash=blobs.put(con, record.clean(p.input_prompt or "").encode("utf-8", "replace")))
        return existing
    orchestration, origin = None, "nested" if p.agent else "unplanned"
    if p.input_type == PLANNER and not p.agent:
        orchestration, origin = _opened(con, p, now), "planner"
    text = record.clean(p.input_prompt or "")
    return record.open_execution(
        con, now, orchestration_id=orchestration, origin=origin, claude_session_id=p.session, tool_use_id=p.call,
        parent_agent_id=p.agent, prompt_id=p.prompt_id, agent_type=p.input_type or "general-purpose", scope=p.description,
        model=p.input_model, briefing_hash=blobs.put(con, text.encode("utf-8", "replace")))


def _opened(con, p, now):
    """The orchestration a planner works for: the session's, while it is open; else a new one, which it then drives."""
    orchestration = current(con, p.session)
    if orchestration:
        status = con.execute("SELECT status FROM orchestrations WHERE orchestration_id = ?", (orchestration,)).fetchone()
        graph = Graph(con, orchestration)
        if status and status[0] in ("planning", "executing") and not (graph.tasks and graph.ended()):
            return orchestration
    orchestration = new_orchestration(now)
    goal = record.clean(p.input_prompt or p.description or "a goal")
    con.execute("INSERT INTO orchestrations (orchestration_id, goal, status, phase, claude_session_id, created_at, "
                "updated_at) VALUES (?, ?, 'planning', 1, ?, ?, ?)", (orchestration, goal, p.session, now, now))
    con.execute("UPDATE claude_sessions SET orchestration_id = ?, seen_rev = 0 WHERE claude_session_id = ?",
                (orchestration, p.session))
    return orchestration


def _planned(con, p, project, task, now):
    orchestration = current(con, p.session)
    if orchestration is None:
        raise Refused("This conversation drives no orchestration: `orchestrator resume` adopts one, "
                      "`orchestrator plan -` begins one.")
    done = con.execute("SELECT execution_id FROM executions WHERE claude_session_id = ? AND tool_use_id = ? AND task_id = ?",
                       (p.session, p.call, task)).fetchone()
    most, version = limit(con), con.execute("PRAGMA data_version").fetchone()
    graph = _deployable(con, orchestration, task, most) if done is None else None
    text, sent, bundle, tokens, how = brief(con, project, orchestration, task)
    with writing(con):
        agent_type, title, asked = spec_of(con, orchestration, task)
        if graph:
            if con.execute("PRAGMA data_version").fetchone() != version:  # others wrote in between
                graph = _deployable(con, orchestration, task, most)
            if graph.states[task] == "lost":
                supersede(con, graph.execution[task], now)
            execution = record.open_execution(
                con, now, orchestration_id=orchestration, task_id=task, origin="planned",
                attempt=record.next_attempt(con, orchestration, task), claude_session_id=p.session, tool_use_id=p.call,
                prompt_id=p.prompt_id, agent_type=agent_type, scope=title, model=asked)
            record.append(con, "intent", now, "%s %s" % (p.session, p.call), claude_session_id=p.session,
                          tool_use_id=p.call, prompt_id=p.prompt_id, orchestration_id=orchestration, task_id=task,
                          execution_id=execution, agent_type=agent_type, model=asked)
            keep_briefing(con, execution, text, sent, bundle, tokens, how)
            started(con, orchestration, now)
            con.execute("UPDATE claude_sessions SET touched = 1, nagged = 0 WHERE claude_session_id = ?", (p.session,))
    # the plan's agent type, model and background win; a name could make it a teammate, which reports to nobody
    return con.execute(
        "SELECT json_patch(json_set(json_extract(?1, '$.tool_input'), '$.prompt', ?2, '$.subagent_type', ?3, "
        "'$.description', COALESCE(json_extract(?1, '$.tool_input.description'), ?4), '$.run_in_background', "
        "json('true')), json_object('model', ?5, 'name', NULL, 'team_name', NULL))",
        (p.text, text, agent_type, title, asked)).fetchone()[0]


def _deployable(con, orchestration, task, most):
    """The graph, when an Agent call may deploy the task now, beside at most so many at work; else raises Refused."""
    graph = Graph(con, orchestration)
    if task in graph.handed and graph.states[task] in ("ready", "waiting", "lost"):
        raise Refused("%s was handed to the workflow that is running; its notification comes when it ends." % task)
    check(con, orchestration, task, graph)
    if places(con, graph, most) < 1:
        raise Refused("%s; %s is offered again when one ends." % (full(most), task))
    return graph


def spec_of(con, orchestration, task):
    """(agent type, title, model alias or None) of a task."""
    agent_type, title, asked = con.execute(
        "SELECT agent_type, title, json_extract(spec, '$.model') FROM tasks WHERE orchestration_id = ? AND task_id = ?",
        (orchestration, task)).fetchone()
    asked = asked or model(con)
    if asked:  # the Agent tool takes aliases only
        asked = next((a for a in ALIASES if a in asked), None)
    return agent_type, title, asked


def supersede(con, execution, now):
    """Closes a lost execution as failed before its task is deployed again; a later signal may correct its row."""
    record.append(con, "closed", now, execution + " lost", execution_id=execution, status="failed", reason="lost",
                  text="Lost: its Claude session ended before it did.")
    record.settle(con, execution)


def results_of(con, orchestration, task):
    """What a task's briefing quotes: (task id, title, agent type, status, final message, deliverables, verdicts)."""
    found = []
    for first, title, agent_type in con.execute(
            "SELECT t.task_id, t.title, t.agent_type FROM task_dependencies d JOIN tasks t ON t.orchestration_id = "
            "d.orchestration_id AND t.task_id = d.after_id WHERE d.orchestration_id = ? AND d.task_id = ? "
            "ORDER BY t.position", (orchestration, task)).fetchall():
        row = con.execute("SELECT execution_id, status, final_message FROM executions WHERE orchestration_id = ? AND "
                          "task_id = ? ORDER BY status = 'completed' DESC, attempt DESC LIMIT 1",
                          (orchestration, first)).fetchone()
        execution, status, message = row or (None, "skipped", "")
        outputs = con.execute("SELECT output_type, COALESCE(path, content) FROM outputs WHERE execution_id = ? "
                              "ORDER BY output_id", (execution,)).fetchall()
        found.append((first, title, agent_type, status, message or "", [o[1] for o in outputs if o[0] == "deliverable"],
                      [o[1] for o in outputs if o[0] == "validation_result"]))
    return found


def brief(con, project, orchestration, task):
    """(text, sent items, bundle id, tokens, how) of the briefing as it would be sent now."""
    made = briefing.assemble(con, project, orchestration, task, results_of(con, orchestration, task))
    return made.text, made.sent, made.bundle_id, made.tokens, made.how


def keep_briefing(con, execution, text, sent, bundle, tokens, how):
    """Keeps what was sent: the briefing's bytes, its bundle, and each item's allocation."""
    con.execute("UPDATE executions SET briefing_hash = ?, bundle_id = ?, context_token_count = ?, count_how = ? "
                "WHERE execution_id = ?", (blobs.put(con, text.encode("utf-8", "replace")), bundle, tokens, how, execution))
    con.executemany(
        "INSERT INTO allocations (execution_id, bundle_id, context_type, context_source, token_count, how, priority, "
        "included, reason, item_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [(execution, bundle) + tuple(s) for s in sent])


def started(con, orchestration, now):
    """The first deployment moves an orchestration from planning to executing."""
    con.execute("UPDATE orchestrations SET status = 'executing', phase = max(COALESCE(phase, 3), 3), updated_at = ?2 "
                "WHERE orchestration_id = ?1 AND status IN ('planning', 'executing')", (orchestration, now))
