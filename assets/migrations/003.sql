-- What passed, failed or neither is said in one place; the latest of each type and model, and what no usage is known of, are
-- found by an index.

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

CREATE VIEW verdicts AS                  -- each check of each validation result, and whether it passed
SELECT output_id, execution_id, created_at, "check", verdict, CASE
    WHEN type IN ('true', 'false') THEN type = 'true'
    WHEN (word LIKE 'pass%' OR word LIKE 'ok%' OR word LIKE 'succe%' OR word LIKE 'green%' OR word LIKE 'clean%'
        OR word LIKE '✅%' OR word LIKE '✓%' OR word LIKE '✔%')
        AND (word = said OR said NOT LIKE '0%' AND said NOT LIKE '%fail%' AND said NOT LIKE '%error%') THEN 1
    WHEN (word LIKE 'fail%' OR word LIKE 'error%' OR word LIKE 'broken%' OR word LIKE 'crash%' OR word LIKE 'timeout%'
        OR word LIKE 'timed out%' OR word LIKE 'not ok%' OR word LIKE 'not pass%' OR word LIKE '❌%' OR word LIKE '✗%'
        OR word LIKE '✘%')
        AND said NOT LIKE '0%' THEN 0
    END AS passed                        -- 1: it passed; 0: it failed; NULL: it says neither, as numbers do
FROM (SELECT o.output_id, o.execution_id, o.created_at, v.key AS "check", v.atom AS verdict, v.type, ltrim(v.atom, '`* ') AS said,
        ltrim(v.atom, '`* 0123456789') AS word
    FROM outputs o, json_each(CASE WHEN json_valid(o.content) THEN o.content ELSE 'null' END) v
    WHERE o.output_type = 'validation_result' AND v.atom IS NOT NULL);

CREATE VIEW check_parts AS               -- how many verdicts of each validation result passed, and how many failed
SELECT output_id, substr(created_at, 1, 10) AS day, count(*) FILTER (WHERE passed = 1) AS passed,
    count(*) FILTER (WHERE passed = 0) AS not_passed
FROM verdicts WHERE created_at IS NOT NULL GROUP BY output_id;

INSERT INTO daily_checks SELECT day, sum(passed), sum(not_passed) FROM check_parts GROUP BY day; -- by the rule of now
