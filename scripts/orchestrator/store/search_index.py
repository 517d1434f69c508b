"""The search index: a file of its own beside the history, `history.db-search`, that readers keep.

FTS5, where this SQLite has it. Hooks never open it, its making locks nothing they need, and whoever removes it loses
nothing. What came since it was used last is taken in before it is asked (store/search.py).
"""

import collections
import os
import zlib

from orchestrator.store import search_bits
from orchestrator.store.open import BEGAN, Error
from orchestrator.store.search import KINDS, LAST_ORDER, PARTS, frequent, is_word, moment, teach, text

SUFFIX = "-search"
BATCH = 20000  # executions of one transaction; of outputs, which are shorter, three times as many
MANY = 5 * BATCH  # rows after which the index is put together in one piece
SAMPLE, SHARE = 5000, 50  # of how many rows (a large history: a batch) of a part one must have a word, to learn what is frequent
ENOUGH = 500  # of them in a part, to learn what is common in it
GROWN = 10  # times as many rows as it was made with, and more than a batch, after which an index is made anew to learn it again
_PATHS = {
    "executions": "(SELECT group_concat(path, char(0)) FROM (SELECT path FROM file_touches WHERE execution_id = e.execution_id "
    "UNION ALL SELECT path FROM outputs WHERE execution_id = e.execution_id AND path IS NOT NULL))",
    "outputs": "NULL",
}
_VERSION = 8  # of the tables below; another one is made anew
_TABLES = (
    "CREATE TABLE found.kept (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # rows that were taken in more than once: where they stand now
    "CREATE TABLE found.again (kind TEXT, number INTEGER, part TEXT, taken INTEGER, PRIMARY KEY (kind, number)) WITHOUT ROWID",
    # rows that could still change without an event when they were taken in
    "CREATE TABLE found.growing (kind TEXT, number INTEGER, second INTEGER, part TEXT, of TEXT, PRIMARY KEY (kind, number))",
    *[statement % (kind, part) for kind, (parts, _) in PARTS.items() for part in parts for statement in (
        "CREATE VIRTUAL TABLE found.%s_%s USING fts5(words, content = '', columnsize = 0, tokenize = 'ascii')",
        "CREATE TABLE found.%s_%s_rows (taken INTEGER PRIMARY KEY, number INTEGER)")],
    "CREATE TABLE found.words (part TEXT, word TEXT, PRIMARY KEY (part, word)) WITHOUT ROWID",  # for a word*
    *search_bits.TABLES,
)  # fmt: skip


def available(con):
    """Whether this SQLite has the index's engine."""
    return con.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0] == 1


def ready(con, kind, progress=None, most=0):
    """Brings the index of one kind up to date, or with `most` on by so many rows. False where it is not, or not to be had."""
    if not available(con):
        return False
    for _ in range(2):
        try:
            if not _attach(con):
                return False
            if not most and _outgrown(con, kind):
                con.execute("DETACH found")
                remove(_file(con))
                _attach(con)
            _learn(con, kind)
            return _further(con, kind, progress, most)
        except TROUBLE as problem:
            if not damaged(con, problem):
                return False
    return False


# what a spoilt index may raise
TROUBLE = (Error, zlib.error, ValueError, TypeError, AttributeError, IndexError, OverflowError, RuntimeError)
_SPOILT = ("malformed", "not a database", "corrupt", "vtable constructor failed", "fts5", "no such table: found")


def damaged(con, problem):
    """Whether an error says that the index is damaged: it is removed then, to be made anew. It is left in any case."""
    import traceback

    traceback.clear_frames(problem.__traceback__)  # a statement that was left in the middle holds the index
    try:
        if con.in_transaction:
            con.execute("ROLLBACK")
        if any(row[1] == "found" for row in con.execute("PRAGMA database_list")):
            con.execute("DETACH found")
    except Error:
        pass  # it cannot be left: whoever opens the history next makes it anew
    found = not isinstance(problem, Error) or any(part in str(problem) for part in _SPOILT)
    if found:
        remove(_file(con))
    return found


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
        try:
            os.chmod(path + SUFFIX, 0o600)
        except OSError:
            pass  # another process found it wanting, and removed it
        con.execute("PRAGMA found.journal_mode = WAL").fetchone()
    con.execute("PRAGMA found.synchronous = OFF")  # what a power cut spoils is made anew
    if con.execute("PRAGMA found.user_version").fetchone()[0] == _VERSION:
        kept = dict(con.execute("SELECT name, value FROM found.kept").fetchall())
        mark = con.execute("SELECT dedupe_key FROM events WHERE event_id = ?", (kept.get("event"),)).fetchone()
        if mark is None and kept.get("mark") is None or mark and mark[0] == kept.get("mark"):
            return True
    if not fresh:
        con.execute("DETACH found")
        remove(path)
        return not os.path.exists(path + SUFFIX) and _attach(con)
    con.execute("BEGIN")
    for statement in _TABLES:
        con.execute(statement)
    con.execute("PRAGMA found.user_version = %d" % _VERSION)
    con.execute("COMMIT")
    return True


def _last(con, kind):
    return con.execute("SELECT COALESCE(max(%s), 0) FROM %s" % (KINDS[kind][1], kind)).fetchone()[0]


def _outgrown(con, kind):
    learned = _kept(con, kind + " learned")
    return learned and _last(con, kind) > max(BATCH, GROWN * learned)


def _learn(con, kind):
    """Learns, once an index, which words are frequent and what is common, and makes it known to SQL."""
    if not _kept(con, kind + " learned"):
        teach(con)
        _transaction(con, _learned, kind)
    teach(con, {part: frequent(con, kind, part) for part in PARTS[kind][0]})


def _learned(con, kind):
    if _kept(con, kind + " learned"):
        return  # by another process, just now
    import random  # 4 ms, seldom needed

    last = _last(con, kind)
    some = random.Random(1).sample(range(1, last + 1), min(last, BATCH if last > BATCH else SAMPLE))
    each = "SELECT %s, %%s FROM json_each(?) n CROSS JOIN %s WHERE %s.%s = n.value" % (
        _part(kind), KINDS[kind][0], kind[0], KINDS[kind][1])  # fmt: skip
    numbers = ("[%s]" % ",".join(map(str, some)),)
    found = {}
    for part, rows, times in _counted(con.execute(each % ("said(%s, '')" % text(kind)), numbers)):
        found[part] = [word for word, n in times.items() if n * SHARE >= rows and is_word(word)]
        _keep(con, "%s_%s frequent" % (kind, part), " ".join(found[part]))
    if last > BATCH:  # among fewer rows FTS5 finds as soon
        teach(con, {part: frozenset(words) for part, words in found.items()})
        for part, rows, times in _counted(con.execute(each % _words_of(kind, _part(kind)), numbers)):
            if rows >= ENOUGH:
                search_bits.learn(con, "%s_%s" % (kind, part), times, rows, last * rows // len(some))
    _keep(con, kind + " learned", max(1, last))


def _counted(some):
    """[(part, how many rows, {term: in how many of them})] of rows (part, words)."""
    rows, times = collections.Counter(), collections.defaultdict(collections.Counter)
    for part, words in some:
        rows[part] += 1
        times[part].update(set(words.split(" ")) - {""})
    return [(part, rows[part], times[part]) for part in rows]


def _further(con, kind, progress, most):
    """Takes in what came, and what changed, since the last time. Returns whether that is all."""
    last = _last(con, kind)
    kept = dict(con.execute("SELECT name, value FROM found.kept").fetchall())
    seen = con.execute("SELECT COALESCE(max(event_id), 0) FROM events").fetchone()[0]
    left = con.execute("SELECT COALESCE(max(output_id), 0) FROM outputs").fetchone()[0]
    if (seen, left) != (kept.get(kind + " events", 0), kept.get(kind + " left", 0)) or con.execute(
            "SELECT 1 FROM (%s) LIMIT 1" % _grown(kind)).fetchone():  # fmt: skip
        _transaction(con, _changed, kind)
    first = done = kept.get(kind, 0)
    while done < last and not (most and done - first >= most):
        done = _transaction(con, _some, kind)
        if progress and last - first > BATCH:
            progress(min(done, last) - first, last - first)
    if done - first >= MANY:
        for part in PARTS[kind][0]:
            con.execute("INSERT INTO found.%s_%s (%s_%s) VALUES ('optimize')" % ((kind, part) * 2))
    return done >= last


def _transaction(con, work, *more):
    """Writes to the index, and only to it: the history is read, and its writers wait for nothing.

    Waits for another who writes to it as long as that one gets on.
    """
    while True:
        seen = con.execute("PRAGMA found.data_version").fetchone()
        con.execute("BEGIN")
        try:  # so that what is read next is not another's to change
            con.execute("INSERT OR IGNORE INTO found.kept VALUES ('begun', 1)")
            break
        except Error as problem:
            con.execute("ROLLBACK")
            if "locked" not in str(problem) or con.execute("PRAGMA found.data_version").fetchone() == seen:
                raise
    answer = work(con, *more)
    con.execute("COMMIT")
    return answer


def _kept(con, name):
    row = con.execute("SELECT value FROM found.kept WHERE name = ?", (name,)).fetchone()
    return row[0] if row else 0


def _keep(con, name, value):
    con.execute("INSERT OR REPLACE INTO found.kept VALUES (?, ?)", (name, value))


def _second(kind):
    return moment("%s.%s" % (kind[0], KINDS[kind][2]))


def _part(kind):
    return "CASE %s END" % " ".join(["WHEN %s THEN '%s'" % (which, part) for part, which in PARTS[kind][0].items()])


def _of(kind):
    """SQL of what a row's words and marks are made of, as one text."""
    return " || char(0) || ".join([text(kind), *["COALESCE(%s, '')" % one for one in (_PATHS[kind], *PARTS[kind][1].values())]])


def _words_of(kind, part):
    """SQL of a row's words, their pairs and its marks; of SQL of its part."""
    return "said(%s, %s) || ' ' || marks(%s, %s)" % (text(kind), part, _PATHS[kind], ", ".join(PARTS[kind][1].values()))


# An execution that may still change, with no event that says so: at work, its meta file or its transcript not read yet
_OPEN = f"""e.number IN (
    SELECT x.number FROM executions x LEFT JOIN claude_sessions s ON s.claude_session_id = x.claude_session_id
    WHERE x.number = e.number AND (
        x.status = 'deployed' AND s.ended_at IS NULL AND COALESCE({BEGAN.replace("e.", "x.")}, 1)
        OR x.agent_id IS NOT NULL AND COALESCE(x.usage_read_at, '') < COALESCE(x.completed_at, s.ended_at)
        OR x.agent_id IS NOT NULL AND s.claude_session_id IS NOT NULL AND s.ended_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM events v WHERE v.execution_id = x.execution_id AND v.kind = 'met')))"""


def _take_in(con, kind, which, values, again=False):
    """Rows go into their part of the index, in the order of their places; `again`, of rows that were in it before."""
    table, column, *_ = KINDS[kind]
    number = "%s.%s" % (kind[0], column)
    for part, of_it in PARTS[kind][0].items():
        index = "%s_%s" % (kind, part)
        rows = "found.%s_rows" % index
        first = con.execute("SELECT COALESCE(max(taken), 0) FROM " + rows).fetchone()[0]
        con.execute("INSERT INTO %s (number) SELECT %s FROM %s WHERE %s AND +%s ORDER BY 1" % (
            rows, number, table, which, of_it), values)  # +: not by an index of all times  # fmt: skip
        noted: dict = collections.defaultdict(list)
        spans: dict = {}
        terms = search_bits.common(con, index)
        con.create_function("noted", 2, search_bits.noting(noted, spans, frequent(con, kind, part), terms))
        each = "SELECT %s | (%d - taken) AS place, %s AS words FROM %s r CROSS JOIN %s WHERE taken > ? AND %s = r.number"
        each %= (_second(kind), LAST_ORDER, _words_of(kind, "'%s'" % part), rows, table, number)
        con.execute("INSERT INTO found.%s (rowid, words) SELECT place, noted(place, words) FROM (%s) ORDER BY place" % (
            index, each), (first,))  # fmt: skip
        search_bits.write(con, index, terms, noted, spans)
        words = [(index, word) for word in sorted(noted) if is_word(word)]
        con.executemany("INSERT OR IGNORE INTO found.words VALUES (?, ?)", words)
        if again:
            con.execute("INSERT OR REPLACE INTO found.again SELECT ?, number, ?, taken FROM %s WHERE taken > ?" % rows,
                        (kind, part, first))  # fmt: skip
    con.execute("INSERT INTO found.growing SELECT '%s', %s, %s, %s, %s FROM %s WHERE %s AND %s" % (
        kind, number, _second(kind), _part(kind), _of(kind), table, which, _OPEN), values)  # fmt: skip


def _some(con, kind):
    """Some more rows. Returns the last one's number; others may have been here meanwhile."""
    column = KINDS[kind][1]
    done = _kept(con, kind)
    most = BATCH if kind == "executions" else 3 * BATCH
    upto = con.execute("SELECT max(%s) FROM (SELECT %s FROM %s WHERE %s > ? ORDER BY 1 LIMIT ?)" % (column, column, kind, column),
                       (done, most)).fetchone()[0]  # fmt: skip
    if upto is None:
        return done
    _take_in(con, kind, "%s.%s > ? AND %s.%s <= ?" % (kind[0], column, kind[0], column), (done, upto))
    _keep(con, kind, upto)
    return upto


def _grown(kind):
    """SQL of the numbers of growing rows that are others now."""
    table, column, *_ = KINDS[kind]
    same = "%s.%s = g.number AND g.second = %s AND g.part = %s AND g.of = %s" % (
        kind[0], column, _second(kind), _part(kind), _of(kind))  # fmt: skip
    return "SELECT g.number FROM found.growing g WHERE g.kind = '%s' AND NOT EXISTS (SELECT 1 FROM %s WHERE %s)" % (
        kind, table, same)  # fmt: skip


def _changed(con, kind):
    """Takes in anew what was growing and is another now, and what later events spoke of."""
    letter, column, done = kind[0], KINDS[kind][1], _kept(con, kind)
    con.execute("CREATE TEMP TABLE IF NOT EXISTS changed (number INTEGER PRIMARY KEY)")
    con.execute("DELETE FROM temp.changed")
    for table, number, name in (("events", "event_id", " events"), ("outputs", "output_id", " left")):
        if done and (kind, table) != ("outputs", "outputs"):
            con.execute(
                "INSERT OR IGNORE INTO temp.changed SELECT {0}.{1} FROM {2} v CROSS JOIN {3} {0} ON {0}.execution_id = "
                "v.execution_id WHERE v.{4} > ? AND {0}.{1} <= ? AND NOT EXISTS (SELECT 1 FROM found.growing g WHERE "
                "g.kind = '{3}' AND g.number = {0}.{1})".format(letter, column, table, kind, number),
                (_kept(con, kind + name), done))  # fmt: skip
    con.execute("INSERT OR IGNORE INTO temp.changed " + _grown(kind))
    con.execute("DELETE FROM found.growing WHERE kind = ? AND number IN (SELECT number FROM temp.changed)", (kind,))
    _take_in(con, kind, "%s.%s IN (SELECT number FROM temp.changed)" % (letter, column), (), again=True)
    con.execute("DELETE FROM found.growing WHERE kind = '%s' AND number NOT IN (SELECT %s.%s FROM %s WHERE %s.%s IN (SELECT "
                "number FROM found.growing WHERE kind = '%s') AND %s)" % (
                    kind, letter, column, KINDS[kind][0], letter, column, kind, _OPEN))  # fmt: skip
    last = con.execute("SELECT event_id, dedupe_key FROM events ORDER BY event_id DESC LIMIT 1").fetchone() or (0, None)
    left = con.execute("SELECT COALESCE(max(output_id), 0) FROM outputs").fetchone()[0]
    for name, value in ((kind + " events", last[0]), (kind + " left", left), ("event", last[0]), ("mark", last[1])):
        _keep(con, name, value)
