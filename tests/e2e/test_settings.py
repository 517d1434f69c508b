"""Settings in the real client: plugin options reach hooks and commands, doctor sees its session."""

import json

from orchestrator.edges.scripted_model import Play, call, say


def options(**given):
    """The client's own flag for plugin options, as an installed plugin has them in the settings."""
    settings = {"pluginConfigs": {"orchestrator@inline": {"options": given}}}
    return "--settings", json.dumps(settings)


def test_plugin_options_reach_hooks_and_commands(claude, project, rows):
    """What the user set for the plugin is kept by the first hook that records; a command has it in force.

    Asked by the model, with no permission prompt, doctor finds that hooks fire and nothing is broken.
    """
    doctor = call("Bash", command="orchestrator doctor")
    play = Play().when("go", call("Bash", command="orchestrator doctor --json"), doctor, say("done"))
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
    told = run.tool_results[1][1]
    assert "The hooks fire in this Claude session" in told and "✗" not in told
