"""Usage: what real transcripts of both clients come to, read whole, in pieces, twice, copied and damaged."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.recording import prices, rollup, tally, touches, usage
from orchestrator.store.open import open_history, writing

DATA = Path(__file__).parent.parent / "data" / "transcripts"
VERSIONS = ("2.1.329", "2.1.197")
SAID = json.loads((DATA / "said.json").read_text())
PROJECT = "/a/project"
NOW = "2026-11-22T00:00:00.000Z"
SUMS = (
    "SELECT COALESCE(sum(input_tokens), 0), COALESCE(sum(cache_write_5m_tokens + cache_write_1h_tokens), 0), "
    "COALESCE(sum(cache_read_tokens), 0), COALESCE(sum(output_tokens), 0) FROM usage WHERE "
)


@pytest.fixture
def con(tmp_path):
    """A fresh history with one Claude session and its two agents."""
    con = open_history(str(tmp_path / "history.db"))
    fill(con)
    yield con
    con.close()


def fill(con):
    """The rows of a session, its fork and two ended agents."""
    for session in ("main", "fork"):
        con.execute(
            "INSERT INTO claude_sessions (claude_session_id, started_at) VALUES (?, ?)", (session, NOW)
        )
    for execution in ("worker", "failing"):
        con.execute(
            "INSERT INTO executions (execution_id, origin, agent_type, agent_id, claude_session_id, "
            "deployed_at, completed_at, status) VALUES (?1, 'unplanned', 'worker', ?1, 'main', ?2, ?2, "
            "'completed')",
            (execution, NOW),
        )


def read(con, version, *names, project=PROJECT):
    """Reads the named transcripts in this order, as hooks and commands do."""
    with writing(con):
        for name in names:
            path = str(DATA / version / (name + ".jsonl"))
            if name in ("main", "fork"):
                assert tally.grow(con, project, name, path) == os.path.getsize(path)
            else:
                assert tally.read(con, project, name, path)


def sums(con, where="true"):
    """(read anew, written to the cache, read from it, written) of the rows that fit."""
    return con.execute(SUMS + where).fetchone()


def everything(con):
    """All rows that reading transcripts makes."""
    rollup.take_in(con)
    tables = ("usage", "counted_messages", "tool_calls", "file_touches", "daily")
    return [con.execute("SELECT * FROM %s ORDER BY 1, 2" % table).fetchall() for table in tables]


@pytest.mark.parametrize("version", VERSIONS)
def test_transcripts_come_to_what_the_client_said(con, version):
    """Tokens by model, and dollars, are those that the client itself gave at the end of the run (S3-30)."""
    read(con, version, "main", "worker", "failing")
    assert {r[0] for r in con.execute("SELECT model FROM usage")} == set(SAID[version]["tokens"])
    for model, tokens in SAID[version]["tokens"].items():
        assert list(sums(con, "model = '%s'" % model)) == tokens
    (dollars,) = con.execute("SELECT sum(cost_usd) FROM usage").fetchone()
    assert dollars == pytest.approx(SAID[version]["total_cost_usd"], abs=1e-9)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_agents_calls_and_files(con, version):
    """Calls by tool, refused and failed ones apart; files with the lines added and removed."""
    read(con, version, "worker", "failing")
    calls = con.execute(
        "SELECT tool, calls, refused, failed FROM tool_calls WHERE execution_id = 'worker'"
    ).fetchall()
    assert set(calls) == {("Bash", 2, 1, 1), ("Edit", 2, 0, 0), ("Read", 1, 0, 0), ("Write", 2, 0, 0)}
    files = con.execute(
        "SELECT path, mode, times, lines_added, lines_removed FROM file_touches ORDER BY path, mode"
    ).fetchall()
    # one two three -> one zwei dos three -> one x three four; x y -> x y2
    assert files == [("a.txt", "read", 1, 0, 0), ("a.txt", "write", 2, 4, 3), ("new.txt", "write", 2, 3, 1)]
    row = con.execute(
        "SELECT calls, refused_calls, failed_calls, refused_names, files_read, files_written, lines_added, "
        "lines_removed, stop_reason FROM executions WHERE execution_id = 'worker'"
    ).fetchone()
    assert row == (7, 1, 1, "Bash", 1, 2, 7, 4, "end_turn")
    first, last = con.execute(
        "SELECT first_at, last_at FROM file_touches WHERE path = 'a.txt' AND mode = 'write'"
    ).fetchone()
    assert first < last


@pytest.mark.parametrize("version", VERSIONS)
def test_models_in_order_and_error_lines_left_out(con, version):
    """An API error is written as a message of no model: it counts neither as message nor as model."""
    read(con, version, "failing")
    models, messages = con.execute(
        "SELECT e.models, sum(u.messages) FROM executions e JOIN usage u ON u.owner = e.execution_id "
        "WHERE e.execution_id = 'failing'"
    ).fetchone()
    assert models == list(SAID[version]["tokens"])[1]
    assert messages == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_copied_history_counts_once(con, version):
    """A fork's transcript begins with its parent's messages; they stay the parent's."""
    read(con, version, "main")
    parent = sums(con, "owner = 'main'")
    read(con, version, "fork")
    assert sums(con, "owner = 'main'") == parent
    (messages,) = con.execute("SELECT sum(messages) FROM usage WHERE owner = 'fork'").fetchone()
    assert messages == 1
    assert con.execute("SELECT claude_session_id FROM claude_sessions WHERE forked").fetchall() == [("fork",)]


@pytest.mark.parametrize("first", ["main", "worker"])
def test_a_fork_of_a_conversation_counts_its_own_messages(con, tmp_path, first):
    """A fork's file begins by saying so and with its parent's message that deployed it: that message and its call stay the
    parent's, whichever is read first; what came after it is the fork's."""
    from histories import answered, assistant

    asks = assistant("m1", tools=[("t1", "Agent", {"subagent_type": "fork"})])
    lines = [{"type": "fork-context-ref", "agentId": "worker"}, asks, answered("t1"),
             assistant("m2", tools=[("t2", "Read", {"file_path": "/x/file"})]), answered("t2"), assistant("m3")]  # fmt: skip
    for name, some in (("main", [assistant("m0"), asks]), ("worker", lines)):
        (tmp_path / (name + ".jsonl")).write_text("".join(json.dumps(line) + "\n" for line in some))
    with writing(con):
        for name in (first, "worker", "main"):
            read = tally.grow if name == "main" else tally.read
            read(con, PROJECT, name, str(tmp_path / (name + ".jsonl")))
    assert con.execute("SELECT owner, messages FROM usage ORDER BY 1").fetchall() == [("main", 2), ("worker", 2)]
    assert con.execute("SELECT tool, calls FROM tool_calls").fetchall() == [("Read", 1)]
    assert con.execute("SELECT calls, files_read FROM executions WHERE execution_id = 'worker'").fetchone() == (1, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_order_of_reading_changes_no_total(con, version):
    """Whichever transcript is read first, each message counts once."""
    read(con, version, "fork", "failing", "main", "worker", "main", "fork", "worker")
    backwards = sums(con)
    con.execute("DELETE FROM usage")
    con.execute("DELETE FROM counted_messages")
    read(con, version, "main", "worker", "failing", "fork")
    assert sums(con) == backwards


@pytest.mark.parametrize("version", VERSIONS)
def test_reading_again_changes_nothing(con, version):
    """The same transcripts read a second time leave the same rows."""
    read(con, version, "main", "worker", "failing")
    before = everything(con)
    read(con, version, "worker", "main", "failing")
    assert everything(con) == before


@pytest.mark.parametrize("version", VERSIONS)
@given(cuts=st.lists(st.integers(0, 20000), max_size=6))
@settings(max_examples=15, deadline=None)
def test_a_conversation_read_as_it_grows(tmp_path_factory, version, cuts):
    """Read whenever, also in the middle of a line, a growing transcript comes to the same in the end."""
    folder = tmp_path_factory.mktemp("grows")
    con = open_history(str(folder / "history.db"))
    fill(con)
    whole = (DATA / version / "main.jsonl").read_bytes()
    path, offset = folder / "main.jsonl", 0
    for cut in [*sorted(cut for cut in cuts if cut < len(whole)), len(whole)]:
        path.write_bytes(whole[:cut])
        with writing(con):
            offset = tally.grow(con, PROJECT, "main", str(path), offset=offset)
    assert offset == len(whole)
    grown = sums(con)
    con.execute("DELETE FROM usage")
    con.execute("DELETE FROM counted_messages")
    read(con, version, "main")
    assert grown == sums(con)
    con.close()


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_transcript_harms_nobody(tmp_path_factory, data):
    """Bytes lost, changed or put in raise nothing, and add a message only where one hit an id: each at most one."""
    folder = tmp_path_factory.mktemp("damaged")
    con = open_history(str(folder / "history.db"))
    fill(con)
    version = data.draw(st.sampled_from(VERSIONS))
    text = bytearray((DATA / version / "worker.jsonl").read_bytes())
    damages = data.draw(st.integers(1, 8))
    for _ in range(damages):
        at = data.draw(st.integers(0, len(text) - 1))
        piece = data.draw(
            st.sampled_from([b"", b"\x00", b"\\ud800", b"\\u0000", b"\xff", b"[", b'"', b"}\n{", b"9" * 30])
        )
        text[at : at + data.draw(st.integers(0, 40))] = piece
    path = folder / "agent.jsonl"
    path.write_bytes(bytes(text))
    with writing(con):
        assert tally.read(con, PROJECT, "worker", str(path))
    (messages,) = con.execute("SELECT COALESCE(sum(messages), 0) FROM usage").fetchone()
    assert messages <= 7 + damages
    con.close()


def test_an_unknown_model_has_tokens_and_no_price(con, tmp_path):
    """No cost is made up; once the project's own table names the model, it is worked out from the sums."""
    text = (DATA / "2.1.329" / "worker.jsonl").read_text().replace("claude-opus-5-5", "acme-large-3")
    path = tmp_path / "agent.jsonl"
    path.write_text(text)
    project = tmp_path / "project"
    (project / ".orchestrator").mkdir(parents=True)
    with writing(con):
        tally.read(con, str(project), "worker", str(path))
    model, tokens, cost = con.execute("SELECT model, input_tokens, cost_usd FROM usage").fetchone()
    assert (model, cost) == ("acme-large-3", None) and tokens > 0
    rollup.take_in(con)
    assert con.execute("SELECT unpriced_tokens, cost_usd FROM daily_usage").fetchone() == (
        sum(sums(con)),
        0,
    )
    own = {"models": {"acme-large": {"input": 1, "output": 2, "cache_write_5m": 3, "cache_read": 4}}}
    table = project / ".orchestrator" / "prices.json"
    table.write_text(json.dumps(own))
    with writing(con):
        assert prices.fill(con, str(project)) == 0  # another model than the one that was used
    own["models"] = {"acme-large-3": own["models"]["acme-large"]}
    table.write_text(json.dumps(own))
    with writing(con):
        assert prices.fill(con, str(project)) == 1
    read_anew, written, cached, out = sums(con)
    (cost,) = con.execute("SELECT cost_usd FROM usage").fetchone()
    assert cost == pytest.approx((read_anew + 3 * written + 4 * cached + 2 * out) / 1e6)
    rollup.take_in(con)
    assert con.execute("SELECT unpriced_tokens FROM daily_usage").fetchone() == (0,)


def test_a_command_prices_what_had_no_price(con, tmp_path):
    """A command finds that the project's own table names a model by now, and works out what it cost."""
    from orchestrator.services.reconcile import reconcile

    path = tmp_path / "agent.jsonl"
    path.write_text((DATA / "2.1.329" / "worker.jsonl").read_text().replace("claude-opus-5-5", "acme-large-3"))
    workspace = tmp_path / ".orchestrator"
    workspace.mkdir(exist_ok=True)
    with writing(con):
        tally.read(con, str(tmp_path), "worker", str(path))
    reconcile(con, str(tmp_path), str(workspace))
    assert con.execute("SELECT cost_usd FROM usage").fetchone() == (None,)
    own = {"models": {"acme-large-3": {"input": 1, "output": 2, "cache_write_5m": 3, "cache_read": 4}}}
    (workspace / "prices.json").write_text(json.dumps(own))
    reconcile(con, str(tmp_path), str(workspace))
    assert con.execute("SELECT cost_usd > 0 FROM usage").fetchone() == (1,)


def test_the_projects_own_prices_take_the_place_of_ours(con, tmp_path):
    """A model that both tables name costs what the project's says; a wrong table counts for nothing."""
    (tmp_path / ".orchestrator").mkdir()
    table = tmp_path / ".orchestrator" / "prices.json"
    table.write_text("{not json")
    read(con, "2.1.197", "worker", project=str(tmp_path))
    (listed,) = con.execute("SELECT sum(cost_usd) FROM usage").fetchone()
    free = {"input": 0, "output": 0, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 0}
    table.write_text(json.dumps({"models": {"claude-opus-4-8": free}}))
    read(con, "2.1.197", "worker", project=str(tmp_path))
    assert listed > 0
    assert con.execute("SELECT sum(cost_usd) FROM usage").fetchone() == (0,)


def test_what_is_wrong_in_the_projects_prices_alone_does_not_count(con, tmp_path, monkeypatch):
    """A model whose prices are wrong, also those of fast mode, keeps the listed ones; the others of the table count. What is
    wrong is told by `doctor`."""
    from orchestrator.services import checks_project

    (tmp_path / ".orchestrator").mkdir()
    table = tmp_path / ".orchestrator" / "prices.json"
    read(con, "2.1.197", "worker", project=str(tmp_path))
    (listed,) = con.execute("SELECT sum(cost_usd) FROM usage").fetchone()
    free = {"input": 0, "output": 0, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 0}
    wrong = [{**free, "input": -1}, {**free, "fast": {**free, "output": "1"}}, 5, {**free, "input": True},
             {**free, "above": free}]  # fmt: skip
    texts = ("for input.", "for fast.output.", "is no object", "for input.", "for above.prompt_tokens.")
    for mine, said in zip(wrong, texts, strict=True):
        table.write_text(json.dumps({"models": {"claude-opus-4-8": mine, "Acme-1": free}}))
        read(con, "2.1.197", "worker", project=str(tmp_path))
        assert con.execute("SELECT sum(cost_usd) FROM usage").fetchone() == (listed,)
        prices.load(con, str(tmp_path), ["acme-1"])
        assert con.execute("SELECT model, input FROM temp.prices").fetchall() == [("acme-1", 0)]
        (finding,) = checks_project.own_prices(str(tmp_path))
        assert str(table) in finding.text and said in finding.text
    table.write_text(json.dumps({"models": {"claude-opus-4-8": free}}))
    assert list(checks_project.own_prices(str(tmp_path))) == []
    table.write_text(json.dumps({"models": {}, "web_search": True}))
    (finding,) = checks_project.own_prices(str(tmp_path))
    assert "web_search is no price" in finding.text
    table.unlink()
    os.mkfifo(table)
    assert list(checks_project.own_prices(str(tmp_path))) == []
    table.unlink()
    assert list(checks_project.own_prices(str(tmp_path))) == []


def test_costs_can_be_turned_off(con):
    """With the setting cost_tracking off tokens are counted and no cost is worked out."""
    con.execute("INSERT INTO meta VALUES ('setting.cost_tracking', 'false')")
    read(con, "2.1.329", "main")
    assert sums(con)[0] > 0
    assert con.execute("SELECT count(cost_usd) FROM usage").fetchone() == (0,)


def message(number, model, used, **more):
    """A transcript's line of one message."""
    return {
        "type": "assistant",
        "timestamp": "2026-11-21T23:59:59.%03dZ" % number,
        "message": {"id": "msg_%d" % number, "model": model, "content": [], "usage": {**used, **more}},
    }


@pytest.mark.parametrize(
    "used, dollars",
    [
        ({"input_tokens": 100_000, "output_tokens": 1000}, 0.0105),
        ({"input_tokens": 100_001, "output_tokens": 1000}, 0.0525005),
        (
            {"input_tokens": 1, "cache_read_input_tokens": 60_000, "cache_creation_input_tokens": 60_000},
            0.0405005,
        ),
        ({"input_tokens": 1000, "output_tokens": 0, "inference_geo": "us"}, 0.00011),
        ({"input_tokens": 0, "output_tokens": 0, "server_tool_use": {"web_search_requests": 3}}, 0.03),
    ],
    ids=["short", "long", "long by its cache", "in the US", "web searches"],
)
def test_what_decides_on_a_price(con, tmp_path, used, dollars):
    """The whole prompt decides whether it is a long one; the place and web searches are paid for."""
    path = tmp_path / "agent.jsonl"
    path.write_text(json.dumps(message(1, "claude-haiku-5-5", used)) + "\n")
    with writing(con):
        tally.read(con, PROJECT, "worker", str(path))
    assert con.execute("SELECT cost_usd FROM usage").fetchone()[0] == pytest.approx(dollars)


def test_fast_mode_and_the_two_caches_have_their_own_prices(con, tmp_path):
    """The cache costs more for an hour than for five minutes; fast mode costs more still."""
    written = {"cache_creation_input_tokens": 3000, "cache_creation": {"ephemeral_1h_input_tokens": 1000}}
    lines = [message(1, "claude-opus-5-5", written), message(2, "claude-opus-5-5", written, speed="fast")]
    path = tmp_path / "agent.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with writing(con):
        tally.read(con, PROJECT, "worker", str(path))
    five, hour, cost = con.execute(
        "SELECT cache_write_5m_tokens, cache_write_1h_tokens, cost_usd FROM usage"
    ).fetchone()
    assert (five, hour) == (4000, 2000)
    assert cost == pytest.approx((2000 * 5 + 1000 * 8 + 2000 * 10 + 1000 * 16) / 1e6)


def part(kind="message", **used):
    """One of the iterations that a message's usage lists."""
    return {"type": kind, **used}


LONG = {"input_tokens": 60_000, "output_tokens": 500}
BOTH = {"input_tokens": 120_000, "output_tokens": 1000}


@pytest.mark.parametrize("used, rows, size", [
    ({**BOTH, "iterations": [part(**LONG), part("fallback_message", **LONG)]},
     [("claude-haiku-5-5", 1, 120_000, 0.0125)], 60_500),
    ({**BOTH, "iterations": [part(**LONG)]}, [("claude-haiku-5-5", 1, 120_000, 0.0625)], 121_000),
    ({**BOTH, "iterations": [part(**BOTH), "?", part("compaction", **LONG)]},
     [("claude-haiku-5-5", 1, 120_000, 0.0625)], 121_000),
    ({**LONG, "iterations": [part(**LONG), part("advisor_message", model="claude-opus-4-8", **LONG), part("advisor_message")]},
     [("claude-haiku-5-5", 1, 60_000, 0.00625), ("claude-opus-4-8", 0, 60_000, 0.3125)], 60_500),
], ids=["two goes", "not all of it", "one go", "an advisor"])  # fmt: skip
def test_a_message_of_several_goes_and_of_an_advisor(con, tmp_path, used, rows, size):
    """Each go at a message is priced by itself where they come to the whole, and the last is how large the request was; what an
    advisor used, which is in no sum of the message, counts too, of its own model, which is one it used, and as no message."""
    path = tmp_path / "agent.jsonl"
    lines = [message(1, "claude-haiku-5-5", used)] * 2
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with writing(con):
        tally.read(con, PROJECT, "worker", str(path))
        tally.read(con, PROJECT, "worker", str(path))
    found = con.execute("SELECT model, messages, input_tokens, cost_usd FROM usage ORDER BY 1").fetchall()
    assert [row[:3] for row in found] == [row[:3] for row in rows]
    assert [row[3] for row in found] == pytest.approx([row[3] for row in rows])
    assert con.execute("SELECT message_id FROM counted_messages").fetchall() == [("msg_1",)]
    kept = con.execute("SELECT context_size, models FROM executions WHERE execution_id = 'worker'").fetchone()
    assert kept == (size, ",".join(row[0] for row in rows))


def test_tokens_stand_on_the_day_of_their_messages(con, tmp_path):
    """An agent that works past midnight has a row for each day."""
    lines = [
        message(1, "claude-opus-5-5", {"output_tokens": 1}),
        message(2, "claude-opus-5-5", {"output_tokens": 2}),
    ]
    lines[1]["timestamp"] = "2026-11-22T00:00:01.000Z"
    path = tmp_path / "agent.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with writing(con):
        tally.read(con, PROJECT, "worker", str(path))
    assert con.execute("SELECT day, output_tokens FROM usage ORDER BY day").fetchall() == [
        ("2026-11-21", 1),
        ("2026-11-22", 2),
    ]


@pytest.mark.parametrize(
    "given_name, name",
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-opus-4-8[1m]", "claude-opus-4-8"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("claude-opus-4@20250514", "claude-opus-4"),
        ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"),
        ("anthropic/Claude-Sonnet-5", "claude-sonnet-5"),
        ("claude-opus-5-9", None),
        ("claude-opus-45", None),
        ("my-claude-opus-5", None),
        ("gpt-6", None),
        ("", None),
        (None, None),
    ],
)
def test_models_go_by_their_canonical_names(given_name, name):
    """A provider before it, a date, a platform's version or [1m] after it do not matter."""
    known = json.loads((Path(touches.__file__).parents[3] / "assets" / "prices.json").read_text())["models"]
    assert prices.canonical(given_name, known) == name


# Every model id in the two pinned clients' own programs (strings PROGRAM | grep -oE 'claude-[a-z0-9.@-]+'); left out are
# names that are no ids (claude-sonnet-3-7, claude-haiku-3-5, claude-haiku-4), retired -fast ids, and what is older than 3.
IDS = """
claude-3-5-haiku claude-3-5-haiku-20241022 claude-3-5-haiku-20241022-v1 claude-3-5-haiku-latest claude-3-5-haiku@20241022
claude-3-5-sonnet claude-3-5-sonnet-20240620 claude-3-5-sonnet-20241022 claude-3-5-sonnet-20241022-v2 claude-3-5-sonnet-latest
claude-3-5-sonnet-v2@20241022 claude-3-7-sonnet claude-3-7-sonnet-20250219 claude-3-7-sonnet-20250219-v1
claude-3-7-sonnet-latest claude-3-7-sonnet@20250219 claude-3-haiku claude-3-haiku-20240307 claude-3-opus
claude-3-opus-20240229 claude-3-opus-latest claude-3-sonnet claude-3-sonnet-20240229 claude-4-opus-20250514 claude-fable-5
claude-fable-5-1 claude-fable-5-2 claude-haiku-4-5 claude-haiku-4-5-20251001 claude-haiku-4-5-20251001-v1
claude-haiku-4-5@20251001 claude-haiku-5-5 claude-mythos-5 claude-mythos-5-1 claude-mythos-5-2 claude-opus-4 claude-opus-4-0
claude-opus-4-1 claude-opus-4-1-20250805 claude-opus-4-1-20250805-v1 claude-opus-4-1@20250805 claude-opus-4-20250514
claude-opus-4-20250514-v1 claude-opus-4-5 claude-opus-4-5-20251101 claude-opus-4-5-20251101-v1 claude-opus-4-5@20251101
claude-opus-4-6 claude-opus-4-6-20251101 claude-opus-4-6-v1 claude-opus-4-7 claude-opus-4-8 claude-opus-4@20250514
claude-opus-5 claude-opus-5-5 claude-sonnet-4 claude-sonnet-4-0 claude-sonnet-4-20250514 claude-sonnet-4-20250514-v1
claude-sonnet-4-5 claude-sonnet-4-5-20250929 claude-sonnet-4-5-20250929-v1 claude-sonnet-4-5-v1 claude-sonnet-4-5@20250929
claude-sonnet-4-6 claude-sonnet-4-6-20251114 claude-sonnet-4@20250514 claude-sonnet-5 claude-sonnet-5-5
claude-mythos-preview
"""
# Ids without a price. claude-mythos-preview was open to invited organisations only: neither program's catalogue of models
# has a row for it, and the guide inside 2.1.197 says that its tokens cost something else than those of the models after it.
UNPRICED = ["claude-mythos-preview"]


def test_every_model_that_the_clients_know_has_a_price():
    """Each id in the pinned clients' programs finds its row in the table, but for those that the clients cannot price either."""
    known = json.loads((Path(touches.__file__).parents[3] / "assets" / "prices.json").read_text())["models"]
    assert [each for each in IDS.split() if prices.canonical(each, known) is None] == UNPRICED


def test_the_price_table_is_sound(con):
    """Every model has all five prices, which stand in a sensible order; the file
    says where the figures are from and of which day they are."""
    text = (Path(touches.__file__).parents[3] / "assets" / "prices.json").read_text()
    table = json.loads(text)
    assert prices.problems(con, text) == []
    assert table["as_of"] and table["sources"]
    for model in table["models"].values():
        for one in (model, model.get("fast"), model.get("above")):
            if one:
                assert (
                    one["cache_read"]
                    < one["input"]
                    < one["cache_write_5m"]
                    < one["cache_write_1h"]
                    < one["output"]
                )
        assert {"input", "output", "cache_write_5m", "cache_write_1h", "cache_read"} <= set(model)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"models": 3}',
        '{"models": {"a": 1}}',
        '{"models": {"a": {"input": -1}}}',
        '{"models": {"a": {"input": true}}}',
    ],
)
def test_a_wrong_price_table_is_told(con, text):
    """A table that cannot be used is answered with a sentence for each thing that is wrong."""
    told = prices.problems(con, text)
    assert told and all(each.endswith(".") for each in told)


@given(old=st.lists(st.sampled_from("abc"), max_size=7), new=st.lists(st.sampled_from("abc"), max_size=7))
def test_lines_are_counted_by_the_shortest_way(old, new):
    """Lines added and removed are as few as any way from one text to the other needs."""

    def common(a, b):
        if not a or not b:
            return 0
        if a[0] == b[0]:
            return 1 + common(a[1:], b[1:])
        return max(common(a[1:], b), common(a, b[1:]))

    same = common(old, new)
    texts = ["".join(line + "\n" for line in lines) for lines in (old, new)]
    assert touches.changed(*texts) == (len(new) - same, len(old) - same)


NUMBERS = [str(number) for number in range(5000)]


@pytest.mark.parametrize("old, new, lines", [
    (NUMBERS[:1000], [NUMBERS[0], "x", *NUMBERS[2:998], "y", NUMBERS[999]], (2, 2)),
    (NUMBERS, ["x" + number for number in NUMBERS], (5000, 5000)),
    (NUMBERS, NUMBERS[2500:] + NUMBERS[:2500], (2500, 2500)),
    (["{", "}"] * 2000, ["{", "}", "}"] * 1500, (1000, 500)),
], ids=["a few", "all", "halves that changed places", "the same few lines"])  # fmt: skip
def test_lines_of_long_texts(old, new, lines):
    """Of long texts too the lines are those of the shortest way where that is short, or nothing is kept; otherwise they are at
    least one and at most so many."""
    added, removed = touches.changed("\n".join(old), "\n".join(new))
    assert added - removed == lines[0] - lines[1]
    assert (added, removed) == lines or min(lines) > 2 < added < lines[0]


def read_then(asked, shown, call):
    """What an agent that was shown a file, then wrote it, is said to have added and removed."""
    from histories import answered, assistant

    tool, said = call
    read = assistant("m1", tools=[("t1", "Read", {"file_path": "/x/file", **asked})])
    wrote = assistant("m2", tools=[("t2", tool, {"file_path": "/x/file", **said})])
    done = "The file %s has been updated." % said.get("file_path", "/x/file")
    return [read, answered("t1", shown), wrote, answered("t2", done)]


REMINDER = "\n\n<system-reminder>\nBe careful.\n</system-reminder>\n"
WRITE = ("Write", {"content": "a\nB\nc\n"})


@pytest.mark.parametrize("asked, shown, call, lines", [
    ({}, "1\ta\n2\tb\n3\tc\n4\t", WRITE, (1, 1)),
    ({}, "1\ta\n2\tb\n3\tc" + REMINDER, WRITE, (1, 1)),
    ({"offset": 1, "limit": 2000}, "1\ta\n2\tb\n3\tc", WRITE, (1, 1)),
    ({"limit": 3}, "1\ta\n2\tb\n3\tc", WRITE, (0, 0)),
    ({"offset": 2}, "2\tb\n3\tc", WRITE, (0, 0)),
    ({"limit": "all"}, "1\ta\n2\tb\n3\tc", WRITE, (0, 0)),
    ({"offset": 2}, "2\tb\n3\tc", ("Write", {"content": "a\n", "file_path": "/x/created/file"}), (0, 0)),
    ({"limit": 1}, "1\tb", ("Edit", {"old_string": "b", "new_string": "c", "replace_all": True}), (1, 1)),
])  # fmt: skip
def test_lines_are_at_least_what_was_shown(con, tmp_path, asked, shown, call, lines):
    """A file that was shown from its first line, in fewer lines than were asked for, was shown as a whole. Of one that was not,
    what is written in its place counts no line, and an edit of all occurrences one."""
    path = tmp_path / "agent.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in read_then(asked, shown, call)))
    with writing(con):
        tally.read(con, str(tmp_path), "worker", str(path))
    kept = con.execute("SELECT lines_added, lines_removed FROM executions WHERE execution_id = 'worker'").fetchone()
    assert kept == lines


@pytest.fixture
def ended(con, tmp_path):
    """The session and its agents have ended, and their transcripts lie where the client leaves them."""
    for name in ("main", "worker", "failing"):
        shutil.copy(DATA / "2.1.329" / (name + ".jsonl"), tmp_path)
        for table, key in (("claude_sessions", "claude_session_id"), ("executions", "execution_id")):
            path = str(tmp_path / (name + ".jsonl"))
            con.execute("UPDATE %s SET transcript_path = ? WHERE %s = ?" % (table, key), (path, name))
    con.execute("UPDATE claude_sessions SET ended_at = ? WHERE claude_session_id = 'main'", (NOW,))
    return con


LATER = "2026-11-23T00:00:00.000Z"


def test_what_is_due_is_read_once(ended):
    """Whatever ended is read, then nothing waits any more; the fork has no transcript here."""
    assert usage.waiting(ended)
    with writing(ended):
        usage.due(ended, PROJECT, LATER)
    assert not usage.waiting(ended)
    assert sums(ended) == tuple(map(sum, zip(*SAID["2.1.329"]["tokens"].values(), strict=True)))


def test_a_hook_reads_within_its_bound(ended):
    """A transcript larger than the bound is left to a later command; smaller ones behind it are read."""
    with writing(ended):
        usage.due(ended, PROJECT, LATER, most=10_000)
    assert {r[0] for r in ended.execute("SELECT owner FROM usage")} == {"failing", "main"}
    assert usage.waiting(ended)
    with writing(ended):
        usage.due(
            ended, PROJECT, LATER, session="main", most=15_000
        )  # the conversation goes on where it was left
    with writing(ended):
        usage.due(ended, PROJECT, LATER)
    assert sums(ended, "kind != 'unseen'") == tuple(
        map(sum, zip(*SAID["2.1.329"]["tokens"].values(), strict=True))
    )


def test_a_transcript_that_is_gone_is_given_up_by_a_command_only(ended, tmp_path):
    """Claude Code deletes transcripts: a command stops looking for one, a hook does not decide that."""
    (tmp_path / "worker.jsonl").unlink()
    with writing(ended):
        usage.due(ended, PROJECT, LATER, most=100_000)
    assert usage.waiting(ended)
    with writing(ended):
        usage.due(ended, PROJECT, LATER)
    assert not usage.waiting(ended)
    assert sums(ended, "owner = 'worker'") == (0, 0, 0, 0)


def test_what_no_transcript_shows_is_kept_as_unseen(ended, tmp_path):
    """The client's own sums, less what its transcripts show, are one more row; never a negative one."""
    with writing(ended):
        usage.due(ended, PROJECT, LATER)
    assert ended.execute("SELECT count(*) FROM usage WHERE kind = 'unseen'").fetchone() == (0,)
    said = json.loads(
        ended.execute("SELECT client_usage FROM claude_sessions WHERE claude_session_id = 'main'").fetchone()[
            0
        ]
    )
    said["claude-opus-5-5"]["inputTokens"] += 70
    said["claude-opus-5-5"]["costUSD"] += 0.5
    said["claude-new"] = {
        "inputTokens": 3,
        "outputTokens": 4,
        "cacheReadInputTokens": 0,
        "cacheCreationInputTokens": 0,
    }
    with writing(ended):
        ended.execute(
            "UPDATE claude_sessions SET client_usage = ? WHERE claude_session_id = 'main'",
            (json.dumps(said),),
        )
        usage.unseen(ended, "main", LATER)
    rows = ended.execute(
        "SELECT model, input_tokens, output_tokens, round(cost_usd, 6) FROM usage WHERE kind = 'unseen' "
        "ORDER BY model"
    ).fetchall()
    assert rows == [("claude-new", 3, 4, None), ("claude-opus-5-5", 70, 0, 0.5)]


def unseen_of(con, said):
    """(model, tokens read anew, dollars) of what is unseen where the client says this much."""
    with writing(con):
        con.execute("UPDATE claude_sessions SET client_usage = ? WHERE claude_session_id = 'main'", (json.dumps(said),))
        usage.unseen(con, "main", LATER)
    return con.execute("SELECT model, input_tokens, round(cost_usd, 6) FROM usage WHERE kind = 'unseen' ORDER BY 1").fetchall()


@pytest.mark.parametrize("asked", [
    "claude-opus-5-5-20260901", "us.anthropic.claude-opus-5-5-20260901-v1:0", "gateway/claude-opus-5-5", "acme-large",
])  # fmt: skip
def test_a_model_that_answers_under_another_name_is_not_counted_again(ended, asked):
    """The client's sums bear the name that was asked for, a provider's or a gateway's too; the transcripts that of the model
    that answered. What goes by a name that nothing explains is compared with what is left of all models."""
    with writing(ended):
        usage.due(ended, PROJECT, LATER)
    query = "SELECT client_usage FROM claude_sessions WHERE claude_session_id = 'main'"
    said = json.loads(ended.execute(query).fetchone()[0])
    said[asked] = said.pop("claude-opus-5-5")
    assert unseen_of(ended, said) == []
    said[asked]["inputTokens"] += 70
    said[asked]["costUSD"] += 0.5
    assert unseen_of(ended, said) == [(asked if asked == "acme-large" else "claude-opus-5-5", 70, 0.5)]
    half = {name: number // 2 for name, number in said[asked].items() if name != "costUSD"}
    said["acme-small"] = {**half, "costUSD": 0.0}
    for name, number in half.items():
        said[asked][name] -= number
    assert unseen_of(ended, said) == [("?", 70, 0.5)]


def test_where_less_is_said_than_was_seen_nothing_is_concluded(ended):
    """Where the client says less of a model than its transcripts show, what it says of an unknown name may be the rest."""
    with writing(ended):
        usage.due(ended, PROJECT, LATER)
    query = "SELECT client_usage FROM claude_sessions WHERE claude_session_id = 'main'"
    said = json.loads(ended.execute(query).fetchone()[0])
    said["claude-haiku-5-5"]["inputTokens"] -= 70
    said["claude-new"] = {"inputTokens": 7}
    assert unseen_of(ended, said) == []


def test_what_the_client_says_after_the_end_is_read(ended, tmp_path):
    """At /clear its sums are written after the session has ended, and been read: they count all the same."""
    main = tmp_path / "main.jsonl"
    text = main.read_text().splitlines(keepends=True)
    kept = [line for line in text if '"cost-state"' not in line]
    main.write_text("".join(kept))
    con, at = ended, NOW.replace("00.000Z", "00.300Z")
    with writing(con):
        usage.due(con, PROJECT, at)
    assert con.execute("SELECT client_usage FROM claude_sessions WHERE claude_session_id = 'main'").fetchone() == (None,)
    (said,) = [line for line in text if '"cost-state"' in line][-1:]
    main.write_text("".join([*kept, said.replace('"outputTokens":', '"outputTokens":1000')]))
    with writing(con):
        usage.due(con, PROJECT, LATER)
    assert con.execute("SELECT sum(output_tokens) > 1000 FROM usage WHERE kind = 'unseen'").fetchone() == (1,)
    assert not usage.waiting(con)


ACCEPTED, REJECTED = [{"permissionDecision": {"decision": decision}} for decision in ("accept", "reject")]
BLOCKED = "rm in '/etc/x' was blocked. For security, Claude Code may only remove files from the allowed working directories"


@pytest.mark.parametrize("tool, text, beside, refused", [
    ("Bash", "Permission to use Bash with command curl x has been denied.", {}, True),
    ("Bash", "This Bash command contains multiple operations. The following parts require approval: echo x", {}, True),
    ("Bash", "This command requires approval", {}, True), ("Bash", BLOCKED, {}, True), ("mcp__fs__rm", BLOCKED, {}, False),
    ("Write", "PreToolUse:Write hook error: [./check]: not today", {}, True),
    ("mcp__github__merge", "PreToolUse:mcp__github__merge hook error: no", {}, True),
    ("Read", "<tool_use_error>File is in a directory that is denied by your permission settings.</tool_use_error>", {}, True),
    ("WebFetch", "getaddrinfo: a hook error: none", {}, False), ("WebFetch", "The repository requires approval", {}, False),
    ("mcp__github__merge", "Merge requires approval from 2 reviewers", {}, False),
    ("Edit", "<tool_use_error>String to replace not found in file.\nString: ' was blocked by a deny rule'", {}, False),
    ("Bash", "Exit code 1\nrequires approval", {}, False), ("Bash", BLOCKED, ACCEPTED, False),
    ("mcp__github__merge", "no", REJECTED, True), ("mcp__github__merge", "no", {"toolDenialKind": "permission-rule"}, True),
])  # fmt: skip
def test_which_calls_were_refused(con, tmp_path, tool, text, beside, refused):
    """A call was refused where the client says so beside its answer, else by the client's own words where these stand: what a
    tool's server or a command says of approval, hooks or security is its failure."""
    from histories import answered, assistant

    path = tmp_path / "agent.jsonl"
    lines = [assistant("m1", tools=[("t1", tool, {})]), {**answered("t1", text, error=True), **beside}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with writing(con):
        tally.read(con, PROJECT, "worker", str(path))
    kept = con.execute("SELECT refused_calls, failed_calls FROM executions WHERE execution_id = 'worker'").fetchone()
    assert kept == ((1, 0) if refused else (0, 1))


def test_names_are_masked_too(con, tmp_path):
    """A secret in a file's path or a tool's name is not kept; a hook's agent type is masked as it is read."""
    from histories import answered, assistant
    from orchestrator.recording import payload

    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
    path = tmp_path / "agent.jsonl"
    calls = [("t1", "Read", {"file_path": "/elsewhere/d-%s.txt" % secret}), ("t2", "mcp__%s__x" % secret, {})]
    path.write_text("".join(json.dumps(line) + "\n" for line in (assistant("m1", tools=calls), answered("t1"), answered("t2"))))
    with writing(con):
        tally.read(con, str(tmp_path), "worker", str(path))
    assert con.execute("SELECT path FROM file_touches").fetchone() == ("/elsewhere/d-[masked:github-token]",)
    assert {tool for (tool,) in con.execute("SELECT tool FROM tool_calls")} == {"Read", "mcp__[masked:github-token]"}
    event = {"hook_event_name": "SubagentStart", "session_id": "s", "agent_type": secret, "tool_input": {"subagent_type": secret}}
    read = payload.read(con, json.dumps(event))
    assert (read.agent_type, read.input_type) == ("[masked:github-token]",) * 2


@pytest.mark.parametrize("noticed", [None, "2026-11-20T08:00:00.050Z"], ids=["", "its call came back"])
@pytest.mark.parametrize("status", ["completed", "failed", "failed, inferred"])
def test_what_is_read_before_the_last_words_are_written_is_read_again(con, tmp_path, noticed, status):
    """An agent, and the call that it came from, say that it ended a moment before its transcript holds its last words: those
    count as soon as they are there. One that is said to have failed in the middle has none."""
    lines = (DATA / "2.1.329" / "worker.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path / "agent.jsonl"
    con.execute(
        "INSERT INTO executions (execution_id, origin, runtime, claude_session_id, agent_id, agent_type, status, deployed_at, "
        "completed_at, transcript_path, noticed_at, inferred) VALUES ('e', 'unplanned', 'agent', 's', 'a', 't', ?3, ?1, ?1, ?2, "
        "?4, ?5)",
        ("2026-11-20T08:00:00.000Z", str(path), status.split(",")[0], noticed, "inferred" in status),
    )
    found, calling = [], [n for n, line in enumerate(lines) if '"stop_reason":"tool_use"' in line.replace(": ", ":")][0]
    for text, at in (("".join(lines[: calling + 1]), "08:00:00.100"), ("".join(lines), "08:00:01.000")):
        path.write_text(text)
        with writing(con):
            usage.due(con, PROJECT, "2026-11-20T%sZ" % at)
        found.append(con.execute("SELECT COALESCE(sum(messages), 0) FROM usage").fetchone()[0])
    assert found[0] < found[1] if status != "failed" else found[0] == found[1] > 0
    whole = "2026-11-20T08:00:01.000Z" if status != "failed" else "2026-11-20T08:00:00.100Z"
    assert con.execute("SELECT usage_read_at FROM executions WHERE execution_id = 'e'").fetchone() == (whole,)


EDITS = [{"old_string": "a", "new_string": "z"}, {"old_string": "b", "new_string": "x\ny", "replace_all": True}, 5, {"x": 7}]


def cell(source, name="c1", **more):
    """A NotebookEdit."""
    return "NotebookEdit", {"cell_id": name, "new_source": source, **more}


@pytest.mark.parametrize("calls, changed", [
    ([("Edit", {"old_string": "a", "new_string": "b"})], (1, 1)),
    ([("MultiEdit", {"edits": EDITS})], (3, 2)), ([("MultiEdit", {"edits": "x"})], (0, 0)), ([("MultiEdit", {})], (0, 0)),
    ([cell("a\nb\nc"), cell("d", "c2")], (4, 0)), ([cell("a\nb\nc"), cell("a\nd")], (4, 2)),
    ([cell("a\nb", edit_mode="insert")] * 2, (4, 0)), ([cell("a\nb"), cell("", edit_mode="delete")], (2, 2)),
    ([cell("a\nb", None), cell("c", None)], (3, 0)),
])  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
def test_lines_of_each_kind_of_edit(con, tmp_path, calls, changed, whole):
    """Lines added and removed are those of the calls: of several edits in one, and of a notebook's cells, each by itself.
    A call that was not answered touched nothing, as far as anyone knows.
    """
    from histories import answered, assistant

    lines, path = [], tmp_path / "agent.jsonl"
    for number, (tool, asked) in enumerate(calls):
        name = "notebook_path" if tool == "NotebookEdit" else "file_path"
        lines += [assistant(f"m{number}", tools=[(f"t{number}", tool, {name: "/x/file", **asked})]), answered(f"t{number}")]
    path.write_text("".join(json.dumps(line) + "\n" for line in (lines if whole else lines[:-1])))
    with writing(con):
        tally.read(con, str(tmp_path), "worker", str(path))
    kept = "SELECT files_written, lines_added, lines_removed, calls FROM executions WHERE execution_id = 'worker'"
    if whole:
        assert con.execute(kept).fetchone() == (1, *changed, len(calls))
    else:
        assert con.execute(kept).fetchone()[0] == len(calls) - 1 and con.execute(kept).fetchone()[3] == len(calls)


@pytest.mark.parametrize("told, size", [(None, 42), ("2026-11-20T08:00:02.000Z", 42), ("2026-11-20T08:00:09.000Z", 4242)],
                         ids=["nothing", "of an earlier segment", "of this segment"])  # fmt: skip
def test_the_size_of_the_last_request_is_of_the_latest_reading(con, tmp_path, told, size):
    """How large an agent's last request was is what its transcript says now, not what it said when it was read before, unless
    a notification of the latest segment says it."""
    path = tmp_path / "agent.jsonl"
    for ordinal, at in ((1, "2026-11-20T08:00:00.000Z"), (2, "2026-11-20T08:00:05.000Z")):
        con.execute("INSERT INTO segments (execution_id, ordinal, started_at) VALUES ('worker', ?, ?)", (ordinal, at))
    lines = [message(1, "claude-opus-5-5", {"input_tokens": 10}), message(2, "claude-opus-5-5", {"input_tokens": 42})]
    for number in (1, 2):
        path.write_text("".join(json.dumps(line) + "\n" for line in lines[:number]))
        with writing(con):
            if told:
                con.execute("INSERT OR IGNORE INTO events (dedupe_key, at, kind, execution_id, body) VALUES ('n', ?, 'notified', "
                            "'worker', '4242')", (told,))  # fmt: skip
                con.execute("UPDATE executions SET context_size = 4242 WHERE execution_id = 'worker'")
            tally.read(con, PROJECT, "worker", str(path))
    assert con.execute("SELECT context_size FROM executions WHERE execution_id = 'worker'").fetchone() == (size,)
