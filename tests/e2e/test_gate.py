"""The gate: what may not start is refused with a reason a model can act on, and no execution comes of it."""

from orchestrator.edges.scripted_model import Play, say
from plays import deploy, digests, main, results, shell, spawn, status, submit, task

PLANNER = "orchestrator:planner"


def tasks_of(rows, project):
    """The task of each execution there is, None for work outside the plan."""
    return [row["task_id"] for row in rows(project, "SELECT task_id FROM executions ORDER BY task_id")]


def test_what_may_not_start_is_refused(claude, project, rows):
    """Unknown, waiting, twice in one message, misspelt, finished, paused: six reasons, and one execution."""
    almost = spawn("orchestrator task t1, and be quick", "orchestrator:scout")
    wrong = [deploy("t9"), deploy("t2"), deploy("t1"), deploy("t1"), almost]
    again = [deploy("t1"), shell("orchestrator stop")]
    plan = submit(task("t1"), task("t2", ["t1"]))
    play = Play().when(main, plan, wrong, "one at work", again, deploy("t2"), "paused")
    play.when("DO t1.", say("done").after(0.2))
    run = claude.run("go", play, project)
    assert run.text == "paused"
    unknown, waiting, *twice, misspelt = results(run.main_requests[2])
    assert "has no task t9; deployable now: " in unknown
    assert "t2 waits for t1 (" in waiting
    assert sorted("t1 is already being worked on" in text for text in twice) == [False, True]
    assert "exactly `orchestrator task t1`" in misspelt
    finished, _ = results(run.main_requests[4])
    assert "t1 has finished and is not run again; its result: `orchestrator show t1`" in finished
    assert "is paused; `orchestrator resume` goes on" in results(run.main_requests[5])[0]
    assert status(project)["state"] == "paused"
    assert tasks_of(rows, project) == ["t1"]
    denied = rows(project, "SELECT count(*) AS n FROM events WHERE kind = 'denied' AND reason IS NOT NULL")
    assert denied == [{"n": 6}]


def test_a_sixth_agent_waits_for_its_turn(claude, project, rows):
    """Of six ready tasks five start, the sixth is refused by the limit and offered when one ends (S1-63)."""
    tasks = [task("t%d" % n) for n in range(1, 7)]
    late = {}

    def one_more(request):
        late["offered"] = digests(request)
        late["task"] = late["offered"][0].split('prompt="orchestrator task ')[1].split('"')[0]
        return deploy(late["task"])

    calls = [deploy(t["id"]) for t in tasks]
    play = Play().when(main, submit(*tasks), calls, "five at work", one_more, "more", "end")
    play.when(lambda r: r.agent_id and "DO t1." in r.first_text, say("done").after(0.3))
    play.when(lambda r: r.agent_id and "DO t2." in r.first_text, say("done").after(0.3))
    play.when("DO ", say("done").after(1))
    run = claude.run("go", play, project)
    refused = [text for text in results(run.main_requests[2]) if "5 agents are at work, the limit" in text]
    assert len(refused) == 1 and late["task"] + " is offered again when one ends" in refused[0]
    assert tasks_of(rows, project) == [t["id"] for t in tasks]
    before = "SELECT 1 FROM executions a, executions b WHERE b.task_id = ? AND a.completed_at < b.deployed_at"
    assert rows(project, before, late["task"])


def test_a_conversation_that_drives_nothing_deploys_nothing(claude, project, rows):
    """A task's name in a conversation without an orchestration is refused, also without any history."""
    run = claude.run("go", Play().when(main, deploy("t1"), "refused"), project)
    assert "drives no orchestration: `orchestrator resume` adopts one" in results(run.main_requests[1])[0]
    assert tasks_of(rows, project) == []
    assert run.agent_requests() == []


def test_who_may_spawn(claude, project, rows):
    """A planned task's agent spawns where its task says so, the planner never; other people's agents do."""
    tasks = [task("t1", agent="builder"), task("t2", agent="builder", may_spawn=True)]
    work = [deploy("t1"), deploy("t2"), spawn("PLAN it", PLANNER), spawn("OTHER work")]
    play = Play().when(main, submit(*tasks), work, "four at work")
    play.when("HELP t2.", "helped t2").when("HELP other.", "helped other").when("HELP", "never")
    play.when("DO t1.", spawn("HELP t1."), "done")
    play.when("DO t2.", spawn("HELP t2.", run_in_background=False), "done")
    play.when("OTHER work", spawn("HELP other.", run_in_background=False), "done")
    play.when("PLAN it", [spawn("HELP planner."), deploy("t1")], "there is no plan")
    run = claude.run("go", play, project)
    (worker,) = results(run.agent_requests("DO t1.")[1])
    assert "Task t1 may not spawn agents (may_spawn is not set)" in worker
    helper, planned = results(run.agent_requests("PLAN it")[1])
    assert "The planner plans alone" in helper and "Only the main conversation deploys" in planned
    nested = rows(project, "SELECT final_message FROM executions WHERE origin = 'nested' ORDER BY 1")
    assert [row["final_message"] for row in nested] == ["helped other", "helped t2"]
    assert not run.agent_requests("HELP t1.") and not run.agent_requests("HELP planner.")
