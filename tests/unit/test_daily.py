"""Roll-ups: `daily` and `daily_checks` are the sums of the rows, whatever happens to these, in any order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.store.open import open_history

NUMBERS = (
    "executions retries milliseconds calls refused_calls failed_calls files_read files_written lines_added "
    "lines_removed messages input_tokens cache_write_tokens cache_read_tokens output_tokens unpriced_tokens"
).split()
SUMS = ", ".join("sum(%s)" % name for name in [*NUMBERS, "cost_usd"])
KEY = "day, agent_type, model, status"

days = st.sampled_from(["2026-11-20", "2026-11-21"])
times = st.builds("{}T0{}:00:00.000Z".format, days, st.integers(0, 9))
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
    **dict.fromkeys(NUMBERS[3:10], some),
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
verdicts = st.sampled_from(
    [
        '{"tests": "pass"}',
        '{"tests": "passed", "lint": "fail"}',
        '{"ok": true, "named": "named"}',
        "no JSON",
        "[1]",
    ]
)
steps = st.one_of(
    st.tuples(st.just("deploy"), owners, fields),
    st.tuples(st.just("change"), owners, fields),
    st.tuples(st.just("forget"), owners),
    st.tuples(st.just("use"), owners, spent),
    st.tuples(st.just("price"), costs),
    st.tuples(st.just("reread"), owners),
    st.tuples(st.just("check"), owners, times, verdicts),
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
        owner, at, content = more
        con.execute(
            "INSERT OR IGNORE INTO outputs (execution_id, output_type, content, created_at) "
            "VALUES (?, 'validation_result', ?, ?)",
            (owner, content, at),
        )
    elif what == "uncheck":
        con.execute("DELETE FROM outputs WHERE execution_id = ?", more)


def rolled_up(con):
    """What `daily` holds, rows of nothing but zeros left out."""
    rows = con.execute(
        "SELECT %s, %s FROM daily GROUP BY %s ORDER BY 1, 2, 3, 4" % (KEY, SUMS, KEY)
    ).fetchall()
    return [row for row in rows if any(abs(number) > 1e-9 for number in row[4:])]


def summed(con):
    """The same, summed from the rows themselves."""
    rows = con.execute(
        "SELECT %s, %s FROM daily_parts GROUP BY %s ORDER BY 1, 2, 3, 4" % (KEY, SUMS, KEY)
    ).fetchall()
    return [row for row in rows if any(abs(number) > 1e-9 for number in row[4:])]


@given(st.lists(steps, max_size=25))
@settings(max_examples=150, deadline=None)
def test_the_roll_up_is_the_sum_of_the_rows(tmp_path_factory, what_happens):
    """After every step `daily` and `daily_checks` equal what summing all rows gives."""
    con = open_history(str(tmp_path_factory.mktemp("daily") / "history.db"))
    con.execute("PRAGMA synchronous = OFF")
    con.execute("BEGIN")
    for step in what_happens:
        apply(con, step)
    daily, rows = rolled_up(con), summed(con)
    assert [row[:4] for row in daily] == [row[:4] for row in rows]
    for mine, theirs in zip(daily, rows, strict=True):
        assert mine[4:] == pytest.approx(theirs[4:])
    checks = con.execute(
        "SELECT day, passed, not_passed FROM daily_checks WHERE passed + not_passed > 0 ORDER BY day"
    )
    parts = con.execute(
        "SELECT day, sum(passed), sum(not_passed) FROM check_parts GROUP BY day HAVING sum(passed + not_passed) > 0"
    )
    assert checks.fetchall() == sorted(parts.fetchall())
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
    assert rolled_up(con) == summed(con)
    con.close()
