"""Schemas at the doors: what a model or a stranger wrote, typed, bounded and described."""

from __future__ import annotations

import json
import unicodedata
from typing import Annotated, Any, Mapping, Optional

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

TASKS_MOST = 1000
TITLE_MOST = 200
GOAL_MOST = 4000
DEFAULT_AGENT = "orchestrator:builder"
PRIORITIES = {"high": 10, "normal": 0, "low": -10}
ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


def _refuse_controls(text: str, but: str = "") -> None:
    for char in text:
        if char not in but and unicodedata.category(char) in ("Cc", "Zl", "Zp"):
            raise PydanticCustomError("control", "contains U+{point}", {"point": f"{ord(char):04X}"})


def _line(text: str) -> str:
    text = " ".join(text.split())
    _refuse_controls(text)
    if not text:
        raise PydanticCustomError("blank", "is empty")
    return text


def _prose(text: str) -> str:
    _refuse_controls(text, "\t\n\r")
    if not text.strip():
        raise PydanticCustomError("blank", "is empty")
    return text


def _path(text: str) -> str:
    text = text.strip()
    _refuse_controls(text)
    while text.startswith("./"):
        text = text[2:].lstrip("/")
    if not text:
        raise PydanticCustomError("blank", "is empty")
    return text


def _priority(value: object) -> object:
    if isinstance(value, str):
        if value in PRIORITIES:
            return PRIORITIES[value]
        raise PydanticCustomError("priority", "is no priority")
    return value


def _model(value: str) -> Optional[str]:
    return None if value == "inherit" else value


def _once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


TaskId = Annotated[str, Field(pattern=ID_PATTERN)]
Title = Annotated[str, Field(min_length=1, max_length=TITLE_MOST), AfterValidator(_line)]
AgentType = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^\w[\w .:@/-]*$"), AfterValidator(_line)
]
Prompt = Annotated[str, Field(min_length=1, max_length=100_000), AfterValidator(_prose)]
Goal = Annotated[str, Field(min_length=1, max_length=GOAL_MOST), AfterValidator(_prose)]
Check = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_prose)]
Document = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_line)]
Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,99}$"), AfterValidator(_model)]
Path = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_path)]
Paths = Annotated[list[Path], Field(max_length=200), AfterValidator(_once)]
Priority = Annotated[
    int,
    Field(ge=-100, le=100),
    BeforeValidator(_priority),
    WithJsonSchema(
        {"anyOf": [{"enum": list(PRIORITIES)}, {"type": "integer", "minimum": -100, "maximum": 100}]}
    ),
]


class Written(BaseModel):
    """What somebody wrote: nothing is converted and no key is unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PlanTask(Written):
    """One unit of intended work, done by one agent."""

    id: TaskId = Field(
        description="Names the task in this plan: lower case letters, digits, `.`, `_` and `-`, at most 64.",
        examples=["t1"],
    )
    title: Title = Field(
        default="",
        description="What it is, in a line; left out: the prompt's first line.",
        examples=["Add CSV export"],
    )
    agent: AgentType = Field(
        default=DEFAULT_AGENT,
        description="The agent type, as Claude Code names it; a bare role such as `scout` is ours.",
        examples=[DEFAULT_AGENT],
    )
    prompt: Prompt = Field(
        description="What the agent is to do, what done looks like, what to leave alone.",
        examples=["Add a function that writes rows as CSV"],
    )
    after: Annotated[list[TaskId], Field(max_length=TASKS_MOST)] = Field(
        default=[],
        description="Ids of the tasks that must have ended before; their results reach its briefing.",
        examples=[["t1"]],
    )
    files: Paths = Field(
        default=[],
        description="Files for its bundle, relative to the project: a path, `path#Heading`, `path::symbol`, "
        "`path:10-40` or a glob. Each exists now or matches `writes` of a task it comes after.",
        examples=[["src/export.py", "docs/formats.md#CSV"]],
    )
    references: Paths = Field(
        default=[],
        description="Files to know rather than to change, named as in `files`.",
        examples=[["docs/style.md"]],
    )
    documents: Annotated[list[Document], Field(max_length=100)] = Field(
        default=[], description="Names of kept documents. Kept for later use.", examples=[["doc-1"]]
    )
    priority: Priority = Field(
        default=0,
        description="Higher goes first: `high` (10), `normal` (0), `low` (-10), or from -100 to 100.",
        examples=["high"],
    )
    model: Optional[Model] = Field(
        default=None,
        description="The model, if not the blueprint's or the setting's: `haiku`, `sonnet`, `opus`, an id.",
        examples=["haiku"],
    )
    budget_tokens: Optional[Annotated[int, Field(ge=1000, le=10_000_000)]] = Field(
        default=None, description="The most tokens its briefing may have.", examples=[60000]
    )
    writes: Paths = Field(
        default=[],
        description="Globs of what it may create or change; a folder means all below it.",
        examples=[["src/csv_export.py", "tests/test_csv*.py"]],
    )
    check: Optional[Check] = Field(
        default=None,
        description="The command whose passing shows that it is done.",
        examples=["pytest -q tests/test_csv_export.py"],
    )
    retries: Optional[Annotated[int, Field(ge=0, le=10)]] = Field(
        default=None, description="How often it may be tried again after a failure.", examples=[1]
    )
    may_spawn: bool = Field(
        default=False, description="Whether its agent may deploy agents of its own.", examples=[False]
    )


class Plan(Written):
    """The tasks of an orchestration and what each waits for."""

    goal: Goal = Field(
        description="What the user asked for; left out: the orchestration's goal.",
        examples=["Add CSV export"],
    )
    tasks: Annotated[list[PlanTask], Field(min_length=1, max_length=TASKS_MOST)] = Field(
        description="The tasks, in any order."
    )


def made(model: type[Written], fields: Mapping[str, Any]) -> tuple[Any, list[Mapping[str, Any]]]:
    """(the model made of `fields`, []), or None and pydantic's errors: type, loc, input, ctx."""
    try:
        return model.model_validate(fields), []
    except ValidationError as found:
        return None, list(found.errors(include_url=False))


def plan_schema() -> dict[str, Any]:
    """The JSON schema of a plan as it may be written, for references/plan.schema.json."""
    schema = Plan.model_json_schema()
    task = schema["$defs"]["PlanTask"]["properties"]
    for field in [*task.values(), *schema["properties"].values()]:
        field.pop("title", None)  # pydantic's own: the key, capitalised
    del task["title"]["default"]  # it comes from the prompt
    task["deps"] = {**task["after"], "description": "Another name for `after`."}
    schema["properties"] = {"$schema": {"type": "string"}, **schema["properties"]}
    schema["required"] = ["tasks"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def plan_schema_text() -> str:
    """references/plan.schema.json, byte for byte."""
    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"


def task_spec(task: PlanTask, known_agents: Any = ()) -> dict[str, Any]:
    """A task as its row keeps it: every field, and `has_bash` (null where the agent type is unknown)."""
    blueprint = known_agents.get(task.agent) if isinstance(known_agents, Mapping) else None
    return {**task.model_dump(), "has_bash": getattr(blueprint, "has_bash", None)}
