"""Search: words looked for in the texts of executions, with an index that readers keep and writers know nothing of.

The index (FTS5, where this SQLite has it) takes in what came since it was used last, when a text is looked for. Of what
it holds already, only changes are noted as they happen (a trigger, table search_changes). Else the texts are read.
"""

from orchestrator.store.open import Error, writing

TABLE = "searched"
BATCH = 5000  # rows indexed in one transaction, so that no hook waits long
NEWEST = 500  # rows that the index finds first; more when these are not enough

_WORDS = "COALESCE(scope, '') || char(10) || COALESCE(final_message, '') || char(10) || COALESCE(error_message, '')"
_MAKE = "CREATE VIRTUAL TABLE IF NOT EXISTS searched USING fts5(words, content = '', tokenize = 'unicode61 remove_diacritics 2')"


def available(con):
    """Whether this SQLite has the index's engine."""
    return con.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0] == 1


def refresh(con, progress=None):
    """Brings the index up to date. Returns False where there is none to be had (no engine, a history that cannot be written)."""
    if not available(con):
        return False
    try:
        kept = con.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'searched.executions'").fetchone()
        done = kept[0] if kept else 0
        last = con.execute("SELECT COALESCE(max(number), 0) FROM executions").fetchone()[0]
        if kept is None or con.execute("SELECT 1 FROM search_changes LIMIT 1").fetchone():
            with writing(con):
                con.execute(_MAKE)
                con.execute("INSERT OR IGNORE INTO meta VALUES ('searched.executions', '0')")
                _changed(con)
        first = done
        while done < last:
            with writing(con):
                done = _further(con)
            if progress and last - first > BATCH:
                progress(min(done, last) - first, last - first)
    except Error:
        return False
    return True


def _changed(con):
    """Puts new words in the place of those that changed."""
    con.execute("INSERT INTO searched (searched, rowid, words) SELECT 'delete', number, words FROM search_changes")
    con.execute("INSERT INTO searched (rowid, words) SELECT number, %s FROM executions WHERE number IN (SELECT number FROM "
                "search_changes)" % _WORDS)  # fmt: skip
    con.execute("DELETE FROM search_changes")


def _further(con):
    """Takes in some more rows; returns the number of the last one. Another reader may have been here meanwhile."""
    done = con.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'searched.executions'").fetchone()[0]
    upto = con.execute("SELECT max(number) FROM (SELECT number FROM executions WHERE number > ? ORDER BY number LIMIT ?)",
                       (done, BATCH)).fetchone()[0]  # fmt: skip
    if upto is None:
        return done
    con.execute("INSERT INTO searched (rowid, words) SELECT number, %s FROM executions WHERE number > ? AND number <= ?" % _WORDS,
                (done, upto))  # fmt: skip
    con.execute("UPDATE meta SET value = ? WHERE key = 'searched.executions'", (str(upto),))
    return upto


def phrase(text):
    """A text as the index is asked for it: these words in this order, the last one perhaps longer. None: it has no words."""
    words = "".join([c if c.isalnum() or c == "_" else " " for c in text]).split()
    return '"%s" *' % " ".join(words) if words else None


def matching(con, text, newest=NEWEST, progress=None):
    """(an SQL condition on `e.number` or on columns of `e`, its values, whether older rows may match too).

    With the index: the latest `newest` executions that hold these words. Without: all that hold the text itself.
    """
    words = phrase(text)
    if words and refresh(con, progress):
        count = con.execute("SELECT count(*) FROM (SELECT 1 FROM searched WHERE searched MATCH ? LIMIT ?)",
                            (words, newest)).fetchone()  # fmt: skip
        return ("e.number IN (SELECT rowid FROM searched WHERE searched MATCH ? ORDER BY rowid DESC LIMIT ?)", [words, newest],
                count[0] >= newest)  # fmt: skip
    like = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    columns = ("e.scope", "e.final_message", "e.error_message")
    return " OR ".join([name + " LIKE ? ESCAPE '\\'" for name in columns]), [like] * len(columns), False
