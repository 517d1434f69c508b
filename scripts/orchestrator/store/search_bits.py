"""Bits: of the terms (words, pairs, marks) that many rows of a part have, which rows these are.

FTS5 goes through all rows of each term to find that hardly any has all of them. Here each row is a bit, by the order in which
it was taken in, in pieces: what stands in several terms is one operation a piece. A row that changed is taken in anew: a
bit, once set, stays.
"""

import bisect
import functools
import itertools
import operator
import zlib

from orchestrator.store.search import LAST, SECONDS, any_of, is_single, order

PIECE = 32000  # rows of a piece, a multiple of 8: its bits and what belongs to them fill a page
SHARE, MOST = 500, 4000  # of how many rows one must have a term that has bits, and how many terms these are at most
TABLES = (
    "CREATE TABLE found.common (number INTEGER PRIMARY KEY, part TEXT, term TEXT, UNIQUE (part, term))",
    "CREATE TABLE found.bits (place INTEGER PRIMARY KEY, rows BLOB)",  # of a term's number, and of the piece's
    # the newest row of a piece, by its second as in places
    "CREATE TABLE found.newest (part TEXT, piece INTEGER, second INTEGER, PRIMARY KEY (part, piece)) WITHOUT ROWID",
)
FIRST, RARE = 250, 10000  # rows of terms that are not common that are looked at first, and at most
_WITHIN = 32  # bits of a piece's number in a place


def common(con, part):
    """{term: its number} of those that have bits in a part, which is one of FTS5's tables."""
    return dict(con.execute("SELECT term, number FROM found.common WHERE part = ?", (part,)).fetchall())


def learn(con, part, times, rows):
    """Keeps which terms are common in a part, where they stand so many `times` in so many `rows`."""
    often = sorted([term for term, n in times.items() if n * SHARE >= rows and is_single(term)], key=lambda term: -times[term])
    con.executemany("INSERT INTO found.common (part, term) VALUES (?, ?)", [(part, term) for term in often[:MOST]])


def noting(terms, noted, newest, seen):
    """A function for SQL that notes which common terms a row has, its time and all its terms; it returns the row's words.

    In `noted` {term: rows}, in `newest` {piece: the place of the newest row's second}, and in `seen`.
    """
    common = frozenset(terms)

    def note(place, words):
        row, second = order(place), place >> SECONDS
        newest[row // PIECE] = min(newest.get(row // PIECE, second), second)
        each = words.split(" ")
        seen.update(each)
        for term in common.intersection(each):
            noted[term].append(row)
        return words

    return note


def write(con, part, terms, noted, newest):
    """Sets the bits of what was noted."""
    for piece, second in newest.items():
        con.execute("INSERT INTO found.newest VALUES (?, ?, ?) ON CONFLICT (part, piece) DO UPDATE SET second = "
                    "min(second, excluded.second)", (part, piece, second))  # fmt: skip
    for term, rows in sorted(noted.items(), key=lambda item: terms[item[0]]):
        rows.sort()
        first = 0
        while first < len(rows):
            piece = rows[first] // PIECE
            after = bisect.bisect_left(rows, (piece + 1) * PIECE, first)
            place = terms[term] << _WITHIN | piece
            row = con.execute("SELECT rows FROM found.bits WHERE place = ?", (place,)).fetchone()
            bits = bytearray(_read(row and row[0]))
            for taken in rows[first:after]:
                bits[taken % PIECE >> 3] |= 1 << (taken & 7)
            con.execute("INSERT OR REPLACE INTO found.bits VALUES (?, ?)", (place, _packed(bits)))
            first = after


def candidates(con, part, wanted, places, values, most):
    """Batches of rows of a part, as they were taken in, that have one term of each of `wanted`; None: FTS5 knows as soon.

    Each a list, of no more than one above `most`, the place of the second of the newest after, and whether they have all that
    is wanted, or may. Terms that are not common are asked of FTS5, with the `places` (and `values`) that bound the time.
    """
    each, rare, left_out = [], [], False  # one of common and other terms
    for terms in wanted:
        numbers = [row[0] for term in terms for row in con.execute(_NUMBER, (part, term))]
        if len(numbers) == len(terms):
            each.append(sorted(numbers))
        elif numbers:
            left_out = True
        else:
            rare.append("(%s)" % any_of(terms))
    if not all(wanted):
        return iter(())  # a word* with no end
    if not each or len(wanted) < 2:
        return None
    each.sort(reverse=True)  # the rarest first
    if not rare:
        return _newest_first(con, part, each, most, not left_out)
    asked = "SELECT s.rowid FROM found.%s s WHERE s.words MATCH ?%s LIMIT %d" % (part, places, RARE + 1)
    return _of_rare(con, part, each, asked, (" AND ".join(rare), *values), most, not left_out)


_NUMBER = "SELECT number FROM found.common WHERE part = ? AND term = ?"


def _newest_first(con, part, each, most, whole):
    after, seconds = [LAST], con.execute("SELECT second FROM found.newest WHERE part = ? ORDER BY piece", (part,)).fetchall()
    for (second,) in seconds:
        after.append(min(second, after[-1]))
    for piece, bits in _pieces(con, part, each):
        rows = []
        while bits and len(rows) <= most:
            at = bits.bit_length() - 1
            bits ^= 1 << at
            rows.append(piece * PIECE + at)
        yield rows, after[piece], whole


def _of_rare(con, part, each, asked, values, most, whole):
    """Of the rows that FTS5 finds, the newest first, those that have all bits; where it finds too many, all that have them."""
    found, pieces, first = con.execute(asked, values), _pieces(con, part, each), min(FIRST, RARE)
    known, looked, batch = {}, 0, found.fetchmany(first)
    while batch:
        rows = []
        for (place,) in batch:
            row = order(place)
            piece = row // PIECE
            while piece not in known:
                number, bits = next(pieces)
                known[number] = bits.to_bytes(PIECE // 8, "little")
            if known[piece][row % PIECE >> 3] >> (row & 7) & 1:
                rows.append(row)
        second, looked = batch[-1][0] >> SECONDS, looked + len(batch)
        if looked == first and con.execute("SELECT count(*) FROM (%s)" % asked, values).fetchone()[0] > RARE:
            yield rows, second, whole
            yield from _newest_first(con, part, each, most, False)
            return
        batch = found.fetchmany(looked)
        yield rows, second if batch else LAST, whole


def _pieces(con, part, each):
    """(Piece, its rows that have one of each of some terms, as the bits of a number), the latest first."""
    last = (con.execute("SELECT max(taken) FROM found.%s_rows" % part).fetchone()[0] or 0) // PIECE
    terms = [[_kept(con, number, last) for number in numbers] for numbers in each]
    for piece in range(last, -1, -1):
        rows = -1
        for of_term in terms:
            kept = [next(bits) for bits in of_term]
            if rows:
                rows &= functools.reduce(operator.or_, [int.from_bytes(_read(bits), "little") for bits in kept])
        yield piece, rows


def _kept(con, number, last):
    """What is kept of a term's bits of each piece, the latest first."""
    between = "SELECT place, rows FROM found.bits WHERE place BETWEEN ? AND ? ORDER BY place DESC"
    first = number << _WITHIN
    for place, bits in con.execute(between, (first, first | last)):
        yield from itertools.repeat(None, last - (place - first))
        yield bits
        last = place - first - 1
    yield from itertools.repeat(None, last + 1)


def _packed(bits):
    """What is kept of a piece: where it has few bits, a small part."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -12, 4, zlib.Z_FIXED)  # the soonest read
    packed = packer.compress(bits) + packer.flush()
    return packed if len(packed) * 6 < len(bits) else bits


def _read(kept):
    """The bits of a piece."""
    if kept is None:
        return bytes(PIECE // 8)
    return kept if len(kept) == PIECE // 8 else zlib.decompress(kept, -12)
