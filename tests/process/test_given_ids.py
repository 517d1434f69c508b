"""Ids that somebody gave: kept as they are, and never more than a word where a hook puts them into a command."""

import json
import shlex
import sqlite3
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "orch; touch smuggled $(touch smuggled) '"


def test_a_given_id_is_one_word_in_the_planners_command(tmp_path, data, bare):
    """The orchestration's id that the hook adds to a planner's submission is quoted, whatever it holds (S2-17)."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    env = bare(ORCHESTRATOR_DATA=data, CLAUDE_PROJECT_DIR=project, CLAUDE_CODE_SESSION_ID="s1")

    def command(*words):
        done = subprocess.run([ROOT / "bin/orchestrator", *words], cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hook(name, **more):
        event = {"session_id": "s1", "transcript_path": str(project / "t.jsonl"), "cwd": str(project),
                 "hook_event_name": name, **more}
        done = subprocess.run([ROOT / "hooks/run", name], env=env, input=json.dumps(event), capture_output=True, text=True)
        return json.loads(done.stdout) if done.stdout.strip() else None

    command("tracker", "init-session", "--session-id", "orch-given", "--scope", "a goal")
    command("resume", "orch-given")
    with sqlite3.connect(project / ".orchestrator/history.db") as history:  # as a history from elsewhere may hold it
        history.execute("UPDATE orchestrations SET orchestration_id = ?", (HOSTILE,))
        history.execute("UPDATE claude_sessions SET orchestration_id = ?", (HOSTILE,))
    asked = {"description": "plan", "prompt": "a goal", "subagent_type": "orchestrator:planner"}
    hook("PreToolUse", tool_name="Agent", tool_use_id="c1", tool_input=asked)
    hook("PostToolUse", tool_name="Agent", tool_use_id="c1", tool_input=asked,
         tool_response={"agentId": "a1", "status": "async_launched"})
    plan = "orchestrator plan - <<'PLAN'\n{}\nPLAN"
    answer = hook("PreToolUse", tool_name="Bash", tool_use_id="c2", agent_id="a1", agent_type="orchestrator:planner",
                  tool_input={"command": plan})
    line = answer["hookSpecificOutput"]["updatedInput"]["command"].split(" <<")[0]
    assert shlex.split(line)[1:] == ["plan", "-", "--orchestration", HOSTILE]
