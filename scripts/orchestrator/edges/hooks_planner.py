"""The planner's end: a plan in its last message is taken through the same door; without one it is sent back once.

After a long one that was taken, too: what it says then is what the main conversation reads.
"""

import os

from orchestrator import paths
from orchestrator.edges import hooks
from orchestrator.recording import record, transcript
from orchestrator.store.open import writing

MOST = 1048576  # characters of a last message that are looked at for a plan, as in plan_text.find_plan
SHORT = 2000  # characters of a plan that may as well stand in the main conversation
_COMMAND = ("You have submitted no plan. Submit it with one Bash command: orchestrator plan - <<'PLAN', the JSON on the "
            "next lines, and PLAN alone on the last; or say in one sentence why there is no plan.")


def send_back(e, execution):
    """SubagentStop: the answer that sends a planner back, or None where it may end."""
    faults = _missing(e, execution, e.p.last)
    return e.con.execute("SELECT json_object('decision', 'block', 'reason', ?)", (faults,)).fetchone()[0] if faults else None


def before_report(e):
    """PreToolUse(SubagentHandback): the same where agents deliver a report (329, auto mode); later it would be too late."""
    row = e.con.execute("SELECT execution_id FROM executions WHERE agent_id = ?", (e.p.agent,)).fetchone()
    if row is None:
        call = transcript.call_of(e.con, e.p.transcript, e.p.agent)
        row = e.con.execute("SELECT execution_id FROM executions WHERE claude_session_id = ? AND tool_use_id = ?",
                            (e.p.session, call)).fetchone() if call else None
    faults = _missing(e, row[0], e.p.report) if row else None
    return hooks.deny(e.con, faults) if faults else None


def _missing(e, execution, message):
    """What a planner that ends without a plan is told, once; None for everybody else."""
    row = e.con.execute("SELECT origin, orchestration_id, deployed_at FROM executions WHERE execution_id = ?",
                        (execution,)).fetchone()
    if row is None or row[0] != "planner" or e.con.execute(
            "SELECT 1 FROM events WHERE kind = 'plan' AND orchestration_id = ? AND at >= ?", row[1:]).fetchone():
        return None
    faults = None
    if '"tasks"' in (message or "")[-MOST:]:
        taken, faults = _take(e, row[1], message)
        if taken and len(message) <= SHORT:
            return None
    with writing(e.con):
        first = record.append(e.con, "sent_back", e.now, execution, claude_session_id=e.p.session, agent_id=e.p.agent,
                              execution_id=execution, orchestration_id=row[1])
    return (faults or _COMMAND) if first else None


def _take(e, orchestration, message):
    """Submits the plan in the last message: (whether it was accepted, what its author is told: the faults, or, as the plan
    has no business in the main conversation, to say less); (False, None) when it cannot be tried here.

    The plan's door needs the environment, which no hook builds: where it is not there, the planner uses the command.
    """
    root = paths.plugin_root()
    try:
        with open(os.path.join(root, "requirements", "runtime.hash"), encoding="ascii") as f:
            ready = os.path.join(paths.data_folder(), "ready-" + f.readline().strip())
        if not os.path.exists(ready):
            return False, None
        import subprocess

        done = subprocess.run(
            [os.path.join(root, "bin", "orchestrator"), "plan", "-", "--from-message", "--orchestration", orchestration],
            input=message[-MOST:].encode("utf-8", "replace"), capture_output=True, timeout=45, cwd=e.project,
            env=paths.environment(ORCHESTRATOR_PROJECT=e.project, CLAUDE_CODE_SESSION_ID=e.p.session))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False, None
    if done.returncode == 0:
        return True, "%s. Answer only this line." % done.stdout.decode("utf-8", "replace").partition("\n")[0]
    return False, done.stderr.decode("utf-8", "replace")[-8000:]
