"""Harness: the real client, headless or in a terminal, a scripted model, and nothing of the user's setup."""

import atexit
import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from clients import Client
from orchestrator.edges.scripted_model import Request, ScriptedModel

ROOT = Path(__file__).resolve().parent.parent
KEY = "dummy-key-of-the-tests"


@functools.cache
def search_path() -> str:
    """A PATH with the system's programs and the running interpreter as `python3`, in front."""
    folder = tempfile.mkdtemp(prefix="python3-only-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.symlink(os.path.realpath(sys.executable), os.path.join(folder, "python3"))
    return os.pathsep.join([folder, "/usr/bin", "/bin"])


def environment(home: Path, data: Path, url: str, more: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """Everything a client or a hook gets to see; nothing is inherited."""
    return {
        "PATH": search_path(),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(_tmp(home)),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "ORCHESTRATOR_DATA": str(data),
        **(more or {}),
    }


def _tmp(home: Path) -> Path:
    folder = home / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Run(NamedTuple):
    """What one headless run left behind."""

    rc: int
    events: List[dict]
    stderr: str
    requests: List[Request]
    seconds: float

    def of(self, kind: str, subtype: Optional[str] = None) -> List[dict]:
        """The stream's events of one type."""
        return [e for e in self.events if e["type"] == kind and subtype in (None, e.get("subtype"))]

    @property
    def init(self) -> dict:
        return self.of("system", "init")[0]

    @property
    def session_id(self) -> str:
        return self.init["session_id"]

    @property
    def results(self) -> List[dict]:
        return self.of("result")

    @property
    def result(self) -> dict:
        """The last result: the main conversation has one for each of its turns."""
        return self.results[-1]

    @property
    def text(self) -> str:
        """The last words of the main conversation."""
        return self.result.get("result") or ""

    @property
    def main_requests(self) -> List[Request]:
        return [r for r in self.requests if r.main]

    def agent_requests(self, words: str = "") -> List[Request]:
        """The requests of subagents; with `words`, of those whose prompt holds them."""
        return [r for r in self.requests if r.agent_id and not r.auxiliary and words in r.first_text]

    @property
    def tool_results(self) -> List[tuple]:
        """(tool_use_id, text, is_error) of every tool result that main or an agent was given, once each."""
        seen = {result[0]: result for r in self.requests for result in r.last_results}
        return list(seen.values())

    @property
    def hook_events(self) -> List[dict]:
        """Hooks as the stream tells them (run with "--include-hook-events")."""
        return [e for e in self.events if e["type"] == "system" and str(e.get("subtype")).startswith("hook_")]


class Claude:
    """One client with one home, to be run headless as often as a test likes."""

    def __init__(self, client: Client, home: Path, data: Path, plugin: Optional[Path] = ROOT):
        self.client, self.home, self.data, self.plugin = client, home, data, plugin

    def run(
        self,
        prompt: str,
        play: Any,
        project: Path,
        *args: str,
        resume: Optional[str] = None,
        env: Optional[Dict[str, str]] = None,
        plugin: Any = "its own",
        home: Optional[Path] = None,
        permission_mode: Optional[str] = None,
        timeout: float = 60,
    ) -> Run:
        """Run `claude -p prompt` in the project until it ends. `play` answers; `plugin=None` loads none."""
        plugin = self.plugin if plugin == "its own" else plugin
        command = [self.client.path, "-p", prompt, "--output-format", "stream-json", "--verbose"]
        command += ["--plugin-dir", str(plugin)] if plugin else []
        command += ["--resume", resume] if resume else []
        command += ["--permission-mode", permission_mode] if permission_mode else []
        start = time.monotonic()
        with ScriptedModel(play) as model:
            process = subprocess.Popen(
                command + list(args),
                cwd=project,
                env=environment(home or self.home, self.data, model.url, env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                told = "the client did not end in %s s\n%s\n%s\n%s"
                raise AssertionError(told % (timeout, model.requests, out[-3000:], err)) from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if model.faults:
            raise model.faults[0]
        events = [json.loads(line) for line in out.split("\n") if line.startswith("{")]
        return Run(process.returncode, events, err, model.requests, time.monotonic() - start)


    def command(self, project: Path, *words: str, stdin: str = "") -> str:
        """What `orchestrator …` prints, run in the project as from a terminal of the same user; it must go well."""
        env = environment(self.home, self.data, "http://127.0.0.1:9")
        command = [str(ROOT / "bin" / "orchestrator"), *words]
        done = subprocess.run(command, cwd=project, env=env, input=stdin, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


def onboard(home: Path, project: Path) -> None:
    """Write the answers to the questions that a client asks in a terminal the first time."""
    path = home / ".claude.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known.update(
        hasCompletedOnboarding=True,
        theme="dark",
        customApiKeyResponses={"approved": [KEY[-20:]], "rejected": []},
    )
    known.setdefault("projects", {})[str(Path(project).resolve())] = {
        "hasTrustDialogAccepted": True,
        "hasCompletedProjectOnboarding": True,
    }
    path.write_text(json.dumps(known))


class Terminal:
    """A client in a terminal: a tmux server of its own, with one window."""

    def __init__(
        self,
        client: Client,
        project: Path,
        play: Any,
        home: Path,
        data: Path,
        *args: str,
        plugin: Optional[Path] = ROOT,
        env: Optional[Dict[str, str]] = None,
        size: str = "130x45",
    ):
        self.folder = tempfile.mkdtemp(prefix="terminal-")
        self.socket = os.path.join(self.folder, "socket")
        self.model = ScriptedModel(play).__enter__()
        onboard(home, project)
        variables = dict(environment(home, data, self.model.url, env), TERM="screen-256color")
        command = ["env", "-i"] + ["%s=%s" % pair for pair in variables.items()] + [client.path]
        command += ["--plugin-dir", str(plugin)] if plugin else []
        width, height = size.split("x")
        shell = shlex.join(command + list(args))
        window = ["new-session", "-d", "-x", width, "-y", height, "-c", str(project), shell]
        # What a client said before it died is still there to be read.
        self._tmux(*window, ";", "set-option", "remain-on-exit", "on")

    def __enter__(self) -> "Terminal":
        self.wait_for(self.ready)
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @staticmethod
    def ready(screen: str) -> bool:
        """The prompt is there to be typed at."""
        return "❯" in screen and "Enter to confirm" not in screen

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", self.socket, "-f", os.devnull, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        return done.stdout

    @property
    def requests(self) -> List[Request]:
        return self.model.requests

    def screen(self) -> str:
        """What a person would see now."""
        return self._tmux("capture-pane", "-p")

    def history(self) -> str:
        """The same with what has scrolled away."""
        return self._tmux("capture-pane", "-p", "-S", "-")

    def key(self, *names: str) -> None:
        """Press keys by tmux's names: "Enter", "Escape", "C-c"."""
        self._tmux("send-keys", *names)

    def type(self, text: str, enter: bool = True) -> None:
        """Type a text and, unless told otherwise, send it."""
        self._tmux("send-keys", "-l", text)
        if enter:
            self.wait_for(lambda screen: text[-20:].split("\n")[-1] in screen, 10)
            self.key("Enter")

    def wait_for(self, wanted: Any, timeout: float = 20) -> str:
        """The screen as soon as a text is on it, or a function of the screen is true."""
        holds = wanted if callable(wanted) else lambda screen: wanted in screen
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            screen = self.screen()
            if holds(screen):
                return screen
            time.sleep(0.05)
        told = "waited %s s for %r; the screen shows\n%s\n%s"
        raise AssertionError(told % (timeout, wanted, screen, self.requests))

    def wait_until(self, condition: Any, timeout: float = 20) -> None:
        """Wait for something other than the screen, as `lambda: len(t.requests) > 3`."""
        self.wait_for(lambda _: condition(), timeout)

    def close(self) -> None:
        """End the client and its terminal."""
        try:
            self._tmux("kill-server")
        except subprocess.CalledProcessError:
            pass  # it had ended by itself
        self.model.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)
