"""The plugin's own command in the real clients: it runs without a prompt, from our own bin; nothing beside it does."""

import os

from orchestrator.edges.scripted_model import Play
from plays import main, shell, spawn, submit, task

PRINTED = "(planning)"  # of the state that `orchestrator status` prints


def answers(run):
    """(text, whether it was an error) of the tool results of the main conversation, in order."""
    return [(text, wrong) for r in run.main_requests for _, text, wrong in r.last_results]


def test_ours_runs_and_nothing_with_it(claude, project, tmp_path, rows):
    """In -p, in the default mode: our verbs run, another orchestrator earlier on PATH does not, smuggling is refused.

    An agent may ask for the state; it may not plan, stop, skip or report.
    """
    decoy = tmp_path / "decoy"
    decoy.mkdir()
    (decoy / "orchestrator").write_text("#!/bin/sh\ntouch '%s/stolen'\necho decoy\n" % tmp_path)
    os.chmod(decoy / "orchestrator", 0o755)
    refused = ["orchestrator status; touch smuggled", "orchestrator status > smuggled", "orchestrator status $(touch smuggled)",
               "orchestrator purge --yes", "orchestrator backup ../smuggled", "orchestrator --db /tmp/other.db status"]
    tried = ["orchestrator status", "orchestrator stop", "orchestrator task skip t1", "orchestrator report"]
    spawned = spawn("LOOK around", run_in_background=True)
    smuggle = [shell(c) for c in refused]
    play = Play().when(main, submit(task("t1")), shell("orchestrator status"), smuggle, spawned, "waiting", "done")
    play.when("LOOK around", [shell(c) for c in tried], "looked")
    run = claude.run("go", play, project, env={"PATH": "%s:/usr/bin:/bin" % decoy})
    plan, status, *others = answers(run)
    assert "PLAN ACCEPTED" in plan[0] and not plan[1]
    assert PRINTED in status[0] and not status[1]
    assert len(others) == len(refused) + 1 and all(wrong for _, wrong in others[:-1]), others
    assert [wrong for _, _, wrong in run.agent_requests("LOOK around")[-1].last_results] == [False, True, True, True]
    assert rows(project, "SELECT paused_at FROM orchestrations") == [{"paused_at": None}]
    assert not (tmp_path / "stolen").exists() and not (project / "smuggled").exists()
