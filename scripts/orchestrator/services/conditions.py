"""Conditions of the history's lists, put so that a large one answers from an index, whatever is asked for."""

from __future__ import annotations

from orchestrator.store import search
from orchestrator.store.open import AGAIN as WORKS_AGAIN
from orchestrator.store.open import BEGAN, LOST, NOW

TYPE_CHECKING = False  # what hooks and lists load costs them time: typing is for the checker only
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Sequence

    Progress = Optional[Callable[[int, int], None]]

FEW = 1000  # rows that are fetched one by one sooner than looked for among all

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
# of those that used other models than the one they ran on: which, and that one; as their index has it
_USED = "{0}models || char(10) || COALESCE({0}resolved_model, {0}model, '')"
_OTHERS = "{0}models != replace(COALESCE({0}resolved_model, {0}model, ''), '[1m]', '')"
_EACH = f"SELECT min({_USED.format('')}) FROM executions WHERE {_OTHERS.format('')}"
_EACH_USED = f"""
WITH RECURSIVE used (names) AS (
    {_EACH} UNION ALL SELECT ({_EACH} AND {_USED.format("")} > used.names) FROM used WHERE used.names IS NOT NULL)
SELECT names FROM used WHERE names IS NOT NULL"""
_BELOW = """
SELECT execution_id FROM file_touches WHERE path >= ? AND path < ?
UNION ALL SELECT execution_id FROM outputs WHERE path >= ? AND path < ?"""
_TOUCHED = "SELECT execution_id FROM file_touches WHERE path = ? UNION ALL SELECT execution_id FROM outputs WHERE path = ?"
FILE_OF_E = f"EXISTS ({_TOUCHED.replace('WHERE', 'WHERE execution_id = e.execution_id AND')})"
_IN_IT = f"EXISTS ({_BELOW.replace('WHERE', 'WHERE execution_id = e.execution_id AND')})"  # of an execution `e`
# of those that had ended and that a message put to work again; by the index of stretches that have not ended
THAT_WORK_AGAIN = """executions e CROSS JOIN claude_sessions s USING (claude_session_id) WHERE e.status != 'deployed' AND
    e.execution_id IN (SELECT execution_id FROM segments INDEXED BY segments_under_way WHERE ended_at IS NULL AND ordinal > 1)"""
# of an execution `e`: it is at work again
AGAIN = f"""e.status != 'deployed' AND EXISTS (SELECT 1 FROM claude_sessions s WHERE s.claude_session_id = e.claude_session_id AND
    s.ended_at IS NULL AND {WORKS_AGAIN})"""
# that were deployed and have not ended, by the few Claude sessions that are open, not among all that are lost
IN_FLIGHT = f"""
SELECT e.number FROM claude_sessions s INDEXED BY claude_sessions_open CROSS JOIN executions e INDEXED BY executions_in_flight
    USING (claude_session_id) WHERE s.ended_at IS NULL AND e.status = 'deployed' AND {BEGAN}
UNION ALL SELECT number FROM executions INDEXED BY executions_in_flight WHERE claude_session_id IS NULL AND status = 'deployed'"""
THE_LOST = f"""SELECT number FROM executions INDEXED BY executions_deployed WHERE status = 'deployed' AND number NOT IN (
    {IN_FLIGHT})"""
AT_WORK = f"""{IN_FLIGHT}
UNION SELECT e.number FROM {THAT_WORK_AGAIN} AND {AGAIN}"""
# between two stretches of work, all the time from ?1 to ?2, as what follows: for a moment they are the same
_PAUSED = """EXISTS (SELECT 1 FROM segments p JOIN segments n ON n.execution_id = p.execution_id AND n.ordinal = p.ordinal + 1
    WHERE p.execution_id = e.execution_id AND p.ended_at <= ?1 AND n.started_at > ?2)"""
# of a Claude session `s`: it went on then; when one whose process is gone ended, nobody knows
_GOING = "(s.ended_at IS NULL OR s.end_reason IS NOT 'gone' AND s.ended_at > ?1)"
# of an execution `e`: when the last of it was heard, or written
_HEARD = """COALESCE((SELECT max(CASE v.kind WHEN 'tail' THEN v.body ELSE v.at END) FROM events v WHERE v.execution_id =
    e.execution_id AND v.kind NOT IN ('met', 'absent', 'closed')), e.deployed_at)"""
# at work then: those that took at most a day, those that took longer, those that have not ended (of which only those of open
# sessions can have been at work for over a month), those that were at work again
_RUNNING = f"""
SELECT number FROM executions e WHERE deployed_at > strftime('%Y-%m-%dT%H:%M:%fZ', ?1, '-1 day') AND deployed_at <= ?2
    AND completed_at > ?1 AND NOT {_PAUSED}
UNION SELECT number FROM executions e WHERE completed_at > strftime('%Y-%m-%dT%H:%M:%fZ', deployed_at, '+1 day')
    AND deployed_at <= ?2 AND completed_at > ?1 AND NOT {_PAUSED}
UNION SELECT e.number FROM executions e INDEXED BY executions_deployed LEFT JOIN claude_sessions s USING (claude_session_id)
    WHERE e.status = 'deployed' AND deployed_at > strftime('%Y-%m-%dT%H:%M:%fZ', ?1, '-31 days') AND deployed_at <= min(?2, {NOW})
    AND (s.claude_session_id IS NULL OR {_GOING} AND {BEGAN} OR ?1 <= {_HEARD})
UNION SELECT e.number FROM executions e WHERE e.number IN ({IN_FLIGHT}) AND e.deployed_at <= min(?2, {NOW})
UNION SELECT e.number FROM {THAT_WORK_AGAIN} AND EXISTS (SELECT 1 FROM segments g WHERE g.execution_id = e.execution_id AND
    g.ended_at IS NULL AND g.ordinal > 1 AND g.started_at <= min(?2, {NOW}) AND
    ({_GOING} AND g.started_at >= s.started_at OR ?1 <= {_HEARD}))"""


def many_lost(con: Any) -> bool:
    """Whether so many are lost that they are looked for among all, instead of being fetched."""
    return bool(con.execute(f"SELECT count(*) FROM ({THE_LOST} LIMIT {5 * FEW})").fetchone()[0] == 5 * FEW)


class Where:
    """Conditions on one kind of row and the values they are asked with; `e` is executions, `o` outputs."""

    def __init__(self, con: Any, kind: str = "executions", progress: Progress = None) -> None:
        self.con, self.kind, self.progress = con, kind, progress
        self.table, self.beside, self.number, self.at, self.last = _KINDS[kind]
        self.index = ""  # the one to go by, where SQLite would not know
        self.conditions: list[str] = []
        self.values: list[Any] = []
        self.branches: list[tuple[str, tuple[Any, ...]]] = []  # a column and what it may be: each is asked for apart
        self.types: tuple[Any, ...] = ()  # of outputs, where any will do: the newest of all are the newest of each
        self.few: Optional[set[int]] = None  # the numbers of few rows among which all must be
        self.path: Optional[str] = None  # a file that many touched
        self.text = ""  # words that are looked for
        self.parts: Sequence[str] = tuple(search.PARTS[kind][0])  # of the search index
        self.marked: dict[str, Sequence[Any]] = {}  # what that has marks of, and what it may be
        self.between: list[tuple[str, str]] = []

    def add(self, condition: str, *values: Any) -> None:
        """Adds a condition; one whose first value is None or empty was not asked for."""
        if not values or values[0]:
            self._add(condition, values)

    def _add(self, condition: str, values: Sequence[Any]) -> None:
        self.conditions.append(f"({condition})")
        self.values += values

    def add_members(self, members: str, values: Sequence[Any], condition: Optional[str], column: str = "execution_id") -> bool:
        """Adds that an execution's `column` is among what `members` (a query) finds; returns whether those are few.

        Asked as `condition` on `e`, with the same values, when they are many; None: they never are.
        """
        if condition is not None and self._many(members, values):
            self._add(condition, values)
            return False
        if self.kind == "outputs":
            members = f"SELECT execution_id FROM executions WHERE {column} IN ({members})" if column == "number" else members
            members = f"SELECT output_id FROM outputs WHERE execution_id IN ({members})"
            if condition is not None and self._many(members, values):
                self._add(condition, values)
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

    def add_used_beside(self, names: Sequence[str]) -> None:
        """Adds that it used some models beside the one it ran on, as `used_beside` names them."""
        marks = ", ".join("?" * len(names))
        members = f"SELECT number FROM executions WHERE {_USED.format('')} IN ({marks}) AND {_OTHERS.format('')}"
        if self._many(members, names):
            self.branches.append((_USED.format("e."), tuple(names)))
            self.add(_OTHERS.format("e."))
            self.index = ""  # their own is shorter than any other's
        else:
            self.add_members(members, names, None, "number")

    def add_one_of(self, column: str, names: Sequence[Any]) -> None:
        """Adds that an execution's column is one of some names; None among them: it was not asked for."""
        if None in names:
            return
        self.marked["model" if column == MODEL else column] = names
        marks = ", ".join("?" * len(names))
        members = f"SELECT number FROM executions WHERE {column} IN ({marks})"
        if self.kind == "outputs" or len(names) == 1:
            self.add_members(members, names, f"{_of_e(column)} IN ({marks})", "number")
        elif self._many(members, names):
            self.branches.append((_of_e(column), tuple(names)))
        else:
            self.add_members(members, names, None, "number")

    def add_task(self, given: Optional[str]) -> None:
        """Adds a task's id, of whichever orchestration."""
        if given:
            self.add("e.task_id = ?", given)
            self.marked["task_id"] = (given,)

    def add_type(self, given: Optional[str], every: tuple[str, ...]) -> None:
        """Adds an output's type."""
        if given:
            self.parts = (given,)
            self.branches.append(("o.output_type", (given,)))
        else:
            self.types = (*every, None)

    def add_path(self, given: Optional[str]) -> None:
        """Adds that an execution read, wrote or left a file, or one below a folder."""
        if not given:
            return
        below = ("", "\U0010ffff") if given == "." else (given.rstrip("/") + "/", given.rstrip("/") + "0")
        if self.con.execute(_BELOW + " LIMIT 1", below * 2).fetchone():  # what is a folder now may have been a file
            self.add_members(f"{_BELOW} UNION ALL {_TOUCHED}", (*below * 2, given, given), f"{_IN_IT} OR {FILE_OF_E}")
        elif self._many(_TOUCHED, (given,) * 2):
            self.path = given
        else:
            self.add_members(_TOUCHED, (given,) * 2, None)
        if given.strip("/") not in ("", "."):
            self.marked["path"] = (given.rstrip("/"),)

    def add_status(self, status: Optional[str]) -> None:
        """Adds a status; lost, which is a question, counts as one, and deployed leaves it out. What works again is deployed."""
        if status == "deployed":
            self.add_members(AT_WORK, (), None, "number")
        elif status == "lost" and not many_lost(self.con):
            self.add_members(THE_LOST, (), None, "number")
        elif status == "lost":
            self.add(LOST)
            self.index = " INDEXED BY executions_deployed"
        elif status == "failed":
            if not self.add_members("SELECT number FROM executions WHERE status = 'failed'", (), "e.status = 'failed'", "number"):
                self.index = " INDEXED BY executions_failed"
            self.parts = ("failed",)
            self.add(f"NOT ({AGAIN})")
        elif status:
            self.add(f"NOT ({AGAIN})")
            self.add("e.status = ?", status)
            self.parts = ("rest",)

    def add_running(self, at: Optional[str]) -> None:
        """At work at a moment, or at any from one to another (FROM/TO); lost ones were until their session ended."""
        if at:
            since, _, until = at.partition("/")
            self.add_members(_RUNNING, (since, until or since), None, "number")

    def add_text(self, given: Optional[str]) -> None:
        """Adds that these words stand in a row (store/search.py)."""
        self.text = given or ""

    @property
    def together(self) -> bool:
        """Whether the search index knows of more than one condition."""
        return len(self.marked) + (len(self.parts) == 1) + bool(self.between) > 1


def used_beside(con: Any, given: str) -> list[str]:
    """Which models executions used, and which they ran on, where a text is in the name of one of those, and not of this."""
    found = []
    for (names,) in con.execute(_EACH_USED):
        used, _, ran = names.casefold().partition("\n")
        if given.casefold() not in ran and any(given.casefold() in name for name in used.split(",")):
            found.append(names)
    return found


def _of_e(column: str) -> str:
    """A column, or the model's expression, as one of `e`."""
    return "COALESCE(e.resolved_model, e.model)" if column == MODEL else "e." + column
