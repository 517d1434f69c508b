"""The stage of the demo: a home of its own, an environment without the user's, the client's process."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from typing import Callable, Optional

from orchestrator import paths
from orchestrator.errors import OrchestratorError

KEY = "dummy-key-of-the-demo"
LONGEST = 120.0  # seconds that one process of the client may take
# What a program needs to find others and to write text; and which Python the environment was built with.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "ORCHESTRATOR_PYTHON")


class Stage:
    """Where the client runs. `close()` ends what still runs and removes the home."""

    def __init__(self, data: str, keep: bool = False) -> None:
        self.home = os.path.realpath(tempfile.mkdtemp(prefix="orchestrator-demo-home-"))
        self.data, self.keep = data, keep
        self.log = os.path.join(self.home, "client.log")  # what the running client prints
        self.url = ""
        self.process: Optional[subprocess.Popen] = None

    def environment(self, **more: str) -> dict[str, str]:
        """Everything the client, its hooks and its commands get to see."""
        temporary = os.path.join(self.home, "tmp")
        os.makedirs(temporary, exist_ok=True)
        passed = {name: paths.variable(name) for name in PASSED_ON}
        return {
            **{name: text for name, text in passed.items() if text},
            "HOME": self.home,
            "TMPDIR": temporary,
            "CLAUDE_CODE_TMPDIR": temporary,
            "ORCHESTRATOR_DATA": self.data,
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": self.url,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            **more,
        }

    def run(
        self, program: str, project: str, words: list[str], look: Callable[[float], None], **more: str
    ) -> None:
        """Runs the client headless until it ends, looking around meanwhile. OrchestratorError when it fails.

        The project's own settings, hooks and servers are left out: only the plugin is loaded.
        """
        command = [
            program,
            *words,
            "--output-format",
            "stream-json",
            "--verbose",
            "--plugin-dir",
            paths.plugin_root(),
            "--setting-sources",
            "user",
            "--strict-mcp-config",
            "--permission-mode",
            "default",
            "--allowedTools",
            "Workflow",
        ]
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                command,
                cwd=project,
                env=self.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            waited = 0.0
            while self.process.poll() is None:
                look(0.1)
                waited += 0.1
                if waited > LONGEST:
                    raise OrchestratorError(
                        f"The client did not end in {LONGEST:.0f} s. {_last_words(self.log)}"
                    )
        look(0.0)
        if self.process.returncode:
            raise OrchestratorError(
                f"The client ended with exit code {self.process.returncode}. {_last_words(self.log)}"
            )

    def end_client(self) -> None:
        """Ends the client and what it started, if that is still there."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)  # its own group: start_new_session
        except OSError:
            pass
        process.wait()

    def close(self) -> None:
        """Ends the client; the home goes."""
        self.end_client()
        if not self.keep:
            shutil.rmtree(self.home, ignore_errors=True)


def _last_words(log: str) -> str:
    """What a client's output ends with, as a sentence."""
    with open(log, encoding="utf-8", errors="replace") as f:
        lines = [line.strip() for line in f if line.strip()]
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            return "It says: " + line[:300]
        if isinstance(event, dict) and event.get("type") == "result":
            return "It says: " + str(event.get("result") or event.get("subtype"))[:300]
    return "It says nothing."
