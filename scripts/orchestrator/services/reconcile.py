"""Reconciling before an answer: sessions whose process is gone, projections brought up to date."""

from orchestrator.recording import sessions, usage
from orchestrator.services import unarchived
from orchestrator.store.open import now as present
from orchestrator.store.open import writing


def reconcile(con, project, workspace, archiving=True):
    """Closes sessions whose process is gone; their planned executions are lost from then on. Returns those sessions.
    Agents of a session that ended by itself are looked at once more when its process is gone.

    What no hook has read yet in transcripts is read now, what had no price is priced where it has one by now, and a few
    of the transcripts that ended are archived, unless the caller does that. What does this is loaded only when there is
    something to do: mostly there is not.
    """
    if usage.waiting(con):
        with writing(con):
            usage.due(con, project, present())
    if con.execute("SELECT 1 FROM usage WHERE cost_usd IS NULL LIMIT 1").fetchone():
        _price(con, project)
    if archiving and unarchived.waiting(con, present()):
        from orchestrator.services import archive

        archive.in_passing(con, project, present())
    if not sessions.gone(con, present()) and not sessions.unread(con, present()):
        return []
    return _bury(con, project, workspace, present())


def _price(con, project):
    from orchestrator.recording import prices

    if prices.found(con, project):
        with writing(con):
            prices.fill(con, project)


def _lost_of(con, session):
    """The orchestrations that have lost a planned execution with a session."""
    return [r[0] for r in con.execute("SELECT DISTINCT orchestration_id FROM lost_executions WHERE claude_session_id = ? AND "
                                      "task_id IS NOT NULL", (session,))]


def _bury(con, project, workspace, now):
    from orchestrator.recording import ends, runs
    from orchestrator.recording.graph import rise
    from orchestrator.recording.projections import project as write_projections

    with writing(con):
        buried = sessions.bury(con, now)
        touched = set()
        for session in buried + sessions.unread(con, now):
            touched.update(_lost_of(con, session))
            ends.salvage(con, project, session, now)
            for orchestration in _lost_of(con, session):
                rise(con, orchestration, now)
            runs.take_back(con, session)
    if buried and usage.waiting(con):
        with writing(con):
            usage.due(con, project, now)
    for orchestration in touched:
        write_projections(con, workspace, orchestration, now)
    return buried
