"""The script of the demo's model: submits the plan, does what the digests say, works out the tasks."""

import json
import re
from typing import Any, Optional

from orchestrator.edges.demo import plan
from orchestrator.edges.demo.sample import Chosen
from orchestrator.edges.scripted_model import Reply, call, fail, say
from orchestrator.edges.scripted_request import Request, text_of

# What a digest offers, as it stands there: the only way the scripted main conversation learns what to do.
AGENT_CALL = re.compile(
    r'^- Agent\(subagent_type="(.+?)", description="(.+?)", prompt="(orchestrator task \S+)"\)$', re.M
)
WORKFLOW_CALL = 'Deploy now: Workflow(name="orchestrator:run")'
FAILED = "; deploy it again"
# The first act of an agent in a workflow, as workflows/run.js writes it; some clients indent it.
FETCH = re.compile(r"^\s*Run: (orchestrator brief \S+)\n\s*Your first act", re.M)
BY_CALLS = "orchestrator next --driver conversation"
# Seconds that each agent takes to think, so that a person can follow.
PACE = {"docs": 0.6, "code": 0.9, "tests": 0.6, "check": 0.6, "gaps": 0.6, "cases": 1.3, "summary": 0.6}


class Script:
    """What the model answers. `given` and `said` keep, by agent, the briefing it got and its last words."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self.plan = plan.make(chosen)
        self.tasks = {task["id"]: task for task in self.plan["tasks"]}
        self.planned = self.failed = False
        self.refused = ""  # why the plan was, if it was
        self.workflow = True  # whether this client has the tool
        self.resumed: Optional[bool] = False  # True: the user has said to go on; None: that was heard
        self.given: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self.results: dict[str, str] = {}
        self.deployed: dict[str, int] = {}

    def __call__(self, request: Request) -> Optional[Reply]:
        if request.compaction:
            return say("<summary>The user set a goal and agents are at work on it.</summary>")
        if request.auxiliary:
            return None
        return self.main(request) if request.main else self.agent(request)

    # The main conversation

    def main(self, request: Request) -> Reply:
        """Does what it was told since its last answer, and nothing else."""
        told = news(request)
        self.workflow = self.workflow and "Workflow" in request.tools
        if not self.planned:
            self.planned = True
            return Reply(
                call(
                    "Agent",
                    subagent_type="orchestrator:planner",
                    description="plan",
                    prompt=plan.GOAL,
                    run_in_background=True,
                )
            )
        if self.resumed:
            self.resumed = None
            return Reply(call("Bash", command=BY_CALLS))
        if FAILED in told and self.resumed is False:
            return say("One task failed, and three wait behind it. Shall I go on?")
        calls = [self._deploy(*each) for each in AGENT_CALL.findall(told)]
        if any(calls):
            return Reply(*filter(None, calls))
        if WORKFLOW_CALL in told:
            if not self.workflow:
                return Reply(call("Bash", command=BY_CALLS))
            return Reply(call("Workflow", name="orchestrator:run"))
        if "`orchestrator report`" in told:
            return Reply(call("Bash", command="orchestrator report"))
        return say("Nothing to do now.")

    def _deploy(self, agent: str, title: str, prompt: str) -> Optional[dict]:
        """The call that a digest offers. What has failed twice is not tried for ever."""
        self.deployed[prompt] = self.deployed.get(prompt, 0) + 1
        if self.deployed[prompt] > 2:
            return None
        return call("Agent", subagent_type=agent, description=title, prompt=prompt)

    # Agents

    def agent(self, request: Request) -> Reply:
        """The planner submits the plan; every other agent reads its briefing and works it out."""
        key, first = str(request.agent_id), request.first_text
        fetch = None if self._task(first) else FETCH.search(first)
        if fetch and not request.turn:
            return Reply(call("Bash", command=fetch[1]))
        if key not in self.given:
            self.given[key] = request.last_results[-1][1] if fetch and request.last_results else first
        name = self._task(self.given[key])
        if name is None:
            return say("NO BRIEFING") if fetch else self._planner(request, key)
        if name == plan.FAILS and not self.failed:
            self.failed = True
            return fail(500, "api_error", "out of order, as the demo wants it", delay=PACE[name])
        earlier = self._earlier(name, self.given[key])
        self.results[name] = self.said[key] = plan.result(name, self.chosen, earlier)
        return say(self.said[key]).after(PACE[name])

    def _task(self, briefing: str) -> Optional[str]:
        """Whose briefing it is, by its heading; a quoted file may hold anything else."""
        lines = set(briefing.splitlines())
        return next(
            (name for name, task in self.tasks.items() if f"# Task {name}: {task['title']}" in lines), None
        )

    def _planner(self, request: Request, key: str) -> Reply:
        if not request.turn:
            text = json.dumps(self.plan, indent=1)
            return Reply(call("Bash", command=f"orchestrator plan - <<'PLAN'\n{text}\nPLAN")).after(0.4)
        answer = request.last_results[-1][1] if request.last_results else "Nothing was accepted."
        self.said[key] = answer.split("\n")[0]
        if not answer.startswith("PLAN ACCEPTED"):
            self.refused = answer
        return say(self.said[key])

    def _earlier(self, name: str, briefing: str) -> dict[str, str]:
        """The results before this one, as far as its briefing really holds them."""
        before = {each: self.results.get(each, "") for each in self.tasks[name]["after"]}
        return {each: text for each, text in before.items() if text and text in briefing}


def news(request: Request) -> str:
    """Everything the main conversation was told since its last answer."""
    newest: list[Any] = []
    for message in request.messages:
        newest = [] if message.get("role") == "assistant" else newest + [text_of(message.get("content"))]
    return "\n".join(newest)
