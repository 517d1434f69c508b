"""Plans at the door: read whole, so that every fault is told at once; taken whole or not at all."""

from __future__ import annotations

import os
from typing import Any, Callable, Iterable, Sequence

from orchestrator.edges.faults import Fault, Faults, PlanRefused, quoted, sentence
from orchestrator.edges.plan_fields import free_id, known_keys, validated
from orchestrator.edges.plan_tasks import Existing, Reading
from orchestrator.edges.plan_text import find_plan, read_json
from orchestrator.edges.schemas import GOAL_MOST, TITLE_MOST, Plan, PlanTask

__all__ = ["Existing", "PlanRefused", "find_plan", "free_id", "not_prepared", "read_plan", "task_add"]

Context = Callable[[list[dict[str, Any]]], list[tuple[str, str]]]  # of tasks' specs: (task, what is wrong)

BYTES_MOST = 1_000_000


def read_plan(
    text: str | bytes,
    *,
    project: str | os.PathLike[str],
    known_agents: Iterable[str],
    existing: Existing = (),
    goal: str | None = None,
    context: Context | None = None,
) -> tuple[Plan, list[str]]:
    """The plan in `text` and what is odd about it, a sentence each; or PlanRefused, which lists every fault.

    known_agents: agent types, as services.blueprints.known gives them. existing: the tasks that the
    orchestration has already, ids or dicts with `id`, `after` and `writes`; the plan adds to them. goal: the
    orchestration's, used when the plan names none; without either it is made of the tasks' titles. context:
    finds what is wrong with the tasks' context, and is asked only when something else is wrong: a plan that is
    taken is prepared, and then has that told by what prepares it (`not_prepared`).
    """
    faults = Faults()
    value = _value(text, faults)
    if isinstance(value, list):
        value = {"tasks": value}
    if not isinstance(value, dict):
        if not faults:
            faults.add("", f"it is {quoted(value)}, not an object", "Send an object with `goal` and `tasks`.")
        raise PlanRefused(faults.in_order())
    reading = Reading(faults, project, known_agents, existing)
    fields = known_keys(value, Plan, "", faults, also=("$schema",))
    fields.pop("$schema", None)
    reading.take(fields.pop("tasks", None))
    if "goal" not in fields:
        fields["goal"] = _given(goal) or reading.goal()
    plan = validated(Plan, {**fields, "tasks": reading.valid()}, "", faults, skip="tasks")
    if faults or plan is None:
        if context and not faults.full:
            reading.context(context)
        raise PlanRefused(faults.in_order())
    return plan, reading.warnings


def not_prepared(
    tasks: Sequence[PlanTask], found: Iterable[tuple[str, str]], what: str = "plan"
) -> PlanRefused:
    """The refusal of a plan, or of a task, whose context cannot be prepared, worded as that of any other."""
    places = {task.id: f"task {task.id}" + f" (tasks[{at}])" * (what == "plan") for at, task in enumerate(tasks)}
    return PlanRefused([Fault(places[name], sentence(words), "") for name, words in found], what)


def task_add(
    title: str,
    *,
    project: str | os.PathLike[str],
    known_agents: Iterable[str],
    existing: Existing = (),
    prompt: str | None = None,
    context: Context | None = None,
    **fields: Any,
) -> tuple[PlanTask, list[str]]:
    """One task from a command's words, and what is odd about it; or PlanRefused.

    `title` is the prompt too where none is given, and the id is made from it. `fields` are any others of a
    task, `id` among them; None and what is empty count as not given. `context` as for `read_plan`.
    """
    existing = list(existing)
    taken = [each if isinstance(each, str) else each["id"] for each in existing]
    given = {key: list(each) if isinstance(each, tuple) else each for key, each in fields.items()}
    task = {
        "id": free_id(title, taken),
        "title": title if len(title) <= TITLE_MOST else title[:79] + "…",
        "prompt": title if prompt is None else prompt,
        **{key: each for key, each in given.items() if each is not None and each != []},
    }
    faults = Faults()
    reading = Reading(faults, project, known_agents, existing)
    reading.take([task])
    if faults and context and not faults.full:
        reading.context(context)
    if faults:  # a command has no list of tasks to point into
        told = [each._replace(where=each.where.replace(" (tasks[0])", "")) for each in faults.in_order()]
        raise PlanRefused(told, "task")
    return reading.valid()[0], [each.replace(" (tasks[0])", "") for each in reading.warnings]


def _value(text: str | bytes, faults: Faults) -> Any:
    """The JSON value in `text`; None also when it could not be read."""
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
    return value


def _given(goal: str | None) -> str:
    """The orchestration's goal as a plan may hold it: it is the user's, so nothing in it is a fault."""
    text = "".join(char if char.isprintable() or char in "\n\t" else " " for char in goal or "").strip()
    return text if len(text) <= GOAL_MOST else text[: GOAL_MOST - 1] + "…"
