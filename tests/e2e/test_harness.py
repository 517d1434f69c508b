"""The harness itself: the real clients do with the scripted model what the other tests build on."""

import json

from harness import Claude
from orchestrator.edges.scripted_model import Play, call, report, say

ALLOW = {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow"}}


def plugin_with_hook(folder, event, matcher, answer):
    """A throw-away plugin with one hook, which gives always the same answer."""
    (folder / ".claude-plugin").mkdir(parents=True)
    manifest = {"name": "thrown-away", "version": "0.0.1"}
    (folder / ".claude-plugin" / "plugin.json").write_text(json.dumps(manifest))
    (folder / "hooks").mkdir()
    hook = {"type": "command", "command": 'cat "${CLAUDE_PLUGIN_ROOT}/hooks/answer.json"', "timeout": 10}
    table = {"hooks": {event: [{"matcher": matcher, "hooks": [hook]}]}}
    (folder / "hooks" / "hooks.json").write_text(json.dumps(table))
    (folder / "hooks" / "answer.json").write_text(json.dumps(answer))
    return folder


def test_a_background_agent_notifies_the_main_conversation(claude, project):
    """A prompt goes to the scripted model and its answer comes back, from a home with nothing in it.

    An Agent call runs in the background, its end makes one more main request; tokens agree.
    """
    agent = call("Agent", description="d", prompt="count the files", run_in_background=True)
    play = Play().when("start it", agent, "waiting", "seen")
    play.when("count the files", say("there are three").after(0.5))
    run = claude.run("start it", play, project, plugin=None)
    assert (run.rc, run.text) == (0, "seen")
    assert run.init["claude_code_version"] == claude.client.version
    assert {r.first_text for r in run.main_requests} == {"start it"}
    assert [r.first_text for r in run.agent_requests()] == ["count the files"]
    notification = run.main_requests[-1].notifications[0]
    assert (notification["status"], notification["result"]) == ("completed", "there are three")
    assert notification["task-id"] == run.agent_requests()[0].agent_id
    (used,) = run.result["modelUsage"].values()
    ours = {"input": "input", "output": "output", "cacheReadInput": "cache_read_input",
            "cacheCreationInput": "cache_creation_input"}  # fmt: skip
    for theirs, name in ours.items():
        assert used[theirs + "Tokens"] == sum(r.usage[name + "_tokens"] for r in run.requests) > 0


def test_a_hook_allows_a_command(claude, project, tmp_path):
    """In -p a command that asks for permission is refused, and runs when a plugin's hook allows it."""
    plugin = plugin_with_hook(tmp_path / "it's a plugin", "PreToolUse", "Bash", ALLOW)
    command = call("Bash", command="echo made > made.txt; cat made.txt")
    refused = claude.run("make a file", Play().when("make", command, "done"), project, plugin=None)
    assert refused.tool_results[0][2] and not (project / "made.txt").exists()
    run = claude.run("make a file", Play().when("make", command, "done"), project, plugin=plugin)
    assert run.tool_results[0][1:] == ("made", False)
    assert (project / "made.txt").read_text() == "made\n"


def test_auto_mode_wants_reports_through_a_tool(newest, home, data, project, tmp_path):
    """In auto mode an agent hands its report back with a tool of its own, and `report` speaks through it."""
    plugin = plugin_with_hook(tmp_path / "plugin", "PreToolUse", "Agent", ALLOW)
    agent = call("Agent", description="d", prompt="count the files")
    play = Play().when("start it", agent, "waiting", "seen")
    play.when("count the files", report("there are three"))
    run = Claude(newest, home, data, plugin).run("start it", play, project, permission_mode="auto")
    assert [r.turn for r in run.agent_requests("count")] == [0]
    ((sender, text),) = run.main_requests[-1].agent_messages
    assert sender == run.agent_requests("count")[0].agent_id
    assert text.endswith("  there are three\n")
    assert [r.safety_check for r in run.requests if r.auxiliary] == [True]


def test_a_person_types_and_reads_the_answer(terminal, project):
    """In a terminal the client starts without questions, takes what is typed and shows the answer."""
    window = terminal(project, Play().when("who is there", "the script is here"), plugin=None)
    window.type("who is there")
    window.wait_for("the script is here")
    assert [r.first_text for r in window.requests if r.main] == ["who is there"]
