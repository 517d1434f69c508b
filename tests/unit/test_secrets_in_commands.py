"""Secrets in what commands are given: none reaches the disk, whichever option it stood in."""

import json
import os
import random
import string
import zlib

import pytest
from click.testing import CliRunner

from orchestrator.edges.cli import main
from orchestrator.recording import tally
from orchestrator.store.open import open_history

TOKEN = "ghp_" + "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=36))  # drawn: none of anyone's
MASK = "masked:github-token"
SESSION, EXECUTION = f"sess-{TOKEN}", f"exec-{TOKEN}"
OF_SESSION, OF_EXECUTION = ("--session-id", SESSION), ("--execution-id", EXECUTION)
PLAN = {
    "goal": f"a goal with {TOKEN}",
    "tasks": [
        {"id": "one", "title": f"use {TOKEN}", "prompt": f"use {TOKEN}", "agent": "builder", "files": [f"src/{TOKEN}.txt"],
         "writes": [f"out/{TOKEN}.txt"], "check": f"test {TOKEN}", "model": "haiku", "documents": [f"notes on {TOKEN}"]},
    ],
}  # fmt: skip
BEGIN = [
    ("tracker", "init-session", "--scope", f"use {TOKEN}", *OF_SESSION, "--metadata", json.dumps({TOKEN: TOKEN})),
    ("tracker", "init-deployment", *OF_SESSION, *OF_EXECUTION, "--agent-type", f"a-{TOKEN}", "--model", TOKEN, "--scope",
     f"use {TOKEN}"),
]  # fmt: skip
FORMS = {
    "a bundle": [
        ("bundle", "prepare", "--scope", f"use {TOKEN} please", "--agent-type", f"a {TOKEN}", "--model", f"m-{TOKEN}",
         "--files", f"src/{TOKEN}.txt", "--references", f"src/{TOKEN}.md#Key {TOKEN}", "--output", "b.json"),
    ],
    "a bundle's file": [
        *BEGIN,
        ("bundle", "record-allocation", *OF_EXECUTION, "--bundle", "theirs.json"),
        ("tracker", "init-deployment", *OF_SESSION, "--agent-type", "x", "--context-bundle", "theirs.json"),
        ("bundle", "show", f"bun-{TOKEN}"),
    ],
    "the tracker": [
        *BEGIN,
        BEGIN[1],  # said again it is the same execution
        ("tracker", "set-phase", *OF_SESSION, "--phase", "3"),
        ("tracker", "validate", "--scope", f"use {TOKEN}", *OF_SESSION, "--context-files", f"src/{TOKEN}.txt"),
        ("tracker", "record-completion", *OF_EXECUTION, "--final-message", f"it is {TOKEN}\n\nDeliverables:\n- out/{TOKEN}.md",
         "--deliverables", f"out/{TOKEN}.txt"),
        ("tracker", "query", *OF_SESSION),
        ("tracker", "complete-session", *OF_SESSION),
        ("report", SESSION),
        ("show", EXECUTION),
        ("stats", EXECUTION),
    ],
    "outputs": [
        *BEGIN,
        ("outputs", "collect", *OF_EXECUTION, "--deliverables", f"src/{TOKEN}.txt,out/{TOKEN}", "--validation-results",
         f"{TOKEN}:pass,tests:{TOKEN}", "--insights", f"know {TOKEN}", "--errors", f"no {TOKEN}"),
        ("outputs", "query", *OF_EXECUTION),
        ("outputs", "synthesize", *OF_SESSION),
        ("outputs", "synthesize", "theirs.json", "--output", "b.json"),
    ],
    "a task": [
        ("task", "add", f"use {TOKEN}", "--agent", "builder", "--prompt", f"use {TOKEN}", "--files", f"src/{TOKEN}.txt",
         "--references", f"src/{TOKEN}.md", "--writes", f"out/{TOKEN}.txt", "--check", f"test {TOKEN}"),
        ("task", "add", f"again {TOKEN}", "--agent", "builder"),
        ("task", "skip", "use-masked-github-token"),
        ("report",),
    ],
    "a plan": [("plan", "-"), ("bundle", "refresh"), ("report",)],
}  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with files that have a token for a name, and a bundle's file that someone else wrote."""
    folder = tmp_path / "a project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / f"{TOKEN}.txt").write_text("a text\n")
    (folder / "src" / f"{TOKEN}.md").write_text(f"# Key {TOKEN}\n\nA text.\n")
    item = {"type": "file", "source": f"src/{TOKEN}.txt", "token_count": 3, "reason": f"for {TOKEN}"}
    theirs = {"bundle_id": f"bun-{TOKEN}", "agent_type": TOKEN, "scope": TOKEN, "created_at": "2026-11-20T07:00:00.000Z",
              "total_tokens": 3, "budget_remaining": 9, "context_items": [item], TOKEN: TOKEN}  # fmt: skip
    (folder / "theirs.json").write_text(json.dumps(theirs))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "data"))
    for name in ("ORCHESTRATOR_DB_PATH", "CLAUDE_CODE_SESSION_ID"):
        monkeypatch.delenv(name, raising=False)
    return folder


def kept(*folders):
    """{file: its bytes and its name} of all below some folders."""
    files = [os.path.join(top, name) for folder in folders for top, _, names in os.walk(folder) for name in names]
    return {name: open(name, "rb").read() + os.fsencode(name) for name in files}


def texts(history):
    """All that the history's blobs hold, unpacked."""
    with_codec = open_history(str(history)).execute("SELECT codec, data FROM blobs").fetchall()
    return b"\n".join([zlib.decompress(data) if codec == "zlib" else bytes(data) for codec, data in with_codec])


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_any_option_is_not_kept(project, form):
    """Whatever option of a recording command holds a secret, nothing of the workspace does: it is masked where it
    enters, and an id is masked the same way each time, so that it is found again."""
    workspace = project / ".orchestrator"
    for words in FORMS[form]:
        done = CliRunner().invoke(main, ["--project", str(project), *words], input=json.dumps(PLAN))
        assert done.exit_code == 0, (words, done.output, done.exception)
        found = {name: data for name, data in kept(workspace, project.parent / "data").items() if TOKEN.encode() in data}
        assert not found, (words, sorted(found))
        assert TOKEN.encode() not in texts(workspace / "history.db"), words
    con = open_history(str(workspace / "history.db"))
    assert MASK in "\n".join(con.iterdump())
    assert con.execute("SELECT count(*) FROM orchestrations").fetchone()[0] <= 1
    assert not (project / "b.json").exists() or TOKEN not in (project / "b.json").read_text()


def test_a_secret_where_a_transcript_names_the_model_is_masked(project, tmp_path):
    """A model's name is whatever an endpoint answers: what is counted of a transcript is kept under a masked one."""
    message = {"id": "msg_1", "model": f"m {TOKEN}", "stop_reason": TOKEN, "usage": {"input_tokens": 3, "output_tokens": 2}}
    line = {"type": "assistant", "timestamp": "2026-11-20T07:00:00.000Z", "message": message}
    state = {"type": "cost-state", "modelUsage": {f"m {TOKEN}": {}}}
    (tmp_path / "t.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(state) + "\n")
    con = open_history(str(tmp_path / "history.db"))
    con.execute("INSERT INTO claude_sessions (claude_session_id, started_at) VALUES ('s', '2026-11-20')")
    con.execute("INSERT INTO executions (execution_id, agent_type, origin, deployed_at) VALUES ('e', 'x', 'nested', '2026')")
    assert tally.grow(con, str(project), "s", str(tmp_path / "t.jsonl"))
    con.execute("DELETE FROM counted_messages")
    assert tally.read(con, str(project), "e", str(tmp_path / "t.jsonl"))
    assert con.execute("SELECT model, output_tokens FROM usage").fetchall() == [(f"m [{MASK}]", 2)] * 2
    assert TOKEN not in "\n".join(con.iterdump())
