"""Clean files: those in which nothing was to be masked, so that an unchanged one is searched once."""

import os
from typing import Any

from orchestrator.model import redact
from orchestrator.model.ids import content_hash
from orchestrator.paths import plugin_root
from orchestrator.store.open import Error, roll_back

# the files of model/ that say what a secret is
RULES = ("redact", "secret_shapes", "masking", "named_values", "private_keys", "deadline")


def rules() -> str:
    """The address of everything that decides whether something is masked: other rules, other address."""
    parts = [repr(redact.own_patterns()).encode("utf-8", "surrogatepass")]
    for name in RULES:
        with open(os.path.join(plugin_root(), "scripts", "orchestrator", "model", name + ".py"), "rb") as f:
            parts.append(f.read())
    return content_hash(b"\0".join(parts))


class CleanTexts:
    """The table `clean_texts` of an open history: contents, by hash, that these rules found nothing in."""

    def __init__(self, con: Any):
        self.con, self.rules = con, rules()
        self._fresh: set[str] = set()

    def __contains__(self, digest: str) -> bool:
        asked = "SELECT 1 FROM clean_texts WHERE hash = ? AND rules = ?"
        try:
            return self.con.execute(asked, (digest, self.rules)).fetchone() is not None
        except Error:  # what cannot be looked up is searched
            return False

    def add(self, digest: str) -> None:
        """Notes that nothing was found in a content; `keep` writes it."""
        self._fresh.add(digest)

    def keep(self) -> None:
        """Writes what was noted, and forgets what other rules found. What is not kept is searched again."""
        if not self._fresh:
            return
        own = not self.con.in_transaction
        try:
            if own:
                self.con.execute("BEGIN IMMEDIATE")
            self.con.execute("DELETE FROM clean_texts WHERE rules != ?", (self.rules,))
            self.con.executemany(
                "INSERT OR IGNORE INTO clean_texts (hash, rules) VALUES (?, ?)",
                [(digest, self.rules) for digest in sorted(self._fresh)],
            )
            if own:
                self.con.execute("COMMIT")
        except Error:
            if own:
                roll_back(self.con)
