"""The plugin replaced while a session is open, in a path with a space and an apostrophe: nothing breaks, nothing is lost."""

import shutil
import sqlite3
from pathlib import Path

from orchestrator.edges.scripted_model import Play, say
from plays import deploy, main, plan, spawn, submit, task

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [".claude-plugin", "agents", "assets", "bin", "commands", "hooks", "references", "requirements", "scripts", "skills",
           "workflows"]


def copy_to(folder):
    """The shipped part of the plugin, copied."""
    for name in SHIPPED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_an_upgrade_under_way(claude, project, rows, tmp_path):
    """Agents deployed by the old files end under the new ones, and the graph goes on (S1-63)."""
    plugin, newer = copy_to(tmp_path / "it's a plugin"), copy_to(tmp_path / "newer")

    def replace(request):
        plugin.rename(tmp_path / "old")
        newer.rename(plugin)
        return say("looked").after(0.3)

    play = Play().when(main, submit(task("t1"), task("t2", ["t1"])), deploy("t1"), "at work", deploy("t2"), "at work", "done")
    play.when("DO t1.", replace).when("DO t2.", "looked again")
    run = claude.run("go", play, project, plugin=plugin)
    assert run.text == "done"
    assert [r["status"] for r in rows(project, "SELECT status FROM executions")] == ["completed", "completed"]


def test_a_history_written_by_a_newer_one(claude, project):
    """Old files leave a newer history alone: unplanned agents run, what happened waits in the inbox, planned ones do not."""
    claude.command(project, "plan", "-", stdin=plan(task("t1")))
    history = project / ".orchestrator" / "history.db"
    with sqlite3.connect(history) as con:
        con.execute("PRAGMA user_version = 99")
        before = con.execute("SELECT count(*) FROM events").fetchone()
    play = Play().when(main, [deploy("t1"), spawn("LOOK around", run_in_background=True)], "waiting", "seen")
    play.when("LOOK around", "looked")
    run = claude.run("go", play, project)
    assert [r.first_text for r in run.agent_requests()] == ["LOOK around"]
    with sqlite3.connect(history) as con:
        assert con.execute("SELECT count(*) FROM events").fetchone() == before
    assert len(list((project / ".orchestrator" / "inbox").iterdir())) >= 4
