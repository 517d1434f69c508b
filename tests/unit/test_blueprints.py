"""Blueprints: which agent types are known, which have Bash, what a wrong name was meant to be."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.services.blueprints import CLIENTS_OWN, judge, known

ROOT = Path(__file__).resolve().parents[2]
NAMES = [each.name for each in CLIENTS_OWN] + [
    f"orchestrator:{path.stem}" for path in (ROOT / "agents").glob("*.md")
]


def blueprint(folder, file, text):
    """A blueprint's file."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def places(tmp_path):
    """A plugin of ours, a project and a home."""
    for name in ("plugin", "project", "home"):
        (tmp_path / name).mkdir()
    blueprint(
        tmp_path / "plugin", "agents/builder.md", "---\nname: builder\ndescription: Builds.\n---\nBuild.\n"
    )
    return tmp_path


def found(places, **more):
    """What is known there."""
    return known(str(places / "plugin"), str(places / "project"), str(places / "home"), **more)


def test_ours_all_have_bash():
    """Without it they could neither submit a plan nor fetch a briefing (S3-04, S3-05)."""
    ours = [
        each for name, each in known(str(ROOT), "/nowhere", "").items() if name.startswith("orchestrator:")
    ]
    roles = {each.name.split(":")[1] for each in ours}
    assert roles == {"planner", "scout", "analyst", "builder", "tester", "reviewer", "documenter"}
    assert all(each.has_bash for each in ours)


def test_the_clients_own_are_known(places):
    """Those that both pinned clients bring; two of them have no Bash."""
    types = found(places)
    assert {name for name, each in types.items() if each.where == "client" and each.has_bash} == {
        "general-purpose", "claude", "Explore", "Plan"}  # fmt: skip
    assert {name for name, each in types.items() if not each.has_bash} == {
        "statusline-setup",
        "claude-code-guide",
    }


@pytest.mark.parametrize("lines, tools, has_bash", [
    ("", None, True),
    ("tools:", None, True),
    ("tools: Read, Grep", ("Read", "Grep"), False),
    ("tools: Read, Bash(git log *, git diff *), Grep", ("Read", "Bash", "Grep"), True),
    ('tools: ["Read", "Bash"]', ("Read", "Bash"), True),
    ("tools:\n  - Read\n  - Bash\nmodel: haiku", ("Read", "Bash"), True),
    ("tools:\n- Read\n- Edit", ("Read", "Edit"), False),
    ('tools: "*"', None, True),
    ("tools: []", (), False),
    ("disallowedTools: Edit, Write", None, True),
    ("disallowedTools: Bash", None, False),
    ("tools: Bash, Read\ndisallowedTools: [Bash]", ("Bash", "Read"), False),
])  # fmt: skip
def test_tools_are_read_as_the_client_reads_them(places, lines, tools, has_bash):
    """A plan with an agent type that has no Bash uses the conversation driver."""
    text = f"---\nname: worker\ndescription: a: b\n{lines}\n---\nBash\n"
    blueprint(places / "project", ".claude/agents/any name.md", text)
    worker = found(places)["worker"]
    assert (worker.tools, worker.has_bash) == (tools, has_bash)


def test_the_nearest_blueprint_of_a_name_wins(places):
    """A folder on the way to the working directory, then the project, the user, the client."""
    for at, model in (("home/.claude", "a"), ("project/.claude", "b"), ("project/sub/.claude", "c")):
        blueprint(places / at, "agents/x/y.md", f"---\nname: Explore\ndescription: d\nmodel: {model}\n---\n")
    assert found(places)["Explore"].model == "b"
    assert found(places, cwd=str(places / "project/sub/deep"))["Explore"].model == "c"
    assert found(places, cwd=str(places))["Explore"].model == "b"
    blueprint(places / "elsewhere", "agents/mine.md", "---\nname: mine\ndescription: d\n---\n")
    assert "mine" in found(places, config=str(places / "elsewhere"))


@pytest.mark.parametrize("text", [
    "no frontmatter", "", "---\nname: a:b\ndescription: d\n---\n", "---\ndescription: no name\n---\n",
    "---\nname: unclosed\n", "---\nname: -x\ndescription: d\n---\n",
    "---\nname: mute\n---\n", "---\n\x00\xff\n---\n",
])  # fmt: skip
def test_what_the_client_passes_over_is_not_known(places, text):
    """No name, no description, a colon or a leading dash in the name, or no frontmatter at all."""
    before = set(found(places))
    blueprint(places / "project", ".claude/agents/odd.md", text)
    assert set(found(places)) == before


def test_agents_of_installed_plugins_are_known_by_their_scope(places):
    """A subfolder is part of the name; what the user switched off, and we ourselves, are left out."""
    for plugin in ("kit", "off", "orchestrator"):
        blueprint(places / plugin, "agents/review/security.md", "---\nname: security\n---\n")
        blueprint(places / plugin, "agents/plain.md", "just text")
    listed = {
        f"{name}@m": [{"scope": "user", "installPath": str(places / name)}]
        for name in ("kit", "off", "orchestrator")
    }
    listed["gone@m"] = [{"installPath": str(places / "gone")}]
    listed["odd@m"] = 5
    blueprint(
        places / "home",
        ".claude/plugins/installed_plugins.json",
        json.dumps({"version": 2, "plugins": listed}),
    )
    blueprint(
        places / "home",
        ".claude/settings.json",
        json.dumps({"enabledPlugins": {"off@m": False, "kit@m": True}}),
    )
    new = set(found(places)) - {each.name for each in CLIENTS_OWN}
    assert new == {"orchestrator:builder", "kit:review:security", "kit:plain"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"plugins": 5}', "[" * 100_000, '{"plugins": {"a": [{"installPath": 5}]}}']
)
def test_a_broken_list_of_plugins_is_as_good_as_none(places, text):
    """It is the client's file; nothing of it is needed."""
    blueprint(places / "home", ".claude/plugins/installed_plugins.json", text)
    assert "orchestrator:builder" in found(places)


@pytest.mark.parametrize("name", NAMES)
def test_a_known_name_is_itself(name):
    """And so is the bare role of one of ours."""
    assert judge(name, NAMES) == ("ok", name)
    if name.startswith("orchestrator:"):
        assert judge(name.split(":")[1], NAMES) == ("ok", name)


@pytest.mark.parametrize("name, meant", [
    ("bulder", "orchestrator:builder"),
    ("Builder", "orchestrator:builder"),
    ("orchestrator:buidler", "orchestrator:builder"),
    ("orchestrater:builder", "orchestrator:builder"),
    ("Orchestrator:Scout", "orchestrator:scout"),
    ("agents:tester", "orchestrator:tester"),
    ("explore", "Explore"),
    ("orchestrator:Explore", "Explore"),
    ("general_purpose", "general-purpose"),
    ("general purpose", "general-purpose"),
    ("generalpurpose", "general-purpose"),
    ("PLAN", "Plan"),
    ("documentor", "orchestrator:documenter"),
    ("code-reviewer", "kit:code-reviewer"),
    ("kit:code-reviwer", "kit:code-reviewer"),
])  # fmt: skip
def test_a_near_name_is_told_from_an_unknown_one(name, meant):
    """A letter or two, the case, the prefix."""
    assert judge(name, [*NAMES, "kit:code-reviewer"]) == ("near", meant)


@pytest.mark.parametrize("name", [
    "frontend-developer", "systematic-debugger", "task-implementor", "superpowers:reviewer", "kit:builder",
    "my-plan", "x", "", "a:b:c", "security",
])  # fmt: skip
def test_an_unlike_name_is_unknown(name):
    """Other plugins bring agents, also ones whose roles are called like ours."""
    assert judge(name, NAMES) == ("unknown", None)


def test_a_role_of_ours_that_does_not_exist_is_near_all_of_ours():
    """No other plugin can bring `orchestrator:coder`."""
    verdict, meant = judge("orchestrator:coder", NAMES)
    assert verdict == "near" and meant.count(" or ") == 6


def test_a_bare_role_that_two_plugins_have_is_ambiguous():
    """The planner must say which."""
    assert judge("reviewer", [*NAMES, "kit:reviewer"]) == ("near", "kit:reviewer or orchestrator:reviewer")
    assert judge("reviewer", [*NAMES, "reviewer"]) == ("ok", "reviewer")


@given(st.text(max_size=40), st.sampled_from(NAMES))
def test_any_name_is_judged(text, name):
    """Whatever is asked, the answer is one of three, and what is suggested exists."""
    for asked in (text, name + text[:1], text[:1] + name, name.replace(":", text[:2])):
        verdict, meant = judge(asked, NAMES)
        assert verdict in ("ok", "near", "unknown")
        assert (meant is None) == (verdict == "unknown") and set((meant or NAMES[0]).split(" or ")) <= set(
            NAMES
        )
