"""Streams: what both clients send while agents work, with the files they leave; and the rows that come of it."""

import atexit
import functools
import json
import os
import shutil
import tempfile
from pathlib import Path

from orchestrator.edges import hooks
from orchestrator.store import open as store
from orchestrator.store import workspace

SESSION = "5e55104e-0000-4000-8000-000000000001"
MODELS = {"329": "claude-opus-5-5", "197": "claude-opus-4-8[1m]"}
ENDS = ("normal", "api_error", "max_turns", "stopped", "refused", "denied", "handback", "plain")
SAID = "Found it in src/adder.py.\nDeliverables:\n- src/adder.py\nInsights:\n- %s adds"


def at(count):
    """The time of the n-th arrival."""
    return "2026-11-20T%02d:%02d:%02d.000Z" % (8 + count // 3600, count // 60 % 60, count % 60)


class World:
    """A project, the client's folder beside it, and the events of one Claude session in true order."""

    def __init__(self, folder=None, version="329", disk=True, heard=None):
        self.heard = heard  # called with each event as soon as it is sent
        self.folder = os.path.realpath(folder or tempfile.mkdtemp(prefix="streams-"))
        self.version, self.disk = version, disk
        self.project = os.path.join(self.folder, "project")
        os.makedirs(os.path.join(self.project, "src"), exist_ok=True)
        Path(self.project, "src", "adder.py").write_text("def add(a, b):\n    return a + b\n")
        self.main = os.path.join(self.folder, "client", SESSION + ".jsonl")
        os.makedirs(self.main[:-6], exist_ok=True)
        self.events, self.turn = [], 0
        self.pairs = {}  # agent id -> its Agent call, or None
        self.expected = {}  # agent id, or call where none began -> (status, reason, final message)
        self.event("SessionStart", source="startup", model=MODELS[version])
        self.prompt("start")

    def close(self):
        """Removes everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # What the client sends ------------------------------------------------------------------------

    def event(self, name, **fields):
        """One event, appended in true order; returns it."""
        common = {
            "session_id": SESSION,
            "transcript_path": self.main,
            "cwd": self.project,
            "hook_event_name": name,
        }
        if name not in ("SessionStart", "SessionEnd"):
            common.update(prompt_id="prompt-%d" % self.turn, permission_mode="default")
        self.events.append({**common, **fields})
        if self.heard:
            self.heard(self, self.events[-1])
        return self.events[-1]

    def prompt(self, text):
        """A prompt of the user, or a notification: another turn."""
        self.turn += 1
        self.event("UserPromptSubmit", prompt=text)

    def stop(self, *running):
        """The end of a turn, with what still runs."""
        self.event(
            "Stop",
            stop_hook_active=False,
            last_assistant_message="main",
            background_tasks=[{"id": agent, "type": "subagent", "status": "running"} for agent in running],
        )

    def agent(
        self,
        number,
        end="normal",
        background=True,
        parent=None,
        agent_type="general-purpose",
        message="again",
    ):
        """One Agent call and all that follows of it. Returns its agent id (None where no agent began)."""
        call, agent = "toolu_%03d" % number, "a%016x" % (number * 7919)
        said = SAID % call
        asked = {
            "description": "task %d" % number,
            "prompt": "Do %d." % number,
            "subagent_type": agent_type,
            "run_in_background": background,
        }
        caller = {"agent_id": parent, "agent_type": "general-purpose"} if parent else {}
        tool = {**caller, "tool_name": "Agent", "tool_input": asked, "tool_use_id": call}
        self.event("PreToolUse", **tool)
        if end == "denied":
            self.expected[call] = ("failed", "never_started", None)
            return None
        if end == "refused":
            self.event("PostToolUseFailure", **tool, error="Agent type 'x' not found", is_interrupt=False)
            self.expected[call] = ("failed", "refused", None)
            return None
        who = {"agent_id": agent, "agent_type": agent_type}
        self.event("SubagentStart", **who)
        given = {"agentId": agent, "resolvedModel": MODELS[self.version], "prompt": asked["prompt"]}
        if background:
            self.event(
                "PostToolUse", **tool, tool_response={"isAsync": True, "status": "async_launched", **given}
            )
        self.pairs[agent] = call
        lines = [user(asked["prompt"])]
        if end != "api_error":
            lines += [
                assistant(
                    agent + "-1",
                    tools=[("c-" + agent, "Read", {"file_path": self.project + "/src/adder.py"})],
                ),
                result("c-" + agent),
            ]
        result_text, status = said, "completed"
        if end in ("normal", "handback", "plain"):
            lines.append(assistant(agent + "-2", said))
        if end == "normal":
            self.event(
                "SubagentStop",
                **who,
                stop_hook_active=False,
                last_assistant_message=said,
                **self._file(agent),
            )
            self.expected[agent] = ("completed", "end_turn", said)
        elif end == "handback":
            self.event(
                "PostToolUse",
                **who,
                tool_name="SubagentHandback",
                tool_input={"message": said},
                tool_response={},
                tool_use_id="toolu_hand%d" % number,
            )
            self.prompt(
                '<agent-message from="%s">\n  Note\n[Subagent hand-back] done. The report follows:\n%s\n'
                "</agent-message>" % (agent, "\n".join("  " + line for line in said.split("\n")))
            )
            self.event("SubagentStop", **who, stop_hook_active=False, **self._file(agent))
            self.expected[agent] = ("completed", "end_turn", said)
        elif end == "plain":  # sent back to deliver a report, it only talks
            for n, words in enumerate(("first words", "second words", said)):
                self.event(
                    "SubagentStop",
                    **who,
                    stop_hook_active=n > 0,
                    last_assistant_message=words,
                    **self._file(agent),
                )
            self.expected[agent] = ("completed", "end_turn", said)
            result_text = "The subagent ended without delivering a report."
        elif end == "api_error":
            error = "API Error: 500 scripted"
            lines.append(api_error(agent + "-e", error))
            self.event("StopFailure", **who, error="server_error", last_assistant_message=error)
            status, result_text = ("failed", None) if self.version == "329" else ("completed", error)
            self.expected[agent] = ("failed", "api_error", None)
        elif end == "max_turns":
            said = "so far: %s" % call
            lines.insert(1, assistant(agent + "-0", said, tools=[("d-" + agent, "Bash", {"command": "ls"})]))
            lines.insert(2, result("d-" + agent))
            result_text = said
            if self.version == "329":
                result_text += "\n(stopped at its 2-turn limit; partial result)"
            self.expected[agent] = ("failed", "max_turns", None)
        elif end == "stopped":
            self.event(
                "PostToolUse",
                tool_name="TaskStop",
                tool_input={"task_id": agent},
                tool_response={"message": "ok"},
                tool_use_id="toolu_stop%d" % number,
            )
            status, result_text = "killed", None
            self.expected[agent] = ("failed", "stopped", None)
        self.write(agent, call, lines, agent_type, asked["description"], parent)
        self._ended(agent, call, tool, given, background, end, status, result_text)
        return agent

    def _ended(self, agent, call, tool, given, background, end, status, text):
        """How the main conversation hears of an end."""
        if not background:
            if end != "stopped":
                self.event(
                    "PostToolUse",
                    **tool,
                    tool_response={
                        "status": "completed",
                        **given,
                        "totalTokens": 9004,
                        "content": [
                            {
                                "type": "text",
                                "text": "<tools-used-before-summary>Read</tools-used-before-summary>\n",
                            },
                            {"type": "text", "text": text or "API Error"},
                        ],
                    },
                )
            return
        if end == "handback" or (end == "stopped" and self.version == "197"):
            return
        self.notify(agent, call, status, text)

    def notify(self, agent, call, status, text):
        """A task-notification, which is a turn of its own."""
        words = {
            "completed": "finished",
            "failed": "failed: Agent terminated early due to an API error: API Error: 500",
            "killed": "was stopped",
        }[status]
        body = (
            ""
            if text is None
            else "<result>%s</result>\n<usage><subagent_tokens>7495</subagent_tokens></usage>\n" % text
        )
        self.prompt(
            "<task-notification>\n<task-id>%s</task-id>\n<tool-use-id>%s</tool-use-id>\n<output-file>x</output-file>\n"
            '<status>%s</status>\n<summary>Agent "task" %s</summary>\n%s</task-notification>'
            % (agent, call, status, words, body)
            if call
            else '<task-notification>\n<task-id>%s</task-id>\n<status>%s</status>\n<summary>Agent "task" %s</summary>\n%s'
            "</task-notification>" % (agent, status, words, body)
        )

    def message(self, agent, number, said, same_turn=False):
        """SendMessage to an agent that has ended: another segment, ended normally."""
        call = "toolu_send%d" % number
        if not same_turn:
            self.prompt("more")
        self.event(
            "PostToolUse",
            tool_name="SendMessage",
            tool_use_id=call,
            tool_input={"to": agent, "message": "more"},
            tool_response={"success": True, "resumedAgentId": agent},
        )
        self.event("SubagentStart", agent_id=agent, agent_type="general-purpose")
        self._ended_again(agent, call, number, said)

    def typed(self, agent, number, said):
        """A person types to an agent that has ended, in its own view: another segment, of which the client names no call."""
        self.turn += 1
        if self.version == "329":
            self.prompt("<task-notification>\n<task-id>%s</task-id>\n<summary>Agent \"task\" was resumed by the user</summary>\n"
                        "<note>Do not relaunch it.</note>\n</task-notification>" % agent)  # fmt: skip
        self.event("SubagentStart", agent_id=agent, agent_type="general-purpose")
        self._ended_again(agent, None, number, said)

    def _ended_again(self, agent, call, number, said):
        """What is heard and written of the end of another segment, a normal one."""
        self.event(
            "SubagentStop",
            agent_id=agent,
            agent_type="general-purpose",
            stop_hook_active=False,
            last_assistant_message=said,
            **self._file(agent),
        )
        self.append(agent, [user("more"), assistant("%s-m%d" % (agent, number), said)])
        self.notify(agent, call, "completed", said)
        self.expected[agent] = self.expected[agent][:2] + (said,)

    def skill(self, number):
        """A skill with a context of its own: an agent that no Agent call began."""
        agent = "a%016x" % (number * 7919)
        who = {"agent_id": agent, "agent_type": "Explore"}
        self.pairs[agent] = None
        self.event("SubagentStart", **who)
        self.write(agent, None, [user("FORKED"), assistant(agent + "-1", "forked")], "Explore", None, None)
        self.event(
            "SubagentStop",
            **who,
            stop_hook_active=False,
            last_assistant_message="forked",
            **self._file(agent),
        )
        self.expected[agent] = ("completed", "end_turn", "forked")
        return agent

    def teammate(self, number, messages=0):
        """A member of an agent team: ended by each of its turns, listed as running until the session ends."""
        call, name = "toolu_%03d" % number, "mate%d" % number
        agent, team = "a%s-%016x" % (name, number * 7919), "session-5e55104e"
        asked = {"description": "task %d" % number, "prompt": "Do %d." % number, "subagent_type": "Explore", "name": name}
        tool = {"tool_name": "Agent", "tool_input": asked, "tool_use_id": call}
        self.event("PreToolUse", **tool)
        given = {"agentId": agent, "resolvedModel": MODELS["329"]} if self.version == "329" else {}
        given.update(status="teammate_spawned", teammate_id="%s@%s" % (name, team), name=name, prompt=asked["prompt"])
        who = {"agent_id": agent, "agent_type": name}
        self.pairs[agent] = call
        self.event("PostToolUse", **tool, tool_response=given)
        self.event("SubagentStart", **who)
        listed = asked["description" if self.version == "329" else "prompt"]
        running = [{"id": "t%08x" % number, "type": "teammate", "status": "running", "description": listed}]
        self.event("Stop", stop_hook_active=False, last_assistant_message="main", background_tasks=running)
        meta = {"agentType": name, "description": asked["description"], "name": name, "spawnDepth": 0,
                "taskKind": "in_process_teammate", "teamName": team}  # fmt: skip
        for turn in range(1 + messages):
            said = "turn %d of %s" % (turn, name)
            if turn:
                self.prompt("more")
                self.event("SubagentStart", **who)
                self.append(agent, [user("more"), assistant("%s-%d" % (agent, turn), said)])
            else:
                self.write(agent, None, [user(asked["prompt"]), assistant(agent + "-0", said)], name, None, None)
                if self.disk:
                    Path(self.path(agent)[:-6] + ".meta.json").write_text(json.dumps(meta))
            self.event(
                "SubagentStop", **who, stop_hook_active=False, last_assistant_message=said, **self._file(agent)
            )
            self.expected[agent] = ("completed", "end_turn", said)
        return agent

    def workflow(self, number, ends=("normal",)):
        """Somebody's workflow with one agent for each end."""
        call, run, task = "toolu_wf%d" % number, "wf_%08x-abc" % number, "w%08x" % number
        tool = {"tool_name": "Workflow", "tool_input": {"name": "their:flow"}, "tool_use_id": call}
        self.event("PreToolUse", **tool)
        self.event(
            "PostToolUse", **tool, tool_response={"status": "async_launched", "taskId": task, "runId": run}
        )
        for place, end in enumerate(ends):
            agent = "a%016x" % (number * 7919 + place)
            who = {"agent_id": agent, "agent_type": "workflow-subagent"}
            self.pairs[agent] = None
            self.event("SubagentStart", **who)
            lines = [user("part %d" % place)]
            if end == "normal":
                lines.append(assistant(agent + "-1", "part done"))
                self.event(
                    "SubagentStop",
                    **who,
                    stop_hook_active=False,
                    last_assistant_message="part done",
                    **self._file(agent, run),
                )
                self.expected[agent] = ("completed", "end_turn", "part done")
            else:
                lines.append(api_error(agent + "-e", "API Error: 400 no"))
                self.event("StopFailure", **who, error="unknown", last_assistant_message="API Error: 400 no")
                self.expected[agent] = ("failed", "api_error", None)
            self.write(agent, None, lines, "workflow-subagent", None, None, run)
        self.prompt(
            "<task-notification>\n<task-id>%s</task-id>\n<tool-use-id>%s</tool-use-id>\n<status>completed</status>\n"
            '<summary>Dynamic workflow "d" completed</summary>\n<result>{}</result>\n</task-notification>'
            % (task, call)
        )

    def compaction(self, number):
        """Compaction's hidden agent: an end without a type, no file."""
        agent = "a%016x" % (number * 7919)
        self.event("PreCompact", trigger="auto", custom_instructions=None)
        self.event(
            "SubagentStop",
            agent_id=agent,
            agent_type="",
            stop_hook_active=False,
            last_assistant_message="<summary>s</summary>",
            **self._file(agent),
        )
        self.event("PostCompact", trigger="auto", compact_summary="s")

    # What the client leaves on disk ---------------------------------------------------------------

    def path(self, agent, run=None):
        """Where an agent's transcript lies."""
        parts = ["subagents"] + (["workflows", run] if run else [])
        return os.path.join(self.main[:-6], *parts, "agent-%s.jsonl" % agent)

    def _file(self, agent, run=None):
        return {"agent_transcript_path": self.path(agent, run), "background_tasks": []}

    def write(self, agent, call, lines, agent_type, description, parent, run=None):
        """An agent's transcript and meta file, as each client writes them."""
        if not self.disk:
            return
        path = self.path(agent, run)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        meta = {
            "agentType": agent_type,
            "description": description,
            "toolUseId": call,
            "spawnDepth": 2 if parent else 1,
        }
        if self.version == "329":
            meta.update(parentAgentId=parent, finished=True)
        lines[0].update(timestamp=at(len(self.events)), promptId="prompt-%d" % self.turn)
        Path(path[:-6] + ".meta.json").write_text(
            json.dumps({k: v for k, v in meta.items() if v is not None})
        )
        Path(path).write_text("")
        self.append(agent, lines, run)

    def append(self, agent, lines, run=None):
        """Further lines of an agent's transcript."""
        if self.disk:
            with open(self.path(agent, run), "a", encoding="utf-8") as f:
                f.writelines(json.dumps(line) + "\n" for line in lines)


def user(text):
    """A prompt's line of a transcript."""
    return {"type": "user", "message": {"role": "user", "content": text}}


def result(call, text="ok"):
    """The line that answers a tool call."""
    return {
        "type": "user",
        "message": {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call, "content": text, "is_error": False}],
        },
    }


def assistant(message, text=None, tools=()):
    """An assistant's line."""
    content = [{"type": "text", "text": text}] if text else []
    content += [{"type": "tool_use", "id": call, "name": name, "input": given} for call, name, given in tools]
    return {
        "type": "assistant",
        "timestamp": "2026-11-20T08:30:00.000Z",
        "message": {
            "id": "msg_" + message,
            "model": "claude-opus-5-5",
            "role": "assistant",
            "content": content,
            "stop_reason": "tool_use" if tools else "end_turn",
            "usage": {
                "input_tokens": 20,
                "cache_creation_input_tokens": 30,
                "cache_read_input_tokens": 40,
                "output_tokens": 5,
            },
        },
    }


def api_error(message, text):
    """The line a client writes where the model could not be reached."""
    line = assistant(message, text)
    line["isApiErrorMessage"] = True
    line["message"].update(model="<synthetic>", stop_reason="stop_sequence")
    return line


@functools.cache
def _empty():
    """An empty history, made once: the schema takes longer than a stream."""
    folder = tempfile.mkdtemp(prefix="history-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, "history.db")
    store.open_history(path).close()
    return path


# Taking them in -----------------------------------------------------------------------------------


class History:
    """A history of its own over a world's files, and the events that were handled into it."""

    process = ("here", "boot", 1, "1")  # the client's: one of another machine, of which nothing is known

    def __init__(self, world, data=None):
        self.world = world
        self.workspace = os.path.join(tempfile.mkdtemp(prefix="history-", dir=world.folder), ".orchestrator")
        workspace.make(self.workspace, data or os.path.join(world.folder, "data"))
        self.path = os.path.join(self.workspace, "history.db")
        shutil.copy(_empty(), self.path)
        self.con = store.open_history(self.path)
        self.con.execute("PRAGMA synchronous = OFF")
        self.count = 0

    at = staticmethod(at)

    def take(self, event, number=None, late=False, con=None):
        """Handles one event, given as a value or as text. `number`: that of its arrival, where that is not now."""
        self.count += 1
        text = event if isinstance(event, str) else json.dumps(event)
        name = event.get("hook_event_name", "") if isinstance(event, dict) else ""
        return hooks.handle(
            con or self.con,
            text,
            name,
            self.process,
            at(self.count if number is None else number),
            self.world.project,
            self.workspace,
            "event %d" % self.count,
            late=late,
        )

    def settle(self):
        """A last Stop of the session, at which nothing runs any more."""
        self.take(
            {
                "session_id": SESSION,
                "transcript_path": self.world.main,
                "cwd": self.world.project,
                "prompt_id": "last",
                "hook_event_name": "Stop",
                "stop_hook_active": False,
                "background_tasks": [],
            }
        )

    def rows(self):
        """Everything that is kept of executions, without ids that are made up and times of arrival."""
        executions = self.con.execute(
            "SELECT execution_id, COALESCE(agent_id, tool_use_id), tool_use_id, agent_id, "
            "claude_session_id, origin, runtime, "
            "parent_agent_id, agent_type, scope, model, resolved_model, status, end_reason, "
            "inferred, success, error_message, "
            "final_message, context_size, transcript_path FROM executions"
        ).fetchall()
        found = {}
        for row in executions:
            segments = self.con.execute(
                "SELECT ordinal, status, end_reason, final_message FROM segments WHERE execution_id = ? "
                "ORDER BY ordinal",
                row[:1],
            ).fetchall()
            outputs = sorted(
                self.con.execute(
                    "SELECT output_type, content FROM outputs WHERE execution_id = ?", row[:1]
                ).fetchall()
            )
            calls = self.con.execute(
                "SELECT tool, calls, refused, failed FROM tool_calls WHERE execution_id = ? ORDER BY tool",
                row[:1],
            ).fetchall()
            usage = self.con.execute(
                "SELECT sum(messages), sum(input_tokens), sum(output_tokens) FROM usage WHERE owner = ? "
                "AND kind = 'execution'",
                row[:1],
            ).fetchone()
            assert row[1] not in found, "two executions of " + row[1]
            found[row[1]] = (row[2:], segments, outputs, calls, usage)
        return found

    def ends(self):
        """{agent id, or call where none began: (status, reason, inferred)}."""
        return {
            row[0]: row[1:]
            for row in self.con.execute(
                "SELECT COALESCE(agent_id, tool_use_id), status, end_reason, inferred FROM executions"
            )
        }

    def unsound(self):
        """What no order of signals may ever leave behind, a sentence each."""
        found = []
        for what, sql in (
            ("an execution ended before it began", "completed_at < started_at OR completed_at < deployed_at"),
            (
                "an execution deployed with an end",
                "status = 'deployed' AND (completed_at IS NOT NULL OR success IS NOT NULL)",
            ),
            (
                "an end without its reason",
                "status != 'deployed' AND (end_reason IS NULL OR completed_at IS NULL)",
            ),
            ("success against status", "status != 'deployed' AND success != (status = 'completed')"),
            ("an execution of nobody", "agent_id IS NULL AND tool_use_id IS NULL AND runtime = 'agent'"),
        ):
            found += [
                what + ": " + str(row)
                for row in self.con.execute(
                    "SELECT execution_id, agent_id, tool_use_id, status FROM executions WHERE " + sql
                )
            ]
        found += [
            "events of an execution that is not there: %s" % row
            for row in self.con.execute(
                "SELECT execution_id FROM events WHERE execution_id IS NOT NULL AND execution_id NOT IN "
                "(SELECT execution_id FROM executions)"
            )
        ]
        return found
