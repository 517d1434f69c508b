"""Statistics of the history: the fleet, tokens and cost, files, rates, checks; from roll-ups, in a few milliseconds.

Sums by day lie in `daily` and `daily_usage`, with what changed since beside them (recording/rollup.py). Sums by month are
made here from those, and stand until one of their days changes.
"""

from __future__ import annotations

import contextlib
from json import dumps
from typing import Any, Iterable, Iterator, Optional

from orchestrator.errors import OrchestratorError
from orchestrator.recording import rollup
from orchestrator.recording.rollup import COUNTED, USED
from orchestrator.services import present, quantiles
from orchestrator.store.open import Error, roll_back, writing

TOKENS = USED[1:5]
JUDGED = 1200  # executions with a bundle, the latest, whose bundles are listed
MOST_DAYS = 15  # of a month that are summed up one by one; of one with more the rest is taken away
DAYS = 14  # the latest ones, listed one by one
DAYS_ASKED = 31  # likewise, where a period is asked for

Sums = dict[tuple[Any, ...], list[Any]]  # by parts of a key
News = dict[str, list[tuple[Any, ...]]]  # by table: (day, *key, *numbers) of what has changed since that was summed up
_TABLES = (("daily", "monthly", "agent_type", COUNTED), ("daily_usage", "monthly_usage", "agent_type, model, kind", USED))

_MONTHS = """
WITH RECURSIVE found (month) AS (
    SELECT substr(min(day), 1, 7) FROM {0}
    UNION ALL SELECT (SELECT substr(min(day), 1, 7) FROM {0} WHERE day > found.month || '~') FROM found WHERE month IS NOT NULL)
SELECT month FROM found WHERE month IS NOT NULL"""
_FAMILY = """
WITH RECURSIVE family (execution_id, agent_id) AS (
    SELECT execution_id, agent_id FROM executions WHERE {0}
    UNION SELECT e.execution_id, e.agent_id FROM executions e JOIN family f ON e.parent_agent_id = f.agent_id) """


def _news(con: Any) -> News:
    return {table: con.execute(news).fetchall() for table, news in rollup.NEWS.items()}


def months(con: Any, news: News) -> list[str]:
    """The months that have anything in them, in order."""
    found = {row[0][:7] for rows in news.values() for row in rows}
    for table, _, _, _ in _TABLES:
        found.update([row[0] for row in con.execute(_MONTHS.format(table))])
    return sorted(found)


def refresh_months(con: Any, wanted: Optional[Iterable[str]] = None) -> None:
    """Sums up those months again that changed since they were summed up last; in the caller's transaction."""
    rollup.take_in(con)
    for month in set(months(con, {}) if wanted is None else wanted) - _standing(con):
        for table, into, key, names in _TABLES:
            sums = ", ".join([f"sum({name})" for name in names])
            con.execute(f"DELETE FROM {into} WHERE month = ?", (month,))
            con.execute(
                f"INSERT INTO {into} (month, {key}, {', '.join(names)}) SELECT ?1, {key}, {sums} FROM {table} "
                f"WHERE day >= ?1 AND day < ?1 || '~' GROUP BY {key}",
                (month,),
            )
        con.execute("INSERT INTO months VALUES (?)", (month,))


def _standing(con: Any) -> set[str]:
    return {row[0] for row in con.execute("SELECT month FROM months")}


def _whole(con: Any, first: str, last: str, news: News) -> list[str]:
    """The months of some days of which more than half is asked for, all but the latest there is, which changes all the time."""
    every = [month for month in months(con, news)[:-1] if month + "~" > first and month <= last]
    return [month for month in every if _days(max(first, month), min(last, month + "~")) > MOST_DAYS]


@contextlib.contextmanager
def _one_moment(con: Any) -> Iterator[None]:
    """Whatever is read is of one moment, whoever writes meanwhile."""
    if con.in_transaction:
        yield
        return
    con.execute("BEGIN")
    try:
        yield
    finally:
        roll_back(con)


def _sums(con: Any, since: Optional[str], until: Optional[str], whole: list[str], news: News) -> list[Sums]:
    """[counts by agent type, usage by (agent type, model, kind)] of some days: of `whole` months taken as such, and of the days
    before and after; or, of a month of which less is asked for, the others taken away again."""
    first, last = since or "", until or "~"
    parts = [(first, True, last, True, 1)]  # days from, with that day itself, to, with that day itself, and what they count
    if whole:
        begin, end = whole[0], whole[-1] + "~"  # no days, but all of a month lie between
        parts = [(first, True, begin, False, 1) if first <= begin else (begin, True, first, False, -1),
                 (end, False, last, True, 1) if last >= end else (last, False, end, True, -1)]  # fmt: skip
    out = []
    for table, by_month, key, names in _TABLES:
        numbers, width = ", ".join([f"sum({name})" for name in names]), key.count(",") + 1
        found: Sums = {}
        for low, with_low, high, with_high, sign in parts:
            between = f"day >{'=' * with_low} ? AND day <{'=' * with_high} ?"
            days = f"SELECT {key}, {numbers} FROM {table} WHERE {between} GROUP BY {key}"
            _add_up(found, con.execute(days, (low, high)), width, sign)
        if whole:
            rows = con.execute(
                f"SELECT {key}, {numbers} FROM {by_month} WHERE month >= ? AND month <= ? GROUP BY {key}", (whole[0], whole[-1])
            )
            _add_up(found, rows, width)
        _add_up(found, [row[1:] for row in news[table] if first <= row[0] <= last], width)
        out.append({key: sums for key, sums in found.items() if any(abs(number) > 1e-9 for number in sums)})
    return out


def _days(first: str, last: str) -> int:
    """How many days of a month lie between two of its days, or its name and its name with ~."""
    return (int(last[8:10]) if last[8:10].isdigit() else 31) - (int(first[8:10]) if first[8:10].isdigit() else 1) + 1


def _add_up(found: Sums, rows: Iterable[tuple[Any, ...]], key: int, sign: int = 1) -> None:
    for row in rows:
        mine = found.setdefault(row[:key], [0] * (len(row) - key))
        mine[:] = [a + sign * b for a, b in zip(mine, row[key:], strict=True)]


def _of_owners(con: Any, condition: str, values: tuple[Any, ...]) -> list[Sums]:
    """The same for some executions and all agents that those deployed in turn."""
    out = []
    for table, _, key, names in _TABLES:
        sums = ", ".join([f"sum({each})" for each in names])
        kind = " WHERE kind = 'execution'" if table == "daily_usage" else ""
        found: Sums = {}
        rows = con.execute(
            f"{_FAMILY.format(condition)} SELECT {key}, {sums} FROM family CROSS JOIN ({rollup.PARTS[table]}) p ON p.owner = "
            f"family.execution_id{kind} GROUP BY {key}",
            values,
        )
        _add_up(found, rows, key.count(",") + 1)
        out.append(found)
    return out


def _counted(numbers: Iterable[Any], lost: int) -> dict[str, Any]:
    """Counts with their rates; `in_flight` is what is deployed and not lost."""
    out = dict(zip(COUNTED, numbers, strict=True))
    out["seconds"] = out.pop("milliseconds") / 1000
    ended = out["completed"] + out["failed"]
    out["lost"] = lost
    out["in_flight"] = out["executions"] - ended - lost
    out["failure_rate"] = _rate(out["failed"], ended)
    out["retry_rate"] = _rate(out["retries"], out["executions"])
    out["refusal_rate"] = _rate(out["refused_calls"], out["calls"])
    return out


def _rate(part: int, of: int) -> Optional[float]:
    return round(part / of, 4) if of else None


def _used(numbers: Iterable[Any], unmeasured: int = 0) -> dict[str, Any]:
    """Tokens with their sum, and of how many executions no usage is known: where that is all, nothing is made up.

    A cost that does not know every price says which tokens it leaves out.
    """
    out = dict(zip(USED, numbers, strict=True))
    tokens = sum([out[name] for name in TOKENS])
    known = tokens > 0 or not unmeasured
    out["tokens"] = {"number": tokens, "how": "usage"} if known else {"number": None, "how": None}
    priced = tokens > out["unpriced_tokens"] or out["cost_usd"] or not tokens
    out["cost_usd"] = round(float(out["cost_usd"]), 6) if known and priced else None
    out["unmeasured"] = unmeasured
    return out


def _grouped(found: Sums, place: Optional[int], width: int) -> dict[str, list[Any]]:
    """Sums by one part of the key, or all together under the empty name."""
    out: dict[str, list[Any]] = {}
    for key, numbers in found.items():
        mine = out.setdefault(key[place] if place is not None else "", [0] * width)
        mine[:] = [a + b for a, b in zip(mine, numbers, strict=True)]
    return out


def _shown(counts: Sums, usage: Sums, lost: dict[str, int], unmeasured: dict[str, int]) -> dict[str, Any]:
    """Totals, by agent type, by model, and what main conversations and the client itself used."""
    agents = {key: numbers for key, numbers in usage.items() if key[2] == "execution"}
    beside = {key: numbers for key, numbers in usage.items() if key[2] != "execution"}
    nothing, unknown = [0] * len(COUNTED), sum(unmeasured.values())
    of_type, used_by_type = _grouped(counts, 0, len(COUNTED)), _grouped(agents, 0, len(USED))
    out: dict[str, Any] = {
        "fleet": _counted(_grouped(counts, None, len(COUNTED)).get("", nothing), sum(lost.values())),
        "usage": _used(_grouped(usage, None, len(USED)).get("", [0] * len(USED)), unknown),
        "by_part": {"agents": _used(_grouped(agents, None, len(USED)).get("", [0] * len(USED)), unknown)},
        "by_agent_type": [
            {"agent_type": name, **_counted(of_type.get(name, nothing), lost.get(name, 0)),
             **_used(used_by_type.get(name, [0] * len(USED)), unmeasured.get(name, 0))}
            for name in sorted({*of_type, *used_by_type})
        ],
        "by_model": [
            {"model": name, **_used(numbers)} for name, numbers in sorted(_grouped(usage, 1, len(USED)).items())
        ],
    }  # fmt: skip
    fleet = out["fleet"]  # under seed 003's names
    out["monitoring"] = {"files": {"consumed": fleet["files_read"], "produced": fleet["files_written"]}}
    for kind, numbers in sorted(_grouped(beside, 2, len(USED)).items()):
        out["by_part"][kind] = _used(numbers)
    return out


def statistics(
    con: Any, since: Optional[str] = None, until: Optional[str] = None, days: Optional[int] = None
) -> dict[str, Any]:
    """Everything that is summed up, of all time or of some days (UTC, both included).

    `days` of these are listed one by one, else DAYS_ASKED where a period is asked for, DAYS where none is; with others before
    those the latest of them is named.
    """
    days = days or (DAYS_ASKED if since or until else DAYS)
    tried = False
    while True:
        with _one_moment(con):
            news = _news(con)
            whole = _whole(con, since or "", until or "~", news)
            stand = set(whole) <= _standing(con)
            if stand or tried:  # a history that can only be read, or has changed since: its days are summed up
                return _statistics(con, since, until, days, whole if stand else [], news)
        tried = True
        with contextlib.suppress(Error), writing(con):
            refresh_months(con, whole)


def _statistics(
    con: Any, since: Optional[str], until: Optional[str], days: int, whole: list[str], news: News
) -> dict[str, Any]:
    counts, usage = _sums(con, since, until, whole, news)
    some: present.Some = ("", "(?1 IS NULL OR e.deployed_at >= ?1) AND (?2 IS NULL OR e.deployed_at < ?2 || '~')", (since, until))
    lost = _lost(counts, present.in_flight(con, some))
    again = present.at_work_again(con, some)
    _not_ended(counts, [(name, status) for name, _, status in again])
    unmeasured, by_its_day = present.unmeasured(con, since or "", until or "")
    out: dict[str, Any] = {"since": since, "until": until, **_shown(counts, usage, lost, unmeasured)}
    daily = by_day(con, since, until, days + 1, by_its_day, [(day, status) for _, day, status in again], news)
    out["by_day"], out["days_before"] = _split(daily, days)
    out["validation"] = checks(con, since, until, days)
    out["quantiles"] = quantiles.of_every_type(con, since, until)
    return out


def _lost(found: Sums, at_work: dict[str, int]) -> dict[str, int]:
    """How many of each agent type have neither ended nor are at work."""
    deployed, completed, failed = [COUNTED.index(name) for name in ("executions", "completed", "failed")]
    left = {key[0]: sums[deployed] - sums[completed] - sums[failed] - at_work.get(key[0], 0) for key, sums in found.items()}
    return {name: number for name, number in left.items() if number}


def _not_ended(found: Sums, again: list[tuple[str, str]]) -> None:
    """Takes those that are at work again, each by its part of the key, out of those that have ended."""
    for name, status in again:
        if (name,) in found:
            found[name,][COUNTED.index(status)] -= 1


def _split(listed: list[dict[str, Any]], days: int) -> tuple[list[dict[str, Any]], Optional[str]]:
    """The days to be listed, and the latest of those before, which are left out."""
    return listed[:days], listed[days]["day"] if len(listed) > days else None


def of(con: Any, kind: str, name: str, home: Optional[str] = None) -> dict[str, Any]:
    """The same of one orchestration, task (of `home`) or execution, with all agents that were deployed in turn by its agents.

    OrchestratorError for another kind of thing.
    """
    condition, values = _own(kind, name, home)
    some = (_FAMILY.format(condition), " e.execution_id IN (SELECT execution_id FROM family)", values)
    unmeasured = dict(
        con.execute(
            f"{_FAMILY.format(condition)} SELECT e.agent_type, count(*) FROM family CROSS JOIN executions e ON e.execution_id = "
            "family.execution_id AND e.models IS NULL GROUP BY +e.agent_type",
            values,
        ).fetchall()
    )
    counts, usage = _of_owners(con, condition, values)
    _not_ended(counts, [(name, status) for name, _, status in present.at_work_again(con, some)])
    of = f"{kind} {name}" + (f" of {home}" if home else "")
    return {"of": of, **_shown(counts, usage, present.lost(con, some), unmeasured)}


def _own(kind: str, name: str, home: Optional[str]) -> tuple[str, tuple[Any, ...]]:
    """Which executions are a thing's own: a condition and its values."""
    own = {
        "orchestration": ("orchestration_id = ?1", (name,)),
        "task": ("orchestration_id = ?1 AND task_id = ?2", (home, name)),
        "execution": ("execution_id = ?1", (name,)),
    }
    if kind not in own:
        raise OrchestratorError(f"Only an orchestration, a task or an execution has statistics, {kind} {name} not.")
    return own[kind]


def with_its_agents(con: Any, kind: str, name: str, home: Optional[str] = None) -> Optional[dict[str, Any]]:
    """What the executions of a thing (as of `of`) used, with all agents they deployed, they in turn, and so on, rolled up;
    None where they deployed none."""
    condition, values = _own(kind, name, home)
    count = f"{_FAMILY.format(condition)} SELECT (SELECT count(*) FROM family), count(*) FROM executions WHERE {condition}"
    whole, own = con.execute(count, values).fetchone()
    if whole == own:
        return None
    told = of(con, kind, name, home)
    return {name: told["fleet"][name] for name in ("executions", "calls")} | told["usage"]


def bundles(con: Any, since: Optional[str] = None, until: Optional[str] = None) -> tuple[list[dict[str, Any]], Optional[str]]:
    """(the bundles that were sent last, what came of each, the time before which others were sent, or None).

    A bundle is judged by all that it was sent to: what passed comes first, then what failed, or whose checks did, less.
    """
    between = (since or "", until or "~")
    latest = con.execute(
        "SELECT bundle_id, deployed_at FROM executions WHERE bundle_id IS NOT NULL AND deployed_at >= ? AND deployed_at <= ? "
        "ORDER BY deployed_at DESC LIMIT ?",
        (*between, JUDGED + 1),
    ).fetchall()
    before = latest.pop()[1] if len(latest) > JUDGED else None
    these = (dumps(list(dict.fromkeys([row[0] for row in latest]))), *between)
    sent = "json_each(?1) j CROSS JOIN executions e ON e.bundle_id = j.value AND e.deployed_at >= ?2 AND e.deployed_at <= ?3"
    found = con.execute(
        "SELECT e.bundle_id, b.agent_type, b.scope, b.total_tokens, b.how, count(*), count(*) FILTER (WHERE e.status = "
        f"'completed'), count(*) FILTER (WHERE e.status = 'failed'), max(e.deployed_at) FROM {sent} "
        "JOIN bundles b ON b.bundle_id = e.bundle_id GROUP BY j.key ORDER BY 9 DESC",
        these,
    )
    names = ("bundle_id", "agent_type", "scope", "total_tokens", "how", "executions", "completed", "failed", "deployed_at")
    rows = [{**dict(zip(names, row, strict=True)), "passed": 0, "not_passed": 0} for row in found]
    said = {
        row[0]: row[1:]
        for row in con.execute(
            f"SELECT e.bundle_id, count(*) FILTER (WHERE o.passed = 1), count(*) FILTER (WHERE o.passed = 0) FROM {sent} "
            "CROSS JOIN outputs o ON o.execution_id = e.execution_id GROUP BY j.key",
            these,
        )
    }
    for row in rows:
        row["passed"], row["not_passed"] = said.get(row["bundle_id"], (0, 0))
    return sorted(rows, key=lambda row: (row["not_passed"] + row["failed"], -row["passed"])), before


def by_day(
    con: Any, since: Optional[str], until: Optional[str], days: int, unmeasured: dict[str, int], again: list[tuple[str, str]],
    news: News,
) -> list[dict[str, Any]]:
    """The latest days on which anything happened, the latest first."""
    out: dict[str, dict[str, Any]] = {}
    first, last = since or "", until or "~"
    for table, _, key, names in _TABLES:
        sums = ", ".join([f"sum({name})" for name in names])
        rows = con.execute(
            f"SELECT day, {sums} FROM {table} WHERE day >= ? AND day <= ? AND day != '' GROUP BY day ORDER BY day DESC LIMIT ?",
            (first, last, days),
        )
        found = {row[:1]: list(row[1:]) for row in rows}
        width = key.count(",") + 2
        _add_up(found, [row[:1] + row[width:] for row in news[table] if row[0] and first <= row[0] <= last], 1)
        if table == "daily":
            _not_ended(found, again)
        for (day,), numbers in found.items():
            out.setdefault(day, {"day": day}).update(zip(names, numbers, strict=True))
    listed = []
    for day in sorted(out, reverse=True)[:days]:
        row = out[day]
        counted = _counted([row.get(name, 0) for name in COUNTED], 0)
        for name in ("lost", "in_flight"):
            del counted[name]  # of these only the present is known
        listed.append({"day": day, **counted, **_used([row.get(name, 0) for name in USED], unmeasured.get(day, 0))})
    return listed


def checks(con: Any, since: Optional[str], until: Optional[str], days: int) -> dict[str, Any]:
    """Validation results: all together, and of the latest days that had any."""
    between = (since or "", until or "~")
    passed, failed = con.execute(
        "SELECT COALESCE(sum(passed), 0), COALESCE(sum(not_passed), 0) FROM daily_checks WHERE day >= ? AND day <= ?", between
    ).fetchone()
    rows = con.execute(
        "SELECT day, passed, not_passed FROM daily_checks WHERE day >= ? AND day <= ? AND passed + not_passed > 0 "
        "ORDER BY day DESC LIMIT ?",
        (*between, days + 1),
    ).fetchall()
    listed, before = _split(
        [{"day": day, "passed": yes, "not_passed": no, "pass_rate": _rate(yes, yes + no)} for day, yes, no in rows], days
    )
    return {
        "passed": passed,
        "not_passed": failed,
        "pass_rate": _rate(passed, passed + failed),
        "by_day": listed,
        "days_before": before,
    }
