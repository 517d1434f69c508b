"""The conversation driver: waves of background agents, notifications held and passed, a report at the end."""

from harness import ROOT
from orchestrator.edges.scripted_model import Play, call, say
from orchestrator.store import blobs
from orchestrator.store import open as store
from plays import ask, deploy, digests, heredoc, idle, main, noticed, once, shell, states, status, submit, task

GOAL = "add CSV export"
PLAN = [
    task("t1", prompt="FIND the adders", files=["src/adder.py"]),
    task("t2", prompt="FIND the tests"),
    task("t3", ["t1", "t2"], "builder", "WRITE the export"),
]
JOIN = submit(task("t1"), task("t2"), task("t3", ["t1", "t2"]))
ENDS = "SELECT task_id, status, end_reason, inferred FROM executions ORDER BY task_id"


def well(*tasks):
    """What ENDS says of tasks that all ended their turn."""
    return [(name, "completed", "end_turn", 0) for name in tasks]


def ends(rows, project):
    """What ENDS says."""
    return [tuple(row.values()) for row in rows(project, ENDS)]


def test_a_goal_becomes_a_graph_that_runs_to_its_report(claude, project, rows):
    """A planner submits, two agents run at once, their results reach the third; a report (S4-14)."""
    planner = call("Agent", subagent_type="orchestrator:planner", description="plan: CSV", prompt=GOAL)
    play = Play().when(
        main, planner, "planning", [deploy("t1"), deploy("t2")], "two at work", deploy("t3"), "one at work",
        shell("orchestrator report"), "finished")  # fmt: skip
    play.when(GOAL, shell(heredoc(*PLAN, goal=GOAL)), "PLAN ACCEPTED")
    play.when("FIND the adders", once(lambda: idle(project), "adders are in src/adder.py"))
    play.when("FIND the tests", once(lambda: "t1" in noticed(project), "tests are in src/test_adder.py"))
    play.when("WRITE the export", once(lambda: idle(project), "Wrote it.\nDeliverables:\n- src/adder.py"))
    run = claude.run("/orchestrate " + GOAL, play, project)
    assert run.text == "finished"
    assert ends(rows, project) == [(None, "completed", "end_turn", 0), *well("t1", "t2", "t3")]
    origins = rows(project, "SELECT DISTINCT origin FROM executions ORDER BY deployed_at")
    assert [row["origin"] for row in origins] == ["planner", "planned"]
    briefing = run.agent_requests("WRITE the export")[0].first_text
    assert "adders are in src/adder.py" in briefing and "tests are in src/test_adder.py" in briefing
    assert status(project)["state"] == "complete" and set(states(project).values()) == {"completed"}
    assert rows(project, "SELECT status FROM orchestrations") == [{"status": "completed"}]


def wave(project, *ends, told=lambda: True):
    """A play of three tasks that wait for nothing, deployed in one message, each ending when its `ends` says.

    status.json is looked at when their launch is told (and `told` holds), and when the main conversation is woken.
    """
    seen = []

    def look(words, when=lambda: True):
        return lambda request: once(when, words)(request) if seen.append(status(project)) is None else None

    names = [task("t1"), task("t2"), task("t3")]
    calls = [deploy(one["id"]) for one in names]
    play = Play().when(main, submit(*names), calls, look("three at work", told), look("woken"))
    for one, end in zip(names, ends, strict=True):
        play.when("DO %s." % one["id"], once(end, "found by " + one["id"]))
    return play, seen


def test_a_wave_wakes_the_main_conversation_once(claude, project, rows):
    """Three ends that make nothing ready before the last: three main requests, launch, its echo and one wake.

    The two held results never enter the context; they stand in the history and under results/ (S4-02, S4-15).
    """
    ended = [lambda: idle(project), lambda: "t1" in noticed(project), lambda: "t2" in noticed(project)]
    play, seen = wave(project, *ended)
    run = claude.run("go", play, project)
    assert run.text == "woken"
    assert [len(digests(request)) for request in run.main_requests] == [0, 0, 0, 1], run.main_requests
    woken = run.main_requests[-1]
    assert "3 completed" in digests(woken)[0] and "`orchestrator report`" in digests(woken)[0]
    assert [told["result"] for told in woken.notifications] == ["found by t3"]
    assert "found by t1" not in woken.text and "found by t2" not in woken.text
    assert ends(rows, project) == well("t1", "t2", "t3")
    for name in ("t1", "t2", "t3"):
        assert "found by " + name in (project / ".orchestrator" / "results" / (name + ".md")).read_text()
    found = rows(project, "SELECT final_message FROM executions ORDER BY task_id")
    assert [row["final_message"] for row in found] == ["found by t1", "found by t2", "found by t3"]
    assert [(s["state"], {t["state"] for t in s["tasks"]}) for s in seen] == [
        ("active", {"in_flight"}), ("complete", {"completed"})]  # fmt: skip
    assert seen[0]["mode"] == "background" and seen[0]["updated"] < seen[1]["updated"]


def test_agents_that_end_together_wake_it_once(claude, project, rows):
    """Ends that arrive at the same moment are each recorded, and one digest tells of them all."""
    play, seen = wave(project, *[lambda: idle(project)] * 3)
    run = claude.run("go", play, project)
    assert [len(digests(request)) for request in run.main_requests] == [0, 0, 0, 1], run.main_requests
    assert ends(rows, project) == well("t1", "t2", "t3")
    assert seen[-1]["state"] == "complete"


def test_ends_before_the_launch_was_told(claude, project, rows):
    """Agents that end while their launch is still being answered wake it once too, not one by one."""
    ended = "SELECT 1 FROM executions WHERE status = 'completed'"
    play, _ = wave(project, *[lambda: True] * 3, told=lambda: len(ask(project, ended)) == 3)
    run = claude.run("go", play, project)
    assert [len(digests(request)) for request in run.main_requests] == [0, 0, 0, 1], run.main_requests
    assert ends(rows, project) == well("t1", "t2", "t3")


def test_ends_while_the_main_conversation_is_busy(claude, project, rows):
    """Ends that arrive during a turn are recorded, the planner's too; what they made ready is told in it, or when it ends."""
    planner = call("Agent", subagent_type="orchestrator:planner", description="plan", prompt=GOAL)

    def planned(request):
        once(lambda: ask(project, "SELECT 1 FROM executions WHERE status = 'completed'"))(request)
        return say(shell("echo busy")).after(0.5)

    busy, wave = say(shell("echo busy")).after(0.9), [deploy("t1"), deploy("t2")]
    play = Play().when(main, planner, planned, "planned", wave, busy, "that was all", deploy("t3"), "one at work", "finished")
    play.when(GOAL, JOIN, "PLAN ACCEPTED").when("DO t3.", "done t3").when("DO ", say("done").after(0.1))
    run = claude.run("go", play, project)
    assert run.text == "finished"
    assert any("Deploy now" in told for r in run.main_requests[2:4] for told in digests(r))
    assert any('prompt="orchestrator task t3"' in told for r in run.main_requests[5:7] for told in digests(r))
    assert ends(rows, project) == [(None, "completed", "end_turn", 0), *well("t1", "t2", "t3")]


def test_agents_in_the_foreground(claude, project, rows):
    """Where background tasks are switched off a wave returns its results, and its last return the digest."""
    play = Play().when(main, JOIN, [deploy("t1"), deploy("t2")], deploy("t3"), "finished")
    play.when("DO t3.", "done t3").when("DO t1.", "done t1").when("DO t2.", say("done t2").after(0.3))
    run = claude.run("go", play, project, env={"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"})
    assert run.text == "finished"
    told = [digests(request) for request in run.main_requests]
    assert [len(each) for each in told] == [0, 0, 1, 1], told
    assert 'prompt="orchestrator task t3"' in told[2][0] and "`orchestrator report`" in told[3][0]
    assert ends(rows, project) == well("t1", "t2", "t3")
    assert "done t1" in run.agent_requests("DO t3.")[0].first_text


def test_the_plan_decides_and_what_was_sent_is_kept(claude, project, rows):
    """The plan's agent type and model win over the call's, or DEFAULT_MODEL; the briefing is kept as sent."""
    tasks = [task("t1", agent="scout", model="haiku", files=["src/adder.py"]), task("t2", agent="builder")]
    wrong = [deploy("t1", "orchestrator:builder", model="opus"), deploy("t2", "general-purpose")]
    play = Play().when(main, submit(*tasks), wrong, "at work", "finished")
    run = claude.run("go", play, project, env={"DEFAULT_MODEL": "sonnet"})
    first, second = run.agent_requests("DO t1.")[0], run.agent_requests("DO t2.")[0]
    assert "haiku" in first.model and "sonnet" in second.model
    for request, role in ((first, "scout"), (second, "builder")):
        body = (ROOT / "agents" / (role + ".md")).read_text().split("---\n\n", 1)[1]
        assert body.strip() in request.system
    kept = rows(project, "SELECT * FROM executions ORDER BY task_id")
    assert [(k["task_id"], k["agent_type"], k["model"]) for k in kept] == [
        ("t1", "orchestrator:scout", "haiku"), ("t2", "orchestrator:builder", "sonnet")]  # fmt: skip
    history = store.open_history(str(project / ".orchestrator" / "history.db"))
    for execution, request in zip(kept, (first, second), strict=True):
        assert execution["resolved_model"] == request.model
        assert blobs.get(history, execution["briefing_hash"]).decode() == request.first_text
    history.close()
    sent = rows(project, "SELECT * FROM allocations WHERE execution_id = ?", kept[0]["execution_id"])
    assert ("src/adder.py", 1) in [(item["context_source"], item["included"]) for item in sent]
    assert "return a + b" in first.first_text
    assert kept[0]["context_token_count"] > kept[1]["context_token_count"] > 0
