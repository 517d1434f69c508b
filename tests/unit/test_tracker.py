"""The tracker's service: rows like those of hooks, ids kept, nothing twice, refusals that say what to do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histories import Filled, fill
from orchestrator.errors import OrchestratorError
from orchestrator.recording import outputs as kept
from orchestrator.services import outputs, queries, tracker
from orchestrator.store import open as store

NOW, LATER = "2026-11-21T08:00:00.000Z", "2026-11-21T08:05:00.500Z"


@pytest.fixture
def con(tmp_path):
    """An empty history."""
    return store.open_history(str(tmp_path / "history.db"))


@pytest.fixture
def session(con):
    """An open session with the id that seed 002 gives it."""
    return tracker.init_session(con, "Implement vector search", "orch-2025-01-17-001", NOW)


def deploy(con, session, execution="exec-001", **fields):
    """A deployment as seed 002 records it."""
    return tracker.init_deployment(con, session, "task-implementor", NOW, execution_id=execution, **fields)


def one(con, sql, *values):
    """The first row of a query."""
    return con.execute(sql, values).fetchone()


def test_a_session_is_an_orchestration_in_its_first_phase(con, session):
    """init-session opens a planning orchestration of origin tracker, its id kept verbatim (S2-10, S2-17)."""
    assert session == "orch-2025-01-17-001"
    assert one(con, "SELECT goal, status, phase, origin, created_at FROM orchestrations") == (
        "Implement vector search",
        "planning",
        1,
        "tracker",
        NOW,
    )


def test_ids_that_are_not_given_are_made(con):
    """Without an id a session is orch- and the day, an execution exec- and something nobody else has."""
    session = tracker.init_session(con, "x", None, NOW)
    assert session.startswith("orch-2026-11-21-")
    made = {tracker.init_deployment(con, session, "builder", NOW) for _ in range(3)}
    assert len(made) == 3 and all(each.startswith("exec-") for each in made)


def test_the_same_session_again_is_harmless_and_another_scope_refused(con, session):
    """A second init-session with the same scope changes nothing; with another it says what to do."""
    assert tracker.init_session(con, "Implement vector search", session, LATER) == session
    with pytest.raises(
        OrchestratorError, match="is there already, for 'Implement vector search': give this session"
    ):
        tracker.init_session(con, "Something else", session, LATER)
    assert one(con, "SELECT count(*), max(updated_at) FROM orchestrations") == (1, NOW)


@pytest.mark.parametrize(
    "given_id", ["", " ", "a b", "../x", "a/b", "-x", ".x", "a\nb", "\x1b[31m", "x" * 129, "é|"]
)
def test_ids_that_could_not_be_written_in_a_command_are_refused(con, given_id):
    """An id becomes a word of a command and part of a file's name: no blank, slash, dash or control."""
    with pytest.raises(OrchestratorError, match="is no session id"):
        tracker.checked_id(given_id, "session id")


def test_a_deployment_is_an_execution_with_what_it_was_given(con, session):
    """init-deployment opens a deployed execution and its intent; the session is executing (S2-11)."""
    deploy(con, session, scope="Implement HNSW", tokens=15000, model="sonnet")
    row = queries.executions(con)[0]
    told = {
        name: row[name]
        for name in (
            "execution_id",
            "orchestration_id",
            "agent_type",
            "scope",
            "model",
            "status",
            "origin",
            "runtime",
            "context_token_count",
            "count_how",
            "deployed_at",
            "success",
            "claude_session_id",
        )
    }
    assert told == {
        "execution_id": "exec-001",
        "orchestration_id": session,
        "agent_type": "task-implementor",
        "scope": "Implement HNSW",
        "model": "sonnet",
        "status": "deployed",
        "origin": "tracker",
        "runtime": "tracker",
        "context_token_count": 15000,
        "count_how": "given",
        "deployed_at": NOW,
        "success": None,
        "claude_session_id": None,
    }
    assert one(con, "SELECT kind, execution_id FROM events") == ("intent", "exec-001")
    assert one(con, "SELECT status, phase FROM orchestrations") == ("executing", 3)


def test_a_deployment_said_twice_is_one(con, session):
    """The same deployment again changes nothing; another agent type under its id is refused."""
    assert deploy(con, session) == deploy(con, session) == "exec-001"
    assert one(con, "SELECT count(*) FROM executions") == (1,)
    with pytest.raises(
        OrchestratorError, match="exec-001 is there already, an execution of task-implementor"
    ):
        tracker.init_deployment(con, session, "other", NOW, execution_id="exec-001")


def test_a_deployment_in_an_unknown_or_closed_session_says_what_to_do(con, session):
    """Nothing is deployed where no session is open."""
    with pytest.raises(
        OrchestratorError,
        match="There is no session 'orch-nix': begin it with `orchestrator tracker init-session",
    ):
        deploy(con, "orch-nix")
    tracker.complete_session(con, session, NOW)
    with pytest.raises(OrchestratorError, match="is closed .completed.: begin another session"):
        deploy(con, session)
    assert one(con, "SELECT count(*) FROM executions") == (0,)


def test_a_completion_is_folded_into_the_row(con, session, tmp_path):
    """record-completion appends one event, of which the fold makes the row (S2-13, S2-45)."""
    deploy(con, session)
    message = "Done.\nDeliverables:\n- lib/a.ts\nInsights:\n- fast"
    assert tracker.record_completion(
        con, str(tmp_path), "exec-001", LATER, message=message, deliverables=["lib/b.ts"]
    )
    row = queries.executions(con)[0]
    assert (row["status"], row["end_reason"], row["success"], row["completed_at"], row["seconds"]) == (
        "completed",
        "given",
        True,
        LATER,
        300.5,
    )
    assert row["final_message"] == message and row["error_message"] is None
    assert con.execute("SELECT kind FROM events ORDER BY event_id").fetchall() == [("intent",), ("closed",)]
    assert con.execute(
        "SELECT output_type, COALESCE(path, content) FROM outputs ORDER BY output_id"
    ).fetchall() == [("deliverable", "lib/a.ts"), ("insight", "fast"), ("deliverable", "lib/b.ts")]


def test_a_failed_completion_keeps_its_error(con, session, tmp_path):
    """A failed execution has success 0 and says why."""
    deploy(con, session)
    tracker.record_completion(con, str(tmp_path), "exec-001", LATER, status="failed", message="no network")
    assert one(con, "SELECT status, success, error_message FROM agent_executions") == (
        "failed",
        0,
        "no network",
    )


def test_an_end_is_recorded_once(con, session, tmp_path):
    """The same completion again is harmless, another one is refused and changes nothing."""
    deploy(con, session)
    for fresh in (True, False):
        assert tracker.record_completion(con, str(tmp_path), "exec-001", LATER, message="Done.") is fresh
    for change in ({"status": "failed"}, {"message": "Other."}):
        with pytest.raises(OrchestratorError, match="The end of exec-001 is recorded already"):
            tracker.record_completion(con, str(tmp_path), "exec-001", LATER, **change)
    assert one(con, "SELECT status, final_message FROM executions") == ("completed", "Done.")
    assert one(con, "SELECT count(*) FROM events WHERE kind = 'closed'") == (1,)


def test_a_deliverable_outside_the_project_is_refused_whole(con, session, tmp_path):
    """Nothing is half recorded: with one impossible deliverable the execution stays deployed."""
    deploy(con, session)
    with pytest.raises(OrchestratorError, match="../secret is not a file of the project"):
        tracker.record_completion(con, str(tmp_path), "exec-001", LATER, deliverables=["a.py", "../secret"])
    assert one(con, "SELECT status, (SELECT count(*) FROM outputs) FROM executions") == ("deployed", 0)


def test_secrets_are_masked_where_they_enter(con, tmp_path):
    """Scopes, messages and insights are kept redacted (design: no secrets kept)."""
    secret = "ghp_" + "wB3kT9xQz7LmN2pR5sVd8YfGh4JcKe6AuX1i"
    session = tracker.init_session(con, "use " + secret, None, NOW)
    execution = tracker.init_deployment(con, session, "x", NOW, scope="with " + secret)
    tracker.record_completion(con, str(tmp_path), execution, LATER, message="said " + secret)
    outputs.collect(con, str(tmp_path), execution, LATER, insights=["keep " + secret])
    kept = [
        row
        for table in ("orchestrations", "executions", "events", "outputs", "segments")
        for row in con.execute(f"SELECT * FROM {table}")
    ]
    assert kept and not [row for row in kept if secret in repr(row)]


def test_completing_a_session_closes_it_and_names_what_is_open(con, session, tmp_path):
    """complete-session ends in phase 5; what is still deployed is told, again and again (S2-16)."""
    deploy(con, session)
    deploy(con, session, "exec-002")
    tracker.record_completion(con, str(tmp_path), "exec-001", LATER)
    assert tracker.complete_session(con, session, LATER) == ["exec-002"]
    assert tracker.complete_session(con, session, "2026-11-21T09:00:00.000Z") == ["exec-002"]
    assert one(con, "SELECT status, phase, completed_at FROM orchestrations") == ("completed", 5, LATER)
    with pytest.raises(OrchestratorError, match="is closed"):
        tracker.complete_session(con, session, LATER, "failed")


def test_a_phase_can_be_set_while_the_session_is_open(con, session):
    """From the third phase on a session is executing."""
    for phase, status in ((2, "planning"), (3, "executing"), (4, "executing")):
        tracker.set_phase(con, session, phase, LATER)
        assert one(con, "SELECT phase, status FROM orchestrations") == (phase, status)


def test_rows_of_commands_and_of_hooks_are_the_same_kind(tmp_path):
    """The same questions find both, and both are folded from events (S2-43)."""
    filled = fill(Filled(tmp_path, tmp_path / "data"))
    session = tracker.init_session(filled.con, "by hand", None, NOW)
    execution = tracker.init_deployment(filled.con, session, "orchestrator:builder", NOW)
    tracker.record_completion(filled.con, filled.project, execution, LATER, message="By hand.")
    found = queries.executions(filled.con, agent_type="builder", status="completed")
    assert [each["origin"] for each in found] == ["tracker", "planned"]
    assert {frozenset(each) for each in found} == {frozenset(found[0])}
    for each in found:
        kinds = {
            row[0]
            for row in filled.rows("SELECT kind FROM events WHERE execution_id = ?", each["execution_id"])
        }
        assert "intent" in kinds and kinds & {"closed", "stopped"}


def test_a_tracked_execution_keeps_no_conversation_waiting(tmp_path):
    """A deployment recorded by hand never counts as an agent of the Claude session that recorded it."""
    filled = Filled(tmp_path, tmp_path / "data")
    session = tracker.init_session(filled.con, "by hand", None, NOW)
    tracker.init_deployment(filled.con, session, "builder", NOW)
    assert filled.rows("SELECT claude_session_id FROM executions") == [(None,)]


def test_an_agent_at_work_is_not_declared_done(tmp_path):
    """What hooks recorded ends as it ends; only when its Claude session is over may a command say how (S2-43)."""
    filled = Filled(tmp_path, tmp_path / "data")
    filled.deploy()
    ((execution,),) = filled.rows("SELECT execution_id FROM executions")
    with pytest.raises(OrchestratorError, match="is an agent at work"):
        tracker.record_completion(filled.con, filled.project, execution, LATER, message="Done, I think.")
    assert filled.rows("SELECT status FROM executions") == [("deployed",)]
    filled.hook("SessionEnd", reason="other")
    assert tracker.record_completion(filled.con, filled.project, execution, LATER, message="I saw it end.")
    assert filled.rows("SELECT status, end_reason FROM executions") == [("completed", "given")]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.booleans())
def test_any_text_is_kept_or_refused_with_a_sentence(tmp_path_factory, scope, message, failed):
    """Whatever a scope or a message holds, the commands keep it or refuse it, and the row reads back."""
    folder = tmp_path_factory.mktemp("any")
    con = store.open_history(str(folder / "history.db"))
    try:
        session = tracker.init_session(con, scope, None, NOW)
    except OrchestratorError as refused:
        assert not scope.strip() and "is empty" in str(refused)
        return
    execution = tracker.init_deployment(con, session, "x", NOW, scope=scope)
    tracker.record_completion(
        con, str(folder), execution, LATER, status="failed" if failed else "completed", message=message
    )
    row = queries.executions(con)[0]
    assert row["status"] == ("failed" if failed else "completed")
    assert (row["final_message"] or "") == message.encode("utf-8", "replace").decode("utf-8")


def test_a_deliverable_left_again_is_a_new_version(con, session, tmp_path):
    """Executions of a session that leave the same file make versions of it (S2-36)."""
    for at, name in enumerate(("exec-001", "exec-002", "exec-003")):
        tracker.init_deployment(con, session, "x", "2026-11-21T08:0%d:00.000Z" % at, execution_id=name)
        (tmp_path / "a.py").write_text("version = %d\n" % at)
        outputs.collect(con, str(tmp_path), name, LATER, deliverables=["a.py", "./a.py"])
    rows = con.execute("SELECT version, content_hash FROM outputs ORDER BY output_id").fetchall()
    assert [row[0] for row in rows] == [1, 2, 3] and len({row[1] for row in rows}) == 3


def test_versions_follow_the_attempts_of_a_task(con, session, tmp_path):
    """An attempt that is heard of late, after the next one left the same file, left the version before that (S2-36)."""
    for attempt in (1, 2, 3):
        con.execute("INSERT INTO executions (execution_id, orchestration_id, task_id, attempt, origin, agent_type, deployed_at, "
                    "status) VALUES (?, ?, 't1', ?, 'planned', 'x', ?, 'failed')",
                    ("exec-%d" % attempt, session, attempt, LATER))  # fmt: skip
    for attempt in (2, 3, 1):  # as each is heard of
        kept.keep(con, str(tmp_path), "exec-%d" % attempt, "Deliverables:\n- a.py", LATER)
    kept.drop(con, str(tmp_path), "exec-2", ["Deliverables:\n- a.py"])
    found = "SELECT execution_id, version FROM outputs ORDER BY execution_id"
    assert con.execute(found).fetchall() == [("exec-1", 1), ("exec-3", 2)]
    outputs.collect(con, str(tmp_path), "exec-2", LATER, deliverables=["a.py"])
    assert con.execute(found).fetchall() == [("exec-1", 1), ("exec-2", 2), ("exec-3", 3)]


def test_results_of_a_check_are_versions_of_each_other(con, session, tmp_path):
    """What attempts of a task say of the same check is numbered like the files that they leave, whatever each says of it; an
    insight or an error is no version of another."""
    for attempt in (1, 2, 3):
        con.execute("INSERT INTO executions (execution_id, orchestration_id, task_id, attempt, origin, agent_type, deployed_at, "
                    "status) VALUES (?, ?, 't1', ?, 'planned', 'x', ?, 'failed')",
                    ("exec-%d" % attempt, session, attempt, LATER))  # fmt: skip
    for attempt, verdict in ((1, "fail"), (3, "pass"), (2, "fail")):
        words = "Validation:\n- tests: %s\n- tests: at last\n- lint %d: pass\nInsights:\n- slow" % (verdict, attempt)
        kept.keep(con, str(tmp_path), "exec-%d" % attempt, words, LATER)
    outputs.collect(con, str(tmp_path), "exec-3", LATER, verdicts=["tests:again"], errors=["slow"])
    found = con.execute("SELECT execution_id, content, version FROM outputs ORDER BY 1, output_id").fetchall()
    assert {row[2] for row in found if "tests" not in row[1]} == {1}
    assert [row[2] for row in found if "tests" in row[1]] == [1, 1, 2, 2, 3, 3, 3]


def test_collected_outputs_have_the_seeds_schema(con, session, tmp_path):
    """Deliverables, verdicts and insights read back in the Output Schema of seed 002 (S2-28, S2-31)."""
    deploy(con, session, model="sonnet")
    kept = outputs.collect(
        con,
        str(tmp_path),
        "exec-001",
        LATER,
        deliverables=["lib/vector-search.ts", "tests/vector-search.test.ts"],
        verdicts=["format:pass", "tests:pass", "coverage:85"],
        insights=["HNSW is O(log n)"],
        errors=["slow disk"],
    )
    assert kept == 7
    assert outputs.collect(con, str(tmp_path), "exec-001", LATER, deliverables=["lib/vector-search.ts"]) == 0
    first = outputs.query(con, output_type="deliverable")[-1]
    assert first == {
        "output_id": 1,
        "execution_id": "exec-001",
        "output_type": "deliverable",
        "created_at": LATER,
        "content": {
            "file_path": "lib/vector-search.ts",
            "validation": {"format": "pass", "tests": "pass", "coverage": 85},
        },
        "metadata": {
            "agent_type": "task-implementor",
            "model": "sonnet",
            "related_files": ["tests/vector-search.test.ts"],
        },
        "session_id": session,
        "task_id": None,
        "version": 1,
        "content_hash": None,
    }
    assert [each["content"] for each in outputs.query(con, output_type="validation_result")] == [
        {"coverage": "85"},
        {"tests": "pass"},
        {"format": "pass"},
    ]
    assert [each["content"] for each in outputs.query(con, text="slow")] == ["slow disk"]


def test_faulty_outputs_are_named_all_at_once(con, session, tmp_path):
    """Every impossible deliverable and every verdict without a verdict is in the one refusal."""
    deploy(con, session)
    with pytest.raises(OrchestratorError) as refused:
        outputs.collect(
            con, str(tmp_path), "exec-001", NOW, deliverables=["/etc/passwd"], verdicts=["lint", "x:"]
        )
    for part in ("/etc/passwd is not a file", "'lint' is no verdict", "'x:' is no verdict"):
        assert part in str(refused.value)
    with pytest.raises(OrchestratorError, match="There is no execution exec-9: record its deployment first"):
        outputs.collect(con, str(tmp_path), "exec-9", NOW, insights=["x"])


def test_a_bundle_gives_scope_tokens_and_allocation(con, session):
    """init-deployment with a bundle of the seed's shape records what is given (S2-12, S2-42)."""
    bundle = {
        "bundle_id": "bundle-001",
        "agent_type": "task-implementor",
        "scope": "Implement vector search",
        "created_at": "2025-01-17T10:00:00Z",
        "total_tokens": 4500,
        "budget_remaining": 195500,
        "context_items": [
            {
                "type": "file",
                "source": "spec/requirements.md",
                "token_count": 1500,
                "priority": "required",
                "sections": ["V"],
            },
            {
                "type": "reference",
                "source": "references/hnsw.md",
                "token_count": 3000,
                "priority": "recommended",
            },
        ],
    }
    for _ in range(2):
        deploy(con, session, bundle=bundle)
    row = queries.executions(con)[0]
    assert (row["scope"], row["bundle_id"], row["context_token_count"], row["count_how"]) == (
        "Implement vector search",
        "bundle-001",
        4500,
        "given",
    )
    assert con.execute(
        "SELECT context_type, context_source, token_count, included_in_deployment FROM context_allocations"
    ).fetchall() == [("file", "spec/requirements.md", 1500, 1), ("reference", "references/hnsw.md", 3000, 1)]


def test_a_scope_and_its_files_are_validated(tmp_path):
    """Files must exist and lie in the project; every fault is told, and what is right is measured (S2-34)."""
    (tmp_path / "a.md").write_text("# A\n\nhello\n")
    told = tracker.validate(str(tmp_path), "x", ["a.md"], str(tmp_path / "data"))
    assert told["valid"] and told["total_tokens"] > 0
    assert [(f["source"], f["bytes"]) for f in told["files"]] == [("a.md", 11)]
    told = tracker.validate(str(tmp_path), " ", ["a.md", "nix.md", "../out.md"], str(tmp_path / "data"))
    assert not told["valid"] and len(told["faults"]) == 3
    for part in ("scope is empty", "nix.md", "../out.md"):
        assert part in " ".join(told["faults"])


def test_what_a_validation_found_is_kept_with_its_session(con, session, tmp_path):
    """The session's id links validation, execution and synthesis (S2-37)."""
    told = tracker.validate(str(tmp_path), "x", [], str(tmp_path))
    tracker.note_validation(con, session, told, LATER)
    assert one(con, "SELECT kind, orchestration_id, status FROM events") == ("validated", session, "valid")


def test_a_deployment_said_again_with_other_facts_is_refused(con, session):
    """The same execution id with another scope, model or count is no silent loss; with the same it is harmless."""
    facts = {"scope": "Implement HNSW", "tokens": 15000, "model": "sonnet"}
    deploy(con, session, **facts)
    assert deploy(con, session, **facts) == deploy(con, session) == "exec-001"
    for name, other in (("scope", "Write tests"), ("tokens", 1), ("model", "opus")):
        with pytest.raises(OrchestratorError, match=f"exec-001 is there already, with the {name}"):
            deploy(con, session, **{**facts, name: other})
    assert one(con, "SELECT count(*), scope, model FROM executions") == (1, "Implement HNSW", "sonnet")
