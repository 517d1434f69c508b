"""Conditions of the history's lists, put so that a large one answers from an index, whatever is asked for."""

from __future__ import annotations

from orchestrator.store import search
from orchestrator.store.open import NOW

TYPE_CHECKING = False  # what hooks and lists load costs them time: typing is for the checker only
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Optional, Sequence

    Progress = Optional[Callable[[int, int], None]]

FEW = 2000  # rows that are fetched one by one sooner than looked for among all
_STEP = 8  # how many times as many touches of a file are looked at first as rows are wanted

# kind: (its table under its own letter, what else its conditions may speak of, its number, its time, its last order)
_KINDS = {
    "executions": ("executions e", "", "e.number", "e.deployed_at", "e.execution_id"),
    "outputs": ("outputs o", " LEFT JOIN executions e USING (execution_id)", "o.output_id", "o.created_at", "o.output_id"),
}
MODEL = "COALESCE(resolved_model, model)"
_MODELS = f"""
WITH RECURSIVE used (name) AS (
    SELECT min({MODEL}) FROM executions
    UNION ALL SELECT (SELECT min({MODEL}) FROM executions WHERE {MODEL} > used.name) FROM used WHERE used.name IS NOT NULL)
SELECT name FROM used WHERE name IS NOT NULL"""
_TOUCHES = """
SELECT execution_id, last_at FROM file_touches WHERE path = ?1
UNION ALL SELECT execution_id, created_at FROM outputs WHERE path = ?1 ORDER BY 2 DESC"""
_BELOW = """
SELECT execution_id FROM file_touches WHERE path >= ? AND path < ?
UNION ALL SELECT execution_id FROM outputs WHERE path >= ? AND path < ?"""
_IN_IT = f"EXISTS ({_BELOW.replace('WHERE', 'WHERE execution_id = e.execution_id AND')})"  # of an execution `e`
_LOST = "SELECT number FROM lost_executions"
_AT_WORK = """
SELECT e.number FROM executions e INDEXED BY executions_in_flight LEFT JOIN claude_sessions s USING (claude_session_id)
WHERE e.status = 'deployed' AND (s.claude_session_id IS NULL OR s.ended_at IS NULL AND e.deployed_at >= s.started_at)"""
# at a moment: those that took at most a day, those that took longer, those that have not ended (+: by the index of the few)
_RUNNING = f"""
SELECT number FROM executions WHERE deployed_at > strftime('%Y-%m-%dT%H:%M:%fZ', ?1, '-1 day') AND deployed_at <= ?1
    AND completed_at > ?1
UNION SELECT number FROM executions WHERE completed_at > strftime('%Y-%m-%dT%H:%M:%fZ', deployed_at, '+1 day')
    AND deployed_at <= ?1 AND completed_at > ?1
UNION SELECT r.number FROM executions r LEFT JOIN claude_sessions s USING (claude_session_id) WHERE r.status = 'deployed'
    AND +r.deployed_at <= min(?1, {NOW}) AND (s.ended_at IS NULL OR s.ended_at > ?1)
    AND (s.started_at IS NULL OR r.deployed_at >= s.started_at OR s.started_at > ?1)"""


class Where:
    """Conditions on one kind of row and the values they are asked with; `e` is executions, `o` outputs.

    Where one of them names only a few rows, these are fetched and sorted; else the newest are gone through, by the
    index that fits.
    """

    def __init__(self, con: Any, kind: str = "executions", progress: Progress = None) -> None:
        self.con, self.kind, self.progress = con, kind, progress
        self.table, self.beside, self.number, self.at, self.last = _KINDS[kind]
        self.index = ""  # the one to go by, where SQLite would not know
        self.conditions: list[str] = []
        self.values: list[Any] = []
        self.branches: list[tuple[str, tuple[Any, ...]]] = []  # a column and what it may be: each is asked for apart
        self.few: Optional[set[int]] = None  # the numbers of few rows among which all must be
        self.words: Optional[str] = None  # what the search index is asked for
        self.held: Optional[str] = None  # words that are looked for in the rows themselves, one by one
        self.path: Optional[str] = None  # a file
        self.between: list[tuple[str, str]] = []

    def add(self, condition: str, *values: Any) -> None:
        """Adds a condition; one whose first value is None or empty was not asked for."""
        if not values or values[0]:
            self.conditions.append(f"({condition})")
            self.values += values

    def add_members(self, members: str, values: Sequence[Any], condition: Optional[str], column: str = "execution_id") -> bool:
        """Adds that an execution's `column` is among what `members` (a query) finds; returns whether those are few.

        Asked as `condition` on `e`, with the same values, when they are many; None: they never are.
        """
        if condition is not None and self._many(members, values):
            self.add(condition, *values)
            return False
        if self.kind == "outputs":
            members = f"SELECT execution_id FROM executions WHERE {column} IN ({members})" if column == "number" else members
            members = f"SELECT output_id FROM outputs WHERE execution_id IN ({members})"
            if condition is not None and self._many(members, values):
                self.add(condition, *values)
                return False
        elif column != "number":
            members = f"SELECT number FROM executions WHERE {column} IN ({members})"
        found = {row[0] for row in self.con.execute(members, tuple(values))}
        self.few = found if self.few is None else self.few & found
        return True

    def _many(self, members: str, values: Sequence[Any]) -> bool:
        """Whether a query finds more rows than are fetched one by one."""
        found = self.con.execute(f"SELECT count(*) FROM (SELECT 1 FROM ({members}) LIMIT {FEW})", tuple(values)).fetchone()
        return bool(found[0] >= FEW)

    def add_period(self, since: Optional[str], until: Optional[str]) -> None:
        """Adds that it was deployed, or left, not earlier and not later."""
        for sign, given in ((">=", since), ("<=", until)):
            if given:
                self.add(f"{self.at} {sign} ?", given)
                self.between.append((sign, given))

    def add_agent_type(self, given: Optional[str]) -> None:
        """Adds an agent type; a bare role may be ours, whose name has a prefix."""
        if given:
            there = "SELECT 1 FROM executions WHERE agent_type = ? LIMIT 1"
            names = [n for n in (given, "orchestrator:" + given) if self.con.execute(there, (n,)).fetchone()]
            self.add_one_of("agent_type", names or [given])

    def add_model(self, given: Optional[str]) -> None:
        """Adds that the model's name, that was used or else asked for, holds a text."""
        if given:
            used = [row[0] for row in self.con.execute(_MODELS)]
            names = [name for name in used if given.casefold() in name.casefold()]
            if names and len(names) == len(used):
                self.add(_of_e(MODEL) + " IS NOT NULL")
            else:
                self.add_one_of(MODEL, names or [given])

    def add_one_of(self, column: str, names: Sequence[Any]) -> None:
        """Adds that an execution's column is one of some names; None among them: it was not asked for."""
        if None in names:
            return
        marks = ", ".join("?" * len(names))
        members = f"SELECT number FROM executions WHERE {column} IN ({marks})"
        if self.kind == "outputs" or len(names) == 1:
            self.add_members(members, names, f"{_of_e(column)} IN ({marks})", "number")
        elif self._many(members, names):
            self.branches.append((_of_e(column), tuple(names)))
        else:
            self.add_members(members, names, None, "number")

    def add_type(self, given: Optional[str], every: tuple[str, ...]) -> None:
        """Adds an output's type; the newest of all types are the newest of each."""
        if given or self.few is None and self.words is None:
            self.branches.append(("o.output_type", (given,) if given else (*every, None)))

    def add_path(self, given: Optional[str]) -> None:
        """Adds that an execution read, wrote or left a file, or one below a folder."""
        if not given:
            return
        below = ("", "\U0010ffff") if given == "." else (given.rstrip("/") + "/", given.rstrip("/") + "0")
        if self.con.execute(_BELOW + " LIMIT 1", below * 2).fetchone():
            self.add_members(_BELOW, below * 2, _IN_IT)
        else:
            self.path = given

    def add_status(self, status: Optional[str]) -> None:
        """Adds a status; lost, which is a question, counts as one, and deployed leaves it out."""
        if status in ("deployed", "lost"):
            self.add_members(_LOST if status == "lost" else _AT_WORK, (), None, "number")
        elif status == "failed":
            if not self.add_members("SELECT number FROM executions WHERE status = 'failed'", (), "e.status = 'failed'", "number"):
                self.index = " INDEXED BY executions_failed"
        else:
            self.add("e.status = ?", status)

    def add_running(self, at: Optional[str]) -> None:
        """Adds that it was at work at a moment; a lost one was until its Claude session ended."""
        if at:
            self.add_members(_RUNNING, (at,), None, "number")

    def add_text(self, given: Optional[str]) -> None:
        """Adds that these words stand in a row: asked last, because few rows are read, and many looked up in the index."""
        if not given:
            return
        self.words = search.phrase(given)
        near = self.few is not None or self.path is not None
        if near or self.words is None or not search.ready(self.con, self.kind, self.progress):
            self.words = None
            search.teach(self.con)
            self.held = given

    def newest(self, limit: int) -> list[int]:
        """The numbers of the newest rows that fulfil all of it, the newest first."""
        found: list[tuple[Any, ...]] = []
        for conditions, values in self._branches():
            if self.path is not None:
                found += self._of_file(conditions, values, limit)
            else:
                found += self._rows(conditions, values, limit, self.few)
        found.sort(key=_newest, reverse=True)
        return [row[2] for row in found[:limit]]

    def _branches(self) -> list[tuple[list[str], list[Any]]]:
        out = [(self.conditions, self.values)]
        for column, names in self.branches:
            out = [([*conditions, f"{column} IS ?"], [*values, name]) for conditions, values in out for name in names]
        return out

    def _rows(
        self, conditions: list[str], values: list[Any], limit: int, few: Optional[Iterable[int]] = None
    ) -> list[tuple[Any, ...]]:
        """(time, id, number) of the newest rows, by what finds them soonest."""
        source, order, first = self.table + self.index, f"{self.at} DESC, {self.last} DESC", []
        if few is not None:  # CROSS JOIN: in this order
            source = f"json_each(?) few CROSS JOIN {self.table} ON {self.number} = few.value"
            first = ["[" + ",".join(map(str, few)) + "]"]
        elif self.words is not None:  # the index's rows stand in the order of their times
            source = f"found.{self.kind}_words s CROSS JOIN {self.table} ON {self.number} = {search.number('s')}"
            order, seconds = "s.rowid DESC", "CAST(strftime('%s', ?) AS INTEGER)"
            places = [f"s.rowid {sign} ({seconds} + {int(sign == '<=')} << {search.SECONDS})" for sign, _ in self.between]
            here = f"s.rowid = {search.place(self.kind, self.table[-1])}"
            conditions = ["s.words MATCH ?", here, *places, *conditions]
            values = [self.words, *[moment for _, moment in self.between], *values]
        return self._fetched(f"{source}{self.beside}", [*first, *values], conditions, order, limit)

    def _fetched(self, source: str, values: list[Any], conditions: list[str], order: str, limit: int) -> list[tuple[Any, ...]]:
        """Rows in order; where words are looked for in them, they are read in that order, until there are enough."""
        every = " WHERE " + " AND ".join(conditions) if conditions else ""
        words = "" if self.held is None else f", {search.text(self.kind, self.table[-1])} AS words"
        rows = f"SELECT {self.at}, {self.last}, {self.number}{words} FROM {source}{every} ORDER BY {order} LIMIT ?"
        if self.held is None:
            found = self.con.execute(rows, (*values, limit))
        else:
            found = self.con.execute(f"SELECT * FROM ({rows}) WHERE holds(words, ?) LIMIT ?", (*values, -1, self.held, limit))
        return [row[:3] for row in found]

    def _of_file(self, conditions: list[str], values: list[Any], limit: int) -> list[tuple[Any, ...]]:
        """By the latest touches of a file: nobody was deployed after touching it, so that the newest are soon sure."""
        if self.few is not None:
            conditions = [*conditions, "e.number IN (SELECT value FROM json_each(?))"]
            values = [*values, "[" + ",".join(map(str, self.few)) + "]"]
        for step in (_STEP * limit, -1):  # -1: all of them
            touches = self.con.execute(_TOUCHES + " LIMIT ?2", (self.path, step)).fetchall() if step > 0 else []
            source = (f"(SELECT DISTINCT execution_id FROM ({_TOUCHES.replace('?1', '?')} LIMIT ?)) t "
                      "CROSS JOIN executions e ON e.execution_id = t.execution_id")  # fmt: skip
            best = self._fetched(source, [self.path, self.path, step, *values], conditions, _LATEST, limit)
            if step > 0 and (len(touches) < step or len(best) == limit and touches[-1][1] < best[-1][0]):
                break
        return best


_LATEST = "e.deployed_at DESC, e.execution_id DESC"


def _newest(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[0] or "", row[1]


def _of_e(column: str) -> str:
    """A column, or the model's expression, as one of `e`."""
    return "COALESCE(e.resolved_model, e.model)" if column == MODEL else "e." + column
