"""Reconciling before an answer: sessions whose process is gone, projections brought up to date."""

from orchestrator.recording import ends, sessions, usage
from orchestrator.recording.graph import rise
from orchestrator.recording.projections import project as write_projections
from orchestrator.services import archive
from orchestrator.store.open import now as present
from orchestrator.store.open import writing


def reconcile(con, project, workspace):
    """Closes sessions whose process is gone; their planned executions are lost from then on. Returns those sessions.

    What no hook has read yet in transcripts is read now, and a few of those that ended are archived.
    """
    if usage.waiting(con):
        with writing(con):
            usage.due(con, project, present(con))
    archive.in_passing(con, workspace, present(con))
    living = con.execute("SELECT 1 FROM claude_sessions WHERE ended_at IS NULL LIMIT 1").fetchone()
    if not living:
        return []
    now = present(con)
    with writing(con):
        gone = sessions.bury(con, now)
        touched = set()
        for session in gone:
            ends.salvage(con, project, session, now)
            touched.update([r[0] for r in con.execute(
                "SELECT DISTINCT orchestration_id FROM lost_executions WHERE claude_session_id = ? AND task_id IS NOT NULL",
                (session,))])
            con.execute("UPDATE tasks SET handed_to = NULL WHERE handed_to IN (SELECT tool_use_id FROM events WHERE kind = "
                        "'handed' AND claude_session_id = ?)", (session,))
        for orchestration in touched:
            rise(con, orchestration, now)
    if gone and usage.waiting(con):
        with writing(con):
            usage.due(con, project, now)
    for orchestration in touched:
        write_projections(con, workspace, orchestration, now)
    return gone
