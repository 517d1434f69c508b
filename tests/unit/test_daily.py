"""Roll-ups: sums by day and by month equal the sums of the rows, whatever happens to these, in any order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.recording import rollup
from orchestrator.recording.rollup import COUNTED, USED
from orchestrator.services import stats
from orchestrator.store.open import open_history

ROLL_UPS = (
    ("daily", "day, agent_type", COUNTED),
    ("daily_usage", "day, agent_type, model, kind", USED),
    ("daily_checks", "day", ["passed", "not_passed"]),
)

days = st.sampled_from(["2026-10-03", "2026-10-31", "2026-11-20", "2026-11-21"])
RANGES = [
    (None, None), ("2026-10-02", None), ("2026-10-04", "2026-11-20"), ("2026-10-25", "2026-11-30"), (None, "2026-10-30"),
    ("2026-11-21", "2026-11-21"), ("2026-11-02", "2026-11-20"), ("2025-01-01", "2026-10-02"),
]  # fmt: skip
times = st.builds("{}T0{}:00:00.000Z".format, days, st.integers(0, 9)) | st.just("2026-11-31T99:00:00.000Z")
some = st.integers(0, 3)
owners = st.sampled_from(["e1", "e2", "e3"])
costs = st.one_of(st.none(), st.integers(0, 9).map(lambda n: n / 10))
models = st.sampled_from(["claude-opus-5-5", "claude-opus-5-5[1m]", "claude-haiku-5-5"])
columns = {
    "agent_type": st.sampled_from(["orchestrator:builder", "scout"]),
    "model": st.none() | models,
    "resolved_model": st.none() | models,
    "status": st.sampled_from(["deployed", "completed", "failed"]),
    "attempt": st.integers(1, 2),
    "deployed_at": times,
    "started_at": st.none() | times,
    "completed_at": st.none() | times,
    **dict.fromkeys(COUNTED[5:], some),
    "final_message": st.none() | st.just("words"),
}
fields = st.fixed_dictionaries({}, optional=columns)
spent = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["execution", "session", "compaction", "unseen"]),
        "model": models,
        "day": days,
    },
    optional={
        "cost_usd": costs,
        "messages": some,
        "input_tokens": some,
        "cache_write_5m_tokens": some,
        "cache_write_1h_tokens": some,
        "cache_read_tokens": some,
        "output_tokens": some,
    },
)
CHECKS = ("(SELECT substr(created_at, 1, 10) AS day, passed, 1 - passed AS not_passed FROM outputs WHERE passed IS NOT NULL AND "
          "created_at IS NOT NULL)")  # fmt: skip
checks = st.tuples(st.sampled_from(['{"tests": "x"}', '{"lint": "y"}', "no JSON"]), st.sampled_from([None, False, True]))
steps = st.one_of(
    st.tuples(st.just("deploy"), owners, fields),
    st.tuples(st.just("change"), owners, fields),
    st.tuples(st.just("forget"), owners),
    st.tuples(st.just("use"), owners, spent),
    st.tuples(st.just("price"), costs),
    st.tuples(st.just("reread"), owners),
    st.tuples(st.just("check"), owners, st.none() | times, checks),
    st.tuples(st.just("uncheck"), owners),
)


def apply(con, step):
    """One thing that may happen to the rows."""
    what, *more = step
    if what == "deploy":
        owner, values = more
        values = {"agent_type": "scout", "deployed_at": "2026-11-21T00:00:00.000Z", **values}
        names = ", ".join(values)
        con.execute(
            "INSERT OR IGNORE INTO executions (execution_id, origin, %s) VALUES (?, 'unplanned'%s)"
            % (names, ", ?" * len(values)),
            (owner, *values.values()),
        )
    elif what == "change" and more[1]:
        owner, values = more
        changes = ", ".join("%s = ?" % name for name in values)
        con.execute("UPDATE executions SET %s WHERE execution_id = ?" % changes, (*values.values(), owner))
    elif what == "forget":
        con.execute("DELETE FROM executions WHERE execution_id = ?", more)
    elif what == "use":
        owner, values = more
        if (
            values["kind"] == "execution"
            and not con.execute("SELECT 1 FROM executions WHERE execution_id = ?", (owner,)).fetchone()
        ):
            return  # tokens of an execution are read once it is there
        con.execute(
            "INSERT INTO usage (owner, %s) VALUES (?%s) ON CONFLICT DO UPDATE SET messages = messages + 1, "
            "output_tokens = output_tokens + excluded.output_tokens, cost_usd = cost_usd + excluded.cost_usd"
            % (", ".join(values), ", ?" * len(values)),
            (owner, *values.values()),
        )
    elif what == "price":
        con.execute("UPDATE usage SET cost_usd = ? WHERE cost_usd IS NULL", more)
    elif what == "reread":
        con.execute("DELETE FROM usage WHERE owner = ?", more)
    elif what == "check":
        owner, at, (content, passed) = more
        con.execute(
            "INSERT OR IGNORE INTO outputs (execution_id, output_type, content, created_at, passed) "
            "VALUES (?, 'validation_result', ?, ?, ?)",
            (owner, content, at, passed),
        )
    elif what == "uncheck":
        con.execute("DELETE FROM outputs WHERE execution_id = ?", more)


def sums(con, table, key, numbers):
    """What a table comes to, by its key; rows of nothing but zeros left out."""
    names = ", ".join("sum(%s)" % name for name in numbers)
    rows = con.execute("SELECT %s, %s FROM %s GROUP BY %s ORDER BY %s" % (key, names, table, key, key)).fetchall()
    at = key.count(",") + 1
    return {row[:at]: row[at:] for row in rows if any(abs(number) > 1e-9 for number in row[at:])}


def agree(con):
    """Every roll-up with its news equals the sum of its parts, so does it when it has taken them in, and the sums by month are
    those by day."""
    for taken_in in (False, True):
        for table, key, numbers in ROLL_UPS:
            names, source = ", ".join([*key.split(", "), *numbers]), table
            if table in rollup.NEWS and not taken_in:
                source = "(SELECT %s FROM %s UNION ALL SELECT %s FROM (%s))" % (names, table, names, rollup.NEWS[table])
            parts = "(%s)" % rollup.PARTS[table] if table in rollup.PARTS else CHECKS
            mine, theirs = sums(con, source, key, numbers), sums(con, parts, key, numbers)
            assert set(mine) == set(theirs), table
            for each in mine:
                assert mine[each] == pytest.approx(theirs[each]), (table, each)
        for since, until in RANGES:
            keys, numbers = ("agent_type", "agent_type, model, kind"), (COUNTED, USED)
            news = stats._news(con)
            whole = stats._whole(con, since or "", until or "~", news)
            whole = whole if set(whole) <= stats._standing(con) else []
            found_of = zip(stats._sums(con, since, until, whole, news), ("daily", "daily_usage"), keys, numbers, strict=True)
            for found, table, key, names in found_of:
                between = "day >= '%s' AND day <= '%s'" % (since or "", until or "~")
                theirs = sums(con, "(SELECT * FROM (%s) WHERE %s)" % (rollup.PARTS[table], between), key, names)
                assert set(found) == set(theirs), (since, until)
                for each in theirs:
                    assert found[each] == pytest.approx(theirs[each]), (since, until, each)
        stats.refresh_months(con)
    for table, key, numbers in (("daily", "agent_type", COUNTED), ("daily_usage", "agent_type, model, kind", USED)):
        by_day, by_month = [sums(con, name, key, numbers) for name in (table, table.replace("daily", "monthly"))]
        assert set(by_month) == set(by_day)
        for each in by_day:
            assert by_month[each] == pytest.approx(by_day[each]), (table, each)


@given(st.lists(steps, max_size=25), st.integers(0, 25))
@settings(max_examples=80, deadline=None)
def test_the_roll_ups_are_the_sums_of_the_rows(tmp_path_factory, what_happens, middle):
    """Whatever happens to the rows, `daily`, `daily_usage`, `daily_checks` and their months equal their sums."""
    con = open_history(str(tmp_path_factory.mktemp("daily") / "history.db"))
    con.execute("PRAGMA synchronous = OFF")
    con.execute("BEGIN")
    for number, step in enumerate(what_happens):
        apply(con, step)
        if number == middle:
            agree(con)  # months that were summed up must notice what comes after
    agree(con)
    con.execute("COMMIT")
    con.close()


def test_an_execution_forgotten_takes_its_tokens_along(tmp_path):
    """Rows of usage do not outlive the execution they are of."""
    con = open_history(str(tmp_path / "history.db"))
    apply(con, ("deploy", "e1", {}))
    apply(con, ("use", "e1", {"kind": "execution", "model": "m", "day": "2026-11-21", "output_tokens": 3}))
    apply(con, ("use", "e1", {"kind": "session", "model": "m", "day": "2026-11-21", "output_tokens": 4}))
    apply(con, ("forget", "e1"))
    assert con.execute("SELECT kind, output_tokens FROM usage").fetchall() == [("session", 4)]
    con.execute("BEGIN")
    agree(con)
    con.execute("COMMIT")
    con.close()


def test_a_month_that_nothing_has_summed_up_yet_counts(tmp_path):
    """What changed since the roll-ups were made counts, also as the first of its month, the first time statistics are asked
    for as much as the next."""
    con = open_history(str(tmp_path / "history.db"))
    for month in ("08", "09", "10"):
        apply(con, ("deploy", "e" + month, {"deployed_at": "2026-%s-10T00:00:00.000Z" % month}))
        apply(con, ("use", "e" + month, {"kind": "execution", "model": "m", "day": "2026-%s-10" % month, "output_tokens": 1}))
        if month == "09":
            rollup.take_in(con)
    for _ in range(2):
        found = stats.statistics(con)
        assert found["usage"]["tokens"]["number"] == found["fleet"]["executions"] == 3
        assert sum(day["tokens"]["number"] for day in found["by_day"]) == 3
    con.close()
