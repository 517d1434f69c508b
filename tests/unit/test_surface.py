"""What the client loads, as files: manifests, skill, blueprints, doors."""
import json
import re
from pathlib import Path

import pytest

from orchestrator.context import sections
from orchestrator.edges import own_command

ROOT = Path(__file__).resolve().parents[2]
SKILLS = sorted((ROOT / "skills").glob("*/SKILL.md"))
AGENTS = sorted((ROOT / "agents").glob("*.md"))
COMMANDS = sorted((ROOT / "commands").glob("*.md"))
PROSE = SKILLS + AGENTS + COMMANDS
WORKFLOW = ROOT / "workflows" / "run.js"
ROLES = {"planner", "scout", "analyst", "builder", "tester", "reviewer", "documenter"}
READERS = {"planner", "scout", "analyst", "reviewer"}
KEYS = {
    "skills": {"name", "description", "argument-hint"},
    "agents": {"name", "description", "disallowedTools"},
    "commands": {"description", "argument-hint", "disable-model-invocation"},
}


def kind(path):
    return path.relative_to(ROOT).parts[0]


def named(path):
    return str(path.relative_to(ROOT))


def parts(path):
    """({key: value}, body) of a file with frontmatter of plain or double-quoted scalars."""
    head = re.match(r"---\n(.*?)\n---\n\n(?=\S)(.*)", path.read_text(encoding="utf-8"), re.S)
    assert head, "%s has no frontmatter, then a blank line, then its text" % path.name
    lines = [line.partition(": ") for line in head[1].split("\n")]
    return {key: json.loads(value) if value[:1] == '"' else value for key, _, value in lines}, head[2]


def blocks(text):
    """Code as Markdown sets it apart: fenced, or indented by four blanks after an empty line."""
    found = [match[1] for match in re.finditer(r"^```\w*\n(.*?)^```$", text, re.S | re.M)]
    text = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.S | re.M)
    indented = re.findall(r"\n\n((?: {4}.*\n)+)", text)
    return found + [re.sub(r"^ {4}", "", block, flags=re.M) for block in indented]


def command_lines(path):
    """Every `orchestrator …` command that a file shows, in code blocks and in backquotes."""
    body = parts(path)[1]
    found = []
    for block in blocks(body):
        while block:
            plan = re.match(r"orchestrator plan - <<'(\w+)'\n.*?^\1$\n?", block, re.S | re.M)
            line = plan[0] if plan else block.partition("\n")[0] + "\n"
            found += [line.rstrip("\n")] if line.startswith("orchestrator ") else []
            block = block[len(line) :]
    return found + re.findall(r"`(orchestrator [^`\n]+)`", body)


def plans(path):
    """The JSON of each plan that a file shows."""
    found = []
    for command in command_lines(path):
        if "<<" in command:
            found.append(json.loads(command.split("\n", 1)[1].rsplit("\n", 1)[0]))
    return found


@pytest.mark.parametrize("path", PROSE, ids=named)
def test_frontmatter_holds_known_keys_only(path):
    """Each file opens with the keys of its kind: no `allowed-tools`, nothing that asks for approval."""
    fields, _ = parts(path)
    assert set(fields) <= KEYS[kind(path)]
    assert fields["description"] and len(fields["description"]) <= 200


@pytest.mark.parametrize("path", PROSE, ids=named)
def test_nothing_runs_before_the_model(path):
    """No file has a line that the client would run by itself (`!` and a backquote)."""
    assert not re.search(r"!`|^```!", path.read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("path", [p for p in PROSE if kind(p) != "commands"], ids=named)
def test_names_are_the_files_own(path):
    """A skill is named like its folder, an agent like its file."""
    assert parts(path)[0]["name"] == (path.parent.name if path.name == "SKILL.md" else path.stem)


def test_the_seven_roles_are_there():
    """One blueprint a role, and no other."""
    assert {path.stem for path in AGENTS} == ROLES


@pytest.mark.parametrize("path", [*PROSE, WORKFLOW], ids=named)
def test_line_budgets(path):
    """A skill has at most 120 lines, a blueprint 80, a door 15, the workflow 60; none is too wide to read."""
    most = {"skills": 120, "agents": 80, "commands": 15, "workflows": 60}[kind(path)]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= most
    assert max(map(len, lines)) <= 250


@pytest.mark.parametrize("path", PROSE, ids=named)
def test_words_are_the_glossarys(path):
    """None of the words that the design replaced, and no shouting."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"context package|spawn plan|agent run|subtask|state dir", text, re.I)
    assert not re.search(r"\b(IMPORTANT|MUST|NEVER|ALWAYS|CRITICAL)\b", text)


@pytest.mark.parametrize("path", PROSE, ids=named)
def test_links_lead_to_files(path):
    """Each relative link names a file of the plugin."""
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        assert "://" in link or (path.parent / link).exists(), link


@pytest.mark.parametrize("path", AGENTS, ids=named)
def test_readers_have_no_writing_tools(path):
    """They lack Edit, Write and NotebookEdit, and so have Bash; the others lack nothing (S3-04)."""
    wanted = "Edit, Write, NotebookEdit" if path.stem in READERS else None
    assert parts(path)[0].get("disallowedTools") == wanted


def test_the_contract_is_one():
    """Every blueprint ends with the same contract, word for word, and says it once."""
    contracts = {path.read_text(encoding="utf-8").partition("\n## Contract\n")[2] for path in AGENTS}
    assert len(contracts) == 1
    contract = contracts.pop()
    for words in ("`NO BRIEFING`", "orchestrator task <id>", "Run: orchestrator brief <id>", "1,500"):
        assert words in contract
    for heading in ("Deliverables:", "Validation:", "Insights:"):
        assert contract.count(heading + "\n- ") == 1, heading


@pytest.mark.parametrize("path", COMMANDS, ids=named)
def test_doors_are_closed_to_the_model(path):
    """A door is typed by a person: the client is told to keep it from the model."""
    assert parts(path)[0]["disable-model-invocation"] == "true"


@pytest.mark.parametrize("path", [p for p in PROSE if command_lines(p)], ids=named)
def test_every_command_shown_runs_without_asking(path, tmp_path):
    """What the prose tells a model to run is a command that the plugin allows to the one who is told."""
    inside, planner = kind(path) == "agents", path.stem == "planner"
    for command in command_lines(path):
        if command.endswith("<id>"):
            continue  # the shape of a prompt, not a command
        place = str(tmp_path)
        assert own_command.judge(command, place, place, inside, planner, "/x/orchestrator"), command


def test_five_phases_each_with_a_call():
    """The skill walks through the five phases in order, each with a call to copy (S2-01)."""
    body = parts(ROOT / "skills" / "orchestrate" / "SKILL.md")[1]
    phases = re.split(r"^## \d ", body.partition("\n## When")[0], flags=re.M)[1:]
    assert [phase.split("\n")[0] for phase in phases] == ["Analyze", "Plan", "Execute", "Validate", "Confirm"]
    assert all(blocks(phase) for phase in phases)


def test_the_skill_is_found_by_the_words_people_use():
    """The description names the phrases that should make a model reach for it (S4-15)."""
    description = parts(ROOT / "skills" / "orchestrate" / "SKILL.md")[0]["description"]
    for words in ("process the queue", "run in background", "start background tasks", "orchestrator mode"):
        assert '"%s"' % words in description


FIELDS = {
    *("id", "title", "agent", "prompt", "after", "files", "references", "writes", "check"),
    *("priority", "model", "budget_tokens", "retries", "may_spawn"),
}


def test_example_plans_are_plans():
    """The plans shown as examples name the fields of a plan, and files in a form that is understood."""
    shown = [plan for path in PROSE for plan in plans(path)]
    assert len(shown) == 2
    for plan in shown:
        assert set(plan) == {"goal", "tasks"}
        for task in plan["tasks"]:
            assert {"id", "title", "agent", "prompt", "after"} <= set(task) <= FIELDS
            assert task["agent"] in ROLES
            for name in task.get("files", []):
                assert sections.parse(name, str(ROOT)).path.endswith((".py", ".md"))
    planner = plans(ROOT / "agents" / "planner.md")[0]["tasks"][0]
    text = (ROOT / "agents" / "planner.md").read_text(encoding="utf-8")
    assert all('"%s"' % field in text or "`%s`" % field in text for field in FIELDS - set(planner))


def test_the_manifests_agree():
    """The marketplace offers this folder, under the plugin's own name; the version is said once."""
    plugin = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text(encoding="utf-8"))
    market = json.loads((ROOT / ".claude-plugin" / "marketplace.json").read_text(encoding="utf-8"))
    (offer,) = market["plugins"]
    assert plugin["name"] == offer["name"] == "orchestrator"
    assert (plugin["license"], offer["source"]) == ("MIT", "./")
    assert re.fullmatch(r"\d+\.\d+\.\d+", plugin["version"]) and "version" not in offer
    assert market["description"] and offer["description"] and plugin["description"]


def test_plugin_options_say_what_an_empty_field_means():
    """The client applies no `default`, so none is given; each option says what leaving it empty means."""
    options = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text(encoding="utf-8"))["userConfig"]
    assert set(options) == {"driver", "max_parallel_agents", "default_model"}
    for option in options.values():  # with the keys that the older client takes
        assert set(option) <= {"type", "title", "description", "min", "max"}
        assert "Empty: " in option["description"]
