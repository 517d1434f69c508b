"""Bits: of the terms (words, beginnings of words, pairs, marks) that many rows of a part have, which rows these are.

FTS5 goes through all rows of each term to find that hardly any has all of them. Here each row is a bit, by the order in which
it was taken in, in pieces: what stands in several terms is one operation a piece. A row that changed is taken in anew: a
bit, once set, stays.
"""

import collections
import itertools
import zlib

from orchestrator.store import search
from orchestrator.store.search import LAST, LAST_ORDER, SECONDS, any_of, is_single, is_word, order

PIECE = 32000  # rows of a piece, a multiple of 8: its bits and what belongs to them fill a page
BLOCK = 640  # rows of a block, a multiple of 8 too; a piece has some
SHARE, MOST = 1000, 8000  # of how many rows one must have a term that has bits; terms, and beginnings, at most
LONGEST = 30  # letters of a beginning that has bits
LARGE = 50000  # rows of a part from which on FTS5 would go through too many for a frequent word beside a common one
TABLES = (
    "CREATE TABLE found.common (number INTEGER PRIMARY KEY, part TEXT, term TEXT, UNIQUE (part, term))",
    "CREATE TABLE found.bits (place INTEGER PRIMARY KEY, rows BLOB)",  # of a term's number, and of the piece's
    # the newest and the oldest row of each piece and of each block, by their seconds as in places
    "CREATE TABLE found.spans (part TEXT, size INTEGER, number INTEGER, newest INTEGER, oldest INTEGER, "
    "PRIMARY KEY (part, size, number)) WITHOUT ROWID",
)
FIRST, RARE = 250, 6000  # rows of terms that are not common that are looked at first, and at most
BESIDE = 3000  # rows, at most, of terms that are not common where one of these or of common ones is asked for
FEW, NEARLY = 5, 3  # times smaller that a piece of a term, or of one of those for words in a row, is when it is kept packed
_WITHIN = 32  # bits of a piece's number in a place


def common(con, part):
    """{term: its number} of those that have bits in a part, which is one of FTS5's tables."""
    return dict(con.execute("SELECT term, number FROM found.common WHERE part = ?", (part,)).fetchall())


def learn(con, part, times, rows, every):
    """Keeps which terms are common in a part of so many rows, where they stand so many `times` in some `rows`."""
    learned = []
    for some in ({term: n for term, n in times.items() if is_single(term)}, _beginnings(times, rows / SHARE)):
        often = sorted([term for term, n in some.items() if n * SHARE >= rows], key=lambda term: (-some[term], term))
        learned += often[:MOST]
    if every >= LARGE:
        learned += search.NEAR
    con.executemany("INSERT INTO found.common (part, term) VALUES (?, ?)", [(part, term) for term in learned])


def _beginnings(times, enough):
    """{what several words begin with, and *: times, at most} of what has enough."""
    found = {}
    words, length = {term: n for term, n in times.items() if is_word(term)}, 1
    while words and length <= LONGEST:
        sums, most = collections.Counter(), collections.Counter()
        for word, n in words.items():
            sums[word[:length]] += n
            most[word[:length]] = max(n, most[word[:length]])
        several = {begin for begin, n in sums.items() if enough <= n > most[begin]}
        found.update({begin + "*": sums[begin] for begin in several})
        words, length = {word: n for word, n in words.items() if len(word) > length and word[:length] in several}, length + 1
    return found


def noting(noted, spans, frequent, common):
    """A function for SQL that notes in `noted` {term: rows} of a row, in `spans` {block: seconds}; it returns the row's words.

    Of a part with some frequent words and some common terms.
    """
    code = search.codes(filter(is_word, common), frequent) if search.NEAR[0] in common else {}

    def note(place, words):
        row, second = order(place), place >> SECONDS
        newest, oldest = spans.get(row // BLOCK, (second, second))
        spans[row // BLOCK] = min(newest, second), max(oldest, second)
        each = words.split(" ")
        for term in itertools.chain(each, search.near(each, code)) if code else each:
            noted[term].append(row)
        return words

    return note


def write(con, part, terms, noted, spans):
    """Keeps what was noted of some rows that were taken in one after another; of a part's common terms."""
    for size in (BLOCK, PIECE):
        con.executemany(
            "INSERT INTO found.spans VALUES (?, ?, ?, ?, ?) ON CONFLICT (part, size, number) DO UPDATE SET "
            "newest = min(newest, excluded.newest), oldest = max(oldest, excluded.oldest)",
            [(part, size, block * BLOCK // size, *span) for block, span in spans.items()])  # fmt: skip
    if not terms or not spans:
        return
    first = min(spans) * BLOCK // PIECE
    size = (max(spans) + 1) * BLOCK - first * PIECE >> 3
    begins = collections.defaultdict(int)
    for term, rows in sorted(noted.items(), key=lambda item: terms.get(item[0], 0)):
        some = [term[:n] + "*" for n in range(1, min(len(term), LONGEST) + 1)] if is_word(term) else ()
        some = [begin for begin in some if begin in terms]
        if some or term in terms:
            each = bytearray(size)
            for row in rows:
                row -= first * PIECE
                each[row >> 3] |= 1 << (row & 7)
            bits = int.from_bytes(each, "little")
            if term in terms:
                _add(con, terms[term], first, bits, NEARLY if search.is_near(term) else FEW)
            for begin in some:
                begins[begin] |= bits
    for begin in sorted(begins, key=terms.__getitem__):
        _add(con, terms[begin], first, begins[begin], FEW)


def _add(con, number, piece, bits, few):
    """Sets some bits of a term, in a piece and those after; packed where that makes it so many times smaller."""
    while bits:
        place, some = number << _WITHIN | piece, bits & (1 << PIECE) - 1
        if some:
            kept = con.execute("SELECT rows FROM found.bits WHERE place = ?", (place,)).fetchone()
            some |= int.from_bytes(_read(kept[0]), "little") if kept else 0
            whole = some.to_bytes(PIECE // 8, "little")
            packed = _packed(whole)
            kept = packed if len(packed) * few < len(whole) else whole
            con.execute("INSERT OR REPLACE INTO found.bits VALUES (?, ?)", (place, kept))
        piece, bits = piece + 1, bits >> PIECE


def candidates(con, part, wanted, between, most):
    """Batches of rows of a part, as they were taken in, that have one term of each of `wanted`; None: FTS5 knows as soon.

    Each a list, the second of the newest row after, as in places, and whether they have all that is wanted, or may. `between`
    are two such seconds: of rows before and after, not all are named. Terms that are not common are asked of FTS5. Where a
    piece has more than `most` rows, they come in blocks.
    """
    if not all(wanted):
        return iter(())  # a word* with no end
    each, rare, whole = [], [], True
    for terms in wanted:
        numbers = {term: row[0] for term in terms for row in con.execute(_NUMBER, (part, term))}
        if not numbers:
            rare.append("(%s)" % any_of(terms))
            continue
        others = [term for term in terms if term not in numbers]
        beside = _beside(con, part, others, between) if others else {}
        if beside is None:
            whole = False  # all of these are too many
        else:
            each.append((sorted(numbers.values()), beside))
    if not each or len(wanted) < 2 and not wanted[0][0].endswith("*"):
        return None
    each.sort(key=lambda group: group[0], reverse=True)  # the rarest first
    if not rare:
        return _newest_first(con, part, each, between, most, whole)
    return _of_rare(con, part, each, " AND ".join(rare), between, most, whole)


_NUMBER = "SELECT number FROM found.common WHERE part = ? AND term = ?"


def _rows_of(con, part, asked, between, most):
    """A statement's places of FTS5's rows, the newest first, one more than the most."""
    rows = "SELECT rowid FROM found.%s WHERE words MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?" % part
    return con.execute(rows, (asked, between[0] << SECONDS, between[1] << SECONDS | LAST_ORDER, most + 1))


def _beside(con, part, terms, between):
    """{piece: the bits} of rows that have one of some terms that are not common; None where these are many."""
    found: dict = {}
    places = _rows_of(con, part, any_of(terms), between, BESIDE).fetchall()
    for (place,) in places:
        row = order(place)
        bits = found.setdefault(row // PIECE, bytearray(PIECE // 8))
        bits[row % PIECE >> 3] |= 1 << (row & 7)
    return {piece: int.from_bytes(bits, "little") for piece, bits in found.items()} if len(places) <= BESIDE else None


def _newest_first(con, part, each, between, most, whole):
    pieces = _spans(con, part, PIECE, between)
    for piece, bits in _pieces(con, part, each, [number for number, _ in pieces]):
        after = pieces.pop(0)[1]
        rows = _set(bits, piece * PIECE, most + 1)
        if len(rows) <= most:
            yield rows, after, whole
            continue
        blocks = _spans(con, part, BLOCK, between, piece * PIECE // BLOCK, (piece + 1) * PIECE // BLOCK - 1)
        for block, later in blocks:
            first = block * BLOCK
            yield _set(bits >> first - piece * PIECE & (1 << BLOCK) - 1, first), min(later, after), whole


def _set(bits, first, most=PIECE):
    """The rows of bits, the latest first, so many at most."""
    rows: list = []
    while bits and len(rows) < most:
        at = bits.bit_length() - 1
        bits ^= 1 << at
        rows.append(first + at)
    return rows


def _spans(con, part, size, between, first=0, last=1 << _WITHIN):
    """[(number, the second of the newest after)] of pieces or blocks with rows of some time, the latest first."""
    rows = "SELECT number, newest FROM found.spans WHERE part = ? AND size = ? AND number BETWEEN ? AND ? "
    spans = con.execute(rows + "AND newest <= ? AND oldest >= ?", (part, size, first, last, between[1], between[0])).fetchall()
    after = list(itertools.accumulate([LAST, *[newest for _, newest in spans]], min))
    return [(number, after[n]) for n, (number, _) in enumerate(spans)][::-1]


def _of_rare(con, part, each, asked, between, most, whole):
    """Of the rows that FTS5 finds, the newest first, those that have all bits; where it finds too many, all that have them."""
    found, known, pieces = _rows_of(con, part, asked, between, RARE), {}, _pieces(con, part, each)
    some, more = found.fetchmany(FIRST), None
    while some:
        rows = []
        for (place,) in some:
            row = order(place)
            piece = row // PIECE
            while piece not in known:
                number, bits = next(pieces)
                known[number] = bits.to_bytes(PIECE // 8, "little")
            if known[piece][row % PIECE >> 3] >> (row & 7) & 1:
                rows.append(row)
        second = some[-1][0] >> SECONDS
        if more is None:
            more = found.fetchall()
            if len(some) + len(more) > RARE:
                yield rows, second, whole
                yield from _newest_first(con, part, each, between, most, False)
                return
        at = 2 * len(some)
        some, more = more[:at], more[at:]
        yield rows, second if some else LAST, whole


def _pieces(con, part, each, numbers=None):
    """(Piece, its rows that have one of each of some terms, as the bits of a number), the latest first; of all, or of some."""
    if numbers is None:
        last = (con.execute("SELECT max(taken) FROM found.%s_rows" % part).fetchone()[0] or 0) // PIECE
        numbers = range(last, -1, -1)
    if not numbers:
        return
    groups = [([_kept(con, number, numbers[0], numbers[-1]) for number in terms], beside) for terms, beside in each]
    wanted = set(numbers)
    for piece in range(numbers[0], numbers[-1] - 1, -1):
        rows = -1 if piece in wanted else 0
        for of_terms, beside in groups:
            some = beside.get(piece, 0) if beside else 0
            for bits in [next(kept) for kept in of_terms]:
                if bits and rows:
                    some |= int.from_bytes(_read(bits), "little")
            rows &= some
        if piece in wanted:
            yield piece, rows


def _kept(con, number, last, first):
    """What is kept of a term's bits of each piece, the latest first."""
    between = "SELECT place, rows FROM found.bits WHERE place BETWEEN ? AND ? ORDER BY place DESC"
    place_of = number << _WITHIN
    for place, bits in con.execute(between, (place_of | first, place_of | last)):
        yield from itertools.repeat(None, last - (place - place_of))
        yield bits
        last = place - place_of - 1
    yield from itertools.repeat(None, last - first + 1)


def _packed(bits):
    """The bits of a piece, smaller where they are few."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -12, 4, zlib.Z_FIXED)  # the soonest read
    return packer.compress(bits) + packer.flush()


def _read(kept):
    """The bits of a piece."""
    return kept if len(kept) == PIECE // 8 else zlib.decompress(kept, -12)
