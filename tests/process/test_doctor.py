"""doctor, agents, completion: what is installed and works here, in sentences; what is broken, with exit 1."""

import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from commands import ROOT, Here
from orchestrator.edges.cli import VERBS, main
from orchestrator.store import open as store

SHELLS = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)]
MINE = ("init", "off", "on", "trust", "backup", "purge", "doctor", "agents", "completion")


@pytest.fixture
def here(tmp_path, bare, data):
    """A project, with something recorded in it."""
    project = tmp_path / "a project"
    project.mkdir()
    return Here(project, bare(ORCHESTRATOR_DATA=data))


def findings(here, code=0, **more):
    """{topic: [(grade, text)]} as doctor says them."""
    said = json.loads(here.run("doctor", "--json", code=code, **more).stdout)
    assert said["ok"] == (code == 0)
    found = {}
    for each in said["findings"]:
        found.setdefault(each["topic"], []).append((each["grade"], each["text"]))
    return found


def broken(here, **more):
    """The one thing that doctor finds broken."""
    found = findings(here, code=1, **more)
    wrong = [(topic, text) for topic, each in found.items() for grade, text in each if grade == "broken"]
    assert len(wrong) == 1, wrong
    return wrong[0]


def test_all_is_well_before_anything_was_recorded(here):
    """In a fresh project nothing is broken, and doctor makes nothing."""
    found = findings(here)
    assert {"plugin", "hooks", "environment", "data folder", "claude", "command", "project", "workspace",
            "recording", "history", "inbox", "events", "/orchestrate", "settings"} == set(found)  # fmt: skip
    assert not here.workspace.exists()


def test_it_is_said_in_sentences(here):
    """A line each: a plain mark and a sentence, nothing that drives a terminal."""
    lines = here.run("doctor").stdout.splitlines()
    assert all(line[:2] in ("✓ ", "! ", "✗ ") and line.endswith((".", "`")) for line in lines), lines
    assert any("SQLite" in line and "Python 3" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_history_is_described(here):
    """Schema, size, journal and counts of a whole history are told."""
    here.deploys()
    found = findings(here)
    ((grade, text),) = found["history"]
    assert grade == "fine"
    assert "schema %d," % store.VERSION in text and "journal wal" in text and "1 execution," in text and "whole" in text
    ((_, text),) = found["kept"]
    assert "history (executions): 1, " in text and "archive (transcripts): 0;" in text and "prune" in text


def test_what_could_be_imported(here):
    """Transcripts of sessions that are not in the history are told; those of another project are not."""
    name = "".join(c if c.isalnum() else "-" for c in str(here.project.resolve()))
    line = json.dumps({"type": "user", "timestamp": "2026-11-20T08:00:00.000Z", "cwd": str(here.project.resolve())})
    for folder, cwd in ((name, line), (name + "-2", line.replace("a project", "a project-2"))):
        path = Path(here.environment["HOME"]) / ".claude" / "projects" / folder / "s.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(cwd + "\n")
    ((grade, text),) = findings(here)["import"]
    assert grade == "note" and " 1 session " in text and "orchestrator import" in text


def test_whether_hooks_fire_in_this_session(here):
    """In a Claude session doctor says whether its hooks arrived: not knowing, broken, and fine."""
    at = {"CLAUDE_CODE_SESSION_ID": "s2"}
    assert findings(here, **at)["events"][0][0] == "note"
    here.says("tracker", "init-session", "--scope", "By hand")
    assert "came from commands" in findings(here)["events"][0][1] and findings(here, **at)["events"][0][0] == "note"
    here.deploys(session="s1")
    assert "No hook of this Claude session" in broken(here, **at)[1]
    asked = {"command": "orchestrator doctor"}
    allowed = here.hook("PreToolUse", "s2", tool_name="Bash", tool_use_id="c9", tool_input=asked)
    assert allowed["hookSpecificOutput"]["permissionDecision"] == "allow"
    assert "fire in this Claude session" in findings(here, **at)["events"][0][1]
    assert "Hooks have fired here" in findings(here)["events"][0][1]


def test_recording_switched_off_is_a_note(here):
    """Off is the user's choice and nothing broken, by file or by the environment."""
    here.run("off")
    assert findings(here)["recording"][0] == ("note", "Recording is off in this project: `orchestrator on`.")
    here.run("on")
    assert "ORCHESTRATOR_OFF" in findings(here, ORCHESTRATOR_OFF=1)["recording"][0][1]


# Broken situations

def test_a_newer_history(here):
    """A history of a newer schema: the plugin is to be updated; what arrives waits and is taken in later."""
    here.deploys("c1")
    con = sqlite3.connect(here.workspace / "history.db")
    con.execute("PRAGMA user_version = 99")
    here.deploys("c2")
    found = findings(here, code=1)
    assert found["history"][0][0] == "broken"
    assert "schema 99" in found["history"][0][1] and "update the plugin" in found["history"][0][1]
    assert found["inbox"][0][0] == "broken" and "1 event waits" in found["inbox"][0][1]
    con.execute("PRAGMA user_version = %d" % store.VERSION)
    con.close()
    assert findings(here)["inbox"][0][0] == "note"
    here.run("list-agents")
    assert findings(here)["inbox"][0] == ("fine", "No event waits in the inbox.")


@pytest.mark.parametrize("damage", ["text", "middle", "cut"])
def test_a_damaged_history(here, damage):
    """What is no database, or a damaged one, is named with the way out; nothing is repaired unasked."""
    here.run("task", "add", "Look around", "--agent", "scout")
    path = here.workspace / "history.db"
    con = sqlite3.connect(path)
    con.execute("PRAGMA journal_mode = DELETE")
    con.close()
    if damage == "text":
        path.write_text("not a database at all, " * 100)
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        with open(path, "r+b") as f:
            f.seek(4096)
            f.write(os.urandom(4096 * 20))
    before = path.read_bytes()
    topic, text = broken(here)
    assert topic == "history" and "sets it aside" in text and str(path) in text
    assert path.read_bytes() == before
    refused = here.run("status", code=1)
    assert "orchestrator doctor" in refused.stderr and "nobody foresaw" not in refused.stderr


def test_a_history_that_another_program_holds(here):
    """Locked for long: doctor says so instead of waiting for it."""
    here.run("task", "add", "Look around", "--agent", "scout")
    con = sqlite3.connect(here.workspace / "history.db", isolation_level=None)
    con.execute("BEGIN IMMEDIATE")
    topic, text = broken(here)
    con.close()
    assert topic == "history" and "locked" in text


def test_what_can_only_be_read(here):
    """A history that cannot be written: said, with what happens to the events; reading verbs still read."""
    here.run("task", "add", "Look around", "--agent", "scout")
    with open(here.workspace / "history.db", "r+b") as f:
        f.seek(18)  # the format to write with: one that no SQLite knows, so that it only reads, whoever asks
        f.write(b"\x03")
    topic, text = broken(here)
    assert topic == "history" and "read but not written" in text and "inbox" in text
    assert "Look around" in here.says("task", "list")
    here.deploys()
    assert findings(here, code=1)["inbox"][0][0] == "broken"


def test_a_data_folder_that_cannot_be_written(here, tmp_path):
    """A data folder on a full or read-only disk is named."""
    from orchestrator.services.checks import data_folder, floor

    blocked = tmp_path / "blocked"
    blocked.write_text("a file in the way")
    found = data_folder(str(blocked / "data"))
    assert found.grade == "broken" and "ORCHESTRATOR_DATA" in found.text
    with pytest.MonkeyPatch.context() as patch:  # what cannot be remembered there is found all the same
        patch.setenv("ORCHESTRATOR_DATA", str(blocked / "data"))
        assert floor(str(ROOT)).grade == "fine"


def test_no_interpreter_for_the_hooks(tmp_path, monkeypatch):
    """Without any python3 on PATH it says that nothing is recorded."""
    from orchestrator.services.checks import floor

    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "empty"))
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "sh").symlink_to(shutil.which("sh"))
    monkeypatch.setenv("PATH", str(bare))
    broken_root = tmp_path / "plugin"
    (broken_root / "hooks").mkdir(parents=True)
    text = (ROOT / "hooks/floor.sh").read_text()
    for place in ("/usr/local/bin/python3", "/opt/homebrew/bin/python3", "/usr/bin/python3"):
        text = text.replace(place, "/nowhere/python3")
    (broken_root / "hooks/floor.sh").write_text(text)
    found = floor(str(broken_root))
    assert found.grade == "broken" and "nothing is recorded" in found.text


def test_a_workspace_of_somebody_else(here):
    """An untrusted workspace is broken until the user looks at it."""
    here.run("init")
    (here.workspace / "origin").write_text("0" * 32 + "\n")
    assert "orchestrator trust" in broken(here)[1]


def test_something_else_in_the_workspaces_place(here):
    """A file where the workspace should be is named as what is in the way."""
    here.workspace.write_text("x")
    assert "is no folder, so nothing is recorded here: move it away." in broken(here)[1]


def test_a_workspace_that_git_tracks(here):
    """What git tracks is named, with the way to take it out."""
    here.run("init")
    for words in (["init", "-q"], ["add", "-f", ".orchestrator/config.toml"]):
        subprocess.run(["git", *words], cwd=here.project, check=True)
    assert "git rm" in broken(here)[1]


def test_a_workspace_that_others_may_look_into(here):
    """Rights that are too wide are a note."""
    here.run("init")
    os.chmod(here.workspace, 0o755)
    assert findings(here)["workspace"][0][0] == "note"


# Shadows

def test_another_orchestrate(here):
    """Skills and commands of the user and the project that answer to /orchestrate are named."""
    home = here.environment["HOME"]
    command = os.path.join(home, ".claude/commands/orchestrate.md")
    skill = here.project / ".claude/skills/other/SKILL.md"
    for path, text in ((command, "x"), (str(skill), "---\nname: orchestrate\n---\n")):
        os.makedirs(os.path.dirname(path))
        with open(path, "w") as f:
            f.write(text)
    innocent = here.project / ".claude/skills/orchestrate-music/SKILL.md"
    innocent.parent.mkdir()
    innocent.write_text("---\nname: orchestrate-music\n---\n")
    found = findings(here)["/orchestrate"]
    assert [grade for grade, _ in found] == ["note", "note"]
    assert command in found[0][1] and str(skill) in found[1][1]


def test_another_plugins_orchestrate(here):
    """So are those of other installed plugins."""
    home, other = here.environment["HOME"], here.project.parent / "other plugin"
    (other / "skills/orchestrate").mkdir(parents=True)
    (other / "skills/orchestrate/SKILL.md").write_text("---\nname: orchestrate\n---\n")
    os.makedirs(os.path.join(home, ".claude/plugins"))
    with open(os.path.join(home, ".claude/plugins/installed_plugins.json"), "w") as f:
        json.dump({"plugins": {"other@market": [{"installPath": str(other)}]}}, f)
    assert str(other) in findings(here)["/orchestrate"][0][1]


def test_another_orchestrator_on_path(here, tmp_path):
    """A program of our name that comes first on PATH is named; ours, by any link, is not."""
    folder = tmp_path / "their bin"
    folder.mkdir()
    (folder / "orchestrator").write_text("#!/bin/sh\n")
    (folder / "orchestrator").chmod(0o755)
    path = here.environment["PATH"]
    grade, text = findings(here, PATH="%s:%s" % (folder, path))["command"][0]
    assert (grade, str(folder) in text) == ("note", True)
    (folder / "orchestrator").unlink()
    (folder / "orchestrator").symlink_to(ROOT / "bin/orchestrator")
    assert findings(here, PATH="%s:%s" % (folder, path))["command"][0][0] == "fine"


@pytest.mark.parametrize(
    "said, grade, words",
    [
        ("2.1.329 (Claude Code)", "fine", "2.1.329"),
        ("2.1.100 (Claude Code)", "note", "oldest"),
        ("3.0.0 (Claude Code)", "fine", "newest"),
        ("hello", "note", "does not say"),
    ],
)
def test_the_clients_version(here, tmp_path, said, grade, words):
    """The claude on PATH is asked for its version, and that is held against the tested ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "claude").write_text("#!/bin/sh\necho '%s'\n" % said)
    (folder / "claude").chmod(0o755)
    found = findings(here, PATH="%s:%s" % (folder, here.environment["PATH"]))["claude"][0]
    assert found[0] == grade and words in found[1]


# agents

def test_agents_of_everybody(here):
    """Ours, the project's, the user's and the client's agent types, with tools and model."""
    for at, name in ((here.project, "painter"), (here.environment["HOME"], "cook")):
        os.makedirs(os.path.join(at, ".claude/agents"))
        with open(os.path.join(at, ".claude/agents", name + ".md"), "w") as f:
            f.write("---\nname: %s\ndescription: x\ntools: Read, Grep\nmodel: haiku\n---\n" % name)
    found = {each["name"]: each for each in json.loads(here.run("agents", "--json").stdout)}
    assert {found[name]["whose"] for name in ("orchestrator:scout", "painter", "cook", "Explore")} == {
        "ours", "project", "yours", "client",
    }  # fmt: skip
    assert found["painter"]["tools"] == ["Read", "Grep"] and found["painter"]["model"] == "haiku"
    assert found["orchestrator:scout"]["but"] == "Edit, Write, NotebookEdit"
    assert found["Explore"]["but"] == found["Plan"]["but"] == "Agent, Edit, Write, NotebookEdit"  # as both clients have it
    lines = here.run("agents").stdout.splitlines()
    assert lines[1].startswith("orchestrator:")
    assert any("painter" in line and "no Bash" in line for line in lines)


# completion

def completed(here, shell, words, current):
    """What a shell would be offered: the program asked as the completion script asks it."""
    asked = words[current] if shell == "fish" else current
    line = {"COMP_WORDS": " ".join(words), "COMP_CWORD": asked}
    return here.run(_ORCHESTRATOR_COMPLETE=shell + "_complete", **line).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_verbs(here, shell):
    """The launcher answers the questions of each shell's script."""
    script = here.run("completion", shell).stdout
    assert "_ORCHESTRATOR_COMPLETE=%s_complete" % shell in script
    offered = completed(here, shell, ["orchestrator", "do"], 1)
    assert "doctor" in offered and "init" not in offered
    assert "--json" in completed(here, shell, ["orchestrator", "doctor", "--"], 2)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_of_that_shell(here, shell, tmp_path):
    """The shell itself takes the script, and nothing else is on stderr."""
    done = here.run("completion", shell)
    script = tmp_path / "script"
    script.write_text(done.stdout)
    checked = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
    assert (done.stderr, checked.returncode, checked.stderr) == ("", 0, "")


@pytest.mark.skipif("bash" not in SHELLS, reason="no bash here")
def test_bash_completes(here):
    """Loaded into bash as the help says, the script completes a verb."""
    program = (
        "eval \"$(orchestrator completion bash)\"; COMP_WORDS=(orchestrator pur); COMP_CWORD=1; "
        "_orchestrator_completion orchestrator; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = "%s:%s" % (ROOT / "bin", here.environment["PATH"])
    done = subprocess.run(
        ["bash", "-c", program], cwd=here.project, env={**here.environment, "PATH": path},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.stdout.split() == ["purge"], done.stderr


# Help

@pytest.mark.parametrize("verb", MINE)
def test_help_is_short(verb):
    """A verb's help fits a screen, and its first sentence a line of the list of verbs."""
    shown = CliRunner().invoke(main, [verb, "--help"], prog_name="orchestrator")
    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) <= 16
    command = main.get_command(click.Context(main), verb)
    assert len(command.help.split("\n")[0]) <= 110
    assert VERBS[verb]
