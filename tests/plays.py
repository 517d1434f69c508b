"""Pieces of plays: plans, the calls that submit and deploy them, what was told, status.json."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable, List, Sequence

from orchestrator.edges.scripted_model import Reply, call, say
from orchestrator.edges.scripted_request import text_of

MARK = "[orchestrator] "


def main(request: Any) -> bool:
    """Whether a request is the main conversation's: the condition of its replies in a play."""
    return bool(request.main)


def task(name: str, after: Sequence[str] = (), agent: str = "scout", prompt: str = "", **more: Any) -> dict:
    """A task whose prompt, unless given, is `DO <id>.`, so that a play can tell its agent by it."""
    text = prompt or "DO %s." % name
    return {"id": name, "title": "Task " + name, "agent": agent, "prompt": text, "after": list(after), **more}


def plan(*tasks: dict, goal: str = "the goal") -> str:
    """These tasks as a plan."""
    return json.dumps({"goal": goal, "tasks": tasks})


def heredoc(*tasks: dict, goal: str = "the goal") -> str:
    """The one command line that submits these tasks as a plan."""
    return "orchestrator plan - <<'PLAN'\n%s\nPLAN" % plan(*tasks, goal=goal)


def submit(*tasks: dict, goal: str = "the goal") -> dict:
    """The Bash call that submits these tasks."""
    return call("Bash", command=heredoc(*tasks, goal=goal))


def deploy(name: str, agent: str = "orchestrator:scout", **more: Any) -> dict:
    """The Agent call that a digest lists for a task."""
    prompt = "orchestrator task " + name
    return call("Agent", subagent_type=agent, description="Task " + name, prompt=prompt, **more)


def spawn(prompt: str, kind: str = "general-purpose", **more: Any) -> dict:
    """An Agent call that has nothing to do with a plan."""
    return call("Agent", subagent_type=kind, description="other work", prompt=prompt, **more)


def limited(project: Path) -> None:
    """Gives the project an agent type of its own, `limited`, that may take two turns."""
    folder = project / ".claude" / "agents"
    folder.mkdir(parents=True)
    (folder / "limited.md").write_text("---\nname: limited\ndescription: d\nmaxTurns: 2\n---\nYou work.\n")


def shell(command: str) -> dict:
    """A Bash call."""
    return call("Bash", command=command)


def once(condition: Callable[[], Any], *parts: Any, most: float = 10) -> Callable[[Any], Any]:
    """A reply, or what it consists of, that is given as soon as something holds, or after `most` seconds."""

    def reply(_: Any) -> Any:
        end = time.monotonic() + most
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        return parts[0] if parts and isinstance(parts[0], Reply) else say(*parts)

    return reply


def launched(kept: dict, *then: Any) -> Callable[[Any], Any]:
    """A reply that keeps the id of the agent that the call before it launched, for `more`."""

    def reply(request: Any) -> Any:
        kept["id"] = next(text.split("agentId: ")[1].split()[0] for _, text, _ in request.last_results if "agentId: " in text)
        return say(*then)

    return reply


def more(kept: dict) -> Callable[[Any], Any]:
    """A message to that agent."""
    return lambda _: call("SendMessage", to=kept["id"], message="more", summary="s")


def ask(project: Path, sql: str, *values: Any) -> List[tuple]:
    """The answer of a project's history; nothing while there is none."""
    path = Path(project) / ".orchestrator" / "history.db"
    if not path.exists():
        return []
    history = sqlite3.connect(path.as_uri() + "?mode=ro", uri=True)
    try:
        return history.execute(sql, values).fetchall()
    except sqlite3.OperationalError:  # it is being made at this moment
        return []
    finally:
        history.close()


def idle(project: Path) -> bool:
    """Whether the main conversation has ended its turn: what ends from now on wakes it by itself."""
    return bool(ask(project, "SELECT 1 FROM claude_sessions WHERE idle_since IS NOT NULL"))


def noticed(project: Path) -> set:
    """The tasks whose ends the client has announced, and has had a moment to be done with (decision 0006)."""
    told = "SELECT task_id FROM executions WHERE noticed_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-0.3 seconds')"
    return {row[0] for row in ask(project, told)}


def news(request: Any) -> str:
    """Everything that a conversation was told since its last answer."""
    newest: List[str] = []
    for message in request.messages:
        newest = [] if message.get("role") == "assistant" else newest + [text_of(message.get("content"))]
    return "\n".join(newest)


def digests(request: Any) -> List[str]:
    """The digests among what a conversation was told since its last answer."""
    parts = news(request).split(MARK)[1:]
    return [MARK + part.split("\n\n")[0].split("\n</system-reminder>")[0] for part in parts]


def results(request: Any) -> List[str]:
    """The texts of the tool results that a request brings, in the order of the calls."""
    texts = {call_id: text for call_id, text, _ in request.last_results}
    asked = [message for message in request.messages if message["role"] == "assistant"][-1]["content"]
    return [texts[block["id"]] for block in asked if block["type"] == "tool_use"]


def status(project: Path) -> dict:
    """What status.json says now; while there is none, that there are no tasks."""
    path = Path(project) / ".orchestrator" / "status.json"
    return json.loads(path.read_text()) if path.exists() else {"state": None, "tasks": []}


def states(project: Path) -> dict:
    """The states of the tasks in status.json, by id."""
    return {one["id"]: one["state"] for one in status(project)["tasks"]}
