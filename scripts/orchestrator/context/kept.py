"""Bundles as the history keeps them: written once under their id, found again by any unique prefix."""

import json
from typing import Any, Optional

from orchestrator.errors import OrchestratorError


def keep_bundle(con: Any, body: dict[str, Any]) -> None:
    """Keeps a bundle's JSON; the same context has the same id and is kept once."""
    con.execute(
        "INSERT OR IGNORE INTO bundles (bundle_id, agent_type, scope, created_at, total_tokens, how, budget,"
        " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            body["bundle_id"],
            body["agent_type"],
            body["scope"],
            body["created_at"],
            body["total_tokens"],
            body["how"],
            body["budget"],
            json.dumps(body, ensure_ascii=False),
        ),
    )


def find_bundle(con: Any, name: str) -> Optional[dict[str, Any]]:
    """The JSON of the bundle with this id, or with the only id that begins so; None when there is none."""
    rows = con.execute(
        "SELECT body FROM bundles WHERE bundle_id = ?1 OR substr(bundle_id, 1, length(?1)) = ?1"
        " ORDER BY bundle_id = ?1 DESC LIMIT 2",
        (name,),
    ).fetchall()
    if len(rows) > 1 and json.loads(rows[0][0])["bundle_id"] != name:
        raise OrchestratorError(f"More than one bundle begins with {name}: give more of the id.")
    return json.loads(rows[0][0]) if rows else None
