"""Clients that are gone, or only seem so: found out by the next hook, session or command, and by nobody who cannot know."""

import json
import subprocess
import sys

import pytest

from hooked import ROOT, Hooked

UNSHARE = ["unshare", "-Urpuf", "--mount-proc", "/bin/sh", "-c"]
CLI = [sys.executable, str(ROOT / "scripts" / "cli.py")]


@pytest.fixture
def hooked(tmp_path):
    """A project whose hooks are run as processes."""
    return Hooked(tmp_path)


def client(hooked, script="", shell=("/bin/sh", "-c"), name="", **options):
    """A client (a shell) whose agent is at work: it starts the hooks, then does what the script says. Returns the process."""
    world = hooked.world
    tool = {"tool_name": "Agent", "tool_use_id": "c1", "tool_input": {"description": "d", "prompt": "p"}}
    agent = {"agent_id": "aa", "agent_type": "general-purpose"}
    events = [*world.events[:2], world.event("PreToolUse", **tool), world.event("SubagentStart", **agent)]
    hooks = ["printf %%s '%s' | '%s/hooks/run' %s >&2" % (json.dumps(e), ROOT, e["hook_event_name"]) for e in events]
    first = "hostname " + name if name else "true"
    return subprocess.Popen([*shell, "\n".join([first, *hooks, script, "true"])], env=hooked.env, cwd=hooked.project, **options)


def lost(hooked):
    """The agents that are lost, and how sessions ended."""
    return [row[0] for row in hooked.rows("SELECT agent_id FROM lost_executions")], [
        row[0] for row in hooked.rows("SELECT end_reason FROM claude_sessions WHERE claude_session_id LIKE '5e55104e%'")]


def list_agents(hooked):
    """What a command says, given without a Claude session."""
    done = subprocess.run([*CLI, "list-agents", "--all"], env=hooked.env, cwd=hooked.project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["devbox", ""], ids=["of another name", "of the same name"])
def test_a_client_in_a_container(hooked, name):
    """A client in a container, or in a sandbox, that shares the boot but not the numbers of processes is not judged from
    outside: its agent stays at work."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("unshare is missing: this machine gives no namespace for processes")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with client(hooked, "echo done; read x", UNSHARE, name, **pipes) as process:
        assert process.stdout.readline() == b"done\n"
        assert " deployed " in list_agents(hooked) and lost(hooked) == ([], [None])


def test_a_command_in_a_sandbox(hooked):
    """A command that is run where the client's process cannot be seen closes no session."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("unshare is missing: this machine gives no namespace for processes")
    with client(hooked, "echo done; read x", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"done\n"
        done = subprocess.run([*UNSHARE, 'exec "$@"', "sh", *CLI, "list-agents", "--all"], env=hooked.env, cwd=hooked.project,
                              capture_output=True, text=True)
        assert done.returncode == 0 and " deployed " in done.stdout and lost(hooked) == ([], [None])


def test_a_command_after_a_kill(hooked):
    """A command after a client was killed says that its agent is lost."""
    client(hooked).wait()
    assert lost(hooked) == ([], [None])
    assert " lost " in list_agents(hooked) and lost(hooked) == (["aa"], ["gone"])


AGENT = {"agent_id": "bb", "agent_type": "general-purpose"}
CALL = {"tool_name": "Agent", "tool_use_id": "c2", "tool_input": {"description": "d", "prompt": "p"}}


@pytest.mark.parametrize("name, fields", [
    ("UserPromptSubmit", {"prompt": "hello"}),
    ("PreToolUse", CALL),
    ("PostToolUse", {**CALL, "tool_response": {"isAsync": True, "status": "async_launched", "agentId": "bb"}}),
    ("PostToolUseFailure", {**CALL, "error": "no such agent type"}),
    ("SubagentStart", AGENT),
    ("SubagentStop", {**AGENT, "last_assistant_message": "done"}),
    ("StopFailure", {**AGENT, "error": "server_error"}),
    ("Stop", {"background_tasks": []}),
    ("SessionStart", {"source": "startup"}),
], ids=lambda one: one if isinstance(one, str) else "")
def test_the_next_hook_after_a_kill(hooked, name, fields):
    """Whichever hook of another conversation comes next after a client was killed closes its session: its agent is lost."""
    client(hooked).wait()
    assert lost(hooked) == ([], [None])
    hooked.hook({"session_id": "another", "transcript_path": "", "cwd": str(hooked.project), "prompt_id": "p",
                 "hook_event_name": name, **fields})
    assert lost(hooked) == (["aa"], ["gone"])


def test_the_next_hook_while_a_client_runs(hooked):
    """Hooks of another conversation leave a client that runs, and its agent, alone."""
    with client(hooked, "echo done; read x", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"done\n"
        hooked.hook({"session_id": "another", "hook_event_name": "UserPromptSubmit", "prompt": "hello", "transcript_path": "",
                     "cwd": str(hooked.project), "prompt_id": "p"})
        assert lost(hooked) == ([], [None])
