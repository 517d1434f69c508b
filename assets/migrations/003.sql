-- Whether its check passed stands with each validation result; the latest of each type and model, what no usage is known of, what
-- used other models than it ran on, and tasks by their id, and those that were skipped, are found by an index. What an execution
-- took is without the time between its segments.

CREATE INDEX executions_completed ON executions -- what one of a type and a model takes
    (agent_type, replace(COALESCE(resolved_model, model, ''), '[1m]', ''), completed_at) WHERE status = 'completed';
CREATE INDEX executions_of_others ON executions -- models, beside the one it ran on: which, and that one
    (models || char(10) || COALESCE(resolved_model, model, ''), deployed_at)
    WHERE models != replace(COALESCE(resolved_model, model, ''), '[1m]', '');
DROP INDEX executions_unread;
CREATE INDEX executions_unread ON executions (claude_session_id) -- whose transcript is still to be read, now or when they end
    WHERE agent_id IS NOT NULL AND (usage_read_at IS NULL OR usage_read_at < completed_at);
CREATE INDEX executions_deployed ON executions (deployed_at, origin, agent_type) WHERE status = 'deployed';
CREATE INDEX claude_sessions_ended ON claude_sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX tasks_by_id ON tasks (task_id, created_at);
CREATE INDEX tasks_left_out ON tasks (orchestration_id) WHERE skipped_at IS NOT NULL;
CREATE INDEX executions_unmeasured ON executions (deployed_at, agent_type) WHERE models IS NULL; -- of which no usage is known

DROP VIEW check_parts;
DROP TABLE daily_checks;

CREATE TABLE daily_checks (              -- roll-up of validation results by day, kept by the triggers below
    day TEXT PRIMARY KEY,                -- when the result was kept
    passed INTEGER NOT NULL DEFAULT 0,   -- verdicts that say that a check passed
    not_passed INTEGER NOT NULL DEFAULT 0 -- verdicts that say that it failed; numbers, skipped, n/a and the like are neither
) WITHOUT ROWID;

DROP TRIGGER check_kept;
DROP TRIGGER check_gone;
ALTER TABLE outputs ADD COLUMN passed INTEGER; -- of a validation result: 1 its check passed, 0 it failed, NULL it says neither
UPDATE outputs SET passed = (              -- judged() is the code's own rule; of several checks one that failed counts
    SELECT min(CASE v.type WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE judged(CAST(v.atom AS BLOB)) END)
    FROM json_each(CASE WHEN json_valid(content) THEN content ELSE 'null' END) v WHERE v.atom IS NOT NULL)
WHERE output_type = 'validation_result';
INSERT INTO daily_checks SELECT substr(created_at, 1, 10), sum(passed), sum(1 - passed) FROM outputs
    WHERE passed IS NOT NULL AND created_at IS NOT NULL GROUP BY 1;
CREATE TRIGGER check_kept AFTER INSERT ON outputs WHEN NEW.passed IS NOT NULL AND NEW.created_at IS NOT NULL BEGIN
    INSERT INTO daily_checks VALUES (substr(NEW.created_at, 1, 10), NEW.passed, 1 - NEW.passed)
    ON CONFLICT DO UPDATE SET passed = passed + excluded.passed, not_passed = not_passed + excluded.not_passed;
END;
CREATE TRIGGER check_gone BEFORE DELETE ON outputs WHEN OLD.passed IS NOT NULL BEGIN
    UPDATE daily_checks SET passed = passed - OLD.passed, not_passed = not_passed - 1 + OLD.passed
    WHERE day = substr(OLD.created_at, 1, 10);
END;

DROP INDEX events_of_runs;                 -- of three or more words, IN makes a table of its own at each INSERT
CREATE INDEX events_of_runs ON events (claude_session_id, tool_use_id)
    WHERE kind = 'handed' OR kind = 'workflow' OR kind = 'workflow_ended';

ALTER TABLE executions ADD COLUMN paused_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE daily_news ADD COLUMN paused_ms INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER daily_opened;
DROP TRIGGER daily_changed;
DROP TRIGGER daily_gone;

CREATE TRIGGER daily_opened AFTER INSERT ON executions BEGIN
    INSERT INTO daily_news VALUES (1, NEW.deployed_at, NEW.started_at, NEW.completed_at, NEW.agent_type, NEW.status,
        NEW.attempt, NEW.calls, NEW.refused_calls, NEW.failed_calls, NEW.files_read, NEW.files_written,
        NEW.lines_added, NEW.lines_removed, NEW.paused_ms);
END;
CREATE TRIGGER daily_changed AFTER UPDATE OF deployed_at, started_at, completed_at, agent_type, status, attempt,
    calls, refused_calls, failed_calls, files_read, files_written, lines_added, lines_removed, paused_ms ON executions BEGIN
    INSERT INTO daily_news VALUES (-1, OLD.deployed_at, OLD.started_at, OLD.completed_at, OLD.agent_type, OLD.status,
        OLD.attempt, OLD.calls, OLD.refused_calls, OLD.failed_calls, OLD.files_read, OLD.files_written,
        OLD.lines_added, OLD.lines_removed, OLD.paused_ms);
    INSERT INTO daily_news VALUES (1, NEW.deployed_at, NEW.started_at, NEW.completed_at, NEW.agent_type, NEW.status,
        NEW.attempt, NEW.calls, NEW.refused_calls, NEW.failed_calls, NEW.files_read, NEW.files_written,
        NEW.lines_added, NEW.lines_removed, NEW.paused_ms);
END;
CREATE TRIGGER daily_gone BEFORE DELETE ON executions BEGIN
    DELETE FROM usage WHERE owner = OLD.execution_id AND kind = 'execution';
    INSERT INTO daily_news VALUES (-1, OLD.deployed_at, OLD.started_at, OLD.completed_at, OLD.agent_type, OLD.status,
        OLD.attempt, OLD.calls, OLD.refused_calls, OLD.failed_calls, OLD.files_read, OLD.files_written,
        OLD.lines_added, OLD.lines_removed, OLD.paused_ms);
END;

UPDATE executions SET paused_ms = (
    SELECT COALESCE(sum(CAST(max(0, julianday(g.started_at) - julianday(p.ended_at)) * 86400000 + 0.5 AS INTEGER)), 0)
    FROM segments g JOIN segments p ON p.execution_id = g.execution_id AND p.ordinal = g.ordinal - 1
    WHERE g.execution_id = executions.execution_id AND g.ended_at IS NOT NULL)
WHERE execution_id IN (SELECT execution_id FROM segments WHERE ordinal > 1);
