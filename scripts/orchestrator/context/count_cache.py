"""Caches of token counts: the history's own table, or a file of the data folder outside a workspace."""

import os
import time
from typing import Any, Protocol

from orchestrator.store.open import Error, connect

CHUNK = 500  # names in one IN (…)
YOUNG = 2_000_000_000  # nanoseconds


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


class States(Protocol):
    """Which content unchanged files have."""

    def recall(self, paths: list[str]) -> dict[str, tuple[str, int]]: ...

    def keep(self, hashes: dict[str, str]) -> None: ...


_COUNTS = (
    "CREATE TABLE IF NOT EXISTS token_counts (hash TEXT NOT NULL, how TEXT NOT NULL, tokens INTEGER NOT NULL,"
    " PRIMARY KEY (hash, how)) WITHOUT ROWID"
)
_STATES = (
    "CREATE TABLE IF NOT EXISTS file_states (path TEXT PRIMARY KEY, state TEXT NOT NULL, hash TEXT NOT NULL)"
    " WITHOUT ROWID"
)


class FileCache(HistoryCache):
    """The same table in a file of its own, and file states; one that cannot be used counts as empty."""

    def __init__(self, path: str):
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            con = connect(path, timeout=2.0)
            con.execute("PRAGMA journal_mode = WAL").fetchone()
            con.execute("PRAGMA synchronous = OFF")
            con.execute(_COUNTS)
            con.execute(_STATES)
        except (OSError, Error):
            con = connect(":memory:")
            con.execute(_COUNTS)
            con.execute(_STATES)
        super().__init__(con)

    def recall(self, paths: list[str]) -> dict[str, tuple[str, int]]:
        """{path: (content hash, size)} of the files that are as they were when they were read last."""
        kept: dict[str, tuple[str, str]] = {}
        for start in range(0, len(paths), CHUNK):
            chunk = [os.fsencode(path).decode("utf-8", "replace") for path in paths[start : start + CHUNK]]
            rows = self.con.execute(
                "SELECT path, state, hash FROM file_states WHERE path IN (%s)" % ",".join("?" * len(chunk)),
                chunk,
            )
            kept.update((path, (state, digest)) for path, state, digest in rows.fetchall())
        out = {}
        for path in paths:
            found = kept.get(path)
            state, size, _ = _state(path) if found else ("", 0, 0)
            if found and found[0] == state:
                out[path] = found[1], size
        return out

    def keep(self, hashes: dict[str, str]) -> None:
        """Remembers what was read, but not of files so young that they may change in the same tick."""
        rows = []
        now = time.time_ns()
        for path, digest in hashes.items():
            state, _, changed = _state(path)
            if state and now - changed > YOUNG:
                rows.append((path, state, digest))
        try:
            self.con.execute("BEGIN IMMEDIATE")
            self.con.executemany("INSERT OR REPLACE INTO file_states VALUES (?, ?, ?)", rows)
            self.con.execute("COMMIT")
        except (Error, UnicodeEncodeError):  # a name that is no text, or another writer: read it again then
            if self.con.in_transaction:
                self.con.execute("ROLLBACK")


def _state(path: str) -> tuple[str, int, int]:
    """(what tells a change of the file, its size, when it changed last)."""
    try:
        at = os.stat(path)
    except OSError:
        return "", 0, 0
    return (
        f"{at.st_size} {at.st_mtime_ns} {at.st_ctime_ns} {at.st_ino}",
        at.st_size,
        max(at.st_mtime_ns, at.st_ctime_ns),
    )
