"""Notifications: which wake the main conversation, with which words; what agents were refused is told."""

from orchestrator.edges.scripted_model import Play, call, fail, say
from plays import deploy, digests, idle, main, news, noticed, once, spawn, submit, task


def keeps(seen, words):
    """A reply that keeps the request it answers."""
    return lambda request: say(words) if seen.append(request) is None else None


def writer(project):
    """A plan whose one task writes, and an agent that tries to."""
    path = str(project / "made.txt")
    plan = submit(task("t1", agent="builder", writes=["made.txt"]), task("t2", ["t1"], writes=["made.txt"]))
    play = Play().when(main, plan, deploy("t1"), "one at work", deploy("t2"), "one at work", "finished")
    attempts = [call("Write", file_path=path, content=text) for text in ("one", "two", "three")]
    return play.when("DO t1.", attempts, once(lambda: idle(project), "t1 done")).when("DO t2.", "t2 done")


def test_an_end_that_makes_something_ready_wakes(claude, project):
    """While another agent is at work, an end that makes a task ready passes, with the call that deploys."""
    tasks = [task("t1"), task("t2"), task("t3", ["t1"])]
    wave = [deploy("t1"), deploy("t2")]
    play = Play().when(main, submit(*tasks), wave, "two at work", deploy("t3"), "two", "finished")
    for name in ("t1", "t3"):
        play.when("DO %s." % name, once(lambda: idle(project), name + " done"))
    play.when("DO t2.", once(lambda: "t3" in noticed(project), "t2 done"))
    run = claude.run("go", play, project)
    assert run.text == "finished"
    first, last = [r for r in run.main_requests if r.notifications]
    assert "1 completed, 1 in flight, 1 ready" in digests(first)[0]
    assert 'prompt="orchestrator task t3"' in digests(first)[0]
    assert [n["result"] for n in first.notifications] == ["t1 done"]
    assert [n["result"] for n in last.notifications] == ["t2 done"]  # that of t3 was held


def test_a_failure_wakes_at_once(claude, project):
    """A failure passes while another agent is at work, and says what may be done."""
    woken = []
    seen = keeps(woken, "seen")
    plan, wave = submit(task("t1"), task("t2")), [deploy("t1"), deploy("t2")]
    play = Play().when(main, plan, wave, "two at work", seen, "finished")
    broken = once(lambda: idle(project), fail(500, "api_error", "out of order"))  # before, it may join the turn under way
    play.when("DO t1.", broken).when("DO t2.", once(lambda: woken, "t2 done"))
    run = claude.run("go", play, project)
    (told,) = digests(woken[0])
    assert "1 in flight, 1 failed" in told
    assert "t1 api_error: " in told and "out of order" in told and "`orchestrator task skip t1`" in told
    assert run.text == "finished"


def test_other_peoples_agents_are_not_held(claude, project):
    """An agent outside the plan notifies as ever while planned ones are at work."""
    woken = []
    both = [deploy("t1"), spawn("COUNT them", run_in_background=True)]
    play = Play().when(main, submit(task("t1")), both, "two", keeps(woken, "seen"), "finished")
    play.when("COUNT", once(lambda: idle(project), "three"))
    play.when("DO t1.", once(lambda: woken and idle(project), "t1 done"))
    run = claude.run("go", play, project)
    assert [n["result"] for n in woken[0].notifications] == ["three"] and digests(woken[0]) == []
    assert run.text == "finished" and "1 completed" in digests(run.main_requests[-1])[0]


def test_refused_calls_are_counted_and_named(claude, project, rows):
    """Where background agents may not write, this is said once before, and after that what was refused."""
    run = claude.run("go", writer(project), project)
    notices = [r for r in run.main_requests if "switch to acceptEdits" in news(r)]
    assert len(notices) == 1 and notices[0].index < run.agent_requests("DO t1.")[0].index
    (ended,) = [d for r in run.main_requests for d in digests(r) if "refused" in d]
    assert "t1 completed, 3 calls refused: Write." in ended
    (row,) = rows(project, "SELECT status, refused_calls, refused_names FROM executions WHERE task_id = 't1'")
    assert tuple(row.values()) == ("completed", 3, "Write")
    assert not (project / "made.txt").exists()


def test_nothing_is_said_where_agents_may_write(claude, project, rows):
    """In acceptEdits mode there is no such notice, and nothing is refused."""
    run = claude.run("go", writer(project), project, permission_mode="acceptEdits")
    assert not [r for r in run.main_requests if "acceptEdits" in news(r)]
    (row,) = rows(project, "SELECT refused_calls, refused_names FROM executions WHERE task_id = 't1'")
    assert tuple(row.values()) == (0, None)
    assert (project / "made.txt").read_text() in ("one", "two", "three")
