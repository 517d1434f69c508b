"""Search: what the index beside the history (store/search_index.py) is asked for, and how its rows are numbered and marked.

Its rows are numbered by time, so that the newest are found first: seconds, and the order in which they were taken into
their part (a row that changed is taken in anew; where it stood before stays, and is passed over).

Behind a row's words stand marks: one for each combination of agent type, model, origin and task, one for each of its
files and the folders around them; failed executions and each type of output have a part of their own. So all that is
asked together is one look into one part, however many rows have each of it. A mark is a short hash: a row that it names
is asked for the rest. And there stand pairs: two words in a row that are frequent both, as FTS5 goes through all rows that
have them to find one that has them in a row; and signs, of writing without spaces between its words. Of terms that many rows
have, which rows these are stands in store/search_bits.py.
"""

import itertools
import time
import zlib

from orchestrator.store import words

ENDS = 100  # words that begin with a word*, at most, that are asked for one by one
LONG = 4000  # letters of a word of which FTS5 may not see all: it sees 32,768 bytes
PHRASES = 3  # of these that a phrase ends in, at most, if there are bits: FTS5 goes through all rows for each
SECONDS = 30  # bits of a row's order in its place in the index; above them stand seconds
LAST, LAST_ORDER = (1 << 63 - SECONDS) - 1, (1 << SECONDS) - 1  # places count down from the last
# kind: where it is read, under its own letter; its number, its time, the columns that are searched
KINDS = {
    "executions": ("executions e", "number", "deployed_at", ("scope", "final_message", "error_message")),
    "outputs": ("outputs o LEFT JOIN executions e ON e.execution_id = o.execution_id", "output_id", "created_at", ("content",)),
}
# kind: the parts of its index with SQL of the rows in each, and what has marks in every combination
PARTS = {
    "executions": (
        {"failed": "e.status = 'failed'", "rest": "e.status != 'failed'"},
        {"agent_type": "e.agent_type", "model": "COALESCE(e.resolved_model, e.model)", "origin": "e.origin",
         "task_id": "e.task_id"}),
    "outputs": (
        {**{name: "o.output_type = '%s'" % name for name in ("deliverable", "validation_result", "insight", "error")},
         "rest": "o.output_type IS NULL"},
        {"agent_type": "e.agent_type", "task_id": "e.task_id"}),
}  # fmt: skip
_MARK, _PAIR, _SIGN, _NEAR = "\ue000", "\ue001", "\ue002", "\ue003"  # each begins such a term: letters that are in nobody's words
NEARS = 2048  # terms for all pairs of a frequent word and a common one, and as many for a common one and another's first letter


def teach(con, frequent=None):
    """Makes what reading rows, and the index, asks of them known to SQL; with {part: its frequent words} their pairs too."""
    con.create_function("holds", 2, words.holds)
    con.create_function("marks", -1, marks)
    con.create_function("said", 2, lambda text, part: _said(text, frequent.get(part, ()) if frequent else ()))


def _said(text, frequent):
    """A text as it is taken in: its words as reading sees them, so that the index sees the same, their pairs and its signs."""
    plain = words.plain(text)
    return " ".join([plain, *_pairs(plain.split(" "), frequent), *[_sign(sign) for sign in words.signs(text)]])


def _sign(sign):
    """A sign's term: to the index, ASCII is no letter."""
    return _SIGN + sign.translate(_LETTERS)


_LETTERS = {n: 0xE100 + n for n in range(128) if not chr(n).isalnum()}


def _pairs(each, frequent):
    two = zip(each, each[1:])
    return [_PAIR + one + _PAIR + other for one, other in two if one in frequent and other in frequent]


def near(each, codes, whole=True):
    """Terms, of the few there are, for two words in a row that are no pair, as only one is frequent and the other is common;
    and for a word that is either, and what the next begins with. The last is not `whole` where it is a word*."""
    found = [codes.get(word, 0) for word in each]
    if not whole:
        found[-1] = 0
    two = [NEAR[((one >> 2) * 31 + (other >> 2)) % NEARS] for one, other in zip(found, found[1:]) if (one & 3) + (other & 3) == 3]
    return two + [NEAR[NEARS + ((one >> 2) * 31 + ord(next[0])) % NEARS] for one, next in zip(found, each[1:]) if one and next]


NEAR = tuple(["%s%x" % (_NEAR, number) for number in range(2 * NEARS)])


def is_near(term):
    """Whether a term is one of those for two words in a row."""
    return term[:1] == _NEAR


def codes(common, frequent):
    """{word: its code for `near`} of common words, some of them frequent."""
    return {word: zlib.crc32(word.encode("utf-8", "surrogatepass")) << 2 | (1 if word in frequent else 2) for word in common}


def frequent(con, kind, part):
    """The words of which a part of a ready index knows what pairs there are."""
    row = con.execute("SELECT value FROM found.kept WHERE name = ?", ("%s_%s frequent" % (kind, part),)).fetchone()
    return frozenset(row[0].split()) if row else frozenset()


def expressions(con, kind, part, text, marked):
    """[loosely, strictly]: each (what one part of a ready index is asked for, whether that says all that is asked).

    `marked` is {column, or path: what it may be, each}. What is said loosely is soon found, and each row has to be read:
    the words of a phrase, in whatever order. Even strictly there is more to read where a word* may end in too many ways
    (FTS5 would go through all rows of all of them before it named the first), and where only reading finds a text.
    """
    marks, said = [any_of(one) for one in _together(kind, marked)], _said_by(con, kind, part, text)
    if len(marks) > 1:
        # so FTS5 goes on to the words only where all marks are: it would go on with every word from each of one
        marks = ['(%s) OR "%s"' % (" AND ".join(["(%s)" % one for one in marks]), _MARK)]
    found = []
    for way in (0, 1):
        groups = [any_of(one) for each in said or () for one in each[way][0]]
        whole = said is not None and all(each[way][1] for each in said)
        found.append((" AND ".join(["(%s)" % one for one in [*marks, *groups]]), whole))
    return found


def wanted(con, kind, part, text, marked):
    """([[term, …]], whether that says all): of each, rows that are asked for have one among their words, pairs and single marks.

    Without a word, nothing. A term word* is all that begins so.
    """
    said = _said_by(con, kind, part, text) or ()
    groups = [one for each in said for one in each[2][0]]
    if not groups:
        return [], False
    marks = [[_mark(_bits(kind, [name]), [value]) for value in marked[name]] for name in PARTS[kind][1] if name in marked]
    return [*marks, *_paths(marked), *groups], all(each[2][1] for each in said)


def _said_by(con, kind, part, text):
    """[(loosely, strictly, loosely where there are bits)] of each thing that a text asks; None: only reading finds it.

    Each is ([[term, …]], whether that says all).
    """
    asked, index = words.terms(text) if text else [], "%s_%s" % (kind, part)
    if asked is None:
        signs, whole, begins = words.signs_of(text)
        groups = [[_sign(one)] for one in (*signs, *whole)] + ([[_sign(begins) + "*"]] if begins else [])
        return [((groups, signs == [text.casefold()]),) * 3] if groups else None  # what is one sign is in whatever has it
    found, known = [], frequent(con, kind, part) if asked else ()
    for term, complete in asked:
        each = term.split(" ")
        pairs = [[pair] for pair in _pairs(each[: None if complete else -1], known)]
        if complete and pairs and len(pairs) == len(each) - 1:  # two are a pair, more may be pairs here and there
            found.append(((pairs, len(pairs) == 1),) * 3)
            continue
        last = each.pop()
        before, ends, soon = [[one] for one in each] + pairs, [last], [last]
        if not complete:
            ends = _ends(con, index, last)
            soon = [last + "*"] if has_bits(con, index, last + "*") else ends
        loosely, with_bits = [(before + ([] if some is None else [some]), some is not None and not each) for some in (ends, soon)]
        if each:
            two = near([*each, last], codes([word for word in (*each, last) if has_bits(con, index, word)], known), complete)
            with_bits[0].extend([[one] for one in two if has_bits(con, index, one)])
        whole = ends is not None and (not each or len(ends) <= PHRASES or not has_bits(con, index))
        if any(len(word) > LONG for word in (*each, last, *(ends or ()))):
            whole, loosely, with_bits = False, (loosely[0], False), (with_bits[0], False)
        exact = [[" ".join([*each, end]) for end in ends]] if whole else [[" ".join(each)]] if each else []
        found.append((loosely, (exact, whole), with_bits))
    return found


def any_of(terms):
    """One of some terms, as FTS5 is asked for it."""
    each = ['"%s" *' % term[:-1] if term.endswith("*") else '"%s"' % term for term in terms]
    return " OR ".join(each) or '"%s"' % _MARK  # which nobody has


def is_single(term):
    """Whether a term is a word or the mark of one value."""
    return term[0] != _MARK or term[1] in "01248"


def _together(kind, marked):
    """[[mark, …]] of what is asked together: of values in all their combinations, and of paths."""
    names = [name for name in PARTS[kind][1] if name in marked]
    each = [_mark(_bits(kind, names), values) for values in itertools.product(*[marked[name] for name in names])] if names else []
    return [*([each] if each else []), *_paths(marked)]


def _paths(marked):
    return [[_mark(0, [path])] for path in marked.get("path", ())]


def _bits(kind, names):
    every = list(PARTS[kind][1])
    return sum([1 << every.index(name) for name in names])


def _mark(bits, values):
    return "%s%x%08x" % (_MARK, bits, zlib.crc32("\0".join(map(str, values)).encode("utf-8", "surrogatepass")))


def marks(paths, *values):
    """A row's marks: of its paths (NUL between them), and of its values in the order of PARTS; what is NULL has none."""
    found = _known.get(values)
    if found is None:
        each = [(n, [value for bit, value in enumerate(values) if n >> bit & 1]) for n in range(1, 1 << len(values))]
        found = " ".join([_mark(n, chosen) for n, chosen in each if None not in chosen])
        _remember(values, found)
    return " ".join([found, *[_of_path(path) for path in (paths or "").split("\0")]])


def _of_path(path):
    found = _known.get(path)
    if found is None:
        ends = [at for at, letter in enumerate(path) if letter == "/" and at]
        found = " ".join([_mark(0, [path[:end]]) for end in (*ends, len(path)) if end])
        _remember(path, found)
    return found


def _remember(name, found):
    if len(_known) > _MOST:
        _known.clear()
    _known[name] = found


_MOST = 20000
_known = {}  # what was marked lately, and how: at most so many


def has_bits(con, index, *term):
    """Whether a part, which is one of FTS5's tables, has a term's bits; or any at all."""
    asked = "SELECT 1 FROM found.common WHERE part = ?" + " AND term = ?" * len(term) + " LIMIT 1"
    return con.execute(asked, (index, *term)).fetchone() is not None


def _ends(con, index, word):
    """What begins with a word, in a part: its words, or where these are many, word* if rows of them are few; else None."""
    asked = "SELECT word FROM found.words WHERE part = ? AND word >= ? AND word < ? LIMIT ?"
    found = [row[0] for row in con.execute(asked, (index, word, word + "\U0010ffff", ENDS + 1))]
    if len(found) <= ENDS:
        return found
    return None if has_bits(con, index, word + "*") or not has_bits(con, index) else [word + "*"]


def is_word(term):
    """Whether a term is a word, and none of those that begin with a letter of their own."""
    return not term.startswith((_MARK, _PAIR, _SIGN, _NEAR))


def text(kind):
    """SQL of the text that is searched in a row (`e`, `o`)."""
    return " || char(10) || ".join(["COALESCE(%s.%s, '')" % (kind[0], column) for column in KINDS[kind][3]])


def time_of(second):
    """The time of a second as it stands in places."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(LAST - second))


def moment(at):
    """SQL of the first place of a second, from SQL of a time."""
    return "(%d - max(0, min(%d, COALESCE(CAST(strftime('%%s', %s) AS INTEGER), 0))) << %d)" % (LAST, LAST, at, SECONDS)


def order(place):
    """The order, among those of its part, in which a row was taken in, of its place."""
    return LAST_ORDER - (place & LAST_ORDER)


def rows(kind, part, of="s"):
    """SQL of a part's rows `s`, or of a list's, with their numbers `r.number`, and that they do not stand elsewhere anew."""
    table = "%s_%s" % (kind, part)
    taken = "(%d - (s.rowid & %d))" % (LAST_ORDER, LAST_ORDER)
    each = ("json_each(?) few", "few.value") if of == "few" else ("found.%s s" % table, taken)
    return (
        "%s CROSS JOIN found.%s_rows r ON r.taken = %s" % (each[0], table, each[1]),
        "NOT EXISTS (SELECT 1 FROM found.again g WHERE g.kind = '%s' AND g.number = r.number AND "
        "(g.part != '%s' OR g.taken != r.taken))" % (kind, part),
    )
