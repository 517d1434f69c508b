"""What somebody new types first: each verb says what there is, and makes nothing by being asked."""

import json
import subprocess
from pathlib import Path

import pytest

from commands import Here
from histories import Filled, fill


@pytest.fixture
def here(tmp_path, bare, data):
    """A project nobody has worked in."""
    project = tmp_path / "project"
    project.mkdir()
    return Here(project, bare(ORCHESTRATOR_DATA=data))


@pytest.mark.parametrize(
    "words", [["prime"], ["report"], ["resume"], ["bundle", "calibrate"], ["status"], ["history"]], ids=" ".join
)
def test_asking_makes_no_workspace(here, words):
    """Where nothing was recorded, a question is answered in a sentence and nothing is made."""
    said = here.says(*words, code=1)
    assert "Nothing has been recorded in" in said and "orchestrator import" in said or "Only a Claude Code conv" in said
    assert list(here.project.iterdir()) == []


@pytest.mark.parametrize("words", [
    ["outputs", "synthesize", "--session-id", "s"], ["outputs", "collect", "--execution-id", "e", "--insights", "x"],
    ["tracker", "record-completion", "--execution-id", "e"], ["tracker", "complete-session", "--session-id", "s"],
    ["tracker", "init-deployment", "--session-id", "s", "--agent-type", "scout"],
    ["tracker", "set-phase", "--session-id", "s", "--phase", "2"],
    ["tracker", "validate", "--scope", "Look", "--session-id", "s"],
    ["bundle", "record-allocation", "--execution-id", "e", "--bundle", "b"],
], ids=" ".join)  # fmt: skip
def test_in_the_wrong_folder_nothing_is_made(here, words):
    """What adds to a session or an execution, where nothing was recorded, says so and makes no workspace."""
    assert "othing has been recorded in %s" % here.project in here.says(*words, code=1)
    assert list(here.project.iterdir()) == []


def test_a_conversation_that_begins_is_told_how_to_plan(here):
    """`prime` in a Claude session of an untouched project says how to begin, and makes nothing."""
    assert "Plan one" in here.says("prime", CLAUDE_CODE_SESSION_ID="s1")
    assert list(here.project.iterdir()) == []


def test_a_history_that_is_not_there_is_named(here):
    """With --db it is the file that is missing, not the project's record."""
    assert "There is no history at %s" % (here.project / "x.db") in here.says("--db", "x.db", "history", code=1)


def test_the_program_alone_prints_its_help_in_groups(here):
    """On standard output, exit 0, no text cut off."""
    said = here.run().stdout
    assert said == here.run("--help").stdout and "..." not in said.partition("This project:")[2]
    places = [said.index(name) for name in ("This project:", "Orchestrations:", "What happened:", "By hand:", "More:")]
    assert places == sorted(places)


PRINTED = (
    ["history"], ["list-tasks"], ["list-agents", "--all"], ["tracker", "query"], ["outputs", "query"], ["brief", "t1"], ["--help"]
)  # fmt: skip


@pytest.fixture
def filled(tmp_path, bare, data):
    """A project in which agents ran and left something."""
    return Here(fill(Filled(tmp_path, Path(data))).project, bare(ORCHESTRATOR_DATA=data))


def printed(here, words, to):
    """(exit code, what is said on stderr) of a command whose standard output goes to a shell's `to`."""
    script = '"$0" "$@" ' + to
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, str(here.root / "bin/orchestrator"), *words],
        cwd=here.project, env=here.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", PRINTED, ids=" ".join)
def test_a_reader_who_leaves_or_is_not_there(filled, words):
    """A command whose reader takes nothing, or whose output is closed, ends quietly with 0; a full disk is told in a sentence."""
    assert printed(filled, words, "| true") == (0, "")
    assert printed(filled, words, ">&-") == (0, "")
    code, said = printed(filled, words, "> /dev/full")
    assert code == 1 and said.startswith("orchestrator: the output cannot be written (No space left on device)")


def test_an_open_orchestration_is_named_in_a_terminal(here):
    """`prime` outside of Claude Code, and `stop`, say how to go on."""
    here.run("task", "add", "Look around", "--agent", "scout")
    said = here.says("prime")
    assert "Open: orch-" in said and "/orchestrate resume" in said
    assert "/orchestrate resume" in here.says("stop")


def test_what_is_closed_is_not_stopped(here):
    """`stop` refuses an orchestration that has ended, which stays what it is."""
    here.run("tracker", "init-session", "--scope", "x", "--session-id", "s")
    here.run("tracker", "complete-session", "--session-id", "s")
    assert "s is closed (completed): there is nothing to stop." in here.says("stop", code=1)
    assert json.loads(here.run("status", "s", "--json").stdout)["state"] == "complete"


def test_ready_skipped_and_done(here):
    """A ready task needs no retry, a skipped one is skipped once, and an end is said."""
    here.run("task", "add", "Look around", "--agent", "scout")
    task = json.loads(here.run("task", "list", "--json").stdout)[0]["id"]
    said = here.says("task", "retry", task)
    assert "is ready" in said and "Agent(" in said
    assert "SKIPPED" in here.says("task", "skip", task)
    assert "skipped already" in here.says("task", "skip", task)
    here.run("tracker", "init-session", "--scope", "x", "--session-id", "s")
    assert here.run("next", "--orchestration", "s").stdout == "Nothing is left to deploy.\n"


def test_a_task_from_a_command_has_no_place_in_a_list(here):
    """Faults of `task add` name the task alone."""
    said = here.says("task", "add", "Look", "--agent", "scoutt", code=1)
    assert "scoutt" in said and "tasks[0]" not in said


def test_a_task_nobody_planned_has_no_briefing(here):
    """`brief` says that there is no such task."""
    here.run("task", "add", "Look around", "--agent", "scout")
    assert "there is no task t4" in here.says("brief", "t4", code=1)


def test_nothing_to_count_is_refused_without_a_total(here):
    """`count` of a file that is not there prints no sum."""
    assert here.run("count", "nope.txt", code=1).stdout == ""


def test_a_deliverable_that_is_not_there_is_recorded_and_said(here):
    """`record-completion` notes that the file is missing."""
    here.run("tracker", "init-session", "--scope", "x", "--session-id", "s")
    here.run("tracker", "init-deployment", "--session-id", "s", "--execution-id", "e", "--agent-type", "builder")
    said = here.says("tracker", "record-completion", "--execution-id", "e", "--deliverables", "nope.txt")
    assert "nope.txt is not there" in said
    assert "nope.txt" in here.says("outputs", "query", "--execution-id", "e", "--format", "json")
