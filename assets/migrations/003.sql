-- What passed, failed or neither is said in one place; the latest of each type and model, and what no usage is known of, are
-- found by an index. What an execution took is without the time between its segments.

CREATE INDEX executions_completed ON executions -- what one of a type and a model takes
    (agent_type, replace(COALESCE(resolved_model, model, ''), '[1m]', ''), completed_at) WHERE status = 'completed';
CREATE INDEX executions_unmeasured ON executions (deployed_at, agent_type) WHERE models IS NULL; -- of which no usage is known

DROP VIEW check_parts;
DROP TABLE daily_checks;

CREATE TABLE daily_checks (              -- roll-up of validation results by day, kept by the triggers below
    day TEXT PRIMARY KEY,                -- when the result was kept
    passed INTEGER NOT NULL DEFAULT 0,   -- verdicts that say that a check passed
    not_passed INTEGER NOT NULL DEFAULT 0 -- verdicts that say that it failed; numbers, skipped, n/a and the like are neither
) WITHOUT ROWID;

CREATE VIEW verdict_words AS             -- the words and signs of a verdict
SELECT column1 AS word,                  -- as a verdict begins, or as stands behind a number, in lower case
    column2 AS passed                    -- 1: a check passed of which it is said; 0: it failed
FROM (VALUES ('pass', 1), ('passed', 1), ('passes', 1), ('passing', 1), ('ok', 1), ('okay', 1), ('success', 1),
    ('successful', 1), ('successfully', 1), ('succeeded', 1), ('succeeds', 1), ('green', 1), ('clean', 1), ('✅', 1), ('✓', 1),
    ('✔', 1), ('🟢', 1), ('fail', 0), ('failed', 0), ('fails', 0), ('failing', 0), ('failure', 0), ('failures', 0),
    ('error', 0), ('errors', 0), ('errored', 0), ('broken', 0), ('crash', 0), ('crashed', 0), ('crashes', 0), ('timeout', 0),
    ('❌', 0), ('✗', 0), ('✘', 0), ('🔴', 0));

CREATE VIEW verdicts AS                  -- each check of each validation result, and whether it passed
SELECT o.output_id, o.execution_id, o.created_at, v.key AS "check", v.atom AS verdict, CASE
    WHEN v.type IN ('true', 'false') THEN v.type = 'true'
    ELSE (SELECT CASE                    -- by the numbers of a summary, or by the sign or the word in front
        WHEN said GLOB '0/*' THEN NULL
        WHEN said GLOB '*; failed [1-9]*' OR said GLOB '*; failures [1-9]*' OR said GLOB '*; errors [1-9]*' THEN 0
        WHEN said GLOB '[0-9]*' THEN CASE WHEN said GLOB '*[0-9] [a-z]*' THEN (
            SELECT min(w.passed) FROM verdict_words w WHERE w.word < '~' AND said GLOB '*[0-9] ' || w.word || '[^a-z0-9_-]*'
            AND NOT (w.passed AND rest GLOB '/*'
                AND rest NOT GLOB '/' || substr(said, 1, length(said) - length(rest)) || '[^0-9,]*')) END
        WHEN begun = '' OR substr(said, length(begun) + 1, 1) NOT GLOB '[-_0-9]' THEN (
            SELECT w.passed FROM verdict_words w WHERE w.word = CASE begun WHEN '' THEN substr(said, 1, 1) ELSE begun END)
        END
        FROM (SELECT said, ltrim(said, '0123456789,') AS rest,
            substr(said, 1, length(said) - length(ltrim(said, 'abcdefghijklmnopqrstuvwxyz'))) AS begun
        FROM (SELECT ltrim(
            replace(replace(replace(replace(replace(replace(replace(replace(
            replace(replace(replace(replace(replace(replace(replace(replace(
            ' ' || ltrim(lower(v.atom), '`*" ') || ' '
            , '*', ''), ', ', '; '), ' all ', ' '), ' tests ', ' '), ' test ', ' '), ' checks ', ' '), ' 100% ', ' 100 ')
            , ' of ', '/'), ' / ', '/'), ': 0 ', '-0 '), ': 0;', '-0;'), ': ', ' '), ' 0 ', ' 0-'), 'not ok', 'fail')
            , 'not pass', 'fail'), 'timed out', 'timeout')
            ) AS said LIMIT 1) LIMIT 1)) -- a limit: each is made out once
    END AS passed                        -- 1: it passed; 0: it failed; NULL: it says neither, as numbers do
FROM outputs o, json_each(CASE WHEN json_valid(o.content) THEN o.content ELSE 'null' END) v
WHERE o.output_type = 'validation_result' AND v.atom IS NOT NULL;

CREATE VIEW check_parts AS               -- how many verdicts of each validation result passed, and how many failed
SELECT output_id, substr(created_at, 1, 10) AS day, count(*) FILTER (WHERE passed = 1) AS passed,
    count(*) FILTER (WHERE passed = 0) AS not_passed
FROM verdicts WHERE created_at IS NOT NULL GROUP BY output_id;

INSERT INTO daily_checks SELECT day, sum(passed), sum(not_passed) FROM check_parts GROUP BY day; -- by the rule of now

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
