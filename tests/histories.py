"""Histories filled as hooks fill them: events of a made-up client, handled for real, at times we choose."""

import json
import os

from orchestrator.edges import hooks
from orchestrator.edges.schemas import PlanTask, made, task_spec
from orchestrator.model.ids import tail
from orchestrator.services import plans
from orchestrator.store import open as store
from orchestrator.store import workspace

SESSION = "0b5e1f6a-0000-4000-8000-000000000001"
OTHER = "0b5e1f6a-0000-4000-8000-000000000002"


class Filled:
    """A project with a history, and the events that a client would send while agents work in it."""

    def __init__(self, folder, data):
        self.project = os.path.join(os.path.realpath(folder), "project")
        self.workspace = os.path.join(self.project, ".orchestrator")
        os.makedirs(os.path.join(self.project, "src"), exist_ok=True)
        with open(os.path.join(self.project, "src", "adder.py"), "w", encoding="utf-8") as f:
            f.write("def add(a, b):\n    return a + b\n")
        workspace.make(self.workspace, str(data))
        self.con = store.open_history(os.path.join(self.workspace, "history.db"))
        self.transcript = os.path.join(os.path.realpath(folder), "client", SESSION + ".jsonl")
        os.makedirs(os.path.dirname(self.transcript), exist_ok=True)
        self.minute, self.calls, self.orchestration = 0, 0, None
        self.hook("SessionStart", source="startup", model="claude-opus-4-8")

    @property
    def now(self):
        """The time of the next event; every event is a minute after the one before."""
        return "2026-11-20T%02d:%02d:00.000Z" % (8 + self.minute // 60, self.minute % 60)

    def hook(self, event, session=SESSION, **fields):
        """Handles one event; returns the answer as a value, or None."""
        self.minute += 1
        common = {
            "hook_event_name": event,
            "session_id": session,
            "transcript_path": self.transcript,
            "cwd": self.project,
        }
        text = json.dumps({**common, **fields})
        answer = hooks.handle(
            self.con,
            text,
            event,
            os.getpid() if session == SESSION else os.getppid(),  # a process has one conversation at a time
            self.now,
            self.project,
            self.workspace,
            "%s %d" % (event, self.minute),
        )
        return json.loads(answer) if answer and answer.startswith("{") else answer

    def plan(self, goal, *tasks):
        """Accepts a plan, as a planner would submit it; returns the orchestration's id."""
        specs = [task_spec(made(PlanTask, {"prompt": "do it", **task})[0]) for task in tasks]
        self.minute += 1
        self.orchestration = plans.accept(
            self.con, self.project, goal, specs, orchestration_id=None, session=SESSION, now=self.now
        )
        return self.orchestration

    def deploy(
        self,
        task=None,
        agent_type="general-purpose",
        description="look",
        prompt="look around",
        session=SESSION,
        **more,
    ):
        """An Agent call that was launched and began: (agent id, call, agent type)."""
        self.calls += 1
        call, agent = "toolu_%03d" % self.calls, "a%s" % tail(16)
        given = {"subagent_type": agent_type, "description": description, "prompt": prompt, **more}
        if task:
            given["prompt"] = "orchestrator task " + task
        common = {"session": session, "tool_name": "Agent", "tool_use_id": call}
        answer = (self.hook("PreToolUse", tool_input=given, **common) or {}).get("hookSpecificOutput", {})
        assert answer.get("permissionDecision") != "deny", answer
        changed = answer.get("updatedInput", given)
        self.hook("SubagentStart", session=session, agent_id=agent, agent_type=changed["subagent_type"])
        response = {"status": "async_launched", "agentId": agent, "resolvedModel": "claude-opus-4-8"}
        self.hook("PostToolUse", tool_input=changed, tool_response=response, **common)
        return agent, call, changed["subagent_type"]

    def end(self, started, message, *, status="completed", tokens=12_345, lines=()):
        """A normal end: SubagentStop with a transcript, then the notification."""
        agent, call, agent_type = started
        self.write_transcript(agent, call, lines or [assistant("m-" + agent, message)])
        self.hook(
            "SubagentStop",
            agent_id=agent,
            agent_type=agent_type,
            last_assistant_message=message,
            agent_transcript_path=self.path_of(agent),
            stop_hook_active=False,
        )
        return self.notify(agent, call, status, message, tokens)

    def fail(self, started, error="API Error: 500 it broke"):
        """An end because the model could not be reached."""
        agent, call, agent_type = started
        self.write_transcript(agent, call, [])
        self.hook(
            "StopFailure",
            agent_id=agent,
            agent_type=agent_type,
            error="server_error",
            last_assistant_message=error,
        )
        return self.notify(agent, call, "failed", None, None)

    def notify(self, agent, call, status, result, tokens):
        """The task-notification that wakes the main conversation."""
        body = "" if result is None else "<result>%s</result>\n" % result
        used = "" if tokens is None else "<usage><subagent_tokens>%d</subagent_tokens></usage>\n" % tokens
        return self.hook(
            "UserPromptSubmit",
            prompt=(
                "<task-notification>\n<task-id>%s</task-id>\n<tool-use-id>%s</tool-use-id>\n<status>%s</status>\n"
                "<summary>Agent ended</summary>\n%s%s</task-notification>" % (agent, call, status, body, used)
            ),
        )

    def path_of(self, agent):
        """Where an agent's transcript lies."""
        return os.path.join(self.transcript[:-6], "subagents", "agent-%s.jsonl" % agent)

    def write_transcript(self, agent, call, lines):
        """An agent's transcript and its meta file, as the client leaves them."""
        path = self.path_of(agent)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)
        with open(path[:-6] + ".meta.json", "w", encoding="utf-8") as f:
            json.dump({"toolUseId": call}, f)

    def settle(self):
        """Reads the transcripts that have ended, as the next hook or command would."""
        from orchestrator.recording import usage
        from orchestrator.store.open import writing

        self.minute += 1
        with writing(self.con):
            usage.due(self.con, self.project, self.now)

    def rows(self, sql, *values):
        """What a query finds."""
        return self.con.execute(sql, values).fetchall()

    def id_of(self, task, attempt=1):
        """The execution of a task's attempt."""
        return self.rows(
            "SELECT execution_id FROM executions WHERE orchestration_id = ? AND task_id = ? AND attempt = ?",
            self.orchestration,
            task,
            attempt,
        )[0][0]


def assistant(
    message_id,
    text="",
    *,
    model="claude-opus-4-8",
    used=(100, 20, 300, 40),
    tools=(),
    at="2026-11-20T08:30:00.000Z",
):
    """An assistant's line of a transcript; tools: (id, name, input); used: tokens in, written, read, out."""
    content = [{"type": "tool_use", "id": call, "name": name, "input": given} for call, name, given in tools]
    content += [{"type": "text", "text": text}] if text else []
    usage = {
        "input_tokens": used[0],
        "cache_creation_input_tokens": used[1],
        "cache_read_input_tokens": used[2],
        "output_tokens": used[3],
    }
    return {
        "type": "assistant",
        "timestamp": at,
        "message": {
            "id": message_id,
            "model": model,
            "role": "assistant",
            "stop_reason": "tool_use" if tools else "end_turn",
            "content": content,
            "usage": usage,
        },
    }


def answered(call, text="ok", *, error=False, patch=()):
    """The user's line that answers a tool call; patch: the lines of its change."""
    block = {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": error}
    return {
        "type": "user",
        "message": {"role": "user", "content": [block]},
        "toolUseResult": {"structuredPatch": [{"lines": list(patch)}]} if patch else text,
    }


def fill(filled):
    """A scout, a builder that fails and is retried, a tester; one agent unplanned, one lost."""
    filled.plan(
        "add CSV export",
        {"id": "t1", "title": "Look around", "agent": "orchestrator:scout", "files": ["src/adder.py"]},
        {
            "id": "t2",
            "title": "Write the export",
            "agent": "orchestrator:builder",
            "after": ["t1"],
            "writes": ["src/**"],
        },
        {
            "id": "t3",
            "title": "Test it",
            "agent": "orchestrator:tester",
            "after": ["t2"],
            "files": ["src/adder.py"],
        },
        {"id": "t4", "title": "Announce it", "agent": "orchestrator:documenter"},
    )
    filled.end(
        filled.deploy("t1"),
        "Adders are in src/adder.py.\nInsights:\n- rows are sums of adders",
        lines=[
            assistant("m1", tools=[("c1", "Read", {"file_path": filled.project + "/src/adder.py"})]),
            answered("c1"),
            assistant("m2", "Adders are in src/adder.py.", used=(10, 0, 400, 60)),
        ],
    )
    filled.fail(filled.deploy("t2"))
    with open(os.path.join(filled.project, "src", "csv_export.py"), "w", encoding="utf-8") as f:
        f.write("import csv\n")
    filled.end(
        filled.deploy("t2"),
        "Wrote it.\nDeliverables:\n- src/csv_export.py\nValidation:\n- tests: pass",
        lines=[
            assistant(
                "m3",
                tools=[
                    (
                        "c2",
                        "Write",
                        {"file_path": filled.project + "/src/csv_export.py", "content": "import csv\n"},
                    ),
                    ("c3", "Bash", {"command": "rm -r /"}),
                ],
            ),
            answered("c2"),
            answered("c3", "Permission to use Bash has been denied.", error=True),
            assistant("m4", "Wrote it."),
        ],
    )
    filled.end(filled.deploy("t3"), "It works.\nValidation:\n- tests: pass\n- lint: fail")
    filled.deploy(agent_type="Explore", description="elsewhere", session=OTHER)
    filled.hook("SessionEnd", session=OTHER, reason="other")
    filled.deploy(agent_type="Explore", description="around")
    filled.deploy("t4")
    filled.settle()
    return filled
