"""A main transcript's end: what was told and what waits in the client's queue, whether the user broke off, whether it is written
whole."""

import json

import pytest

from orchestrator.recording import notification, transcript
from orchestrator.store import open as store

SINCE = "2026-11-21T08:00:00.000Z"
AFTER, BEFORE = "2026-11-21T08:00:01.000Z", "2026-11-21T07:59:59.000Z"


def told(agent):
    """A task-notification as the client queues it."""
    return "<task-notification>\n<task-id>%s</task-id>\n<status>completed</status>\n</task-notification>" % agent


def queued(content, at=AFTER):
    """A line that tells what entered the queue."""
    return {"type": "queue-operation", "operation": "enqueue", "timestamp": at, "content": content}


def left(operation="dequeue"):
    """A line that tells that something left it."""
    return {"type": "queue-operation", "operation": operation, "timestamp": AFTER}


def typed(text):
    """A line of what the user typed."""
    return {"type": "user", "origin": {"kind": "human"}, "message": {"role": "user", "content": text}}


def said(text):
    """A line of what the model said."""
    return {"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": text}]}}


BROKEN_OFF = {"type": "user", "message": {"content": [{"type": "text", "text": "[Request interrupted by user]"}]}}


@pytest.fixture
def con():
    connection = store.connect(":memory:")
    yield connection
    connection.close()


@pytest.fixture
def written(tmp_path):
    """`written(line, …)`: the path of a transcript of these lines."""

    def write(*lines):
        path = tmp_path / "session.jsonl"
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("lines", "agents"),
    [
        ([], []),
        ([queued(told("a1"))], ["a1"]),
        ([queued(told("a1")), left()], []),
        ([queued(told("a1")), queued(told("a2")), left("remove")], ["a2"]),
        ([queued("a question"), queued(told("a1")), left()], ["a1"]),
        ([queued("a question")], []),
        ([queued(told("a1"), BEFORE)], []),
        ([queued(told("a1"), BEFORE), queued(told("a2")), left()], ["a2"]),
        ([left(), queued(told("a1"))], ["a1"]),
        ([queued(told("a1")), left("popAll")], []),
        ([queued(told("a1")), left("something new"), queued(told("a2"))], ["a2"]),
        ([queued({"odd": 1}), queued(told("a1"))], ["a1"]),
        (['{"type":"queue-operation","operation":"enqueue', queued(told("a1"))], ["a1"]),
        ([said('I saw {"type":"queue-operation","operation":"dequeue"}'), queued(told("a1"))], ["a1"]),
        ([queued(told("a1")), said('"queue-operation" is a word')], ["a1"]),
    ],
)
def test_what_waits_in_the_queue(con, written, lines, agents):
    """What entered the queue of this process and has not left it; what is not understood empties it."""
    assert transcript.waiting(con, written(*lines), SINCE) == agents


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], {}),
        ([queued(told("a1"))], {"a1": AFTER}),
        ([queued(told("a1"), BEFORE), {**queued(told("a1")), "operation": "remove"}], {"a1": BEFORE}),
        ([queued("a question"), {**typed(told("a2")), "timestamp": AFTER}, left()], {"a2": AFTER}),
        ([queued(told("a1"), BEFORE), queued(told("a2"))], {"a1": BEFORE, "a2": AFTER}),
        ([queued("I saw " + told("a1")), said(told("a2")), typed([{"type": "text", "text": told("a3")}])], {}),
        ([queued(told("a1"), at) for at in ("2026-11-31T08:00:00.000Z", "yesterday", 3, None)], {}),
        ([json.dumps(queued(told("a1")))[:-9], queued({"odd": told("a1")}), "[]", queued(told("a2"))], {"a2": AFTER}),
        ([queued(told("a1\ud800"))], {"a1\ufffd": AFTER}),
    ],
)
def test_the_notifications_of_a_conversation(con, written, lines, found):
    """Each that entered the queue or began a turn, once, with the first time at which it did; nobody's words about one."""
    assert notification.written(con, written(*lines)) == {told(agent): at for agent, at in found.items()}


def test_as_much_of_a_conversation_as_is_read(con, written):
    """Of a long one the end is read, unless all is asked for; one that is not there tells nothing."""
    path = written(queued(told("a1")), said("x" * 500), queued(told("a2")))
    assert list(notification.written(con, path, 500)) == [told("a2")]
    assert list(notification.written(con, path, None)) == [told("a1"), told("a2")]
    assert notification.written(con, path + ".gone") == notification.written(con, None) == {}


def test_every_millisecond_is_a_time(con, written):
    """No time of a notification is taken for none by how it is rounded."""
    lines = [queued(told("a%d" % n), "2026-11-21T08:00:59.%03dZ" % n) for n in range(1000)]
    assert len(notification.written(con, written(*lines))) == 1000


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([], False),
        ([typed("go"), said("on")], False),
        ([typed("go"), BROKEN_OFF], True),
        ([typed("go"), BROKEN_OFF, said("an end was told"), {"type": "system"}], True),
        ([BROKEN_OFF, typed("go on")], False),
        ([typed("[Request interrupted by user] is what I saw")], False),
        ([typed("go"), said("[Request interrupted by user]")], False),
        (["[Request interrupted by user", typed("go")], False),
    ],
)
def test_whether_the_user_broke_off(con, written, lines, answer):
    """True from an interrupt until the user types again."""
    assert transcript.interrupted(con, written(*lines)) is answer


def test_whether_the_last_words_are_written(con, written):
    """A transcript that ends with the turn's last words holds everything before them."""
    path = written(typed("go"), said("one at work"), queued(told("a1")))
    assert transcript.ends_with(con, path, "one at work\n")
    assert not transcript.ends_with(con, path, "two at work")
    assert not transcript.ends_with(con, path, None)


@pytest.mark.parametrize(
    ("lines", "how"),
    [
        ([typed("go"), said("so far"), BROKEN_OFF], "stopped"),
        ([typed("go"), said("so far"), BROKEN_OFF, {"type": "attachment"}], "stopped"),
        ([typed("go"), said("so far"), typed("[Request interrupted by user] is what I saw")], "unfinished"),
        ([typed("go"), BROKEN_OFF, said("so far")], "end_turn"),
    ],
)
def test_an_agent_that_was_broken_off(con, written, lines, how):
    """The client's own line at the end says that it was stopped; what it had said is its partial result."""
    found = transcript.tail(con, written(*lines))
    assert (found.how, found.text) == (how, "so far")


def test_what_was_said_before_a_picture(con, written):
    """A partial result is found also behind a call that was answered with megabytes, as a picture is."""
    picture = {"type": "image", "source": {"type": "base64", "data": "A" * 3_000_000}}
    answer = {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "c1", "content": [picture]}]}}
    found = transcript.tail(con, written(typed("go"), said("so far"), answer))
    assert (found.how, found.text) == ("unfinished", "so far")


def test_a_transcript_that_is_not_there(con, tmp_path):
    """Nothing is concluded from a file that cannot be read."""
    path = str(tmp_path / "none.jsonl")
    assert transcript.waiting(con, path, SINCE) == []
    assert transcript.interrupted(con, path) is False
    assert transcript.ends_with(con, path, "words") is False
