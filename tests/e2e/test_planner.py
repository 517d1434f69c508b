"""The planner: its plan is judged as a whole, taken from its last message too, and asked for when missing."""

import json

from orchestrator.edges.scripted_model import Play
from plays import deploy, digests, heredoc, main, news, once, results, shell, spawn, states, submit, task

GOAL = "make it faster"
GOOD = heredoc(task("t1"), task("t2", ["t1"]), goal=GOAL)
PLANNED = "SELECT task_id FROM tasks ORDER BY position"


def planned(claude, project, *replies):
    """A run in which the main conversation starts a planner and does what is then ready."""
    planner = spawn(GOAL, "orchestrator:planner")
    play = Play().when(main, planner, "planning", "planned", "planned").when(GOAL, *replies)
    return claude.run("go", play, project)


def tasks_of(rows, project):
    """The ids of the tasks there are."""
    return [row["task_id"] for row in rows(project, PLANNED)]


def test_a_faulty_plan_comes_back_with_every_fault(claude, project, rows):
    """A ring, an unknown task, a missing file, an unknown key: one answer; mended, it is taken (S4-03)."""
    ring = [task("t1", ["t2"]), task("t2", ["t1"])]
    faulty = heredoc(*ring, task("t3", ["t9"], files=["src/nowhere.py"]), task("t4", promt="x"))
    run = planned(claude, project, shell(faulty), shell(GOOD), "PLAN ACCEPTED")
    refused, accepted = [results(request)[0] for request in run.agent_requests(GOAL)[1:]]
    for word in ("t1", "t2", "t9", "src/nowhere.py", "promt"):
        assert word in refused, refused
    assert accepted.startswith("PLAN ACCEPTED orch-")
    assert tasks_of(rows, project) == ["t1", "t2"]
    (told,) = digests(run.main_requests[2])
    assert '"make it faster"' in told and "1 ready, 1 waiting" in told
    assert len(run.agent_requests(GOAL)) == 3


def test_a_planner_without_a_plan_is_sent_back_once(claude, project, rows):
    """It is told the command to use, and goes on; nobody is sent back twice."""
    run = planned(claude, project, "it seems hard", shell(GOOD), "PLAN ACCEPTED")
    assert "orchestrator plan - <<'PLAN'" in run.agent_requests(GOAL)[1].text.split("it seems hard")[-1]
    assert tasks_of(rows, project) == ["t1", "t2"]
    (row,) = rows(project, "SELECT origin, status, final_message FROM executions")
    assert tuple(row.values()) == ("planner", "completed", "PLAN ACCEPTED")


def test_a_planner_that_never_plans(claude, project, rows):
    """After the one reminder it ends, with its reason as its result; there are no tasks."""
    run = planned(claude, project, "it seems hard", "there is no plan: the goal is met already")
    assert len(run.agent_requests(GOAL)) == 2
    assert tasks_of(rows, project) == []
    (row,) = rows(project, "SELECT status, final_message FROM executions")
    assert tuple(row.values()) == ("completed", "there is no plan: the goal is met already")
    assert "there is no plan" in run.main_requests[2].notifications[0]["result"]


def test_a_plan_in_the_last_message(claude, project, rows):
    """It goes through the same door: faults send the planner back, a good one is taken as it ends (S4-03)."""
    plan = {"goal": GOAL, "tasks": [task("t1"), task("t2", ["t9"])]}
    faulty = "My plan:\n```json\n%s\n```" % json.dumps(plan)
    plan["tasks"][1]["after"] = ["t1"]
    run = planned(claude, project, faulty, "Mended:\n\n%s\n\nThat is all." % json.dumps(plan, indent=1))
    assert "t9" in run.agent_requests(GOAL)[1].text.split("My plan:")[-1].split("```")[-1]
    assert tasks_of(rows, project) == ["t1", "t2"]
    assert "1 ready, 1 waiting" in digests(run.main_requests[2])[0]


def test_a_long_plan_in_the_last_message(claude, project, rows):
    """One of nearly 64 KB, with words around it, is taken; its author is asked to say less, so that main never reads it."""
    tasks = [task("t1", prompt="DO t1. " + "Nothing else. " * 4500)]
    words = "I thought about it. " * 20
    message = "%s\n```json\n%s\n```\n%s" % (words, json.dumps({"goal": GOAL, "tasks": tasks}), words * 8)
    run = planned(claude, project, message, lambda told: news(told).split("Answer only")[0][-200:])
    assert "PLAN ACCEPTED orch-" in run.agent_requests(GOAL)[1].text and tasks_of(rows, project) == ["t1"]
    assert "Nothing else." not in run.main_requests[2].text
    assert "1 ready" in digests(run.main_requests[2])[0]


def test_a_task_added_while_others_run(claude, project):
    """`orchestrator task add` takes a new task in; it is offered when what it waits for is done (S4-07)."""
    add = shell('orchestrator task add "Research X" --agent scout --after t1 --prompt "LOOK into it"')
    late = {}

    def offered(request):
        late["told"] = digests(request)[0]
        late["task"] = late["told"].split('prompt="orchestrator task ')[1].split('"')[0]
        return deploy(late["task"])

    play = Play().when(main, submit(task("t1")), deploy("t1"), add, "one", offered, "one", "finished")
    play.when("DO t1.", once(lambda: len(states(project)) == 2, "t1 done")).when("LOOK into it", "looked")
    run = claude.run("go", play, project)
    assert run.text == "finished"
    assert 'subagent_type="orchestrator:scout", description="Research X"' in late["told"]
    assert states(project) == {"t1": "completed", late["task"]: "completed"}
    assert "t1 done" in run.agent_requests("LOOK into it")[0].first_text
