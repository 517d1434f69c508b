"""Plans and tasks from a shell: a file or a queue submitted, tasks added, skipped, offered again, stopped and resumed."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def orchestrator(tmp_path, data, bare):
    """`orchestrator(words…, stdin=…, session=…)` in a project of its own; returns the finished process."""
    project = tmp_path / "a project"
    (project / ".git").mkdir(parents=True)
    (project / "notes.md").write_text("# Notes\n\nNothing yet.\n")

    def run(*words, stdin="", session=None):
        env = bare(ORCHESTRATOR_DATA=data, **({"CLAUDE_CODE_SESSION_ID": session} if session else {}))
        return subprocess.run([ROOT / "bin/orchestrator", *words], cwd=project, env=env, input=stdin, text=True,
                              capture_output=True, timeout=60)

    run.project = project
    return run


PLAN = {"goal": "tidy up", "tasks": [{"id": "t1", "agent": "scout", "prompt": "look", "files": ["notes.md"]},
                                     {"id": "t2", "agent": "builder", "prompt": "do", "after": ["t1"]}]}


def states(orchestrator):
    """The state of each task, as JSON says it."""
    return {t["id"]: t["state"] for t in json.loads(orchestrator("task", "list", "--json").stdout)}


def test_a_plan_from_a_file(orchestrator):
    """A plan in a file is accepted, said in one line with its tokens and how they were counted, and kept: each task
    names the bundle it will get, and that is drawn.
    """
    (orchestrator.project / "plan.json").write_text(json.dumps(PLAN))
    done = orchestrator("plan", "plan.json")
    assert done.returncode == 0 and done.stdout.startswith("PLAN ACCEPTED orch-"), done.stderr
    assert "tokens (tiktoken:cl100k)" in done.stdout
    assert states(orchestrator) == {"t1": "ready", "t2": "waiting"}
    (line,) = [line for line in orchestrator("show", "t1").stdout.splitlines() if line.startswith("bundle ")]
    name, tokens = line.split()[1].rstrip(","), line.split(", ", 1)[1].replace(" tokens", "")
    drawn = orchestrator("show", name).stdout
    assert tokens in drawn and "█" in drawn and " notes.md" in drawn


def test_a_queue_is_listed_before_anything_is_deployed(orchestrator):
    """Seed 004's queue file is read only when it is named, and its tasks are listed instead of calls to make (S4-01)."""
    (orchestrator.project / ".claude").mkdir()
    queue = orchestrator.project / ".claude" / "orchestrator-queue.json"
    queue.write_text(json.dumps({"tasks": [{"id": "1", "agent": "Explore", "prompt": "Look", "deps": []}]}))
    assert orchestrator("status").returncode == 1
    done = orchestrator("plan", ".claude/orchestrator-queue.json")
    assert "- 1 (Explore): Look" in done.stdout and "Agent(" not in done.stdout
    assert 'prompt="orchestrator task 1"' in orchestrator("next").stdout


def test_a_refused_plan_leaves_nothing(orchestrator):
    """All faults come at once, those of headings and budgets too, with exit 1, and nothing is kept of the plan."""
    (orchestrator.project / "long.md").write_text("word " * 5000)
    bad = [{"id": "A", "agent": "bulder", "prompt": ""}, {"id": "b", "prompt": "x", "after": ["c"], "files": ["notes.md#Nix"]},
           {"id": "d", "prompt": "x", "files": ["long.md"], "budget_tokens": 1000},
           {"id": "e", "prompt": "x", "files": ["no.md"]}]
    done = orchestrator("plan", "-", stdin=json.dumps({"goal": "g", "tasks": bad}))
    assert done.returncode == 1 and not done.stdout
    for word in ("1.", "7.", "bulder", "orchestrator:builder", "the id c", "prompt", "no heading 'Nix'", "the budget is 1,000"):
        assert word in done.stderr
    assert done.stderr.count("no.md") == 1
    assert orchestrator("status").returncode == 1


def test_a_task_added_while_others_wait(orchestrator):
    """A task is added by its title, its id made from it, and its calls are offered (S4-11)."""
    orchestrator("plan", "-", stdin=json.dumps(PLAN))
    done = orchestrator("task", "add", "Research X", "--agent", "scout", "--after", "t1")
    assert done.returncode == 0 and done.stdout.startswith("ADDED research-x to orch-"), done.stderr
    assert states(orchestrator) == {"t1": "ready", "t2": "waiting", "research-x": "waiting"}


def test_going_on_without_a_task_and_back(orchestrator):
    """A skipped task holds nothing up (S4-24); offered again, it does."""
    orchestrator("plan", "-", stdin=json.dumps(PLAN))
    assert orchestrator("task", "skip", "t1").returncode == 0
    assert states(orchestrator) == {"t1": "skipped", "t2": "ready"}
    assert 'prompt="orchestrator task t1"' in orchestrator("task", "retry", "t1").stdout
    assert states(orchestrator) == {"t1": "ready", "t2": "waiting"}


def test_stopping_and_resuming(orchestrator):
    """Stopped, nothing is offered (S4-13); only a conversation resumes, and another open one keeps what it drives."""
    orchestrator("plan", "-", stdin=json.dumps(PLAN), session="first")
    assert orchestrator("stop", session="first").returncode == 0
    assert json.loads((orchestrator.project / ".orchestrator/status.json").read_text())["state"] == "paused"
    assert "Paused" in orchestrator("next", session="first").stdout
    assert orchestrator("resume").returncode == 1
    refused = orchestrator("resume", session="second")
    assert refused.returncode == 1 and "--take" in refused.stderr
    assert orchestrator("resume", "--take", session="second").stdout.startswith("RESUMED orch-")
    assert json.loads((orchestrator.project / ".orchestrator/status.json").read_text())["state"] == "active"


@pytest.mark.parametrize("words, code, said", [
    (["plan", "missing.json"], 1, "cannot be read"),
    (["task", "skip", "nobody"], 1, "Nothing has been recorded"),
    (["resume", "orch-nothing"], 1, "Only a Claude Code conversation"),
    (["plan"], 2, "Missing argument"),
    (["brief", "t1"], 1, "NO BRIEFING"),
])
def test_a_refusal_is_a_sentence(orchestrator, words, code, said):
    """What cannot be done is said in one sentence on stderr, with exit 1; a wrong call with exit 2."""
    done = orchestrator(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr
