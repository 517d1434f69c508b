"""The published schema of a plan: generated, whole, and of one mind with the door."""

import json
import re
from pathlib import Path

from orchestrator.edges.plans import read_plan
from orchestrator.edges.schemas import Plan, PlanTask, plan_schema, plan_schema_text

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "references/plans.md"


def test_the_published_schema_is_the_generated_one():
    """references/plan.schema.json is written by plan_schema_text and by nobody else."""
    assert (ROOT / "references/plan.schema.json").read_text(encoding="utf-8") == plan_schema_text()


def test_every_field_is_described_exampled_and_bounded():
    """A planner that reads only the schema knows what each field is for and how much of it is allowed."""
    for model in (Plan, PlanTask):
        assert all(field.description for field in model.fields.values())
    assert all(field.example is not None for field in PlanTask.fields.values())

    def bounded(schema):
        if "anyOf" in schema:
            return all(bounded(each) for each in schema["anyOf"])
        if schema.get("type") == "array":
            return "maxItems" in schema and bounded(schema["items"])
        if schema.get("type") == "string":
            return "maxLength" in schema or schema.get("pattern", "").endswith("}$")
        return schema.get("type") != "integer" or {"minimum", "maximum"} <= set(schema)

    for name, schema in plan_schema()["$defs"]["PlanTask"]["properties"].items():
        assert bounded(schema), name


def test_the_aliases_and_what_may_be_left_out_are_in_the_schema():
    """`deps` is `after`; only `tasks`, and of a task `id` and `prompt`, must be there."""
    schema = plan_schema()
    task = schema["$defs"]["PlanTask"]
    assert task["properties"]["deps"]["items"] == task["properties"]["after"]["items"]
    assert (schema["required"], task["required"]) == (["tasks"], ["id", "prompt"])
    assert schema["additionalProperties"] is task["additionalProperties"] is False


def test_the_examples_of_the_fields_make_a_plan(tmp_path):
    """What a refusal gives as an example is itself allowed."""
    for path in ("src/export.py", "docs/formats.md", "docs/style.md"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    example = {name: field.example for name, field in PlanTask.fields.items()}
    tasks = [{"id": "t1", "prompt": "first", "agent": "builder"}, {**example, "id": "t2"}]
    plan, _ = read_plan(
        json.dumps({"goal": "g", "tasks": tasks}), project=tmp_path, known_agents=["orchestrator:builder"]
    )
    assert plan.tasks[1].priority == 10


def test_the_page_names_every_field_and_its_example_is_taken(tmp_path):
    """references/plans.md is true."""
    page = PAGE.read_text(encoding="utf-8")
    for name in [*Plan.fields, *PlanTask.fields]:
        assert f"`{name}`" in page, name
    (tmp_path / "src").mkdir()
    (tmp_path / "src/export.py").write_text("x")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/formats.md").write_text("x")
    roles = [path.stem for path in (ROOT / "agents").glob("*.md")]
    examples = re.findall(r"```json\n(.*?)```", page, re.S)
    for example in examples:
        plan, warnings = read_plan(
            example, project=tmp_path, known_agents=[f"orchestrator:{role}" for role in roles] + ["Explore"]
        )
        assert plan.tasks
    assert examples
