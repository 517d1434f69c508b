"""Conversations: clients of one project beside each other, each in one conversation at a time, which it leaves (/clear, /resume),
ends, and is killed in, while agents begin, end and are put to work again; and what must be told of these agents all the while."""

import json
import os
import random
from pathlib import Path

from orchestrator.services.conditions import Where
from streams import History, assistant, at, user

# What becomes of a signal, and how often. A late one is that of a hook which could not write at once, and left it in the journal.
HEARD = {"heard": 1}
FAULTY = {"heard": 84, "dropped": 4, "doubled": 4, "late": 8}
UNTOLD = 0.1  # of the ends, where signals are dropped: neither the agent's own hook nor the notification is heard
PROCESSES = 3  # at most, at once
WORDS = ('<task-notification>\n<task-id>%s</task-id>\n<tool-use-id>%s</tool-use-id>\n<status>completed</status>\n'
         '<summary>Agent "task" finished</summary>\n<result>%s</result>\n</task-notification>')  # fmt: skip


class Agent:
    """An agent as it is: its `state` is at work, ended, died, or unheard (at work, and nothing told so)."""

    def __init__(self, number, process, conversation):
        self.name, self.call = "a%016x" % (number * 7919), "toolu_%d" % number
        self.process, self.conversation = process, conversation
        self.first_call = self.call  # that began it; `call` is the last that put it to work
        self.state, self.has_ended, self.said = "at work", False, None


class Clients:
    """Clients that do what a seed has them do, and the history that hears of it.

    `guests`: several may be in one conversation at once. `wrong`: what the history said against the truth; `story`: what
    happened until then, and whether it was heard.
    """

    def __init__(self, folder, seed, guests=False, fates=None):
        self.folder, self.guests, self.fates, self.faulty = folder, guests, fates or HEARD, bool(fates)
        self.chance = random.Random(seed)
        self.project = os.path.join(folder, "project")
        os.makedirs(self.project)
        self.history = History(self)
        self.number = 0  # counts everything that needs a name
        self.processes = {}  # each that lives, and the conversation it is in
        self.conversations, self.agents, self.late = [], [], []
        self.wrong, self.story = [], []

    def lives(self, host, boot, process, started):
        """In the place of sessions.alive: whether a process is one of these."""
        return process in self.processes

    def play(self, steps):
        """So many steps, or until something is wrong; then everything ends."""
        for _ in range(steps):
            self.step()
            if self.wrong:
                return
        self.finish()

    # What the client sends ------------------------------------------------------------------------

    def send(self, process, event, **fields):
        """A signal of the conversation that a process is in, and what is told then. Returns what became of it."""
        conversation = self.processes[process]
        signal = {"session_id": conversation, "transcript_path": self.main(conversation), "cwd": self.project,
                  "hook_event_name": event, **fields}  # fmt: skip
        if event not in ("SessionStart", "SessionEnd"):
            signal = {"prompt_id": "prompt-%d" % self.number, "permission_mode": "default", **signal}
        fate = self.chance.choices(list(self.fates), list(self.fates.values()))[0]
        about = [fields[key] for key in ("source", "reason", "agent_id", "tool_use_id") if key in fields]
        self.tell(process, event, conversation[-2:], *about, fate)
        if fate == "late":
            self.history.count += 1
            self.late.append((process, signal, self.history.count))
            return fate
        if self.late and self.chance.random() < 0.5:
            self.replay()
        for _ in range({"dropped": 0, "heard": 1, "doubled": 2}[fate]):
            self.take(process, signal)
        self.check()
        return fate

    def tell(self, *words):
        """Another line of the story."""
        self.story.append("%d: %s" % (len(self.story) + 1, " ".join(map(str, words))))

    def take(self, process, signal, *arrival, **how):
        """Has the history hear a signal of a process."""
        self.history.process = ("here", "boot pid:[1]", process, str(process))
        self.history.take(signal, *arrival, **how)

    def replay(self):
        """The signals that are late arrive."""
        for process, signal, number in self.late:
            self.tell(process, signal["hook_event_name"], signal["session_id"][-2:], "arrives")
            self.take(process, signal, number, late=True)
        self.late = []

    # What the client leaves on disk ---------------------------------------------------------------

    def main(self, conversation):
        """Where a conversation's transcript lies."""
        return os.path.join(self.folder, "client", conversation + ".jsonl")

    def path(self, agent):
        """Where the client writes an agent's transcript: with the conversation that its process is in."""
        return os.path.join(self.main(self.processes[agent.process])[:-6], "subagents", "agent-%s.jsonl" % agent.name)

    def write(self, agent, line):
        """A further line of an agent's transcript, of now."""
        path = Path(self.path(agent))
        if not path.exists():
            meta = {"agentType": "general-purpose", "description": "task", "toolUseId": agent.first_call, "spawnDepth": 1}
            path.with_suffix(".meta.json").write_text(json.dumps(meta))
        with open(path, "a", encoding="utf-8") as transcript:
            transcript.write(json.dumps({**line, "timestamp": at(self.history.count)}) + "\n")

    # What happens ---------------------------------------------------------------------------------

    def another(self):
        """A number that nothing else has."""
        self.number += 1
        return self.number

    def begun(self):
        """Another conversation, with nothing in it. Returns its id."""
        conversation = "5e55104e-0000-4000-8000-%012d" % len(self.conversations)
        self.conversations.append(conversation)
        os.makedirs(os.path.join(self.main(conversation)[:-6], "subagents"))
        Path(self.main(conversation)).touch()
        return conversation

    def free(self, but=None):
        """The conversations that a process may go on with: those that no other is in, or else with `guests` all `but` its own."""
        taken = {but} if self.guests else set(self.processes.values())
        return [conversation for conversation in self.conversations if conversation not in taken]

    def launch(self, conversation=None):
        """A process begins, or goes on with a conversation. Returns its number."""
        process = 100 + self.another()
        self.processes[process] = conversation or self.begun()
        self.send(process, "SessionStart", source="resume" if conversation else "startup")
        self.prompt(process)
        return process

    def prompt(self, process, text="go"):
        """A prompt of the user, or a notification."""
        self.another()
        self.send(process, "UserPromptSubmit", prompt=text)

    def stop(self, process):
        """The end of a turn, with what is at work."""
        running = [{"id": agent.name, "type": "subagent", "status": "running"} for agent in self.working(process)]
        self.send(process, "Stop", stop_hook_active=False, last_assistant_message="main", background_tasks=running)

    def working(self, process):
        """The agents that are at work in a process, heard or not."""
        return [agent for agent in self.agents if agent.process == process and agent.state in ("at work", "unheard")]

    def leave(self, process, conversation=None):
        """/clear, or /resume of another conversation."""
        self.send(process, "SessionEnd", reason="resume" if conversation else "clear")
        self.processes[process] = conversation or self.begun()
        self.send(process, "SessionStart", source="resume" if conversation else "clear")
        if self.chance.random() < 0.8:
            self.prompt(process)

    def kill(self, process):
        """kill -9: what is at work dies with the process, and nothing tells it."""
        self.tell(process, "is gone")
        for agent in self.working(process):
            agent.state = "died"
        del self.processes[process]

    def exit(self, process):
        """The process ends, and says so while it still lives; what is at work dies with it."""
        for agent in self.working(process):
            agent.state = "died"
        self.send(process, "SessionEnd", reason="other")
        self.kill(process)

    def deploy(self, process):
        """An agent begins in the background; its own hook and the return of its call come in either order."""
        agent = Agent(self.another(), process, self.processes[process])
        asked = {"description": "task", "prompt": "Do it.", "subagent_type": "general-purpose", "run_in_background": True}
        tool = {"tool_name": "Agent", "tool_use_id": agent.call, "tool_input": asked}
        self.send(process, "PreToolUse", **tool)
        self.agents.append(agent)
        back = {"isAsync": True, "status": "async_launched", "agentId": agent.name}
        signals = [("SubagentStart", {"agent_id": agent.name, "agent_type": "general-purpose"}),
                   ("PostToolUse", {**tool, "tool_response": back})]  # fmt: skip
        self.chance.shuffle(signals)
        for event, fields in signals:
            self.send(process, event, **fields)
        self.write(agent, user("Do it."))

    def message(self, agent, process):
        """SendMessage puts an agent that is not at work to work again, in this process."""
        agent.process, agent.call, agent.state = process, "toolu_send%d" % self.another(), "unheard"
        for event, fields in (
            ("PostToolUse", {"tool_name": "SendMessage", "tool_use_id": agent.call,
                             "tool_input": {"to": agent.name, "message": "more"},
                             "tool_response": {"success": True, "resumedAgentId": agent.name}}),
            ("SubagentStart", {"agent_id": agent.name, "agent_type": "general-purpose"}),
        ):  # fmt: skip
            if self.send(process, event, **fields) in ("heard", "doubled"):
                agent.state = "at work"
        self.write(agent, user("more"))

    def end(self, agent):
        """An agent ends. Its last words are written before it is told or right behind that."""
        agent.state, agent.has_ended, agent.said = "ended", True, "said %d" % self.another()
        last = assistant("%s-%d" % (agent.name, self.number), agent.said)
        if self.faulty and self.chance.random() < UNTOLD:
            self.tell(agent.process, agent.name, "ends untold")
            self.write(agent, last)
            return
        written = self.chance.random() < 0.5
        if written:
            self.write(agent, last)
        self.send(agent.process, "SubagentStop", agent_id=agent.name, agent_type="general-purpose",
                  last_assistant_message=agent.said, agent_transcript_path=self.path(agent))  # fmt: skip
        if not written:
            self.write(agent, last)
        self.prompt(agent.process, WORDS % (agent.name, agent.call, agent.said))

    def step(self):
        """Something happens in one of the processes, where it can."""
        chance = self.chance
        if not self.processes:
            self.launch(chance.choice(self.conversations) if self.conversations and chance.random() < 0.7 else None)
            return
        process = chance.choice(list(self.processes))
        often = {"deploy": 6, "stop": 6, "clear": 4, "end": 6, "message": 4, "back": 4, "exit": 1, "kill": 1, "launch": 2}
        what = chance.choices(list(often), list(often.values()))[0]
        if what == "clear":
            self.leave(process)
        elif what == "end":
            working = [agent for agent in self.agents if agent.process == process and agent.state == "at work"]
            if working:
                self.end(chance.choice(working))
        elif what == "message":
            known = [agent for agent in self.agents if agent.state in ("ended", "died") and (
                agent.process == process or agent.process not in self.processes
                and agent.conversation == self.processes[process])]  # fmt: skip
            if known:
                self.message(chance.choice(known), process)
        elif what == "back":
            free = self.free(self.processes[process])
            if free:
                self.leave(process, chance.choice(free))
        elif what == "launch":
            free = self.free()
            if len(self.processes) < PROCESSES:
                self.launch(chance.choice(free) if free and chance.random() < 0.6 else None)
        else:
            getattr(self, what)(process)

    def finish(self):
        """Every process ends its turn and exits, all that is late arrives, and another one begins and ends: all of that heard."""
        self.replay()
        for process in list(self.processes):
            self.prompt(process)
            self.stop(process)
        self.replay()
        self.check()
        self.fates = HEARD
        for process in list(self.processes):
            self.exit(process)
        process = self.launch()
        self.stop(process)
        self.exit(process)
        self.check_all_over()

    # What is told of it ---------------------------------------------------------------------------

    def told(self):
        """{agent: (status, reason, last words, whether it is shown as lost, whether as at work)}."""
        con = self.history.con
        shown = []
        for status in ("lost", "deployed"):
            where = Where(con)
            where.add_status(status)
            shown.append(where.few)
        rows = con.execute("SELECT agent_id, number, status, end_reason, final_message FROM executions").fetchall()
        return {row[0]: (*row[2:], *(row[1] in numbers for numbers in shown)) for row in rows}

    def check(self):
        """Compares what is told now with what is so. Where signals get lost, an end that none told may be found out later."""
        told = self.told()
        for agent in self.agents:
            if agent.name not in told:
                continue
            status, _, _, lost, working = told[agent.name]
            if agent.state == "at work" and not working:
                self.note("at work", told, agent)
            if agent.state == "ended" and lost and not self.faulty:
                self.note("ended", told, agent)
            if agent.state == "ended" and status == "failed":
                self.note("ended", told, agent)
            if agent.state == "died" and status == "completed" and not agent.has_ended:
                self.note("died", told, agent)

    def check_all_over(self):
        """What must be told when no process is left."""
        told, con = self.told(), self.history.con
        for agent in self.agents:
            if agent.name not in told:
                if not self.faulty:
                    self.wrong.append(agent.name + " is not there")
                continue
            _, _, words, lost, working = told[agent.name]
            if working or agent.state == "ended" and (lost or words != agent.said):
                self.note("in the end %s (%s)" % (agent.state, agent.said), told, agent)
        for what, rows in (
            ("conversations are open", "claude_sessions WHERE ended_at IS NULL"),
            ("executions are without their agent", "executions WHERE agent_id IS NULL"),
        ):
            (count,) = con.execute("SELECT count(*) FROM " + rows).fetchone()
            if count:
                self.wrong.append("%d %s" % (count, what))
        self.wrong += self.history.unsound()

    def note(self, what, told, agent):
        """Keeps what is wrong with an agent's row."""
        self.wrong.append("after %d: %s is %s, told as %s" % (len(self.story), agent.name, what, told[agent.name]))
