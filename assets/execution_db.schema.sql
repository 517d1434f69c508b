-- The whole present schema of the history (user_version 3).
-- Times are UTC text in milliseconds (2026-11-21T08:30:00.000Z); paths are relative to the project.
-- Newcomers get this file; older histories get assets/migrations/*.sql; a test holds the two equal.

CREATE TABLE meta (                      -- one fact about this history or its project each
    key TEXT PRIMARY KEY,                -- its name: install_id, project, setting.<name>, off
    value TEXT                           -- its value, as text
) WITHOUT ROWID;

CREATE TABLE orchestrations (            -- one goal of the user, worked by several agents
    orchestration_id TEXT PRIMARY KEY,   -- orch-YYYY-MM-DD-…, or as given
    goal TEXT NOT NULL,                  -- what the user asked for
    status TEXT NOT NULL DEFAULT 'planning' CHECK (status = 'planning' OR status = 'executing' OR status = 'completed' OR status = 'failed'),
    phase INTEGER CHECK (phase BETWEEN 1 AND 5), -- 1 analyze, 2 plan, 3 execute, 4 validate, 5 confirm
    rev INTEGER NOT NULL DEFAULT 0,      -- rises when the main conversation has something to do or to know
    driver TEXT,                         -- workflow or conversation; NULL: chosen from the plan
    origin TEXT NOT NULL DEFAULT 'planned', -- planned (hooks, commands), tracker, imported
    claude_session_id TEXT,              -- the Claude session that drives it
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    completed_at TEXT,                   -- when it was closed
    paused_at TEXT,                      -- set while nothing more is to be deployed
    report_hash TEXT,                    -- blob of the last report
    metadata TEXT                        -- JSON, whatever the caller wants kept
);
CREATE INDEX orchestrations_by_status ON orchestrations (status, created_at);
CREATE INDEX orchestrations_by_created ON orchestrations (created_at);

CREATE TABLE tasks (                     -- one unit of intended work
    orchestration_id TEXT NOT NULL REFERENCES orchestrations (orchestration_id),
    task_id TEXT NOT NULL,               -- the plan's id
    position INTEGER NOT NULL,           -- order of arrival
    title TEXT NOT NULL,
    agent_type TEXT NOT NULL,            -- as Claude Code names it: orchestrator:builder
    priority INTEGER NOT NULL DEFAULT 0, -- higher is offered first
    spec TEXT NOT NULL,                  -- the task as JSON, every field of the plan
    created_at TEXT NOT NULL,
    skipped_at TEXT,                     -- set when the user goes on without it
    handed_to TEXT,                      -- tool_use_id of the workflow it was handed to, while that runs
    PRIMARY KEY (orchestration_id, task_id)
) WITHOUT ROWID;
CREATE INDEX tasks_handed ON tasks (handed_to) WHERE handed_to IS NOT NULL;
CREATE INDEX tasks_by_id ON tasks (task_id, created_at);
CREATE INDEX tasks_left_out ON tasks (orchestration_id) WHERE skipped_at IS NOT NULL;

CREATE TABLE task_dependencies (         -- task_id waits for after_id
    orchestration_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    after_id TEXT NOT NULL,
    PRIMARY KEY (orchestration_id, task_id, after_id)
) WITHOUT ROWID;
CREATE INDEX task_dependencies_by_after ON task_dependencies (orchestration_id, after_id);

CREATE TABLE claude_sessions (           -- one Claude Code session and the process it lives in
    claude_session_id TEXT PRIMARY KEY,
    host TEXT,                           -- where its process lives
    boot_id TEXT,                        -- the boot, and the space in which pid is counted
    pid INTEGER, process_started TEXT,   -- which process (start time as the system counts it)
    started_at TEXT NOT NULL,            -- when this process was first seen with this session
    ended_at TEXT, end_reason TEXT,      -- as SessionEnd said, or gone
    orchestration_id TEXT,               -- the orchestration it drives
    seen_rev INTEGER NOT NULL DEFAULT 0, -- the rev its conversation was told last
    touched INTEGER NOT NULL DEFAULT 0,  -- this turn deployed or received an end
    nagged INTEGER NOT NULL DEFAULT 0,   -- turns continued at Stop without progress
    nagged_rev INTEGER,                  -- the rev at which that count began
    idle_since TEXT,                     -- when its last turn ended; NULL during a turn
    cwd TEXT, transcript_path TEXT, source TEXT, model TEXT, permission_mode TEXT,
    client_version TEXT,
    usage_offset INTEGER NOT NULL DEFAULT 0, -- how many bytes of its transcript have been read
    usage_read_at TEXT,                  -- when that was
    forked INTEGER NOT NULL DEFAULT 0,   -- 1: its transcript begins with another's history; 2: agents went from it or to it (/clear)
    client_usage TEXT                    -- what the client itself last said it used, by model (JSON; not every client says it)
);
CREATE INDEX claude_sessions_unread ON claude_sessions (claude_session_id) -- whose transcript may have grown
    WHERE transcript_path IS NOT NULL AND (ended_at IS NULL OR usage_read_at IS NULL OR usage_read_at <= ended_at);
CREATE INDEX claude_sessions_open ON claude_sessions (claude_session_id) WHERE ended_at IS NULL;
CREATE INDEX claude_sessions_ended ON claude_sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX claude_sessions_by_orchestration ON claude_sessions (orchestration_id);

CREATE TABLE executions (                -- one attempt by one agent
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of arrival
    execution_id TEXT NOT NULL UNIQUE,   -- exec-…, or as given
    orchestration_id TEXT,               -- NULL: unplanned
    task_id TEXT,                        -- NULL: unplanned, or the planner
    attempt INTEGER NOT NULL DEFAULT 1,
    origin TEXT NOT NULL,                -- planned, planner, unplanned, nested, workflow, skill, teammate, tracker, imported
    runtime TEXT NOT NULL DEFAULT 'agent', -- agent (the Agent tool), workflow, tracker
    claude_session_id TEXT,
    tool_use_id TEXT,                    -- of the Agent or Workflow call
    agent_id TEXT,                       -- the live worker, by Claude Code's id
    parent_agent_id TEXT,
    prompt_id TEXT,
    agent_type TEXT NOT NULL,
    scope TEXT,                          -- what it was for, in a line
    model TEXT,                          -- asked for
    resolved_model TEXT,                 -- what the client used
    bundle_id TEXT,                      -- the bundle that was sent
    briefing_hash TEXT,                  -- blob of the text the agent read first
    context_token_count INTEGER,         -- of the briefing
    count_how TEXT,                      -- tiktoken:cl100k, estimate, given
    content_key TEXT,                    -- hash of what makes two executions the same work
    deployed_at TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    status TEXT NOT NULL DEFAULT 'deployed' CHECK (status = 'deployed' OR status = 'completed' OR status = 'failed'),
    end_reason TEXT,                     -- end_turn, api_error, max_turns, stopped, refused, never_started, lost, no_briefing, ended, given
    inferred INTEGER NOT NULL DEFAULT 0, -- 1: the end was concluded, not said
    success INTEGER,                     -- 1, 0, NULL while deployed
    error_message TEXT,
    final_message TEXT,
    context_size INTEGER,                -- tokens of its last request, as its latest notification or its transcript says
    refused_calls INTEGER NOT NULL DEFAULT 0,
    refused_names TEXT,                  -- the tools of those calls, by comma
    calls INTEGER NOT NULL DEFAULT 0,    -- its tool calls, refused and failed ones too
    failed_calls INTEGER NOT NULL DEFAULT 0, -- those that were let through and failed
    files_read INTEGER NOT NULL DEFAULT 0, files_written INTEGER NOT NULL DEFAULT 0, -- how many files it read or wrote
    lines_added INTEGER NOT NULL DEFAULT 0, lines_removed INTEGER NOT NULL DEFAULT 0, -- over all files it wrote: at least so many, as far as its transcript shows them
    models TEXT,                         -- the models it used, in order, by comma
    stop_reason TEXT,                    -- of its last message, as the model's API says it
    transcript_path TEXT,
    transcript_hash TEXT,                -- of its archived transcript; none: it is still to be kept; empty: it was pruned
    usage_read_at TEXT,                  -- when its transcript was read to its end
    noticed_at TEXT,                     -- when its notification reached the main conversation's door, held or passed
    told_at TEXT,                        -- when the main conversation was told of its end
    paused_ms INTEGER NOT NULL DEFAULT 0 -- milliseconds between its segments, when it was not at work
);
CREATE UNIQUE INDEX executions_one_in_flight ON executions (orchestration_id, task_id)
    WHERE status = 'deployed' AND task_id IS NOT NULL;
CREATE UNIQUE INDEX executions_by_agent ON executions (agent_id) WHERE agent_id IS NOT NULL;
CREATE UNIQUE INDEX executions_by_call ON executions (claude_session_id, tool_use_id)
    WHERE tool_use_id IS NOT NULL AND runtime = 'agent';
CREATE INDEX executions_by_task ON executions (orchestration_id, task_id, attempt);
CREATE INDEX executions_by_type ON executions (agent_type, deployed_at, origin); -- with what else is asked, as far as it never changes
CREATE INDEX executions_by_deployed ON executions (deployed_at);
CREATE INDEX executions_in_flight ON executions (claude_session_id, deployed_at, agent_type) WHERE status = 'deployed';
CREATE INDEX executions_by_session ON executions (claude_session_id);
CREATE INDEX executions_by_origin ON executions (origin, deployed_at, agent_type);
CREATE INDEX executions_by_model ON executions (COALESCE(resolved_model, model), deployed_at);
CREATE INDEX executions_of_others ON executions -- models, beside the one it ran on: which, and that one
    (models || char(10) || COALESCE(resolved_model, model, ''), deployed_at)
    WHERE models != replace(COALESCE(resolved_model, model, ''), '[1m]', '');
CREATE INDEX executions_failed ON executions (deployed_at, origin, agent_type) WHERE status = 'failed';
CREATE INDEX executions_long ON executions (deployed_at) -- that took more than a day: looked for apart by what was running when
    WHERE completed_at > strftime('%Y-%m-%dT%H:%M:%fZ', deployed_at, '+1 day');
CREATE INDEX executions_completed ON executions -- what one of a type and a model takes
    (agent_type, replace(COALESCE(resolved_model, model, ''), '[1m]', ''), completed_at) WHERE status = 'completed';
CREATE INDEX executions_unmeasured ON executions (deployed_at, agent_type) WHERE models IS NULL; -- of which no usage is known
CREATE INDEX executions_by_parent ON executions (parent_agent_id) WHERE parent_agent_id IS NOT NULL;
CREATE INDEX executions_by_bundle ON executions (bundle_id) WHERE bundle_id IS NOT NULL;
CREATE INDEX executions_unread ON executions (claude_session_id) -- whose transcript is still to be read, now or when they end
    WHERE agent_id IS NOT NULL AND (usage_read_at IS NULL OR usage_read_at < completed_at);
CREATE INDEX executions_deployed ON executions (deployed_at, origin, agent_type) WHERE status = 'deployed';

CREATE INDEX executions_unarchived ON executions (COALESCE(completed_at, usage_read_at)) -- whose transcript is still to be kept
    WHERE transcript_hash IS NULL AND usage_read_at IS NOT NULL AND transcript_path IS NOT NULL;

CREATE TABLE segments (                  -- one stretch of an execution: its first, or one begun by a message to it
    execution_id TEXT NOT NULL REFERENCES executions (execution_id),
    ordinal INTEGER NOT NULL,            -- from 1
    started_at TEXT, ended_at TEXT,
    status TEXT, end_reason TEXT, final_message TEXT,
    PRIMARY KEY (execution_id, ordinal)
) WITHOUT ROWID;
CREATE INDEX segments_under_way ON segments (execution_id) WHERE ended_at IS NULL AND ordinal > 1;

CREATE TABLE events (                    -- one fact as it arrived; append-only
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    dedupe_key TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,                  -- intent, launched, returned, refused, started, stopped, api_error, notified, killed, absent, …
    claude_session_id TEXT, agent_id TEXT, parent_agent_id TEXT, tool_use_id TEXT, prompt_id TEXT,
    orchestration_id TEXT, task_id TEXT, execution_id TEXT,
    agent_type TEXT, model TEXT,
    status TEXT, reason TEXT,            -- as the signal says it
    text TEXT,                           -- the message it carried, redacted
    body TEXT                            -- the rest as JSON, redacted
);
CREATE INDEX events_by_execution ON events (execution_id) WHERE execution_id IS NOT NULL;
CREATE INDEX events_by_agent ON events (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX events_unattached ON events (claude_session_id) WHERE execution_id IS NULL AND agent_id IS NOT NULL;
CREATE INDEX events_of_runs ON events (claude_session_id, tool_use_id)
    WHERE kind = 'handed' OR kind = 'workflow' OR kind = 'workflow_ended'; -- of three or more, IN makes a table at each INSERT
CREATE INDEX events_by_orchestration ON events (orchestration_id, event_id) WHERE orchestration_id IS NOT NULL;

CREATE TABLE usage (                     -- tokens of one owner, by model and day
    owner TEXT NOT NULL,                 -- execution_id, or claude_session_id
    kind TEXT NOT NULL CHECK (kind = 'execution' OR kind = 'session' OR kind = 'compaction' OR kind = 'unseen'), -- unseen: the client says so, no transcript does
    model TEXT NOT NULL,
    day TEXT NOT NULL,                   -- of the messages, UTC
    messages INTEGER NOT NULL DEFAULT 0, -- distinct message ids
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_5m_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL,                       -- at the prices of the day it was read; NULL: no price known
    PRIMARY KEY (owner, kind, model, day)
) WITHOUT ROWID;
CREATE INDEX usage_unpriced ON usage (model) WHERE cost_usd IS NULL;

CREATE TABLE counted_messages (          -- message ids already counted, so that a copied history is not counted again
    message_id TEXT PRIMARY KEY,
    owner TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE tool_calls (                -- how often one execution called one tool
    execution_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    calls INTEGER NOT NULL,
    refused INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, tool)
) WITHOUT ROWID;

CREATE TABLE file_touches (              -- one file read or written by one execution
    execution_id TEXT NOT NULL,
    path TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('read', 'write')),
    times INTEGER NOT NULL DEFAULT 1,
    first_at TEXT, last_at TEXT,
    lines_added INTEGER NOT NULL DEFAULT 0, lines_removed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, path, mode)
) WITHOUT ROWID;
CREATE INDEX file_touches_by_path ON file_touches (path, last_at);

CREATE TABLE outputs (                   -- something an execution left
    output_id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL,
    output_type TEXT CHECK (output_type = 'deliverable' OR output_type = 'validation_result' OR output_type = 'insight' OR output_type = 'error'),
    content TEXT,                        -- file path, JSON data, message
    created_at TEXT,
    metadata TEXT,                       -- JSON
    path TEXT,                           -- of a deliverable
    content_hash TEXT,                   -- of the file, when it was there
    version INTEGER NOT NULL DEFAULT 1,  -- of the path, or the check's result, across the attempts of its task; insights and errors are no versions of each other: 1
    passed INTEGER,                      -- of a validation result: 1 its check passed, 0 it failed, NULL it says neither, as numbers do
    UNIQUE (execution_id, output_type, content)
);
CREATE INDEX outputs_by_execution ON outputs (execution_id);
CREATE INDEX outputs_by_type ON outputs (output_type, created_at);
CREATE INDEX outputs_by_path ON outputs (path, created_at) WHERE path IS NOT NULL;

CREATE TABLE blobs (                     -- content-addressed bytes
    hash TEXT PRIMARY KEY,               -- b2: + BLAKE2b-128 of the plain bytes
    size INTEGER NOT NULL,               -- of the plain bytes
    codec TEXT NOT NULL,                 -- zlib or plain
    data BLOB NOT NULL
);

CREATE TABLE archive (                   -- transcripts kept in archive/ beside the history, redacted and compressed
    owner TEXT NOT NULL,                 -- execution_id, or claude_session_id
    kind TEXT NOT NULL CHECK (kind IN ('execution', 'session')), -- which of the two
    hash TEXT NOT NULL,                  -- b2: + BLAKE2b-128 of the redacted text, whose hex names the file
    lines INTEGER NOT NULL,              -- how many
    size INTEGER NOT NULL,               -- bytes of the redacted text
    packed INTEGER NOT NULL,             -- bytes of the file
    masked TEXT,                         -- what was masked, and how often
    archived_at TEXT NOT NULL,           -- when it was kept
    PRIMARY KEY (owner, kind)
) WITHOUT ROWID;
CREATE INDEX archive_by_hash ON archive (hash);

CREATE TABLE bundles (                   -- what one execution was given
    bundle_id TEXT PRIMARY KEY,          -- bun- + hash of the redacted items and their order
    agent_type TEXT NOT NULL,
    scope TEXT,
    created_at TEXT NOT NULL,
    total_tokens INTEGER NOT NULL,
    how TEXT NOT NULL,                   -- how the tokens were counted
    budget INTEGER,
    body TEXT NOT NULL                   -- the seed's bundle JSON
);

CREATE TABLE prepared (                  -- a task's briefing, ready to be put together
    orchestration_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    bundle_id TEXT,
    parts TEXT NOT NULL,                 -- JSON list of parts in order
    shared_hash TEXT,                    -- blob of the part shared with sibling tasks
    tokens INTEGER NOT NULL DEFAULT 0,
    how TEXT,
    PRIMARY KEY (orchestration_id, task_id)
) WITHOUT ROWID;

CREATE TABLE allocations (               -- an item was, or was not, included in an execution
    allocation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL,
    bundle_id TEXT,
    context_type TEXT,                   -- file, briefing, reference, shared_context, result, document
    context_source TEXT,                 -- path or description
    token_count INTEGER, how TEXT,
    priority TEXT,                       -- required, recommended, optional
    included INTEGER NOT NULL,           -- 1: it was sent
    reason TEXT,                         -- why it was cut, or sent otherwise
    item_hash TEXT
);
CREATE INDEX allocations_by_execution ON allocations (execution_id);
CREATE INDEX allocations_by_source ON allocations (context_source);

CREATE TABLE token_counts (              -- tokens of a text, by its hash
    hash TEXT NOT NULL,
    how TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    PRIMARY KEY (hash, how)
) WITHOUT ROWID;

CREATE TABLE clean_texts (               -- files in which nothing was to be masked: they are searched once
    hash TEXT NOT NULL,                  -- the content
    rules TEXT NOT NULL,                 -- all that decides what is masked; other rules search again
    PRIMARY KEY (hash, rules)
) WITHOUT ROWID;

CREATE TABLE daily (                     -- roll-up of executions; what changed since it was summed up lies in daily_news
    day TEXT NOT NULL,                   -- of deployment, UTC
    agent_type TEXT NOT NULL,
    executions INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0, -- of these
    failed INTEGER NOT NULL DEFAULT 0,   -- of these; the others are deployed, or lost
    retries INTEGER NOT NULL DEFAULT 0,  -- second and later attempts
    milliseconds INTEGER NOT NULL DEFAULT 0, -- how long they took together
    calls INTEGER NOT NULL DEFAULT 0, refused_calls INTEGER NOT NULL DEFAULT 0, failed_calls INTEGER NOT NULL DEFAULT 0,
    files_read INTEGER NOT NULL DEFAULT 0, files_written INTEGER NOT NULL DEFAULT 0,
    lines_added INTEGER NOT NULL DEFAULT 0, lines_removed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, agent_type)
) WITHOUT ROWID;

CREATE TABLE daily_usage (               -- roll-up of usage; what changed since it was summed up lies in usage_news
    day TEXT NOT NULL,                   -- of the messages, UTC
    agent_type TEXT NOT NULL,            -- empty: main conversations
    model TEXT NOT NULL,
    kind TEXT NOT NULL,                  -- as in usage
    messages INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0,    -- as far as prices are known
    unpriced_tokens INTEGER NOT NULL DEFAULT 0, -- tokens of models without a price
    PRIMARY KEY (day, agent_type, model, kind)
) WITHOUT ROWID;

CREATE TABLE monthly (                   -- sums of daily by month, made by whoever asks for them
    month TEXT NOT NULL,                 -- as 2026-11
    agent_type TEXT NOT NULL,
    executions INTEGER, completed INTEGER, failed INTEGER, retries INTEGER, milliseconds INTEGER, calls INTEGER,
    refused_calls INTEGER, failed_calls INTEGER, files_read INTEGER, files_written INTEGER, lines_added INTEGER,
    lines_removed INTEGER,
    PRIMARY KEY (agent_type, month)
) WITHOUT ROWID;

CREATE TABLE monthly_usage (             -- sums of daily_usage by month, made by whoever asks for them
    month TEXT NOT NULL,                 -- as 2026-11
    agent_type TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL,
    messages INTEGER, input_tokens INTEGER, cache_write_tokens INTEGER, cache_read_tokens INTEGER, output_tokens INTEGER,
    cost_usd REAL, unpriced_tokens INTEGER,
    PRIMARY KEY (agent_type, model, kind, month)
) WITHOUT ROWID;

CREATE TABLE months (                    -- months whose sums stand; a change of one of their days takes them out
    month TEXT PRIMARY KEY               -- as 2026-11
) WITHOUT ROWID;

CREATE TABLE daily_checks (              -- roll-up of validation results by day, kept by the triggers below
    day TEXT PRIMARY KEY,                -- when the result was kept
    passed INTEGER NOT NULL DEFAULT 0,   -- verdicts that say that a check passed
    not_passed INTEGER NOT NULL DEFAULT 0 -- verdicts that say that it failed; numbers, skipped, n/a and the like are neither
) WITHOUT ROWID;

-- Roll-ups -----------------------------------------------------------------------------------------
-- Each change of what is summed up leaves what it took away and what it added, in the writer's transaction; sums are read
-- together with these news, and take them in at a session's start. Small triggers, as SQLite reads and prepares them anew in
-- each process.

CREATE TABLE daily_news (                -- changes of executions that daily has not taken in yet
    sign INTEGER NOT NULL,               -- 1: this is so now; -1: it is no more
    deployed_at TEXT, started_at TEXT, completed_at TEXT, -- as in executions
    agent_type TEXT, status TEXT, attempt INTEGER, -- likewise
    calls INTEGER, refused_calls INTEGER, failed_calls INTEGER, files_read INTEGER, files_written INTEGER,
    lines_added INTEGER, lines_removed INTEGER,
    paused_ms INTEGER NOT NULL DEFAULT 0 -- as in executions
);
CREATE TABLE usage_news (                -- changes of usage that daily_usage has not taken in yet
    sign INTEGER NOT NULL,               -- 1: this is so now; -1: it is no more
    agent_type TEXT, kind TEXT, model TEXT, day TEXT, -- as in daily_usage
    messages INTEGER, input_tokens INTEGER, cache_write_5m_tokens INTEGER, cache_write_1h_tokens INTEGER,
    cache_read_tokens INTEGER, output_tokens INTEGER, cost_usd REAL
);
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
CREATE TRIGGER usage_renamed AFTER UPDATE OF agent_type ON executions WHEN OLD.agent_type != NEW.agent_type BEGIN
    INSERT INTO usage_news SELECT -1, OLD.agent_type, kind, model, day, messages, input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens, cost_usd FROM usage WHERE
        owner = NEW.execution_id AND kind = 'execution';
    INSERT INTO usage_news SELECT 1, NEW.agent_type, kind, model, day, messages, input_tokens, cache_write_5m_tokens,
        cache_write_1h_tokens, cache_read_tokens, output_tokens, cost_usd FROM usage WHERE owner = NEW.execution_id
        AND kind = 'execution';
END;
CREATE TRIGGER usage_came AFTER INSERT ON usage BEGIN
    INSERT INTO usage_news SELECT 1, CASE NEW.kind WHEN 'execution' THEN (SELECT agent_type FROM executions WHERE
        execution_id = NEW.owner) ELSE '' END, NEW.kind, NEW.model, NEW.day, NEW.messages, NEW.input_tokens,
        NEW.cache_write_5m_tokens, NEW.cache_write_1h_tokens, NEW.cache_read_tokens, NEW.output_tokens, NEW.cost_usd;
END;
CREATE TRIGGER usage_changed AFTER UPDATE ON usage BEGIN
    INSERT INTO usage_news SELECT -1, CASE OLD.kind WHEN 'execution' THEN (SELECT agent_type FROM executions WHERE
        execution_id = OLD.owner) ELSE '' END, OLD.kind, OLD.model, OLD.day, OLD.messages, OLD.input_tokens,
        OLD.cache_write_5m_tokens, OLD.cache_write_1h_tokens, OLD.cache_read_tokens, OLD.output_tokens, OLD.cost_usd;
    INSERT INTO usage_news SELECT 1, CASE NEW.kind WHEN 'execution' THEN (SELECT agent_type FROM executions WHERE
        execution_id = NEW.owner) ELSE '' END, NEW.kind, NEW.model, NEW.day, NEW.messages, NEW.input_tokens,
        NEW.cache_write_5m_tokens, NEW.cache_write_1h_tokens, NEW.cache_read_tokens, NEW.output_tokens, NEW.cost_usd;
END;
CREATE TRIGGER usage_gone AFTER DELETE ON usage BEGIN
    INSERT INTO usage_news SELECT -1, CASE OLD.kind WHEN 'execution' THEN (SELECT agent_type FROM executions WHERE
        execution_id = OLD.owner) ELSE '' END, OLD.kind, OLD.model, OLD.day, OLD.messages, OLD.input_tokens,
        OLD.cache_write_5m_tokens, OLD.cache_write_1h_tokens, OLD.cache_read_tokens, OLD.output_tokens, OLD.cost_usd;
END;

CREATE TRIGGER check_kept AFTER INSERT ON outputs WHEN NEW.passed IS NOT NULL AND NEW.created_at IS NOT NULL BEGIN
    INSERT INTO daily_checks VALUES (substr(NEW.created_at, 1, 10), NEW.passed, 1 - NEW.passed)
    ON CONFLICT DO UPDATE SET passed = passed + excluded.passed, not_passed = not_passed + excluded.not_passed;
END;
CREATE TRIGGER check_gone BEFORE DELETE ON outputs WHEN OLD.passed IS NOT NULL BEGIN
    UPDATE daily_checks SET passed = passed - OLD.passed, not_passed = not_passed - 1 + OLD.passed
    WHERE day = substr(OLD.created_at, 1, 10);
END;

-- Views ------------------------------------------------------------------------------------------

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

-- The seeds' names (seeds 002), with the seeds' columns.
CREATE VIEW sessions AS
SELECT orchestration_id AS session_id, created_at, goal AS scope, phase, status, metadata FROM orchestrations;

CREATE VIEW agent_executions AS
SELECT execution_id, orchestration_id AS session_id, agent_type, deployed_at, completed_at, status, scope,
    context_token_count, COALESCE(resolved_model, model) AS model, final_message, success, error_message
FROM executions;

CREATE VIEW context_allocations AS
SELECT allocation_id, execution_id, context_type, context_source, token_count, included AS included_in_deployment
FROM allocations;
