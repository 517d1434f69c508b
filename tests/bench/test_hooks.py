"""What a hook costs: whole processes, interleaved, as ratios to `python3 -I -S -c pass`."""

import json
import os
import sqlite3
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "40"))
pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


@pytest.fixture
def place(tmp_path, data):
    """A project with a plan of ROUNDS tasks, one of them with a briefing of 50,000 tokens, and a bare environment."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    words = " ".join("word%d" % (n % 997) for n in range(20000))
    (project / "big.txt").write_text(words + "\n")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "CLAUDE_PROJECT_DIR": str(project),
           "ORCHESTRATOR_DATA": str(data), "CLAUDE_CODE_SESSION_ID": "bench", "ORCHESTRATOR_MAX_PARALLEL_AGENTS": "1000"}
    tasks = [{"id": "t%d" % n, "title": "Task %d" % n, "agent": "scout", "prompt": "Do it."} for n in range(ROUNDS)]
    tasks += [{"id": "big%d" % n, "title": "Big %d" % n, "agent": "scout", "prompt": "Do %d." % n, "files": ["big.txt"]}
              for n in range(ROUNDS)]
    plan = subprocess.run([ROOT / "bin" / "orchestrator", "plan", "-", "--driver", "conversation"], cwd=project, env=env,
                          input=json.dumps({"goal": "bench", "tasks": tasks}).encode(), capture_output=True)
    assert plan.returncode == 0, plan.stderr
    return project, env


def timed(command, env, event=None):
    """(seconds, output) of one process."""
    start = time.perf_counter()
    done = subprocess.run(command, env=env, input=event, capture_output=True)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start, done.stdout


def payload(project, name, **more):
    """A hook event as the client sends it."""
    body = {"session_id": "bench", "transcript_path": str(project / "t.jsonl"), "cwd": str(project), "prompt_id": "p",
            "permission_mode": "default", "hook_event_name": name, **more}
    return json.dumps(body).encode()


def events(project, n):
    """(label, event name, payload) of the events around one deployment."""
    ids = {"agent_id": "a%d" % n, "agent_type": "orchestrator:scout"}
    call = {"tool_name": "Agent", "tool_use_id": "c%d" % n}
    asked = {"description": "Task", "prompt": "orchestrator task t%d" % n, "subagent_type": "orchestrator:scout"}
    said = "Found what was asked for. " * 40
    yield "PreToolUse(Agent), planned", "PreToolUse", payload(project, "PreToolUse", **call, tool_input=asked)
    yield "PostToolUse(Agent)", "PostToolUse", payload(
        project, "PostToolUse", **call, tool_input=asked,
        tool_response={"isAsync": True, "status": "async_launched", "agentId": ids["agent_id"]})
    yield "SubagentStart", "SubagentStart", payload(project, "SubagentStart", **ids)
    yield "SubagentStop", "SubagentStop", payload(project, "SubagentStop", **ids, last_assistant_message=said)
    yield "task-notification", "UserPromptSubmit", payload(
        project, "UserPromptSubmit",
        prompt="<task-notification>\n<task-id>a%d</task-id>\n<tool-use-id>c%d</tool-use-id>\n<status>completed</status>\n"
        "<summary>Agent \"Task\" finished</summary>\n<result>%s</result>\n</task-notification>" % (n, n, said))
    yield "Stop", "Stop", payload(project, "Stop", stop_hook_active=False, background_tasks=[])


def test_events_against_a_bare_start(place):
    """Prints the median of each event as a ratio to a bare start of the same Python."""
    project, env = place
    python = (Path(env["ORCHESTRATOR_DATA"]) / "python-floor").read_text().strip()
    run, took = str(ROOT / "hooks" / "run"), {}
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    for n in range(ROUNDS):
        took.setdefault("bare start", []).append(timed([python, "-I", "-S", "-c", "pass"], env)[0])
        took.setdefault("nothing to do: no workspace", []).append(timed(
            [run, "UserPromptSubmit"], {**env, "CLAUDE_PROJECT_DIR": str(elsewhere)}, b"{}")[0])
        took.setdefault("nothing to do: off", []).append(timed([run, "Stop"], {**env, "ORCHESTRATOR_OFF": "1"}, b"{}")[0])
        for label, name, event in events(project, n):
            took.setdefault(label, []).append(timed([run, name], env, event)[0])
        big = payload(project, "PreToolUse", tool_name="Agent", tool_use_id="b%d" % n, tool_input={
            "description": "Big", "prompt": "orchestrator task big%d" % n, "subagent_type": "orchestrator:scout"})
        seconds, answer = timed([run, "PreToolUse"], env, big)
        assert len(answer) > 100_000
        took.setdefault("PreToolUse(Agent), briefing of 50,000 tokens", []).append(seconds)
        took.setdefault("SessionEnd", []).append(timed(
            [run, "SessionEnd"], {**env, "CLAUDE_PROJECT_DIR": str(project)},
            payload(project, "SessionEnd", reason="other").replace(b'"bench"', b'"other"'))[0])
    base = statistics.median(took["bare start"])
    recorded = [s for label, times in took.items() for s in times
                if not label.startswith(("bare", "nothing")) and "50,000" not in label]
    print("\n| process | median ms | x bare start |\n|---|---|---|")
    for label, times in took.items():
        print("| %s | %.1f | %.2f |" % (label, statistics.median(times) * 1000, statistics.median(times) / base))
    print("| **all recorded events** | %.1f | %.2f |" % (statistics.median(recorded) * 1000,
                                                         statistics.median(recorded) / base))


def test_two_hundred_at_once(place):
    """Two hundred events at once: nothing is lost; prints how long the slowest took."""
    project, env = place
    run = str(ROOT / "hooks" / "run")

    def one(n):
        return timed([run, "SubagentStart"], env, payload(project, "SubagentStart", agent_id="x%d" % n, agent_type="a"))[0]

    with ThreadPoolExecutor(200) as pool:
        took = list(pool.map(one, range(200)))
    timed([run, "Stop"], env, payload(project, "Stop", background_tasks=[]))  # takes in what waited in the inbox
    with sqlite3.connect(project / ".orchestrator" / "history.db") as history:
        assert history.execute("SELECT count(*) FROM events WHERE kind = 'started'").fetchone() == (200,)
    print("\nslowest of 200 at once: %.2f s" % max(took))
