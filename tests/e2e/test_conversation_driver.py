"""The conversation driver: a planner's plan, waves of background agents, notifications held and passed, a report."""

import json

from orchestrator.edges.scripted_model import Play, call, say

PLAN = {
    "goal": "add CSV export",
    "tasks": [
        {"id": "t1", "title": "Look around", "agent": "scout", "prompt": "FIND the adders", "files": ["src/adder.py"]},
        {"id": "t2", "title": "Look at tests", "agent": "scout", "prompt": "FIND the tests", "files": ["README.md"]},
        {"id": "t3", "title": "Write it", "agent": "builder", "prompt": "WRITE the export", "after": ["t1", "t2"]},
    ],
}


def heredoc(plan):
    """The one command line with which a planner submits."""
    return "orchestrator plan - <<'PLAN'\n%s\nPLAN" % json.dumps(plan)


def deploy(task, agent, title):
    """The Agent call that the digest lists."""
    return call("Agent", subagent_type="orchestrator:" + agent, description=title, prompt="orchestrator task " + task)


def test_a_goal_becomes_a_graph_that_runs_to_its_report(claude, project, rows):
    """A planner submits, two agents run at once, their results reach the third's briefing, the report closes (S4-14)."""
    play = Play()
    play.when(lambda r: r.main,
              call("Agent", subagent_type="orchestrator:planner", description="plan: CSV", prompt="add CSV export"),
              "planning",
              [deploy("t1", "scout", "Look around"), deploy("t2", "scout", "Look at tests")], "two at work",
              deploy("t3", "builder", "Write it"), "one at work",
              call("Bash", command="orchestrator report"), "finished")
    play.when("add CSV export", call("Bash", command=heredoc(PLAN)), "PLAN ACCEPTED")
    play.when("FIND the adders", say("adders are in src/adder.py").after(0.3))
    play.when("FIND the tests", say("tests are in src/test_adder.py").after(1.5))
    play.when("WRITE the export", say("Wrote it.\nDeliverables:\n- src/adder.py").after(0.3))
    run = claude.run("/orchestrate add CSV export", play, project)
    print([r.last_text[-300:] for r in run.main_requests])
    assert run.text == "finished"
    executions = rows(project, "SELECT task_id, status, end_reason, attempt, origin FROM executions ORDER BY task_id")
    assert [(e["task_id"], e["status"], e["end_reason"], e["origin"]) for e in executions] == [
        (None, "completed", "end_turn", "planner"), ("t1", "completed", "end_turn", "planned"),
        ("t2", "completed", "end_turn", "planned"), ("t3", "completed", "end_turn", "planned")]
    briefing = run.agent_requests("WRITE the export")[0].first_text
    assert "adders are in src/adder.py" in briefing and "tests are in src/test_adder.py" in briefing
