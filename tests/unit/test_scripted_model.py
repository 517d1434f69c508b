"""The scripted model: what it answers, in which form, and how it counts."""

import json
import urllib.error
import urllib.request

import pytest

from orchestrator.edges.scripted_model import Play, Reply, ScriptedModel, call, fail, report, say

TOOLS = [{"name": "Bash"}, {"name": "Agent"}]


def user(text):
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def body(*messages, stream=False, tools=TOOLS, **more):
    return {"model": "m", "tools": tools, "messages": list(messages), "stream": stream, **more}


def post(model, content, path="/v1/messages?beta=true", **headers):
    """The status and the text of an answer."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(model.url + path, json.dumps(content).encode(), named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def words(model, *messages, **headers):
    """The text blocks of an answer."""
    return [block.get("text") for block in json.loads(post(model, body(*messages), **headers)[1])["content"]]


def test_a_rule_goes_through_its_replies_and_stays_with_the_last():
    """The first rule whose text is in the first or newest prompt answers with its replies in turn."""
    play = Play(otherwise="nothing fits").when("alpha", "one", "two").when("beta", "three")
    with ScriptedModel(play) as model:
        asked = [words(model, user("do alpha"))[0] for _ in range(3)]
        assert asked == ["one", "two", "two"]
        assert words(model, user("do beta")) == ["three"]
        assert words(model, user("do gamma")) == ["nothing fits"]
        later = [user("do gamma"), {"role": "assistant", "content": "so"}, user("now beta")]
        assert words(model, *later) == ["three"]


def test_each_agent_has_its_own_place_in_the_script():
    """Main and every agent go through the same rule separately."""
    with ScriptedModel(Play().when("go", "one", "two")) as model:
        asked = [words(model, user("go"))]
        asked += [words(model, user("go"), x_claude_code_agent_id=agent) for agent in ("a1", "a2", "a1")]
        assert asked == [["one"], ["one"], ["one"], ["two"]]
        assert [request.agent_id for request in model.requests] == [None, "a1", "a2", "a1"]
        assert [request.main for request in model.requests] == [True, False, False, False]


def test_a_function_is_asked_about_everything_and_a_text_about_conversations():
    """The client's own questions, which come without tools, meet functions only, else a plain answer."""
    play = Play().when("title", "never")
    play.when(lambda request: "mine" in request.text, lambda request: request.first_text)
    with ScriptedModel(play) as model:
        for question, answer in (("a title, please", "ok"), ("mine", "mine")):
            assert json.loads(post(model, body(user(question), tools=[]))[1])["content"][0]["text"] == answer
        assert all(request.auxiliary and not request.main for request in model.requests)


def test_the_stream_says_what_the_object_says():
    """A streamed answer holds the same blocks, usage and stop reason as the plain one."""
    play = Play(otherwise=["words", call("Bash", command="ls\n'x'", deep={"a": [1]})])
    with ScriptedModel(play) as model:
        plain = json.loads(post(model, body(user("go")))[1])
        lines = post(model, body(user("go"), stream=True))[1].split("\n")
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [event["type"] for event in events][:1] == ["message_start"]
    assert [event["type"] for event in events][-2:] == ["message_delta", "message_stop"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert deltas[0]["text"] == plain["content"][0]["text"] == "words"
    given = {"command": "ls\n'x'", "deep": {"a": [1]}}
    assert json.loads(deltas[1]["partial_json"]) == plain["content"][1]["input"] == given
    assert events[-2]["delta"]["stop_reason"] == plain["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == plain["usage"]["output_tokens"]


def test_what_was_sent_before_comes_from_the_cache():
    """Cached is what the conversation sent before, cache marks aside; input is its newest message."""
    with ScriptedModel() as model:
        first = user("a" * 400)
        post(model, body(first))
        first["content"][0]["cache_control"] = {"type": "ephemeral"}
        post(model, body(first, {"role": "assistant", "content": "b" * 400}, user("c" * 400)))
        post(model, body(user("d" * 400)), x_claude_code_agent_id="a1")
    one, two, other = [request.usage for request in model.requests]
    assert one["cache_read_input_tokens"] == other["cache_read_input_tokens"] == 0
    assert two["cache_read_input_tokens"] == one["cache_creation_input_tokens"] + one["input_tokens"] - 1
    assert 100 < two["input_tokens"] < 130 > two["cache_creation_input_tokens"] > 100
    assert one["output_tokens"] > 0


def test_ids_of_two_servers_differ():
    """A resumed conversation may hold messages of two servers: their ids are never the same."""
    ids = []
    for _ in range(2):
        with ScriptedModel(Play(otherwise=call("Bash", command="ls"))) as model:
            answer = json.loads(post(model, body(user("go")))[1])
            ids += [answer["id"], answer["content"][0]["id"]]
    assert len(set(ids)) == 4


def test_an_error_is_an_error_and_uses_nothing():
    """`fail` answers with its status, kind and message, and no tokens are counted for it."""
    with ScriptedModel(Play(otherwise=fail(529, "overloaded_error", "later"))) as model:
        status, text = post(model, body(user("go"), stream=True))
    assert status == 529
    assert json.loads(text)["error"] == {"type": "overloaded_error", "message": "later"}
    assert not any(model.requests[0].usage.values())


def test_a_play_that_breaks_is_kept_as_a_fault():
    """An exception in a script ends the request with an error and waits in `faults`."""
    with ScriptedModel(lambda request: 1 / 0) as model:
        assert post(model, body(user("go")))[0] == 500
    assert isinstance(model.faults[0], ZeroDivisionError)


def test_reports_and_parts_are_put_together():
    """`report` uses the hand-back tool where there is one; texts, calls and Replies may be mixed."""
    play = Play().when("end", report("R")).when("mix", [say("a"), "b", call("Bash")])
    with ScriptedModel(play) as model:
        assert words(model, user("end")) == ["R"]
        asked = body(user("end"), tools=[{"name": "SubagentHandback"}])
        handed = json.loads(post(model, asked)[1])["content"][0]
        assert (handed["name"], handed["input"]) == ("SubagentHandback", {"message": "R"})
        assert words(model, user("mix")) == ["a", "b", None]
    assert Reply("x").after(2).delay == 2


def test_a_request_is_read_the_way_a_test_asks():
    """Reminders are left out of prompts, results and notifications are taken apart, and turns are counted."""
    parts = "<task-id>a1</task-id>\n<status>completed</status>\n<result>R\nS</result>"
    note = "<task-notification>\n%s\n</task-notification>" % parts
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "no"}
    reminder = {"type": "text", "text": "<system-reminder>\nhidden</system-reminder>"}
    wrapped = {"type": "text", "text": "<system-reminder>%s</system-reminder>" % note}
    messages = [
        {"role": "user", "content": [reminder, {"type": "text", "text": "first"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}]},
        {"role": "user", "content": [result, wrapped]},
        {"role": "system", "content": "more"},
    ]
    with ScriptedModel() as model:
        post(model, body(*messages, system=[{"type": "text", "text": "You are."}]))
    (request,) = model.requests
    assert (request.first_text, request.turn, request.system) == ("first", 1, "You are.")
    assert request.last_results == [("t1", "no", True)]
    assert request.notifications == [{"task-id": "a1", "status": "completed", "result": "R\nS"}]
    assert 'Bash {"command": "ls"}' in request.text and "hidden" in request.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/messages", 200), ("/v1/messages/count_tokens?beta=true", 200), ("/v1/elsewhere", 404)],
)
def test_other_paths(path, status):
    """Tokens can be counted; what is not there is said to be missing."""
    with ScriptedModel() as model:
        assert post(model, body(user("go")), path)[0] == status
