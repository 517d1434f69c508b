"""Questions to the history: every filter, seed 002's SQL, each query of assets/queries.sql."""

import random
import re
import sqlite3

import pytest

import docs
from histories import OTHER, Filled, fill
from orchestrator.errors import OrchestratorError
from orchestrator.services import conditions, details, outputs, queries, tracker
from orchestrator.store import open as store


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An orchestration as hooks recorded it, and a session recorded by command beside it."""
    folder = tmp_path_factory.mktemp("filled")
    made = fill(Filled(folder, folder / "data"))
    tracker.init_session(made.con, "Fix the flaky test", "orch-2025-01-17-001", "2026-11-20T20:00:00.000Z")
    tracker.init_deployment(
        made.con,
        "orch-2025-01-17-001",
        "systematic-debugger",
        "2026-11-20T20:01:00.000Z",
        execution_id="exec-001",
        model="sonnet",
        bundle=BUNDLE,
    )
    tracker.record_completion(
        made.con,
        made.project,
        "exec-001",
        "2026-11-20T20:09:00.000Z",
        message="The clock was mocked. 100% sure.\nValidation:\n- tests: pass",
    )
    tracker.init_deployment(
        made.con,
        "orch-2025-01-17-001",
        "systematic-debugger",
        "2026-11-20T20:10:00.000Z",
        execution_id="exec-002",
        bundle=BUNDLE,
    )
    tracker.record_completion(
        made.con, made.project, "exec-002", "2026-11-20T20:11:00.000Z", status="failed", message="no"
    )
    return made


BUNDLE = {
    "bundle_id": "bundle-001",
    "agent_type": "systematic-debugger",
    "scope": "Fix the flaky test",
    "created_at": "2025-01-17T10:00:00Z",
    "total_tokens": 1500,
    "budget_remaining": 195500,
    "context_items": [
        {"type": "file", "source": "tests/flaky.py", "token_count": 1500, "priority": "required"}
    ],
}


def ask(filled, **filters):
    """[(task or agent type, status)] of the executions that fit."""
    return [
        (e["task_id"] or e["agent_type"], queries.state_of(e))
        for e in queries.executions(filled.con, **filters)
    ]


def test_executions_come_latest_first(filled):
    """History lists whatever was deployed, by whomever, the latest first."""
    assert ask(filled) == [
        ("systematic-debugger", "failed"),
        ("systematic-debugger", "completed"),
        ("t4", "deployed"),
        ("Explore", "deployed"),
        ("Explore", "lost"),
        ("t3", "completed"),
        ("t2", "completed"),
        ("t2", "failed"),
        ("t1", "completed"),
    ]
    assert ask(filled, limit=2) == ask(filled)[:2]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"task": "t2"}, [("t2", "completed"), ("t2", "failed")]),
        ({"agent_type": "builder"}, [("t2", "completed"), ("t2", "failed")]),
        ({"agent_type": "orchestrator:scout"}, [("t1", "completed")]),
        ({"agent_type": "build"}, []),
        ({"model": "sonnet"}, [("systematic-debugger", "completed")]),
        ({"status": "lost"}, [("Explore", "lost")]),
        ({"status": "deployed"}, [("t4", "deployed"), ("Explore", "deployed")]),
        ({"status": "failed"}, [("systematic-debugger", "failed"), ("t2", "failed")]),
        ({"origin": "tracker", "status": "failed"}, [("systematic-debugger", "failed")]),
        ({"since": "2026-11-20T20:05:00.000Z"}, [("systematic-debugger", "failed")]),
        ({"until": "2026-11-20T08:05:00.000Z"}, [("t1", "completed")]),
        ({"text": "CLOCK was"}, [("systematic-debugger", "completed")]),
        ({"text": "100%"}, [("systematic-debugger", "completed")]),
        ({"text": "%"}, [("systematic-debugger", "completed")]),
        ({"text": "it broke"}, [("t2", "failed")]),
        ({"file": "src/adder.py"}, [("t1", "completed")]),
        ({"file": "src"}, [("t2", "completed"), ("t1", "completed")]),
        ({"file": "sr"}, []),
        ({"orchestration": "orch-2025-01-17-001", "agent_type": "builder"}, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_executions_are_found_by(filled, filters, found):
    """Each filter finds exactly what it says, alone or with others (S2-14, S2-15)."""
    assert ask(filled, **filters) == found


def test_states_part_the_executions(filled):
    """Deployed, completed, failed and lost leave nobody out and count nobody twice."""
    parts = [each for state in queries.STATUSES for each in ask(filled, status=state)]
    assert sorted(parts) == sorted(ask(filled))


def test_tokens_say_how_they_were_obtained(filled):
    """Tokens come from the transcript where it was read, else from the last request, and are not made up."""
    known = {
        (e["task_id"], e["attempt"]): e
        for e in queries.executions(filled.con, orchestration=filled.orchestration)
    }
    assert known["t1", 1]["tokens"] == {"number": 110 + 20 + 700 + 100, "how": "usage"}
    assert known["t1", 1]["context_size"] == 12345
    assert known["t4", 1]["tokens"] == {"number": None, "how": None}
    assert known["t1", 1]["cost_usd"] == pytest.approx(0.003525)
    filled.con.execute("SAVEPOINT unread")
    filled.con.execute("DELETE FROM usage")
    row = queries.executions(filled.con, task="t1")[0]
    filled.con.execute("ROLLBACK TO unread")
    filled.con.execute("RELEASE unread")
    assert row["tokens"] == {"number": 12345, "how": "context size"}


def test_totals_agree_with_the_rows(filled):
    """The sum over executions is the sum over usage."""
    total = sum(
        e["tokens"]["number"] or 0
        for e in queries.executions(filled.con, limit=1000)
        if e["tokens"]["how"] == "usage"
    )
    assert (
        total
        == filled.rows(
            "SELECT sum(input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens "
            "+ output_tokens) FROM usage WHERE kind = 'execution'"
        )[0][0]
    )


def test_sessions_are_listed_with_their_counts(filled):
    """Without a session the tracker lists the latest sessions (S2-14), with as many executions in each state as lists have."""
    found = queries.sessions(filled.con)
    assert [(s["session_id"], s["scope"], s["tasks"], s["executions"]) for s in found] == [
        ("orch-2025-01-17-001", "Fix the flaky test", 0, {"deployed": 0, "completed": 1, "failed": 1, "lost": 0}),
        (filled.orchestration, "add CSV export", 4, {"deployed": 1, "completed": 3, "failed": 1, "lost": 0}),
    ]
    assert queries.sessions(filled.con, status="completed") == []
    t1, t4 = [queries.executions(filled.con, orchestration=filled.orchestration, task=t)[0]["execution_id"] for t in ("t1", "t4")]
    filled.con.execute("SAVEPOINT before")
    filled.con.execute("INSERT INTO segments (execution_id, ordinal, started_at) VALUES (?, 2, '2026-11-20T21:00')", (t1,))
    filled.con.execute("INSERT INTO claude_sessions (claude_session_id, started_at, ended_at) VALUES ('gone', '', '2026-11-20')")
    filled.con.execute("UPDATE executions SET claude_session_id = 'gone' WHERE execution_id = ?", (t4,))
    counted = queries.sessions(filled.con)[1]["executions"]
    listed = [queries.state_of(e) for e in queries.executions(filled.con, orchestration=filled.orchestration)]
    assert counted == {state: listed.count(state) for state in queries.STATUSES}
    assert counted == {"deployed": 1, "completed": 2, "failed": 1, "lost": 1}
    filled.con.execute("ROLLBACK TO before")
    filled.con.execute("RELEASE before")
    assert len(queries.sessions(filled.con, since="2026-11-20T19:00:00.000Z")) == 1


@pytest.mark.parametrize("few", [1, 1000])
def test_tasks_of_all_orchestrations_are_all_of_them(tmp_path, monkeypatch, few):
    """Of every state each task is listed, in however many orchestrations they are, the latest orchestration first; also where
    many are lost."""
    monkeypatch.setattr(conditions, "FEW", few)
    con, draw = store.open_history(str(tmp_path / "history.db")), random.Random(3)
    con.execute("INSERT INTO claude_sessions (claude_session_id, started_at, ended_at) VALUES ('gone', '2026', '2026'), "
                "('here', '2026', NULL)")  # fmt: skip
    con.execute("BEGIN")
    for n in range(240):
        name, at = "orch-%d" % n, "2026-%02d-01" % (1 + n % 12)
        made = "INSERT INTO orchestrations (orchestration_id, goal, created_at, updated_at) VALUES (?1, 'g', ?2, ?2)"
        con.execute(made, (name, at))
        for place in range(4):
            skipped = at if draw.random() < 0.02 else None
            row = (name, "t%d" % place, place, at, skipped)
            con.execute("INSERT INTO tasks VALUES (?, ?, ?, 'x', 'y', 0, '{}', ?, ?, NULL)", row)
            if place and draw.random() < 0.5:
                con.execute("INSERT INTO task_dependencies VALUES (?, ?, 't0')", (name, "t%d" % place))
            for attempt in range(1, 1 + draw.choice((0, 0, 1, 2)) * (n > 3)):
                ended = draw.choice(("completed", "failed")) if attempt == 1 or draw.random() < 0.9 else "deployed"
                con.execute(
                    "INSERT INTO executions (execution_id, orchestration_id, task_id, attempt, origin, agent_type, deployed_at, "
                    "status, claude_session_id) VALUES (?, ?, ?, ?, 'planned', 'y', ?, ?, ?)",
                    ("e%d.%d.%d" % (n, place, attempt), name, "t%d" % place, attempt, at, ended, draw.choice(("gone", "here"))),
                )
    con.execute("COMMIT")
    for state in ("waiting", "ready", "in_flight", "completed", "failed", "skipped", "lost", None):
        listed = [(row["orchestration_id"], row["task_id"]) for row in queries.tasks_of_all(con, state, 100_000)]
        there = con.execute(
            "SELECT orchestration_id, task_id FROM task_states JOIN orchestrations USING (orchestration_id) "
            "WHERE state = ?1 OR ?1 IS NULL ORDER BY created_at DESC, orchestration_id DESC, position", (state,)
        ).fetchall()  # fmt: skip
        assert listed == there and there
        assert queries.tasks_of_all(con, state, 3) == queries.tasks_of_all(con, state, 100_000)[:3]
    con.close()


def test_outputs_are_found_by_session_type_agent_and_time(filled):
    """Outputs answer by session, agent type and date (S2-29)."""

    def kinds(**filters):
        return [(o["task_id"], o["output_type"]) for o in outputs.query(filled.con, **filters)]

    assert kinds(orchestration=filled.orchestration, output_type="deliverable") == [("t2", "deliverable")]
    assert kinds(agent_type="tester") == [("t3", "validation_result")] * 2
    assert kinds(agent_type="systematic-debugger", limit=1) == [(None, "validation_result")]
    assert kinds(until="2026-11-20T08:07:00.000Z") == [("t1", "insight")]
    assert kinds(text="adders") == [("t1", "insight")]
    deliverable = outputs.query(filled.con, task="t2", output_type="deliverable")[0]
    assert deliverable["content"] == {
        "file_path": "src/csv_export.py",
        "lines_added": 1,
        "lines_modified": 0,
        "lines_removed": 0,
        "validation": {"tests": "pass"},
    }


def test_seed_names_are_the_views_columns(filled):
    """JSON of the tracker has every column of the view agent_executions, with the same values."""
    named = queries.in_seed_names(queries.executions(filled.con, task="t3")[0])
    con = filled.con
    cursor = con.execute("SELECT * FROM agent_executions WHERE execution_id = ?", (named["execution_id"],))
    view = dict(zip([c[0] for c in cursor.description], cursor.fetchone(), strict=True))
    assert {name: named[name] for name in view} == view


QUERIES = docs.named_queries()


@pytest.mark.parametrize(("name", "statement"), [(q[1], q[3]) for q in QUERIES], ids=[q[1] for q in QUERIES])
def test_every_written_query_runs_and_finds_something(filled, name, statement):
    """Each query of assets/queries.sql, seed 002's and ours, answers on a filled history (S2-47, S2-48)."""
    seeds = {"session_id": "orch-2025-01-17-001", "agent_type": "systematic-debugger", "since": "2025-01-15"}
    ours = {
        "session_id": filled.orchestration,
        "task_id": "t2",
        "agent_type": "orchestrator:scout",
        "text": "adder",
        "model": "opus",
        "path": "src/csv_export.py",
        "at": "2026-11-20T08:04:30.000Z",
    }
    values = seeds if name in SEEDS else ours
    assert filled.con.execute(statement, {n: values[n] for n in re.findall(r":(\w+)", statement)}).fetchall()


SEEDS = {q[1] for q in QUERIES if "seed 002" in q[0]}
STATEMENTS = {q[1]: q[3] for q in QUERIES}


@pytest.mark.parametrize("at, running", [
    ("2026-11-20T08:30", ["killed", "lost", "replaced", "working"]), ("2026-11-20T09:30", ["lost", "working"]),
    ("2026-11-20T12:30", ["working"]), ("2026-11-20T07:59", []),
])  # fmt: skip
def test_what_was_running_ended_with_its_session(tmp_path, at, running):
    """A lost execution was running until its Claude session ended, or, where its process was killed or is another's now, until
    the last sign of it; and so history lists it."""
    con = store.open_history(str(tmp_path / "history.db"))
    for name, started, ended, reason in (("lost", "08:00", "10:00", "other"), ("replaced", "12:00", None, None),
                                         ("working", "08:00", None, None), ("killed", "08:00", "12:00", "gone")):  # fmt: skip
        times = [time and f"2026-11-20T{time}:00.000Z" for time in (started, ended)]
        con.execute("INSERT INTO claude_sessions (claude_session_id, started_at, ended_at, end_reason) VALUES (?, ?, ?, ?)",
                    (name, *times, reason))  # fmt: skip
        con.execute("INSERT INTO events (dedupe_key, at, kind, execution_id) VALUES (?1, '2026-11-20T09:00:00.000Z', 'launched', "
                    "?1)", (name,))  # fmt: skip
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, deployed_at, claude_session_id) VALUES "
                    "(?1, 'unplanned', 'x', '2026-11-20T08:00:00.000Z', ?1)", (name,))  # fmt: skip
    at += ":00.000Z"
    found = sorted(row[0] for row in con.execute(STATEMENTS["running_at"], {"at": at}))
    assert found == running and sorted(e["execution_id"] for e in queries.executions(con, at=at)) == running
    con.close()


@pytest.fixture
def stretches(tmp_path):
    """Four executions that were put to work again: one still at work, one whose Claude session ended, or was killed, over it, and
    one that ended twice."""
    con = store.open_history(str(tmp_path / "history.db"))
    for name, over, reason, last in (("again", None, None, None), ("ended", "12:00", "other", None),
                                     ("killed", "12:00", "gone", None), ("twice", None, None, "11:00")):  # fmt: skip
        con.execute("INSERT INTO claude_sessions (claude_session_id, started_at, ended_at, end_reason) VALUES (?, ?, ?, ?)",
                    (name, clock("08:00"), over and clock(over), reason))  # fmt: skip
        con.execute("INSERT INTO events (dedupe_key, at, kind, execution_id) VALUES (?1, ?2, 'launched', ?1)",
                    (name, clock("11:00")))  # fmt: skip
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, status, deployed_at, completed_at, "
                    "claude_session_id) VALUES (?1, 'unplanned', 'x', 'completed', ?2, ?3, ?1)",
                    (name, clock("08:00"), clock(last or "09:00")))  # fmt: skip
        for ordinal, began, ended in ((1, "08:00", "09:00"), (2, "10:00", last)):
            con.execute("INSERT INTO segments (execution_id, ordinal, started_at, ended_at) VALUES (?, ?, ?, ?)",
                        (name, ordinal, clock(began), ended and clock(ended)))  # fmt: skip
    yield con
    con.close()


def clock(time):
    """A time of the day as the history writes it."""
    return f"2026-11-20T{time}:00.000Z"


@pytest.mark.parametrize("at, running", [
    ("08:30", ["again", "ended", "killed", "twice"]), ("09:30", []), ("10:30", ["again", "ended", "killed", "twice"]),
    ("11:30", ["again", "ended"]), ("12:30", ["again"]),
])  # fmt: skip
def test_between_two_stretches_of_work_nothing_was_running(stretches, at, running):
    """An execution was running in each of its stretches, not between them; in one that has no end until its Claude session
    ended, or until the last sign of it where that was killed; and so history lists it."""
    found = sorted(row[0] for row in stretches.execute(STATEMENTS["running_at"], {"at": clock(at)}))
    assert found == running and sorted(e["execution_id"] for e in queries.executions(stretches, at=clock(at))) == running


@pytest.mark.parametrize("since, until, running", [
    ("07:00", "07:59", []), ("07:30", "08:30", ["again", "ended", "killed", "twice"]), ("09:10", "09:50", []),
    ("08:50", "09:10", ["again", "ended", "killed", "twice"]), ("09:50", "10:10", ["again", "ended", "killed", "twice"]),
    ("11:10", "11:50", ["again", "ended"]), ("11:50", "12:10", ["again", "ended"]), ("12:10", "13:00", ["again"]),
])  # fmt: skip
def test_what_was_running_at_any_moment_of_a_time(stretches, since, until, running):
    """Asked for a time instead of a moment, history lists what was running at any moment of it."""
    found = queries.executions(stretches, at=f"{clock(since)}/{clock(until)}")
    assert sorted(e["execution_id"] for e in found) == running


def test_durations_are_those_of_the_lists(filled):
    """How long agents of a type take is counted as lists count it: from when they began, without the time between stretches."""
    filled.con.execute("SAVEPOINT before")
    filled.con.execute("UPDATE executions SET paused_ms = 1500, started_at = strftime('%Y-%m-%dT%H:%M:%fZ', deployed_at, '+2 "
                       "seconds') WHERE completed_at IS NOT NULL")  # fmt: skip
    taken = {}
    for each in queries.executions(filled.con):
        if each["completed_at"]:
            taken.setdefault(each["agent_type"], []).append(each["seconds"])
    found = {row[0]: row[1:] for row in filled.con.execute(STATEMENTS["durations"])}
    filled.con.execute("ROLLBACK TO before")
    filled.con.execute("RELEASE before")
    assert taken and found == {kind: (len(all_), pytest.approx(sum(all_) / len(all_), abs=0.051),
                                      pytest.approx(max(all_), abs=0.051)) for kind, all_ in taken.items()}  # fmt: skip


def test_the_files_sent_to_the_most_agents(tmp_path):
    """Which files are sent to the most agents names files, no tasks and results, and goes by agents before tokens."""
    con = store.open_history(str(tmp_path / "history.db"))
    sent = [("file", "large.py", 900, 1), ("file", "often.py", 5, 3), ("shared_context", "shared.py", 7, 2),
            ("briefing", "task t2", 999, 4), ("result", "result of t1", 999, 4)]  # fmt: skip
    for kind, source, tokens, times in sent:
        for n in range(times):
            con.execute("INSERT INTO allocations (execution_id, context_type, context_source, token_count, included) "
                        "VALUES (?, ?, ?, ?, 1)", (f"e{n}", kind, source, tokens))  # fmt: skip
    found = con.execute(STATEMENTS["most_shared_context"]).fetchall()
    assert found == [("often.py", 3, 15), ("shared.py", 2, 14), ("large.py", 1, 900)]
    con.close()


def test_queries_judge_checks_as_statistics_do(filled):
    """The bundles' and the days' queries count what passed and what failed as the sums by day do; numbers are neither."""
    filled.con.execute("SAVEPOINT before")
    filled.con.execute("UPDATE executions SET bundle_id = (SELECT bundle_id FROM bundles LIMIT 1)")
    filled.con.execute("INSERT INTO outputs (execution_id, output_type, content, created_at) SELECT execution_id, "
                       "'validation_result', '{\"coverage\": 85, \"named\": \"named\"}', '2026-11-20' FROM executions")
    sums = filled.con.execute("SELECT sum(passed), sum(not_passed) FROM daily_checks").fetchall()
    for name in ("bundles_that_passed", "validation_by_day"):
        assert filled.con.execute(f"SELECT sum(passed), sum(not_passed) FROM ({STATEMENTS[name].rstrip(';')})").fetchall() == sums
    filled.con.execute("ROLLBACK TO before")
    filled.con.execute("RELEASE before")


def test_there_are_the_seeds_queries_and_ten_more():
    """Seed 002's questions have their queries, on its own names, and at least ten others follow."""
    assert len(SEEDS) >= 8 and len(QUERIES) - len(SEEDS) >= 10
    for heading, _, _, statement in QUERIES:
        ours = re.search(
            r"\b(executions|orchestrations|allocations|tasks)\b",
            statement.replace("agent_executions", "")
            .replace("context_allocations", "")
            .replace("AS executions", "")
            .replace("executions DESC", ""),
        )
        assert "seed 002" not in heading or not ours, statement


def test_what_the_last_debugger_got_and_did(filled):
    """Seed 002's two questions have one-line answers (S2-47, S2-48)."""
    assert filled.rows(
        "SELECT context_source, token_count FROM context_allocations JOIN agent_executions "
        "USING (execution_id) WHERE agent_type = 'systematic-debugger' ORDER BY deployed_at DESC LIMIT 1"
    ) == [("tests/flaky.py", 1500)]
    statement = next(q[3] for q in QUERIES if q[1] == "bundles_that_passed")
    assert filled.rows(statement)[0][0] in {
        "bundle-001",
        *[r[0] for r in filled.rows("SELECT bundle_id FROM bundles")],
    }


def test_any_sqlite_tool_reads_the_views(filled):
    """A plain connection, read only, sees seed 002's tables under its names."""
    con = sqlite3.connect("file:%s/history.db?mode=ro" % filled.workspace, uri=True)
    for view, columns in {
        "sessions": "session_id created_at scope phase status metadata",
        "agent_executions": "execution_id session_id agent_type deployed_at completed_at status scope "
        "context_token_count model final_message success error_message",
        "outputs": "output_id execution_id output_type content created_at metadata",
        "context_allocations": "allocation_id execution_id context_type context_source token_count "
        "included_in_deployment",
    }.items():
        assert con.execute("SELECT %s FROM %s" % (", ".join(columns.split()), view)).fetchall()


def test_things_are_found_by_id_or_unique_prefix(filled):
    """Tasks, executions, agents, sessions, bundles and outputs are found by any unique prefix."""
    con, scout = filled.con, filled.id_of("t1")
    agent = filled.rows("SELECT agent_id FROM executions WHERE execution_id = ?", scout)[0][0]
    assert details.find(con, "t1", filled.orchestration) == ("task", "t1", filled.orchestration)
    assert details.find(con, "t1") == ("task", "t1", filled.orchestration)
    assert details.find(con, filled.orchestration + "/t3") == ("task", "t3", filled.orchestration)
    assert (
        details.find(con, scout)
        == details.find(con, scout[:-2])
        == details.find(con, agent[:10])
        == ("execution", scout, None)
    )
    assert details.find(con, "orch-2025") == ("orchestration", "orch-2025-01-17-001", None)
    assert details.find(con, "bundle-") == ("bundle", "bundle-001", None)
    assert details.find(con, "#1") == details.find(con, "1") == ("output", "1", None)


@pytest.mark.parametrize(
    "given", ["exec-", "orch-", "nix", "", "%", "_", "exec-001'", "\x00", "9999999999999999999999"]
)
def test_what_names_nothing_or_several_is_refused(filled, given):
    """An id that fits nothing, or several things, is refused with what to do."""
    with pytest.raises(OrchestratorError, match="(Nothing here has an id|may be any of)"):
        details.find(filled.con, given, filled.orchestration)


def test_of_many_ids_the_first_are_named_and_that_there_are_more(filled):
    """An id that may be any of more than five things names five of them and says that there are more."""
    assert filled.rows("SELECT count(*) FROM executions WHERE execution_id LIKE 'exec-%'") > [(5,)]
    with pytest.raises(OrchestratorError, match="(exec-[^ ]+, ){4}exec-[^ ]+ and more: write more of it"):
        details.find(filled.con, "exec-")
    with pytest.raises(OrchestratorError, match=f"may be any of [^ ]+, {filled.orchestration}: write more of it"):
        details.find(filled.con, "orch-")


def test_an_execution_is_told_whole(filled):
    """Details hold usage by model, tools, files, outputs, context, window (S3-15, S3-30, S3-37)."""
    body = details.execution(filled.con, filled.id_of("t2", 2))
    assert (
        body["usage_by_model"][0]["model"] == "claude-opus-4-8" and body["usage_by_model"][0]["messages"] == 2
    )
    assert {t["tool"]: t["refused"] for t in body["tool_calls"]} == {"Bash": 1, "Write": 0}
    assert [(f["path"], f["mode"]) for f in body["files"]] == [("src/csv_export.py", "write")]
    assert [o["output_type"] for o in body["outputs"]] == ["deliverable", "validation_result"]
    assert {a["context_type"] for a in body["allocations"]} == {"briefing", "result"}
    usage = body["context_usage"]
    assert (usage["tokens"], usage["advice"]) == (12345, None)
    assert usage["usage_percentage"] == round(100 * 12345 / usage["window"], 1)


def test_all_that_was_left_is_told(filled):
    """However much an execution left, its details and its task's hold all of it."""
    one = filled.id_of("t2", 2)
    filled.con.execute("SAVEPOINT before")
    left = [(one, "insight", str(n), "2026-11-20T08:16:00.000Z") for n in range(500)]
    filled.con.executemany("INSERT INTO outputs (execution_id, output_type, content, created_at) VALUES (?, ?, ?, ?)", left)
    bodies = details.execution(filled.con, one), details.task(filled.con, filled.orchestration, "t2")
    told = [len(body["outputs"]) for body in bodies]
    filled.con.execute("ROLLBACK TO before")
    filled.con.execute("RELEASE before")
    assert told == [502, 502]


def test_several_models_are_told_one_by_one(filled):
    """An execution that used another model beside the one it ran on is shown with the tokens of each, and found by either."""
    from orchestrator.edges.cli import describe

    one = filled.id_of("t2", 2)
    before = "\n".join(describe.execution(details.execution(filled.con, one)))
    filled.con.execute("SAVEPOINT before")
    filled.con.execute("INSERT INTO usage (owner, kind, model, day, input_tokens, output_tokens) VALUES (?, 'execution', "
                       "'claude-haiku-4-5', '2026-11-20', 5, 2)", (one,))  # fmt: skip
    shown = "\n".join(describe.execution(details.execution(filled.con, one)))
    used = filled.con.execute(STATEMENTS["used_model"], {"model": "haiku"}).fetchall()
    filled.con.execute("UPDATE executions SET models = 'claude-opus-4-8,claude-haiku-4-5' WHERE execution_id = ?", (one,))
    found = {model: ask(filled, model=model, agent_type="builder") for model in ("haiku", "opus", "4-", "HAIKU-4-5", "8,claude")}
    filled.con.execute("ROLLBACK TO before")
    filled.con.execute("RELEASE before")
    assert "by model" not in before and re.search("^by model +claude-haiku-4-5 7, claude-opus-4-8 920$", shown, re.MULTILINE)
    assert [row[0] for row in used] == [one]
    assert found.pop("8,claude") == [] and found.pop("haiku") == found.pop("HAIKU-4-5") == [("t2", "completed")]
    assert set(map(tuple, found.values())) == {(("t2", "completed"), ("t2", "failed"))}
    assert ask(filled, model="haiku") == []


def test_a_full_window_is_advised_about(filled):
    """From 80 % of the window on, the advice is to retire the agent (S3-37)."""
    body = details.execution(filled.con, filled.id_of("t1"))
    room = body["context_usage"]["window"]
    for share, advised in ((0.79, False), (0.8, True), (0.95, True)):
        told = details.context_usage({**body, "context_size": int(room * share)})
        assert (told["advice"] is not None) is advised


def test_a_lost_agent_is_told_with_what_is_known(filled):
    """Lost is said with the last thing that was heard."""
    lost = queries.executions(filled.con, status="lost")[0]
    assert lost["claude_session_id"] == OTHER
    body = details.execution(filled.con, lost["execution_id"])
    assert body["lost"] and body["last_known"]["kind"] == "launched"


def test_a_briefing_reads_back_as_it_was_sent(filled):
    """What an agent was told is kept to the byte."""
    text = details.briefing(filled.con, filled.id_of("t2", 2))
    assert "Adders are in src/adder.py." in text and "do it" in text
    assert details.latest(filled.con, filled.orchestration, "t2") == filled.id_of("t2", 2)
    with pytest.raises(OrchestratorError, match="has left no result: it has not ended"):
        details.result(filled.con, filled.id_of("t4"))
    with pytest.raises(OrchestratorError, match="No briefing of exec-001 is kept"):
        details.briefing(filled.con, "exec-001")
