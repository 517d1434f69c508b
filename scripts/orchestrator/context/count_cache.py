"""Caches of token counts: the history's own table, or a file of the data folder outside a workspace."""

import os
from typing import Any

from orchestrator.store.open import Error, connect

CHUNK = 500  # names in one IN (…)


class HistoryCache:
    """The table `token_counts` of an open history. Writing joins the caller's transaction if there is one."""

    def __init__(self, con: Any):
        self.con = con

    def get(self, hashes: list[str], how: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(hashes), CHUNK):
            chunk = hashes[start : start + CHUNK]
            found.update(
                self.con.execute(
                    "SELECT hash, tokens FROM token_counts WHERE how = ? AND hash IN (%s)"
                    % ",".join("?" * len(chunk)),
                    [how, *chunk],
                ).fetchall()
            )
        return found

    def put(self, counts: dict[str, int], how: str) -> None:
        rows = [(digest, how, tokens) for digest, tokens in counts.items()]
        own = not self.con.in_transaction
        try:
            if own:
                self.con.execute("BEGIN IMMEDIATE")
            self.con.executemany(
                "INSERT OR REPLACE INTO token_counts (hash, how, tokens) VALUES (?, ?, ?)", rows
            )
            if own:
                self.con.execute("COMMIT")
        except Error:  # a count that is not kept is counted again: nothing is lost
            if own and self.con.in_transaction:
                self.con.execute("ROLLBACK")


class FileCache(HistoryCache):
    """The same table in a file of its own; one that cannot be used counts as empty."""

    def __init__(self, path: str):
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            con = connect(path, timeout=2.0)
            con.execute("PRAGMA journal_mode = WAL").fetchone()
            con.execute("PRAGMA synchronous = OFF")
            con.execute(
                "CREATE TABLE IF NOT EXISTS token_counts (hash TEXT NOT NULL, how TEXT NOT NULL,"
                " tokens INTEGER NOT NULL, PRIMARY KEY (hash, how)) WITHOUT ROWID"
            )
        except (OSError, Error):
            con = connect(":memory:")
            con.execute(
                "CREATE TABLE token_counts (hash TEXT NOT NULL, how TEXT NOT NULL, tokens INTEGER NOT NULL,"
                " PRIMARY KEY (hash, how)) WITHOUT ROWID"
            )
        super().__init__(con)
