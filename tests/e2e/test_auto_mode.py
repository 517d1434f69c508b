"""Auto mode, where 2.1.329's agents deliver their report through a tool: the same record, the same holding."""

import pytest

from orchestrator.edges.scripted_model import Play, Reply, call, report
from plays import deploy, submit, task

TASKS = [task("t1", prompt="FIND the adders"), task("t2", prompt="FIND the tests"),
         task("t3", ["t1", "t2"], "builder", "WRITE the export")]


def after(seconds, words):
    """A report that takes its time."""
    def reply(request):
        made = report(words)(request)
        return (made if isinstance(made, Reply) else Reply(made)).after(seconds)
    return reply


@pytest.fixture
def auto(claude, project):
    """Runs a prompt in auto mode."""
    return lambda play: claude.run("go", play, project, permission_mode="auto")


def test_reports_end_executions_and_wake_once(auto, project, rows):
    """Two reports, one wake: the first is held, the second brings the digest; both results are kept."""
    play = Play()
    play.when(lambda r: r.main, submit(*TASKS),
              [deploy("t1"), deploy("t2")], "two at work", deploy("t3"), "one",
              "finished")
    play.when("FIND the adders", after(0.3, "adders are in\n  src/adder.py"))
    play.when("FIND the tests", after(1.2, "tests are in src/test_adder.py"))
    play.when("WRITE the export", after(0.3, "Wrote it."))
    run = auto(play)
    found = rows(project, "SELECT task_id, status, end_reason, final_message FROM executions ORDER BY task_id")
    assert [tuple(f.values()) for f in found] == [
        ("t1", "completed", "end_turn", "adders are in\n  src/adder.py"),
        ("t2", "completed", "end_turn", "tests are in src/test_adder.py"), ("t3", "completed", "end_turn", "Wrote it.")]
    assert "src/test_adder.py" in run.agent_requests("WRITE the export")[0].first_text
    assert len(run.main_requests) == 6


def test_a_planner_that_reports_no_plan_is_sent_back_once(auto, project, rows):
    """A planner without a plan is told the command before its report is delivered, and may then submit."""
    play = Play()
    play.when(lambda r: r.main, call("Agent", subagent_type="orchestrator:planner", description="plan", prompt="PLAN it"),
              "planning", "seen")
    play.when("PLAN it", report("I thought about it."), submit(*TASKS), report("PLAN ACCEPTED"))
    auto(play)
    assert rows(project, "SELECT count(*) AS n FROM tasks")[0]["n"] == 3
    assert rows(project, "SELECT count(*) AS n FROM events WHERE kind = 'sent_back'")[0]["n"] == 1
