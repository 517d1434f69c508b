"""Import: sessions that ran without the plugin, read afterwards, beside what the hooks record of the very same sessions."""

import json
import shutil
import sqlite3
import subprocess

import pytest

from harness import ROOT, environment
from orchestrator.edges.scripted_model import Play, Reply, call, fail, say
from plays import main, spawn

ROWS = (
    "SELECT COALESCE(agent_id, tool_use_id) AS who, parent_agent_id, runtime, agent_type, scope, model, tool_use_id, "
    "claude_session_id, prompt_id, briefing_hash, status, end_reason, success, final_message, models, stop_reason, calls, "
    "refused_calls, failed_calls, files_read, files_written, lines_added, lines_removed, "
    # of one that was written to: 2.1.197 tells no hook of its second end while the conversation is busy
    "CASE WHEN (SELECT count(*) FROM segments s WHERE s.execution_id = executions.execution_id) < 2 THEN context_size END "
    "FROM executions ORDER BY who"
)
OF = "(SELECT COALESCE(e.agent_id, e.tool_use_id, owner) FROM executions e WHERE e.execution_id = owner)"
PARTS = {
    "usage": "SELECT COALESCE(" + OF + ", owner) AS who, kind, model, messages, input_tokens, cache_write_5m_tokens, "
    "cache_write_1h_tokens, cache_read_tokens, output_tokens, round(cost_usd, 9) FROM usage ORDER BY 1, 2, 3",
    "tools": "SELECT agent_id, tool, t.calls, refused, failed FROM tool_calls t JOIN executions USING (execution_id) "
    "ORDER BY 1, 2",
    "files": "SELECT agent_id, path, mode, times, first_at, last_at, f.lines_added FROM file_touches f JOIN executions USING "
    "(execution_id) ORDER BY 1, 2, 3",
    "segments": "SELECT agent_id, ordinal, s.status, s.end_reason, s.final_message FROM segments s JOIN executions USING "
    "(execution_id) WHERE agent_id IS NOT NULL ORDER BY 1, 2",
    "sessions": "SELECT claude_session_id, cwd, transcript_path, forked, client_usage FROM claude_sessions ORDER BY 1",
}


def launched_agent(request):
    """The id of the agent that was launched."""
    return next(t.split("agentId: ")[1].split()[0] for _, t, _ in request.last_results if "agentId: " in t)


@pytest.fixture
def command(project, home, data):
    """One of our commands, as in a terminal; what it says as JSON."""
    env = {**environment(home, data, "http://127.0.0.1:9"), "CLAUDE_PROJECT_DIR": str(project)}

    def run(*words):
        done = subprocess.run([str(ROOT / "bin" / "orchestrator"), *words, "--json"], cwd=project, env=env, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return json.loads(done.stdout)

    return run


def books(project):
    """Everything that must agree between the two ways: the executions' rows and their parts."""
    con = sqlite3.connect(project / ".orchestrator" / "history.db")
    try:
        executions = {row[0]: row[1:] for row in con.execute(ROWS)}
        return executions, {name: con.execute(sql).fetchall() for name, sql in PARTS.items()}
    finally:
        con.close()


def dump(project):
    """The whole history as SQL, but for when something was looked at."""
    con = sqlite3.connect(project / ".orchestrator" / "history.db")
    con.execute("UPDATE executions SET usage_read_at = NULL, transcript_hash = NULL")
    con.execute("UPDATE claude_sessions SET usage_read_at = NULL")
    con.execute("DELETE FROM meta")
    con.execute("DELETE FROM archive")
    lines = sorted(con.iterdump())
    con.rollback()
    con.close()
    return lines


def sessions(claude, project):
    """Runs sessions in which agents come to most of their ends; a fork of one; a workflow."""
    folder = project / ".claude"
    (folder / "agents").mkdir(parents=True)
    (folder / "agents" / "limited.md").write_text("---\nname: limited\ndescription: d\nmaxTurns: 2\n---\nYou work.\n")
    (folder / "workflows").mkdir()
    (folder / "workflows" / "theirs.js").write_text(
        "export const meta = {name: 'theirs', description: 'd'}\nreturn await Promise.all([agent('PART one', {label: 'one'}), "
        "agent('PART two', {label: 'two', agentType: 'limited'}), agent('PART three', {label: 'three'})])\n"
    )
    file = str(project / "README.md")
    agent = {}

    def waiting(request):
        agent["id"] = launched_agent(request)
        return "waiting"

    play = Play().when(
        "ENDS", [spawn("FIRST"), spawn("BROKEN"), spawn("LIMITS", "limited", model="haiku")],
        [spawn("NOBODY", "nobody-knows"), spawn("OUTER", run_in_background=False), call("Workflow", name="theirs")],
        "all back", "more")  # fmt: skip
    play.when("FIRST", Reply("I look.", call("Read", file_path=file)), call("Edit", file_path=file, old_string="numbers",
              new_string="numbers\nand words"), "Wrote it.\nDeliverables:\n- README.md")  # fmt: skip
    play.when("BROKEN", fail(400, "invalid_request_error", "scripted failure"))
    play.when("LIMITS", [say("so far: one"), call("Bash", command="echo 1")], call("Bash", command="echo 2"))
    play.when("OUTER", spawn("INNER", run_in_background=False), "outer done").when("INNER", say("inner done").after(0.2))
    play.when("PART one", "one done").when("PART two", [say("so far"), call("Bash", command="ls")], call("Bash", command="ls"))
    play.when("PART three", fail(400, "invalid_request_error", "scripted failure"))

    def stopping(request):
        agent["slow"] = launched_agent(request)
        return [call("SendMessage", to=agent["id"], summary="more", message="and more please"),
                call("TaskStop", task_id=agent["slow"])]  # fmt: skip

    play.when("AGAIN", spawn("SEGMENTS", run_in_background=True), waiting,
              [call("ToolSearch", query="select:SendMessage,TaskStop"), spawn("SLOW", run_in_background=True)], stopping,
              "resumed", "over")  # fmt: skip
    play.when("SEGMENTS", "first part", "second part").when("SLOW", say("never said").after(8))
    ends, again = [claude.run(word, play, project, "--allowedTools", "Workflow", permission_mode="acceptEdits")
                   for word in ("ENDS", "AGAIN")]  # fmt: skip
    fork = Play().when(main, spawn("FORKED"), "waiting", "well").when("FORKED", "forked")
    return again, claude.run("a fork", fork, project, "--fork-session", resume=ends.session_id)


def test_import_tells_what_hooks_would_have_told(claude, project, command):
    """The same sessions, recorded by hooks and imported afterwards, give the same rows. What hooks have recorded is
    recognised, twice is as once, and a session that goes on with the plugin goes on in its row."""
    again, _ = sessions(claude, project)
    command("archive")
    recorded, parts = books(project)
    before = dump(project)
    assert command("import")["executions"] == 0
    assert dump(project) == before
    shutil.move(project / ".orchestrator", project.parent / "recorded")
    assert command("import")["executions"] == len(recorded)
    imported, others = books(project)
    assert set(imported) == set(recorded)
    for who, row in recorded.items():
        assert imported[who] == row
    assert others == parts
    before = dump(project)
    assert command("import")["read"] == 0
    assert dump(project) == before
    agent = next(who for who, row in imported.items() if row[6] == again.session_id and row[12] == "second part")
    play = Play().when("AGAIN", call("ToolSearch", query="select:SendMessage"),
                       call("SendMessage", to=agent, summary="more", message="once more"), "sent", "over")  # fmt: skip
    play.when("SEGMENTS", "third part")
    claude.run("go on", play, project, resume=again.session_id)
    after, others = books(project)
    assert set(after) == set(recorded)
    assert [row[4] for row in others["segments"] if row[0] == agent] == ["first part", "second part", "third part"]
    assert after[agent][9:12] == ("completed", "end_turn", 1)
