"""Prune: what is large and old goes, rows stay: archived transcripts, briefings and prompts, kept texts of bundles."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from orchestrator.services import archive
from orchestrator.store.open import writing


class Going(NamedTuple):
    """What goes, or went: how many of each, and their bytes."""

    transcripts: int
    files: list[str]
    file_bytes: int
    blobs: int
    blob_bytes: int
    prompts: int
    prompt_bytes: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.file_bytes + self.blob_bytes + self.prompt_bytes


# What was over before the cutoff (?1). A lost execution has no end: its Claude session has.
_OLD = """
INSERT INTO temp.old_executions
SELECT execution_id FROM executions WHERE COALESCE(completed_at, '~') < ?1 UNION SELECT l.execution_id FROM lost_executions l
JOIN claude_sessions s USING (claude_session_id) WHERE max(l.deployed_at, COALESCE(s.ended_at, s.started_at)) < ?1"""
_OLD_PLANS = """
INSERT INTO temp.old_plans SELECT orchestration_id FROM orchestrations
WHERE status IN ('completed', 'failed') AND max(updated_at, COALESCE(completed_at, '')) < ?1"""
_OLD_BUNDLES = """
INSERT INTO temp.old_bundles SELECT bundle_id FROM bundles b WHERE created_at < ?1
AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.bundle_id = b.bundle_id AND e.execution_id NOT IN temp.old_executions)
AND NOT EXISTS (SELECT 1 FROM prepared p WHERE p.bundle_id = b.bundle_id AND p.orchestration_id NOT IN temp.old_plans)"""
# Texts that rows name by their hash: {} is NOT for what stays, and empty for what is old.
_NAMED = """
SELECT briefing_hash FROM executions WHERE execution_id {0} IN temp.old_executions
UNION SELECT item_hash FROM allocations WHERE execution_id {0} IN temp.old_executions
UNION SELECT shared_hash FROM prepared WHERE orchestration_id {0} IN temp.old_plans
UNION SELECT j.atom FROM prepared p, json_tree(CASE WHEN json_valid(p.parts) THEN p.parts END) j
    WHERE j.type = 'text' AND j.atom LIKE 'b2:%' AND p.orchestration_id {0} IN temp.old_plans
UNION SELECT j.atom FROM bundles b, json_tree(CASE WHEN json_valid(b.body) THEN b.body END) j
    WHERE j.type = 'text' AND j.atom LIKE 'b2:%' AND b.bundle_id {0} IN temp.old_bundles"""
_BLOBS = f"""
INSERT INTO temp.old_blobs SELECT hash FROM blobs WHERE hash IN ({_NAMED.format("")})
AND hash NOT IN (SELECT briefing_hash FROM ({_NAMED.format("NOT")}) WHERE briefing_hash IS NOT NULL)
AND hash NOT IN (SELECT report_hash FROM orchestrations WHERE report_hash IS NOT NULL)"""
_TRANSCRIPTS = """
INSERT INTO temp.old_transcripts
SELECT owner, kind, hash, packed FROM archive WHERE kind = 'execution' AND owner IN temp.old_executions
UNION ALL SELECT owner, kind, hash, packed FROM archive a JOIN claude_sessions s ON s.claude_session_id = a.owner
WHERE kind = 'session' AND s.ended_at < ?1"""
_FILES = """
SELECT hash, max(packed) FROM temp.old_transcripts o WHERE NOT EXISTS (SELECT 1 FROM archive a WHERE a.hash = o.hash
    AND (a.owner, a.kind) NOT IN (SELECT owner, kind FROM temp.old_transcripts)) GROUP BY hash"""
_PROMPTS = """text IS NOT NULL AND (kind = 'intent' AND execution_id IN temp.old_executions
    OR kind IN ('denied', 'malformed') AND at < ?1)"""  # no row is worked out from these


def going(con: Any, cutoff: str) -> Going:
    """What would go: all that was over before the cutoff (UTC text), unless something newer needs it too."""
    for name in ("old_executions", "old_plans", "old_bundles", "old_blobs"):
        con.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} (id TEXT PRIMARY KEY) WITHOUT ROWID")
        con.execute(f"DELETE FROM temp.{name}")
    con.execute("CREATE TEMP TABLE IF NOT EXISTS old_transcripts (owner TEXT, kind TEXT, hash TEXT, packed INTEGER)")
    con.execute("DELETE FROM temp.old_transcripts")
    for step in (_OLD, _OLD_PLANS, _OLD_BUNDLES, _TRANSCRIPTS):
        con.execute(step, (cutoff,))
    con.execute(_BLOBS)
    files = con.execute(_FILES).fetchall()
    transcripts = con.execute("SELECT count(*) FROM temp.old_transcripts").fetchone()[0]
    blobs = con.execute("SELECT count(*), total(length(data)) FROM blobs WHERE hash IN temp.old_blobs").fetchone()
    prompts = con.execute(f"SELECT count(*), total(length(text)) FROM events WHERE {_PROMPTS}", (cutoff,)).fetchone()
    folder = archive.folder_of(con)
    since = min(float(con.execute("SELECT strftime('%s', ?)", (cutoff,)).fetchone()[0] or 0), time.time() - 86400)
    left = _left_behind(folder) + [each[:2] for each in archive.unnamed(con) if each[2] < since]
    paths = [archive.path_of(folder, row[0]) for row in files] + [path for path, _ in left]
    size = sum(row[1] for row in files) + sum(size for _, size in left)
    return Going(transcripts, paths, size, blobs[0], int(blobs[1]), prompts[0], int(prompts[1]))


def _left_behind(folder: str) -> list[tuple[str, int]]:
    """Files that somebody began to write into the archive more than a day ago."""
    found = []
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for name in names:
        path = os.path.join(folder, name)
        try:
            about = os.lstat(path)
        except OSError:
            continue
        if name.endswith(".part") and about.st_mtime < time.time() - 86400:
            found.append((path, about.st_size))
    return found


def prune(con: Any, cutoff: str) -> Going:
    """Removes what is going. Rows stay, and say of a transcript that it is gone."""
    with writing(con):
        found = going(con, cutoff)
        con.execute(
            "UPDATE executions SET transcript_hash = '' WHERE execution_id IN (SELECT owner FROM temp.old_transcripts "
            "WHERE kind = 'execution')"
        )
        con.execute("DELETE FROM archive WHERE (owner, kind) IN (SELECT owner, kind FROM temp.old_transcripts)")
        con.execute("DELETE FROM blobs WHERE hash IN temp.old_blobs")
        con.execute(f"UPDATE events SET text = NULL WHERE {_PROMPTS}", (cutoff,))
    archive.let_go(con, found.files)
    return found


def shrink(con: Any) -> None:
    """Gives the pages that came free back to the disk; nobody else can write meanwhile."""
    con.execute("VACUUM")
    con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


class Size(NamedTuple):
    """How much of something is kept."""

    what: str
    number: int
    bytes: int


MISSING = "archived transcripts whose file is missing"
SPOILT = "archived transcripts whose file is spoilt"


def sizes(con: Any, workspace: str, history: str) -> list[Size]:
    """What is kept, and how large it is: the history's file, what in it is large, the archive, the inbox, other files."""
    whole = sum(os.path.getsize(history + end) for end in ("", "-wal") if os.path.exists(history + end))
    executions = con.execute("SELECT count(*) FROM executions").fetchone()[0]
    texts = con.execute("SELECT count(*), total(length(data)) FROM blobs").fetchone()
    folder = archive.folder_of(con)
    measured = {name: _size(os.path.join(folder, name)) for name in archive.names(con)}
    named = [row[0] for row in con.execute("SELECT hash FROM archive")]
    missing, spoilt = [sum(map(named.count, bad)) for bad in archive.faulty(con)]
    packed = sum(measured.get(archive.name_of(address), 0) for address in set(named))
    strange = archive.unnamed(con)
    due = archive.agents_due(con)
    waiting = sum(os.path.isfile(path) for _, _, path in due)
    out = [
        Size("history (executions)", executions, whole),
        Size("in it, texts of briefings, bundles and reports", texts[0], int(texts[1])),
        Size("archive (transcripts)", len(named) - missing - spoilt, packed),
        Size("transcripts not archived yet", waiting, 0),
    ]
    if waiting < len(due):
        out.append(Size("transcripts that were not archived and are not there", len(due) - waiting, 0))
    if missing:
        out.append(Size(MISSING, missing, 0))
    if spoilt:
        out.append(Size(SPOILT, spoilt, 0))
    if strange:
        out.append(Size("files in the archive that no row names", len(strange), sum(each[1] for each in strange)))
    for name in ("inbox", "briefings", "results"):
        files = _files(os.path.join(workspace, name))
        if files:
            out.append(Size(name, len(files), sum(files)))
    return out


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _files(folder: str) -> list[int]:
    """The sizes of the files below a folder, hidden ones aside."""
    found = []
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                if name[0] != ".":  # the inbox keeps room for events in such
                    found.append(os.lstat(os.path.join(at, name)).st_size)
            except OSError:
                pass
    return found
