"""Odd lines: transcripts with values of other kinds than clients write; what happened is recorded all the same."""

import copy
import json
import os
import random
import sqlite3

import pytest

import streams
from orchestrator.recording import touches, usage
from streams import History, World, assistant, result

ODD = [None, "", 0, -1, 7.5, True, [], {}, ["x"], [5], {"a": 1}, "x" * 3000, "\x00", "²", "9" * 5000, 10**30, 2**63 - 1,
       "tool_use", "../../etc/passwd", "9999-12-31T23:59:59.999Z"]  # fmt: skip
USED = {"inputTokens": 5000, "outputTokens": 9, "cacheReadInputTokens": 1, "cacheCreationInputTokens": 2, "costUSD": 0.1}
COSTS = {"type": "cost-state", "modelUsage": {"claude-opus-5-5": USED}}


def other(dice, value):
    """A value with one or two of its parts of another kind, or not there."""
    value = copy.deepcopy(value)
    for _ in range(dice.randint(1, 2)):
        part = value
        while part:
            at = dice.choice(list(part) if isinstance(part, dict) else range(len(part)))
            if isinstance(part[at], (dict, list)) and part[at] and dice.random() < 0.75:
                part = part[at]
                continue
            if isinstance(part, dict) and dice.random() < 0.2:
                del part[at]
            else:
                part[at] = copy.deepcopy(dice.choice(ODD))
            break
    return value


def edited(call):
    """An Edit and its answer, with the patch that it came to."""
    asked = assistant(call, tools=[(call, "Edit", {"file_path": "/x", "old_string": "a", "new_string": "b"})])
    return [asked, {**result(call), "toolUseResult": {"structuredPatch": [{"lines": ["+b"]}]}}]


@pytest.fixture
def world():
    """A session's world, removed afterwards."""
    made = World()
    yield made
    made.close()


def put(path, lines):
    """A transcript's lines, and no others."""
    with open(path, "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)


def taken(world, session="other"):
    """The history of a world's events, of a last Stop, and of another session that begins."""
    history = History(world)
    for event in world.events:
        history.take(event)
    history.settle()
    history.take({**world.events[0], "session_id": session})
    return history


@pytest.mark.parametrize("seed", range(60))
def test_values_of_any_kind(seed):
    """Whatever kinds of values stand in transcripts and meta files, every event is taken in, and no row is unsound."""
    dice = random.Random(seed)
    world = World(version=dice.choice(["329", "197"]))
    for number, end in enumerate(dice.sample(streams.ENDS, 2), 1):
        world.agent(10 * number, end, background=dice.random() < 0.5 or end == "stopped")
    world.workflow(50)
    world.stop()
    world.event("SessionEnd", reason="other")
    for path in (world.main, *[world.path(agent) for agent in world.pairs]):
        lines = [json.loads(line) for line in open(path)] if os.path.exists(path) else []
        lines += [COSTS, *edited("m")] if path == world.main else edited(os.path.basename(path))
        put(path, [other(dice, line) if dice.random() < 0.4 else line for line in lines])
        meta = path[:-6] + ".meta.json"
        if os.path.exists(meta) and dice.random() < 0.3:
            value = json.loads(open(meta).read())
            put(meta, [other(dice, value)])
    history = taken(world)
    usage.due(history.con, world.project, streams.at(3000))
    assert history.unsound() == []
    world.close()


@pytest.mark.parametrize("lines", [
    [{"type": "cost-state", "modelUsage": 5}], [{"type": "cost-state", "modelUsage": ["x"]}],
    [{**COSTS, "modelUsage": {"claude-opus-5-5": {"inputTokens": 2**63 - 1, "outputTokens": "many", "costUSD": []}}}],
    [{**result("x1"), "toolUseResult": {"structuredPatch": ["x"]}}], [{**result("x1"), "toolUseResult": "Error"}],
    [{**assistant(f"big{n}"), "message": {**assistant(f"big{n}")["message"], "usage": {
        "input_tokens": 2**63 - 1, "cache_read_input_tokens": 2**63 - 1, "output_tokens": 10**30}}} for n in (1, 2)],
    [{**assistant("m"), "message": {**assistant("m")["message"], "content": "hello"}}],
    [{**assistant("m"), "message": {**assistant("m")["message"], "content": ["hello", 5, None]}}],
])  # fmt: skip
@pytest.mark.parametrize("end", ["max_turns", "api_error", "stopped"])
def test_an_odd_line_keeps_no_end_from_being_recorded(world, lines, end):
    """An agent ends as it did, whatever line stands in its transcript or its conversation's, and is counted without that."""
    agent = world.agent(10, end)
    written = [json.loads(line) for line in open(world.path(agent))]
    put(world.path(agent), [written[0], *lines, *written[1:]])
    put(world.main, lines)
    world.stop()
    world.event("SessionEnd", reason="other")
    history = taken(world)
    status, reason, _ = world.expected[agent]
    assert history.ends()[agent][:2] == (status, reason)
    sums = history.con.execute("SELECT max(input_tokens), max(output_tokens) FROM usage").fetchone()
    assert sums == (None, None) or max(sums) < usage.MOST_TOKENS


def test_what_nobody_foresaw_in_one_transcript_is_left_out(world, monkeypatch):
    """A transcript that cannot be counted keeps no other from being, nor the event that it is read at; a full disk does."""
    agents = [world.agent(number) for number in (10, 20)]
    world.stop()
    real, spoilt = touches.keep, []

    def keep(con, execution, project):
        spoilt.append(execution) if not spoilt else None
        if execution == spoilt[0]:
            raise ZeroDivisionError
        real(con, execution, project)

    monkeypatch.setattr(touches, "keep", keep)
    history = taken(world)
    found = dict(history.con.execute("SELECT execution_id, sum(messages) FROM executions LEFT JOIN usage ON owner = execution_id "
                                     "GROUP BY 1").fetchall())  # fmt: skip
    assert len(found) == len(agents) == 2 and found[spoilt[0]] is None and all(n for e, n in found.items() if e != spoilt[0])
    assert not history.con.in_transaction

    def full(*of):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(touches, "keep", full)
    history.con.execute("UPDATE executions SET usage_read_at = NULL")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        usage.due(history.con, world.project, streams.at(3000))


@pytest.mark.parametrize("tokens", ["²", "9" * 25, "9" * 5000, "-5", "5.5", "", 10**30, -1])
@pytest.mark.parametrize("background", [True, False])
def test_a_number_of_tokens_that_is_none(world, tokens, background):
    """An end whose tokens are no number, or more than any, is an end without them."""
    agent = world.agent(10, background=background)
    world.stop()
    for event in world.events:
        if "prompt" in event:
            before, mark, after = event["prompt"].partition("<subagent_tokens>")
            event["prompt"] = before + mark + str(tokens) + after[after.find("<") :] if mark else before
        if event.get("tool_response", {}).get("totalTokens"):
            event["tool_response"]["totalTokens"] = tokens
    history = taken(world)
    assert history.ends()[agent][:2] == ("completed", "end_turn")
    (size,) = history.con.execute("SELECT context_size FROM executions").fetchone()
    assert size == 20 + 30 + 40 + 5  # as its transcript says


def test_a_transcript_that_is_no_file(world, tmp_path):
    """A pipe, a device or a folder in a transcript's place is not read: it would never end."""
    agent = world.agent(10)
    world.stop()
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    os.unlink(world.path(agent))
    os.mkfifo(world.path(agent))
    for path in (pipe, "/dev/zero", str(tmp_path)):
        for event in world.events:
            event["transcript_path"] = path
        assert taken(world).ends()[agent][:2] == ("completed", "end_turn")
