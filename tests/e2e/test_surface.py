"""What the client loads, as the real client sees it: manifests, skill, blueprints, doors, the workflow."""
import json
import re
import shutil
import subprocess

import pytest

from harness import ROOT, environment
from orchestrator.edges.scripted_model import Play, call, fail, say
from plays import deploy, main, results, shell, states, submit, task

pytestmark = pytest.mark.e2e

LOADED = (".claude-plugin", "agents", "assets", "bin", "commands", "hooks", "requirements", "scripts", "skills",
          "workflows")
ROLES = ("planner", "scout", "analyst", "builder", "tester", "reviewer", "documenter")
READERS = ("planner", "scout", "analyst", "reviewer")
WRITING = {"Edit", "Write", "NotebookEdit"}
DOORS = ("status", "report", "history")
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
    play = Play().when(main, submit(task("t1")), deploy("t1"), "at work", "done")
    play.when("DO t1.", shell("orchestrator status"), "seen")
    run = claude.run("/orchestrate add CSV export", play, project, plugin=None)
    assert "Asked: add CSV export\n" in run.main_requests[0].text
    assert "1 in flight" in results(run.agent_requests("DO t1.")[1])[0] and states(project) == {"t1": "completed"}


def test_at_rest_the_model_is_told_little(claude, project, tmp_path):
    """In a conversation that does not use it, at most 1,000 characters are added to what the model reads.

    None of them by a hook, and no hook leaves anything in a project that orchestrates nothing.
    """
    hookless = copied(tmp_path / "without hooks", "hooks")
    found = [
        claude.run("hello", Play().when("hello", call("Bash", command="ls"), "seen"), project, plugin=plugin).main_requests
        for plugin in (None, hookless, ROOT)
    ]
    without, silent, request = [requests[0] for requests in found]
    assert 0 < len(request.text) - len(without.text) <= 1000
    assert request.tools == without.tools
    assert [r.text for r in found[1]] == [r.text for r in found[2]] and silent.text == request.text
    assert not (project / ".orchestrator").exists()


@pytest.mark.parametrize("name, asked", [("/orchestrate", ""), ("/orchestrator:orchestrate", 'add "CSV" & $HOME export')])
def test_a_person_types_the_skills_name(claude, project, name, asked):
    """`/orchestrate` resolves unprefixed, and its text reaches the model with what was asked (S4-04)."""
    run = claude.run((name + " " + asked).strip(), Play(otherwise=say("ok")), project)
    wanted = body("skills/orchestrate/SKILL.md").replace("$ARGUMENTS", asked).strip()
    assert wanted in run.main_requests[0].text
    assert len(run.main_requests) == 1


def test_a_model_reaches_for_the_skill_and_for_no_door(claude, project):
    """The model is told of the skill, by either name, and needs nobody's approval; it can neither see nor open a door."""
    skill = [call("Skill", skill=name, args="the queue of " + name) for name in ("orchestrate", "orchestrator:orchestrate")]
    opened = [call("Skill", skill="orchestrator:" + door) for door in DOORS]
    run = claude.run("process the queue", Play().when("process the queue", *skill, opened, say("ok")), project)
    told = run.main_requests[0].text
    assert "- orchestrator:orchestrate: " in told and not [door for door in DOORS if "orchestrator:" + door in told]
    assert "Asked: the queue of orchestrate\n" in run.main_requests[1].text
    assert "Asked: the queue of orchestrator:orchestrate\n" in run.main_requests[2].text
    assert [failed for _, _, failed in run.main_requests[3].last_results] == [True] * 3


@pytest.mark.parametrize("door", DOORS)
def test_a_door_is_for_people(claude, project, door):
    """A typed door tells the model one command to run (S4-12)."""
    typed = claude.run("/orchestrator:%s --limit 3" % door, Play(otherwise=say("ok")), project)
    assert "Run `orchestrator %s` with the Bash tool" % door in typed.main_requests[0].text
    assert "if any: --limit 3" in typed.main_requests[0].text


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


def test_a_workflow_runs_the_graph_in_three_main_requests(claude, project, tmp_path):
    """On the client's engine order, agent types and models are the graph's, and failures stay local.

    The script is run by the client alone, with the graph as text, which a model may write; without a graph it ends at once
    and says what to do.
    """
    plugin = copied(tmp_path / "without hooks", "hooks")
    name = {"name": "orchestrator:run"}
    play = Play().when("orchestrator brief t7", fail(400, "invalid_request_error", "out of order"))
    play.when("orchestrator brief t8", say("NO BRIEFING: in flight")).when("orchestrator brief", say("done"))
    play.when("go", call("Workflow", **name, args=json.dumps(GRAPH)), "under way", call("Workflow", **name), "again", "seen")
    run = claude.run("go", play, project, "--allowedTools", "Workflow", plugin=plugin)
    _, _, told, _, empty = run.main_requests
    assert json.loads(told.notifications[0]["result"]) == {
        "orchestration": "orch-1",
        "done": ["t1", "t2", "t3", "t4"],
        "failed": ["t5", "t7", "t8"],
        "skipped": ["t6", "t9"],
    }
    assert "orchestrator doctor" in empty.notifications[0]["result"]
    names = [task["id"] for task in GRAPH["tasks"]]
    first = {name: requests[0] for name in names if (requests := run.agent_requests("brief " + name))}
    assert [name for name in names if name not in first] == ["t5", "t6", "t9"]
    assert first["t1"].index < first["t2"].index < first["t4"].index
    assert "haiku" in first["t3"].model and "haiku" not in first["t2"].model
    assert body("agents/tester.md").strip() in first["t4"].system
    assert not WRITING & set(first["t1"].tools) and {"Edit", "Write"} <= set(first["t2"].tools)
