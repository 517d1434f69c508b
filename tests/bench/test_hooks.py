"""What a hook costs: whole processes, interleaved, as ratios to `python3 -I -S -c pass`.

One wave of a typical orchestration is four agents: each is deployed, launched and begins; the turn ends; each ends,
and its notification comes with a transcript on disk to be read. A session has its start, a typed prompt, two waves, its end.
"""

import json
import os
import resource
import sqlite3
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.make_history import make

ROOT = Path(__file__).resolve().parents[2]
SESSIONS = int(os.environ.get("BENCH_ROUNDS", "5"))
RUN = str(ROOT / "hooks" / "run")
AGENTS, WAVES, TURNS = 4, 2, 12  # agents a wave, waves a session, requests of an agent
SAID = "Found what was asked for. " * 40
pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]


class Place:
    """A project with a plan, its environment, and what its hooks took: {label: [(seconds, processor seconds), …]}."""

    def __init__(self, folder, data, tasks, history=0):
        self.project, self.took = folder / "project", {}
        (self.project / ".git").mkdir(parents=True)
        (self.project / "big.txt").write_text(" ".join("word%d" % (n % 997) for n in range(20000)) + "\n")
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "CLAUDE_PROJECT_DIR": str(self.project),
                    "ORCHESTRATOR_DATA": str(data), "ORCHESTRATOR_MAX_PARALLEL_AGENTS": "1000"}
        self.workspace, self.history = self.project / ".orchestrator", self.project / ".orchestrator" / "history.db"
        self.plan("s0", tasks)
        if history:
            for path in self.workspace.glob("history.db*"):
                path.unlink()
            make(str(self.history), history)
            self.plan("s0", tasks)
        self.bare = [(Path(data) / "python-floor").read_text().strip(), "-I", "-S", "-c", "pass"]

    def plan(self, session, tasks):
        """Submits a plan in a session, which then drives it."""
        done = subprocess.run(
            [ROOT / "bin" / "orchestrator", "plan", "-", "--driver", "conversation"], cwd=self.project,
            env={**self.env, "CLAUDE_CODE_SESSION_ID": session}, capture_output=True,
            input=json.dumps({"goal": "bench", "tasks": tasks}).encode())
        assert done.returncode == 0, done.stderr

    def event(self, session, name, **more):
        """A hook event as the client sends it."""
        return json.dumps({"session_id": session, "transcript_path": str(self.project / (session + ".jsonl")),
                           "cwd": str(self.project), "prompt_id": "p", "permission_mode": "acceptEdits",
                           "hook_event_name": name, **more}).encode()

    def hook(self, label, session, name, **more):
        """One hook beside one bare start; both are timed. Returns the answer."""
        self.time("bare start", self.bare, b"")
        return self.time(label, [RUN, name], self.event(session, name, **more))

    def time(self, label, command, event, **env):
        """Times one process and returns its output."""
        start, before = time.perf_counter(), processor()
        done = subprocess.run(command, env={**self.env, **env}, input=event, capture_output=True)
        self.took.setdefault(label, []).append((time.perf_counter() - start, processor() - before))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def lines(self, name, *lines):
        """Adds lines to a transcript."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)

    def worked(self, session, agent, call):
        """Writes what the client writes of an agent's work: its transcript and its meta file."""
        folder = self.project / session / "subagents"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("agent-%s.meta.json" % agent)).write_text(json.dumps(
            {"agentType": "orchestrator:scout", "description": "Task", "toolUseId": call, "spawnDepth": 1}))
        lines = [said("user", "Do it. " * 300)]
        for n in range(TURNS - 1):
            lines.append(said("assistant", [{"type": "tool_use", "id": "u%d" % n, "name": "Read", "input": {
                "file_path": str(self.project / ("src/%d.py" % n))}}], "%s-%d" % (agent, n), "tool_use"))
            lines.append(said("user", [{"type": "tool_result", "tool_use_id": "u%d" % n, "content": "x = 1\n" * 200}]))
        lines.append(said("assistant", [{"type": "text", "text": SAID}], agent, "end_turn"))
        self.lines("%s/subagents/agent-%s.jsonl" % (session, agent), *lines)


def said(role, content, message=None, reason=None):
    """A line of a transcript."""
    more = {"id": message, "model": "claude-sonnet-5-5", "stop_reason": reason, "usage": {
        "input_tokens": 12, "cache_creation_input_tokens": 900, "cache_read_input_tokens": 12000, "output_tokens": 300}}
    return {"type": role, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "message": {"role": role, "content": content, **(more if message else {})}}


def wave(place, session, numbers):
    """Four agents, from their deployment to the turn that follows their end."""
    agents = [("t%d" % n, "a%d" % n, "c%d" % n) for n in numbers]
    for task, agent, call in agents:
        asked = {"tool_name": "Agent", "tool_use_id": call, "tool_input": {
            "description": "Task", "prompt": "orchestrator task " + task, "subagent_type": "orchestrator:scout"}}
        assert b"updatedInput" in place.hook("PreToolUse(Agent), planned", session, "PreToolUse", **asked)
        place.hook("PostToolUse(Agent)", session, "PostToolUse", **asked, tool_response={
            "isAsync": True, "status": "async_launched", "agentId": agent})
        place.hook("SubagentStart", session, "SubagentStart", agent_id=agent, agent_type="orchestrator:scout")
    main = session + ".jsonl"
    place.lines(main, *[said("assistant", [{"type": "text", "text": "Deployed."}], "m" + agent) for _, agent, _ in agents])
    place.hook("Stop", session, "Stop", stop_hook_active=False, background_tasks=[{"id": a} for _, a, _ in agents])
    for _, agent, call in agents:
        place.worked(session, agent, call)
        path = "%s/subagents/agent-%s.jsonl" % (session, agent)
        place.hook("SubagentStop", session, "SubagentStop", agent_id=agent, agent_type="orchestrator:scout",
                   agent_transcript_path=str(place.project / path), last_assistant_message=SAID)
        place.hook("task-notification", session, "UserPromptSubmit", prompt="<task-notification>\n<task-id>%s</task-id>\n"
                   "<tool-use-id>%s</tool-use-id>\n<status>completed</status>\n<summary>Agent \"Task\" finished</summary>\n"
                   "<result>%s</result>\n</task-notification>" % (agent, call, SAID))
    place.lines(main, said("assistant", [{"type": "text", "text": "Done."}], "d" + agents[0][1]))
    place.hook("Stop", session, "Stop", stop_hook_active=False, background_tasks=[])


def orchestration(place, tasks):
    """Sessions one after the other, each with two waves; then what has nothing to do."""
    elsewhere = place.project.parent / "elsewhere"
    elsewhere.mkdir()
    numbers = iter(range(SESSIONS * WAVES * AGENTS))
    for n in range(SESSIONS):
        session = "s%d" % n
        if n:
            place.plan(session, tasks)
        place.hook("SessionStart", session, "SessionStart", source="startup")
        place.hook("UserPromptSubmit, typed", session, "UserPromptSubmit", prompt="Go on with what is ready, please. " * 4)
        for _ in range(WAVES):
            wave(place, session, [next(numbers) for _ in range(AGENTS)])
        place.hook("SessionEnd", session, "SessionEnd", reason="other")
        for _ in range(10):
            place.time("bare start", place.bare, b"")
            place.time("nothing to do: no workspace", [RUN, "UserPromptSubmit"], b"{}", CLAUDE_PROJECT_DIR=str(elsewhere))
            place.time("nothing to do: off", [RUN, "Stop"], b"{}", ORCHESTRATOR_OFF="1")
    with sqlite3.connect(place.history) as history:
        assert history.execute(
            "SELECT count(*), count(usage_read_at), sum(status = 'completed') FROM executions WHERE agent_id GLOB 'a[0-9]*' AND "
            "claude_session_id GLOB 's[0-9]*' AND origin = 'planned' AND scope LIKE 'Task %'").fetchone() == (
            (SESSIONS * WAVES * AGENTS,) * 3)
    assert not [name for name in os.listdir(place.workspace / "inbox") if name[0] != "."]


TARGETS = {"nothing to do: no workspace": 0.2, "nothing to do: off": 0.2, "all recorded events": 2.0,
           "PreToolUse(Agent), briefing of 50,000 tokens": 5.0}


def processor():
    """Processor seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(*columns):
    """Prints medians of each process beside the floor's, by the clock and by the processor; three columns for each place."""
    middle = lambda times, which: statistics.median(each[which] for each in times)  # noqa: E731
    print("\n| process | %s | at most |" % " | ".join("%s: ms | x | processor x" % name for name, _ in columns))
    print("|---|%s---|" % ("---|---|---|" * len(columns)))
    every = {label: None for _, took in columns for label in took}
    for _, took in columns:
        took["all recorded events"] = [each for label, times in took.items() for each in times
                                       if not label.startswith(("bare", "nothing")) and "50,000" not in label]
    for label in [*every, "all recorded events"]:
        cells = []
        for _, took in columns:
            times, bare = took.get(label), took["bare start"]
            cells.append("%.1f | %.2f | %.2f" % (middle(times, 0) * 1000, *[middle(times, n) / middle(bare, n) for n in (0, 1)])
                         if times else " |  | ")
        print("| %s | %s | %s |" % (label, " | ".join(cells), TARGETS.get(label, "")))


def test_a_typical_orchestration(tmp_path, data):
    """Prints each event's median beside a bare start of the same Python, in a fresh history and in one of 100,000
    executions, and the longest SessionEnd."""
    tasks = [{"id": "t%d" % n, "title": "Task %d" % n, "agent": "scout", "prompt": "Do %d." % n}
             for n in range(SESSIONS * WAVES * AGENTS)]
    each = WAVES * AGENTS
    small, large = Place(tmp_path / "small", data, tasks[:each]), Place(tmp_path / "large", data, tasks[:each], 100_000)
    for place in (small, large):
        numbered = iter([tasks[n:n + each] for n in range(each, len(tasks), each)])
        plan = place.plan
        place.plan = lambda session, _, plan=plan, numbered=numbered: plan(session, next(numbered))
        orchestration(place, tasks)
    big = Place(tmp_path / "big", data, [{"id": "t%d" % n, "title": "Big", "agent": "scout", "prompt": "Do %d." % n,
                                          "files": ["big.txt"]} for n in range(20)])
    for n in range(20):
        answer = big.hook("PreToolUse(Agent), briefing of 50,000 tokens", "s0", "PreToolUse", tool_name="Agent",
                          tool_use_id="c%d" % n, tool_input={"description": "Big", "prompt": "orchestrator task t%d" % n,
                                                             "subagent_type": "orchestrator:scout"})
        assert len(answer) > 100_000
    small.took.update({label: times for label, times in big.took.items() if label != "bare start"})
    small.took["bare start"] += big.took["bare start"]
    table(("fresh", small.took), ("100,000 executions", large.took))
    print("longest SessionEnd: %.0f ms of 1,500" % (1000 * max(small.took["SessionEnd"] + large.took["SessionEnd"])[0]))


def together(run, times=200):
    """(the slowest, processor seconds) of that many processes at once."""
    before = processor()
    with ThreadPoolExecutor(times) as pool:
        took = list(pool.map(run, range(times)))
    return max(took), processor() - before


def test_two_hundred_at_once(tmp_path, data):
    """Two hundred events at once: nothing is lost; prints how long the slowest took beside as many bare starts."""
    place = Place(tmp_path, data, [{"id": "t", "title": "T", "agent": "scout", "prompt": "Do it."}])

    def one(command, event):
        start = time.perf_counter()
        subprocess.run(command, env=place.env, input=event, capture_output=True, check=True)
        return time.perf_counter() - start

    place.hook("Stop", "s0", "Stop", background_tasks=[])
    rows = []
    for turn in range(3):
        rows.append(("200 bare starts at once", *together(lambda _: one(place.bare, b""))))
        rows.append(("200 hooks at once", *together(lambda n, turn=turn: one([RUN, "SubagentStart"], place.event(
            "s0", "SubagentStart", agent_id="x%d-%d" % (turn, n), agent_type="a")))))
        place.hook("Stop", "s0", "Stop", background_tasks=[])  # takes in what waited in the inbox
        with sqlite3.connect(place.history) as history:
            assert history.execute("SELECT count(*) FROM events WHERE kind = 'started'").fetchone() == (200 * (turn + 1),)
    print("\n| process | slowest s | processor s |\n|---|---|---|")
    for row in sorted(rows, key=lambda row: (row[0], row[1])):
        print("| %s | %.2f | %.2f |" % row)
