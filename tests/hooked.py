"""Hooks as the client starts them: processes of hooks/run in a bare environment, and the history they leave."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from streams import SESSION, History, World

ROOT = Path(__file__).resolve().parents[1]
LINKS = tempfile.mkdtemp(prefix="python3-only-")
os.symlink(os.path.realpath(sys.executable), os.path.join(LINKS, "python3"))


class Hooked:
    """A project whose hooks are run as processes. `world` makes the events of a session in it."""

    def __init__(self, folder, version="329"):
        self.world = World(str(folder), version)
        self.project = Path(self.world.project)
        self.workspace = self.project / ".orchestrator"
        self.home = Path(folder) / "home"
        self.home.mkdir(exist_ok=True)
        self.data = Path(folder) / "data"
        (self.project / ".git").mkdir()
        self.env = {
            "PATH": LINKS + ":/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "CLAUDE_PROJECT_DIR": str(self.project),
            "ORCHESTRATOR_DATA": str(self.data),
        }

    def start(self, event, name=None, plugin=ROOT, env=None, **options):
        """One hook, started; `event` is a value, or the bytes the client writes."""
        with tempfile.TemporaryFile() as said:
            said.write(event if isinstance(event, bytes) else json.dumps(event).encode())
            said.seek(0)
            return subprocess.Popen(
                [str(plugin / "hooks" / "run"), name or event["hook_event_name"]],
                stdin=said,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.env if env is None else env,
                cwd=self.project if self.project.is_dir() else "/",
                **options,
            )

    def end(self, process, timeout=60):
        """What a started hook answers: exit 0, nothing on stderr; a JSON value, words or None."""
        out, err = process.communicate(timeout=timeout)
        assert process.returncode == 0, (process.returncode, out, err)
        assert err == b"", err
        text = out.decode("utf-8").strip()
        return json.loads(text) if text.startswith("{") else text or None

    def hook(self, event, name=None, **options):
        """One hook, run to its end."""
        return self.end(self.start(event, name, **options))

    def hooks(self, events, at_once=40):
        """Many hooks, all at once up to a number; their answers."""
        answers, waiting = [], list(events)
        while waiting:
            now, waiting = waiting[:at_once], waiting[at_once:]
            answers += [self.end(each) for each in [self.start(event) for event in now]]
        return answers

    def open(self, path=None):
        """The history, opened as any tool would."""
        con = sqlite3.connect(path or self.workspace / "history.db")
        con.row_factory = None
        return con

    def rows(self, sql, *values, path=None):
        """What a query finds."""
        con = self.open(path)
        try:
            return con.execute(sql, values).fetchall()
        finally:
            con.close()

    def ends(self, path=None):
        """{agent id, or call where none began: (status, reason)}."""
        return {
            row[0]: row[1:]
            for row in self.rows("SELECT COALESCE(agent_id, tool_use_id), status, end_reason FROM executions", path=path)
        }

    def waiting(self, workspace=None):
        """Names of the events that wait in the inbox."""
        folder = (workspace or self.workspace) / "inbox"
        return sorted(n.name for n in folder.iterdir() if n.is_file() and not n.name.startswith(".")) if folder.is_dir() else []

    def log(self):
        """The lines of the log."""
        path = self.workspace / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def expected(self):
        """{agent id, or call where none began: (status, reason)} as the world has it."""
        return {key: wanted[:2] for key, wanted in self.world.expected.items()}

    def last_stop(self):
        """A Stop at which nothing runs any more."""
        return {
            "session_id": SESSION,
            "transcript_path": self.world.main,
            "cwd": str(self.project),
            "prompt_id": "last",
            "hook_event_name": "Stop",
            "stop_hook_active": False,
            "background_tasks": [],
        }


def intents(hooked, count, kind="PreToolUse"):
    """So many Agent calls of one session."""
    return [
        {
            "session_id": SESSION,
            "transcript_path": hooked.world.main,
            "cwd": str(hooked.project),
            "prompt_id": "p",
            "hook_event_name": kind,
            "tool_name": "Agent",
            "tool_use_id": "toolu_%04d" % n,
            "tool_input": {"description": "d", "prompt": "Do %d." % n, "subagent_type": "general-purpose"},
        }
        for n in range(count)
    ]


__all__ = ["ROOT", "Hooked", "History", "intents", "shutil"]
