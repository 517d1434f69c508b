"""In a terminal: a wave as a person sees it, types meanwhile, breaks it off; the question about a workflow."""

import os
import re
import signal
import time

from orchestrator.edges.scripted_model import Play, call, say
from plays import ask, deploy, digests, idle, main, news, noticed, once, results, shell, spawn, states, submit, task

MANUAL = ("--permission-mode", "default")
RUN = call("Workflow", name="orchestrator:run")
TWO = submit(task("t1"), task("t2"))


def mains(window):
    """The main conversation's requests so far."""
    return [request for request in window.requests if request.main]


def test_a_wave_as_a_person_sees_it(terminal, project):
    """A held end is one line of progress; /orchestrate brings the state; the last end wakes (S4-04)."""
    asked, wave, look = [], [deploy("t1"), deploy("t2")], shell("orchestrator status")
    play = Play().when(main, TWO, wave, "two at work", look, "both are at work", "woken")
    play.when("DO t1.", once(lambda: asked and idle(project), "found by t1"))
    play.when("DO t2.", once(lambda: "t1" in noticed(project), "found by t2"))
    window = terminal(project, play, *MANUAL)
    window.type("go")
    window.wait_for("two at work")
    window.type("/orchestrate what is running?")
    window.wait_for("both are at work")
    asked.append(True)
    window.wait_for("t1 completed · 1 of 2 done, at work: t2 · nothing needs you yet")
    window.wait_for("woken")
    assert "task-notification" not in window.history() and "found by t1" not in window.history()
    _, _, _, typed, told, woken = mains(window)
    assert "2 in flight" in digests(typed)[0] and "Asked: what is running?" in typed.text
    assert "2 in flight" in results(told)[0]
    assert "2 completed" in digests(woken)[0] and "found by t1" not in woken.text


def test_an_end_while_a_question_is_answered(terminal, project):
    """What became ready during a turn that the person began is offered in it, or as it ends."""
    look = once(lambda: states(project)["t1"] == "completed", shell("orchestrator status"))
    plan = submit(task("t1"), task("t2", ["t1"]))
    play = Play().when(main, plan, deploy("t1"), "one at work", look, "that is all", deploy("t2"), "another", "all over")
    play.when("DO t1.", once(lambda: len(mains(window)) == 4, "t1 done"))
    play.when("DO t2.", once(lambda: idle(project), "t2 done"))
    window = terminal(project, play, *MANUAL)
    window.type("go")
    window.wait_for("one at work")
    window.type("what is going on?")
    window.wait_for("all over")
    assert set(states(project).values()) == {"completed"}


def test_a_turn_that_is_broken_off(terminal, project):
    """After Esc ends are told, but no turn is made to go on until the person types again."""
    play = Play().when(main, TWO, deploy("t1"), once(lambda: False, "never said"), "seen", "on")
    play.when("DO t1.", once(lambda: "Interrupted" in window.screen(), "t1 done"))
    window = terminal(project, play, *MANUAL)
    window.type("go")
    window.wait_until(lambda: len(mains(window)) == 3 and states(project)["t1"] == "in_flight")
    window.key("Escape")
    window.wait_for("seen")
    window.wait_until(lambda: idle(project))
    assert ["Stop hook" in news(request) for request in mains(window)] == [False] * 4
    assert "1 completed, 1 ready" in digests(mains(window)[3])[0]


def consent(terminal, project, play, answer):
    """A terminal in which the client has asked whether the workflow may run, and was answered."""
    window = terminal(project, play, *MANUAL)
    window.type("go")
    screen = window.wait_for(lambda screen: re.search(r"\d\. No\b", screen))
    assert '"tasks":[{"id":"t1"' in screen and "Run the planned tasks" in screen
    deadline = time.monotonic() + 20
    while re.search(r"\d\. No\b", screen) and time.monotonic() < deadline:  # a key that comes with the dialog is not always taken
        window.key(re.search(r"(\d)\. %s" % answer, screen)[1])
        time.sleep(1)
        screen = window.screen()
    return window


def test_a_workflow_that_a_person_allows(terminal, project):
    """In manual mode the client shows the graph and asks; allowed, it runs to its end.

    An agent that never asks for its briefing is joined to its task here too, where the client tells it the person's words first.
    An end that comes while the person is answered is told in that answer's turn, or as it ends.
    """
    asked = []

    def busy(request):
        asked.append(request)
        once(lambda: states(project)["t2"] == "completed")(request)
        return say(shell("orchestrator status")).after(0.5)

    play = Play().when(main, submit(task("t1"), task("t2", ["t1"])), RUN, "under way", busy, "it runs", "woken")
    play.when("orchestrator brief t1\n", shell("orchestrator brief t1"), once(lambda: asked, "t1 done"))
    play.when("orchestrator brief t2\n", "t2 done without reading")
    window = consent(terminal, project, play, "Yes")
    window.wait_for("under way")
    window.type("what is going on?")
    window.wait_until(lambda: any("2 completed" in told for request in mains(window)[4:] for told in digests(request)))
    assert set(states(project).values()) == {"completed"}


def test_a_workflow_that_a_person_refuses(terminal, project):
    """Refused, nothing stays handed over: the next words bring the state, and Agent calls do the work."""
    plan = submit(task("t1"), task("t2", ["t1"]))
    play = Play().when(main, plan, RUN, deploy("t1"), "one at work", deploy("t2"), "one at work", "finished")
    for name in ("t1", "t2"):
        play.when("DO %s." % name, once(lambda: idle(project), name + " done"))
    window = consent(terminal, project, play, "No")
    window.wait_for(lambda screen: window.ready(screen) and "❯ 1. Yes" not in screen)
    window.type("without a workflow, please")
    window.wait_until(lambda: set(states(project).values()) == {"completed"})
    assert 'prompt="orchestrator task t1"' in digests(mains(window)[2])[0]
    assert ask(project, "SELECT driver FROM orchestrations") == [("conversation",)]


def test_a_conversation_that_is_cleared_while_its_agent_works(terminal, project):
    """After /clear the client lets the agent work on, for the new conversation: it is at work there, its task is not deployed a
    second time, and its end is the task's."""
    asked = []
    play = Play().when("FIRST", submit(task("t1")), deploy("t1"), "one at work")
    play.when("SECOND", shell("orchestrator resume"), deploy("t1"), "and now", "woken")
    play.when("DO t1.", once(lambda: asked, "found by t1", most=60))
    window = terminal(project, play, *MANUAL)
    window.type("FIRST")
    window.wait_for("one at work")
    window.wait_until(lambda: ask(project, "SELECT 1 FROM events WHERE kind = 'started'"))
    window.type("/clear")
    window.wait_until(lambda: ask(project, "SELECT 1 FROM claude_sessions WHERE source = 'clear'"))
    assert ask(project, "SELECT 1 FROM lost_executions") == [] and states(project) == {"t1": "in_flight"}
    window.type("SECOND")
    window.wait_for("and now")
    assert "t1 is already being worked on" in " ".join(window.history().split())
    asked.append(True)
    window.wait_for("woken")
    assert ask(project, "SELECT status, final_message FROM executions") == [("completed", "found by t1")]
    assert states(project) == {"t1": "completed"}


def test_a_conversation_that_is_cleared_while_its_workflow_runs(terminal, project):
    """After /clear the client lets the workflow run on: its later agents get their briefings, and are their tasks'."""
    asked = []
    play = Play().when(main, submit(task("t1"), task("t2", ["t1"])), RUN, "under way").when("TELL", "told")
    play.when("orchestrator brief t1\n", shell("orchestrator brief t1"), once(lambda: asked, "t1 done"))
    play.when("orchestrator brief t2\n", shell("orchestrator brief t2"), lambda request: say(results(request)[-1]))
    window = consent(terminal, project, play, "Yes")
    window.wait_for("under way")
    window.wait_until(lambda: ask(project, "SELECT 1 FROM events WHERE kind = 'briefed'") and idle(project))
    window.type("/clear")
    window.wait_until(lambda: ask(project, "SELECT 1 FROM claude_sessions WHERE source = 'clear'"))
    asked.append(True)
    window.wait_until(lambda: set(states(project).values()) == {"completed"})
    window.wait_until(lambda: ask(project, "SELECT 1 FROM events WHERE kind = 'workflow_ended'"))
    found = ask(project, "SELECT task_id, origin, end_reason, instr(final_message, 'DO t2.') > 0 FROM executions ORDER BY number")
    assert found == [("t1", "planned", "end_turn", 0), ("t2", "planned", "end_turn", 1)]
    window.wait_until(lambda: len(ask(project, "SELECT 1 FROM claude_sessions WHERE ended_at IS NULL")) == 1)


def test_a_client_that_is_killed_and_whose_conversation_goes_on(terminal, claude, project):
    """What was at work is lost, also when the conversation goes on without deploying it again, whatever the client says of it."""
    play = Play().when(main, submit(task("t1")), deploy("t1"), "one at work").when("DO t1.", once(lambda: False, "never said"))
    window = terminal(project, play, *MANUAL)
    window.type("go")
    window.wait_for("one at work")
    window.wait_until(lambda: ask(project, "SELECT 1 FROM events WHERE kind = 'started'") and idle(project))
    ((session, pid),) = ask(project, "SELECT claude_session_id, pid FROM claude_sessions")
    os.kill(pid, signal.SIGKILL)
    assert claude.run("hello", Play(otherwise=say("hello")), project, resume=session).text == "hello"
    assert states(project) == {"t1": "lost"}


def test_a_conversation_in_two_processes(terminal, claude, project):
    """An agent of a terminal is at work, and its task in flight, while its conversation goes on elsewhere, too; so is what is
    at work there while the terminal's turn ends. Each end is heard, at its time."""
    asked = []
    play = Play().when(main, submit(task("t1")), deploy("t1"), "one at work", "hi there", "woken")
    window = terminal(project, play.when("DO t1.", once(lambda: asked, "found by t1")), *MANUAL)
    window.type("go")
    window.wait_for("one at work")
    window.wait_until(lambda: ask(project, "SELECT 1 FROM events WHERE kind = 'started'") and idle(project))
    ((session,),) = ask(project, "SELECT claude_session_id FROM claude_sessions")

    def beside(_):
        window.type("hello")
        window.wait_for("hi there")
        window.wait_until(lambda: idle(project))
        asked.append((states(project), ask(project, "SELECT status FROM executions")))
        return say("three")

    other = Play().when(main, spawn("COUNT them", run_in_background=True), "two at work", "seen").when("COUNT", beside)
    claude.run("go on", other, project, resume=session)
    window.wait_until(lambda: states(project)["t1"] == "completed")
    assert asked == [({"t1": "in_flight"}, [("deployed",), ("deployed",)])]
    late = "SELECT 1 FROM executions e JOIN events v USING (execution_id) WHERE kind = 'stopped' AND v.at != completed_at"
    assert ask(project, late) == []
