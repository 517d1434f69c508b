"""Importing: sessions from before the plugin, through the same events and the same fold as those that hooks record.

What hooks have recorded stays as it is: an agent, or a call, that the history knows from them is passed over. An
event's key is the one that hooks would give it, so what is read twice, or heard of later, is one event.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Optional

from orchestrator.recording import ends, notification, record, transcript
from orchestrator.services import import_usage, past_session, unarchived
from orchestrator.services.past import Found, text
from orchestrator.services.past_session import Call, Session, Stretch
from orchestrator.store import blobs
from orchestrator.store.open import writing

ENDED = "imported"  # the end reason of a Claude session that no hook saw end
_INTERRUPTED = ("The user doesn't want to", "[Request interrupted by user")


class Taken(NamedTuple):
    """What came of a session: executions that are new, those that changed, agents and calls passed over because
    hooks, and not an import, had recorded them."""

    new: int
    changed: int
    known: int


def waiting(con: Any, found: list[Found]) -> list[Found]:
    """Those sessions that hold something not read yet, and are not hooks' own."""
    return [each for each in found if _unread(con, each)]


def _unread(con: Any, found: Found) -> bool:
    row = con.execute(
        "SELECT end_reason IS ?2, pid IS NULL AND ended_at IS NULL FROM claude_sessions WHERE claude_session_id = ?1",
        (found.session, ENDED),
    ).fetchone()
    if row is None or row[1] and not found.alive:
        return True
    size = con.execute("SELECT value FROM meta WHERE key = 'imported.' || ?", (found.session,)).fetchone()
    if row[0] or size:
        return size is None or bool(size[0] != str(found.size))
    known = {
        each for agent, _ in found.files for (each,) in con.execute(
            "SELECT agent_id FROM executions WHERE agent_id = ?", (agent,))
    }  # fmt: skip
    return len(known) < len({agent for agent, _ in found.files})  # hooks recorded it: were they there for all of its agents?


def prepare(con: Any, found: list[Found]) -> None:
    """Lists once which calls are known and in whose folders agents' files lie, so that a fork's copy of a call is not taken for
    another."""
    con.execute("CREATE TEMP TABLE IF NOT EXISTS agents_at (agent TEXT, session TEXT, PRIMARY KEY (agent, session))")
    con.execute("DELETE FROM temp.agents_at")
    con.executemany("INSERT OR IGNORE INTO temp.agents_at VALUES (?, ?)",
                    ((agent, each.session) for each in found for agent, _ in each.files))  # fmt: skip
    con.execute("CREATE TEMP TABLE IF NOT EXISTS known_calls (call TEXT PRIMARY KEY, session TEXT, ours INTEGER) WITHOUT ROWID")
    con.execute("DELETE FROM temp.known_calls")
    con.execute(
        "INSERT OR IGNORE INTO temp.known_calls SELECT tool_use_id, claude_session_id, origin = 'imported' FROM executions "
        "WHERE tool_use_id IS NOT NULL AND runtime = 'agent'"
    )
    con.execute(
        "INSERT OR IGNORE INTO temp.known_calls SELECT tool_use_id, claude_session_id, 0 FROM events "
        "WHERE kind = 'denied' AND tool_use_id IS NOT NULL"
    )


def take(con: Any, project: str, found: Found, now: str) -> Taken:
    """Takes a session in: its row, its executions, then what they and it used."""
    session = past_session.read(found)
    if not session.began:
        return Taken(0, 0, 0)
    with writing(con):
        _session(con, found, session)
        taking = _Taking(con, project, found, session)
        taking.all()
        con.execute("DELETE FROM meta WHERE key = ?", (unarchived.MISSING,))  # what came may have ended before what was missing
    import_usage.count(con, project, found, now)
    with writing(con):  # at last: what is broken off before is read again
        con.execute("INSERT OR REPLACE INTO meta VALUES ('imported.' || ?, ?)", (found.session, str(found.size)))
    return Taken(len(taking.new), len(taking.changed - taking.new), len(taking.known))


def _session(con: Any, found: Found, session: Session) -> None:
    """The row of a session; one that hooks made stays, one that was imported before goes on."""
    con.execute(
        "INSERT OR IGNORE INTO claude_sessions (claude_session_id, started_at, cwd, transcript_path, model, permission_mode, "
        "client_version) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (found.session, session.began, session.cwd, found.path, record.clean(session.model), session.mode, session.version),
    )
    con.execute(
        "UPDATE claude_sessions SET ended_at = ?2, end_reason = ?3 WHERE claude_session_id = ?1 AND pid IS NULL AND "
        "(ended_at IS NULL OR end_reason = ?4)",
        (found.session, None if found.alive else session.ended, None if found.alive else ENDED, ENDED),
    )
    row = con.execute("SELECT transcript_path FROM claude_sessions WHERE claude_session_id = ?", (found.session,)).fetchone()
    if row[0] != found.path:
        transcript.moved(con, found.session, row[0], found.path)


class _Taking:
    """One session being taken in."""

    def __init__(self, con: Any, project: str, found: Found, session: Session):
        self.con, self.project, self.found, self.session = con, project, found, session
        self.new: set[str] = set()
        self.changed: set[str] = set()
        self.known: set[str] = set()  # by hooks
        self.passed: set[str] = set()  # these, and what another session's import took in
        self.execution: dict[str, str] = {}  # of an agent, or of a call
        self.metas = {agent: transcript.meta(con, found.path, agent) for agent, _ in found.files}
        for meta in self.metas.values():
            if meta and meta.mate and not meta.call:
                meta.call = self._called_mate(meta.mate)
        self.by_call = {meta.call: agent for agent, meta in self.metas.items() if meta and meta.call}
        self.paths = dict(reversed(found.files))  # the first of several
        self.called = {text(call.result.get("agentId")) for call in session.calls.values()}

    def _called_mate(self, mate: str) -> Optional[str]:
        """The Agent call that made a teammate: by what came back, else by the name that was asked for."""
        calls = [call for call in self.session.calls.values() if call.tool in past_session.AGENT]
        found = [call for call in calls if call.result.get("teammate_id") == mate] or [
            call for call in calls if call.given.get("name") == mate.partition("@")[0] and not call.result.get("teammate_id")]
        return found[0].call if found else None

    def all(self) -> None:
        """Opens what is new, adds what was said, folds what changed."""
        for call in sorted(self.session.calls.values(), key=lambda each: each.at):
            if call.tool in past_session.AGENT:
                self._agent_call(call)
        for agent, _ in self.found.files:
            self._agent(agent)
        for call in self.session.calls.values():
            self._other_call(call)
        self._journals()
        for main in (self.found.path, *self.found.others):
            for told, at in notification.written(self.con, main, None).items():
                self._told(told, at)
        for agent, stretches in self.session.agents.items():
            if agent in self.execution and stretches:
                self._ends(agent, stretches)
        for call in self.session.calls.values():
            self._unanswered(call)
        span = "SELECT min(at), max(at) FROM events WHERE execution_id = ?"
        order = [(*self.con.execute(span, (execution,)).fetchone(), execution) for execution in self.changed]
        for _, last, execution in sorted(order, reverse=True):  # the agents that an agent deployed before itself
            ends.conclude(self.con, self.project, execution, last)

    def _say(self, kind: str, at: str, once: str, key: str, **fields: Any) -> None:
        """Adds an event of an execution that is ours."""
        execution = self.execution[key]
        if record.append(self.con, kind, at, once, claude_session_id=self.found.session, execution_id=execution, **fields):
            self.changed.add(execution)

    def _agent_call(self, call: Call) -> None:
        """An Agent call: its execution, what was asked for, what came back at once."""
        agent = text(call.result.get("agentId")) or self.by_call.get(call.call)
        row = self.con.execute("SELECT session, ours FROM temp.known_calls WHERE call = ?", (call.call,)).fetchone()
        of = record.by_agent(self.con, agent)
        if row and row[1] and row[0] != self.found.session or agent not in self.paths and self._lies_elsewhere(agent):
            return  # a fork's copy
        if (row and not row[1]) or (of and not self._ours(of)):
            self._know(of, agent or call.call)
            return
        if self.found.alive and call.answered is None and agent not in self.paths:
            return  # it is being asked for now
        prompt = text(call.given.get("prompt"))
        kind = record.clean(text(call.given.get("subagent_type")) or text(call.result.get("agentType")))
        asked = record.clean(text(call.given.get("model")))
        meta = self.metas.get(agent) if agent else None
        if of is None:
            of = record.by_call(self.con, self.found.session, call.call) or self._open(
                call.at, agent, tool_use_id=call.call, prompt_id=call.prompt, scope=text(call.given.get("description")),
                agent_type=kind or (meta.agent_type if meta else None) or "general-purpose",
                parent_agent_id=call.parent, model=asked,
                briefing_hash=blobs.put(self.con, record.clean(prompt or "").encode("utf-8", "replace")),
            )  # fmt: skip
            self.con.execute("INSERT OR IGNORE INTO temp.known_calls VALUES (?, ?, 1)", (call.call, self.found.session))
        self.execution[call.call] = of
        if agent:
            self.execution[agent] = of
        once = "%s %s" % (self.found.session, call.call)
        self._say("intent", call.at, once, call.call, tool_use_id=call.call, parent_agent_id=call.parent, text=prompt,
                  prompt_id=call.prompt, agent_type=kind, model=asked)  # fmt: skip
        if call.answered is None:
            return
        model, back = record.clean(text(call.result.get("resolvedModel"))), past_session.returned_text(call)
        if call.error:
            broken = agent is not None and call.words.startswith(_INTERRUPTED)
            if broken:  # the user broke it off while it worked
                self._say("killed", call.answered, once, call.call, tool_use_id=call.call, agent_id=agent)
            else:
                self._say("refused", call.answered, once, call.call, tool_use_id=call.call, reason=call.words)
        elif call.result.get("status") == "completed" or not call.result and not past_session.launched(call):
            used = call.result.get("totalTokens")
            self._say("returned", call.answered, "%s %s" % (once, agent), call.call, tool_use_id=call.call, agent_id=agent,
                      status="completed", model=model, text=back, body=str(used) if isinstance(used, int) else None)  # fmt: skip
            if agent:
                self._without_transcript(agent, back, call.answered)
        else:
            self._say("launched", call.answered, "%s %s" % (once, agent), call.call, tool_use_id=call.call, agent_id=agent,
                      status="async_launched", model=model)  # fmt: skip

    def _lies_elsewhere(self, agent: Optional[str]) -> bool:
        """Whether another session that was found has an agent's files."""
        other = "SELECT 1 FROM temp.agents_at WHERE agent = ? AND session != ?"
        return self.con.execute(other, (agent, self.found.session)).fetchone() is not None

    def _know(self, execution: Optional[str], key: str) -> None:
        """Passes an agent, or a call, over, which hooks recorded, or an import of another session."""
        self.passed.add(key)
        if self.con.execute("SELECT 1 FROM executions WHERE execution_id = ? AND origin = 'imported'", (execution,)).fetchone():
            return
        self.known.add(key)

    def _ours(self, execution: str) -> bool:
        """Whether an execution was imported, of this session."""
        row = self.con.execute(
            "SELECT origin = 'imported' AND claude_session_id = ?2 FROM executions WHERE execution_id = ?1",
            (execution, self.found.session),
        ).fetchone()
        return bool(row and row[0])

    def _open(self, at: str, agent: Optional[str], **fields: Any) -> str:
        execution: str = record.open_execution(
            self.con, at, deployed_at=at, origin="imported", claude_session_id=self.found.session, agent_id=agent,
            transcript_path=self.paths.get(agent or ""), **fields)  # fmt: skip
        self.new.add(execution)
        self.changed.add(execution)
        return execution

    def _agent(self, agent: str) -> None:
        """An agent's own files: its execution where no call leads to one; when it began, each time."""
        stretches, meta = self.session.agents.get(agent) or [], self.metas.get(agent)
        if agent in self.passed or not stretches:
            return
        of = self.execution.get(agent) or record.by_agent(self.con, agent)
        if of is None:
            if meta is None and agent not in self.called:
                return  # the client's own hidden agent: tokens, and no execution
            run = self._run(meta)
            call = run.call if run else meta.call if meta else None
            if not run and record.by_call(self.con, self.found.session, call):
                call = None  # which another agent came from, as that call's answer says
            of = self._open(
                stretches[0].began, agent, runtime="workflow" if meta and meta.run else "agent",
                tool_use_id=call, prompt_id=stretches[0].prompt,
                agent_type=meta.agent_type if meta else None, scope=meta.description if meta else None)  # fmt: skip
        elif not self._ours(of):
            self._know(of, agent)
            return
        self.execution[agent] = of
        record.fill(self.con, of, scope=meta.description if meta else None, parent_agent_id=meta.parent if meta else None,
                    transcript_path=self.paths[agent])  # fmt: skip
        for stretch in stretches:
            self._say("started", stretch.began, "%s %s %s" % (self.found.session, agent, stretch.prompt), agent,
                      agent_id=agent, prompt_id=stretch.prompt, agent_type=meta.agent_type if meta else None)  # fmt: skip
        if meta and meta.call:
            self._say("met", stretches[0].began, "%s %s" % (agent, meta.call), agent, agent_id=agent, tool_use_id=meta.call)

    def _run(self, meta: Any) -> Optional[Call]:
        """The Workflow call that an agent's folder is of."""
        if meta is None or not meta.run:
            return None
        calls = (call for call in self.session.calls.values() if call.tool == "Workflow")
        return next((call for call in calls if call.result.get("runId") == meta.run), None)

    def _other_call(self, call: Call) -> None:
        """A message that woke an agent, a stop, a workflow's start, an agent's report."""
        if call.answered is None or call.error:
            return
        at, session = call.answered, self.found.session
        if call.tool == "SendMessage":
            agent = text(call.result.get("resumedAgentId")) or past_session.resumed(call)
            if agent in self.execution:  # at the call: the agent may have answered before its return was written
                self._say("resumed", call.at, "%s %s" % (session, call.call), agent, agent_id=agent, tool_use_id=call.call,
                          prompt_id=call.prompt)  # fmt: skip
        elif call.tool == "TaskStop":
            stopped = text(call.given.get("task_id")) or text(call.result.get("task_id"))
            if stopped in self.execution:
                self._say("killed", at, "%s %s" % (call.call, stopped), stopped, agent_id=stopped, tool_use_id=call.call)
            for agent in self._workflow(stopped):
                if self.session.agents[agent][-1].how in ("unfinished", "stopped"):
                    self._say("killed", at, "%s %s" % (call.call, self.execution[agent]), agent, tool_use_id=call.call)
        elif call.tool == "Workflow" and any(meta and meta.run == call.result.get("runId") for meta in self.metas.values()):
            record.append(self.con, "workflow", at, "%s %s" % (session, call.call), claude_session_id=session,
                          tool_use_id=call.call, reason=text(call.result.get("runId")), body=text(call.result.get("taskId")))
        elif call.tool == "SubagentHandback" and call.parent in self.execution and text(call.given.get("message")):
            report = call.given["message"].strip()
            self._say("handback", at, "%s %s" % (call.parent, report), call.parent, agent_id=call.parent, text=report)

    def _journals(self) -> None:
        """What the journals of workflows say their agents returned."""
        of_runs = {agent for agent, meta in self.metas.items() if meta and meta.run}
        for folder in sorted({os.path.dirname(path) for agent, path in self.found.files if agent in of_runs}):
            for agent, how, result in transcript.journal(self.con, folder):
                if agent in self.execution and self.session.agents.get(agent):
                    self._say("returned", self.session.agents[agent][-1].last, "journal %s" % agent, agent, agent_id=agent,
                              status="failed" if how == "failed" else "completed", text=result)  # fmt: skip

    def _workflow(self, task: Optional[str]) -> list[str]:
        """The agents of a workflow that are ours, by the id of its task or its call."""
        runs = {str(call.result.get("runId")) for call in self.session.calls.values()
                if call.tool == "Workflow" and task and task in (call.result.get("taskId"), call.call)}  # fmt: skip
        return [agent for agent, meta in self.metas.items() if meta and meta.run in runs and agent in self.execution]

    def _told(self, prompt: str, at: str) -> None:
        """A task-notification: the end of an agent, or of a workflow."""
        told = notification.parse(prompt)
        if told is None or not told.status:
            return
        once = "%s %s" % (self.found.session, prompt)
        if told.task_id in self.execution:
            self._say("notified", at, once, told.task_id, agent_id=told.task_id, tool_use_id=told.call, status=told.status,
                      reason=told.summary, text=told.result, body=None if told.tokens is None else str(told.tokens))
            if told.status == "completed":
                self._without_transcript(told.task_id, told.result, at)
            return
        call = self.session.calls.get(told.call or "")
        if call is None or call.tool != "Workflow":
            return
        record.append(self.con, "workflow_ended", at, "%s %s" % (self.found.session, told.call), tool_use_id=told.call,
                      claude_session_id=self.found.session, status="ended")  # fmt: skip
        for agent in self._workflow(told.call):
            last = self.session.agents[agent][-1]
            if not self._heard(agent, last):
                self._say("absent", at if last.how == "unfinished" else last.last, "%s %s" % (self.execution[agent], told.call),
                          agent, agent_id=agent)  # fmt: skip

    def _without_transcript(self, agent: str, words: Optional[str], at: str) -> None:
        """An agent whose transcript is gone, or empty: its last words, as they were told, are what it ended with."""
        if not self.session.agents.get(agent) and words:
            how = "api_error" if words.startswith("API Error") else "end_turn"
            broken = words if how == "api_error" else None
            self._say("tail", at, "%s %s" % (self.execution[agent], at), agent, status=how, reason=broken,
                      text=None if broken else words)  # fmt: skip

    def _heard(self, agent: str, stretch: Stretch, until: str = "~") -> bool:
        """Whether something else says that an agent's stretch ended."""
        return self.con.execute(
            "SELECT 1 FROM events WHERE execution_id = ? AND at >= ? AND at < ? AND kind IN ('notified', 'returned', 'refused', "
            "'killed', 'handback', 'stopped', 'api_error', 'absent')",
            (self.execution[agent], stretch.began, until),
        ).fetchone() is not None

    def _ends(self, agent: str, stretches: list[Stretch]) -> None:
        """What each stretch ends with, as evidence; the end of one that nothing else tells of."""
        for stretch in stretches:
            self._say("tail", stretch.last, "%s %s" % (self.execution[agent], stretch.last), agent, status=stretch.how,
                      text=stretch.text, model=record.clean(stretch.model), reason=stretch.failure,
                      body=stretch.last)  # fmt: skip
            if stretch.how == "api_error":  # the client's own word, as StopFailure has it
                once = "%s %s %s %s %s" % (self.found.session, agent, stretch.prompt, stretch.error, stretch.failure)
                self._say("api_error", stretch.last, once, agent, agent_id=agent, prompt_id=stretch.prompt,
                          reason=stretch.error, text=stretch.failure)  # fmt: skip
        for stretch, after in zip(stretches, stretches[1:], strict=False):  # it went on: it had ended its turn
            if stretch.how == "end_turn" and not self._heard(agent, stretch, after.began):
                once = "%s %s %s %s %s" % (self.found.session, agent, stretch.prompt, None, stretch.text)
                self._say("stopped", stretch.last, once, agent, agent_id=agent, prompt_id=stretch.prompt, text=stretch.text)
        self._ends_within(agent, stretches)
        last, meta = stretches[-1], self.metas.get(agent)
        if meta and meta.stopped and last.how == "unfinished":
            self._say("tail", last.last, "%s stopped" % agent, agent, agent_id=agent, status="stopped", text=last.text,
                      body=last.last)  # fmt: skip
        elif last.how != "unfinished" and not self._heard(agent, last):
            self._say("absent", last.last, "%s over" % agent, agent, agent_id=agent)

    def _ends_within(self, agent: str, stretches: list[Stretch]) -> None:
        """What its transcript ended with when its end was told, where a message put it to work again in the same turn."""
        told = ("SELECT DISTINCT n.at FROM events n JOIN events r USING (execution_id) WHERE execution_id = ? AND r.at > n.at "
                "AND n.kind = 'notified' AND r.kind = 'resumed'")
        for (at,) in self.con.execute(told, (self.execution[agent],)).fetchall():
            if any(stretch.began <= at < stretch.last for stretch in stretches) and ends.look(
                    self.con, self.execution[agent], self.paths[agent], at, until=at):
                self.changed.add(self.execution[agent])

    def _unanswered(self, call: Call) -> None:
        """What was asked for and never began, when the session is over."""
        if call.tool in past_session.AGENT and call.answered is None and not self.found.alive and (
                call.call in self.execution and call.call not in self.by_call):  # fmt: skip
            execution = self.execution[call.call]
            self._say("closed", self.session.ended, execution + " never_started", call.call, status="failed",
                      reason="never_started", text="It never started: the session ended before.")  # fmt: skip
