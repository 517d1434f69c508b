"""A conversation's life: compaction, exit, a killed client, forks, two at once; what is told each time."""

import os
import signal
import threading

from orchestrator.edges.scripted_model import Play, call, say
from plays import MARK, deploy, digests, idle, main, news, once, results, shell, spawn, states, status, submit, task

FULL = {"input_tokens": 99_000, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
SMALL = {"CLAUDE_CODE_AUTO_COMPACT_WINDOW": "100000"}
ENDS = "SELECT task_id, attempt, status, end_reason FROM executions ORDER BY task_id, attempt"
RESUME = shell("orchestrator resume")
TWO = submit(task("t1"), task("t2"), goal="count things")


def ends(rows, project):
    """What ENDS says, as tuples."""
    return [tuple(row.values()) for row in rows(project, ENDS)]


def told_once(request):
    """The one digest a request brings, within its size."""
    (text,) = digests(request)
    assert len(text.encode()) <= 1024
    return text


def full():
    """A turn that nearly fills the context."""
    return say(shell("echo on"), usage=FULL)


def test_an_automatic_compaction(claude, project):
    """PreCompact's words reach the summary's request; the state is told once, and not to agents (S4-19)."""
    over = threading.Event()

    def went_on(_):
        over.set()
        return "two at work"

    play = Play().when(lambda request: request.compaction, "<summary>Summed up.</summary>")
    play.when(main, TWO, [deploy("t1"), deploy("t2")], full(), full(), went_on, "finished")
    play.when("DO t1.", "t1 done").when("DO t2.", once(over.is_set, "t2 done"))
    run = claude.run("go", play, project, env=SMALL)
    compaction = next(request for request in run.requests if request.compaction)
    assert "Keep in the summary: orchestration orch-" in compaction.last_text
    assert "count things" in compaction.last_text
    after = next(request for request in run.main_requests if request.index > compaction.index)
    assert "Summed up." in after.text
    told = told_once(after)
    assert "State of orch-" in told and "1 completed, 1 in flight" in told
    assert run.text == "finished" and states(project) == {"t1": "completed", "t2": "completed"}
    assert not [request for request in run.agent_requests() if MARK in request.text]


def test_a_compaction_by_hand_and_a_fork(claude, project, rows):
    """After /compact the conversation knows the state, once although it was resumed before; finished tasks are refused.

    A forked conversation is another one: it deploys nothing before it has adopted the orchestration.
    """
    play = Play().when(main, TWO, deploy("t1"), "one at work", "later").when("DO t1.", "t1 done")
    session = claude.run("go", play, project).session_id
    compaction = claude.run("/compact keep ids", Play(), project, resume=session)
    assert "Keep in the summary: " in [r for r in compaction.requests if r.compaction][0].last_text
    again = claude.run("go on", Play().when(main, deploy("t1"), "refused"), project, resume=session)
    assert again.main_requests[0].text.count("(executing): 1 completed, 1 ready.") == 1
    assert "t1 has finished and is not run again" in results(again.main_requests[1])[0]
    play = Play().when(main, deploy("t2"), RESUME, deploy("t2"), "one at work", "finished")
    run = claude.run("as another", play.when("DO t2.", "t2 done"), project, "--fork-session", resume=session)
    assert run.session_id != session
    assert "with no conversation driving it" in digests(run.main_requests[0])[-1]
    assert "drives no orchestration" in results(run.main_requests[1])[0]
    assert "RESUMED orch-" in results(run.main_requests[2])[0]
    assert run.text == "finished"
    assert ends(rows, project) == [("t1", 1, "completed", "end_turn"), ("t2", 1, "completed", "end_turn")]


def test_an_agents_own_compaction(claude, project):
    """A compacted agent goes on with its task: it is told no state, or (2.1.197) that it is not for it."""
    play = Play().when(lambda request: request.compaction, "<summary>DO t1. goes on</summary>")
    play.when(main, TWO, deploy("t1"), "one at work", deploy("t2"), "one at work", "finished")
    play.when("DO t1.", full(), full(), "t1 done").when("DO t2.", "t2 done")
    run = claude.run("go", play, project, env=SMALL)
    compaction = next(request for request in run.requests if request.compaction)
    assert compaction.agent_id
    after = next(r for r in run.requests if r.index > compaction.index and r.agent_id == compaction.agent_id)
    if claude.client.version == "2.1.329":
        assert MARK not in after.text and "Keep in the summary" not in compaction.text
    else:
        assert "If you are an agent at work on one task: this is not for you" in told_once(after)
    assert run.text == "finished" and set(states(project).values()) == {"completed"}


def test_an_exit_and_a_resume(claude, project, rows):
    """What was at work when the client exited is lost and said so; it runs again, finished tasks do not."""
    play = Play().when(main, TWO, [deploy("t1"), deploy("t2")], "two at work", "later")
    play.when("DO t1.", "t1 done").when("DO t2.", say("never said").after(9))
    first = claude.run("go", play, project, env={"CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS": "700"})
    assert states(project) == {"t1": "completed", "t2": "lost"}
    play = Play().when(main, [deploy("t1"), deploy("t2")], "one at work", "finished")
    run = claude.run("go on", play.when("DO t2.", "t2 done"), project, resume=first.session_id)
    told = told_once(run.main_requests[0])
    assert "1 completed, 1 lost" in told and 'prompt="orchestrator task t2"' in told
    assert "t1 has finished" in results(run.main_requests[1])[0]
    assert run.text == "finished"
    assert ends(rows, project) == [
        ("t1", 1, "completed", "end_turn"),
        ("t2", 1, "failed", "lost"),
        ("t2", 2, "completed", "end_turn"),
    ]


def test_a_killed_client_and_a_new_session(claude, project, rows):
    """After kill -9 a new session learns of the open orchestration, once, adopts it and deploys what was lost."""

    def kill(_):
        (row,) = rows(project, "SELECT pid FROM claude_sessions")
        os.kill(row["pid"], signal.SIGKILL)

    play = Play().when(main, submit(task("t1"), goal="count things"), deploy("t1"), "one at work")
    assert claude.run("go", play.when("DO t1.", kill), project).rc != 0
    assert status(project)["state"] == "active"
    play = Play().when(main, deploy("t1"), RESUME, deploy("t1"), "one at work", "finished")
    run = claude.run("/orchestrate", play.when("DO t1.", "t1 done"), project)
    told = told_once(run.main_requests[0])
    assert '"count things"' in told and "1 lost" in told and "`orchestrator resume` adopts it" in told
    assert "drives no orchestration" in results(run.main_requests[1])[0]
    assert 'prompt="orchestrator task t1"' in results(run.main_requests[2])[0]
    assert run.text == "finished"
    assert ends(rows, project) == [("t1", 1, "failed", "lost"), ("t1", 2, "completed", "end_turn")]


def test_two_sessions_in_one_project(claude, project, rows):
    """The second one is told nothing, deploys nothing of the first one's, and adopts it only with --take."""
    other = threading.Event()
    play = Play().when(main, TWO, deploy("t1"), "one at work", "later")
    play.when("DO t1.", once(other.is_set, "t1 done"))
    runs = []
    first = threading.Thread(target=lambda: runs.append(claude.run("go", play, project)))
    first.start()
    once(lambda: states(project).get("t1") == "in_flight")(None)
    second = claude.run("hello", Play().when(main, [deploy("t2"), RESUME], "refused"), project)
    other.set()
    first.join()
    assert MARK not in second.main_requests[0].text
    deployed, adopted = results(second.main_requests[1])
    assert "drives no orchestration" in deployed
    assert "Another open conversation" in adopted and "--take" in adopted
    assert len(second.main_requests) == 2
    assert ends(rows, project) == [("t1", 1, "completed", "end_turn")]
    assert runs[0].text == "later"


def test_an_agent_outside_any_plan(claude, project, rows):
    """It is recorded, its notification passes untouched, and later conversations are told nothing of it."""
    play = Play().when(main, spawn("COUNT them", run_in_background=True), "waiting", "seen")
    run = claude.run("go", play.when("COUNT", once(lambda: idle(project), "three")), project)
    assert len(run.main_requests) == 3 and MARK not in run.main_requests[-1].text
    assert [told["result"] for told in run.main_requests[-1].notifications] == ["three"]
    found = rows(project, "SELECT origin, status, final_message FROM executions")
    assert [tuple(row.values()) for row in found] == [("unplanned", "completed", "three")]
    assert MARK not in claude.run("hello", Play(otherwise=say("hello")), project).main_requests[0].text


def test_a_turn_that_leaves_ready_tasks_behind(claude, project, rows):
    """It goes on with the digest, at most twice without progress (S4-15)."""
    stops = []

    def over(request):
        stops.append("Stop hook additional context" in news(request))
        return "that is all"

    play = Play().when(main, TWO, deploy("t1"), over)
    nagged = "SELECT 1 FROM claude_sessions WHERE nagged = 2 AND idle_since IS NOT NULL"
    play.when("DO t1.", once(lambda: rows(project, nagged), "t1 done"))
    run = claude.run("go", play, project)
    assert stops == [False, True, True, False, True, True]  # t1's end is progress: told, then twice again
    for request, continued in zip(run.main_requests[2:], stops, strict=True):
        if continued:
            assert 'prompt="orchestrator task t2"' in told_once(request)


def test_turns_that_are_not_made_to_go_on(claude, project):
    """Those in which only what is not of the orchestration ended (another agent, a shell), and those in plan mode."""
    others = [spawn("COUNT", run_in_background=True), call("Bash", command="sleep 0.5", run_in_background=True)]
    play = Play().when(main, TWO, others, "planned", "seen", "seen").when("COUNT", once(lambda: idle(project), "three"))
    run = claude.run("go", play, project, "--allowedTools", "Bash")
    assert run.text == "seen" and sum([len(request.notifications) for request in run.main_requests]) == 2
    assert not [request for request in run.main_requests if "Stop hook" in news(request)]
    play = Play().when(main, deploy("t1"), "that is all", "woken").when("DO t1.", say("t1 done").after(0.3))
    run = claude.run("go on", play, project, resume=run.session_id, permission_mode="plan")
    assert states(project) == {"t1": "completed", "t2": "ready"}
    assert len(run.main_requests) == 3 and run.text == "woken"
