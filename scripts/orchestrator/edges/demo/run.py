"""One demo from its beginning to its end: the place, the client, three processes of it, what is to stay."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from typing import Optional

from orchestrator import paths
from orchestrator.edges.demo import checks, plan, sample
from orchestrator.edges.demo.client import Client, Say, find
from orchestrator.edges.demo.measure import Measured, measure
from orchestrator.edges.demo.script import Script
from orchestrator.edges.demo.stage import Stage
from orchestrator.edges.demo.watch import Tell, Watch
from orchestrator.edges.scripted_model import ScriptedModel
from orchestrator.errors import NotOurs, OrchestratorError
from orchestrator.store import workspace as folder

PROGRAM = os.path.join(paths.plugin_root(), "bin", "orchestrator")


class Run:
    """prepare(), act(), then what came of it; close() in any case."""

    client: Client
    script: Script
    model: ScriptedModel
    watch: Watch
    waited: set[str]  # events that waited in the inbox before

    def __init__(self, given: Optional[str], program: Optional[str], keep: bool) -> None:
        self.own, self.program, self.keep = given is None, program, keep
        self.data = paths.data_folder()
        self.stage = Stage(self.data, keep)
        self.bare = self.stage.environment()
        if given is None:
            self.project = os.path.realpath(tempfile.mkdtemp(prefix="orchestrator-demo-"))
        else:
            self.project = paths.project_of(given, self.bare)
        self.workspace = paths.workspace_of(self.project, self.bare)
        self.fresh = not os.path.isdir(self.workspace)
        self.history = paths.history_of(self.workspace, self.project, self.bare)
        self.session = str(uuid.uuid4())
        self.orchestration: Optional[str] = None

    def prepare(self, say: Say, tick: Say) -> None:
        """Finds or fetches the client, makes the sample, chooses the files. Raises OrchestratorError."""
        if self.project in ("/", os.path.realpath(paths.home() or "/")):
            raise OrchestratorError(f"{self.project} is no project: name a folder inside it.")
        if not folder.trusted(self.workspace, self.data):
            raise NotOurs(
                f"The workspace {self.workspace} did not come from you: look at it, "
                "then run `orchestrator trust`."
            )
        if paths.off(self.workspace, self.bare):
            raise OrchestratorError(
                f"Recording is off in {self.project}: switch it on there with `orchestrator on`, "
                "or name another project."
            )
        self.client = find(self.program, self.data, self.bare, say, tick)
        if self.own:
            sample.make(self.project)
        self.script = Script(sample.choose(self.project))
        self.model = ScriptedModel(self.script)
        self.stage.url = self.model.url

    def act(self, tell: Tell) -> None:
        """Runs the client three times: the goal, a compaction, the rest. `tell` hears every event."""
        self.watch = Watch(self.history, self.stage.log, self.session, tell)
        self.waited = checks.waiting(self.workspace)
        goal = f"/orchestrate {plan.GOAL}"
        with self.model:
            self._type(goal)
            self._client("-p", goal, "--session-id", self.session)
            self._type("/compact", "a new process resumes the conversation")
            self._client("-p", "/compact", "--resume", self.session)
            self.script.resumed = True
            self._type("Go on.", "and another one")
            self._client("-p", "Go on.", "--resume", self.session)
        if self.model.faults:
            raise OrchestratorError(
                f"The scripted model did not know what to say ({self.model.faults[0]!r})."
            )
        self.orchestration = self.watch.orchestration
        if self.orchestration is None:
            hooks = self._hooks()
            raise OrchestratorError(
                "The client ran and its hooks recorded nothing: `orchestrator doctor` says more."
                + ("" if hooks.true else f" Not true: {hooks.claim}; --keep leaves these files.")
            )

    def _type(self, words: str, note: str = "") -> None:
        self.watch.look()
        self.watch.say("> you", words + (f"   ({note})" if note else ""), "you")

    def _client(self, *words: str) -> None:
        def look(seconds: float) -> None:
            if self.model.faults:
                fault = self.model.faults[0]
                raise OrchestratorError(f"The scripted model did not know what to say ({fault!r}).")
            if self.script.refused:
                raise OrchestratorError(f"The plan was refused: {self.script.refused}")
            self.watch.look()
            time.sleep(seconds)

        self.stage.run(self.client.path, self.project, list(words), look)

    def checked(self) -> list[checks.Check]:
        """Every claim, asked of the rows; the last one of the hooks' log and the inbox."""
        # 2.1.329 says "stopped", after a resume, of agents whose end was held before it.
        told = [each for request in self.model.requests if request.main for each in request.notifications]
        heard = {each.get("task-id") for each in told if each.get("status") != "stopped"}
        orchestration = self.orchestration or ""
        found = checks.check(self.history, self.workspace, orchestration, self.session, self.script, heard)
        return [*found, self._hooks()]

    def _hooks(self) -> checks.Check:
        since = self.watch.began.strftime("%Y-%m-%dT%H:%M:%S")
        return checks.no_hook_failed(self.workspace, since, self.waited)

    def measured(self) -> Measured:
        """The tokens of what the model received."""
        return measure(self.model, self.script)

    def report(self) -> str:
        """Where the report is kept."""
        return checks.report(self.workspace, self.orchestration or "")

    def own_command(self, *words: str, **more: str) -> int:
        """Runs a command of ours on the project, for everybody to see."""
        command = [PROGRAM, "--project", self.project, *words]
        return subprocess.run(
            command, env=self.stage.environment(**more), stdin=subprocess.DEVNULL
        ).returncode

    def left(self) -> list[str]:
        """What this run leaves: the workspace, what was to be kept, and what is in the data folder."""
        stays = [self.workspace]
        if self.keep:
            stays += [self.stage.home, *([self.project] if self.own else [])]
        if os.path.isdir(self.data):
            stays.append(f'{self.data} (README.md, "Where data lives", says what is in it)')
        return stays

    def close(self, abandoned: bool = False) -> None:
        """Ends what runs and removes what is not to stay; of an abandoned run that is all of it."""
        self.stage.end_client()
        if abandoned and not self.keep:
            self._forget()
        elif self.own and not self.keep:
            sample.remove(self.project)
        self.stage.close()

    def _forget(self) -> None:
        """An abandoned run leaves nothing; in a workspace that was there before, its orchestration is closed,
        so that nobody is offered to go on with it."""
        if self.own:
            shutil.rmtree(self.project, ignore_errors=True)
        elif self.fresh:
            shutil.rmtree(self.workspace, ignore_errors=True)
        elif hasattr(self, "watch") and self.watch.orchestration:
            words = ["--session-id", self.watch.orchestration, "--status", "failed"]
            subprocess.run(
                [PROGRAM, "--project", self.project, "tracker", "complete-session", *words],
                env=self.bare,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
            )
