"""Conditions of the history's lists, put so that a large one answers from an index."""

from typing import Any, Optional

FEW = 2000  # rows that are fetched one by one sooner than looked for among all


class Where:
    """Conditions of a query and the values they are asked with. `e` is executions in all of them.

    Where one of them names only a few rows, the query begins with those (`driven`), else with the latest.
    """

    def __init__(self, con: Any) -> None:
        self.con = con
        self.conditions: list[str] = []
        self.values: list[Any] = []
        self.driven = False

    def add(self, condition: str, *values: Any) -> None:
        """Adds a condition; one whose first value is None or empty was not asked for."""
        if not values or values[0]:
            self.conditions.append(f"({condition})")
            self.values += values

    def add_members(self, column: str, members: str, values: tuple[Any, ...], otherwise: str) -> None:
        """Adds that a column is among `members` (a query); asked as `otherwise` when those are many."""
        many = self.con.execute(f"SELECT count(*) FROM ({members} LIMIT {FEW})", values).fetchone()[0] >= FEW
        self.conditions.append(f"({otherwise})" if many else f"({column} IN ({members}))")
        self.values += values
        self.driven = self.driven or not many

    def add_agent_type(self, given: Optional[str]) -> None:
        """Adds an agent type; a bare role may be ours, whose name has a prefix."""
        if not given:
            return
        there = "SELECT 1 FROM executions WHERE agent_type = ? LIMIT 1"
        names = [
            name for name in (given, "orchestrator:" + given) if self.con.execute(there, (name,)).fetchone()
        ]
        if len(names) == 2:
            self.add("e.agent_type IN (?, ?)", *names)
        else:
            self.add("e.agent_type = ?", names[0] if names else given)

    def add_path(self, given: Optional[str]) -> None:
        """Adds that an execution read, wrote or left a file, or one below a folder."""
        if not given:
            return
        below = ("", "\U0010ffff") if given == "." else (given.rstrip("/") + "/", given.rstrip("/") + "0")
        values = (given, *below) * 2
        match = "(path = ? OR path >= ? AND path < ?)"
        self.add_members(
            "e.execution_id",
            f"SELECT execution_id FROM file_touches WHERE {match} UNION ALL "
            f"SELECT execution_id FROM outputs WHERE {match}",
            values,
            f"EXISTS (SELECT 1 FROM file_touches f WHERE f.execution_id = e.execution_id AND {match}) OR "
            f"EXISTS (SELECT 1 FROM outputs o WHERE o.execution_id = e.execution_id AND {match})",
        )

    def add_text(self, given: Optional[str], *columns: str) -> None:
        """Adds that one of these columns holds a text, in whatever case its letters are."""
        if given:
            self.conditions.append("(" + " OR ".join([f"{c} LIKE ? ESCAPE '\\'" for c in columns]) + ")")
            self.values += [like(given)] * len(columns)

    def latest(self, *columns: str) -> str:
        """The rest of a query: these conditions, the latest rows by these columns, at most `?` of them."""
        conditions = " WHERE " + " AND ".join(self.conditions) if self.conditions else ""
        sign = "+" if self.driven else ""  # with it, no index gives the order: the few are fetched and sorted
        return f"{conditions} ORDER BY {', '.join([f'{sign}{c} DESC' for c in columns])} LIMIT ?"


def like(text: str) -> str:
    """A LIKE pattern for whatever contains the text."""
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
