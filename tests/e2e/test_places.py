"""Places: worktrees, a monorepo, no git, a folder that cannot be written, HOME, off, no trust."""

import os
import shutil
import sqlite3
import stat
import subprocess
import threading
import uuid
from pathlib import Path

import pytest

from clients import Client
from harness import Claude
from orchestrator import paths
from orchestrator.edges.scripted_model import Play, say
from plays import MARK, deploy, main, plan, results, shell, spawn, submit, task

DONE = [("t1", "completed", "end_turn")]
STATUS = shell("orchestrator status")


def play():
    """One task planned, deployed and done; its agent and then the main conversation ask for the state."""
    one = Play().when(main, submit(task("t1")), deploy("t1"), "one at work", STATUS, "finished")
    return one.when("DO t1.", STATUS, "t1 done")


def ends(workspace):
    """What a workspace's history says of its executions."""
    history = sqlite3.connect((workspace / "history.db").as_uri() + "?mode=ro", uri=True)
    try:
        return history.execute("SELECT task_id, status, end_reason FROM executions").fetchall()
    finally:
        history.close()


def went_well(run):
    """Whether that play went through."""
    assert run.text == "finished"
    assert "1 in flight" in results(run.agent_requests("DO t1.")[1])[0]
    assert "1 completed" in results(run.main_requests[4])[0]
    return True


def git(folder, *words):
    """Run git."""
    command = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_a_linked_worktree(claude, project):
    """A client started in a linked worktree works in the main one's workspace."""
    linked = project.parent / "linked"
    git(project, "worktree", "add", "-q", str(linked))
    assert went_well(claude.run("go", play(), linked))
    assert ends(project / ".orchestrator") == DONE
    assert not (linked / ".orchestrator").exists()


def test_an_agent_in_a_worktree_of_its_own(claude, project):
    """An agent that the client isolates is briefed and recorded as any other, and sees the same state."""
    isolated = deploy("t1", isolation="worktree")
    one = Play().when(main, submit(task("t1")), isolated, "one at work", STATUS, "finished")
    run = claude.run("go", one.when("DO t1.", [STATUS, shell("pwd")], "t1 done"), project)
    assert went_well(run)
    assert ends(project / ".orchestrator") == DONE
    assert "/.claude/worktrees/agent-" in results(run.agent_requests("DO t1.")[1])[1]


def test_a_monorepo_started_in_a_subfolder(claude, project):
    """There is one workspace, at the git top."""
    inside = project / "packages" / "one"
    inside.mkdir(parents=True)
    assert went_well(claude.run("go", play(), inside))
    assert ends(project / ".orchestrator") == DONE
    assert not (inside / ".orchestrator").exists() and not (inside.parent / ".orchestrator").exists()


def test_a_folder_without_git_in_an_odd_path(claude, tmp_path):
    """A folder that is no repository, with a blank and an apostrophe in its path, has its own workspace."""
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    assert went_well(claude.run("go", play(), folder))
    workspace = folder / ".orchestrator"
    assert ends(workspace) == DONE
    assert stat.S_IMODE(workspace.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written(claude, tmp_path):
    """Its workspace lies in the data folder, and everything works as elsewhere."""
    client = claude.client
    if os.getuid() == 0:  # root writes everywhere, unless it gives that power away
        if not shutil.which("setpriv"):
            pytest.skip("setpriv is missing: root cannot be kept from writing")
        wrapper = tmp_path / "claude"
        wrapper.write_text('#!/bin/sh\nexec setpriv --bounding-set -dac_override "%s" "$@"\n' % client.path)
        wrapper.chmod(0o755)
        client = Client(client.version, str(wrapper))
    folder = tmp_path / ("kept-" + uuid.uuid4().hex)
    folder.mkdir(mode=0o555)
    assert went_well(Claude(client, claude.home, claude.data).run("go", play(), folder))
    assert not (folder / ".orchestrator").exists()
    (workspace,) = (claude.data / "projects").glob(folder.name + "-*")
    assert ends(workspace) == DONE
    shutil.rmtree(workspace)


def test_the_home_folder_as_project(claude):
    """HOME never holds a workspace: it lies in the data folder."""
    assert went_well(claude.run("go", play(), claude.home))
    assert not (claude.home / ".orchestrator").exists()
    env = {"ORCHESTRATOR_DATA": str(claude.data), "HOME": str(claude.home)}
    workspace = Path(paths.workspace_of(os.path.realpath(claude.home), env))
    assert workspace.parent == claude.data / "projects" and ends(workspace) == DONE
    shutil.rmtree(workspace)


def test_switched_off(claude, project):
    """With ORCHESTRATOR_OFF=1 nothing is recorded, changed or made."""
    told = threading.Event()
    one = Play().when(main, spawn("COUNT them", run_in_background=True), lambda _: told.set() or "waiting", "seen")
    one.when("COUNT", lambda _: say("three").after(0.5) if told.wait(20) else None)  # not before that turn is over
    run = claude.run("go", one, project, env={"ORCHESTRATOR_OFF": "1"})
    assert run.text == "seen" and MARK not in run.main_requests[-1].text
    assert not (project / ".orchestrator").exists()


def test_a_workspace_of_somebody_else(claude, project, tmp_path):
    """Nothing in it is read or recorded, and one line tells the user so."""
    claude.command(project, "plan", "-", stdin=plan(task("t1"), task("t2")))
    folder = project / ".orchestrator"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    stranger = Claude(claude.client, claude.home, tmp_path / "data of another user")
    one = Play().when(main, [deploy("t1"), spawn("COUNT them")], "done")
    run = stranger.run("go", one, project, "--include-hook-events")
    said = [event["stdout"] for event in run.hook_events if event.get("stdout")]
    assert len(said) == 1 and "did not come from you" in said[0] and "`orchestrator trust`" in said[0]
    assert MARK not in run.main_requests[0].text
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
