"""The archive as commands and hooks reach it: beside its history, from wherever that is read."""

import json
import shutil
import sqlite3

import pytest

from commands import Here
from orchestrator.store import inbox

TOKEN = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
LINE = json.dumps({"type": "user", "message": {"content": "token %s, and on" % TOKEN}}) + "\n"


def ended(here, name="e1", history=None, text=LINE):
    """An agent that ended long ago; its transcript, as Claude Code keeps it."""
    path = here.project.parent / "client" / (name + ".jsonl")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    con = sqlite3.connect(history or here.workspace / "history.db")
    at = "2026-09-01T08:00:00.000Z"
    con.execute(
        "INSERT INTO executions (execution_id, origin, agent_type, claude_session_id, deployed_at, completed_at, status, "
        "transcript_path, usage_read_at) VALUES (?1, 'unplanned', 'scout', 's1', ?2, ?2, 'completed', ?3, ?2)",
        (name, at, str(path)),
    )
    con.commit()
    con.close()
    return path


def files(folder):
    """The archive's files in a folder."""
    return sorted(folder.glob("*.jsonl.gz"))


def kept_as(history):
    """How many transcripts a history says it keeps."""
    con = sqlite3.connect(history)
    try:
        return con.execute("SELECT count(*) FROM archive").fetchone()[0]
    finally:
        con.close()


@pytest.fixture
def here(tmp_path, bare, data):
    """A project with a task and an open history."""
    project = tmp_path / "q"
    project.mkdir()
    here = Here(project, bare(ORCHESTRATOR_DATA=data))
    here.run("task", "add", "Look around", "--agent", "scout")
    return here


@pytest.fixture
def other(here, tmp_path):
    """A folder of another project, in which nothing was recorded."""
    (tmp_path / "other").mkdir()
    return tmp_path / "other"


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_history_read_from_elsewhere_keeps_its_transcripts_beside_itself(here, other, how):
    """Named by --db or by ORCHESTRATOR_DB_PATH from another project, a history's transcripts go where its own project finds
    them; the folder it is read from gets nothing."""
    path, history = ended(here), here.workspace / "history.db"
    words, env = ((["--db", history], {}) if how == "flag" else ([], {"ORCHESTRATOR_DB_PATH": history}))
    for verb in (["history", "--limit", "1"], ["status"], ["status", "--json"], ["show", "e1", "--transcript"], ["stats"]):
        here.run(*words, *verb, cwd=other, **env)
    assert list(other.iterdir()) == []
    assert len(files(here.workspace / "archive")) == kept_as(history) == 1
    path.unlink()
    assert "[masked:github-token]" in here.says("show", "e1", "--transcript")
    assert "[masked:github-token]" in here.says(*words, "show", "e1", "--transcript", cwd=other, **env)


def test_a_session_that_starts_keeps_what_settled_beside_the_history_it_records_in(here, other):
    """Hooks that ORCHESTRATOR_DB_PATH points to another history archive there too."""
    ended(here)
    there = Here(other, here.environment)
    there.run("init")
    there.hook("SessionStart", "s2", {"ORCHESTRATOR_DB_PATH": str(here.workspace / "history.db")}, source="startup")
    assert len(files(here.workspace / "archive")) == 1
    assert not (there.workspace / "archive").exists()


def test_a_history_read_from_elsewhere_keeps_its_settings_and_its_inbox(here, other):
    """What another project's files set, and what waits in its inbox, does not reach a history that is only named there; its
    own patterns mask what is archived then."""
    (here.workspace / "config.toml").write_text("redact = ['and on']\n")
    here.run("status")
    ended(here)
    there = Here(other, here.environment)
    there.run("init")
    (there.workspace / "config.toml").write_text("max_parallel_agents = 2\n")
    at = "2026-11-20T08:00:00.000Z"
    name, process = inbox.name_of("PreToolUse", 1, at), ("h", "b", 1, "0")
    inbox.keep(str(there.workspace), name, "PreToolUse", process, at, '{"session_id": "s2"}')
    there.run("--db", here.workspace / "history.db", "history")
    assert len(inbox.waiting(str(there.workspace))) == 1
    con = sqlite3.connect(here.workspace / "history.db")
    kept = dict(con.execute("SELECT key, value FROM meta WHERE key GLOB 'setting.*'").fetchall())
    masked = con.execute("SELECT masked FROM archive").fetchone()[0]
    con.close()
    assert list(kept) == ["setting.redact"]
    assert "github-token 1" in masked and "," in masked
    assert not (there.workspace / "status.json").exists() and not (there.workspace / "archive").exists()


def test_a_history_that_the_projects_files_place_has_its_archive_beside_it(here):
    """The archive follows the history, git ignores it there, and purge takes what is ours of it."""
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=sub/h.db\n")
    (here.project / "sub").mkdir()
    (here.project / "sub" / "archive").mkdir()
    (here.project / "sub" / "archive" / "letter.txt").write_text("mine")
    here.run("status", code=1)  # nothing is in it yet
    ended(here, history=here.project / "sub" / "h.db")
    here.run("archive")
    assert len(files(here.project / "sub" / "archive")) == 1
    assert not (here.workspace / "archive").exists()
    here.run("purge", "--yes")
    assert [each.name for each in (here.project / "sub").rglob("*")] == ["archive", "letter.txt"]


def test_an_archive_outside_of_a_workspace_ignores_itself(here):
    """Transcripts beside a history that lies in the project itself are not offered to git."""
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=h.db\n")
    here.run("status", code=1)
    ended(here, history=here.project / "h.db")
    here.run("archive")
    assert (here.project / "archive" / ".gitignore").read_text() == "*\n"
    here.run("purge", "--yes")
    assert not (here.project / "archive").exists()


def test_what_was_masked_is_told_by_the_command_that_masks(here):
    """`archive` keeps everything itself, so that what it says of its work is all of it."""
    ended(here)
    text = here.says("archive")
    assert "Archived 1 transcript:" in text and "Masked: github-token 1." in text
    assert here.says("archive") == "Every transcript that ended is archived.\n"
    ended(here, "e2", text=LINE * 2)
    assert json.loads(here.run("archive", "--json").stdout)["masked"] == {"github-token": 2}


def test_a_lost_archive_is_made_again(here):
    """doctor tells that archived files are missing; `archive` keeps them again where Claude Code still has the transcript,
    and says of how many nothing is left."""
    ended(here)
    gone = ended(here, "e2", text="two\n")
    here.run("archive")
    shutil.rmtree(here.workspace / "archive")
    gone.unlink()
    text = here.says("doctor", "--json")
    assert "Of the transcripts that were archived 2 are not in" in text and "archive (transcripts): 0;" in text
    text = here.says("archive")
    assert "Archived 1 transcript:" in text and "1 archived transcript is gone" in text
    assert len(files(here.workspace / "archive")) == 1
    body = json.loads(here.run("archive", "--json").stdout)
    assert (body["transcripts"], body["gone"], body["copies_gone"]) == (0, 0, 1)


def test_a_transcript_out_of_reach_is_kept_when_it_is_there(here):
    """What a command did not find, as in a container that does not mount Claude Code's folder, the next `archive` keeps."""
    path = ended(here)
    path.rename(path.with_suffix(".away"))
    here.run("status")
    text = here.says("archive")
    assert "Every transcript that is there is archived." in text and "1 transcript is not where Claude Code kept it" in text
    assert "transcripts that were not archived and are not there: 1" in here.says("doctor")
    path.with_suffix(".away").rename(path)
    assert "Archived 1 transcript:" in here.says("archive")
    assert "[masked:github-token]" in here.says("show", "e1", "--transcript")
