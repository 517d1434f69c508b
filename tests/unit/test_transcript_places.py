"""Places of transcripts: a session, or an agent, with which the client goes on in another folder: after EnterWorktree, /clear."""

import json
import os
import shutil

import pytest

from histories import OTHER, SESSION, Filled, answered, assistant
from orchestrator.recording import ends, transcript, usage
from orchestrator.services import archive, details, lost
from orchestrator.services.reconcile import reconcile
from orchestrator.store.open import writing

AT = "2026-11-20T08:%02d:00.000Z"
META = {"agentType": "general-purpose", "toolUseId": "toolu_001"}


class Client:
    """A history that hooks fill, and the client's folders of a project and of a worktree."""

    def __init__(self, folder, data):
        self.filled = Filled(folder, data)
        self.projects = os.path.join(os.path.realpath(folder), "projects")
        self.con = self.filled.con
        self.go("home")

    def main(self, folder, session=SESSION):
        """Where a conversation's transcript is, or would be."""
        return os.path.join(self.projects, folder, session + ".jsonl")

    def go(self, folder):
        """From now on hooks name this place."""
        self.filled.transcript = self.main(folder)
        self.filled.hook("Stop")

    def write(self, path, *lines):
        """Lines at a transcript's end."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="utf-8") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)

    def agent(self, agent, folder, *lines, session=SESSION, meta=None):
        """Lines of an agent, written there."""
        path = os.path.join(self.main(folder, session)[:-6], "subagents", "agent-%s.jsonl" % agent)
        self.write(path, *lines)
        if meta:
            self.write(path[:-6] + ".meta.json", meta)
        return path

    def ended(self, agent):
        """How an agent's execution ended, its tool calls, its messages."""
        self.filled.settle()
        return self.con.execute("SELECT status, end_reason, final_message, calls, (SELECT sum(messages) FROM usage WHERE owner = "
                                "execution_id) FROM executions WHERE agent_id = ?", (agent,)).fetchone()


@pytest.fixture
def client(tmp_path, data):
    """A conversation that has begun."""
    client = Client(tmp_path, data)
    yield client
    client.con.close()


def prompt(minute=10):
    """The line that an agent's transcript begins with."""
    return {"type": "user", "timestamp": AT % minute, "promptId": "p", "message": {"role": "user", "content": "look around"}}


def called(message, minute, call, text="so far"):
    """The lines of a call and its answer."""
    return assistant(message, text, tools=[(call, "Bash", {"command": "ls"})], at=AT % minute), {
        **answered(call), "timestamp": AT % minute}  # fmt: skip


def test_an_agent_that_began_in_an_entered_worktree(client):
    """On 2.1.197 its files are in the worktree's folder, beside no main transcript: by its session's id they are found."""
    agent, call, _ = client.filled.deploy()
    client.agent(agent, "tree", prompt(), *called("m1", 11, "t1"), *called("m2", 12, "t2", "the last"), meta=META)
    client.filled.notify(agent, call, "completed", "the last", 10)
    assert client.ended(agent) == ("failed", "max_turns", "the last", 2, 2)
    assert transcript.on_disk(client.main("home")) == [agent]


@pytest.mark.parametrize("place", [("tree", SESSION), ("home", OTHER)], ids=["worktree", "clear"])
@pytest.mark.parametrize("last", [True, False], ids=["words", "call"])
def test_an_agent_that_went_on_elsewhere(client, place, last):
    """Its files are one transcript: what it used is in all of them, its end in the last, its meta file beside the first."""
    agent, call, _ = client.filled.deploy()
    folder, session = place
    first = client.agent(agent, "home", prompt(), *called("m1", 11, "t1"), meta=META)
    words = [assistant("m3", "done", at=AT % 14)] if last else []
    second = client.agent(agent, folder, *called("m2", 13, "t2", ""), *words, session=session)
    assert transcript.parts(client.con, first) == transcript.parts(client.con, second) == [first, second]
    assert transcript.meta(client.con, client.main(folder, session), agent).path == first
    client.filled.notify(agent, call, "completed", "done" if last else "so far", 10)
    expected = ("completed", "end_turn", "done", 2, 3) if last else ("failed", "max_turns", "so far", 2, 2)
    assert client.ended(agent) == expected
    (execution, path), = client.con.execute("SELECT execution_id, transcript_path FROM executions")
    assert path == first
    kept = archive.keep(client.con, [("execution", execution, path)], client.filled.now)
    lines = list(archive.transcript_of(client.con, execution))
    assert kept.transcripts == 1 and len(lines) == sum(len(open(each).readlines()) for each in (first, second))
    shutil.rmtree(archive.folder_of(client.con))
    assert list(archive.transcript_of(client.con, execution)) == lines


def test_a_session_that_is_moved(client):
    """2.1.329 takes a session along into a worktree and back: its row, and those of its agents, name where it is, as soon as a
    hook does, else when it is looked for; nothing is counted twice."""
    client.write(client.main("home"), assistant("c1", "hello"))
    agent, call, _ = client.filled.deploy()
    client.agent(agent, "home", prompt(), assistant("m1", "done", at=AT % 12), meta=META)
    client.filled.notify(agent, call, "completed", "done", 10)
    client.filled.settle()
    os.rename(os.path.join(client.projects, "home"), os.path.join(client.projects, "tree"))
    client.write(client.main("tree"), assistant("c2", "more"))
    client.go("tree")
    paths = "SELECT transcript_path FROM claude_sessions UNION ALL SELECT transcript_path FROM executions"
    assert [row[0].startswith(client.main("tree")[:-6]) for row in client.con.execute(paths)] == [True, True]
    os.rename(os.path.join(client.projects, "tree"), os.path.join(client.projects, "home"))
    client.write(client.main("home"), assistant("c3", "over"))
    client.filled.settle()
    assert [os.path.exists(row[0]) for row in client.con.execute(paths)] == [True, True]
    assert client.con.execute("SELECT sum(messages) FROM usage WHERE kind = 'session'").fetchone() == (3,)
    assert client.ended(agent)[3:] == (0, 1)
    shutil.rmtree(client.projects)
    assert transcript.main_of(client.con, SESSION) == client.main("home")
    assert transcript.main_of(client.con, "nobody") is None


def test_a_path_that_is_no_longer_there(client):
    """An agent's transcript that went to another folder after its row had named it is read there."""
    agent, call, _ = client.filled.deploy()
    path = client.agent(agent, "home", prompt(), *called("m1", 11, "t1"), assistant("m2", "done", at=AT % 12), meta=META)
    client.filled.notify(agent, call, "completed", "done", 10)
    client.con.execute("UPDATE executions SET transcript_path = ?, calls = 0, usage_read_at = NULL", (path.replace("home", "x"),))
    assert client.ended(agent)[3:] == (1, 2)


def test_a_killed_session_whose_agent_had_gone_on_in_a_worktree(client):
    """What is known of a lost agent is what all of its files show; the last thing heard is none that was looked up."""
    agent, _, _ = client.filled.deploy()
    client.agent(agent, "home", prompt(), meta=META)
    client.agent(agent, "tree", *called("m1", 11, "t1", "the last words"))
    client.con.execute("UPDATE claude_sessions SET pid = 1, process_started = '1', boot_id = 'the one before'")
    reconcile(client.con, client.filled.project, client.filled.workspace)
    with writing(client.con):
        usage.due(client.con, client.filled.project, client.filled.now)
    (execution,) = client.con.execute("SELECT execution_id FROM lost_executions").fetchone()
    body = details.execution(client.con, execution)
    assert body["last_known"]["kind"] == body["known"]["heard"] == "launched"
    assert (body["known"]["last_words"], body["known"]["tokens"], body["known"]["calls"]) == ("the last words", 460, 1)


def test_a_pipe_at_an_agents_place_is_not_waited_for(client):
    """What is no regular file tells nothing of a lost agent."""
    agent, _, _ = client.filled.deploy()
    path = client.agent(agent, "home", prompt(), meta=META)
    os.unlink(path)
    os.mkfifo(path)
    with writing(client.con):
        ends.salvage(client.con, client.filled.project, SESSION, client.filled.now)
    (execution,) = client.con.execute("SELECT execution_id FROM executions").fetchone()
    assert lost.known_of(client.con, execution)["last_words"] is None


def test_a_transcript_of_another_name_is_not_the_sessions(client):
    """A fork's first event on 2.1.197 bears its parent's id: the parent's row keeps its own transcript."""
    client.filled.transcript = client.main("home", OTHER)
    client.filled.hook("Stop")
    assert client.con.execute("SELECT transcript_path FROM claude_sessions").fetchall() == [(client.main("home"),)]


def test_an_agent_at_work_through_clear_whose_process_is_killed(client):
    """What it did after /clear counts too: it is read once more when the process that went on with it is gone."""
    agent, _, _ = client.filled.deploy()
    client.agent(agent, "home", prompt(), *called("m1", 11, "t1"), meta=META)
    client.filled.hook("SessionEnd", reason="clear")
    client.filled.hook("SessionStart", session=OTHER, source="clear")
    client.agent(agent, "home", *called("m2", 13, "t2"), session=OTHER)
    client.con.execute("UPDATE claude_sessions SET pid = 1, process_started = '1', boot_id = 'the one before', ended_at = CASE "
                       "WHEN ended_at IS NOT NULL THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour') END")
    client.con.execute("UPDATE executions SET usage_read_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')")
    reconcile(client.con, client.filled.project, client.filled.workspace)
    with writing(client.con):
        usage.due(client.con, client.filled.project, "2099-01-01T00:00:00.000Z")
    assert client.con.execute("SELECT calls, (SELECT sum(messages) FROM usage WHERE owner = execution_id) FROM lost_executions "
                              "JOIN executions USING (execution_id, calls)").fetchone() == (2, 2)
