-- Questions to the history, each with the query that answers it; a test runs them all on a filled history.
-- Names after a colon are to be filled in: in the sqlite3 shell, `.parameter set :session_id 'orch-…'`.

-- == The questions of seed 002, on its own tables and columns

-- latest_sessions: Which sessions were the last?
SELECT session_id, created_at, scope, phase, status FROM sessions ORDER BY created_at DESC LIMIT 10;

-- agents_of_session: Which agents ran in this session, and how did they end?
SELECT execution_id, agent_type, scope, status, success, deployed_at, completed_at
FROM agent_executions WHERE session_id = :session_id ORDER BY deployed_at;

-- agents_since: Which agents of this type ran since this day?
SELECT execution_id, session_id, status, scope FROM agent_executions
WHERE agent_type = :agent_type AND deployed_at >= :since ORDER BY deployed_at DESC;

-- produced_by_last: What did the last agent of this type produce?
SELECT e.execution_id, e.final_message, o.output_type, o.content
FROM agent_executions e LEFT JOIN outputs o USING (execution_id)
WHERE e.execution_id = (SELECT execution_id FROM agent_executions
    WHERE agent_type = :agent_type AND status = 'completed' ORDER BY deployed_at DESC LIMIT 1)
ORDER BY o.output_id;

-- context_of_last: What context did the last agent of this type get?
SELECT c.context_type, c.context_source, c.token_count, c.included_in_deployment
FROM context_allocations c WHERE c.execution_id = (SELECT execution_id FROM agent_executions
    WHERE agent_type = :agent_type ORDER BY deployed_at DESC LIMIT 1)
ORDER BY c.allocation_id;

-- outputs_of_session: What did this session leave?
SELECT o.output_id, e.agent_type, o.output_type, o.content, o.created_at
FROM outputs o JOIN agent_executions e USING (execution_id)
WHERE e.session_id = :session_id ORDER BY o.created_at, o.output_id;

-- outputs_of_type: What did agents of this type leave lately?
SELECT o.output_type, o.content, e.session_id, o.created_at
FROM outputs o JOIN agent_executions e USING (execution_id)
WHERE e.agent_type = :agent_type AND o.created_at >= :since ORDER BY o.created_at DESC LIMIT 10;

-- context_and_success: Which context led to success, and how often?
SELECT c.context_source, count(*) AS executions, avg(e.success) AS succeeded
FROM context_allocations c JOIN agent_executions e USING (execution_id)
WHERE c.included_in_deployment = 1 AND e.success IS NOT NULL
GROUP BY c.context_source ORDER BY succeeded DESC, executions DESC;

-- validation_of_session: What did the checks of this session say?
SELECT e.execution_id, v.key AS "check", v.value AS verdict
FROM outputs o JOIN agent_executions e USING (execution_id),
    json_each(CASE WHEN json_valid(o.content) THEN o.content ELSE 'null' END) v
WHERE o.output_type = 'validation_result' AND v.key IS NOT NULL AND e.session_id = :session_id ORDER BY o.output_id;

-- errors_of_session: What went wrong in this session?
SELECT execution_id, agent_type, error_message FROM agent_executions
WHERE session_id = :session_id AND success = 0 ORDER BY completed_at;

-- == More questions, on our tables

-- agents_of_task: Which agents ran for this task, and what came of it?
SELECT execution_id, attempt, agent_type, status, end_reason, final_message
FROM executions WHERE orchestration_id = :session_id AND task_id = :task_id ORDER BY attempt;

-- states_of_tasks: Where does every task of an orchestration stand?
SELECT task_id, state, agent_type, title FROM task_states
WHERE orchestration_id = :session_id ORDER BY position;

-- bundles_that_passed: Which bundles led to results whose checks passed?
SELECT e.bundle_id, b.total_tokens, b.how, count(DISTINCT e.execution_id) AS executions,
    count(*) FILTER (WHERE o.passed = 1) AS passed, count(*) FILTER (WHERE o.passed = 0) AS not_passed
FROM outputs o JOIN executions e USING (execution_id) JOIN bundles b USING (bundle_id)
WHERE o.output_type = 'validation_result'
GROUP BY e.bundle_id ORDER BY not_passed, passed DESC;

-- who_touched: Who last touched this file, and why?
SELECT f.last_at, f.mode, e.execution_id, e.agent_type, e.scope, f.lines_added, f.lines_removed
FROM file_touches f JOIN executions e USING (execution_id)
WHERE f.path = :path ORDER BY f.last_at DESC LIMIT 5;

-- running_at: What was running at this time? (A lost one until its Claude session ended, or until the last sign of it.)
SELECT e.execution_id, e.agent_type, e.scope, e.deployed_at, e.completed_at
FROM executions e LEFT JOIN lost_executions l USING (execution_id)
LEFT JOIN segments g ON g.execution_id = e.execution_id AND e.status != 'deployed' -- one that had ended works again
    AND g.ended_at IS NULL AND g.ordinal > 1 AND g.started_at <= :at
LEFT JOIN claude_sessions s ON s.claude_session_id = e.claude_session_id
WHERE e.deployed_at <= :at AND COALESCE(CASE WHEN g.ordinal IS NULL THEN e.completed_at END,
    CASE WHEN COALESCE(g.started_at, l.deployed_at) >= s.started_at AND s.end_reason IS NOT 'gone' THEN s.ended_at
        WHEN COALESCE(g.execution_id, l.execution_id) IS NOT NULL THEN
        (SELECT max(e.deployed_at, COALESCE(max(CASE v.kind WHEN 'tail' THEN v.body ELSE v.at END), '')) FROM events v
        WHERE v.execution_id = e.execution_id AND v.kind NOT IN ('met', 'absent', 'closed')) END, '~') > :at
AND NOT EXISTS (SELECT 1 FROM segments p JOIN segments n ON n.execution_id = p.execution_id AND n.ordinal = p.ordinal + 1
    WHERE p.execution_id = e.execution_id AND p.ended_at <= :at AND n.started_at > :at) -- between two stretches of work
ORDER BY e.deployed_at;

-- tokens_by_type: How many tokens did each agent type use, on which model?
SELECT e.agent_type, u.model, count(DISTINCT e.execution_id) AS executions, sum(u.input_tokens) AS input,
    sum(u.cache_write_5m_tokens + u.cache_write_1h_tokens) AS cache_written, sum(u.cache_read_tokens) AS cache_read,
    sum(u.output_tokens) AS output, sum(u.cost_usd) AS cost_usd
FROM usage u JOIN executions e ON e.execution_id = u.owner WHERE u.kind = 'execution'
GROUP BY e.agent_type, u.model ORDER BY output DESC;

-- used_model: Which agents used this model at all, also beside the one they ran on, as an advisor?
SELECT e.execution_id, e.agent_type, COALESCE(e.resolved_model, e.model) AS ran_on, u.model, sum(u.messages) AS messages,
    sum(u.output_tokens) AS output, sum(u.cost_usd) AS cost_usd
FROM usage u JOIN executions e ON e.execution_id = u.owner WHERE u.kind = 'execution' AND u.model LIKE '%' || :model || '%'
GROUP BY e.execution_id, u.model ORDER BY e.deployed_at DESC;

-- failures_by_reason: Why do agents fail?
SELECT end_reason, agent_type, count(*) AS executions FROM executions
WHERE status = 'failed' GROUP BY end_reason, agent_type ORDER BY executions DESC;

-- refused_calls: Which tool calls were refused, to whom?
SELECT e.execution_id, e.agent_type, c.tool, c.refused, c.calls
FROM tool_calls c JOIN executions e USING (execution_id) WHERE c.refused > 0 ORDER BY e.deployed_at DESC;

-- retries: Which tasks took more than one attempt?
SELECT orchestration_id, task_id, count(*) AS attempts, max(status = 'completed') AS done
FROM executions WHERE task_id IS NOT NULL
GROUP BY orchestration_id, task_id HAVING count(*) > 1 ORDER BY attempts DESC;

-- durations: How long do agents of each type take, in seconds?
SELECT agent_type, count(*) AS executions,
    round(avg((julianday(completed_at) - julianday(COALESCE(started_at, deployed_at))) * 86400 - paused_ms / 1000.0), 1) AS average,
    round(max((julianday(completed_at) - julianday(COALESCE(started_at, deployed_at))) * 86400 - paused_ms / 1000.0), 1) AS longest
FROM executions WHERE completed_at IS NOT NULL GROUP BY agent_type ORDER BY average DESC;

-- validation_by_day: How do checks do over time?
SELECT substr(o.created_at, 1, 10) AS day, v.key AS "check", count(*) AS runs, count(*) FILTER (WHERE o.passed = 1) AS passed,
    count(*) FILTER (WHERE o.passed = 0) AS not_passed
FROM outputs o, json_each(CASE WHEN json_valid(o.content) THEN o.content ELSE 'null' END) v
WHERE o.output_type = 'validation_result' AND v.atom IS NOT NULL
GROUP BY day, "check" ORDER BY day DESC, "check";

-- versions_of_deliverable: Which versions of this file were delivered, by whom?
SELECT o.version, e.execution_id, e.agent_type, o.content_hash, o.created_at
FROM outputs o JOIN executions e USING (execution_id)
WHERE o.output_type = 'deliverable' AND o.path = :path ORDER BY o.created_at;

-- most_shared_context: Which files are sent to the most agents, at what cost in tokens?
SELECT context_source, count(DISTINCT execution_id) AS executions, sum(token_count) AS tokens
FROM allocations WHERE included = 1 AND context_type IN ('file', 'reference', 'document', 'shared_context')
GROUP BY context_source ORDER BY executions DESC, tokens DESC LIMIT 20;

-- said_about: What did agents of this type say about this?
SELECT execution_id, deployed_at, final_message FROM executions
WHERE agent_type = :agent_type AND final_message LIKE '%' || :text || '%' ORDER BY deployed_at DESC;

-- lost_agents: Which agents are lost, and what was heard of them last?
SELECT l.execution_id, l.agent_type, l.scope, max(v.at) AS last_heard, v.kind
FROM lost_executions l LEFT JOIN events v USING (execution_id) GROUP BY l.execution_id;
