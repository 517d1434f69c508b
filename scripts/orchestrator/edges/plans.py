"""Plans at the door: read whole, so that every fault is told at once; taken whole or not at all."""

from __future__ import annotations

import difflib
import json
import os
import re
import unicodedata
from typing import Any, Iterable, Mapping, Optional, Union

from pydantic import BaseModel, ValidationError

from orchestrator.edges.faults import Faults, PlanRefused, listed, quoted
from orchestrator.edges.plan_text import Doubled, find_plan, read_json
from orchestrator.edges.schemas import DEFAULT_AGENT, ID_PATTERN, TASKS_MOST, Plan, PlanTask
from orchestrator.model import globs
from orchestrator.model import plan as graph
from orchestrator.services.blueprints import judge
from orchestrator.services.plan_checks import Node, missing_files, writes_together
from orchestrator.services.plan_files import PlanFiles

__all__ = ["Existing", "find_plan", "free_id", "read_plan", "task_add"]

BYTES_MOST = 1_000_000
Existing = Iterable[Union[str, Mapping[str, Any]]]

# What models write for a key, where spelling alone does not lead there.
_MEANT = {
    "after": "depends_on dependson dependencies depends needs requires blocked_by blockedby",
    "prompt": "description instructions task details",
    "title": "name summary label",
    "agent": "agent_type agenttype subagent_type type role blueprint",
    "files": "context context_files inputs",
    "writes": "outputs output deliverables creates",
    "check": "test verify validation done_when",
    "budget_tokens": "budget max_tokens tokens",
    "goal": "objective scope",
    "tasks": "subtasks steps queue plan",
}
_LIKELY = {word: key for key, words in _MEANT.items() for word in words.split()}


def read_plan(
    text: str | bytes,
    *,
    project: str | os.PathLike[str],
    known_agents: Iterable[str],
    existing: Existing = (),
    goal: str | None = None,
) -> tuple[Plan, list[str]]:
    """The plan in `text` and what is odd about it, a sentence each; or PlanRefused, which lists every fault.

    known_agents: agent types, as services.blueprints.known gives them. existing: the tasks that the orchestration has
    already, ids or dicts with `id`, `after` and `writes`; the plan adds to them. goal: the orchestration's, used when
    the plan names none; without either it is made of the tasks' titles.
    """
    faults = Faults()
    value = _value(text, faults)
    if isinstance(value, list):
        value = {"tasks": value}
    if not isinstance(value, dict):
        if not faults:
            faults.add("", f"it is {quoted(value)}, not an object", "Send an object with `goal` and `tasks`.")
        raise PlanRefused(faults.in_order())
    reading = _Reading(faults, project, known_agents, existing)
    fields = _keys(value, Plan, "", faults, also=("$schema",))
    fields.pop("$schema", None)
    reading.take(fields.pop("tasks", None))
    if "goal" not in fields:
        fields["goal"] = goal or reading.goal()
    plan = _valid(Plan, {**fields, "tasks": reading.valid()}, "", faults, skip="tasks")
    if faults or plan is None:
        raise PlanRefused(faults.in_order())
    return plan, reading.warnings


def task_add(
    title: str,
    *,
    project: str | os.PathLike[str],
    known_agents: Iterable[str],
    existing: Existing = (),
    prompt: str | None = None,
    **fields: Any,
) -> tuple[PlanTask, list[str]]:
    """One task from a command's words: `title` is the prompt too where none is given; `id` is made from it.

    `fields` are any others of a task; None and empty lists count as not given.
    """
    existing = list(existing)
    short = title if len(title) <= 200 else title[:79] + "…"
    given = {key: each for key, each in fields.items() if each is not None and each != () and each != []}
    given = {key: list(each) if isinstance(each, tuple) else each for key, each in given.items()}
    task = {
        "id": free_id(title, _ids(existing)),
        "title": short,
        "prompt": title if prompt is None else prompt,
        **given,
    }
    faults = Faults()
    reading = _Reading(faults, project, known_agents, existing)
    reading.take([task])
    if faults:
        raise PlanRefused(faults.in_order(), "task")
    return reading.valid()[0], reading.warnings


def free_id(title: str, taken: Iterable[str]) -> str:
    """An id made of a title's letters and digits that no task has yet."""
    plain = unicodedata.normalize("NFKD", title[:200]).encode("ascii", "ignore").decode().lower()
    stem = "-".join(re.findall(r"[a-z0-9]+", plain))[:40].strip("-") or "task"
    taken, name, number = set(taken), stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name


def _ids(existing: Existing) -> list[str]:
    return [each if isinstance(each, str) else each["id"] for each in existing]


def _value(text: str | bytes, faults: Faults) -> Any:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > BYTES_MOST:
        do = "Make prompts shorter, name files instead of quoting them, or plan the first part now."
        faults.add("", f"the plan has {size:,} bytes, more than {BYTES_MOST:,}", do)
        return None
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            faults.add(f"byte {error.start}", "the plan is not UTF-8", "Send it as UTF-8 text.")
            return None
    value, slips = read_json(text)
    for where, what, do in slips:
        faults.add(where, what, do)
    return value if value is not None or slips else "null"


class _Read:
    """One task as it was written: what can be understood of it, however wrong the rest is."""

    def __init__(self, at: int, raw: Any) -> None:
        self.at = at
        self.raw: dict[str, Any] = raw if isinstance(raw, dict) else {}
        given = self.raw.get("id")
        self.id = given if isinstance(given, str) else str(given) if type(given) is int else None
        known = self.id is not None and re.fullmatch(ID_PATTERN, self.id)
        shown = f" {self.id if known else quoted(self.id, 40)}" if self.id is not None else ""
        self.where = f"task{shown} (tasks[{at}])"
        self.task: Optional[PlanTask] = None

    def texts(self, field: str) -> list[tuple[str, str]]:
        """(entry, text) of a list's entries that are text."""
        entries = self.raw.get(field)
        entries = entries if isinstance(entries, list) else []
        return [(f"{field}[{at}]", each) for at, each in enumerate(entries) if isinstance(each, str)]

    def list(self, field: str) -> list[tuple[str, str]]:
        """The same, as validated where it was valid."""
        if self.task is None:
            return [
                (entry, each.strip()) for entry, each in self.texts(field) if 0 < len(each.strip()) <= 300
            ]
        return [(f"{field}[{at}]", each) for at, each in enumerate(getattr(self.task, field))]


class _Reading:
    """The tasks of one plan while they are read."""

    def __init__(
        self, faults: Faults, project: str | os.PathLike[str], known_agents: Iterable[str], existing: Existing
    ) -> None:
        self.faults = faults
        self.files = PlanFiles(project)
        self.known_agents = list(known_agents)
        self.existing = [{"id": each} if isinstance(each, str) else each for each in existing]
        self.tasks: list[_Read] = []
        self.warnings: list[str] = []

    def valid(self) -> list[PlanTask]:
        """The tasks that could be read."""
        return [each.task for each in self.tasks if each.task is not None]

    def goal(self) -> str:
        """A goal for a plan that names none."""
        titles = [each.title for each in self.valid()]
        goal = "; ".join(titles[:3]) + ("; …" if len(titles) > 3 else "") or "no goal"
        self.warnings.append(f"The plan names no goal; taken from its tasks: {quoted(goal, 120)}.")
        return goal

    def take(self, tasks: Any) -> None:
        """Reads all tasks and holds them against one another, the agents and the disk."""
        if not isinstance(tasks, list) or not tasks:
            wrong = (
                "is missing"
                if tasks is None
                else "is empty"
                if tasks == []
                else f"is {quoted(tasks)}, not a list"
            )
            self.faults.add("", f"`tasks` {wrong}", 'Write a list: "tasks": [{"id": "t1", "prompt": "…"}].')
            return
        if len(tasks) + len(self.existing) > TASKS_MOST:
            there = f" beside the {len(self.existing)} there are" if self.existing else ""
            do = "Join small ones, or plan the first part now."
            self.faults.add("", f"the plan has {len(tasks):,} tasks{there}, more than {TASKS_MOST:,}", do)
        self.tasks = [_Read(at, raw) for at, raw in enumerate(tasks[: TASKS_MOST + 1])]
        beyond = {
            each["id"]
            for each in tasks[TASKS_MOST + 1 :]
            if isinstance(each, dict) and isinstance(each.get("id"), str)
        }
        for each, raw in zip(self.tasks, tasks, strict=False):
            self._one(each, raw)
        self._agents()
        self._names(beyond)
        self._rings()
        self._paths()
        if not self.faults:
            self._odd()

    def _one(self, each: _Read, raw: Any) -> None:
        if not isinstance(raw, dict):
            do = 'Write an object: {"id": "t1", "prompt": "…"}.'
            self.faults.add(each.where, f"it is {quoted(raw)}, not an object", do, each.at)
            return
        fields = _keys(raw, PlanTask, each.where, self.faults, each.at, also=("deps",))
        if "deps" in fields:
            deps = fields.pop("deps")
            if "after" in fields and fields["after"] != deps:
                what = "`after` and `deps` are two names for one thing and differ"
                self.faults.add(each.where, what, "Keep `after`.", each.at)
            fields.setdefault("after", deps)
        each.raw = fields = dict(fields)
        prompt = fields.get("prompt")
        if "title" not in fields and isinstance(prompt, str):
            fields["title"] = _first_line(prompt) or each.id or "task"
        each.task = _valid(PlanTask, fields, each.where, self.faults, each.at)

    def _agents(self) -> None:
        judged: dict[str, tuple[str, str | None]] = {}
        unknown: dict[str, list[str]] = {}
        silent = [each.id or "" for each in self.tasks if "agent" not in each.raw and each.task]
        for each in self.tasks:
            agent = each.raw.get("agent", DEFAULT_AGENT)
            if not isinstance(agent, str) or not agent.strip() or len(agent) > 128:
                continue
            agent = " ".join(agent.split())
            if agent not in judged:
                judged[agent] = judge(agent, self.known_agents)
            verdict, name = judged[agent]
            if verdict == "near":
                do = f"Write {name}, or rename your own."
                self.faults.add(each.where, f"no agent type {quoted(agent)} is known", do, each.at)
            elif verdict == "unknown":
                unknown.setdefault(agent, []).append(each.id or "")
            elif each.task and name and name != each.task.agent:
                each.task = each.task.model_copy(update={"agent": name})
        for agent, ids in list(unknown.items())[:10]:
            self.warnings.append(
                f"No agent type {quoted(agent)} is known here ({listed(ids, 4)}): unless a plugin brings it, "
                "deploying will fail."
            )
        if silent:
            self.warnings.append(f"No agent is named for {listed(silent)}: {DEFAULT_AGENT} does it.")

    def _names(self, beyond: set[str]) -> None:
        """Ids and what `after` says of them."""
        before = {each["id"] for each in self.existing}
        first: dict[str, _Read] = {}
        for each in self.tasks:
            if each.id is None:
                continue
            if each.id in first:
                what = f"the id is that of tasks[{first[each.id].at}] too"
                self.faults.add(each.where, what, "Give one of them another.", each.at)
            elif each.id in before:
                do = f"Give it another, such as {free_id(each.id, before | set(first))}."
                self.faults.add(
                    each.where, "the id is that of a task which the orchestration has already", do, each.at
                )
            first.setdefault(each.id, each)
        ids = before | beyond | set(first)
        likely: dict[str, str] = {}
        for each in self.tasks:
            seen: set[str] = set()
            for entry, name in each.texts("after"):
                where = f"{each.where}, {entry}"
                if name in seen:
                    self.faults.add(where, f"{quoted(name)} stands there twice", "Name it once.", each.at)
                elif name == each.id:
                    self.faults.add(where, "the task waits for itself", "Take its own id out.", each.at)
                elif name not in ids and re.fullmatch(ID_PATTERN, name) and not self.faults.full:
                    if name not in likely:
                        close = difflib.get_close_matches(name[:64], ids, 1, 0.6)
                        likely[name] = f"Did you mean {quoted(close[0])}? Else take" if close else "Take"
                    do = f"{likely[name]} it out, or add that task."
                    self.faults.add(where, f"no task has the id {quoted(name)}", do, each.at)
                seen.add(name)

    def _nodes(self) -> list[Node]:
        nodes = [
            Node(each["id"], list(each.get("after") or ()), (), list(each.get("writes") or ()))
            for each in self.existing
        ]
        for each in self.tasks:
            if each.id is not None:
                after = [name for _, name in each.texts("after") if name != each.id]
                reads = each.list("files") + each.list("references")
                writes = [pattern for _, pattern in each.list("writes")]
                nodes.append(Node(each.id, after, reads, writes, each.at, each.where))
        return nodes

    def _rings(self) -> None:
        tasks = [{"id": node.id, "after": node.after} for node in self._nodes()]
        for ring in graph.rings(tasks):
            names = [name if re.fullmatch(ID_PATTERN, name) else quoted(name) for name in ring]
            shown = names if len(names) <= 12 else [*names[:8], f"({len(names) - 11} more)", *names[-3:]]
            do = "Each waits for the next: take one of these ids out of the `after` before it."
            self.faults.add("", f"tasks wait for one another in a ring: {' → '.join(shown)}", do)

    def _paths(self) -> None:
        for each in self.tasks:
            for at, (entry, pattern) in enumerate(each.list("writes")):
                wrong = self.files.leaves(pattern)
                if wrong:
                    where = f"{each.where}, {entry}"
                    self.faults.add(where, f"{quoted(pattern, 120)} {wrong[0]}", wrong[1], each.at)
                elif each.task:
                    each.task.writes[at] = self._folder(pattern)
        for node, entry, text, what, do in missing_files(self._nodes(), self.files):
            self.faults.add(f"{node.where}, {entry}", f"{quoted(text, 120)} {what}", do, node.at)
            if self.faults.full:
                break
        if self.files.tired:
            do = "Name fewer of them, and begin patterns with a folder."
            self.faults.add("", "`files` and `writes` hold too many patterns to be compared", do)

    def _folder(self, pattern: str) -> str:
        """A folder in `writes` means all below it."""
        if pattern.endswith("/") or (
            not globs.is_glob(pattern) and os.path.isdir(os.path.join(self.files.root, pattern))
        ):
            return pattern.rstrip("/") + "/**"
        return pattern

    def _odd(self) -> None:
        titles: dict[str, list[str]] = {}
        for task in self.valid():
            titles.setdefault(task.title.casefold(), []).append(task.id)
        for ids in [each for each in titles.values() if len(each) > 1][:5]:
            self.warnings.append(f"{listed(ids)} have the same title.")
        new = [node for node in self._nodes() if node.at >= 0]
        for one, other, pattern in writes_together(new, self.files):
            self.warnings.append(
                f"{one} and {other} may both write {quoted(pattern)} and nothing orders them: "
                "they may run at the same time."
            )


def _first_line(prompt: str) -> str:
    """A title made of a prompt: its first line with anything on it, printable, cut."""
    for line in prompt[:2000].splitlines():
        text = " ".join("".join(char if char.isprintable() else " " for char in line).split()).lstrip("#*- ")
        if text:
            return text if len(text) <= 80 else text[:79] + "…"
    return ""


def _keys(
    raw: dict[str, Any],
    model: type[BaseModel],
    where: str,
    faults: Faults,
    at: int = -1,
    also: tuple[str, ...] = (),
) -> dict[str, Any]:
    """`raw` without the keys that the model does not have; they and doubled ones are faults."""
    known = [*model.model_fields, *also]
    for key in raw.keys_twice if isinstance(raw, Doubled) else ():
        faults.add(where, f"the key {quoted(key)} is written twice", "Keep one.", at)
    for key in raw:
        if key not in known and not faults.full:
            likely = _LIKELY.get(key.casefold())
            if likely not in known:
                close = difflib.get_close_matches(key[:60].casefold(), known, 1, 0.6)
                likely = close[0] if close else None
            do = (
                f"Did you mean `{likely}`?"
                if likely
                else f"Leave it out; known are {', '.join(model.model_fields)}."
            )
            faults.add(where, f"the key {quoted(key)} is not known", do, at)
    return {key: value for key, value in raw.items() if key in known}


def _valid(
    model: type[Any], fields: dict[str, Any], where: str, faults: Faults, at: int = -1, skip: str = ""
) -> Any:
    """The model made of `fields`, or None and the faults."""
    short = {}
    for key, value in fields.items():  # a list of a million wrong entries would be a million errors
        most = _most(model, key) if isinstance(value, list) else None
        short[key] = value[: most + 1] if most is not None and len(value) > most + 1 else value
    try:
        return model.model_validate(short)
    except ValidationError as found:
        for error in found.errors(include_url=False):
            loc = error["loc"]
            field = str(loc[0]) if loc else ""
            if field == skip and skip:
                continue
            entry = next((f"[{part}]" for part in loc[1:] if isinstance(part, int)), "")
            what, do = _sentence(model, field, entry, error, fields)
            faults.add(where, f"`{field}{entry}` {what}", do, at)
            if faults.full:
                break
    return None


def _most(model: type[BaseModel], field: str) -> int | None:
    for each in model.model_fields[field].metadata if field in model.model_fields else ():
        if getattr(each, "max_length", None) is not None:
            return int(each.max_length)
    return None


def _sentence(
    model: type[BaseModel], field: str, entry: str, error: Any, fields: dict[str, Any]
) -> tuple[str, str]:
    """(what is wrong, what to do) of one of pydantic's errors."""
    value, kind, context = error.get("input"), error["type"], error.get("ctx") or {}
    info = model.model_fields.get(field)
    example = json.dumps(info.examples[0], ensure_ascii=False) if info and info.examples else "…"
    like = f'Write it like "{field}": {example}.'
    if kind == "missing":
        if field == "id" and isinstance(fields.get("title"), str):
            like = f'Write it like "id": "{free_id(fields["title"], ())}".'
        return "is missing", like
    if kind in ("blank", "string_too_short", "too_short"):
        return "is empty", like
    if kind == "string_too_long":
        return f"has {len(value):,} characters, more than {context['max_length']:,}", "Shorten it."
    if kind == "too_long":
        count = len(fields.get(field) or ())
        return f"has {count:,} entries, more than {context['max_length']:,}", "Name fewer."
    if kind == "control":
        return f"contains the control character U+{context['point']}", "Take it out."
    if kind == "string_unicode":
        return "contains half a character, a lone surrogate", "Write the character itself."
    if kind == "string_pattern_mismatch" and field in ("id", "after"):
        do = "Ids are lower case letters, digits, `.`, `_` and `-`, at most 64, the first a letter or digit"
        return f"is {quoted(value)}", f"{do}: {free_id(value, ())}."
    if kind in ("greater_than_equal", "less_than_equal"):
        low = kind == "greater_than_equal"
        return (
            f"is {quoted(value)}, {'less' if low else 'more'} than {context['ge' if low else 'le']:,}",
            like,
        )
    if kind == "string_pattern_mismatch" or kind == "priority":
        return f"is {quoted(value)}", f"{info.description if info else ''} For example {example}."
    wanted = {"string_type": "text", "list_type": "a list", "bool_type": "true or false"}.get(
        kind, "a whole number"
    )
    if kind not in ("string_type", "list_type", "bool_type", "int_type", "int_from_float"):
        wanted = "what belongs there"
    if entry:
        like = f"Write text there, as in {like[len('Write it like ') :]}" if kind == "string_type" else like
    return f"is {quoted(value)}, not {wanted}", like
