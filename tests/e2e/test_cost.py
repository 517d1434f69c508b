"""Cost: our rows' tokens and dollars, beside what the client itself and the model's own side say."""

from pathlib import Path

import pytest

from orchestrator.edges.scripted_model import Play, Reply, ScriptedModel, call
from orchestrator.services.reconcile import reconcile
from orchestrator.store.open import open_history
from plays import main, shell, spawn

TOKENS = ("inputTokens", "cacheCreationInputTokens", "cacheReadInputTokens", "outputTokens")
USAGE = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


@pytest.fixture
def books(project, rows):
    """`books(where)`: (tokens in, written to the cache, read from it, out, dollars) of our rows, read now."""

    def ask(where="true"):
        workspace = Path(project) / ".orchestrator"
        con = open_history(str(workspace / "history.db"))
        reconcile(con, str(project), str(workspace))
        con.close()
        return tuple(
            rows(
                project,
                "SELECT total(input_tokens), total(cache_write_5m_tokens + cache_write_1h_tokens), "
                "total(cache_read_tokens), total(output_tokens), total(cost_usd) FROM usage WHERE " + where,
            )[0].values()
        )

    return ask


def said(run):
    """The same five figures as the client itself says them at the end of a run."""
    models = run.result["modelUsage"].values()
    return (*[sum(model[name] for model in models) for name in TOKENS], run.result["total_cost_usd"])


def asked(requests):
    """The four sums of tokens that the model's side counted."""
    return tuple(sum(request.usage[name] for request in requests) for name in USAGE)


def agents(project):
    """A play of a main conversation and three agents: one edits, one deploys another; two models."""
    file = str(Path(project) / "README.md")
    return (
        Play()
        .when(main, spawn("EDIT"), spawn("DELEGATE", model="haiku"), "launched", "one back", "all back")
        .when(
            "EDIT",
            Reply("I look first.", call("Read", file_path=file), call("Bash", command="ls")),
            call("Edit", file_path=file, old_string="numbers", new_string="numbers\nand words"),
            "edited",
        )
        .when("DELEGATE", spawn("DEEPER", model="opus", run_in_background=False), "delegated")
        .when("DEEPER", shell("echo deeper"), "deepest")
    )


def test_cost_agrees_with_the_client(claude, project, books):
    """A conversation and its agents cost what the client says, token by token and to the cent (S3-30)."""
    run = claude.run("go", agents(project), project, permission_mode="acceptEdits")
    assert len(run.result["modelUsage"]) > 1
    *tokens, dollars = books()
    *known, billed = said(run)
    assert tokens == known
    assert dollars == pytest.approx(billed, abs=0.0001)
    parts = [books("kind = 'session'"), books("kind = 'execution'")]
    assert [sum(pair) for pair in zip(*parts, strict=True)] == pytest.approx([*tokens, dollars])


def test_each_agent_has_its_own_account(claude, project, books, rows):
    """Each agent's row holds exactly what its own requests used; a nested one is not part of its parent's."""
    run = claude.run("go", agents(project), project, permission_mode="acceptEdits")
    books()
    for words, parent in (("EDIT", False), ("DELEGATE", False), ("DEEPER", True)):
        requests = run.agent_requests(words)
        row = rows(
            project,
            "SELECT e.parent_agent_id, sum(u.messages) AS messages, sum(u.input_tokens), "
            "sum(u.cache_write_5m_tokens), sum(u.cache_read_tokens), sum(u.output_tokens) FROM executions e "
            "JOIN usage u ON u.owner = e.execution_id WHERE e.agent_id = ?",
            requests[0].agent_id,
        )[0]
        above, messages, *tokens = row.values()
        assert (messages, tuple(tokens)) == (len(requests), asked(requests)), words
        assert bool(above) == parent


def test_what_an_agent_did(claude, project, books, rows):
    """Tool calls, files with first and last times, lines, models and the stop reason are kept (S3-30)."""
    run = claude.run("go", agents(project), project, permission_mode="acceptEdits")
    books()
    agent = run.agent_requests("EDIT")[0].agent_id
    execution = rows(project, "SELECT * FROM executions WHERE agent_id = ?", agent)[0]
    assert (execution["calls"], execution["refused_calls"], execution["failed_calls"]) == (3, 0, 0)
    assert (execution["files_read"], execution["files_written"]) == (1, 1)
    assert (execution["lines_added"], execution["lines_removed"]) == (2, 1)
    assert execution["stop_reason"] == "end_turn" and execution["models"] == run.requests[0].model
    tools = rows(
        project, "SELECT tool, calls FROM tool_calls WHERE execution_id = ?", execution["execution_id"]
    )
    assert {row["tool"]: row["calls"] for row in tools} == {"Read": 1, "Bash": 1, "Edit": 1}
    files = rows(project, "SELECT * FROM file_touches WHERE execution_id = ?", execution["execution_id"])
    assert {(f["path"], f["mode"], f["times"]) for f in files} == {
        ("README.md", "read", 1),
        ("README.md", "write", 1),
    }
    for file in files:
        assert execution["deployed_at"] <= file["first_at"] <= file["last_at"] <= execution["completed_at"]


def test_a_fork_does_not_count_its_parents_history_again(claude, project, books, rows):
    """--fork-session copies the transcript; each message counts once, where it was said."""
    play = Play().when(main, spawn("WORK"), "launched", "back", "more", "more").when("WORK", "done")
    first = claude.run("go", play, project)
    fork = claude.run("and now?", play, project, "--fork-session", resume=first.session_id)
    assert fork.session_id != first.session_id
    *tokens, _ = books("kind IN ('session', 'execution')")
    assert tuple(tokens) == asked(first.requests + fork.requests)
    *own, _ = books("owner = '%s' AND kind = 'session'" % fork.session_id)
    assert tuple(own) == asked(fork.requests)
    forked = rows(project, "SELECT claude_session_id FROM claude_sessions WHERE forked")
    assert [row["claude_session_id"] for row in forked] == [fork.session_id]


def test_compaction_counts_where_the_client_says_so(claude, project, books):
    """Compaction's hidden agent leaves no transcript. 2.1.329 states its own sums, so what it used is kept as
    unseen; with 2.1.197 exactly that one request is missing."""
    play = Play().when(main, spawn("WORK"), "launched", "back", "more", "more").when("WORK", "done")
    first = claude.run("go", play, project)
    compacted = claude.run("/compact", play, project, resume=first.session_id)
    requests = first.requests + compacted.requests
    hidden = [request for request in requests if request.compaction]
    assert len(hidden) == 1
    *tokens, dollars = books()
    *unseen, _ = books("kind = 'unseen'")
    if claude.client.version == "2.1.329":
        assert tuple(unseen) == asked(hidden)
        assert tuple(tokens) == asked(requests)
        assert dollars == pytest.approx(compacted.result["total_cost_usd"], abs=0.0001)
    else:
        assert tuple(unseen) == (0, 0, 0, 0)
        assert tuple(tokens) == asked([request for request in requests if not request.compaction])


def test_the_clients_own_questions_are_in_no_transcript(terminal, claude, project, books):
    """In a terminal 2.1.197 asks the model for a title, which it bills and which stands in no transcript; all
    that the conversation and its agents used does."""
    play = (
        Play().when(main, spawn("WORK", run_in_background=True), "launched", "ALL BACK").when("WORK", "done")
    )
    window = terminal(project, play, "--permission-mode", "default")
    window.type("go on then")
    window.wait_for("ALL BACK")
    window.wait_until(
        lambda: books("kind = 'session'")[3] == asked([r for r in window.requests if r.main])[3]
    )
    own = [request for request in window.requests if not request.auxiliary]
    *tokens, _ = books("kind != 'unseen'")
    assert tuple(tokens) == asked(own)
    titles = [request for request in window.requests if request.auxiliary]
    assert len(titles) == (claude.client.version == "2.1.197")


def test_a_model_that_answers_under_another_name_is_billed_once(claude, project, books, monkeypatch):
    """The client keeps its sums under the name that was asked for, the answers bear the model's full name: it is one model."""
    real = ScriptedModel.message
    dated = "claude-sonnet-4-5-20250929"
    monkeypatch.setattr(ScriptedModel, "message", lambda self, request: {**real(self, request), "model": dated})
    play = Play().when(main, spawn("WORK", run_in_background=False), "back", "more").when("WORK", "done")
    run = claude.run("go", play, project, "--model", "claude-sonnet-4-5")
    assert list(run.result["modelUsage"]) == ["claude-sonnet-4-5"]
    *tokens, dollars = books()
    *known, billed = said(run)
    assert (tuple(tokens), tuple(known)) == (asked(run.requests),) * 2
    assert dollars == pytest.approx(billed, abs=0.0001)


def test_a_fork_agent_is_billed_for_its_own_messages(claude, project, books, rows):
    """The file of an agent that forks the conversation begins with its parent's message that deployed it; that message and its
    call stay the conversation's."""
    fork = call("Agent", subagent_type="fork", description="fork it", prompt="FORKED", run_in_background=True)
    play = Play().when(lambda request: request.main, fork, "launched", "back").when(lambda request: request.agent_id, "done")
    run = claude.run("go", play, project, env={"CLAUDE_CODE_FORK_SUBAGENT": "1"})
    *tokens, _ = books("kind = 'execution'")
    assert tuple(tokens) == asked([request for request in run.requests if request.agent_id])
    *tokens, _ = books("kind = 'session'")
    assert tuple(tokens) == asked([request for request in run.requests if request.main])
    assert [row["calls"] for row in rows(project, "SELECT calls FROM executions")] == [0]
