"""Handing over: an orchestration's open tasks given to one run of the client's own Workflow engine, and taken back."""

import os
import time

from orchestrator.recording import ends, record, runs, sessions, transcript
from orchestrator.recording.graph import Graph, rise
from orchestrator.recording.sessions import current
from orchestrator.services.digest import line, unfit_for_workflow
from orchestrator.services.gate import Refused, brief, check, keep_briefing, spec_of, started, supersede
from orchestrator.services.settings import limit, model
from orchestrator.store.open import writing

_LOOKS, _PAUSE = 40, 0.05  # how often, and how many seconds apart, an agent's transcript is looked for


def workflow_call(con, p, now):
    """PreToolUse(Workflow) of `orchestrator:run`: checks the whole graph, hands its open tasks over, fills in the args."""
    orchestration = current(con, p.session)
    if p.agent:
        raise Refused("Only the main conversation runs orchestrator:run.")
    if orchestration is None:
        raise Refused("This conversation drives no orchestration: `orchestrator resume` adopts one.")
    with writing(con):
        graph = Graph(con, orchestration)
        ready = list(graph.of("ready", "lost"))
        if graph.handed:
            raise Refused("The tasks are already handed to a workflow that is running.")
        if graph.of("in_flight"):
            raise Refused("Agents are at work on %s; when they have ended, the workflow can take the rest." %
                          ", ".join(graph.of("in_flight")[:8]))
        if not ready:
            raise Refused("Nothing is ready to run; `orchestrator status` says where things stand.")
        check(con, orchestration, ready[0], graph)
        tasks = [t for t in graph.tasks if graph.states[t] in ("ready", "lost", "waiting")]
        unfit = [t for t in tasks if unfit_for_workflow(con, orchestration, t)]
        if unfit:
            raise Refused("%s: in a workflow agents without Bash get no briefing and none may spawn agents; deploy by Agent "
                          "calls: `orchestrator next --driver conversation`." % ", ".join(unfit[:8]))
        for task in tasks:
            if graph.states[task] == "lost":
                supersede(con, graph.execution[task], now)
        con.executemany("UPDATE tasks SET handed_to = ? WHERE orchestration_id = ? AND task_id = ?",
                        [(p.call, orchestration, t) for t in tasks])
        record.append(con, "handed", now, "%s %s" % (p.session, p.call), claude_session_id=p.session, tool_use_id=p.call,
                      orchestration_id=orchestration, body=str(len(tasks)))
        started(con, orchestration, now)
        con.execute("UPDATE claude_sessions SET touched = 1, nagged = 0 WHERE claude_session_id = ?", (p.session,))
    # short: the client shows these args when it asks for consent, and repeats them in the notification at the end
    rows = con.execute(
        "SELECT json_group_array(json(json_patch(json_object('id', t.task_id, 'title', substr(t.title, 1, 40), 'agent', "
        "t.agent_type), json_object('model', COALESCE(json_extract(t.spec, '$.model'), ?3), 'after', (SELECT CASE WHEN "
        "count(*) THEN "
        "json_group_array(d.after_id) END FROM task_dependencies d JOIN tasks f ON f.orchestration_id = d.orchestration_id "
        "AND f.task_id = d.after_id WHERE d.orchestration_id = t.orchestration_id AND d.task_id = t.task_id AND "
        "f.handed_to = ?2))))) FROM (SELECT * FROM tasks WHERE orchestration_id = ?1 AND handed_to = "
        "?2 ORDER BY position) t",
        (orchestration, p.call, model(con))).fetchone()[0]
    return con.execute(
        "SELECT json_set(json_extract(?1, '$.tool_input'), '$.args', json_object('orchestration', ?2, 'limit', ?3, "
        "'tasks', json(?4)))", (p.text, orchestration, limit(con), rows)).fetchone()[0]


def take_back(con, orchestration, call, now):
    """A workflow ended, or was refused: what it did not do is the main conversation's again."""
    con.execute("UPDATE tasks SET handed_to = NULL WHERE orchestration_id = ? AND handed_to = ?", (orchestration, call))
    rise(con, orchestration, now)


def brief_call(con, p, project, task, now):
    """The hook on `orchestrator brief <task>` in a workflow's agent: joins it to its task, or raises Refused.

    Returns the execution whose briefing the command is to print.
    """
    orchestration = _orchestration(con, p.session, task)
    if orchestration is None:
        raise Refused("this Claude session drives no orchestration.")
    mine = record.by_agent(con, p.agent)
    if mine and con.execute("SELECT task_id FROM executions WHERE execution_id = ?", (mine,)).fetchone()[0] == task:
        return mine
    if mine and con.execute("SELECT runtime = 'agent' AND tool_use_id IS NOT NULL FROM executions WHERE execution_id = ?",
                            (mine,)).fetchone()[0]:
        raise Refused("this agent was not started by the workflow that %s was handed to." % line(task, 40))
    _join_ended(con, p)
    graph = Graph(con, orchestration)
    if task not in graph.handed:
        raise Refused("%s was not handed to a workflow." % line(task, 40))
    asked = _asked_for(con, p)
    if asked not in (None, task):
        raise Refused("this agent was started for %s." % (asked or "no task of the plan"))
    check(con, orchestration, task, graph)
    text, sent, bundle, tokens, how = brief(con, project, orchestration, task)
    with writing(con):
        check(con, orchestration, task)
        mine = record.by_agent(con, p.agent)
        agent_type, title, asked = spec_of(con, orchestration, task)
        if mine is None:
            mine = record.open_execution(con, now, origin="workflow", runtime="workflow", claude_session_id=p.session,
                                         agent_id=p.agent, agent_type=p.agent_type or agent_type)
            con.execute("UPDATE events SET execution_id = ? WHERE agent_id = ? AND execution_id IS NULL", (mine, p.agent))
        taken = con.execute("SELECT task_id FROM executions WHERE execution_id = ?", (mine,)).fetchone()[0]
        if taken is not None and taken != task:
            raise Refused("this agent works on %s." % taken)
        handed = con.execute("SELECT handed_to FROM tasks WHERE orchestration_id = ? AND task_id = ?",
                             (orchestration, task)).fetchone()[0]
        con.execute("UPDATE executions SET orchestration_id = ?, task_id = ?, attempt = ?, origin = 'planned', runtime = "
                    "'workflow', tool_use_id = COALESCE(tool_use_id, ?), scope = ?, model = ? WHERE execution_id = ?",
                    (orchestration, task, record.next_attempt(con, orchestration, task), handed, title, asked, mine))
        record.append(con, "briefed", now, "%s %s" % (p.agent, task), claude_session_id=p.session, agent_id=p.agent,
                      orchestration_id=orchestration, task_id=task, execution_id=mine, agent_type=p.agent_type)
        keep_briefing(con, mine, text, sent, bundle, tokens, how)
    return mine


def _orchestration(con, session, task):
    """The orchestration that a conversation drives; where it did not hand over the task, that of one which was left for it, and
    whose workflow runs on, as after /clear."""
    driven = current(con, session)
    for each in sessions.all_of(con, session):
        found = current(con, each)
        if found and con.execute("SELECT handed_to FROM tasks WHERE orchestration_id = ? AND task_id = ? AND handed_to IS NOT "
                                 "NULL", (found, task)).fetchone():
            return found
    return driven


def _join_ended(con, p):
    """Joins ended agents that never asked for their briefing, and whose transcripts were not there yet when they ended."""
    for execution, agent in con.execute(
            "SELECT execution_id, agent_id FROM executions WHERE claude_session_id = ? AND runtime = "
            "'workflow' AND task_id IS "
            "NULL AND status != 'deployed' AND agent_id IS NOT NULL", (p.session,)).fetchall():
        with writing(con):
            join_by_prompt(con, p.session, execution, transcript.path_of(p.transcript, agent))


def refused(con, session, call, now):
    """A workflow that was handed our tasks did not start: Agent calls deploy them instead. Returns whether it was ours."""
    orchestration = runs.orchestration_of(con, call)
    if orchestration is None:
        return False
    con.execute("UPDATE orchestrations SET driver = 'conversation' WHERE orchestration_id = ?", (orchestration,))
    record.append(con, "workflow_ended", now, "%s %s" % (session, call), claude_session_id=session, tool_use_id=call,
                  orchestration_id=orchestration, status="refused")
    take_back(con, orchestration, call, now)
    return True


def ended(con, p, project, call, now, status="ended"):
    """A workflow ended: its agents have ended too, and what it did not do is the main conversation's again."""
    session = runs.of_call(con, p.session, call)
    if not record.append(con, "workflow_ended", now, "%s %s" % (session, call), claude_session_id=session,
                         tool_use_id=call, orchestration_id=runs.orchestration_of(con, call), status=status):
        return
    from orchestrator.recording import disk

    disk.unheard(con, p.session, p.transcript, now)
    disk.journals(con, session, p.transcript if session == p.session else transcript.main_of(con, session), call, now)
    for execution, agent, task in con.execute(
            "SELECT execution_id, agent_id, task_id FROM executions WHERE claude_session_id IN (?, ?) AND tool_use_id = ? AND "
            "runtime = 'workflow'", (session, p.session, call)).fetchall():
        path = ends.place(con, execution, p.transcript, agent) if agent else None
        if task is None:
            join_by_prompt(con, p.session, execution, path)
        if con.execute("SELECT status FROM executions WHERE execution_id = ?", (execution,)).fetchone()[0] != "deployed":
            ends.conclude(con, project, execution, now)
        else:
            record.append(con, "absent", now, "%s %s" % (execution, call), claude_session_id=p.session, agent_id=agent,
                          execution_id=execution)
            ends.look(con, execution, path, now)
            ends.conclude(con, project, execution, now)
    orchestration = runs.orchestration_of(con, call)
    if orchestration:
        take_back(con, orchestration, call, now)


def task_of_prompt(con, path):
    """The task whose briefing a workflow's agent was told to fetch, by what its transcript begins with; or None."""
    return _named(transcript.first_prompts(con, path)[0]) if path else None


def _named(prompts):
    """The task that the last of these texts names which names one: before it stands what the user asked for."""
    for text in reversed(prompts):
        _, word, after = text.partition("Run: orchestrator brief ")
        if word and after.split():
            return after.split()[0]
    return None


def _asked_for(con, p):
    """The same of an agent at its first call, "" of one that was started for none; None where the client keeps no transcripts.
    2.1.197 may be about to write it, so this waits for it; on a busy machine that was 50 ms."""
    if not p.transcript or not os.path.exists(p.transcript):
        return None
    for _ in range(_LOOKS):
        path = transcript.path_of(p.transcript, p.agent)
        prompts, answered = transcript.first_prompts(con, path) if path else ([], False)
        if answered or _named(prompts):
            return _named(prompts) or ""
        time.sleep(_PAUSE)
    raise Refused("the client has not written down yet what this agent was started for; run the same command once more.")


def join_by_prompt(con, session, execution, path):
    """Joins a workflow's agent that never asked for its briefing to the task its first prompt names, if that is free."""
    task = task_of_prompt(con, path)
    if task is None:
        return
    call = runs.call_of(con, session, os.path.basename(os.path.dirname(path))) or con.execute(
        "SELECT tool_use_id FROM executions WHERE execution_id = ?", (execution,)).fetchone()[0]
    orchestration = runs.orchestration_of(con, call)
    if orchestration and con.execute(
            "SELECT 1 FROM tasks t WHERE orchestration_id = ?1 AND task_id = ?2 AND handed_to = ?3 AND NOT EXISTS (SELECT 1 "
            "FROM executions e WHERE e.orchestration_id = ?1 AND e.task_id = ?2 AND e.status != 'failed')",
            (orchestration, task, call)).fetchone():
        con.execute("UPDATE executions SET orchestration_id = ?1, task_id = ?2, attempt = ?3, origin = 'planned', tool_use_id = "
                    "?5, scope = COALESCE(scope, (SELECT title FROM tasks t WHERE t.orchestration_id "
                    "= ?1 AND t.task_id = ?2)) "
                    "WHERE execution_id = ?4",
                    (orchestration, task, record.next_attempt(con, orchestration, task), execution, call))


def stopped(con, p, project, run, now):
    """TaskStop of a workflow: which of its agents were under way."""
    for call, body, _ in runs.under_way(con, p.session):
        if body == run:
            under_way = [r[0] for r in con.execute(
                "SELECT execution_id FROM executions WHERE claude_session_id IN (?, ?) AND tool_use_id = ? AND status = "
                "'deployed'",
                (runs.of_call(con, p.session, call), p.session, call))]
            for execution in under_way:
                record.append(con, "killed", now, "%s %s" % (p.call, execution), claude_session_id=p.session,
                              tool_use_id=p.call, execution_id=execution)
            ended(con, p, project, call, now, "stopped")
            return under_way
    return []


def given_up(con, session, now):
    """Takes back what was handed to workflows that never began, when the turn they were called in is over. Whether any."""
    calls = [call for call, run, ours in runs.open_runs(con, session) if run is None and ours]
    for call in calls:
        refused(con, session, call, now)
    return bool(calls)


def sweep(con, p, project, running, now):
    """At Stop: a workflow that is no longer listed has ended; one that never began was refused."""
    given_up(con, p.session, now)
    for call, run, _ in runs.under_way(con, p.session):
        if run is not None and run not in running:
            ended(con, p, project, call, now)
