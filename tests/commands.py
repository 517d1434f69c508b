"""The program and the hooks as they are started: processes in a project, in an environment of their own."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Here:
    """A project in which commands and hooks are run."""

    def __init__(self, project, environment, root=ROOT):
        self.project, self.environment, self.root = Path(project), environment, Path(root)
        self.workspace = self.project / ".orchestrator"

    def run(self, *words, code=0, stdin="", cwd=None, **more):
        """`orchestrator WORDS`; the exit code is checked, and that no traceback is shown."""
        done = subprocess.run(
            [str(self.root / "bin/orchestrator"), *map(str, words)],
            cwd=cwd or self.project,
            env={**self.environment, **{name: str(value) for name, value in more.items()}},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    def says(self, *words, code=0, **more):
        """What it prints, both streams."""
        done = self.run(*words, code=code, **more)
        return done.stdout + done.stderr

    def hook(self, event, session="s1", env=None, cwd=None, **payload):
        """One event through the launcher, as the client sends it. Returns the answer, or None."""
        at = str(cwd or self.project)
        named = {"CLAUDE_PROJECT_DIR": at, "CLAUDE_CODE_SESSION_ID": session, "CLAUDE_PID": str(os.getpid())}
        body = {"session_id": session, "cwd": at, "hook_event_name": event}
        done = subprocess.run(
            [str(self.root / "hooks/run"), event],
            cwd=at,
            env={**self.environment, **named, **(env or {})},
            input=json.dumps({**body, **payload}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout) if done.stdout.strip().startswith("{") else done.stdout or None

    def deploys(self, call="c1", session="s1", prompt="look around", **more):
        """An Agent call of the main conversation, as its first hook sees it."""
        asked = {"description": "look", "prompt": prompt, "subagent_type": "general-purpose"}
        return self.hook("PreToolUse", session, tool_name="Agent", tool_use_id=call, tool_input=asked, **more)
