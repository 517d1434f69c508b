"""Finding: the newest rows that fulfil all conditions, by the way that is shortest, whatever is asked together."""

from __future__ import annotations

import sys
import time

from orchestrator.services.conditions import FILE_OF_E, TYPE_CHECKING
from orchestrator.store import search, search_bits, search_index
from orchestrator.store.open import Error

if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from orchestrator.services.conditions import Where

    Row = tuple[Any, ...]  # time, id, number

READ = 300  # rows whose words are read sooner than looked up
FETCHED = 3000  # rows that have all words that are asked for that are fetched sooner than looked up
PATIENCE = 0.002  # seconds of looking where one condition alone is known, until the search index is asked for all together
_CHECK = 500  # steps of SQLite after which that is looked at
_STEP = 8  # how many times as many touches of a file are looked at first as rows are wanted
_TOUCHES = """
SELECT execution_id, last_at FROM file_touches WHERE path = ?1
UNION ALL SELECT execution_id, created_at FROM outputs WHERE path = ?1 ORDER BY 2 DESC"""
_LATEST = "e.deployed_at DESC, e.execution_id DESC"


def newest(where: Where, limit: int) -> list[int]:
    """The numbers of the newest rows, the newest first.

    Where a condition names only a few rows, these are fetched and sorted; else the newest are gone through, by the
    index that fits; and where that takes long, or words are looked for, the search index is asked for all together.
    """
    found = None
    if where.few is None and where.together and not where.text:
        found = _within(where.con, PATIENCE, _walked, where, limit)
    if found is None:
        found = _asked(where, limit)
    if found is None:
        search.teach(where.con)
        found = _walked(where, limit)
    return [row[2] for row in sorted(found, key=_at, reverse=True)[:limit]]


def _at(row: Row) -> Row:
    return row[0] or "", row[1]


def _asked(where: Where, limit: int) -> Optional[list[Row]]:
    """What the search index is good for: all of it, or fewer of a few rows. None: the rows are still to be looked at."""
    if not (where.text or where.together) or where.few is not None and (len(where.few) <= READ or not where.text):
        return None
    if not search_index.ready(where.con, where.kind, where.progress, 0 if where.text else search_index.BATCH):
        return None  # it cannot be had, or, for a list of no words, not soon
    try:
        if where.few is None:
            return _looked_up(where, limit)
        _narrow(where)
    except search_index.TROUBLE as problem:
        if not search_index.damaged(where.con, problem):
            raise
    return None


def _within(con: Any, seconds: float, look: Callable[..., list[Row]], *given: Any) -> Optional[list[Row]]:
    """What a look finds; None where that takes longer."""
    until = time.process_time() + seconds
    con.set_progress_handler(lambda: time.process_time() > until, _CHECK)
    try:
        return look(*given)
    except Error as problem:
        if "interrupted" not in str(problem):
            raise
        return None
    finally:
        con.set_progress_handler(None, 0)


def _walked(where: Where, limit: int) -> list[Row]:
    """Among one condition's few, or newest first by the index of one condition."""
    each = [(where.conditions, where.values)]
    types = [("o.output_type", where.types)] if where.types and where.few is None else []
    for column, names in [*where.branches, *types]:
        each = [([*conditions, f"{column} IS ?"], [*values, name]) for conditions, values in each for name in names]
    found: list[Row] = []
    for conditions, values in each:
        if where.path is not None and where.few is None:
            found += _of_file(where, conditions, values, limit)
        else:
            found += _rows(where, *_with_file(where, conditions, values), limit)
    return found


def _with_file(where: Where, conditions: list[str], values: list[Any]) -> tuple[list[str], list[Any]]:
    return (conditions, values) if where.path is None else ([*conditions, FILE_OF_E], [*values, where.path, where.path])


def _rows(where: Where, conditions: list[str], values: list[Any], limit: int) -> list[Row]:
    source, first = where.table + where.index, []
    if where.few is not None:  # CROSS JOIN: in this order
        source = f"json_each(?) few CROSS JOIN {where.table} ON {where.number} = few.value"
        first = ["[" + ",".join(map(str, where.few)) + "]"]
    order = f"{where.at} DESC, {where.last} DESC"
    return _fetched(where, source + where.beside, [*first, *values], conditions, order, limit, bool(where.text))


def _of_file(where: Where, conditions: list[str], values: list[Any], limit: int) -> list[Row]:
    """By the latest touches of a file: nobody was deployed after touching it, so that the newest are soon sure."""
    for step in (_STEP * limit, -1):  # -1: all of them
        touches = where.con.execute(_TOUCHES + " LIMIT ?2", (where.path, step)).fetchall() if step > 0 else []
        source = (f"(SELECT DISTINCT execution_id FROM ({_TOUCHES.replace('?1', '?')} LIMIT ?)) t "
                  "CROSS JOIN executions e ON e.execution_id = t.execution_id")  # fmt: skip
        named = [where.path, where.path, step, *values]
        best = _fetched(where, source, named, conditions, _LATEST, limit, bool(where.text))
        if step > 0 and (len(touches) < step or len(best) == limit and touches[-1][1] < best[-1][0]):
            break
    return best


def _narrow(where: Where) -> None:
    """Leaves of few rows those that the search index names, where these are few too."""
    hits: set[int] = set()
    most = len(where.few or ())
    for part in where.parts:
        (asked, _), _ = search.expressions(where.con, where.kind, part, where.text, where.marked)
        source, now = search.rows(where.kind, part)
        rows = f"SELECT r.number FROM {source} WHERE s.words MATCH ? AND {now}{_places(where)} LIMIT ?"
        found = where.con.execute(rows, (asked, most)).fetchall() if asked else ()
        if len(found) >= most or not asked:
            return
        hits.update([row[0] for row in found])
    if where.few is not None:
        where.few &= hits


def _between(where: Where) -> tuple[int, int]:
    """The seconds, as in places, of the time that is asked for: of the newest row and of the oldest."""
    newest, oldest = 0, search.LAST
    for sign, at in where.between:
        second = where.con.execute(f"SELECT {search.moment('?')}", (at,)).fetchone()[0] >> search.SECONDS
        newest, oldest = (newest, min(oldest, second)) if sign == ">=" else (max(newest, second), oldest)
    return newest, oldest


def _places(where: Where) -> str:
    """SQL of the places of the time that is asked for."""
    if not where.between:
        return ""
    newest, oldest = _between(where)
    return f" AND s.rowid BETWEEN {newest << search.SECONDS} AND {oldest << search.SECONDS | search.LAST_ORDER}"


def _looked_up(where: Where, limit: int) -> list[Row]:
    """By the search index."""
    found: list[Row] = []
    for part in where.parts:
        if not where.con.execute(f"SELECT 1 FROM found.{where.kind}_{part}_rows LIMIT 1").fetchone():
            continue
        _, (asked, whole) = search.expressions(where.con, where.kind, part, where.text, where.marked)
        rows = _among(where, limit, part, READ if whole else sys.maxsize)
        found += _of_part(where, limit, part, asked, whole) if rows is None else rows
    return found


def _among(where: Where, limit: int, part: str, most: int) -> Optional[list[Row]]:
    """Among the rows of a part that have all words and marks that are wanted; None where FTS5 finds enough as soon.

    That is where more than `most` would have to be read, as they may not have all, or too many fetched.
    """
    wanted, exact = search.wanted(where.con, where.kind, part, where.text, where.marked)
    index = f"{where.kind}_{part}"
    batches = search_bits.candidates(where.con, index, wanted, _between(where), READ) if wanted else None
    if batches is None:
        return None
    source, now = search.rows(where.kind, part, "few")
    source = f"{source} CROSS JOIN {where.table} ON {where.number} = r.number{where.beside}"
    conditions, values = _of_it(where, part)
    order = f"{where.at} DESC, {where.last} DESC"
    found: set[Row] = set()
    looked, waiting = 0, []
    for taken, after, whole in batches:
        waiting, exact = waiting + taken, exact and whole
        if looked + len(waiting) > (FETCHED if exact else most):
            return None
        if not waiting or len(waiting) < (2 * limit if exact else READ // 3) and after < search.LAST:  # the last one's
            continue
        looked += len(waiting)
        few = "[" + ",".join(map(str, set(waiting))) + "]"  # some may be named twice
        read = [] if exact else [f"holds({search.text(where.kind)}, ?)"]
        asked = [few, *values, *[where.text for _ in read]]
        found.update(_fetched(where, source, asked, [now, *conditions, *read], order, limit, False))
        waiting, best = [], sorted(found, key=_at, reverse=True)[:limit]
        if best and len(best) == limit and (best[-1][0] or "")[:19] > search.time_of(after):
            break
    return list(found)


def _of_it(where: Where, part: str) -> tuple[list[str], list[Any]]:
    """All conditions on rows of a part, with their values."""
    conditions, values = _with_file(where, where.conditions, where.values)
    for column, names in where.branches:
        conditions = [*conditions, f"{column} IN ({', '.join('?' * len(names))})"]
        values = [*values, *names]
    return [search.PARTS[where.kind][0][part], *conditions], values


def _of_part(where: Where, limit: int, part: str, asked: str, whole: bool) -> list[Row]:
    """What a part of the search index names for what it is asked."""
    conditions, values = _of_it(where, part)
    if not asked:
        return _rows(where, conditions, values, limit)
    source, now = search.rows(where.kind, part)
    source = f"{source} CROSS JOIN {where.table} ON {where.number} = r.number{where.beside}"
    conditions, values = [f"s.words MATCH ?{_places(where)}", now, *conditions], [asked, *values]
    return _fetched(where, source, values, conditions, "s.rowid", limit, not whole, f"s.rowid >> {search.SECONDS}")


def _fetched(
    where: Where, source: str, values: list[Any], conditions: list[str], order: str, limit: int, read: bool, second: str = "0"
) -> list[Row]:
    """Rows in order; where words are looked for in them, they are read in that order, until there are enough.

    Where their order is that of their `second`, all of the last one, of which the newest are wanted.
    """
    every = " WHERE " + " AND ".join(conditions) if conditions else ""
    words = f", {search.text(where.kind)} AS words" if read else ""
    rows = f"SELECT {where.at}, {where.last}, {where.number}, {second}{words} FROM {source}{every} ORDER BY {order} LIMIT ?"
    most = limit if second == "0" else -1
    if read:
        every_row = where.con.execute(f"SELECT * FROM ({rows}) WHERE holds(words, ?) LIMIT ?", (*values, -1, where.text, most))
    else:
        every_row = where.con.execute(rows, (*values, most))
    found: list[Row] = []
    for row in every_row:
        if len(found) >= max(1, limit) and row[3] != found[-1][3]:
            break
        found.append(row)
    return [row[:3] for row in found]
