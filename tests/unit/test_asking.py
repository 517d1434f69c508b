"""Lists and searches: each finds exactly what reading every row finds, by whatever index it goes; totals agree with rows."""

import contextlib
import functools
import itertools
import json
import random
import sqlite3
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import make_history
from orchestrator.services import conditions, finding, outputs, quantiles, queries, stats
from orchestrator.store import open as store
from orchestrator.store import search, search_bits, search_index, words

EXECUTIONS = 400
DAY = ("2024-01-01", "2024-01-02")
AGAIN = "2024-01-01T20:00:00.000Z"  # when some were put to work again
WORDS = ["parser", "the parser", '"the parser"', 'config "file option*"', "src/parser/*", "zirconium", "babace", "config file",
         "queue*", "API Error", "%", "nowhere", "src", "tests pass", "the parser reads", "table of the lock config", 'of "the a"',
         "page the tests hol*", '"the parser the"', 're* "a the"', "t* of", "t*", "ba*", "*",
         "配置文件", "配", "文配", "ファイル", "파일을",
         "✅", "→✅", "→", "->", "อ่าน", "done 配置", "読む the", "✅ the parser", "cafe", "文件 ✅",
         "::", '":', "/", "}", "=>", "文件 ✅ nothing", "配置 →✅ done", "読む the", "配置 →✅ don", "' '"]  # fmt: skip


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    """A history of a few hundred executions, as the benches make it, some imported late, one that took days."""
    path = str(tmp_path_factory.mktemp("asking") / "history.db")
    make_history.make(path, EXECUTIONS)
    con = store.open_history(path)
    con.execute("UPDATE executions SET origin = 'imported', deployed_at = '2023-12-24T10:00:00.000Z' WHERE number % 50 = 3")
    con.execute("UPDATE executions SET completed_at = '2024-01-05T00:00:00.000Z' WHERE number = 100")
    con.execute("UPDATE executions SET resolved_model = NULL, agent_type = 'builder' WHERE number % 40 = 7")
    con.execute("UPDATE claude_sessions SET ended_at = '2024-01-01T02:00:00.000Z' WHERE claude_session_id = 'session-000000'")
    con.execute("INSERT INTO outputs (execution_id, content) VALUES ('exec-0000000001', 'of no type, the parser')")
    for rest, used in ((4, "claude-opus-5-5,claude-haiku-5-5"), (9, "claude-haiku-5-5,claude-opus-4-8"), (14, "claude-nux")):
        con.execute("UPDATE executions SET models = ? WHERE number % 60 = ?", (used, rest))  # whatever they ran on
    for number in (365, 366):  # messages put these to work again
        for ordinal, begun, ended in ((1, "started_at", "completed_at"), (2, f"'{AGAIN}'", "NULL")):
            con.execute("INSERT INTO segments (execution_id, ordinal, started_at, ended_at) SELECT execution_id, ?, "
                        f"{begun}, {ended} FROM executions WHERE number = ?", (ordinal, number))  # fmt: skip
        con.execute("UPDATE executions SET status = ? WHERE number = ?", ("completed" if number == 365 else "failed", number))
    # some in one second, the later numbers first; some before all computers; a folder that once was a file
    con.execute("UPDATE executions SET deployed_at = printf('2024-01-01T05:00:00.%03dZ', 999 - number) WHERE number > 200 AND "
                "number < 240")  # fmt: skip
    con.execute("UPDATE executions SET deployed_at = printf('19%02d-01-01T00:00:00.000Z', 10 + number % 60) WHERE number % 37 = 1"
                )  # fmt: skip
    con.execute("INSERT INTO file_touches (execution_id, path, mode) VALUES ('exec-0000000005', 'src', 'read')")
    con.execute("DELETE FROM file_touches WHERE execution_id = 'exec-0000000007'")
    con.execute("DELETE FROM outputs WHERE execution_id = 'exec-0000000007'")
    texts = "读取配置文件 ✅", "Café の設定ファイル → 読む", "설정 파일을 읽는다", "配置 →✅ done", "→ อ่านไฟล์"
    for each, said in enumerate(texts, 1):
        con.execute("UPDATE executions SET final_message = final_message || ? WHERE number % 11 = ?", (said, each))
        con.execute("UPDATE outputs SET content = ? || content WHERE output_id % 13 = ? AND output_type = 'insight'",
                    (said, each))  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # its index is made as a large one's is: in several batches, with bits in pieces
        patch.setattr(search_index, "BATCH", 150)
        patch.setattr(search_bits, "PIECE", 64)
        patch.setattr(search_bits, "BLOCK", 16)
        patch.setattr(search_bits, "SHARE", 10)  # some words are common, others are not
        patch.setattr(search_index, "ENOUGH", 20)
        patch.setattr(search_bits, "RARE", 3)
        patch.setattr(search_bits, "BESIDE", 3)
        patch.setattr(search_bits, "LARGE", 100)
        yield con
    con.close()


def every(con):
    """Every execution as a list gives it, the newest first."""
    return sorted(queries.executions(con, limit=10_000), key=lambda e: (e["deployed_at"], e["execution_id"]), reverse=True)


def fits(con, e, asked):
    """Whether an execution fits what is asked, by reading its row and what belongs to it."""
    of = {"orchestration": "orchestration_id", "task": "task_id", "origin": "origin"}
    model = e["resolved_model"] or e["model"]
    text = "\n".join([e["scope"] or "", e["final_message"] or "", e["error_message"] or ""])
    paths = con.execute("SELECT path FROM file_touches WHERE execution_id = ?1 UNION SELECT path FROM outputs "
                        "WHERE execution_id = ?1 AND path IS NOT NULL", (e["execution_id"],)).fetchall()  # fmt: skip
    ended = con.execute("SELECT ended_at FROM claude_sessions WHERE claude_session_id = ?", (e["claude_session_id"],)).fetchone()
    until = e["completed_at"] or (ended[0] if e["lost"] else None) or "~"
    checks = {
        "agent_type": lambda v: e["agent_type"] in (v, "orchestrator:" + v),
        "model": lambda v: bool(model) and v in model or any(v in one for one in (e["models"] or "").split(",")),
        "status": lambda v: queries.state_of(e) == v,
        "since": lambda v: e["deployed_at"] >= v,
        "until": lambda v: e["deployed_at"] <= v,
        "at": lambda v: e["deployed_at"] <= v < until or (e["again_since"] or "~") <= v,
        "text": lambda v: words.holds(text, v),
        "file": lambda v: any(v in (".", p) or p.startswith(v.rstrip("/") + "/") for (p,) in paths),
    }
    return all(checks[name](v) if name in checks else e[of[name]] == v for name, v in asked.items())


asked = st.fixed_dictionaries(
    {},
    optional={
        "orchestration": st.sampled_from(["orch-00000003", "orch-00000011", "nix"]),
        "task": st.sampled_from(["t3", "t7"]),
        "agent_type": st.sampled_from(["builder", "orchestrator:scout", "Explore", "nobody"]),
        "model": st.sampled_from(["opus", "claude-haiku-5-5", "claude", "nix", "nux", "5,claude"]),
        "status": st.sampled_from(queries.STATUSES),
        "origin": st.sampled_from(["planned", "skill", "imported"]),
        "since": st.sampled_from([d + "T03:00:00.000Z" for d in DAY]),
        "until": st.sampled_from([d + "T06:00:00.000Z" for d in DAY]),
        "at": st.sampled_from(["2024-01-01T01:20:00.000Z", "2024-01-01T05:00:00.000Z", "2024-01-03T00:00:00.000Z"]),
        "text": st.sampled_from(WORDS),
        "file": st.sampled_from(["src/the/the.py", "src/parser", "src", "src/parser/config.py", "nix", ".", "src/"]),
    },
)


ways = st.fixed_dictionaries({"FEW": st.sampled_from([2, 30, 2000]), "READ": st.sampled_from([1, 20, 300]),
                              "PATIENCE": st.sampled_from([-1, 60])})  # fmt: skip


@contextlib.contextmanager
def by_way_of(way, ends=300, spoilt=False):
    """What counts as few, and how long is looked for without the index, decides the way, never the answer."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in way.items():
            patch.setattr(conditions if name == "FEW" else finding, name, value)
        patch.setattr(finding, "_CHECK", 1)
        patch.setattr(search, "ENDS", ends)
        if not spoilt:
            patch.setattr(search_index, "damaged", functools.partial(sound, search_index.damaged))
        yield


def sound(damaged, con, problem):
    """No mistake of ours is taken for an index that is damaged, which would be made anew with each search."""
    if not isinstance(problem, sqlite3.Error):
        raise problem
    return damaged(con, problem)


@given(asked, st.sampled_from([1, 7, 10_000]), ways, st.sampled_from([0, 300]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_asked_is_what_is_found(con, asked, limit, way, ends):
    """Executions come newest first and are exactly those that fit, few or many, by the index or without."""
    with by_way_of(way, ends):
        found = [e["execution_id"] for e in queries.executions(con, limit=limit, **asked)]
    assert found == [e["execution_id"] for e in every(con) if fits(con, e, asked)][:limit]


@pytest.mark.parametrize("text", [*WORDS, None])
@pytest.mark.parametrize(("few", "patience"), [(2, -1), (2, 60), (2000, 60)])
def test_outputs_are_found_as_reading_finds_them(con, text, few, patience):
    """Outputs with a text, of a type, a task or an agent, come newest first and are exactly those there are (S2-29)."""
    rows = con.execute("SELECT o.output_id, o.content, o.output_type, e.agent_type, e.task_id FROM outputs o JOIN executions e "
                       "USING (execution_id) ORDER BY o.created_at DESC, o.output_id DESC").fetchall()  # fmt: skip
    for kind, agent, task in itertools.product((None, "insight", "error", "deliverable"), (None, "scout"), (None, "t3")):
        wanted = [number for number, content, its_kind, its_agent, its_task in rows
                  if words.holds(content, text or "") and kind in (None, its_kind) and its_agent.endswith(agent or "")
                  and task in (None, its_task)]  # fmt: skip
        with by_way_of({"FEW": few, "READ": few, "PATIENCE": patience}):
            found = outputs.query(con, text=text, output_type=kind, agent_type=agent, task=task, limit=5)
        assert [o["output_id"] for o in found] == wanted[:5]


def test_the_newest_outputs_are_of_every_type(con):
    """Without a filter the latest outputs come first, also those of no type."""
    rows = con.execute("SELECT output_id FROM outputs ORDER BY created_at DESC, output_id DESC").fetchall()
    assert [o["output_id"] for o in outputs.query(con, limit=10_000)] == [row[0] for row in rows]


def test_new_and_changed_words_are_found_and_old_ones_are_not(tmp_path):
    """The index follows the history: what comes, what an end adds, what a later signal corrects, and a time that moves."""
    con = store.open_history(str(tmp_path / "history.db"))

    def told(number, **columns):
        for name, value in columns.items():
            con.execute("UPDATE executions SET %s = ? WHERE number = ?" % name, (value, number))
        con.execute("INSERT INTO events (dedupe_key, at, kind, execution_id) VALUES (?, '', 'stopped', ?)",
                    (str(columns), "e%d" % number))  # fmt: skip

    def found(text):
        return [e["execution_id"] for e in queries.executions(con, text=text)]

    for number in range(1, 4):
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES (?, 'unplanned', 'x', "
                    "'look at clocks', ?)", ("e%d" % number, "2026-11-2%dT08:00:00.000Z" % number))  # fmt: skip
    assert found("clocks") == ["e3", "e2", "e1"]
    told(2, status="completed", final_message="Ticking loudly")
    assert found("ticking") == ["e2"] and found("CLOCKS") == ["e3", "e2", "e1"]
    told(2, final_message="Silent after all")
    assert (found("ticking"), found("silent after"), found('"silent after"'), found('"after silent"')) == ([], ["e2"], ["e2"], [])
    told(1, deployed_at="2026-11-29T08:00:00.000Z", scope="look at dials")
    assert (found("look at"), found("clocks")) == (["e1", "e3", "e2"], ["e3", "e2"])
    con.execute("UPDATE executions SET scope = 'nothing' WHERE number = 3")  # at work, and no event says so
    assert found("clocks") == ["e2"] and found("nothing") == ["e3"]
    con.close()


def test_marks_follow_the_history(tmp_path):
    """A type, model, task, file or end that becomes known later is found together with a text, and what it was before is not."""
    con = store.open_history(str(tmp_path / "history.db"))
    insert = "INSERT INTO %s (%s) VALUES (%s)"

    def add(table, **columns):
        con.execute(insert % (table, ", ".join(columns), ", ".join("?" * len(columns))), tuple(columns.values()))

    def event(kind):
        add("events", dedupe_key=kind, at="", kind=kind, execution_id="e1")

    def found(kind="executions", **asked):
        with by_way_of({"FEW": 1, "READ": 0, "PATIENCE": -1}):
            query = queries.executions if kind == "executions" else outputs.query
            return [row["execution_id"] for row in query(con, text="clocks", **asked)]

    add("claude_sessions", claude_session_id="s", started_at="2026-11-20", ended_at="2026-11-22")
    for name in ("e1", "e2"):
        add("executions", execution_id=name, origin="unplanned", agent_type="unknown", scope="look at clocks", status="completed",
            claude_session_id="s", deployed_at="2026-11-21T08:00:00.000Z")  # fmt: skip
        add("outputs", execution_id=name, output_type="insight", content="clocks tick", created_at="2026-11-21T08:00:00.000Z")
    for kind in search.KINDS:
        assert found(kind, agent_type="unknown") == ["e2", "e1"] and found(kind, agent_type="scout") == []
    con.execute("UPDATE executions SET agent_type = 'scout', resolved_model = 'opus', task_id = 't3' WHERE execution_id = 'e1'")
    event("stopped")
    for kind in search.KINDS:
        assert found(kind, agent_type="scout") == found(kind, task="t3") == ["e1"] and found(kind, agent_type="unknown") == ["e2"]
    assert found(model="opus", agent_type="scout", task="t3") == ["e1"] and found(model="opus", agent_type="unknown") == []
    add("outputs", execution_id="e2", output_type="deliverable", content="x", created_at="2026-11-21", path="src/dials/face.py")
    assert found(file="src/dials/face.py") == found(file="src") == found(file="src/dials", agent_type="unknown") == ["e2"]
    con.execute("UPDATE executions SET status = 'failed' WHERE execution_id = 'e1'")
    event("corrected")
    assert found(status="failed") == ["e1"] and found(status="completed") == ["e2"] and found() == ["e2", "e1"]
    con.close()


def test_an_execution_that_changes_with_every_search(tmp_path):
    """However often its words change, and with them its end, it is found once, by its words of now, among few rows or many."""
    con = store.open_history(str(tmp_path / "history.db"))
    for number in range(40):
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES (?, 'unplanned', ?, "
                    "'word0 of all', '2026-11-21')", (f"e{number:02}", "rare" if number else "x"))  # fmt: skip

    def found(text, **asked):
        return [e["execution_id"] for e in queries.executions(con, text=text, **asked)]

    for turn in range(1, 40):
        con.execute("UPDATE executions SET scope = ?, status = ? WHERE number = 1",
                    (f"word{turn} of all", "failed" if turn % 2 else "completed"))  # fmt: skip
        con.execute("INSERT INTO events (dedupe_key, at, kind, execution_id) VALUES (?, '', 'stopped', 'e00')", (str(turn),))
        with by_way_of({"FEW": 1, "READ": 0}):
            assert found(f"word{turn}") == ["e00"] and found(f"word{turn - 1}") == ([] if turn > 1 else found("word0"))
            assert len(found("all", limit=100)) == 40
    con.execute("UPDATE executions SET scope = 'other of all' WHERE number > 9")  # no longer few among those of former turns
    with by_way_of({"FEW": 100, "READ": 0}):
        assert len(found("all", agent_type="rare", limit=100)) == 39
    con.close()


@pytest.mark.parametrize("given, found", [
    ("/etc/hosts", ["outside"]), ("/etc", ["outside"]), ("/etc/", ["outside"]), ("/", ["outside"]), (".", ["outside", "inside"]),
    ("src", ["inside"]), ("etc/hosts", []),
])  # fmt: skip
@pytest.mark.parametrize("text", [None, "clocks"])
def test_files_outside_the_project(tmp_path, given, found, text):
    """A file elsewhere is asked for by its whole path, as it was recorded, also together with a text."""
    con = store.open_history(str(tmp_path / "history.db"))
    for name, path in (("inside", "src/a.py"), ("outside", "/etc/hosts")):
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES (?, 'unplanned', 'x', "
                    "'clocks', '2026-11-21')", (name,))  # fmt: skip
        con.execute("INSERT INTO file_touches (execution_id, path, mode) VALUES (?, ?, 'read')", (name, path))
    asked = queries.path_in(con, str(tmp_path), given if given != "." else str(tmp_path))
    with by_way_of({"FEW": 1, "READ": 0, "PATIENCE": -1}):
        assert [e["execution_id"] for e in queries.executions(con, file=asked, text=text)] == found
    con.close()


@pytest.mark.parametrize("kind", search.KINDS)
def test_an_index_made_of_nothing(tmp_path, monkeypatch, kind):
    """A search of an empty history learns nothing that a row which comes while it is made would be searched by."""
    con, other = [store.open_history(str(tmp_path / "history.db")) for _ in range(2)]
    real = search_index._further

    def further(*given):
        if not other.execute("SELECT 1 FROM executions").fetchone():
            other.execute("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at, status) VALUES ('e', "
                          "'skill', 'x', 'alpha beta', '2026-11-21', 'completed')")  # fmt: skip
            other.execute("INSERT INTO outputs (execution_id, content, created_at) VALUES ('e', 'alpha beta', '2026-11-21')")
        return real(*given)

    monkeypatch.setattr(search_index, "_further", further)
    ask = queries.executions if kind == "executions" else outputs.query
    for _ in range(2):
        with by_way_of({}):
            assert len(ask(con, text='"alpha beta"')) == 1
    con.close()
    other.close()


def test_a_list_does_not_wait_for_the_index_of_a_large_history(tmp_path, monkeypatch):
    """A list of no words takes in a bounded number of rows, and goes by the history until the index has caught up."""
    path = str(tmp_path / "history.db")
    make_history.make(path, EXECUTIONS)
    con = store.open_history(path)
    monkeypatch.setattr(search_index, "BATCH", 150)
    want = [e["execution_id"] for e in every(con) if fits(con, e, {"agent_type": "builder", "model": "opus"})][:20]
    for taken in (150, 300, EXECUTIONS):
        with by_way_of({"FEW": 1, "PATIENCE": -1}):
            assert [e["execution_id"] for e in queries.executions(con, agent_type="builder", model="opus")] == want
        assert con.execute("SELECT value FROM found.kept WHERE name = 'executions'").fetchone() == (taken,)
    con.close()


def test_what_is_frequent_is_learned_again_when_the_history_has_grown(tmp_path, monkeypatch):
    """Phrases of frequent words are found whether they were frequent when the index was made or became so."""
    con = store.open_history(str(tmp_path / "history.db"))
    monkeypatch.setattr(search_index, "BATCH", 100)

    def add(numbers, scope):
        con.executemany("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES "
                        "(?, 'unplanned', 'x', ?, '2026-11-21')", [(f"e{n:04}", scope) for n in numbers])  # fmt: skip

    def found(text):
        with by_way_of({}):
            return len(queries.executions(con, text=text, limit=1000))

    add(range(30), "the parser waits")
    assert found('"the parser"') == 30 and search.frequent(con, "executions", "rest") == {"the", "parser", "waits"}
    add(range(30, 430), "a reader of the queue")
    assert found('"reader of the"') == 400 and found('"the parser"') == 30 and found('"of a reader"') == 0
    assert search.frequent(con, "executions", "rest") == {"a", "reader", "of", "the", "queue", "parser", "waits"}
    con.close()


@pytest.mark.parametrize("kind", search.KINDS)
def test_words_that_hardly_any_row_has_together_are_not_gone_through(tmp_path, monkeypatch, kind):
    """Where common words and filters are rare together, a search reads the few rows that have all; FTS5 is not asked."""
    path = str(tmp_path / "history.db")
    con = store.open_history(path)
    monkeypatch.setattr(search_index, "BATCH", 100)
    monkeypatch.setattr(search_bits, "PIECE", 64)
    monkeypatch.setattr(search_bits, "BLOCK", 16)
    monkeypatch.setattr(search_index, "ENOUGH", 10)
    ask = queries.executions if kind == "executions" else outputs.query

    def add(number, text, **columns):
        row = {"execution_id": f"e{number:03}", "origin": "unplanned", "agent_type": "scout" if number % 2 else "tester",
               "scope": text, "deployed_at": "2026-11-21", "status": "completed", **columns}  # fmt: skip
        con.execute(f"INSERT INTO executions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
        con.execute("INSERT INTO outputs (execution_id, output_type, content, created_at) VALUES (?, ?, ?, '2026-11-21')",
                    (row["execution_id"], "insight" if number % 3 else "error", text))  # fmt: skip

    def found(text, **asked):
        return [row["execution_id"] for row in ask(con, text=text, **asked)]

    three = ["alpha", "beta", "gamma"]
    for number in range(300):
        add(number, " ".join(word for word in three if word != three[number % 3]))
    for number in (17, 250):
        add(number + 300, f"alpha beta gamma number{number}")
    asked = set()
    with by_way_of({"FEW": 2, "READ": 20, "FETCHED": 20}), monkeypatch.context() as patch:
        patch.setattr(finding, "_of_part", lambda where, limit, part, *of: asked.add(part) or [])
        assert found("alpha beta gamma") == ["e550", "e317"] and found("gamma alpha beta", agent_type="scout") == ["e317"]
        assert found('"beta alpha" gamma') == [] and found("alpha gamma beta bet*", agent_type="tester") == ["e550"]
        assert found("alpha gamma beta number17 bet*") == ["e317"] and found("alpha number18 gamma beta") == []
        assert not asked
        assert found("alpha beta") == [] and asked & {"rest", "insight"}  # many have these: FTS5 finds the newest
        if kind == "outputs":
            asked.clear()
            assert found("alpha beta", output_type="error") == [] and found("alpha beta", output_type="insight") == []
            assert asked == {"insight"}
    con.execute("UPDATE executions SET scope = 'alpha, beta, gamma' WHERE number = 5")
    con.execute("UPDATE outputs SET content = 'alpha, beta, gamma' WHERE output_id = 5")
    add(700, "gamma, beta, alpha")
    for name in ("e004", "e550"):
        con.execute("INSERT INTO events (dedupe_key, at, kind, execution_id) VALUES (?, '', 'stopped', ?)", (name, name))
    with by_way_of({"FEW": 2, "READ": 20}):
        assert found("alpha beta gamma") == ["e700", "e550", "e317", "e004"]
    con.close()


@pytest.mark.parametrize("text, found", [
    ('"often seldom"', 2), ('"seldom often" now*', 2), ('"often seldom often"', 0), ("n*", 400), ("n3*", 111), ("n3* n*", 111),
    ("n3* seldom", 39), ("n3* nobody*", 0), ("wo* now", 3), ("配置文", 2), ("配置文件", 1),
    ("配置 nobody", 0), ("配置 often", 2),
])  # fmt: skip
def test_words_in_a_row_beginnings_and_signs_are_not_gone_through(tmp_path, monkeypatch, text, found):
    """A frequent word beside a common one, what many words begin with and writing without spaces: few rows are read for these."""
    con = store.open_history(str(tmp_path / "history.db"))
    for name, value in (("BATCH", 100), ("ENOUGH", 10), ("SHARE", 2)):
        monkeypatch.setattr(search_index, name, value)
    monkeypatch.setattr(search_bits, "PIECE", 64)
    monkeypatch.setattr(search_bits, "LARGE", 200)
    monkeypatch.setattr(search_bits, "BLOCK", 16)
    more = {3: "seldom often", 363: "seldom often", 100: "配置文件", 122: "often seldom", 242: "often seldom",
            200: "文置", 300: "a配置文", 49: "word", 50: "world", 51: "wo"}  # fmt: skip
    said = [f"often {'now seldom' if n % 3 == 0 else 'now'} n{n} {'配置' if n % 5 else ''} {more.get(n, '')}" for n in range(400)]
    con.executemany("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES (?, 'skill', 'x', ?, "
                    "'2026-11-21')", [(f"e{n:03}", text) for n, text in enumerate(said)])  # fmt: skip

    def never(where, limit, part, *asked):
        assert part == "failed"  # where nothing is
        return []

    with by_way_of({"FEW": 2, "READ": 50}, ends=10), monkeypatch.context() as patch:
        patch.setattr(finding, "_rows", never)
        patch.setattr(finding, "_of_part", never)
        names = [e["execution_id"] for e in queries.executions(con, text=text, limit=1000)]
    assert names == [f"e{n:03}" for n in range(399, -1, -1) if words.holds(said[n], text)] and len(names) == found
    con.close()


def test_the_newest_come_first_in_whatever_order_they_came(tmp_path, monkeypatch):
    """Executions of the past that are imported later do not come before newer ones, where few have all words that are common."""
    con = store.open_history(str(tmp_path / "history.db"))
    monkeypatch.setattr(search_index, "BATCH", 100)
    monkeypatch.setattr(search_bits, "PIECE", 64)
    monkeypatch.setattr(search_bits, "BLOCK", 16)
    monkeypatch.setattr(search_index, "ENOUGH", 10)
    monkeypatch.setattr(search_bits, "SHARE", 500)
    for number in range(1, 400):
        day = number if number < 200 else number - 380  # from number 200 on they are of the year before, but for the last
        row = (f"e{number}", "alpha" if number % 20 else "alpha beta", f"{day} days")
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES (?, 'skill', 'x', ?, "
                    "date('2026-01-01', ?))", row)  # fmt: skip
    want = [f"e{n}" for n in sorted(range(20, 400, 20), key=lambda n: n if n < 200 else n - 380, reverse=True)]
    with by_way_of({"FEW": 2}), monkeypatch.context() as patch:
        patch.setattr(finding, "_of_part", lambda where, limit, part, *of: [])
        for limit in (1, 3, 12, 100):
            assert [e["execution_id"] for e in queries.executions(con, text="beta alpha", limit=limit)] == want[:limit]
    con.close()


def test_two_who_make_the_index_at_once_learn_the_same(tmp_path, monkeypatch):
    """Which words are frequent is learned by one process only: the rows stand in the index with its pairs."""
    path = str(tmp_path / "history.db")
    make_history.make(path, EXECUTIONS)
    con, other = [store.open_history(path) for _ in range(2)]
    real, meanwhile = search_index._transaction, []

    def transaction(writer, work, *more):
        if writer is con and not meanwhile:
            meanwhile.append(True)
            with monkeypatch.context() as patch:
                patch.setattr(search_index, "SHARE", 1)  # no word is in every row
                assert queries.executions(other, text='"the parser"')
        return real(writer, work, *more)

    monkeypatch.setattr(search_index, "_transaction", transaction)
    with by_way_of({}):
        found = [e["execution_id"] for e in queries.executions(con, text='"the parser"', limit=1000)]
    assert found == [e["execution_id"] for e in every(con) if fits(con, e, {"text": '"the parser"'})]
    assert meanwhile and search.frequent(con, "executions", "rest") == search.frequent(other, "executions", "rest")
    for each in (con, other):
        each.close()


def test_who_finds_the_index_being_made_waits_for_it(tmp_path, monkeypatch):
    """A search while another makes the index takes in what is left, or waits, as long as the other gets on."""
    path = str(tmp_path / "history.db")
    make_history.make(path, EXECUTIONS)
    monkeypatch.setattr(search_index, "BATCH", 10)
    real, begun = search_index._some, threading.Event()

    def slowly(con, kind):
        begun.set()
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.1)
        return real(con, kind)

    def make():
        con = store.open_history(path)
        assert search_index.ready(con, "executions")
        con.close()

    monkeypatch.setattr(search_index, "_some", slowly)
    other = threading.Thread(target=make)
    other.start()
    begun.wait()
    con = store.open_history(path, 2.0)
    assert search_index.ready(con, "executions")
    other.join()
    assert con.execute("SELECT count(DISTINCT number), count(*) FROM (SELECT number FROM found.executions_rest_rows UNION ALL "
                       "SELECT number FROM found.executions_failed_rows)").fetchone() == (EXECUTIONS, EXECUTIONS)  # fmt: skip
    holder = sqlite3.connect(path + "-search", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    con.execute("UPDATE executions SET scope = 'else' WHERE number = 395")  # at work: to be taken in anew
    con.close()
    con = store.open_history(path, 0.1)
    assert not search_index.ready(con, "executions")  # who does not get on is not waited for
    con.close()
    holder.close()


def test_the_index_is_a_cache(tmp_path):
    """An index that is damaged, of another history, or cannot be made loses nothing: the same is found."""
    path = str(tmp_path / "history.db")
    make_history.make(path, 120)

    def found():
        con = store.open_history(path)
        try:
            return [e["execution_id"] for e in queries.executions(con, text="the parser", limit=500)]
        finally:
            con.close()

    first = found()
    assert first and (tmp_path / "history.db-search").stat().st_mode & 0o777 == 0o600
    (tmp_path / "history.db-search").write_bytes(b"no database at all" * 1000)
    assert found() == first
    whole = bytearray((tmp_path / "history.db-search").read_bytes())
    for at in range(4096 * 8, len(whole), 4096):  # all but what the tables are
        whole[at : at + 4096] = b"\xff" * 4096
    (tmp_path / "history.db-search").write_bytes(whole)
    assert found() == first == found()
    dice = random.Random(1)
    for n in range(60):
        whole = bytearray((tmp_path / "history.db-search").read_bytes())
        for at in dice.choices(range(100, len(whole)), k=1 + n * 5):
            whole[at] = dice.randrange(256)
        (tmp_path / "history.db-search").write_bytes(whole)
        with by_way_of({"FEW": 1000, "READ": n % 2 * 300}, spoilt=True):
            con = store.open_history(path)
            queries.executions(con, text="the parser", agent_type="builder")  # whatever it says, it is no error
            con.close()
        search_index.remove(path)
        assert found() == first
    other = str(tmp_path / "other.db")
    make_history.make(other, 60)
    con = store.open_history(other)
    queries.executions(con, text="parser")
    con.close()
    (tmp_path / "other.db-search").replace(tmp_path / "history.db-search")
    assert found() == first
    search_index.remove(path)
    (tmp_path / "history.db-search").mkdir()
    assert found() == first


@pytest.mark.parametrize("wanted", ["a" * 40000 + "x", "a" * 40000, "a" * 40000 + "*", '"of %sy"' % ("a" * 40000), "é" * 20000])
def test_words_longer_than_the_index_sees(tmp_path, wanted):
    """Data without spaces is one long word, and found as reading finds it, to its last letter."""
    con = store.open_history(str(tmp_path / "history.db"))
    texts = ["a" * 40000 + "x", "of " + "a" * 40000 + "y", "a" * 40000, "a" * 32768, "é" * 20000, "é" * 16384, "e" * 20000]
    for number, text in enumerate(texts):
        con.execute("INSERT INTO executions (execution_id, origin, agent_type, scope, deployed_at) VALUES (?, 'skill', 'x', ?, "
                    "'2026-11-21')", (f"e{number}", text))  # fmt: skip
    with by_way_of({"FEW": 1}):
        found = {e["execution_id"] for e in queries.executions(con, text=wanted)}
    assert found == {f"e{number}" for number, text in enumerate(texts) if words.holds(text, wanted)} and found
    con.close()


SAID = ["tick", "tock", "Uhr", "é", "новый", "ώρα", "हिन्दी", "\ue0a0main", "配置", "文件 ", "->", "::", '"', "ſt", "straße", "_x"]
few = st.tuples(st.sampled_from(["", " "]), st.lists(st.sampled_from(SAID), max_size=9)).map(lambda each: each[0].join(each[1]))


@given(st.text(max_size=40) | few, st.text(min_size=1, max_size=8) | few | few.map('"{}"'.format), st.booleans())
@settings(deadline=None, max_examples=400)
def test_reading_and_the_index_agree_on_any_text(text, wanted, frequent):
    """What `holds` says of a text is what the index finds, for whatever it can be asked, whether it knows pairs or not."""
    if words.terms(wanted) is None and not any(words.signs_of(wanted)):
        return  # only reading finds it
    con = sqlite3.connect(":memory:")
    con.execute("ATTACH ':memory:' AS found")
    for statement in search_index._TABLES:
        con.execute(statement)
    con.execute("INSERT INTO found.kept VALUES ('outputs_rest frequent', ?)", (words.plain(text) if frequent else "",))
    search.teach(con, {"rest": search.frequent(con, "outputs", "rest")})
    con.execute("INSERT INTO found.outputs_rest (rowid, words) SELECT 1, said(?1, 'rest')", (text,))
    for asked, whole in search.expressions(con, "outputs", "rest", wanted, {}):
        found = con.execute("SELECT 1 FROM found.outputs_rest WHERE words MATCH ?", (asked,)).fetchone() is not None
        assert words.holds(text, wanted) == found or found and not whole
    con.close()


def test_totals_of_every_view_are_the_sums_of_the_rows(con):
    """Statistics by type, model, day, orchestration and execution agree with the executions and with each other."""
    rows, whole = every(con), stats.statistics(con, days=1000)
    used = [e for e in rows if e["tokens"]["how"] == "usage"]
    tokens = sum(e["tokens"]["number"] for e in used)
    cost = sum(e["cost_usd"] for e in used)
    assert whole["fleet"]["executions"] == len(rows) == EXECUTIONS
    for name in ("completed", "failed"):
        assert whole["fleet"][name] == sum(queries.state_of(e) == name for e in rows)
        for view in ("by_agent_type", "by_day"):
            assert sum(each[name] for each in whole[view]) == whole["fleet"][name], view
    assert whole["fleet"]["lost"] == sum(e["lost"] for e in rows) > 0
    again = [e for e in rows if e["at_work_again"]]
    assert {e["status"] for e in again} == {"completed", "failed"}
    assert whole["fleet"]["in_flight"] == sum(queries.state_of(e) == "deployed" for e in rows)
    for e in again:
        assert stats.of(con, "execution", e["execution_id"])["fleet"]["in_flight"] == 1
    for name in ("calls", "refused_calls", "files_read", "files_written", "lines_added", "lines_removed"):
        assert whole["fleet"][name] == sum(e[name] for e in rows)
    for view in ("by_agent_type", "by_model", "by_day"):
        assert sum(each["tokens"]["number"] for each in whole[view]) == tokens == whole["usage"]["tokens"]["number"], view
        assert sum(each["cost_usd"] for each in whole[view]) == pytest.approx(cost)
    for view in ("by_agent_type", "by_day"):
        assert sum(each["executions"] for each in whole[view]) == len(rows)
    for each in whole["by_agent_type"]:
        mine = [e for e in rows if e["agent_type"] == each["agent_type"]]
        assert (each["executions"], each["lost"]) == (len(mine), sum(e["lost"] for e in mine))
        assert each["seconds"] == pytest.approx(sum(e["seconds"] or 0 for e in mine), abs=0.01 * len(mine))
    for orchestration in {e["orchestration_id"] for e in rows} - {None}:
        mine = [e for e in rows if e["orchestration_id"] == orchestration]
        told = stats.of(con, "orchestration", orchestration)
        assert told["fleet"]["executions"] == len(mine)
        known = [e["tokens"]["number"] for e in mine if e["tokens"]["how"] == "usage"]
        assert told["usage"]["tokens"]["number"] == (sum(known) if known else None)
        assert told["usage"]["unmeasured"] == len(mine) - len(known)
    unknown = sum(e["tokens"]["how"] != "usage" for e in rows)
    assert whole["usage"]["unmeasured"] == whole["by_part"]["agents"]["unmeasured"] == unknown > 0
    for view in ("by_agent_type", "by_day"):
        assert sum(each["unmeasured"] for each in whole[view]) == unknown
    one = used[0]
    assert stats.of(con, "execution", one["execution_id"])["usage"]["tokens"]["number"] == one["tokens"]["number"]
    passed = con.execute("SELECT sum(content LIKE '%pass%') FROM outputs WHERE output_type = 'validation_result'").fetchone()[0]
    assert whole["validation"]["passed"] == passed == sum(day["passed"] for day in whole["validation"]["by_day"])


def test_statistics_of_some_days_are_those_days(con):
    """since and until take whole days; the rest of a month is left out."""
    day = stats.statistics(con, "2024-01-01", "2024-01-01")
    mine = [e for e in every(con) if e["deployed_at"].startswith("2024-01-01")]
    assert day["fleet"]["executions"] == len(mine) and [d["day"] for d in day["by_day"]] == ["2024-01-01"]


def test_quantiles_are_values_that_occurred(con):
    """Of each type and model: how long, how many tokens and how many dollars its latest completed executions took."""
    for each in quantiles.of_type(con, "orchestrator:builder"):
        mine = [e for e in every(con) if e["agent_type"] == "orchestrator:builder" and e["status"] == "completed"
                and (e["resolved_model"] or e["model"]) == each["model"]]  # fmt: skip
        assert 0 < each["executions"] <= len(mine)
        assert set(each["tokens"].values()) <= {e["tokens"]["number"] for e in mine}
        assert list(each["seconds"].values()) == sorted(each["seconds"].values())


def taken(rows, since="", until=""):
    """{(agent type, model): the tokens, in order, of its latest executions that completed in some days}, from all rows."""
    out = {}
    for e in sorted(rows, key=lambda e: e["completed_at"] or "", reverse=True):
        if e["status"] == "completed" and since <= e["completed_at"] <= until + "~":
            out.setdefault((e["agent_type"], e["resolved_model"] or e["model"]), []).append(e["tokens"]["number"])
    return {key: sorted(numbers[: quantiles.LATEST]) for key, numbers in out.items()}


@pytest.mark.parametrize("since, until", [("", ""), ("2024-01-02", "2024-01-02"), ("2024-01-01", "2024-01-01"),
                                          ("", "2023-12-24"), ("2024-01-05", ""), ("2024-01-03", "2024-01-05"),
                                          ("2030-01-01", "")])  # fmt: skip
def test_every_type_has_its_quantiles_in_the_days_asked_for(con, since, until):
    """Statistics list quantiles of every agent type and model, of the latest executions that completed in the days asked for."""
    expected = taken(every(con), since, until)
    found = stats.statistics(con, since or None, until or None)["quantiles"]
    assert [(each["agent_type"], each["model"]) for each in found] == sorted(expected, key=lambda key: (key[0], key[1] or ""))
    for each in found:
        tokens = expected[each["agent_type"], each["model"]]
        assert each["executions"] == len(tokens)
        assert each["tokens"] == {str(q): tokens[min(len(tokens) - 1, len(tokens) * q // 100)] for q in (10, 50, 90, 95)}
    if not since + until:
        assert {key[0] for key in expected} == {e["agent_type"] for e in every(con) if e["status"] == "completed"}


def test_what_took_days_counts_where_it_completed(con):
    """An execution that was deployed days before the period and completed in it is among those whose quantiles are taken."""
    slow = next(e for e in every(con) if e["completed_at"] == "2024-01-05T00:00:00.000Z")
    assert slow["status"] == "completed" and slow["seconds"] > 3 * 86400
    found = stats.statistics(con, "2024-01-05", "2024-01-05")["quantiles"]
    assert [(each["agent_type"], each["executions"]) for each in found] == [(slow["agent_type"], 1)]


@pytest.mark.parametrize("latest", [3, 8])
def test_each_model_of_a_type_has_its_own_latest(con, monkeypatch, latest):
    """A model's quantiles rest on its own latest executions, however many others of the type ran on another model since."""
    monkeypatch.setattr(quantiles, "LATEST", latest)
    expected = taken(every(con))
    found = {(each["agent_type"], each["model"]): each["executions"] for each in stats.statistics(con)["quantiles"]}
    assert found == {key: len(numbers) for key, numbers in expected.items()} and latest in found.values()
    of_type = {each["model"]: each["executions"] for each in quantiles.of_type(con, "orchestrator:builder", latest)}
    assert of_type == {model: count for (name, model), count in found.items() if name == "orchestrator:builder"}


def test_many_types_share_what_is_looked_at(con, monkeypatch):
    """However many types and models there are, only so many executions are looked at, and each keeps some of its own."""
    monkeypatch.setattr(quantiles, "TOGETHER", 60)
    found = stats.statistics(con)["quantiles"]
    completed = {e["agent_type"] for e in every(con) if e["status"] == "completed"}
    assert {each["agent_type"] for each in found} == completed
    assert sum(each["executions"] for each in found) <= 60


def test_the_table_of_quantiles_lists_every_type(con):
    """What a person is shown of how much agents take has a row for each type and model, and says of which days."""
    from orchestrator.edges.cli.stats import told

    body = stats.statistics(con)
    shown = "\n".join(told(body)).split("What one takes (of the latest that completed)\n")[1]
    assert len(shown.split("\n")) == 1 + len(body["quantiles"])
    assert "that completed in these days)" in "\n".join(told(stats.statistics(con, "2024-01-01", "2024-01-01")))


def test_bundles_that_passed_come_first(con):
    """A bundle is judged by all that it was sent to, those that failed or had no checks too (S2-48)."""
    found, before = stats.bundles(con)
    assert found[0]["not_passed"] + found[0]["failed"] == 0 and found[0]["passed"] > 0 and before is None
    assert sum(each["executions"] for each in found) == EXECUTIONS
    for each in found:
        mine = [e for e in every(con) if e["bundle_id"] == each["bundle_id"]]
        verdicts = [v for e in mine for v in outputs.validation(con, e["execution_id"]).values()]
        assert each["executions"] == len(mine)
        for name in ("completed", "failed"):
            assert each[name] == sum(e["status"] == name for e in mine)
        assert (each["passed"], each["not_passed"]) == (verdicts.count("pass"), verdicts.count("fail"))


def test_bundles_that_were_sent_before_are_said(con, monkeypatch):
    """Only the bundles of the latest executions are listed, whole; those before are a matter of --until, and nothing is lost."""
    monkeypatch.setattr(stats, "JUDGED", 50)
    listed, until = [], None
    while True:
        found, before = stats.bundles(con, None, until)
        listed += [each["bundle_id"] for each in found]
        if before is None:
            break
        assert until is None or before < until
        until = before
    assert set(listed) == {e["bundle_id"] for e in every(con)}
    assert {each["deployed_at"][:10] for each in stats.bundles(con, *DAY)[0]} == {DAY[0]}


@pytest.mark.parametrize("since, until", [(None, None), ("2023-01-01", None)])
def test_days_that_are_not_listed_are_said(con, monkeypatch, since, until):
    """Days are listed up to a number, more of an asked period; the latest of those before is named, by which they are found."""
    every_day = [each["day"] for each in stats.statistics(con, since, until, days=1000)["by_day"]]
    for name in ("DAYS", "DAYS_ASKED"):
        monkeypatch.setattr(stats, name, 1 if bool(since) == (name == "DAYS_ASKED") else 1000)
    whole = stats.statistics(con, since, until)
    assert [each["day"] for each in whole["by_day"]] == every_day[:1] and whole["days_before"] == every_day[1]
    con.execute("SAVEPOINT before")
    con.execute("INSERT INTO outputs (execution_id, output_type, content, created_at, passed) VALUES ('e', 'validation_result', "
                "'{\"tests\": \"fail\"}', '2023-12-23', 0)")  # fmt: skip
    for days, listed in ((1, ["2024-01-01"]), (2, ["2024-01-01", "2023-12-23"])):
        checked = stats.checks(con, since, until, days)
        assert [each["day"] for each in checked["by_day"]] == listed
        assert checked["days_before"] == ("2023-12-23" if days == 1 else None)
    con.execute("ROLLBACK TO before")
    con.execute("RELEASE before")
    monkeypatch.setattr(stats, "DAYS_ASKED", 1000)
    before = stats.statistics(con, since, whole["days_before"])
    assert [each["day"] for each in before["by_day"]] == every_day[1:] and before["days_before"] is None


@pytest.mark.parametrize("since, until", [(None, None), DAY, ("2023-01-01", None), (None, DAY[0])])
def test_statistics_count_as_lost_what_lists_do(con, since, until):
    """What has neither ended nor is at work is lost, of each agent type and period: as many as the view of them has."""
    told = stats.statistics(con, since, until)
    asked = "SELECT agent_type, count(*) FROM lost_executions WHERE deployed_at >= ? AND deployed_at < ? || '~' GROUP BY 1"
    wanted = dict(con.execute(asked, (since or "", until or "~")).fetchall())
    assert told["fleet"]["lost"] == sum(wanted.values()) and (wanted or since or until)
    assert {row["agent_type"]: row["lost"] for row in told["by_agent_type"] if row["lost"]} == wanted


def test_statistics_are_json(con):
    """What --json prints is plain values."""
    assert json.loads(json.dumps(stats.statistics(con)))["fleet"]["executions"] == EXECUTIONS
