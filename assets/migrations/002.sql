-- An agent that a message put to work again, in the process that goes on with its conversation, is not lost.

DROP VIEW lost_executions;
DROP VIEW task_states;

CREATE VIEW lost_executions AS           -- deployed, and their process can no longer end them
SELECT e.* FROM executions e INDEXED BY executions_in_flight -- and in this order, whatever else is asked: few are deployed
CROSS JOIN claude_sessions s USING (claude_session_id)
WHERE e.status = 'deployed' AND (s.ended_at IS NOT NULL OR e.deployed_at < s.started_at AND NOT EXISTS (
    SELECT 1 FROM segments g WHERE g.execution_id = e.execution_id AND g.started_at >= s.started_at)); -- put to work again

CREATE VIEW task_states AS               -- each task's derived state
WITH RECURSIVE own AS (
    SELECT t.orchestration_id, t.task_id, t.position, t.title, t.agent_type, t.priority, t.handed_to,
        CASE
        WHEN EXISTS (SELECT 1 FROM executions e WHERE e.orchestration_id = t.orchestration_id
            AND e.task_id = t.task_id AND e.status = 'completed') THEN 'completed'
        WHEN t.skipped_at IS NOT NULL THEN 'skipped'
        ELSE (SELECT CASE e.status WHEN 'failed' THEN 'failed' ELSE
                CASE WHEN EXISTS (SELECT 1 FROM claude_sessions s WHERE s.claude_session_id = e.claude_session_id
                    AND (s.ended_at IS NOT NULL OR e.deployed_at < s.started_at AND NOT EXISTS (SELECT 1 FROM segments g
                        WHERE g.execution_id = e.execution_id AND g.started_at >= s.started_at)))
                THEN 'lost' ELSE 'in_flight' END END
            FROM executions e WHERE e.orchestration_id = t.orchestration_id AND e.task_id = t.task_id
            ORDER BY e.attempt DESC LIMIT 1)
        END AS state,
        t.skipped_at
    FROM tasks t),
blocked (orchestration_id, task_id) AS (
    SELECT d.orchestration_id, d.task_id FROM own o JOIN task_dependencies d
        ON d.orchestration_id = o.orchestration_id AND d.after_id = o.task_id
        WHERE o.state = 'failed'
    UNION
    SELECT d.orchestration_id, d.task_id FROM blocked b JOIN task_dependencies d
        ON d.orchestration_id = b.orchestration_id AND d.after_id = b.task_id)
SELECT o.orchestration_id, o.task_id, o.position, o.title, o.agent_type, o.priority, o.handed_to,
    COALESCE(o.state,
        CASE WHEN EXISTS (SELECT 1 FROM blocked b WHERE b.orchestration_id = o.orchestration_id AND b.task_id = o.task_id)
            THEN 'skipped'
        WHEN EXISTS (SELECT 1 FROM task_dependencies d JOIN own p ON p.orchestration_id = d.orchestration_id
            AND p.task_id = d.after_id WHERE d.orchestration_id = o.orchestration_id AND d.task_id = o.task_id
            AND (p.state IS NULL OR p.state NOT IN ('completed', 'skipped'))) THEN 'waiting'
        ELSE 'ready' END) AS state
FROM own o;
