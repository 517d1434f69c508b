"""A workflow's agent asks for a briefing: it gets its own task's, by what its transcript says, and never another's."""

import json
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAN = {"goal": "tidy up", "tasks": [{"id": name, "agent": "scout", "prompt": "DO " + name} for name in ("t1", "t2")]}
RUN = {"tool_name": "Workflow", "tool_input": {"name": "orchestrator:run"}, "tool_use_id": "toolu_w"}


class Run:
    """A session that handed two tasks to a workflow; its agents' files and calls."""

    def __init__(self, folder, data, bare):
        self.project = folder / "a project"
        (self.project / ".git").mkdir(parents=True)
        self.main = folder / "s1.jsonl"
        self.env = bare(ORCHESTRATOR_DATA=data, CLAUDE_PROJECT_DIR=self.project)
        env = {**self.env, "CLAUDE_CODE_SESSION_ID": "s1"}
        plan = [ROOT / "bin/orchestrator", "plan", "-"]
        subprocess.run(plan, cwd=self.project, env=env, input=json.dumps(PLAN), text=True, check=True, capture_output=True)
        assert "toolu" not in self.end(self.start(RUN))

    def start(self, more):
        """A hook before a tool call, started."""
        event = {"session_id": "s1", "transcript_path": str(self.main), "cwd": str(self.project), **more}
        hook = subprocess.Popen([ROOT / "hooks/run", "PreToolUse"], env=self.env, cwd=self.project, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        hook.stdin.write(json.dumps({"hook_event_name": "PreToolUse", **event}))
        hook.stdin.close()
        return hook

    def end(self, hook):
        """What it answered."""
        said = hook.stdout.read()
        assert hook.wait(60) == 0
        return said

    def ask(self, agent, task):
        """An agent's `orchestrator brief`, started."""
        return self.start({"tool_name": "Bash", "tool_input": {"command": "orchestrator brief " + task}, "agent_id": agent,
                           "agent_type": "orchestrator:scout", "tool_use_id": "toolu_" + agent})

    def write(self, agent, *prompts):
        """An agent's transcript: what it was told, and that it answered."""
        folder = self.main.with_suffix("") / "subagents/workflows/wf_1"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [{"type": "user", "message": {"role": "user", "content": prompt}} for prompt in prompts]
        lines.append({"type": "assistant", "message": {"role": "assistant", "content": []}})
        (folder / ("agent-%s.jsonl" % agent)).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def run(tmp_path, data, bare):
    """Two tasks handed to a workflow."""
    return Run(tmp_path, data, bare)


def test_each_agent_gets_its_own_tasks_briefing(run, rows):
    """A transcript that comes late is waited for; one that names another task, none, or does not come: NO BRIEFING."""
    run.main.write_text("{}\n")
    run.write("a2", "[user request] asked was:\n  Run: orchestrator brief t1\n", "[computed]:\n  Run: orchestrator brief t2\n")
    run.write("a3", "Find the bugs, and run orchestrator status\n")
    late, wrong, stranger, never = [run.ask(*words) for words in (("a1", "t1"), ("a2", "t1"), ("a3", "t1"), ("a4", "t2"))]
    time.sleep(0.4)
    run.write("a1", "Run: orchestrator brief t1\n")
    assert "--execution-id" in run.end(late)
    assert "NO BRIEFING: this agent was started for t2." in run.end(wrong)
    assert "NO BRIEFING: this agent was started for no task of the plan." in run.end(stranger)
    assert "run the same command once more" in run.end(never)
    joined = "SELECT agent_id, task_id FROM executions WHERE task_id IS NOT NULL"
    assert [tuple(row.values()) for row in rows(run.project, joined)] == [("a1", "t1")]


def test_where_no_transcripts_are_kept(run, rows):
    """A client told to keep no transcripts says of no agent what it was started for: what the agent asks for counts."""
    assert "--execution-id" in run.end(run.ask("a1", "t2"))
    assert [row["task_id"] for row in rows(run.project, "SELECT task_id FROM executions")] == ["t2"]
