"""Quantiles: how long agents take, how many tokens and dollars, by type and model, of the latest executions that completed."""

from __future__ import annotations

from typing import Any, Optional

LATEST = 50  # executions of a type and model that quantiles are taken from
TOGETHER = 600  # executions of all types and models that quantiles are taken from: with many of these, fewer of each
QUANTILES = tuple([(str(q), q) for q in (10, 50, 90, 95)])

_MODEL = "replace(COALESCE(resolved_model, model, ''), '[1m]', '')"  # as the index executions_completed has it
_PAIRS = f"""
WITH RECURSIVE known (agent_type, model) AS (
    SELECT * FROM (SELECT agent_type, {_MODEL} FROM executions WHERE status = 'completed' ORDER BY 1, 2 LIMIT 1)
    UNION ALL SELECT e.agent_type, replace(COALESCE(e.resolved_model, e.model, ''), '[1m]', '') FROM known CROSS JOIN executions e
        ON e.number = COALESCE(
            (SELECT number FROM executions WHERE status = 'completed' AND agent_type = known.agent_type AND {_MODEL} > known.model
                ORDER BY {_MODEL} LIMIT 1),
            (SELECT number FROM executions WHERE status = 'completed' AND agent_type > known.agent_type
                ORDER BY agent_type, {_MODEL} LIMIT 1)))
SELECT agent_type, model FROM known"""
_COMPLETED = f"""
SELECT number FROM executions INDEXED BY executions_completed WHERE status = 'completed' AND agent_type = ?1 AND {_MODEL} = ?2
    AND completed_at >= ?3 AND completed_at <= ?4 ORDER BY completed_at DESC LIMIT ?5"""
_TAKEN = """
SELECT e.number, max(0, (julianday(e.completed_at) - julianday(COALESCE(e.started_at, e.deployed_at))) * 86400.0
    - e.paused_ms / 1000.0), u.input_tokens + u.cache_write_5m_tokens + u.cache_write_1h_tokens + u.cache_read_tokens
    + u.output_tokens, u.cost_usd
FROM json_each(?) j CROSS JOIN executions e ON e.number = j.value
LEFT JOIN usage u ON u.owner = e.execution_id AND u.kind = 'execution'"""


def of_every_type(con: Any, since: Optional[str], until: Optional[str]) -> list[dict[str, Any]]:
    """The quantiles of all agent types and models. Those that ran little leave their room to the others."""
    pairs = con.execute(_PAIRS).fetchall()
    most = min(LATEST, max(1, TOGETHER // max(1, len(pairs))))
    taken = {pair: _latest(con, pair, most, since, until) for pair in pairs}
    if most < LATEST and any(len(numbers) < most for numbers in taken.values()):
        taken.update({pair: _latest(con, pair, LATEST, since, until) for pair in pairs if len(taken[pair]) == most})
    left = TOGETHER
    for done, (pair, numbers) in enumerate(sorted(taken.items(), key=lambda each: len(each[1]))):
        taken[pair] = numbers[: max(1, left // (len(taken) - done))]
        left -= len(taken[pair])
    return _quantiles_of(con, taken)


def of_type(
    con: Any, agent_type: str, latest: int = LATEST, since: Optional[str] = None, until: Optional[str] = None
) -> list[dict[str, Any]]:
    """Seconds, tokens and dollars of an agent type's latest executions with each model that completed (in some days).

    Quotes read these: {model, executions, seconds: {"50": …}, tokens: {…}, cost_usd: {…} or None}.
    """
    pairs = [pair for pair in con.execute(_PAIRS) if pair[0] == agent_type]
    return _quantiles_of(con, {pair: _latest(con, pair, latest, since, until) for pair in pairs})


def _latest(con: Any, pair: tuple[str, str], most: int, since: Optional[str], until: Optional[str]) -> list[int]:
    """The numbers of the executions of a type with a model that completed last."""
    return [row[0] for row in con.execute(_COMPLETED, (*pair, since or "", (until or "") + "~", most))]


def _quantiles_of(con: Any, taken: dict[tuple[str, str], list[int]]) -> list[dict[str, Any]]:
    """The quantiles of some executions of each type and model."""
    every: dict[int, list[Any]] = {}  # what each took: seconds, tokens, dollars; of several models' usage the sums
    for number, *took in con.execute(_TAKEN, (str([number for numbers in taken.values() for number in numbers]),)):
        mine = every.setdefault(number, took)
        if mine is not took:
            mine[1:] = [None if None in both else sum(both) for both in zip(mine[1:], took[1:], strict=True)]
    return [
        {
            "agent_type": agent_type,
            "model": model or None,
            "executions": len(numbers),
            **{
                name: _quantiles([each for each in [every[number][place] for number in numbers] if each is not None])
                for place, name in enumerate(("seconds", "tokens", "cost_usd"))
            },
        }
        for (agent_type, model), numbers in sorted(taken.items())
        if numbers
    ]


def _quantiles(values: list[float]) -> Optional[dict[str, float]]:
    """The values below which so many per cent lie, each one that occurred; None of nothing."""
    if not values:
        return None
    values.sort()
    return {name: round(values[len(values) * q // 100], 6) for name, q in QUANTILES}
