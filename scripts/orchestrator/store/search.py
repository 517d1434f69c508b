"""Search: words looked for in the texts of executions and outputs, by an index beside the history that readers keep.

The index (FTS5, where this SQLite has it) is a file of its own, `history.db-search`: hooks never open it, its making
locks nothing they need, and whoever removes it loses nothing. What came since it was used last is taken in when a
text is looked for. Its rows are numbered by time, so that the newest are found first: seconds, number, turn (how often
that row's words were replaced; older turns stay and are passed over). Where there is no index, texts are read.
"""

import os

from orchestrator.store.open import Error

SUFFIX = "-search"
BATCH = 20000  # rows of one transaction
NUMBER, TURN = 26, 4  # bits of a row's number, and of its turn, in its place in the index; above them stand seconds
SECONDS = NUMBER + TURN
LAST_TURN = (1 << TURN) - 1
# kind: its number, its time, the columns that are searched
KINDS = {
    "executions": ("number", "deployed_at", ("scope", "final_message", "error_message")),
    "outputs": ("output_id", "created_at", ("content",)),
}
_VERSION = 1  # of the tables below; another one is made anew
_TABLES = (
    "CREATE TABLE found.kept (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE found.turns (number INTEGER PRIMARY KEY, turn INTEGER NOT NULL)",  # executions with new words
    "CREATE TABLE found.growing (number INTEGER PRIMARY KEY, place INTEGER, words TEXT)",  # executions not ended when read
    *["CREATE VIRTUAL TABLE found.%s_words USING fts5(words, content = '', columnsize = 0, tokenize = 'unicode61 "
      "remove_diacritics 2')" % kind for kind in KINDS],
)  # fmt: skip


def available(con):
    """Whether this SQLite has the index's engine."""
    return con.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0] == 1


def phrase(text):
    """A text as the index is asked for it: all these words, "words in quotes" in a row, word* for what begins so.

    None for what only reading can find: no word at all, or writing without spaces between its words.
    """
    terms = _terms(text)
    if not terms or any(0x0E00 <= ord(c) < 0x1100 or 0x2E80 <= ord(c) < 0xFB00 for c in text):
        return None
    return " AND ".join(['"%s"%s' % (words, "" if whole else " *") for words, whole in terms])


def holds(text, wanted):
    """Whether a text holds what is wanted, as the index would say; without a word, or spaces, in it: just as it is."""
    if phrase(wanted) is None:
        return wanted.casefold() in text.casefold()
    terms, small = _terms(wanted), text.lower()
    if text.isascii() and any(term.isascii() and term.partition(" ")[0] not in small for term, _ in terms):
        return False
    words = " " + _words(text) + " "
    return all(" " + term + (" " if whole else "") in words for term, whole in terms)


def _terms(text):
    """[(words in a row, whether the last of them is whole)] of which all are wanted."""
    found = []
    for place, part in enumerate(text.split('"')):
        for term in [part] if place % 2 else part.split():
            words = _words(term)
            if words:
                found.append((words, not term.endswith("*")))
    return found


def teach(con):
    """Makes `holds` known to SQL."""
    con.create_function("holds", 2, holds)


def _words(text):
    """A text's words, small, without accents, one space between them."""
    text = text.lower()
    if not text.isascii():
        import unicodedata

        text = "".join([c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)])
    return " ".join("".join([c if c.isalnum() else " " for c in text]).split())


def text(kind, row):
    """SQL of the text that is searched in a row."""
    return " || char(10) || ".join(["COALESCE(%s.%s, '')" % (row, column) for column in KINDS[kind][2]])


def ready(con, kind, progress=None):
    """Brings the index of one kind up to date. False where there is none to be had."""
    if not available(con):
        return False
    for _ in range(2):
        try:
            if not _attach(con):
                return False
            _further(con, kind, progress)
            return True
        except Error as problem:
            _detach(con)
            if "malformed" not in str(problem) and "not a database" not in str(problem):
                return False
            remove(_file(con))  # a cache that is damaged is made anew
    return False


def place(kind, row):
    """SQL of where a row (`e`, `o`) stands in the index now."""
    number, at, _ = KINDS[kind]
    turn = "COALESCE((SELECT turn FROM found.turns t WHERE t.number = %s.number), 0)" % row if kind == "executions" else "0"
    return "((COALESCE(CAST(strftime('%%s', %s.%s) AS INTEGER), 0) << %d) | (%s.%s << %d) | %s)" % (
        row, at, SECONDS, row, number, TURN, turn)  # fmt: skip


def number(row):
    """SQL of the number in a place."""
    return "(%s.rowid >> %d & %d)" % (row, TURN, (1 << NUMBER) - 1)


def remove(history):
    """Removes a history's index."""
    for end in ("", "-wal", "-shm", "-journal"):
        try:
            os.unlink(history + SUFFIX + end)
        except OSError:
            pass


def _file(con):
    return [row[2] for row in con.execute("PRAGMA database_list") if row[1] == "main"][0]


def _attach(con):
    """Opens the index, made anew where it is another history's or an older kind. False: it can have none."""
    if any(row[1] == "found" for row in con.execute("PRAGMA database_list")):
        return True
    path = _file(con)
    if not path:
        return False
    fresh = not os.path.exists(path + SUFFIX)
    con.execute("ATTACH ? AS found", (path + SUFFIX,))
    if fresh:
        os.chmod(path + SUFFIX, 0o600)
        con.execute("PRAGMA found.journal_mode = WAL").fetchone()
    con.execute("PRAGMA found.synchronous = OFF")  # what a power cut spoils is made anew
    if con.execute("PRAGMA found.user_version").fetchone()[0] == _VERSION:
        kept = dict(con.execute("SELECT name, value FROM found.kept").fetchall())
        mark = con.execute("SELECT dedupe_key FROM events WHERE event_id = ?", (kept.get("event"),)).fetchone()
        if mark is None and kept.get("mark") is None or mark and mark[0] == kept.get("mark"):
            return True
    if not fresh:
        _detach(con)
        remove(path)
        return _attach(con)
    con.execute("BEGIN")
    for statement in _TABLES:
        con.execute(statement)
    con.execute("PRAGMA found.user_version = %d" % _VERSION)
    con.execute("COMMIT")
    return True


def _detach(con):
    if con.in_transaction:
        con.execute("ROLLBACK")
    if any(row[1] == "found" for row in con.execute("PRAGMA database_list")):
        con.execute("DETACH found")


def _further(con, kind, progress):
    """Takes in what came, and what changed, since the last time."""
    column = KINDS[kind][0]
    last = con.execute("SELECT COALESCE(max(%s), 0) FROM %s" % (column, kind)).fetchone()[0]
    kept = dict(con.execute("SELECT name, value FROM found.kept").fetchall())
    if kind == "executions":
        seen = con.execute("SELECT COALESCE(max(event_id), 0) FROM events").fetchone()[0]
        if seen != kept.get("event", 0) or con.execute("SELECT 1 FROM (%s) LIMIT 1" % _GROWN).fetchone():
            _transaction(con, _changed)
    first = done = kept.get(kind, 0)
    while done < last:
        done = _transaction(con, _some, kind)
        if progress and last - first > BATCH:
            progress(min(done, last) - first, last - first)


def _transaction(con, work, *more):
    """Writes to the index, and only to it: the history is read, and its writers wait for nothing."""
    con.execute("BEGIN")
    con.execute("INSERT OR IGNORE INTO found.kept VALUES ('executions', 0), ('outputs', 0), ('event', 0), ('mark', NULL)")
    answer = work(con, *more)
    con.execute("COMMIT")
    return answer


def _some(con, kind):
    """Some more rows, in the order of their places. Returns the last one's number; others may have been here meanwhile."""
    column = KINDS[kind][0]
    done = con.execute("SELECT value FROM found.kept WHERE name = ?", (kind,)).fetchone()[0]
    upto = con.execute("SELECT max(%s) FROM (SELECT %s FROM %s WHERE %s > ? ORDER BY 1 LIMIT ?)" % (column, column, kind, column),
                       (done, BATCH)).fetchone()[0]  # fmt: skip
    if upto is None:
        return done
    row = "SELECT %s, %s FROM %s o WHERE o.%s > ?1 AND o.%s <= ?2" % (place(kind, "o"), text(kind, "o"), kind, column, column)
    if kind == "executions":
        con.execute("INSERT INTO found.growing SELECT o.number, %s AND o.status = 'deployed'" % row[7:], (done, upto))
    con.execute("INSERT INTO found.%s_words (rowid, words) %s ORDER BY 1" % (kind, row), (done, upto))
    con.execute("UPDATE found.kept SET value = ? WHERE name = ?", (upto, kind))
    return upto


_NOW = "SELECT e.number, %s, %s FROM executions e WHERE e.number IN (SELECT number FROM temp.changed)" % (
    place("executions", "e"), text("executions", "e"))  # fmt: skip
_GROWN = ("SELECT g.number FROM found.growing g LEFT JOIN executions e USING (number) WHERE e.status IS NOT 'deployed' OR "
          "g.words IS NOT %s OR g.place IS NOT %s") % (text("executions", "e"), place("executions", "e"))  # fmt: skip
_TOLD = ("SELECT e.number FROM events v CROSS JOIN executions e ON e.execution_id = v.execution_id WHERE v.event_id > ? AND "
         "e.number <= ? AND NOT EXISTS (SELECT 1 FROM found.growing g WHERE g.number = e.number)")  # fmt: skip


def _changed(con):
    """Executions that had not ended, or that a later event spoke of, and whose words or times are others now."""
    done, seen = [con.execute("SELECT value FROM found.kept WHERE name = ?", (n,)).fetchone()[0] for n in ("executions", "event")]
    con.execute("CREATE TEMP TABLE IF NOT EXISTS changed (number INTEGER PRIMARY KEY)")
    con.execute("DELETE FROM temp.changed")
    con.execute("INSERT OR IGNORE INTO temp.changed " + _TOLD, (seen, done))
    con.execute("INSERT OR IGNORE INTO temp.changed " + _GROWN)
    con.execute("DELETE FROM found.growing WHERE number IN (SELECT number FROM temp.changed)")
    con.execute("INSERT INTO found.turns SELECT number, 1 FROM temp.changed WHERE true ON CONFLICT DO UPDATE SET turn = "
                "min(turn + 1, %d)" % LAST_TURN)  # fmt: skip
    con.execute("INSERT INTO found.growing %s AND e.status = 'deployed'" % _NOW)
    con.execute("INSERT INTO found.executions_words (rowid, words) %s ORDER BY 1" % _NOW.replace("e.number, ", "", 1))
    con.execute("UPDATE found.kept SET value = COALESCE((SELECT max(event_id) FROM events), 0) WHERE name = 'event'")
    con.execute("UPDATE found.kept SET value = (SELECT dedupe_key FROM events ORDER BY event_id DESC LIMIT 1) "
                "WHERE name = 'mark'")  # fmt: skip
