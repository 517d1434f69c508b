"""Schemas at the doors: what a model or a stranger wrote, typed, bounded and described."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Callable, ClassVar, Mapping, NamedTuple, Optional

from orchestrator.edges.validator import PydanticCustomError, SchemaValidator, ValidationError

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


Schema = dict[str, Any]  # of pydantic's core


def _text(most: int, rule: Callable[[str], Any], **more: Any) -> Schema:
    bounds = {"type": "str", "min_length": 1, "max_length": most, **more}
    return {"type": "function-after", "function": {"type": "no-info", "function": rule}, "schema": bounds}


def _list(of: Schema, most: int) -> Schema:
    return {"type": "list", "items_schema": of, "max_length": most}


def _perhaps(schema: Schema) -> Schema:
    return {"type": "nullable", "schema": schema}


_ID: Schema = {"type": "str", "pattern": ID_PATTERN}
_PATHS: Schema = {
    "type": "function-after",
    "function": {"type": "no-info", "function": _once},
    "schema": _list(_text(300, _path), 200),
}
_PRIORITY: Schema = {
    "type": "function-before",
    "function": {"type": "no-info", "function": _priority},
    "schema": {"type": "int", "ge": -100, "le": 100},
}
_MODEL: Schema = {
    "type": "function-after",
    "function": {"type": "no-info", "function": _model},
    "schema": {"type": "str", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,99}$"},
}


class Field(NamedTuple):
    """One field of what is written: what may stand there, what it is for, an example, what it is if left out."""

    schema: Schema
    description: str
    example: Any = None
    default: Any = ...

    @property
    def most(self) -> Optional[int]:
        """How many entries it may have, if it is a list."""
        inner = self.schema.get("schema", self.schema)
        return inner["max_length"] if inner["type"] == "list" else None

    def core(self) -> Schema:
        """The field within the schema of an object."""
        schema = self.schema
        if self.default is not ...:
            schema = {"type": "default", "schema": schema, "default": self.default, "copy_default": True}
        about: dict[str, Any] = {"description": self.description}
        if self.example is not None:
            about["examples"] = [self.example]
        return {
            "type": "typed-dict-field",
            "schema": schema,
            "required": self.default is ...,
            "metadata": {"pydantic_js_updates": about},
        }


class Written:
    """What somebody wrote: nothing is converted and no key is unknown."""

    fields: ClassVar[dict[str, Field]]

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def model_dump(self) -> dict[str, Any]:
        """Every field."""
        return dict(vars(self))

    @classmethod
    def core(cls) -> Schema:
        """The schema of the object for pydantic's core."""
        return {
            "type": "typed-dict",
            "cls_name": cls.__name__,
            "fields": {name: field.core() for name, field in cls.fields.items()},
            "extra_behavior": "forbid",
            "config": {"strict": True},
        }


class PlanTask(Written):
    """One unit of intended work, done by one agent."""

    id: str
    title: str
    agent: str
    prompt: str
    after: list[str]
    files: list[str]
    references: list[str]
    documents: list[str]
    priority: int
    model: Optional[str]
    budget_tokens: Optional[int]
    writes: list[str]
    check: Optional[str]
    retries: Optional[int]
    may_spawn: bool

    fields = {
        "id": Field(
            _ID,
            "Names the task in this plan: lower case letters, digits, `.`, `_` and `-`, at most 64.",
            "t1",
        ),
        "title": Field(
            _text(TITLE_MOST, _line),
            "What it is, in a line; left out: the prompt's first line.",
            "Add CSV export",
            "",
        ),
        "agent": Field(
            _text(128, _line, pattern=r"^\w[\w .:@/-]*$"),
            "The agent type, as Claude Code names it; a bare role such as `scout` is ours.",
            DEFAULT_AGENT,
            DEFAULT_AGENT,
        ),
        "prompt": Field(
            _text(100_000, _prose),
            "What the agent is to do, what done looks like, what to leave alone.",
            "Add a function that writes rows as CSV",
        ),
        "after": Field(
            _list(_ID, TASKS_MOST),
            "Ids of the tasks that must have ended before; their results reach its briefing.",
            ["t1"],
            [],
        ),
        "files": Field(
            _PATHS,
            "Files for its bundle, relative to the project: a path, `path#Heading`, `path::symbol`, "
            "`path:10-40` or a glob. Each exists now or matches `writes` of a task it comes after.",
            ["src/export.py", "docs/formats.md#CSV"],
            [],
        ),
        "references": Field(
            _PATHS,
            "Files to know rather than to change, named as in `files`.",
            ["docs/style.md"],
            [],
        ),
        "documents": Field(
            _list(_text(200, _line), 100),
            "Documents for its bundle: files of the project, named as in `files`. Another name is kept for later use.",
            ["doc-1"],
            [],
        ),
        "priority": Field(
            _PRIORITY,
            "Higher goes first: `high` (10), `normal` (0), `low` (-10), or from -100 to 100.",
            "high",
            0,
        ),
        "model": Field(
            _perhaps(_MODEL),
            "The model, if not the blueprint's or the setting's: `haiku`, `sonnet`, `opus`, an id.",
            "haiku",
            None,
        ),
        "budget_tokens": Field(
            _perhaps({"type": "int", "ge": 1000, "le": 10_000_000}),
            "The most tokens its briefing may have.",
            60000,
            None,
        ),
        "writes": Field(
            _PATHS,
            "Globs of what it may create or change; a folder means all below it.",
            ["src/csv_export.py", "tests/test_csv*.py"],
            [],
        ),
        "check": Field(
            _perhaps(_text(2000, _prose)),
            "The command whose passing shows that it is done.",
            "pytest -q tests/test_csv_export.py",
            None,
        ),
        "retries": Field(
            _perhaps({"type": "int", "ge": 0, "le": 10}),
            "How often it may be tried again after a failure.",
            1,
            None,
        ),
        "may_spawn": Field(
            {"type": "bool"},
            "Whether its agent may deploy agents of its own.",
            False,
            False,
        ),
    }


class Plan(Written):
    """The tasks of an orchestration and what each waits for."""

    goal: str
    tasks: list[PlanTask]

    fields = {
        "goal": Field(
            _text(GOAL_MOST, _prose),
            "What the user asked for; left out: the orchestration's goal.",
            "Add CSV export",
        ),
        "tasks": Field(
            {
                "type": "list",
                "items_schema": {"type": "is-instance", "cls": PlanTask},
                "min_length": 1,
                "max_length": TASKS_MOST,
            },
            "The tasks, in any order.",
        ),
    }


_validators: dict[str, Any] = {}


def made(model: type[Written], values: Mapping[str, Any]) -> tuple[Any, list[Mapping[str, Any]]]:
    """(the model made of `values`, []), or None and pydantic's errors: type, loc, input, ctx."""
    name = model.__name__
    if name not in _validators:
        _validators[name] = SchemaValidator(model.core())
    try:
        return model(**_validators[name].validate_python(values)), []
    except ValidationError as found:
        return None, list(found.errors(include_url=False))


def plan_schema() -> dict[str, Any]:
    """The JSON schema of a plan as it may be written, for references/plan.schema.json."""
    from pydantic.json_schema import GenerateJsonSchema

    def described(model: type[Written]) -> dict[str, Any]:
        core = model.core()
        if "tasks" in core["fields"]:  # a class of ours means nothing to a reader of JSON
            core["fields"]["tasks"]["schema"] = _list({"type": "any"}, TASKS_MOST) | {"min_length": 1}
        schema = {**GenerateJsonSchema().generate(core), "description": model.__doc__, "title": model.__name__}
        for field in schema["properties"].values():
            field.pop("title", None)  # pydantic's own: the key, capitalised
        return {key: schema[key] for key in sorted(schema)}

    task, plan = described(PlanTask), described(Plan)
    plan["properties"]["tasks"]["items"] = {"$ref": "#/$defs/PlanTask"}
    fields = task["properties"]
    bounds = {"maximum": 100, "minimum": -100, "type": "integer"}
    rest = {key: fields["priority"][key] for key in ("default", "description", "examples")}
    fields["priority"] = {"anyOf": [{"enum": list(PRIORITIES)}, bounds], **rest}
    del fields["title"]["default"]  # it comes from the prompt
    fields["deps"] = {**fields["after"], "description": "Another name for `after`."}
    plan["properties"] = {"$schema": {"type": "string"}, **plan["properties"]}
    plan["required"] = ["tasks"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": {"PlanTask": task}, **plan}


def plan_schema_text() -> str:
    """references/plan.schema.json, byte for byte."""
    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"


def task_spec(task: PlanTask, known_agents: Any = ()) -> dict[str, Any]:
    """A task as its row keeps it: every field, and `has_bash` (null where the agent type is unknown)."""
    blueprint = known_agents.get(task.agent) if isinstance(known_agents, Mapping) else None
    return {**task.model_dump(), "has_bash": getattr(blueprint, "has_bash", None)}
