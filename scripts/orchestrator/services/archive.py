"""Archive: transcripts kept before Claude Code deletes them, redacted line by line, compressed, found by content.

A transcript of 300 kB becomes about 60 kB. Files are gzip, so that any tool opens them; equal ones are kept once.
"""

import os

from orchestrator import paths
from orchestrator.errors import OrchestratorError
from orchestrator.model.redact import redact
from orchestrator.services.unarchived import DUE, ENDED, MISSING, SETTLED, missed
from orchestrator.store.open import writing
from orchestrator.store.workspace import write

DELETED = 30  # days after which Claude Code deletes transcripts, where no settings say otherwise
PIECE = 1_000_000  # bytes of transcripts kept in passing, eight times that when one is about to expire
LOOKS = 1000  # transcripts looked for in passing


class Kept:
    """What was kept: how many transcripts, their bytes before and after, what was masked; of how many that were looked for,
    and which of them were not there."""

    def __init__(self):
        self.transcripts, self.read, self.packed, self.masked, self.looks, self.missing = 0, 0, 0, {}, 0, []


def folder_of(con):
    """Where the archive of a history lies: beside its file."""
    return paths.archive_of(con.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()[0])


def path_of(folder, address):
    """Where the file of an archived transcript lies."""
    return os.path.join(folder, name_of(address))


def name_of(address):
    """The name of an archived transcript's file."""
    return address.partition(":")[2] + ".jsonl.gz"


def agents_due(con):
    """[(kind, owner, path)] of ended agents whose transcripts are not kept yet, the oldest first; also those that were not
    there when they were looked for."""
    return con.execute("SELECT 'execution', execution_id, transcript_path FROM executions WHERE %s ORDER BY %s"
                       % (DUE, ENDED)).fetchall()  # fmt: skip


def emptied(con):
    """[(kind, owner, path)] of what was kept once, but its file is not in the archive any more, or is spoilt."""
    without = {address for addresses in faulty(con) for address in addresses}
    rows = con.execute("SELECT a.kind, a.owner, COALESCE(e.transcript_path, s.transcript_path), a.hash FROM archive a LEFT JOIN "
                       "executions e ON a.kind = 'execution' AND e.execution_id = a.owner LEFT JOIN claude_sessions s ON "
                       "a.kind = 'session' AND s.claude_session_id = a.owner ORDER BY a.archived_at")  # fmt: skip
    return [row[:3] for row in rows if row[3] in without]


def faulty(con):
    """The addresses of kept transcripts whose files are missing, and of those whose files are spoilt."""
    folder, there = folder_of(con), names(con)
    rows = con.execute("SELECT DISTINCT hash, size FROM archive").fetchall()
    missing = [address for address, _ in rows if name_of(address) not in there]
    spoilt = [address for address, size in rows if name_of(address) in there and not _sound(path_of(folder, address), size)]
    return missing, spoilt


def _sound(path, size):
    """Whether a file begins and ends as the gzip of so many bytes does. (Whether all between is whole, reading it shows.)"""
    try:
        with open(path, "rb") as f:
            begins = f.read(2)
            f.seek(-4, os.SEEK_END)
            return begins == b"\x1f\x8b" and f.read(4) == (size % 2**32).to_bytes(4, "little")
    except OSError:
        return False


def unnamed(con):
    """[(path, bytes, changed)] of transcripts in the archive that no row names; none where another history lies beside this
    one, whose they may be."""
    folder, named = folder_of(con), {name_of(row[0]) for row in con.execute("SELECT hash FROM archive")}
    above, own = os.path.dirname(folder), con.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()[0]
    from orchestrator.store.search_index import SUFFIX

    ours = [os.path.realpath(own) + end for end in ("", "-wal", "-shm", "-journal", SUFFIX, SUFFIX + "-wal", SUFFIX + "-shm")]
    found = []
    try:
        for name in os.listdir(above):
            path = os.path.join(above, name)
            if os.path.realpath(path) not in ours and os.path.isfile(path):
                with open(path, "rb") as f:
                    if f.read(15) == b"SQLite format 3":
                        return []
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if name not in named and len(name) == 41 and name.endswith(".jsonl.gz") and os.path.isfile(path):
                about = os.lstat(path)
                found.append((path, about.st_size, about.st_mtime))
    except OSError:
        pass
    return found


def names(con):
    """The names of the files in the archive."""
    try:
        return set(os.listdir(folder_of(con)))
    except OSError:
        return set()


def conversations_due(con, everything=False):
    """[(kind, owner, path)] of main conversations that ended, or of all, since they were kept last."""
    return con.execute(
        "SELECT 'session', s.claude_session_id, s.transcript_path FROM claude_sessions s LEFT JOIN archive a ON a.owner = "
        "s.claude_session_id AND a.kind = 'session' WHERE s.transcript_path IS NOT NULL AND (a.hash IS NULL OR s.ended_at IS "
        "NULL OR a.archived_at < s.ended_at) AND (?1 OR s.ended_at IS NOT NULL) ORDER BY s.rowid", (everything,)).fetchall()


def running(con):
    """[(kind, owner, path)] of agents still at work, whose transcripts can be kept as they are now."""
    return con.execute("SELECT 'execution', execution_id, transcript_path FROM executions WHERE status = 'deployed' AND "
                       "transcript_path IS NOT NULL ORDER BY deployed_at").fetchall()  # fmt: skip


def keep(con, due, now, most=None, progress=None):
    """Keeps these transcripts, until `most` bytes were read. Returns a Kept."""
    kept, folder = Kept(), folder_of(con)
    for place, (kind, owner, path) in enumerate(due):
        if most is not None and kept.read >= most:
            break
        kept.looks += 1
        try:
            source = paths.readable(path, encoding="utf-8", errors="replace", newline="\n")
        except (OSError, TypeError, ValueError):  # it went, or is out of reach: it stays due; or there is no such file
            kept.missing.append((kind, owner, path))
            source = None
        if progress:
            progress(place + 1, len(due))
        if source is None:
            continue
        with source:
            try:
                address, lines, size, packed, masked = pack(folder, _whole(con, path, source))
            except IsADirectoryError:  # something else has its name there: the others are kept all the same
                kept.missing.append((kind, owner, path))
                continue
        with writing(con):
            before = _address(con, kind, owner)
            there = os.path.exists(path_of(folder, address))
            if there:
                con.execute("INSERT OR REPLACE INTO archive VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                            (owner, kind, address, lines, size, packed, said(masked), now))  # fmt: skip
                _point(con, kind, owner, address)
        if not there:  # another let go of the same content just then: it stays due
            continue
        if before:  # what it was before it grew
            let_go(con, [path_of(folder, before)])
        kept.transcripts, kept.read, kept.packed = kept.transcripts + 1, kept.read + size, kept.packed + packed
        for what, times in masked.items():
            kept.masked[what] = kept.masked.get(what, 0) + times
    return kept


def said(masked):
    """What was masked, in words; None for nothing."""
    return ", ".join(["%s %d" % each for each in sorted(masked.items())]) or None


def _address(con, kind, owner):
    """Where a transcript was kept before, or None."""
    row = con.execute("SELECT hash FROM archive WHERE owner = ? AND kind = ?", (owner, kind)).fetchone()
    return row[0] if row else None


def let_go(con, files):
    """Removes those of these files that no row names, while nobody else can name one."""
    with writing(con):
        named = {name_of(row[0]) for row in con.execute("SELECT hash FROM archive")} if files else ()
        for path in files:
            if os.path.basename(path) not in named:
                _unlink(path)


def _unlink(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def _point(con, kind, owner, address):
    """Lets an execution's row name its archived transcript."""
    if kind == "execution":
        con.execute("UPDATE executions SET transcript_hash = ? WHERE execution_id = ?", (address, owner))


def _make(folder):
    """Makes the archive's folder; outside of a workspace, which git ignores as a whole, it ignores itself."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return
    if os.path.basename(os.path.dirname(folder)) != paths.WORKSPACE:
        write(os.path.join(folder, ".gitignore"), "*\n")


def pack(folder, source):
    """Writes an open transcript's redacted text into the archive: (address, lines, bytes, bytes of the file, {masked: times})."""
    import _blake2
    import zlib

    _make(folder)
    part = os.path.join(folder, ".%d-%s.part" % (os.getpid(), os.urandom(4).hex()))
    digest, squeeze = _blake2.blake2b(digest_size=16), zlib.compressobj(6, zlib.DEFLATED, 31)
    lines = size = 0
    masked = {}
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            for line in source:
                line, found = redact(line)
                for what, times in found:
                    masked[what] = masked.get(what, 0) + times
                data = line.encode("utf-8", "replace")
                lines, size = lines + 1, size + len(data)
                digest.update(data)
                target.write(squeeze.compress(data))
            target.write(squeeze.flush())
            target.flush()
            os.fsync(target.fileno())  # else its name may be on the disk before it is
        address = "b2:" + digest.hexdigest()
        os.replace(part, path_of(folder, address))
    except BaseException:
        _unlink(part)
        raise
    return address, lines, size, os.path.getsize(path_of(folder, address)), masked


def in_passing(con, project, now):
    """Keeps a few of the agents' transcripts that ended a while ago; more of them when one is about to expire."""
    try:
        began, after = missed(con, now)
        until = _ago(con, now, SETTLED)
        rows = con.execute("SELECT execution_id, transcript_path, %s FROM executions WHERE %s AND %s < ? AND %s > ? ORDER BY %s "
                           "LIMIT ?" % (ENDED, DUE, ENDED, ENDED, ENDED), (until, after, LOOKS)).fetchall()  # fmt: skip
        if rows:
            expiring = rows[0][2] < _ago(con, now, _days(con, project) * 86400 * 2 // 3)
            kept = keep(con, [("execution",) + row[:2] for row in rows], now, most=PIECE * (8 if expiring else 1))
            if kept.missing:
                _note_missing(con, rows, kept, began or now, until)
    except OSError:
        pass  # a full disk: `orchestrator archive` says so


def _ago(con, now, seconds):
    return con.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ?, ?)", (now, "-%d seconds" % seconds)).fetchone()[0]


def _days(con, project):
    """After how many days Claude Code deletes transcripts: the fewest that the user's or the project's settings say."""
    found = []
    for folder in filter(None, (paths.client_folder(), os.path.join(project, ".claude"))):
        for name in ("settings.json", "settings.local.json"):
            try:
                text = paths.regular(os.path.join(folder, name), 1_000_000).decode("utf-8", "replace")
            except OSError:
                continue
            days = con.execute("SELECT CASE WHEN json_valid(?1) THEN json_extract(?1, '$.cleanupPeriodDays') END",
                               (text,)).fetchone()[0]  # fmt: skip
            if isinstance(days, (int, float)):
                found.append(int(max(0, min(days, 36500))))
    return min(found) if found else DELETED


def _note_missing(con, rows, kept, began, until):
    """Notes up to which end transcripts were looked for, so that the next look begins after them. Those that ended with the
    first that is still to be looked for are looked for once more."""
    left = rows[kept.looks][2] if kept.looks < len(rows) else rows[-1][2] if len(rows) == LOOKS else until
    ends = {row[0]: row[2] for row in rows}
    passed = [(ends[owner], path) for _, owner, path in kept.missing if ends[owner] < left]
    if passed:
        end, path = max(passed)
        above = os.path.dirname(path)
        while above not in ("", path) and not os.path.lexists(above):
            path, above = above, os.path.dirname(above)
        if os.path.lexists(path):  # it may not be read: another day
            path = ""
        with writing(con):
            con.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (MISSING, began + end + path))


def transcript_of(con, execution):
    """An agent's transcript, line by line, redacted: from where Claude Code keeps it, which may have grown since it was kept,
    else from the archive."""
    row = con.execute("SELECT a.hash, e.transcript_path, e.status, a.size FROM executions e LEFT JOIN archive a ON a.owner = "
                      "e.execution_id AND a.kind = 'execution' WHERE e.execution_id = ?", (execution,)).fetchone()  # fmt: skip
    if row is None:
        raise OrchestratorError("There is no execution %s." % execution)
    kept, path, status, size = row
    if path and os.path.isfile(path):
        return _redacted(con, path)
    copy = path_of(folder_of(con), kept) if kept else None
    if copy and os.path.exists(copy):
        return unpack(copy, size)
    if path:
        raise OrchestratorError("The transcript of %s is gone (%s), and the archive has no copy: Claude Code deletes them "
                                "after 30 days, the demo its own without --keep, `orchestrator prune` ours." % (
                                    execution, path))  # fmt: skip
    raise OrchestratorError("No transcript of %s is known%s." % (execution, ": it has not ended" if status == "deployed" else ""))


def session_of(con, given):
    """The Claude session whose id begins with this, or None where none or several do."""
    rows = con.execute("SELECT claude_session_id FROM claude_sessions WHERE claude_session_id >= ?1 AND claude_session_id < ?1 "
                       "|| char(1114111) AND ?1 != '' ORDER BY 1 LIMIT 2", (given,)).fetchall()  # fmt: skip
    return rows[0][0] if len(rows) == 1 or (rows and rows[0][0] == given) else None


def conversation(con, session):
    """A main conversation's transcript, line by line, redacted; OrchestratorError where there is none."""
    row = con.execute("SELECT a.hash, s.transcript_path, a.size FROM claude_sessions s LEFT JOIN archive a ON a.owner = "
                      "s.claude_session_id AND a.kind = 'session' WHERE s.claude_session_id = ?",
                      (session,)).fetchone()  # fmt: skip
    if row and row[1] and os.path.isfile(row[1]):
        return _redacted(con, row[1])
    copy = path_of(folder_of(con), row[0]) if row and row[0] else None
    if copy and os.path.exists(copy):
        return unpack(copy, row[2])
    raise OrchestratorError("The transcript of the Claude session %s is not there, and the archive has no copy." % session)


def unpack(path, size):
    """The lines of an archived transcript of so many bytes; OrchestratorError where the file is spoilt."""
    import zlib

    stretch, rest, come = zlib.decompressobj(31), b"", 0
    try:
        with open(path, "rb") as f:
            while True:
                data = f.read(65536)
                text = stretch.decompress(data) if data else stretch.flush()
                lines, come = (rest + text).split(b"\n"), come + len(text)
                rest = lines.pop()
                for line in lines:
                    yield line.decode("utf-8", "replace") + "\n"
                if not data:
                    break
    except (OSError, zlib.error):
        come = -1
    if come != size or not stretch.eof:
        raise OrchestratorError("The archived copy %s is spoilt and cannot be read to its end, and Claude Code's own "
                                "transcript is gone." % path)  # fmt: skip
    if rest:
        yield rest.decode("utf-8", "replace")


def _redacted(con, path):
    with paths.readable(path, encoding="utf-8", errors="replace", newline="\n") as f:
        for line in _whole(con, path, f):
            yield redact(line)[0]


def _whole(con, path, source):
    """The lines of an open transcript, and of the files in which the client went on with that agent."""
    from orchestrator.recording import transcript

    yield from source
    for part in transcript.parts(con, path):
        try:
            with paths.readable(part, encoding="utf-8", errors="replace", newline="\n") as f:
                yield from f if part != path else ()
        except OSError:
            pass  # it went, or is none
