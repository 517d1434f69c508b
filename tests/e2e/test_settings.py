"""Settings in the real client: plugin options reach hooks and commands, doctor sees its session, off is."""

import json

from orchestrator.edges.scripted_model import Play, call, say


def options(**given):
    """The client's own flag for plugin options, as an installed plugin has them in the settings."""
    settings = {"pluginConfigs": {"orchestrator@inline": {"options": given}}}
    return "--settings", json.dumps(settings)


def test_plugin_options_reach_hooks_and_commands(claude, project, rows):
    """What the user set for the plugin is kept by the first hook that records; a command has it in force."""
    play = Play().when(
        "go",
        call("Bash", command="orchestrator doctor --json"),
        say("done"),
    )
    run = claude.run("go", play, project, *options(driver="conversation", max_parallel_agents=7))
    assert run.rc == 0
    kept = rows(project, "SELECT key, value FROM meta WHERE key GLOB 'option.*' ORDER BY key")
    assert kept == [
        {"key": "option.driver", "value": "conversation"},
        {"key": "option.max_parallel_agents", "value": "7"},
    ]
    said = json.loads(run.tool_results[0][1])
    assert {each["name"]: each["value"] for each in said["settings"] if each["value"] != each["default"]} == {
        "driver": "conversation",
        "max_parallel_agents": 7,
    }


def test_doctor_sees_the_session_it_runs_in(claude, project):
    """Asked by the model, with no permission prompt, doctor finds that hooks fire and nothing is broken."""
    play = Play().when("go", call("Bash", command="orchestrator doctor"), say("done"))
    run = claude.run("go", play, project)
    said = run.tool_results[0][1]
    assert "The hooks fire in this Claude session" in said
    assert "✗" not in said


def test_off_is_off(claude, project):
    """With recording off a run leaves nothing, and the agent works as it would without the plugin."""
    (project / ".orchestrator").mkdir(mode=0o700)
    (project / ".orchestrator/off").touch()
    play = Play()
    asked = call("Agent", description="x", prompt="look", subagent_type="general-purpose")
    play.when("go", asked, say("done"))
    play.when("look", say("seen"))
    run = claude.run("go", play, project)
    assert run.rc == 0
    assert sorted(path.name for path in (project / ".orchestrator").iterdir()) == ["off"]
