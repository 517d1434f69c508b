"""The harness itself: the real clients do with the scripted model what the other tests build on."""
import json

from orchestrator.edges.scripted_model import Play, call, say


def plugin_with_hook(folder, event, matcher, script):
    """A throw-away plugin with one shell hook."""
    (folder / ".claude-plugin").mkdir(parents=True)
    (folder / ".claude-plugin" / "plugin.json").write_text(json.dumps({"name": "thrown-away", "version": "0.0.1"}))
    (folder / "hooks").mkdir()
    hook = {"type": "command", "command": 'sh "${CLAUDE_PLUGIN_ROOT}/hooks/hook.sh"', "timeout": 10}
    table = {"hooks": {event: [{"matcher": matcher, "hooks": [hook]}]}}
    (folder / "hooks" / "hooks.json").write_text(json.dumps(table))
    (folder / "hooks" / "hook.sh").write_text(script)
    return folder


def test_a_client_answers_with_the_scripted_text(claude, project):
    """A prompt goes to the scripted model and its answer comes back, from a home with nothing in it."""
    run = claude.run("say hello", Play().when("say hello", "hello from the script"), project, plugin=None)
    assert (run.rc, run.text) == (0, "hello from the script")
    assert [r.first_text for r in run.main_requests] == ["say hello"]
    assert run.init["claude_code_version"] == claude.client.version


def test_a_background_agent_notifies_the_main_conversation(claude, project):
    """An Agent call runs in the background, and its end makes one more main request with the notification in it."""
    play = Play()
    play.when("start it", call("Agent", description="d", prompt="count the files", run_in_background=True), "waiting", "seen")
    play.when("count the files", say("there are three").after(0.5))
    run = claude.run("start it", play, project, plugin=None)
    assert run.text == "seen"
    assert [r.first_text for r in run.agent_requests()] == ["count the files"]
    notification = run.main_requests[-1].notifications[0]
    assert (notification["status"], notification["result"]) == ("completed", "there are three")
    assert notification["task-id"] == run.agent_requests()[0].agent_id


def test_a_hook_allows_a_command(claude, project, tmp_path):
    """In -p a Bash call that would be refused runs when a plugin's PreToolUse hook allows it."""
    answer = {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow"}}
    plugin = plugin_with_hook(tmp_path / "plugin", "PreToolUse", "Bash", "cat >/dev/null; echo '%s'\n" % json.dumps(answer))
    play = Play().when("make a file", call("Bash", command="echo made > made.txt; cat made.txt"), "done")
    refused = claude.run("make a file", play, project, plugin=None)
    assert refused.tool_results[0][2] and not (project / "made.txt").exists()
    play = Play().when("make a file", call("Bash", command="echo made > made.txt; cat made.txt"), "done")
    run = claude.run("make a file", play, project, plugin=plugin)
    assert run.tool_results[0][1:] == ("made", False)
    assert (project / "made.txt").read_text() == "made\n"


def test_a_person_types_and_reads_the_answer(terminal, project):
    """In a terminal the client starts without questions, takes what is typed and shows the answer."""
    window = terminal(project, Play().when("who is there", "the script is here"), plugin=None)
    window.type("who is there")
    window.wait_for("the script is here")
    assert [r.first_text for r in window.requests if r.main] == ["who is there"]
