"""Hooks' log: off unless asked for; then a line an event with what was decided and why; bounded, and without secrets."""

import json
import os

import pytest

from histories import Filled, fill
from orchestrator.edges import hooks, hooks_log
from orchestrator.recording import record
from orchestrator.store import log
from orchestrator.store import open as store

SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def lines(filled):
    """What the log holds."""
    path = os.path.join(filled.workspace, log.NAME)
    return [json.loads(line) for line in open(path, encoding="utf-8")] if os.path.exists(path) else []


def taken_in(filled, name, **fields):
    """One event, taken in as a hook's process takes it in; its answer."""
    filled.minute += 1
    text = json.dumps({"hook_event_name": name, "session_id": "s", "cwd": filled.project, **fields})
    return hooks._taken_in(filled.con, text, name, os.getpid(), filled.now, filled.project, filled.workspace,
                           "%s %d" % (name, filled.minute), False)  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """A project with a plan, recorded without a log."""
    return fill(Filled(tmp_path, tmp_path / "data"))


ASKED = {"subagent_type": "orchestrator:builder", "description": "again", "prompt": "orchestrator task t4 " + SECRET}


def test_the_log_is_off_unless_asked_for(place, monkeypatch):
    """Without ORCHESTRATOR_LOG_LEVEL, and with error or warning, what hooks decide is written nowhere."""
    for level in ("", "error", "warning", "loud"):
        monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", level)
        taken_in(place, "Stop", stop_hook_active=False)
    assert lines(place) == []


def test_the_log_says_what_was_decided_and_why(place, monkeypatch):
    """With info, each event leaves one line: what was recorded, what was answered, why, in what state (S4-21)."""
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "INFO")
    taken_in(place, "SubagentStart", agent_id="a9", agent_type="Explore")
    asked = {**ASKED, "prompt": "orchestrator task t4"}
    answer = taken_in(place, "PreToolUse", tool_name="Agent", tool_use_id="c9", tool_input=asked)
    started, refused = lines(place)
    assert (started["event"], started["answered"], started["agent"]) == ("SubagentStart", "nothing", "a9")
    assert [each["kind"] for each in started["recorded"]] == ["started"]
    assert (refused["event"], refused["tool"], refused["call"]) == ("PreToolUse", "Agent", "c9")
    assert refused["answered"] == "deny" and refused["why"] in answer
    assert refused["ms"] >= 0 and "level" in refused and refused["at"] > started["at"]


def test_a_line_names_what_its_own_event_recorded(place, monkeypatch):
    """What another hook records while an event is handled is not named in that event's line."""
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "info")
    handle = hooks.handle

    def meanwhile(*given):
        other = store.connect(os.path.join(place.workspace, "history.db"))
        record.append(other, "started", place.now, "another", agent_id="b1")
        other.close()
        return handle(*given)

    monkeypatch.setattr(hooks, "handle", meanwhile)
    for agent in ("a8", "a9"):
        taken_in(place, "SubagentStart", agent_id=agent, agent_type="Explore")
    assert [[row["agent"] for row in line["recorded"]] for line in lines(place)] == [["a8"], ["a9"]]


def test_no_field_is_long_or_holds_a_secret(place, monkeypatch):
    """Every field of a line is masked and cut, whatever the client sends in the place of a name."""
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "debug")
    odd = SECRET + " " + "x" * 300_000
    for field in ("session_id", "agent_id", "tool_name", "tool_use_id", "agent_type"):
        taken_in(place, "SubagentStart", **{"agent_id": "a9", "agent_type": "Explore", field: odd})
    text = open(os.path.join(place.workspace, log.NAME), encoding="utf-8").read()
    assert SECRET not in text and "[masked:" in text
    assert max(map(len, text.splitlines())) < 12_000


@pytest.mark.parametrize("before", range(0, 80, 5))
def test_a_secret_that_is_not_looked_at_whole_is_left_out(before):
    """Where a long text is cut, no beginning of a secret is left that the cut took the end of."""
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + ("A1b2C3d4" * 8 + "\n") * 960 + "-----END RSA PRIVATE KEY-----\n"
    for secret in (SECRET, "https://bob:" + "pU5pRU0iMQ" * 12 + "@host/", key):
        fill = key + " " * (hooks_log.LOOKED - len(key) - before)
        short = hooks_log._short(fill + secret + " and so on", 4000)
        assert secret[:16] not in short.replace("[masked:private-key]", "") and len(short) <= 4001


@pytest.mark.parametrize("depth", (0, 1, 2, 3))
def test_a_secret_is_masked_as_json_writes_it(depth):
    """A password in an address and a hook's path are masked also where JSON escapes the slashes, and JSON in JSON does."""
    text = r"https:\/\/bob:pU5pRU0iMQMmJB@example.org\/x "
    text += r"https:\/\/hooks.slack.com\/services\/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"
    for _ in range(depth):
        text = json.dumps({"text": text})
    short = hooks_log._short(text, 4000)
    assert "pU5pRU0iMQMmJB" not in short and "2jFtHCQjakVbxf8JOYt4FQoj" not in short


def test_debug_adds_what_came_in_without_secrets(place, monkeypatch):
    """With debug a second line holds the event and the answer, cut and masked."""
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "debug")
    taken_in(place, "PreToolUse", tool_name="Agent", tool_use_id="c9", tool_input={**ASKED, "prompt": SECRET + " x" * 9000})
    text = open(os.path.join(place.workspace, log.NAME), encoding="utf-8").read()
    payload = lines(place)[1]["payload"]
    assert "masked" in payload and len(payload) <= 4001 and SECRET not in text


def test_the_log_is_bounded(tmp_path, monkeypatch):
    """However much is logged, two files of bounded size are kept, the newest lines among them; a link is not followed."""
    monkeypatch.setattr(log, "MOST", 2000)
    for n in range(500):
        log.write(str(tmp_path), '{"n": %d, "x": "%s"}' % (n, "y" * (n % 90)))
    sizes = [os.path.getsize(tmp_path / name) for name in (log.NAME, log.BEFORE)]
    assert max(sizes) <= 2000 + 120 and sorted(os.listdir(tmp_path)) == sorted([log.NAME, log.BEFORE])
    kept = [json.loads(line)["n"] for name in (log.BEFORE, log.NAME) for line in (tmp_path / name).read_text().splitlines()]
    assert kept == list(range(kept[0], 500))
    os.unlink(tmp_path / log.NAME)
    (tmp_path / "elsewhere").write_text("")
    os.symlink(tmp_path / "elsewhere", tmp_path / log.NAME)
    log.write(str(tmp_path), "{}")
    assert (tmp_path / "elsewhere").read_text() == ""


@pytest.mark.timeout(60)
def test_a_pipe_for_a_log_holds_nobody_up(tmp_path):
    """A pipe in the log's place that nobody reads from is not waited for."""
    os.mkfifo(tmp_path / log.NAME)
    log.write(str(tmp_path), "{}")
    assert os.listdir(tmp_path) == [log.NAME]
