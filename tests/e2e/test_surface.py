"""What the client loads, as the real client sees it: manifests, skill, blueprints, doors, the workflow."""
import json
import re
import shutil
import subprocess

import pytest

from harness import ROOT, environment
from orchestrator.edges.scripted_model import Play, call, fail, say

pytestmark = pytest.mark.e2e

LOADED = (".claude-plugin", "agents", "assets", "bin", "commands", "hooks", "scripts", "skills", "workflows")
ROLES = ("planner", "scout", "analyst", "builder", "tester", "reviewer", "documenter")
READERS = ("planner", "scout", "analyst", "reviewer")
WRITING = {"Edit", "Write", "NotebookEdit"}
NOWHERE = "http://127.0.0.1:9"


def copied(folder, *without):
    """The plugin's own files in another place."""
    for name in set(LOADED) - set(without):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def plugin_command(claude, folder, *words):
    """`claude plugin …` in a folder, with no network to reach."""
    env = environment(claude.home, claude.data, NOWHERE)
    done = subprocess.run(
        [claude.client.path, "plugin", *words],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def body(path):
    """A Markdown file without its frontmatter."""
    return (ROOT / path).read_text(encoding="utf-8").split("---\n\n", 1)[1]


def test_the_strict_validator_passes(claude):
    """`claude plugin validate --strict .` finds nothing to warn of."""
    code, said = plugin_command(claude, ROOT, "validate", "--strict", ".")
    assert code == 0, said


def test_it_installs_offline_from_any_path_and_is_cheap_at_rest(claude, project, tmp_path):
    """From a path with a blank and an apostrophe it is added, installed, priced and works, without a network.

    By the client's own count it adds at most 250 tokens to every session, and the skill 900 when used.
    """
    plugin = copied(tmp_path / "it's a plugin")
    for words in (["marketplace", "add", "./"], ["install", "orchestrator@orchestrator-marketplace"]):
        code, said = plugin_command(claude, plugin, *words)
        assert code == 0, said
    _, details = plugin_command(claude, plugin, "details", "orchestrator")
    assert int(re.search(r"Always-on:\s+~?(\d+) tok", details)[1]) <= 250, details
    assert int(re.search(r"^\s+orchestrate\s+\S.*~(\d+)\s*$", details, re.M)[1]) <= 900, details
    run = claude.run("/orchestrate add CSV export", Play(otherwise=say("ok")), project, plugin=None)
    assert "Asked: add CSV export\n" in run.main_requests[0].text


def test_at_rest_the_model_is_told_little(claude, project):
    """In a conversation that does not use it, at most 1,000 characters are added to what the model reads."""
    play = Play(otherwise=say("hello"))
    without = claude.run("hello", play, project, plugin=None).main_requests[0]
    request = claude.run("hello", play, project).main_requests[0]
    assert 0 < len(request.text) - len(without.text) <= 1000
    assert request.tools == without.tools


@pytest.mark.parametrize("name", ["/orchestrate", "/orchestrator:orchestrate"])
@pytest.mark.parametrize("asked", ["", 'add "CSV" & $HOME export'])
def test_a_person_types_the_skills_name(claude, project, name, asked):
    """`/orchestrate` resolves unprefixed, and its text reaches the model with what was asked (S4-04)."""
    run = claude.run((name + " " + asked).strip(), Play(otherwise=say("ok")), project)
    wanted = body("skills/orchestrate/SKILL.md").replace("$ARGUMENTS", asked).strip()
    assert wanted in run.main_requests[0].text
    assert len(run.main_requests) == 1


@pytest.mark.parametrize("name", ["orchestrate", "orchestrator:orchestrate"])
def test_a_model_reaches_for_the_skill(claude, project, name):
    """The model is told of the skill, and may use it without anybody's approval."""
    play = Play().when("process the queue", call("Skill", skill=name, args="the queue"), say("ok"))
    run = claude.run("process the queue", play, project)
    assert '- orchestrator:orchestrate: ' in run.main_requests[0].text
    assert "Asked: the queue\n" in run.main_requests[1].text


@pytest.mark.parametrize("door", ["status", "report", "history"])
def test_a_door_is_for_people(claude, project, door):
    """A typed door tells the model one command to run; a model can neither see nor open it (S4-12)."""
    play = Play(otherwise=say("ok")).when("open it", call("Skill", skill="orchestrator:" + door), say("ok"))
    typed = claude.run("/orchestrator:%s --limit 3" % door, play, project)
    assert "Run `orchestrator %s` with the Bash tool" % door in typed.main_requests[0].text
    assert "if any: --limit 3" in typed.main_requests[0].text
    opened = claude.run("open it", play, project)
    assert "orchestrator:" + door not in opened.main_requests[0].text
    assert [failed for _, _, failed in opened.tool_results] == [True]


def test_each_role_has_its_blueprint_the_contract_and_its_tools(claude, project):
    """An agent's first request holds its role and the contract; read-only roles cannot edit (S3-04)."""
    calls = [
        call("Agent", subagent_type="orchestrator:" + role, description=role, prompt="look at " + role)
        for role in ROLES
    ]
    play = Play().when("everybody", say("go", *calls), say("ok")).when("look at", say("seen"))
    run = claude.run("everybody", play, project)
    for role in ROLES:
        first = run.agent_requests("look at " + role)[0]
        assert body("agents/%s.md" % role).strip() in first.system
        assert "Bash" in first.tools and "Read" in first.tools
        if role in READERS:
            assert not WRITING & set(first.tools)
            assert "\nNotebookEdit\n" not in first.text  # nor among the tools to search for
        else:
            assert {"Edit", "Write"} <= set(first.tools)
            assert "NotebookEdit" in first.tools or "\nNotebookEdit\n" in first.text


def workflow(claude, project, tmp_path, play, **arguments):
    """The script run by the client alone: without the hooks nobody fills in or checks the graph."""
    plugin = copied(tmp_path / "without hooks", "hooks")
    play.when("go", call("Workflow", name="orchestrator:run", **arguments), say("under way"), say("seen"))
    run = claude.run("go", play, project, "--allowedTools", "Workflow", plugin=plugin)
    return run, run.main_requests[-1].notifications[0]["result"]


GRAPH = {
    "orchestration": "orch-1",
    "limit": 2,
    "tasks": [
        {"id": "t1", "title": "one", "agent": "orchestrator:scout", "after": ["t0"]},
        {"id": "t2", "title": "two", "agent": "orchestrator:builder", "after": ["t1"]},
        {"id": "t3", "title": "three", "agent": "orchestrator:builder", "model": "haiku", "after": ["t1"]},
        {"id": "t4", "title": "four", "agent": "orchestrator:tester", "after": ["t2", "t3"]},
        {"id": "t5", "title": "five", "agent": "orchestrator:nobody"},
        {"id": "t6", "title": "six", "agent": "orchestrator:scout", "after": ["t5"]},
        {"id": "t7", "title": "seven", "agent": "orchestrator:scout"},
        {"id": "t8", "title": "eight", "agent": "orchestrator:scout"},
        {"id": "t9", "title": "nine", "agent": "orchestrator:scout", "after": ["t7"]},
    ],
}


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_a_workflow_runs_the_graph_in_three_main_requests(claude, project, tmp_path, form):
    """On the client's engine order, agent types and models are the graph's, and failures stay local."""
    play = Play().when("orchestrator brief t7", fail(400, "invalid_request_error", "out of order"))
    play.when("orchestrator brief t8", say("NO BRIEFING: in flight")).when("orchestrator brief", say("done"))
    run, result = workflow(claude, project, tmp_path, play, args=form(GRAPH))
    assert json.loads(result) == {
        "orchestration": "orch-1",
        "done": ["t1", "t2", "t3", "t4"],
        "failed": ["t5", "t7", "t8"],
        "skipped": ["t6", "t9"],
    }
    assert len(run.main_requests) == 3
    names = [task["id"] for task in GRAPH["tasks"]]
    first = {name: requests[0] for name in names if (requests := run.agent_requests("brief " + name))}
    assert [name for name in names if name not in first] == ["t5", "t6", "t9"]
    assert first["t1"].index < first["t2"].index < first["t4"].index
    assert "haiku" in first["t3"].model and "haiku" not in first["t2"].model
    assert body("agents/tester.md").strip() in first["t4"].system
    assert not WRITING & set(first["t1"].tools) and {"Edit", "Write"} <= set(first["t2"].tools)


def test_a_workflow_without_a_graph_says_so(claude, project, tmp_path):
    """Where the hooks did not run, the workflow ends at once and says what to do."""
    run, result = workflow(claude, project, tmp_path, Play())
    assert "orchestrator doctor" in result
    assert run.agent_requests() == []
