"""Digests: the few lines (under 1 KB) the main conversation gets about the state of its orchestration."""

from orchestrator.recording.graph import Graph
from orchestrator.services.settings import driver
from orchestrator.store.open import BEGAN

LIMIT = 1000  # bytes; the whole digest stays under 1 KB
MOST_IN_WORKFLOW = 100  # tasks: a notification repeats the graph it ran, which 1,000 tasks make 92 KB


def line(text, room=80):
    """Text of a plan or an agent as one quoted-safe line: data, never markup or instructions to the harness."""
    text = "".join([c if c.isprintable() else " " for c in text or ""])
    text = " ".join(text.split()).replace("<", "‹").replace(">", "›").replace('"', "'")
    return text if len(text) <= room else text[:room - 1] + "…"


def agent_call(task):
    """The exact Agent call that deploys a task (a row of Graph.tasks)."""
    return 'Agent(subagent_type="%s", description="%s", prompt="orchestrator task %s")' % (
        line(task[2], 60), line(task[1], 40), task[0])


def driver_of(con, orchestration_id, graph, tasks):
    """workflow or conversation: the orchestration's own choice, else the setting, else the plan's size (decision 0005)."""
    chosen = con.execute("SELECT driver FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,)).fetchone()[0]
    if chosen is None:
        chosen = driver(con)
    if chosen in ("workflow", "conversation"):
        return chosen
    waiting = [t for t in graph.of("waiting") if t not in graph.handed]
    open_ones = tasks + waiting
    if len(open_ones) > MOST_IN_WORKFLOW or any(unfit_for_workflow(con, orchestration_id, t) for t in open_ones):
        return "conversation"
    return "workflow" if len(open_ones) > 4 or waiting else "conversation"


def unfit_for_workflow(con, orchestration_id, task):
    """Whether a workflow cannot run a task: its agent has no Bash to fetch a briefing with, or it may spawn agents."""
    return con.execute("SELECT json_extract(spec, '$.has_bash') IS 0 OR json_extract(spec, '$.may_spawn') IS 1 FROM tasks "
                       "WHERE orchestration_id = ? AND task_id = ?", (orchestration_id, task)).fetchone()[0]


def places(con, graph, limit):
    """How many more planned agents may be at work in this project."""
    busy = con.execute(_BUSY).fetchone()[0]
    return max(0, limit - busy)


# by the few Claude sessions that are open, not among all that are lost; a planned one is always of one
_BUSY = f"""
SELECT count(*) FROM claude_sessions s INDEXED BY claude_sessions_open CROSS JOIN executions e INDEXED BY executions_in_flight
USING (claude_session_id) WHERE s.ended_at IS NULL AND e.status = 'deployed' AND e.task_id IS NOT NULL AND {BEGAN}"""


def full(limit):
    """That as many planned agents as may be are at work."""
    return "%s at work, the limit" % ("1 agent is" if limit == 1 else "%d agents are" % limit)


def head(con, orchestration_id, graph):
    """The first line: which orchestration, and how many of its tasks are where."""
    goal, status, paused = con.execute(
        "SELECT goal, status, paused_at FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,)).fetchone()
    counts = ["%d %s" % (len(graph.of(s)), s.replace("_", " "))
              for s in ("completed", "in_flight", "ready", "waiting", "failed", "lost", "skipped") if graph.of(s)]
    return "%s \"%s\" (%s): %s." % (orchestration_id, line(goal, 60), "paused" if paused else status,
                                    ", ".join(counts) or "no tasks yet")


def troubles(con, graph):
    """Lines on what failed, was lost, or had calls refused and nobody was told yet; at most three of each."""
    lines = []
    for task, calls, names in con.execute(
            "SELECT task_id, refused_calls, refused_names FROM executions WHERE orchestration_id = ? "
            "AND status = 'completed' "
            "AND refused_calls > 0 AND told_at IS NULL ORDER BY completed_at LIMIT 3", (graph.orchestration_id,)):
        lines.append("%s completed, %d calls refused: %s." % (task, calls, line(names, 60)))
    for task in graph.of("failed", "lost")[:3]:
        reason, error, calls = con.execute(
            "SELECT COALESCE(end_reason, 'lost'), error_message, refused_calls || ' calls: ' || refused_names "
            "FROM executions WHERE execution_id = ?",
            (graph.execution[task],)).fetchone()
        said = reason if reason == "lost" else "%s%s" % (reason, ": \"%s\"" % line(error, 70) if error else "")
        again = "deploy it again" if reason == "lost" or worth_another(con, graph.orchestration_id, task) else \
            "it is not offered again: ask the user"
        lines.append("%s %s%s; %s, or `orchestrator task skip %s`." % (
            task, said, " (refused: %s)" % line(calls, 40) if calls else "", again, task))
    return lines


def worth_another(con, orchestration_id, task):
    """Whether a failed task is offered again unasked: as often as its plan's `retries` say, once where it says nothing."""
    return con.execute(
        "SELECT (SELECT count(*) FROM executions e WHERE e.orchestration_id = t.orchestration_id AND e.task_id = t.task_id "
        "AND e.status = 'failed' AND e.end_reason IS NOT 'lost') <= COALESCE(json_extract(t.spec, '$.retries'), 1) "
        "FROM tasks t WHERE t.orchestration_id = ? AND t.task_id = ?", (orchestration_id, task)).fetchone()[0]


def to_do(con, orchestration_id, graph, limit, room=600):
    """Lines that say what to do now, with the exact calls."""
    if con.execute("SELECT paused_at FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,)).fetchone()[0]:
        return ["Paused: deploy nothing until `orchestrator resume`."]
    ready = graph.deployable()
    if graph.handed:
        return ["The workflow is running; its notification comes when it ends."]
    if not ready:
        if graph.of("in_flight"):
            return ["Nothing to do until one of them ends."]
        if not graph.tasks or not graph.ended():
            return []
        end = ["All tasks have ended: `orchestrator report`, then tell the user."]
        worth = [t for t in graph.of("failed") if worth_another(con, orchestration_id, t)]
        again = _calls(graph, worth[:places(con, graph, limit)], room)
        return end + ["Or deploy again what failed:"] + again if again else end
    if driver_of(con, orchestration_id, graph, ready) == "workflow" and not graph.of("in_flight"):
        return ['Deploy now: Workflow(name="orchestrator:run"), nothing else. No such tool, or refused: '
                "`orchestrator next --driver conversation`."]
    free = places(con, graph, limit)
    if not free:
        return ["%d ready; %s." % (len(ready), full(limit))]
    why = ["No workflow may run here, so Agent calls do the work: tell the user."] if fell_back(con, orchestration_id) else []
    calls = _calls(graph, ready[:free], room - 80 * len(why))
    if not calls:
        return why + ["Deploy now: `orchestrator next` prints the %d calls." % min(free, len(ready))]
    return why + ["Deploy now, all in one message, exactly:"] + calls


def fell_back(con, orchestration_id):
    """Whether a workflow was refused, and nothing has been deployed since."""
    return con.execute(
        "SELECT 1 FROM orchestrations o JOIN events v USING (orchestration_id) WHERE o.orchestration_id = ?1 AND o.driver = "
        "'conversation' AND v.kind = 'workflow_ended' AND v.status = 'refused' AND NOT EXISTS (SELECT 1 FROM executions e "
        "WHERE e.orchestration_id = ?1 AND e.deployed_at >= v.at)", (orchestration_id,)).fetchone() is not None


def _calls(graph, tasks, room):
    """The Agent calls of these tasks, a line each; none when they do not all have room."""
    calls = ["- " + agent_call(graph.tasks[task]) for task in tasks]
    return calls if sum([len(call.encode()) + 1 for call in calls]) <= room else []


def writing_notice(con, orchestration_id, mode):
    """Said once: the permission mode will not let background agents write what the plan wants written; else []."""
    if mode not in ("default", "plan", "dontAsk", "manual"):  # not told at a session's start: said when it is known
        return []
    key = "write_notice." + orchestration_id
    if con.execute("SELECT 1 FROM meta WHERE key = ?", (key,)).fetchone() or not con.execute(
            "SELECT 1 FROM tasks WHERE orchestration_id = ? AND json_array_length(spec, '$.writes') > 0",
            (orchestration_id,)).fetchone():
        return []
    con.execute("INSERT OR IGNORE INTO meta VALUES (?, '1')", (key,))
    return ["Tasks write files, and background agents cannot ask: tell the user to switch to acceptEdits (shift+tab), "
            "or allow Edit and Write, before you deploy."]


def digest(con, orchestration_id, limit, why=None, mode=None):
    """The whole digest: state, troubles, what to do. Under 1 KB."""
    graph = Graph(con, orchestration_id)
    lines = ["[orchestrator] " + (why + " " if why else "") + head(con, orchestration_id, graph)]
    lines += troubles(con, graph)
    if graph.deployable():
        lines += writing_notice(con, orchestration_id, mode)
    used = sum([len(x.encode()) + 1 for x in lines])
    lines += to_do(con, orchestration_id, graph, limit, LIMIT - used - 60)
    text = "\n".join(lines)
    while len(text.encode()) > LIMIT and len(lines) > 2:  # troubles give way before the state and what to do
        del lines[1]
        text = "\n".join(lines)
    return text
