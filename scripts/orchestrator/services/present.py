"""Present state, which no sum by day holds: of some executions, who is lost, who works again, of whom no usage is known."""

from __future__ import annotations

from typing import Any

from orchestrator.services.conditions import AGAIN, IN_FLIGHT, THAT_WORK_AGAIN
from orchestrator.store.open import LOST

Some = tuple[str, str, tuple[Any, ...]]  # executions `e`: what a query begins with, the condition, its values

_UNMEASURED = """
SELECT agent_type, substr(deployed_at, 1, 10), count(*) FROM executions INDEXED BY executions_unmeasured WHERE models IS NULL
    AND deployed_at >= ?1 AND deployed_at < ?2 || '~' GROUP BY 1, 2"""


def lost(con: Any, some: Some) -> dict[str, int]:
    """How many of each agent type are lost, of a few executions."""
    first, which, values = some
    rows = f"SELECT agent_type, count(*) FROM executions e WHERE {which} AND {LOST} GROUP BY +agent_type"
    return dict(con.execute(first + rows, values).fetchall())


def in_flight(con: Any, some: Some) -> dict[str, int]:
    """How many of each agent type are at work, those that work again left out."""
    first, which, values = some
    rows = f"SELECT agent_type, count(*) FROM executions e WHERE e.number IN ({IN_FLIGHT}) AND {which} GROUP BY +agent_type"
    return dict(con.execute(first + rows, values).fetchall())


def at_work_again(con: Any, some: Some) -> list[tuple[str, str, str]]:
    """(agent type, day of deployment, status) of each that had ended and that a message put to work again: it counts as at
    work, as in every list, not as what its row keeps of how it had ended."""
    first, which, values = some
    rows = f"SELECT e.agent_type, substr(e.deployed_at, 1, 10), e.status FROM {THAT_WORK_AGAIN} AND {AGAIN} AND {which}"
    return list(con.execute(first + rows, values))


def unmeasured(con: Any, since: str, until: str) -> tuple[dict[str, int], dict[str, int]]:
    """Of how many executions of some days no usage is known: by agent type, and by day."""
    of_type: dict[str, int] = {}
    of_day: dict[str, int] = {}
    for name, day, number in con.execute(_UNMEASURED, (since, until)):
        of_type[name] = of_type.get(name, 0) + number
        of_day[day] = of_day.get(day, 0) + number
    return of_type, of_day
