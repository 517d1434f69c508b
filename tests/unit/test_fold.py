"""The fold and the joining of signals: streams of both clients, taken in through the hooks' door in every disorder."""

import json
import os
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrator.model import fold
from orchestrator.services.gate import supersede
from orchestrator.store import open as store
from streams import ENDS, SAID, History, World, assistant

EXAMPLES = int(os.environ.get("ORCHESTRATOR_TEST_EXAMPLES", "20"))
SLOW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.shrink or EXAMPLES < 40],
)
pytestmark = pytest.mark.timeout(60 + 12 * EXAMPLES)

PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("agent"), st.sampled_from(ENDS), st.booleans()),
        st.tuples(
            st.just("nested"), st.sampled_from(("normal", "api_error", "max_turns", "refused")), st.booleans()
        ),
        st.tuples(st.just("message"), st.booleans(), st.just(None)),
        st.tuples(st.just("typed"), st.just(None), st.just(None)),
        st.tuples(st.just("skill"), st.just(None), st.just(None)),
        st.tuples(st.just("teammate"), st.booleans(), st.just(None)),
        st.tuples(st.just("workflow"), st.booleans(), st.just(None)),
        st.tuples(st.just("compaction"), st.just(None), st.just(None)),
    ),
    min_size=1,
    max_size=5,
)
VERSIONS = st.sampled_from(("329", "197"))


def played(version, pieces, disk=True):
    """A world in which these pieces happen one after another."""
    world = World(version=version, disk=disk)
    for number, (kind, how, flag) in enumerate(pieces, 1):
        number *= 10
        if kind == "agent":
            if how in ("handback", "plain"):
                how = how if version == "329" else "normal"
                flag = True
            if how == "stopped":
                flag = True
            world.agent(number, how, background=flag)
        elif kind == "nested":
            outer = world.agent(number, "normal", background=True)
            world.agent(number + 1, how, background=flag, parent=outer)
        elif kind == "message":
            agent = world.agent(number, "normal")
            world.message(agent, number + 1, "more of %d" % number, same_turn=how)
        elif kind == "typed":
            agent = world.agent(number, "normal")
            world.typed(agent, number + 1, "more of %d" % number)
        elif kind == "skill":
            world.skill(number)
        elif kind == "teammate":
            world.teammate(number, int(how))
        elif kind == "workflow":
            world.workflow(number, ("normal", "api_error") if how else ("normal",))
        else:
            world.compaction(number)
    return world


def taken(world, events):
    """A history that took in these events in this order, and a last Stop after everything."""
    history = History(world)
    for event in events:
        history.take(event)
    history.count = max(history.count, len(world.events))
    history.settle()
    assert history.unsound() == []
    return history


def told(world, history):
    """What the history says of each agent, as the world expects it."""
    rows = history.rows()
    return {
        key: (rows[key][0][10], rows[key][0][11], expected[2] and rows[key][0][15])
        for key, expected in world.expected.items()
        if key in rows
    }


def differences(found, wanted):
    """What differs between two histories' rows, to be read in a failure."""
    return [
        (key, a, b)
        for key in sorted(set(found) | set(wanted))
        for a, b in zip(found.get(key, ("no row",) * 5), wanted.get(key, ("no row",) * 5), strict=True)
        if a != b
    ]


@pytest.mark.parametrize("version", ["329", "197"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("background", [True, False])
def test_each_end_as_the_clients_tell_it(version, end, background):
    """Each way an agent ends is told as it is, from either client, in the background and in the foreground."""
    world = played(version, [("agent", end, background)])
    try:
        history = taken(world, world.events)
        assert told(world, history) == world.expected
        assert len(history.rows()) == 1
    finally:
        world.close()


@SLOW
@given(VERSIONS, PIECES)
def test_true_order(version, pieces):
    """A stream in its true order gives one row for each agent, with the right end."""
    world = played(version, pieces)
    try:
        history = taken(world, world.events)
        assert told(world, history) == world.expected
        assert set(history.rows()) == set(world.expected)
    finally:
        world.close()


@SLOW
@given(VERSIONS, PIECES, st.randoms(use_true_random=False))
def test_any_order(version, pieces, chance):
    """The same signals in any order, some of them twice, give the same rows."""
    world = played(version, pieces)
    try:
        wanted = taken(world, world.events).rows()
        events = world.events + chance.sample(world.events, len(world.events) // 3)
        chance.shuffle(events)
        assert differences(taken(world, events).rows(), wanted) == []
    finally:
        world.close()


def wrong(world, history):
    """Rows that say with certainty what is not so, or count one agent twice."""
    found, pairs = [], dict(world.pairs)
    calls = {call: agent for agent, call in pairs.items() if call}
    rows = history.con.execute(
        "SELECT agent_id, tool_use_id, runtime, status, end_reason, inferred FROM executions"
    ).fetchall()
    for agent, call, runtime, status, reason, inferred in rows:
        if agent and agent not in pairs:
            found.append("an agent that never was: " + agent)
            continue
        if runtime == "agent" and agent and call and pairs[agent] != call:
            found.append("%s is not of %s" % (agent, call))
        if world.disk and agent is None and any(row[0] and row[0] == calls.get(call) for row in rows):
            found.append("two executions of " + call)
        wanted = world.expected.get(agent) or world.expected.get(call) or world.expected.get(calls.get(call))
        if status != "deployed" and not inferred and (status, reason) != wanted[:2]:
            found.append("%s: %s %s instead of %s" % (agent or call, status, reason, wanted))
    return found


@SLOW
@given(VERSIONS, PIECES, st.booleans(), st.randoms(use_true_random=False))
def test_any_part(version, pieces, disk, chance):
    """A part of the signals, in any order, with or without the client's files, gives less certain rows, never wrong ones;
    of agents whose files are there none is missing, whatever went unheard."""
    world = played(version, pieces, disk)
    try:
        events = chance.sample(world.events, chance.randint(1, len(world.events)))
        history = taken(world, events)
        assert wrong(world, history) == []
        if disk:
            assert set(world.pairs) - set(history.rows()) == set(), "agents whose files are there"
    finally:
        world.close()


@SLOW
@given(VERSIONS, PIECES, st.randoms(use_true_random=False))
def test_some_of_them_late(version, pieces, chance):
    """Signals that waited in the inbox and are replayed later, at their own times, give the same rows."""
    world = played(version, pieces)
    try:
        wanted = taken(world, world.events).rows()
        history, waiting = History(world), []
        for count, event in enumerate(world.events):
            if chance.random() < 0.4:
                waiting.append((count, event))
                continue
            if chance.random() < 0.3:
                for earlier, kept in waiting:
                    history.take(kept, earlier, late=True)
                waiting = []
            history.take(event, count)
        for earlier, kept in waiting:
            history.take(kept, earlier, late=True)
        history.count = len(world.events) + 10
        history.settle()
        assert history.unsound() == []
        assert differences(history.rows(), wanted) == []
    finally:
        world.close()


@SLOW
@given(VERSIONS, PIECES, st.randoms(use_true_random=False))
def test_from_two_at_once(version, pieces, chance):
    """The same signals, taken in by two writers at once and each of them by both, give the same rows."""
    world = played(version, pieces)
    try:
        wanted = taken(world, world.events).rows()
        history = History(world)
        faults = []

        def writer(events):
            con = store.open_history(history.path)
            try:
                for event in events:
                    history.take(event, con=con)
            except Exception as fault:
                faults.append(fault)
            con.close()

        writers = []
        for _ in range(2):
            events = list(world.events)
            chance.shuffle(events)
            writers.append(threading.Thread(target=writer, args=(events,)))
        for each in writers:
            each.start()
        for each in writers:
            each.join()
        assert faults == []
        history.settle()
        assert history.unsound() == []
        assert differences(history.rows(), wanted) == []
    finally:
        world.close()


@SLOW
@given(VERSIONS, PIECES, st.lists(st.integers(0, 4000), min_size=60, max_size=60))
def test_a_clock_that_jumps(version, pieces, times):
    """Whatever the clock says, forward or back, every end is told rightly and nothing is lost that is not."""
    world = played(version, pieces)
    try:
        history = History(world)
        for count, event in enumerate(world.events):
            history.take(event, times[count % len(times)])
        lost = history.con.execute("SELECT count(*) FROM lost_executions").fetchone()
        assert lost == (0,)
        history.count = 5000
        history.settle()
        assert history.unsound() == []
        assert told(world, history) == world.expected
    finally:
        world.close()


def test_a_message_begins_another_segment():
    """The execution keeps its first end and takes its words from the latest; each segment has its own."""
    world = World()
    try:
        agent = world.agent(10)
        world.message(agent, 11, "more")
        world.message(agent, 12, "most", same_turn=True)
        history = taken(world, world.events)
        assert [row[3] for row in history.rows()[agent][1]] == [SAID % "toolu_010", "more", "most"]
        assert history.rows()[agent][0][15] == "most"
    finally:
        world.close()


@pytest.mark.parametrize("version", ["329", "197"])
@pytest.mark.parametrize("end", ["normal", "stopped", "max_turns", "api_error"])
@pytest.mark.parametrize("again", ["a message", "a message in the same turn", "typed by a person"])
@pytest.mark.parametrize("swept", [False, True])
def test_what_had_ended_in_any_way_and_works_again(version, end, again, swept):
    """Each segment has its own end and words, heard as they come: the first stays what it was while the second is under way
    and when it has ended, and what the first had left is kept."""
    world = World(version=version)
    try:
        history = History(world)
        world.heard = lambda _, event: history.take(event)
        agent = world.agent(10, end)
        if swept:
            history.take({**world.events[0], "hook_event_name": "Stop", "background_tasks": []})
        (first,) = history.rows()[agent][1]
        told = history.con.execute("SELECT output_type, content, path FROM outputs").fetchall()
        under_way = []
        world.heard = lambda _, event: (history.take(event), under_way.append(history.rows()[agent]))
        if again == "typed by a person":
            world.typed(agent, 11, "more")
        else:
            world.message(agent, 11, "more", same_turn=again.endswith("turn"))
        for row in under_way[-4:]:
            assert row[1][0] == first and row[0][10:12] == first[1:3], row
        rows = history.rows()[agent]
        assert rows[1] == [first, (2, "completed", "end_turn", "more")] and rows[0][15] == "more"
        history.count += 10
        history.settle()
        assert history.rows()[agent] == rows
        assert history.con.execute("SELECT output_type, content, path FROM outputs").fetchall() == told
        assert history.unsound() == []
    finally:
        world.close()


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "the last one first"])
def test_an_agent_that_was_sent_back_left_what_it_names_last(turned):
    """What an agent named before it was sent back, and no longer names at its end, is no output of it: a check that failed
    then and passes now has passed; so in either order of its ends."""
    world = World()
    try:
        first = "Validation: tests: failed\nDeliverables:\n- src/first.py"
        last = "Validation: tests: passed\nDeliverables:\n- src/adder.py"
        world.agent(10)
        (end,) = [event for event in world.events if event["hook_event_name"] == "SubagentStop"]
        ends = [{**end, "last_assistant_message": first}, {**end, "last_assistant_message": last, "stop_hook_active": True}]
        place = world.events.index(end)
        world.events[place : place + 1] = ends[::-1] if turned else ends
        history = History(world)
        for event in world.events[: place + 2]:
            history.take(event)
        assert history.con.execute("SELECT output_type, content FROM outputs ORDER BY 1").fetchall() == [
            ("deliverable", '{"file_path":"src/adder.py"}'), ("validation_result", '{"tests":"passed"}')]  # fmt: skip
    finally:
        world.close()


@pytest.mark.parametrize(("version", "background"), [("329", True), ("197", True), ("197", False)])
@pytest.mark.parametrize("written", [None, 1], ids=["nothing", "its prompt"])
@pytest.mark.parametrize("late", [False, True], ids=["soon", "late"])
def test_words_that_are_written_after_the_failure_was_heard(version, background, written, late):
    """What an agent said before its model could not be reached is its partial result, also where its transcript held no more
    than `written` when its own hook was heard, or, `late`, when the conversation was told of the end a moment later."""
    world = World(version=version)
    try:
        agent = world.agent(10, "api_error", background)
        path = Path(world.path(agent))
        first, last = path.read_text().splitlines()
        whole = [first, json.dumps(assistant("m1", "so far")), last]
        history = History(world)
        path.unlink() if written is None else path.write_text(first + "\n")
        for event in world.events:
            history.take(event)
            if event["hook_event_name"] == "StopFailure" and not late:
                path.write_text("\n".join(whole) + "\n")
        path.write_text("\n".join(whole) + "\n")
        history.settle()
        assert history.ends()[agent][:2] == ("failed", "api_error")
        assert history.con.execute("SELECT final_message FROM executions").fetchall() == [("so far",)]
    finally:
        world.close()


def test_a_lost_one_is_corrected_by_a_later_signal():
    """An execution that was closed as lost takes the end that is heard of it later."""
    world = World()
    try:
        agent = world.agent(10)
        history = History(world)
        for event in world.events[:5]:
            history.take(event)
        (execution,) = history.con.execute("SELECT execution_id FROM executions").fetchone()
        supersede(history.con, execution, history.at(20))
        assert history.ends()[agent] == ("failed", "lost", 1)
        for event in world.events[5:]:
            history.take(event)
        assert history.ends()[agent] == ("completed", "end_turn", 0)
    finally:
        world.close()


@pytest.mark.parametrize("lacks", ["agent_id", "session_id"])
def test_an_event_that_is_nobodys_is_masked_before_it_is_cut(lacks):
    """Of a secret at the place where a long odd event is cut nothing is kept."""
    world = World()
    try:
        world.agent(10)
        history = History(world)
        start = next(event for event in world.events if event["hook_event_name"] == "SubagentStart")
        del start[lacks]
        secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
        history.take({**start, "zz": "x" * (19975 - len(json.dumps(start))) + " " + secret + " and more" * 100})
        (text,) = history.con.execute("SELECT text FROM events WHERE kind = 'malformed'").fetchone()
        assert len(text) == 20000 and secret[:8] not in text
    finally:
        world.close()


def test_two_signals_that_contradict_each_other():
    """Where one signal joins a call to another agent than the rest do, the rows of both stay what they were."""
    world = World()
    try:
        first, second = world.agent(10), world.agent(20)
        wanted = taken(world, world.events).rows()
        history = History(world)
        for event in world.events:
            history.take(event)
        for event in world.events:
            given_agent = event.get("tool_response", {}).get("agentId")
            if given_agent == first:
                history.take({**event, "tool_response": {**event["tool_response"], "agentId": second}})
            if event.get("agent_id") == first and "agent_transcript_path" in event:
                history.take({**event, "agent_id": second, "last_assistant_message": "not its words"})
        history.settle()
        assert differences(history.rows(), wanted) == []
        assert history.con.execute("SELECT count(*) FROM events WHERE kind = 'malformed'").fetchone() == (1,)
    finally:
        world.close()


STRANGER = "adeadbeefdeadbeef"
OWN = ("SubagentStart", "SubagentStop", "StopFailure")


def spoilt(event, chance, agents):
    """An agent's signal with something wrong about it: another's id, nobody's, no type. None where it has no such thing."""
    event = json.loads(json.dumps(event))
    other = chance.choice([STRANGER, *agents])
    if event["hook_event_name"] in OWN and event.get("agent_type"):
        if chance.random() < 0.4:
            event["agent_type"] = ""
        else:
            event["agent_id"] = other
    elif event.get("tool_response", {}).get("agentId"):
        event["tool_response"]["agentId"] = other
    else:
        return None
    return event


def subject(event):
    """The agent that a signal names."""
    return event["agent_id"] if event["hook_event_name"] in OWN else event["tool_response"]["agentId"]


@pytest.mark.parametrize("version", ["329", "197"])
@pytest.mark.parametrize("behind", [False, True])
def test_one_wrong_signal_beside_the_true_one(version, behind):
    """A call's return, a failure, a start that name another agent or nobody: before the true one or behind it, every agent
    ends as it did."""
    world = played(version, [("nested", "max_turns", False), ("nested", "api_error", False)])
    try:
        for place, event in enumerate(world.events):
            name, back = event["hook_event_name"], event.get("tool_response", {})
            if name not in ("SubagentStart", "StopFailure") and back.get("status") != "completed":
                continue
            for other in {STRANGER, *world.pairs} - {subject(event)}:
                wrong_one = {**event, "tool_response": {**back, "agentId": other}} if back else {**event, "agent_id": other}
                events = [*world.events[: place + behind], wrong_one, *world.events[place + behind :]]
                assert told(world, taken(world, events)) == world.expected, (name, subject(event), other)
    finally:
        world.close()


@pytest.mark.parametrize("version", ["329", "197"])
def test_a_failure_that_is_not_written_yet(version):
    """A failure that the client told before it wrote it is none the less one at a Stop a moment later: only what the transcript
    shows some seconds later counts against it."""
    world = played(version, [("agent", "api_error", True)])
    try:
        (agent,) = world.pairs
        path = next(Path(world.folder).rglob("agent-%s.jsonl" % agent))
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "isApiErrorMessage" not in line))
        assert path.read_text() != "".join(lines)
        history = History(world)
        failed = [event["hook_event_name"] for event in world.events].index("StopFailure")
        for event in world.events[: failed + 1]:
            history.take(event)
        stop = {**next(e for e in world.events if e["hook_event_name"] == "StopFailure"), "hook_event_name": "Stop"}
        del stop["agent_id"]
        history.take({**stop, "stop_hook_active": False, "background_tasks": [{"id": agent, "type": "local_agent"}]})
        assert history.ends()[agent] == ("failed", "api_error", 1)
        path.write_text("".join(lines))
        history.count += 10
        history.settle()
        assert history.ends()[agent] == ("failed", "api_error", 0)
    finally:
        world.close()


def test_a_failure_that_two_signals_tell_in_the_same_words():
    """Where the notification carries the failure's own words, a transcript that is not written yet takes nothing from it."""
    moment = "2026-11-29T10:00:{:02}.000Z".format
    events = []
    for number, (kind, more) in enumerate((
            ("started", {}), ("api_error", {"reason": "x", "text": "API Error: 400"}), ("tail", {"status": "unfinished"}),
            ("notified", {"status": "completed", "text": "API Error: 400"}), ("tail", {"status": "unfinished"}))):  # fmt: skip
        row = {"kind": kind, "at": moment(number), "event_id": number, **more}
        events.append(tuple(row.get(name) for name in fold.COLUMNS.split(", ")))
    row = fold.fold(events)
    assert (row.status, row.end_reason, row.inferred, row.final_message) == ("failed", "api_error", 0, None)


@pytest.mark.parametrize("tail", [None, {"status": "unfinished"}, {"status": "api_error", "reason": "API Error: 500 broken"}])
def test_what_the_api_said_is_the_error_whichever_signal_tells_it(tail):
    """The notification tells it behind words of its own, the transcript and the agent's hook without them: it reads the same."""
    told = {"status": "failed", "reason": 'Agent "a failed: b" failed: Agent terminated early due to an API error: API Error: '
            "500 broken"}  # fmt: skip
    heard = [("started", {}), ("notified", told), *([("tail", tail)] if tail else ())]
    for kinds in (heard, [*heard, ("api_error", {"reason": "server_error", "text": "API Error: 500 broken"})]):
        events = []
        for number, (kind, more) in enumerate(kinds):
            row = {"kind": kind, "at": "2026-11-29T10:00:0%d.000Z" % number, "event_id": number, **more}
            events.append(tuple(row.get(name) for name in fold.COLUMNS.split(", ")))
        row = fold.fold(events)
        assert (row.status, row.end_reason, row.error_message) == ("failed", "api_error", "API Error: 500 broken")


@pytest.mark.parametrize(("status", "at"), [("end_turn", 2), ("unfinished", 3)], ids=["its end before", "the message to it"])
def test_a_failure_of_a_second_stretch_that_is_not_written_yet(status, at):
    """What the transcript showed before a message put the agent to work again says nothing of the failure that followed."""
    told = [("started", 1, {"prompt": "p1"}), ("stopped", 2, {"text": "one", "prompt": "p1"}),
            ("notified", 3, {"status": "completed", "text": "one", "call": "c1"}),
            ("resumed", 4, {"call": "c2", "prompt": "p2"}), ("started", 5, {"prompt": "p2"}),
            ("api_error", 6, {"reason": "server_error", "text": "API Error", "prompt": "p2"}),
            ("tail", 6, {"status": status, "text": "one", "body": at}),
            ("notified", 7, {"status": "completed", "text": "API Error", "call": "c2"}),
            ("tail", 7, {"status": status, "text": "one", "body": at})]  # fmt: skip
    moment = "2026-11-29T10:00:{:02}.000Z".format
    events = []
    for number, (kind, second, more) in enumerate(told):
        row = {"kind": kind, "at": moment(second), "event_id": number, **more}
        row["tool_use_id"], row["prompt_id"] = row.get("call"), row.get("prompt")
        row["body"] = moment(row["body"]) if "body" in row else None
        events.append(tuple(row.get(name) for name in fold.COLUMNS.split(", ")))
    row = fold.fold(events)
    assert [end[:3] for _, end in row.segments] == [("completed", "end_turn", 0), ("failed", "api_error", 0)]
    assert (row.status, row.end_reason) == ("completed", "end_turn")


@pytest.mark.parametrize("version", ("197", "329"))
def test_partial_results_that_are_not_written_yet(version):
    """What an agent that ran out of turns had said is its partial result also where the client wrote it after it told the end."""
    world = played(version, [("agent", "max_turns", True)])
    try:
        (agent,) = world.pairs
        path = next(Path(world.folder).rglob("agent-%s.jsonl" % agent))
        lines = path.read_text().splitlines(keepends=True)
        path.write_text(lines[0])
        history = taken(world, [e for e in world.events if "task-notification" not in e.get("prompt", "")])  # lost, or without it
        said = "SELECT status, final_message FROM executions WHERE agent_id = ?"
        assert history.con.execute(said, (agent,)).fetchone() == ("failed", None)
        path.write_text("".join(lines))
        history.settle()
        assert history.con.execute(said, (agent,)).fetchone() == ("failed", "so far: toolu_010")
    finally:
        world.close()


@SLOW
@given(VERSIONS, PIECES, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_spoilt_signals(version, pieces, beside, shuffled, chance):
    """A signal that names another agent, nobody or no type moves no row that the true ones tell (but a call that never began
    may stay open: the agent that nobody knows may be its own); several that agree with each other about one agent, or that come
    in the place of true ones, make its row less certain, never wrong."""
    world = played(version, pieces)
    try:
        agents = [agent for agent in world.pairs if agent]
        events, about = list(world.events), Counter()
        for place in sorted(chance.sample(range(len(events)), len(events) // 3), reverse=True):
            bad = agents and spoilt(events[place], chance, agents)
            if bad:
                about.update({subject(bad), subject(events[place])})
                events[place : place + (not beside)] = [bad]
        if shuffled:
            chance.shuffle(events)
        history = taken(world, events)
        found = [each for each in wrong(world, history) if STRANGER not in each]
        assert found == []
        if beside:
            rows = {key: row for key, row in told(world, history).items() if key != STRANGER}
            assert set(rows) == set(world.expected)
            for key, end in world.expected.items():
                if about[key] < 2 and not (STRANGER in about and rows[key][0] == "deployed" and end[1] == "never_started"):
                    assert rows[key] == end, key
    finally:
        world.close()
