"""Replay and cache statistics: the same briefing again, and what siblings read from the prompt cache."""

import json

import pytest

from orchestrator.context import briefing
from orchestrator.errors import OrchestratorError
from orchestrator.services import archive, cache_stats, replay
from orchestrator.services.prepare import prepare_plan
from orchestrator.store import blobs
from orchestrator.store.open import open_history

NOW = "2026-01-01T00:00:00.000Z"
BUILDER = "orchestrator:builder"


@pytest.fixture
def project(tmp_path):
    """A project with a page."""
    (tmp_path / "spec.md").write_text("# Spec\n\n" + "what to do\n" * 40)
    return tmp_path


@pytest.fixture
def con(tmp_path):
    """An empty history."""
    return open_history(str(tmp_path / "h.db"))


def deploy(con, project, execution, task="t1", home="o", results=(), **columns):
    """A recorded deployment of a prepared task, as the gate makes it; returns its briefing."""
    made = briefing.assemble(con, str(project), home, task, results)
    row = {
        "execution_id": execution,
        "orchestration_id": home,
        "task_id": task,
        "origin": "planned",
        "agent_type": BUILDER,
        "deployed_at": NOW,
        "status": "completed",
        "bundle_id": made.bundle_id,
        "briefing_hash": blobs.put(con, made.text.encode()),
        "context_token_count": made.tokens,
        "count_how": made.how,
        "scope": "Do it",
        **columns,
    }
    con.execute(
        f"INSERT INTO executions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values())
    )
    return made


def plan(con, project, *names):
    """A plan whose tasks share a page."""
    tasks = [
        {"id": n, "title": n, "agent": BUILDER, "prompt": n, "files": ["spec.md"], "after": []} for n in names
    ]
    assert prepare_plan(con, str(project), "o", tasks) == []


def test_a_replay_is_the_identical_briefing(con, project):
    """Byte for byte, results and all, though the file has changed since: a new task with another model
    (S2-50).
    """
    plan(con, project, "t1")
    result = ("t0", "Before", BUILDER, "completed", "It works.", [], [])
    first = deploy(con, project, "exec-1", results=[result], model="opus", final_message="one")
    (project / "spec.md").write_text("changed\n")
    made = replay.replay(con, str(project), "exec-1", model="haiku", now=NOW)
    again = briefing.assemble(con, str(project), made.orchestration_id, made.task_id)
    assert again.text == first.text and again.notes == []
    assert (again.bundle_id, again.tokens, again.how) == (first.bundle_id, first.tokens, first.how)
    assert [row[:3] for row in again.sent] == [row[:3] for row in first.sent]
    spec = json.loads(con.execute("SELECT spec FROM tasks WHERE task_id = ?", (made.task_id,)).fetchone()[0])
    assert (spec["model"], spec["replay_of"], made.agent_type) == ("haiku", "exec-1", BUILDER)


def test_replays_stand_side_by_side(con, project):
    """The original first, then each replay, with model, time, tokens and result in columns."""
    plan(con, project, "t1")
    deploy(con, project, "exec-1", model="opus", final_message="The first result.", completed_at=NOW)
    for number in (2, 3):
        made = replay.replay(con, str(project), "exec-1", model="haiku", now=NOW)
        assert made.task_id.startswith("replay-exec-1")
        deploy(
            con,
            project,
            f"exec-{number}",
            made.task_id,
            made.orchestration_id,
            model="haiku",
            final_message=f"Result {number}.",
            completed_at=NOW,
        )
    found = replay.runs(con, "exec-1")
    assert [r["execution_id"] for r in found] == ["exec-1", "exec-2", "exec-3"]
    assert len({r["briefing_hash"] for r in found}) == 1
    drawn = replay.side_by_side(found, 90)
    assert drawn[0].split() == ["exec-1", "|", "exec-2", "|", "exec-3"]
    assert "The first result." in drawn[-1] and "Result 3." in drawn[-1]
    assert all(len(line) <= 90 for line in drawn)


def test_the_cost_of_a_run_that_does_not_know_every_price_is_marked(con, project):
    """A run's cost has a + where it used a model without a price beside one that has one."""
    plan(con, project, "t1")
    deploy(con, project, "exec-1", model="opus", completed_at=NOW)
    for model, cost in (("claude-opus-5", 0.25), ("gpt-9", None)):
        con.execute("INSERT INTO usage (owner, kind, model, day, cost_usd) VALUES ('exec-1', 'execution', ?, '', ?)",
                    (model, cost))  # fmt: skip
    found = replay.runs(con, "exec-1")
    assert (found[0]["cost_usd"], found[0]["unpriced"]) == (0.25, True)
    assert "$0.2500+" in [line.strip() for line in replay.side_by_side(found, 90)]


def test_replays_in_one_orchestration_have_names_of_their_own(con, project):
    """Replaying twice into the session's open orchestration gives two tasks."""
    plan(con, project, "t1")
    deploy(con, project, "exec-1")
    first = replay.replay(con, str(project), "exec-1", session="s", now=NOW)
    second = replay.replay(con, str(project), "exec-1", session="s", now=NOW)
    assert first.orchestration_id == second.orchestration_id and first.task_id != second.task_id


def test_what_was_not_kept_cannot_be_replayed(con, project):
    """An unknown execution, or one without a kept briefing, is refused in a sentence."""
    con.execute(
        "INSERT INTO executions (execution_id, origin, agent_type, deployed_at) VALUES ('e',"
        " 'tracker', 'x', '')"
    )
    for name, says in (("nope", "no execution"), ("e", "was not kept")):
        with pytest.raises(OrchestratorError, match=says):
            replay.replay(con, str(project), name, now=NOW)


def transcript(path, read, written):
    """A transcript whose first answer read and wrote so much."""
    usage = {"input_tokens": 10, "cache_creation_input_tokens": written, "cache_read_input_tokens": read}
    line = {"type": "assistant", "message": {"id": "m", "model": "claude-opus-5-5", "usage": usage}}
    path.write_text(json.dumps(line) + "\n")
    return str(path)


def test_the_cache_of_sibling_groups(con, project):
    """Reads against writes per group, the first sibling apart, from the archive where Claude Code has deleted a transcript; one
    that is nowhere is said (issue 4 §3)."""
    plan(con, project, "t1", "t2", "t3", "t4")
    used = {"t1": (0, 9000), "t2": (8000, 1000), "t3": (8500, 500)}
    for n, (task, (read, written)) in enumerate(used.items()):
        deploy(
            con,
            project,
            f"exec-{n}",
            task,
            deployed_at=f"2026-01-01T00:00:0{n}.000Z",
            resolved_model="claude-opus-5-5",
            transcript_path=transcript(project / f"{task}.jsonl", read, written),
        )
    deploy(con, project, "exec-9", "t4", resolved_model="claude-opus-5-5", transcript_path="/none")
    (group,) = cache_stats.groups(con, "o")
    assert [e["task_id"] for e in group.executions] == ["t1", "t2", "t3"] and group.unread == 1
    assert (group.read_again, group.written) == (16_500, 1500) and 0.9 < group.served < 0.93
    assert group.shared_tokens > 50
    told = cache_stats.lines([group])
    assert (
        "92 % of the later ones' input (16,500 read, 1,500 written)" in told[0]
        and "1 without a transcript" in told[-1]
    )
    assert json.dumps(cache_stats.as_json([group]))
    archive.keep(con, [("execution", "exec-1", str(project / "t2.jsonl"))], NOW)
    (project / "t2.jsonl").unlink()
    assert cache_stats.groups(con, "o") == [group]
    assert cache_stats.groups(con, "other") == []
