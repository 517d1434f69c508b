"""The workflow driver: the graph on the client's own engine, agents joined to their tasks, and failures."""

import os
import signal

from orchestrator.edges.scripted_model import Play, call, fail, say
from orchestrator.store import blobs
from orchestrator.store import open as store
from plays import deploy, digests, idle, main, news, once, results, shell, states, status, submit, task

RUN = call("Workflow", name="orchestrator:run")
DIAMOND = [task("t1"), task("t2", ["t1"]), task("t3", ["t1"]), task("t4", ["t2", "t3"])]
ENDS = "SELECT task_id, attempt, origin, runtime, status, end_reason FROM executions ORDER BY deployed_at"


def ends(rows, project):
    """What ENDS says, as tuples."""
    return [tuple(row.values()) for row in rows(project, ENDS)]


def well(*names):
    """What ENDS says of tasks that a workflow's agents did."""
    return [(name, 1, "planned", "workflow", "completed", "end_turn") for name in names]


def brief(name):
    """An agent's first act."""
    return shell("orchestrator brief " + name)


def works(play, *names, result="%s done"):
    """Agents that fetch their briefings and do their tasks."""
    for name in names:
        play.when("orchestrator brief %s\n" % name, brief(name), result % name)
    return play


def workflow(claude, project, play, *args, **options):
    """A run in which workflows need no consent."""
    return claude.run("go", play, project, "--allowedTools", "Workflow", *args, **options)


def test_a_diamond_costs_three_main_requests(claude, project, rows):
    """Four tasks in three waves: the launch, its echo and one wake; each agent gets its briefing (S4-14).

    A task's own model is asked for, else DEFAULT_MODEL (S3-36).
    """
    seen = []

    def fetch(request):
        seen.append(status(project))
        return brief("t3")

    first, second, *rest = DIAMOND
    play = Play().when(main, submit(first, {**second, "model": "haiku"}, *rest), RUN, "under way", "woken")
    play.when("orchestrator brief t3\n", fetch, "t3 done")
    works(play, "t1", "t2", "t4")
    run = workflow(claude, project, play, env={"DEFAULT_MODEL": "sonnet"})
    assert run.text == "woken"
    assert [len(digests(request)) for request in run.main_requests] == [0, 0, 0, 1], run.main_requests
    assert "4 completed" in digests(run.main_requests[-1])[0]
    assert sorted(ends(rows, project)) == well("t1", "t2", "t3", "t4")
    found = rows(project, "SELECT * FROM executions ORDER BY task_id")
    history = store.open_history(str(project / ".orchestrator" / "history.db"))
    for row in found:
        name = row["task_id"]
        first, second = run.agent_requests("orchestrator brief %s\n" % name)
        assert first.agent_id == row["agent_id"] and first.model == row["resolved_model"]
        assert ("haiku" if name == "t2" else "sonnet") in first.model
        assert results(second) == [blobs.get(history, row["briefing_hash"]).decode().rstrip("\n")]
        assert name + " done" in (project / ".orchestrator" / "results" / (name + ".md")).read_text()
    history.close()
    assert "t2 done" in news(run.agent_requests("orchestrator brief t4\n")[1])
    assert seen[0]["state"] == "active" and {t["id"]: t["state"] for t in seen[0]["tasks"]}["t4"] == "waiting"
    assert status(project)["state"] == "complete"


def test_a_failure_stays_local_and_agent_calls_do_the_rest(claude, project, rows):
    """What waits for a failed task is not started; the digest names the failure, `next` the call to make.

    While the workflow runs, what it was handed is not deployed a second time.
    """
    play = Play().when(
        main, submit(*DIAMOND), RUN, deploy("t4"), "under way",
        shell("orchestrator next"), deploy("t2"), "one at work", deploy("t4"), "one at work", "finished",
    )  # fmt: skip
    play.when("DO t2.", "t2 done").when("DO t4.", "t4 done")
    play.when("orchestrator brief t2\n", brief("t2"), fail(500, "api_error", "out of order"))
    works(play, "t1", "t3")
    run = workflow(claude, project, play)
    assert run.text == "finished"
    assert "t4 was handed to the workflow that is running" in results(run.main_requests[3])[0]
    (told,) = digests(run.main_requests[4])
    assert "2 completed, 1 failed, 1 skipped" in told
    assert "t2 api_error: " in told and "out of order" in told and "`orchestrator task skip t2`" in told
    assert 'prompt="orchestrator task t2"' in results(run.main_requests[5])[0]
    *early, again, last = ends(rows, project)
    failed = ("t2", 1, "planned", "workflow", "failed", "api_error")
    assert sorted(early) == [*well("t1"), failed, *well("t3")]
    assert again == ("t2", 2, "planned", "agent", "completed", "end_turn")
    assert last == ("t4", 1, "planned", "agent", "completed", "end_turn")
    assert set(states(project).values()) == {"completed"}


def test_an_agent_that_never_fetches_its_briefing(claude, project, rows):
    """It is joined to its task by the first prompt of its own transcript, and what waits for it goes on."""
    play = Play().when(main, submit(task("t1"), task("t2", ["t1"])), RUN, "under way", "woken")
    play.when("orchestrator brief t1\n", "t1 done without reading")
    works(play, "t2")
    run = workflow(claude, project, play)
    assert ends(rows, project) == well("t1", "t2")
    assert "t1 done without reading" in news(run.agent_requests("orchestrator brief t2\n")[1])


def test_a_briefing_that_may_not_be_had(claude, project, rows):
    """An agent gets its own task's briefing only, and none when that may not start: then its task failed."""
    plan = submit(task("t1"), task("t2", ["t1"]), task("t3", ["t2"]))
    stop = once(lambda: states(project).get("t1") == "in_flight", shell("orchestrator stop"))
    play = Play().when(main, plan, RUN, stop, "under way", "woken")
    end = once(lambda: status(project)["state"] == "paused", "t1 done")
    play.when("orchestrator brief t1\n", brief("t2"), brief("t1"), end)
    play.when("orchestrator brief t2\n", brief("t2"), lambda told: results(told)[0].split("error: ")[-1])
    run = workflow(claude, project, play)
    wrong, right = [results(request)[0] for request in run.agent_requests("orchestrator brief t1\n")[1:]]
    assert "NO BRIEFING: this agent was started for t1." in wrong and "DO t1." in right
    (paused,) = results(run.agent_requests("orchestrator brief t2\n")[1])
    assert "NO BRIEFING: " in paused and "is paused; `orchestrator resume` goes on." in paused
    assert ends(rows, project) == [*well("t1"), ("t2", 1, "planned", "workflow", "failed", "no_briefing")]
    assert "t2 no_briefing" in digests(run.main_requests[-1])[0]
    assert states(project) == {"t1": "completed", "t2": "failed", "t3": "skipped"}


def test_a_workflow_that_is_stopped(claude, project, rows):
    """TaskStop ends its agents as stopped; what they did not do is the main conversation's again."""
    given = {}

    def launched(request):
        given["id"] = news(request).split("Task ID: ")[1].split()[0]
        return call("ToolSearch", query="select:TaskStop")

    def stop(request):
        at_work = once(lambda: states(project)["t1"] == "in_flight", call("TaskStop", task_id=given["id"]))
        return at_work(request)

    play = Play().when(main, submit(*DIAMOND), RUN, launched, stop, "stopped")
    play.when("orchestrator brief t1\n", brief("t1"), say("never said").after(8))
    run = workflow(claude, project, play)
    assert ends(rows, project) == [("t1", 1, "planned", "workflow", "failed", "stopped")]
    assert rows(project, "SELECT task_id FROM tasks WHERE handed_to IS NOT NULL") == []
    assert not run.agent_requests("orchestrator brief t2\n")
    assert states(project)["t1"] == "failed"


def test_where_workflows_are_refused_agent_calls_take_over(claude, project, rows):
    """In -p nobody consents to a workflow: the turn goes on with the Agent calls instead, and says so once (S4-15)."""
    plan = submit(task("t1"), task("t2", ["t1"]))
    play = Play().when(main, plan, RUN, "there is none", deploy("t1"), "one", deploy("t2"), "one", "finished")
    play.when("DO t1.", "t1 done").when("DO t2.", "t2 done")
    run = claude.run("go", play, project)
    assert run.text == "finished"
    assert [failed for _, _, failed in run.main_requests[2].last_results] == [True]
    (told,) = digests(run.main_requests[3])
    wanted = 'Agent(subagent_type="orchestrator:scout", description="Task t1", prompt="orchestrator task t1")'
    assert wanted in told
    assert [n for n, request in enumerate(run.main_requests) if "No workflow may run here" in news(request)] == [3]
    assert {end[1:4] for end in ends(rows, project)} == {(1, "planned", "agent")}
    assert status(project)["driver"] == "conversation"


def test_where_there_is_no_such_tool(claude, project, rows):
    """Without the Workflow tool one command changes the driver, and digests list Agent calls from then on."""
    plan, change = submit(task("t1"), task("t2", ["t1"])), shell("orchestrator next --driver conversation")
    play = Play().when(main, plan, change, deploy("t1"), "one at work", deploy("t2"), "one at work", "finished")
    play.when("DO t1.", once(lambda: idle(project), "t1 done")).when("DO t2.", "t2 done")
    run = claude.run("go", play, project, "--disallowedTools", "Workflow")
    assert run.text == "finished" and not any("Workflow" in request.tools for request in run.main_requests)
    assert 'Workflow(name="orchestrator:run")' in results(run.main_requests[1])[0]
    changed = results(run.main_requests[2])[0]
    assert "From now on Agent calls do the work" in changed and 'prompt="orchestrator task t1"' in changed
    assert 'prompt="orchestrator task t2"' in digests(run.main_requests[4])[0]
    assert set(states(project).values()) == {"completed"}


def test_a_workflow_whose_client_died(claude, project, rows):
    """What it had been handed is free again: another conversation adopts the graph and finishes it."""

    def kill(_):
        (row,) = rows(project, "SELECT pid FROM claude_sessions")
        os.kill(row["pid"], signal.SIGKILL)

    play = Play().when(main, submit(task("t1"), task("t2", ["t1"])), RUN, "under way")
    play.when("orchestrator brief t1\n", brief("t1"), kill)
    assert workflow(claude, project, play).rc != 0
    play = works(Play().when(main, shell("orchestrator resume"), RUN, "under way", "woken"), "t1", "t2")
    run = workflow(claude, project, play)
    assert run.text == "woken"
    assert "1 waiting, 1 lost" in digests(run.main_requests[0])[0]
    again = ("t1", 2, "planned", "workflow", "completed", "end_turn")
    assert ends(rows, project) == [("t1", 1, "planned", "workflow", "failed", "lost"), again, *well("t2")]


def test_nothing_to_hand_over(claude, project, rows):
    """Without an orchestration, or with nothing ready, the workflow is refused and says why; nothing ran."""
    play = Play().when(main, RUN, submit(task("t1")), deploy("t1"), RUN, "under way", RUN, "finished")
    play.when("DO t1.", say("t1 done").after(0.8))
    run = workflow(claude, project, play)
    assert "drives no orchestration" in results(run.main_requests[1])[0]
    assert "Agents are at work on t1" in results(run.main_requests[4])[0]
    assert "Nothing is ready to run" in results(run.main_requests[6])[0]
    assert ends(rows, project) == [("t1", 1, "planned", "agent", "completed", "end_turn")]


def test_a_long_briefing_arrives_whole(claude, project):
    """What the Bash tool would cut is named as a file, to be read to its last line; where that is refused, in parts."""
    lines = ["line %05d of a long file" % number for number in range(1600)]
    (project / "long.txt").write_text("\n".join(lines) + "\n")
    play = Play().when(main, submit(task("t1", files=["long.txt"])), RUN, "under way", "woken")

    def read(request):
        path = next(line for line in results(request)[0].split("\n") if line.startswith("/"))
        return [call("Read", file_path=path), brief("t1 --part 1"), brief("t1 --part 2"), brief("t1 --part 3")]

    play.when("orchestrator brief t1\n", brief("t1"), read, "t1 done")
    run = workflow(claude, project, play)
    _, told, given = run.agent_requests("orchestrator brief t1\n")
    assert "`orchestrator brief t1 --part 1`, and so on to `--part 2`" in results(told)[0]
    text, first, second, beyond = results(given)
    for whole in (text, first + "\n" + second):
        assert [line for line in lines if line not in whole] == []
        assert "DO t1." in whole and "# Contract" in whole
    assert "there is no part 3" in beyond
