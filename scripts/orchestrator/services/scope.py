"""Scope: which events belong to no orchestration, for a user who wants only orchestrations recorded.

Loaded only where the setting `observability` is false.
"""

from orchestrator.recording import notification, record
from orchestrator.services.gate import PLANNER

_PLANNED = "orchestrator task "
_ABOUT_AN_AGENT = ("SubagentStart", "SubagentStop", "StopFailure")


def outside(con, p):
    """Whether an event is about an agent or a workflow that belongs to no orchestration."""
    if p.tool in ("Agent", "Task"):
        if p.event == "PreToolUse":
            ours = p.input_type == PLANNER or (p.input_prompt or "").lstrip().startswith(_PLANNED)
            return not ours and not _known(con, p.agent)
        return not record.by_call(con, p.session, p.call) and not _known(con, p.given_agent)
    if p.tool == "Workflow":
        return p.input_name != "orchestrator:run"
    if p.agent and (p.event in _ABOUT_AN_AGENT or p.tool == "SubagentHandback"):
        return not _known(con, p.agent) and not _expected(con, p)
    told = notification.parse(p.prompt) if p.event == "UserPromptSubmit" and p.prompt else None
    if told is None or _known(con, told.task_id) or record.by_call(con, p.session, told.call):
        return False
    handed = con.execute("SELECT 1 FROM events WHERE kind = 'handed' AND claude_session_id = ? AND tool_use_id = ?",
                         (p.session, told.call))
    return handed.fetchone() is None


def _known(con, agent):
    return bool(agent) and record.by_agent(con, agent) is not None


def _expected(con, p):
    """Whether an agent may be one of ours that is not joined to its call yet, or runs in our workflow."""
    waits = con.execute(
        "SELECT 1 FROM executions WHERE claude_session_id = ? AND status = 'deployed' AND agent_type = ? "
        "AND agent_id IS NULL", (p.session, p.agent_type))
    runs = con.execute(
        "SELECT 1 FROM claude_sessions s JOIN tasks t USING (orchestration_id) WHERE s.claude_session_id = ? "
        "AND t.handed_to IS NOT NULL", (p.session,))
    return waits.fetchone() is not None or runs.fetchone() is not None
