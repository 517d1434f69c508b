"""Import of what no play of the client leaves at will: lost agents, forks, spoilt lines, other folders, hidden agents."""

import json
import os
import random
import shutil
import tracemalloc
from pathlib import Path

import pytest

from histories import Filled, answered, assistant
from orchestrator.services import import_usage, importing, past, past_session
from orchestrator.services.past_session import read
from orchestrator.store.open import open_history

SESSION, FORK = "5e550000-0000-4000-8000-000000000001", "5e550000-0000-4000-8000-000000000002"
NOW = "2026-11-21T08:00:00.000Z"
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"


def at(second):
    """A time of the day on which it all happened."""
    return "2026-11-20T09:%02d:%02d.000Z" % divmod(second, 60)


class Machine:
    """A project, Claude Code's own folder beside it, and transcripts in it."""

    def __init__(self, folder):
        self.home, self.project = folder / "home", folder / "my project"
        self.client = self.home / ".claude"
        (self.project / ".git").mkdir(parents=True)
        (self.project / ".orchestrator").mkdir()
        (self.client / "sessions").mkdir(parents=True)
        self.con = open_history(str(self.project / ".orchestrator" / "history.db"))

    def folder(self, cwd):
        """Where the client keeps the transcripts of a working folder."""
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in str(cwd))
        return self.client / "projects" / name

    def write(self, path, lines):
        """A transcript; a text stands as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))

    def session(self, *lines, session=SESSION, cwd=None):
        """A conversation's transcript, which begins with a prompt."""
        cwd = cwd or self.project
        head = {"type": "user", "timestamp": at(0), "promptId": "p1", "message": {"content": "go"}, "cwd": str(cwd)}
        path = self.folder(cwd) / (session + ".jsonl")
        self.write(path, [head, *lines])
        return path

    def agent(self, agent, *lines, session=SESSION, meta=None, run=None, cwd=None, begins=True):
        """An agent's transcript, with its meta file."""
        folder = self.folder(cwd or self.project) / session / "subagents"
        path = (folder / "workflows" / run if run else folder) / ("agent-%s.jsonl" % agent)
        head = {"type": "user", "timestamp": at(2), "promptId": "p1", "message": {"content": "do it"}}
        self.write(path, [head, *lines] if begins else lines)
        if meta is not None:
            path.with_name("agent-%s.meta.json" % agent).write_text(json.dumps(meta))
        return path

    def find(self, **options):
        """The sessions that are found."""
        return past.find(str(self.client), str(self.project), **options)

    def take(self):
        """Imports what is due; (new, changed, recognised)."""
        found = self.find()
        importing.prepare(self.con, found)
        due = importing.waiting(self.con, found)
        taken = [importing.take(self.con, str(self.project), each, NOW) for each in due]
        return tuple(sum(numbers) for numbers in zip(*taken, strict=True)) if taken else (0, 0, 0)

    def rows(self, columns="status, end_reason, final_message", table="executions ORDER BY deployed_at, number"):
        """What the history says."""
        return self.con.execute("SELECT %s FROM %s" % (columns, table)).fetchall()

    def lost(self):
        """How many are lost."""
        return self.con.execute("SELECT count(*) FROM lost_executions").fetchone()[0]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine where nothing has happened yet."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    machine = Machine(tmp_path)
    yield machine
    machine.con.close()


def asked(call="toolu_1", prompt="do it", **more):
    """The line of an Agent call."""
    given = {"description": "d", "prompt": prompt, "subagent_type": "scout", **more}
    return {**assistant("m-" + call, tools=[(call, "Agent", given)]), "timestamp": at(1)}


def back(call="toolu_1", text="ok", error=False, second=9, **result):
    """The line of what came back of one."""
    return {**answered(call, text, error=error), "timestamp": at(second), "toolUseResult": result or text}


def launched(call="toolu_1", agent="a1"):
    """It was launched in the background."""
    return back(call, "Async agent launched", second=2, status="async_launched", agentId=agent, resolvedModel="claude-opus-4-8")


def told(agent="a1", call="toolu_1", result="done", second=20, status="completed"):
    """A task-notification."""
    text = (
        "<task-notification>\n<task-id>%s</task-id>\n<tool-use-id>%s</tool-use-id>\n<status>%s</status>\n"
        '<summary>Agent "d" finished</summary>\n<result>%s</result>\n<usage><subagent_tokens>77</subagent_tokens></usage>\n'
        "</task-notification>" % (agent, call, status, result)
    )
    return {"type": "queue-operation", "operation": "enqueue", "timestamp": at(second), "content": text}


def said(text, message="m1", second=10, tools=()):
    """An assistant's line."""
    return {**assistant(message, text, tools=tools), "timestamp": at(second)}


META = {"agentType": "scout", "toolUseId": "toolu_1", "description": "d"}


def test_a_session_without_an_end_leaves_its_agents_lost(machine):
    """An agent whose transcript breaks off, in a session that is over, is lost: with its words, files and tokens."""
    machine.session(asked(), launched())
    file = str(machine.project / "a.py")
    machine.agent("a1", said("so far", tools=[("t", "Read", {"file_path": file})]), answered("t"), meta=META)
    assert machine.take() == (1, 0, 0)
    assert machine.rows("status, origin, agent_type, scope, deployed_at, started_at, calls, files_read") == [
        ("deployed", "imported", "scout", "d", at(1), at(2), 1, 1)]  # fmt: skip
    assert machine.lost() == 1
    assert machine.rows("sum(output_tokens)", "usage WHERE kind = 'execution'") == [(40,)]


def test_what_never_began_says_so_when_the_session_is_over(machine):
    """A call without an answer and without an agent's files never started."""
    machine.session(asked())
    machine.take()
    assert machine.rows()[0][:2] == ("failed", "never_started")


def test_a_session_at_work_is_taken_in_as_far_as_it_has_come(machine):
    """What its client still runs is left open, and concluded by a later import."""
    path = machine.session(asked(), launched())
    machine.agent("a1", said("so far", tools=[("t", "Bash", {})]), meta=META)
    start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    alive = machine.client / "sessions" / "1.json"
    alive.write_text(json.dumps({"pid": os.getpid(), "sessionId": SESSION, "procStart": start}))
    machine.take()
    assert (machine.rows()[0][0], machine.lost()) == ("deployed", 0)
    assert importing.waiting(machine.con, machine.find()) == []
    alive.unlink()
    assert len(importing.waiting(machine.con, machine.find())) == 1
    with open(path, "a") as f:
        f.write(json.dumps(told()) + "\n")
    machine.agent("a1", said("so far", tools=[("t", "Bash", {})]), said("done", "m2", 19), meta=META)
    assert machine.take() == (0, 1, 0)
    assert machine.rows() == [("completed", "end_turn", "done")]
    assert machine.rows("end_reason, started_at, ended_at", "claude_sessions") == [("imported", at(0), at(20))]


def test_a_fork_copies_nothing(machine):
    """A fork's transcript begins with its parent's: refused calls, agents and messages are its parent's alone."""
    lines = [
        asked("toolu_0"), back("toolu_0", "Agent type 'x' not found", error=True), asked(), launched(), told(),
        said("all back", "m9", 21),
    ]  # fmt: skip
    machine.session(*lines)
    machine.agent("a1", said("done"), meta=META)
    copied = [{**line, "sessionId": FORK} for line in lines]
    machine.session(*copied, said("the fork's own", "m10", 40), session=FORK)
    assert machine.take() == (2, 0, 0)
    assert machine.rows("DISTINCT claude_session_id") == [(SESSION,)]
    assert machine.rows("owner, kind, messages", "usage WHERE kind = 'session' ORDER BY 1") == [
        (SESSION, "session", 3), (FORK, "session", 1)]  # fmt: skip
    with open(machine.folder(machine.project) / (FORK + ".jsonl"), "a") as f:
        f.write(json.dumps(said("more", "m11", 50)) + "\n")
    assert machine.take() == (0, 0, 0), "also when only the fork is read again"


@pytest.mark.parametrize("agents", [True, False], ids=["agent", "none"])
@pytest.mark.parametrize("fork", [FORK, "4" + FORK[1:]], ids=["after", "before"])
def test_a_fork_that_begins_as_its_parent(machine, fork, agents):
    """In a terminal a fork's first line is its parent's. The parent is the one that has the files of agents that both tell of,
    else the one that went on first; so an agent, and what was used, is the parent's, whatever their names."""
    lines = [asked(), launched(), told()] if agents else [said("first", "m8", 5)]
    more = [said("went on", "m9", 60 if agents else 21)]  # where there are agents the parent may go on after the fork
    machine.session(*lines, *more)
    if agents:
        machine.agent("a1", said("done"), meta=META)
    its = [{**line, "timestamp": at(35)} for line in (asked("toolu_2"), launched("toolu_2", "a2"))]
    machine.session(*lines, *its, said("the fork's", "m10", 40), session=fork)
    machine.agent("a2", said("forked", "m11", 41), session=fork, meta={**META, "toolUseId": "toolu_2"})
    assert machine.take() == (2 if agents else 1, 0, 0)
    whose = "agent_id, claude_session_id, calls IS NOT NULL, transcript_path IS NOT NULL"
    expected = [("a1", SESSION, 1, 1)] if agents else []
    assert sorted(machine.rows(whose)) == [*expected, ("a2", fork, 1, 1)]
    assert dict(machine.rows("owner, messages", "usage WHERE kind = 'session'")) == {SESSION: 2, fork: 2}


def test_a_copied_call_is_none_though_its_agent_is_still_unread(machine):
    """A call whose agent's files another session has is that session's, also where it is read after the copy."""
    machine.session(asked(), launched(), told())
    machine.agent("a1", said("done"), meta=META)
    machine.session(asked(), launched(), told(), session=FORK)
    found = machine.find()
    importing.prepare(machine.con, found)
    for each in reversed(found):
        importing.take(machine.con, str(machine.project), each, NOW)
    assert machine.rows("agent_id, claude_session_id, status") == [("a1", SESSION, "completed")]


@pytest.mark.parametrize("finished", [True, False], ids=["completed", "max_turns"])
def test_an_agent_that_outlives_its_conversation(machine, finished):
    """After /clear the client goes on with an agent in the new conversation's folder, and tells its end there: both files are its
    transcript, in one stretch, though 2.1.197 gives an answer there another turn."""
    machine.session(asked(), launched())
    machine.agent("a1", said("so far", "m1", 10, tools=[("t1", "Bash", {})]), {**answered("t1"), "timestamp": at(11)}, meta=META)
    last = "the end" if finished else "more"
    machine.session({"type": "system", "timestamp": at(15)}, told(result=last, second=30), session=FORK)
    lines = [said(last, "m2", 25, tools=() if finished else [("t2", "Bash", {})])]
    if not finished:
        lines.append({**answered("t2"), "timestamp": at(26), "promptId": "p2"})
    machine.agent("a1", *lines, session=FORK, begins=False)
    assert machine.take() == (1, 0, 0)
    assert machine.rows() == [("completed", "end_turn", last) if finished else ("failed", "max_turns", last)]
    assert machine.rows("claude_session_id, calls") == [(SESSION, 1 if finished else 2)]
    assert machine.rows("messages", "usage WHERE kind = 'execution'") == [(2,)]
    assert machine.rows("count(*)", "segments") == [(1,)]
    assert machine.take() == (0, 0, 0)


def test_agents_of_an_entered_worktree(machine):
    """What agents did in a worktree that the client entered lies in that one's folder, also the rest of one that was at work:
    wherever, by the session's id. A nested agent whose call returned has ended."""
    machine.session(asked(), launched(), told(), told("a2", "toolu_2", second=30))
    machine.agent("a1", said("so far", "m1", 5, tools=[("t1", "Bash", {})]), meta=META)
    tree = machine.project.parent / "elsewhere" / "a tree"
    machine.agent("a1", {**answered("t1"), "timestamp": at(6)}, said("done", "m2", 10), cwd=tree, begins=False)
    nested = [{**assistant("m3", tools=[("toolu_3", "Agent", {"prompt": "x", "subagent_type": "scout"})]), "timestamp": at(11)},
              {**answered("toolu_3", "little\nagentId: a3 (use SendMessage with to: 'a3')"), "timestamp": at(15)}]  # fmt: skip
    machine.agent("a2", *nested, said("whole", "m4", 16), cwd=tree, meta={**META, "toolUseId": "toolu_2"})
    machine.agent("a3", said("little", "m5", 12, tools=[("t4", "Bash", {})]), cwd=tree,
                  meta={**META, "toolUseId": "toolu_3", "spawnDepth": 2})  # fmt: skip
    with open(machine.folder(machine.project) / (SESSION + ".jsonl"), "a") as f:
        f.write(json.dumps(asked("toolu_2")) + "\n" + json.dumps(launched("toolu_2", "a2")) + "\n")
    assert machine.take() == (3, 0, 0)
    assert sorted(machine.rows("agent_id, status, end_reason, calls")) == [
        ("a1", "completed", "end_turn", 1), ("a2", "completed", "end_turn", 1), ("a3", "failed", "max_turns", 1)]  # fmt: skip
    assert machine.take() == (0, 0, 0)


def test_a_session_that_was_moved(machine):
    """2.1.329 moves a session into the folder of a worktree that it enters, and back: rows name the place where it is now."""
    tree = machine.project / ".claude" / "worktrees" / "t"
    machine.session(asked(), launched(), told(), cwd=tree)
    machine.agent("a1", said("done"), cwd=tree, meta=META)
    machine.take()
    machine.folder(tree).rename(machine.folder(machine.project))
    with open(machine.folder(machine.project) / (SESSION + ".jsonl"), "a") as f:
        f.write(json.dumps(said("more", "m9", 30)) + "\n")
    machine.take()
    paths = [row[0] for table in ("executions", "claude_sessions") for row in machine.rows("transcript_path", table)]
    assert all(path.startswith(str(machine.folder(machine.project)) + os.sep) and os.path.exists(path) for path in paths)


@pytest.mark.parametrize("name", ["a\U0001f680b", "\U0001f680" * 50, "x" * 90 + "/" + "\U0001f680" * 50], ids=[1, 50, "long"])
def test_a_project_whose_name_holds_an_emoji(tmp_path, monkeypatch, name):
    """The client's name of a folder has a sign for each unit of UTF-16, and so its greatest length."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project, folder = tmp_path / name, tmp_path / "home/.claude/projects"
    (project / ".git").mkdir(parents=True)
    units = str(project).encode("utf-16-le")
    flat = "".join(chr(units[n]) if not units[n + 1] and chr(units[n]).isalnum() else "-" for n in range(0, len(units), 2))
    folder = folder / (flat if len(flat) <= 200 else flat[:200] + "-8j3cvw")
    folder.mkdir(parents=True)
    (folder / (SESSION + ".jsonl")).write_text(json.dumps({"type": "user", "timestamp": at(0), "cwd": str(project)}) + "\n")
    assert len(past.find(str(tmp_path / "home/.claude"), str(project))) == 1


def test_what_is_no_file_keeps_nothing_out(machine):
    """A pipe that is named as a transcript is not waited for, and a link to nowhere keeps no session out."""
    path = machine.session(asked(), launched(), told())
    machine.agent("a1", said("done"), meta=META)
    os.mkfifo(path.with_name("pipe.jsonl"))
    (path.with_suffix("") / "subagents" / "agent-a2.jsonl").symlink_to("/nowhere")
    os.mkfifo(path.with_suffix("") / "subagents" / "agent-a3.jsonl")
    assert machine.take() == (1, 0, 0)
    assert machine.rows() == [("completed", "end_turn", "done")]


@pytest.mark.parametrize("left", [None, "", '{"type": "user", "times'], ids=["gone", "empty", "cut"])
def test_an_agent_whose_transcript_is_gone(machine, left):
    """The client deletes transcripts: what the conversation was told of an agent is then all there is; so where nothing can be
    read in one."""
    machine.session(asked(), launched(), told(result="three adders"))
    if left is not None:
        machine.agent("a1", meta=META).write_text(left)
    machine.take()
    assert machine.rows("status, end_reason, inferred, final_message, context_size") == [
        ("completed", "end_turn", 1, "three adders", 77)]  # fmt: skip


def test_what_an_old_result_names_is_not_what_lies_there_now(machine):
    """A deliverable that was changed since has no hash: nobody knows what it was then."""
    for name, changed in (("old.md", 1_700_000_000), ("new.md", None)):
        (machine.project / name).write_text("words")
        if changed:
            os.utime(machine.project / name, (changed, changed))
    machine.session(asked(), launched(), told(result="Done.\nDeliverables:\n- old.md\n- new.md"))
    machine.agent("a1", said("Done.\nDeliverables:\n- old.md\n- new.md"), meta=META)
    machine.take()
    found = machine.rows("path, content_hash IS NOT NULL, created_at", "outputs ORDER BY path DESC")
    assert found == [("old.md", 1, at(20)), ("new.md", 0, at(20))]


def test_what_the_command_says(machine, monkeypatch):
    """Sentences, no progress for a pipe; first a look, then the import, then nothing new; a wrong time is usage.
    A transcript whose name is no text is left out, and told.
    """
    from click.testing import CliRunner

    from orchestrator.edges.cli import main

    machine.con.close()
    (machine.project / ".orchestrator" / "history.db").unlink()
    os.rmdir(machine.project / ".orchestrator")
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(machine.home / "data"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(machine.client))

    def run(*words, code=0):
        done = CliRunner().invoke(main, ["--project", str(machine.project), "import", *words])
        assert done.exit_code == code, done.output
        return done.output

    assert run() == "Claude Code has no transcripts of this project.\n"
    machine.session(asked(), launched(), told())
    machine.agent("a1", said("done"), meta=META)
    assert run("--dry-run").startswith("Would read 1 session of 1, ")
    assert run("--since", "2999-01-01") == "No session of this project was at work since 2999-01-01 00:00 UTC.\n"
    odd = os.fsencode(machine.folder(machine.project)) + b"/bytes\xff.jsonl"
    os.link(machine.folder(machine.project) / (SESSION + ".jsonl"), odd)
    said_so = run()
    assert said_so.endswith(": 1 execution imported.\n")
    assert said_so.count("bytes\\xff.jsonl is left out: its name is not UTF-8.\n") == 1
    os.unlink(odd)
    assert run("--since", "2020-01-01") == "1 session found, and nothing new in them.\n"
    run("--since", "yesterday", code=2)


def test_two_agents_for_one_call(machine):
    """Where an answer and a meta file name different agents for one call, both are taken in: the call is that of the answer."""
    machine.session(asked(), back(status="completed", agentId="zz", totalTokens=9))
    machine.agent("a1", said("done"), meta=META)
    assert machine.take()[0] == 2
    found = machine.rows("agent_id, tool_use_id", "executions ORDER BY agent_id")
    assert found == [("a1", None), ("zz", "toolu_1")]


def test_a_session_that_cannot_be_read_keeps_no_other_out(machine, monkeypatch):
    """A session whose transcripts hold what nobody foresaw is left out, and told; the others are taken in, it another time."""
    from click.testing import CliRunner

    from orchestrator.edges.cli import main

    machine.con.close()
    shutil.rmtree(machine.project / ".orchestrator")
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(machine.home / "data"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(machine.client))
    machine.session(asked(), launched(), told())
    machine.session(asked("toolu_9"), launched("toolu_9", "a9"), told("a9", "toolu_9"), session=FORK)
    real = past_session.read

    def read(found):
        if found.session == SESSION:
            raise ZeroDivisionError("no such thing")
        return real(found)

    def run():
        done = CliRunner().invoke(main, ["--project", str(machine.project), "import"])
        assert done.exit_code == 0, done.output
        return done.output

    with monkeypatch.context() as patch:
        patch.setattr(past_session, "read", read)
        output = run()
    assert f"session {SESSION} is left out: its transcripts hold what nobody foresaw (ZeroDivisionError: no such thing)" in output
    assert ": 1 execution imported.\n" in output
    assert run().endswith(": 1 execution imported.\n")


def test_an_import_that_is_broken_off_is_taken_up(machine, monkeypatch):
    """What an import had not counted when it was killed is counted by the next one."""
    machine.session(asked(), launched(), told())
    machine.agent("a1", said("done"), meta=META)
    machine.agent("a2", said("summed up", message="m2"))  # the client's own
    with monkeypatch.context() as patch:
        patch.setattr(import_usage, "count", lambda *of: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            machine.take()
    assert machine.rows("count(*)", "usage") == [(0,)]
    assert machine.take() == (0, 0, 0)
    assert machine.rows("kind, messages", "usage ORDER BY kind") == [("compaction", 1), ("execution", 1), ("session", 1)]


def test_hidden_agents_are_tokens_and_no_executions(machine):
    """What the client runs for itself, as compaction, has no meta file and no call: only its tokens count, once."""
    machine.session(said("x", "m0", 3))
    path = machine.agent("acompact-1", said("summary", "mc"))
    for _ in range(2):
        machine.take()
        assert machine.rows() == []
        assert machine.rows("owner, messages", "usage WHERE kind = 'compaction'") == [(SESSION, 1)]
        path.write_text(path.read_text() + "\n")


@pytest.mark.parametrize("place", ["src/deep", ".claude/worktrees/w1", "gone/long ago"])
def test_folders_within_the_project_are_of_it(machine, place):
    """A subfolder, a worktree of an agent's, and one that is no longer there."""
    cwd = machine.project / place
    if "gone" not in place:
        cwd.mkdir(parents=True)
    machine.session(asked(), launched(), told(), cwd=cwd)
    assert len(machine.find()) == 1 and machine.take()[0] == 1


def test_linked_worktrees_are_of_the_project(machine, tmp_path):
    """A linked worktree elsewhere counts as git knows it, also when its folder is gone."""
    entry = machine.project / ".git" / "worktrees" / "w"
    entry.mkdir(parents=True)
    (entry / "gitdir").write_text(str(tmp_path / "elsewhere" / ".git") + "\n")
    machine.session(asked(), launched(), told(), cwd=tmp_path / "elsewhere" / "src")
    assert len(machine.find()) == 1


@pytest.mark.parametrize("name", ["my project-2", "my_project", "another"])
def test_other_projects_are_left_alone(machine, name):
    """A folder whose name only looks alike to the client is another project."""
    other = machine.project.parent / name
    (other / ".git").mkdir(parents=True)
    machine.session(asked(), launched(), told(), cwd=other)
    assert machine.find() == []


def test_only_what_was_written_since(machine):
    """`--since` passes over sessions that were not at work from then on."""
    path = machine.session(asked(), launched(), told())
    os.utime(path, (1000, 1000))
    assert len(machine.find(since=999.0)) == 1
    assert machine.find(since=1001.0) == []


def test_secrets_do_not_get_in(machine):
    """Prompts, results, descriptions, errors and last words are masked on their way in, the names of models and types too."""
    named = said("by")
    named["message"]["model"] = "m-" + SECRET
    machine.session(named, asked("toolu_3", subagent_type="t-" + SECRET, model="m-" + SECRET),
                    back("toolu_3", "yes", status="completed", agentId="a3", resolvedModel="m-" + SECRET))  # fmt: skip
    machine.agent("a3", named, meta={**META, "toolUseId": "toolu_3", "agentType": "t-" + SECRET})
    machine.take()
    machine.session(asked(prompt="use " + SECRET, description="with " + SECRET), launched(), told(result="got " + SECRET),
                    asked("toolu_2"), back("toolu_2", "no " + SECRET, error=True))  # fmt: skip
    machine.agent("a1", said("got " + SECRET), meta={**META, "description": SECRET})
    machine.take()
    machine.con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    from orchestrator.store import blobs

    assert SECRET.encode() not in Path(machine.project / ".orchestrator" / "history.db").read_bytes()
    for (address,) in machine.rows("hash", "blobs"):
        assert SECRET.encode() not in blobs.get(machine.con, address)


def test_what_hooks_recorded_is_recognised(tmp_path, data, monkeypatch):
    """An agent and a call that hooks know, whatever they know of them, are passed over."""
    filled = Filled(tmp_path, data)
    agent, call, _ = filled.deploy(description="look")
    filled.end((agent, call, "general-purpose"), "by hook")
    before = filled.rows("SELECT * FROM executions")
    folder = Path(filled.transcript).parent
    lines = [asked(call), launched(call, agent), told(agent, call, "by transcript")]
    head = {"type": "user", "timestamp": at(0), "message": {"content": "go"}, "cwd": filled.project}
    Path(filled.transcript).write_text("".join(json.dumps(line) + "\n" for line in [head, *lines]))
    session = Path(filled.transcript).stem
    found = past.Found(session, filled.transcript, at(0), 1, 0.0, False, ((agent, filled.path_of(agent)),))
    assert folder.is_dir() and importing.waiting(filled.con, [found]) == []
    importing.prepare(filled.con, [found])
    assert importing.take(filled.con, filled.project, found, NOW) == (0, 0, 1)
    after = filled.rows("SELECT * FROM executions")
    assert [row[:20] for row in after] == [row[:20] for row in before]


def test_spoilt_transcripts_harm_nothing(machine):
    """Lines cut off, of other shapes, with NUL, halves of surrogates and times that are none: no error, and the rest is
    taken in; its sums too.
    """
    shapes = [
        '{"type":"assistant","timestamp":"2026-11-31T99:00:00.000Z","message":{"content":[]}}',
        "", "{", "null", "[]", '"x"', '{"type":"user"}', '{"type":"assistant","timestamp":3,"message":4}',
        '{"type":"assistant","timestamp":"%s","message":{"content":[3,{"type":"tool_use"},{"type":"tool_use","id":7,'
        '"name":"Agent"},{"type":"tool_use","id":"x","name":"Agent","input":5}]}}' % at(4),
        '{"type":"user","timestamp":"%s","message":{"content":[{"type":"tool_result","tool_use_id":["x"]}]}}' % at(4),
        '{"type":"queue-operation","timestamp":"%s","content":"<task-notification>"}' % at(4),
        '{"type":"user","timestamp":"%s","message":{"content":"a\\u0000b\\ud800"}}' % at(5), "\x00\x00", "[" * 50000,
    ]  # fmt: skip
    good = [json.dumps(each) for each in (asked(), launched(), told())]
    chance = random.Random(5)
    for number in range(60):
        session = "5e550000-0000-4000-8000-%012d" % (100 + number)
        lines = [line.replace("toolu_1", "toolu_%d" % number).replace("a1", "b%d" % number) for line in good]
        lines += [each if chance.random() < 0.5 else line[: chance.randrange(len(line))]
                  for each, line in ((chance.choice(shapes), chance.choice(good)) for _ in range(12))]  # fmt: skip
        machine.session(*lines, session=session)
    machine.agent("c1", *shapes, session=session, meta={"agentType": 5, "toolUseId": []})
    machine.agent("c2", *shapes, session=session, meta={"agentType": "scout"})
    machine.take()
    fine = machine.rows("status, final_message", "executions WHERE agent_id LIKE 'b%'")
    assert len(fine) == 60 and set(fine) == {("completed", "done")}
    assert machine.rows("count(*)", "executions WHERE julianday(deployed_at) IS NULL") == [(0,)]
    assert machine.rows("count(*)", "executions WHERE completed_at > '2026-11-20T1'") == [(0,)]


def test_a_large_transcript_is_read_in_little_room(machine):
    """Memory does not grow with the length of a transcript: one line at a time is held."""
    path = machine.session(asked(), launched(), told())
    line = json.dumps(said("x" * 10_000, "n", 30)) + "\n"
    with open(path, "a") as f:
        f.writelines(line for _ in range(2000))
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    session = read(machine.find()[0])
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(session.calls) == 1 and held < 1_000_000
