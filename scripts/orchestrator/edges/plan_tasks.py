"""Tasks of a plan while they are read: each by itself, then against one another, the agents and the disk."""

from __future__ import annotations

import difflib
import os
import re
from typing import Any, Callable, Iterable, Mapping, Optional, Union

from orchestrator.edges.faults import Faults, listed, quoted, sentence
from orchestrator.edges.plan_fields import free_id, known_keys, validated
from orchestrator.edges.schemas import DEFAULT_AGENT, ID_PATTERN, TASKS_MOST, PlanTask
from orchestrator.model import globs
from orchestrator.model import plan as graph
from orchestrator.services.blueprints import judge
from orchestrator.services.plan_checks import Node, missing_files, writes_together
from orchestrator.services.plan_files import PlanFiles

Existing = Iterable[Union[str, Mapping[str, Any]]]


class WrittenTask:
    """One task as it was written: what can be understood of it, however wrong the rest is."""

    def __init__(self, at: int, raw: Any) -> None:
        self.at = at
        self.fields: dict[str, Any] = raw if isinstance(raw, dict) else {}
        given = self.fields.get("id")
        self.id = given if isinstance(given, str) else str(given) if type(given) is int else None
        self.where = f"tasks[{at}]" if self.id is None else f"task {shown_id(self.id)} (tasks[{at}])"
        self.task: Optional[PlanTask] = None

    def entries(self, field: str) -> list[tuple[str, str]]:
        """(name, text) of a list's entries that are text, as validated where the task was valid."""
        values = self.fields.get(field) if self.task is None else getattr(self.task, field)
        values = values if isinstance(values, list) else []
        return [(f"{field}[{at}]", each) for at, each in enumerate(values) if isinstance(each, str)]

    def paths(self, field: str) -> list[tuple[str, str]]:
        """The same of a list of paths, without those that are none."""
        return [(entry, text) for entry, text in self.entries(field) if 0 < len(text.strip()) <= 300]


class Reading:
    """The tasks of one plan: `take` reads them, `valid` are those that could be, `warnings` what is odd."""

    def __init__(
        self, faults: Faults, project: str | os.PathLike[str], known_agents: Iterable[str], existing: Existing
    ) -> None:
        self.faults = faults
        self.files = PlanFiles(project)
        self.known_agents = list(known_agents)
        self.existing = [{"id": each} if isinstance(each, str) else each for each in existing]
        self.tasks: list[WrittenTask] = []
        self.warnings: list[str] = []
        self.told: set[tuple[int, str]] = set()  # (place of a task, entry) of the files whose faults are told

    def valid(self) -> list[PlanTask]:
        """The tasks that are valid by themselves."""
        return [each.task for each in self.tasks if each.task is not None]

    def context(self, faulty: Callable[[list[dict[str, Any]]], list[tuple[str, str]]]) -> None:
        """Adds what is wrong with the tasks' context. `faulty` finds it in specs, as (task, words).

        Files whose faults are told already are left out. A task that is not valid is asked for its files too,
        without a budget; one without an id of its own stands there under its place.
        """
        named: dict[str, WrittenTask] = {}
        for each in self.tasks:
            name = f"tasks[{each.at}]" if each.id is None or each.id in named else each.id
            named[name] = each
        specs = []
        for name, each in named.items():
            spec: dict[str, Any] = {"id": name, "title": "", "agent": "", "prompt": ""}
            spec.update(each.task.model_dump() if each.task else {})
            spec["id"] = name
            spec["after"] = [other for _, other in each.entries("after") if other != each.id]
            spec["writes"] = [pattern for _, pattern in each.paths("writes")]
            for field in ("files", "references"):
                spec[field] = [text for entry, text in each.paths(field) if (each.at, entry) not in self.told]
            specs.append(spec)
        for name, words in faulty(specs) if specs else ():
            self.faults.add(named[name].where, sentence(words), "", named[name].at)

    def goal(self) -> str:
        """A goal for a plan that names none."""
        titles = [each.title for each in self.valid()]
        goal = "; ".join(titles[:3]) + ("; …" if len(titles) > 3 else "") or "no goal"
        self.warnings.append(f"The plan names no goal; taken from its tasks: {quoted(goal, 120)}.")
        return goal

    def take(self, tasks: Any) -> None:
        """Reads all tasks; whatever is wrong with them is in the faults then."""
        if not isinstance(tasks, list) or not tasks:
            wrong = "is empty" if tasks == [] else f"is {quoted(tasks)}, not a list"
            wrong = "is missing" if tasks is None else wrong
            self.faults.add("", f"`tasks` {wrong}", 'Write a list: "tasks": [{"id": "t1", "prompt": "…"}].')
            return
        if len(tasks) + len(self.existing) > TASKS_MOST:
            there = f" beside the {len(self.existing):,} there are" if self.existing else ""
            do = "Join small ones, or plan the first part now."
            self.faults.add("", f"the plan has {len(tasks):,} tasks{there}, more than {TASKS_MOST:,}", do)
        self.tasks = [WrittenTask(at, raw) for at, raw in enumerate(tasks[:TASKS_MOST])]
        for each in self.tasks:
            self._one(each, tasks[each.at])
        self._agents()
        self._ids({WrittenTask(at, raw).id or "" for at, raw in enumerate(tasks[TASKS_MOST:])})
        self._rings()
        self._paths()
        if not self.faults:
            self._odd()

    def _one(self, each: WrittenTask, raw: Any) -> None:
        if not isinstance(raw, dict):
            do = 'Write an object: {"id": "t1", "prompt": "…"}.'
            self.faults.add(each.where, f"it is {quoted(raw)}, not an object", do, each.at)
            return
        each.fields = fields = known_keys(raw, PlanTask, each.where, self.faults, each.at, also=("deps",))
        if "deps" in fields:
            deps = fields.pop("deps")
            if fields.setdefault("after", deps) != deps:
                what = "`after` and `deps` are two names for one thing and differ"
                self.faults.add(each.where, what, "Keep `after`.", each.at)
        if "title" not in fields and isinstance(fields.get("prompt"), str):
            fields["title"] = _first_line(fields["prompt"]) or "untitled"
        each.task = validated(PlanTask, fields, each.where, self.faults, each.at)

    def _agents(self) -> None:
        judged: dict[str, tuple[str, str | None]] = {}
        unknown: dict[str, list[str]] = {}
        for each in self.tasks:
            agent = each.fields.get("agent", DEFAULT_AGENT)
            if not isinstance(agent, str) or not 0 < len(agent.strip()) <= 128:
                continue
            agent = " ".join(agent.split())
            if agent not in judged:
                judged[agent] = judge(agent, self.known_agents)
            verdict, name = judged[agent]
            if verdict == "near":
                do = f"Write {name}."
                self.faults.add(each.where, f"no agent type {quoted(agent)} is known", do, each.at)
            elif verdict == "unknown":
                unknown.setdefault(agent, []).append(each.id or "")
            elif each.task and name != each.task.agent:
                each.task = PlanTask(**{**vars(each.task), "agent": name})
        for agent, ids in list(unknown.items())[:10]:
            self.warnings.append(
                f"No agent type {quoted(agent)} is known here ({listed(ids, 4)}): unless a plugin brings it, "
                "deploying will fail."
            )
        silent = [each.id or "" for each in self.tasks if "agent" not in each.fields]
        if silent:
            self.warnings.append(f"No agent is named for {listed(silent)}: {DEFAULT_AGENT} does it.")

    def _ids(self, beyond: set[str]) -> None:
        """Ids, and what `after` says of them. `beyond`: those of tasks that are too many to be read."""
        before = {each["id"] for each in self.existing}
        first: dict[str, WrittenTask] = {}
        for each in self.tasks:
            if each.id is None:
                continue
            if each.id in first:
                what = f"the id is that of tasks[{first[each.id].at}] too"
                self.faults.add(each.where, what, "Give one of them another.", each.at)
            elif each.id in before:
                what = "the orchestration has a task of this id already"
                do = f"Give it another, such as {free_id(each.id, before | set(first))}."
                self.faults.add(each.where, what, do, each.at)
            first.setdefault(each.id, each)
        ids = before | beyond | set(first)
        for each in self.tasks:
            self._after(each, ids)

    def _after(self, each: WrittenTask, ids: set[str]) -> None:
        seen: set[str] = set()
        for entry, name in each.entries("after"):
            where = f"{each.where}, {entry}"
            if self.faults.full:
                return
            if name in seen:
                self.faults.add(where, f"{quoted(name)} stands there twice", "Name it once.", each.at)
            elif name == each.id:
                self.faults.add(where, "the task waits for itself", "Take its own id out.", each.at)
            elif name not in ids and re.fullmatch(ID_PATTERN, name):
                close = difflib.get_close_matches(name, ids - {each.id}, 1, 0.6)
                hint = f"Did you mean {quoted(close[0])}? Else take" if close else "Take"
                self.faults.add(
                    where, f"no task has the id {name}", f"{hint} it out, or add that task.", each.at
                )
            seen.add(name)

    def _nodes(self) -> list[Node]:
        nodes = [
            Node(each["id"], list(each.get("after") or ()), (), list(each.get("writes") or ()))
            for each in self.existing
        ]
        for each in self.tasks:
            name = f"tasks[{each.at}]" if each.id is None else each.id
            after = [other for _, other in each.entries("after") if other != each.id]
            reads = each.paths("files") + each.paths("references")
            writes = [pattern for _, pattern in each.paths("writes")]
            nodes.append(Node(name, after, reads, writes, each.at, each.where))
        return nodes

    def _rings(self) -> None:
        for ring in graph.rings([{"id": node.id, "after": node.after} for node in self._nodes()]):
            names = [shown_id(name) for name in ring]
            if len(names) > 12:
                names = [*names[:8], f"({len(names) - 11} more)", *names[-3:]]
            do = "Each waits for the next: take one of these ids out of the `after` before it."
            self.faults.add("", f"tasks wait for one another in a ring: {' → '.join(names)}", do)

    def _paths(self) -> None:
        for each in self.tasks:
            for at, (entry, pattern) in enumerate(each.paths("writes")):
                wrong = self.files.leaves(pattern)
                if wrong:
                    what = f"{quoted(pattern, 120)} {wrong[0]}"
                    self.faults.add(f"{each.where}, {entry}", what, wrong[1], each.at)
                elif each.task:
                    each.task.writes[at] = self._folder(pattern)
        for node, entry, text, what, do in missing_files(self._nodes(), self.files):
            self.faults.add(f"{node.where}, {entry}", f"{quoted(text, 120)} {what}", do, node.at)
            self.told.add((node.at, entry))
            if self.faults.full:
                break
        if self.files.tired:
            do = "Name fewer of them, and begin patterns with a folder."
            self.faults.add("", "`files` and `writes` hold too many patterns to be compared", do)

    def _folder(self, pattern: str) -> str:
        """A folder in `writes` means all below it."""
        plain = not globs.is_glob(pattern) and os.path.isdir(os.path.join(self.files.root, pattern))
        return pattern.rstrip("/") + "/**" if plain or pattern.endswith("/") else pattern

    def _odd(self) -> None:
        titles: dict[str, list[str]] = {}
        for task in self.valid():
            titles.setdefault(task.title.casefold(), []).append(task.id)
        for ids in [each for each in titles.values() if len(each) > 1][:5]:
            self.warnings.append(f"{listed(ids)} have the same title.")
        for one, other, pattern in writes_together(
            [node for node in self._nodes() if node.at >= 0], self.files
        ):
            self.warnings.append(
                f"{one} and {other} may both write {quoted(pattern)} and nothing orders them: "
                "they may run at the same time."
            )


def shown_id(name: str) -> str:
    """An id within a sentence: as it is when it can be one, else as data."""
    return name if re.fullmatch(ID_PATTERN, name) else quoted(name, 40)


def _first_line(prompt: str) -> str:
    """A title made of a prompt: its first line with anything on it, printable, cut."""
    for line in prompt[:2000].splitlines():
        text = " ".join("".join(char if char.isprintable() else " " for char in line).split()).lstrip("#*- ")
        if text:
            return text if len(text) <= 80 else text[:79] + "…"
    return ""
