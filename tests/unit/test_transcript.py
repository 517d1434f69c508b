"""Transcripts on disk: where an agent's lies, what its meta file says, what it ends with; whatever is written in them."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.recording import transcript
from orchestrator.store import open as store
from streams import api_error, assistant, result, user

AGENT = "a3678332c5b69295c"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "message", "content", "role", "text", "stop_reason", "usage"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@pytest.fixture
def con():
    """A connection to ask with."""
    return store.connect(":memory:")


@pytest.fixture
def main(tmp_path):
    """The main conversation's transcript."""
    return str(tmp_path / "session.jsonl")


def write(main, lines, meta=None, run=None, agent=AGENT):
    """An agent's files; returns its transcript's path."""
    folder = os.path.join(main[:-6], "subagents", *(["workflows", run] if run else []))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "agent-%s.jsonl" % agent)
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as f:
        f.writelines((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    if meta is not None:
        with open(path[:-6] + ".meta.json", "w", encoding="utf-8") as f:
            f.write(meta if isinstance(meta, str) else json.dumps(meta))
    return path


def test_where_it_lies(main):
    """Beside the main transcript, in a folder of its own; an agent of a workflow in its run's; else nowhere."""
    assert transcript.path_of(main, AGENT) is None
    path = write(main, [])
    assert transcript.path_of(main, AGENT) == path
    other = write(main, [], run="wf_1", agent="a1")
    assert transcript.path_of(main, "a1") == other


@pytest.mark.parametrize("agent", ["../../x", "a/b", ".hidden", "", "a" * 5000, "\x00", None])
def test_an_id_that_leads_elsewhere(con, main, agent):
    """An id that is no name leads to no file."""
    write(main, [])
    assert transcript.meta(con, main, agent) is None
    if agent:
        assert transcript.path_of(main, agent) is None


@pytest.mark.parametrize(
    "meta, wanted",
    [
        ({"agentType": "Explore", "description": "d", "toolUseId": "toolu_1", "parentAgentId": "a2", "spawnDepth": 2},
         ("toolu_1", "Explore", "d", "a2", True, False)),
        ({"agentType": "Explore", "description": "d", "toolUseId": "toolu_1", "spawnDepth": 1},
         ("toolu_1", "Explore", "d", None, False, False)),
        ({"agentType": "x", "toolUseId": "toolu_1", "spawnDepth": 3}, ("toolu_1", "x", None, None, True, False)),
        ({"agentType": "Explore"}, (None, "Explore", None, None, False, False)),
        ({"toolUseId": "toolu_1", "stoppedByUser": True}, ("toolu_1", None, None, None, False, True)),
        ({"toolUseId": 7, "agentType": ["x"], "spawnDepth": "two", "stoppedByUser": "yes"},
         (None, None, None, None, False, False)),
    ],
)  # fmt: skip
def test_what_its_meta_file_says(con, main, meta, wanted):
    """The call it came from, its type and description, its parent, whether an agent made it, whether it was stopped."""
    write(main, [], meta)
    found = transcript.meta(con, main, AGENT)
    assert (found.call, found.agent_type, found.description, found.parent, found.nested, found.stopped) == wanted
    assert found.run is None and transcript.call_of(con, main, AGENT) == wanted[0]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"toolUseId": "toolu_1', "\x00\x01"])
def test_a_meta_file_that_is_half_written(con, main, text):
    """It counts as not there yet."""
    write(main, [], text)
    assert transcript.meta(con, main, AGENT) is None


def test_an_agent_of_a_workflow(con, main):
    """Its run is the folder it lies in."""
    write(main, [], {"agentType": "workflow-subagent"}, run="wf_8a36dfcf-ac8")
    assert transcript.meta(con, main, AGENT).run == "wf_8a36dfcf-ac8"


ASKED = [user("do it"), assistant("1", "so far", tools=[("c1", "Bash", {"command": "ls"})])]


@pytest.mark.parametrize(
    "lines, wanted",
    [
        ([*ASKED, result("c1"), assistant("2", "done")], ("end_turn", "done")),
        ([*ASKED, result("c1")], ("unfinished", "so far")),
        (ASKED, ("unfinished", "so far")),
        ([user("do it")], ("unfinished", None)),
        ([*ASKED, result("c1"), api_error("e", "API Error: 500")], ("api_error", "so far")),
        ([*ASKED, {**result("c1"), "toolEndsTurn": True}], ("end_turn", "so far")),
        ([*ASKED, result("c1"), assistant("2", "done"), {"type": "system"}, {"type": "attachment"}], ("end_turn", "done")),
        ([*ASKED, result("c1"), assistant("2", "done"), '{"type": "assistant", "message": {"cut'], ("end_turn", "done")),
    ],
)
def test_what_it_ends_with(con, main, lines, wanted):
    """An ended turn, an unfinished one with the last words so far, or an API failure; a torn last line is passed over."""
    found = transcript.tail(con, write(main, lines))
    assert (found.how, found.text) == wanted
    assert found.error == ("API Error: 500" if found.how == "api_error" else None)


def test_nothing_to_be_read(con, main):
    """A file that is not there, or says nothing, tells nothing."""
    assert transcript.tail(con, main) is None
    assert transcript.tail(con, write(main, [])) is None
    assert transcript.first_prompts(con, main) == ([], False)


def test_a_long_one(con, main):
    """Only its end is read, however long a transcript is."""
    lines = [user("x" * 1000)] * 2000 + [assistant("2", "done")]
    found = transcript.tail(con, write(main, lines))
    assert (found.how, found.text) == ("end_turn", "done")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(JSON.map(lambda value: json.dumps(value)) | st.text(max_size=60) | st.just(json.dumps(assistant("1", "w")))
                      | st.sampled_from(['{"type":"assistant","message":{"content":[{"type":"text","text":"\\ud800\\u0000x"}]}}',
                                         '{"type":"assistant","message":"text"}', '{"type":"assistant","message":{"content":7}}',
                                         '{"type":"user","message":null}']), max_size=8))  # fmt: skip
def test_whatever_is_written_in_it(con, main, lines):
    """No line makes the reader fail, and what it reads is text."""
    path = write(main, [line.replace("\n", " ").replace("\r", " ") for line in lines], {"toolUseId": "toolu_1"})
    found = transcript.tail(con, path)
    assert found is None or found.how in ("end_turn", "unfinished", "api_error")
    assert found is None or {type(found.text), type(found.error), type(found.at)} <= {str, type(None)}
    transcript.first_prompts(con, path)
    transcript.waiting(con, path, "2026-11-20T00:00:00.000Z")
    transcript.interrupted(con, path)


def test_the_first_prompts(con, main):
    """What an agent was begun with, more than one text where the client says more; and whether it has answered."""
    lines = [{"type": "system"}, user("asked was:\n  find it"), user("do it")]
    assert transcript.first_prompts(con, write(main, lines)) == (["asked was:\n  find it", "do it"], False)
    lines += [assistant("1", "done"), user("go on")]
    assert transcript.first_prompts(con, write(main, lines)) == (["asked was:\n  find it", "do it"], True)


def test_names_that_hold_a_secret(con, main):
    """The model that a transcript names and the type that a meta file names are masked before anybody gets them."""
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
    line = assistant("m1", "done")
    line["message"]["model"] = "model-" + secret
    path = write(main, [line], meta={"agentType": "type " + secret})
    assert transcript.tail(con, path).model == "model-[masked:github-token]"
    assert transcript.meta(con, main, AGENT).agent_type == "type [masked:github-token]"
