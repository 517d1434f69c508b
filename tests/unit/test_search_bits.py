"""Bits of common terms: whichever rows have all of some terms are named, and no others, however they were written."""

import collections
import datetime
import itertools
import random
import sqlite3

import pytest

from orchestrator.store import search, search_bits

ROWS = 70_000  # more than two pieces
SHARES = {"half": 0.5, "tenth": 0.1, "some": 0.03, "few": 0.01, "fewer": 0.003, "hardly": 0.0005, "never": 0.0}
RARE = "hardly"  # which has no bits


def moment(taken):
    """The second of a row: some are older than those before."""
    return 1_700_000_000 + (taken if taken % 1000 else -taken)


def named(con, *wanted):
    """The rows that are named, one after another, the newest pieces first; None where it is left to FTS5."""
    batches = search_bits.candidates(con, "part", wanted, "", [], ROWS)
    return None if batches is None else [row for rows, *_ in batches for row in rows]


def whole(con, *wanted):
    """Whether all rows that are named have all that is wanted."""
    return all(batch[-1] for batch in search_bits.candidates(con, "part", wanted, "", [], ROWS))


@pytest.fixture(scope="module")
def part():
    """(A connection to an index of one part, {term: its rows}), written in batches of any size."""
    dice, con = random.Random(3), sqlite3.connect(":memory:", isolation_level=None)
    con.execute("ATTACH ':memory:' AS found")
    for statement in (*search_bits.TABLES, "CREATE VIRTUAL TABLE found.part USING fts5(words, content = '', tokenize = 'ascii')",
                      "CREATE TABLE found.part_rows (taken INTEGER PRIMARY KEY, number INTEGER)"):  # fmt: skip
        con.execute(statement)
    search_bits.learn(con, "part", {term: 1000 * share for term, share in SHARES.items() if term != RARE}, 0)
    terms, rows, first = search_bits.common(con, "part"), {term: set() for term in SHARES}, 1
    assert set(terms) == set(SHARES) - {RARE}
    con.execute("BEGIN")
    while first <= ROWS:
        noted, newest, seen = collections.defaultdict(list), {}, set()
        note = search_bits.noting(terms, noted, newest, seen)
        after = min(ROWS + 1, first + dice.choice([1, 70, 9000]))
        for taken in dice.sample(range(first, after), after - first):
            words = " ".join([term for term, share in SHARES.items() if dice.random() < share])
            for term in words.split():
                rows[term].add(taken)
            place = search.LAST - moment(taken) << search.SECONDS | search.LAST_ORDER - taken
            assert note(place, words) == words
            con.execute("INSERT INTO found.part_rows VALUES (?, ?)", (taken, taken))
            con.execute("INSERT INTO found.part (rowid, words) VALUES (?, ?)", (place, words))
        search_bits.write(con, "part", terms, noted, newest)
        assert seen <= {"", *SHARES} and seen >= set(noted)
        first = after
    con.execute("COMMIT")
    return con, rows


@pytest.mark.parametrize("count", [2, 3, 4])
def test_rows_that_have_all_terms(part, count):
    """Of two terms or more, asked in any order, exactly the rows that have all are named, the latest first."""
    con, rows = part
    for terms in itertools.permutations(SHARES, count):
        want = set.intersection(*[rows[term] for term in terms])
        assert named(con, *[[term] for term in terms]) == sorted(want, reverse=True) or RARE in terms
        assert sorted(named(con, *[[term] for term in terms])) == sorted(want)


def test_rows_that_have_one_of_some_terms(part):
    """A row may have one term or the other, whether one of them is common or both."""
    con, rows = part
    for one, other, third in itertools.permutations(SHARES, 3):
        want = (rows[one] | rows[other]) & rows[third]
        found = named(con, [one, other], [third])
        if RARE in (one, other):  # the third alone is gone by, and each row has to be read
            assert sorted(found) == sorted(rows[third])
            assert not whole(con, [one, other], [third])
        else:
            assert sorted(found) == sorted(want)
            assert whole(con, [one, other], [third])
    assert sorted(named(con, ["half", RARE], ["tenth"], [RARE])) == sorted(rows["tenth"] & rows[RARE])
    assert named(con, ["half"], []) == []


def test_no_later_row_is_newer_than_is_said(part):
    """With each batch of rows goes the time of the newest of those to come, by which a search knows that it has enough."""
    con, _ = part
    batches = list(search_bits.candidates(con, "part", [["half"], ["tenth"]], "", [], 1000))
    assert [len(rows) for rows, *_ in batches[1:]] == [1001, 1001] and batches[-1][1] == search.LAST  # of more than 1000 one more
    for n, (_, after, _) in enumerate(batches[:-1]):
        newest = max(moment(taken) for taken in range(1, (2 - n) * search_bits.PIECE))
        assert search.LAST - after == newest
        assert search.time_of(after) == datetime.datetime.fromtimestamp(newest, datetime.timezone.utc).isoformat()[:19]


def test_what_fts5_knows_as_soon_is_left_to_it(part, monkeypatch):
    """One term alone, terms that are not common, and rare ones that are not rare after all are not looked at one by one."""
    con, rows = part
    assert named(con, ["half"]) is None
    assert named(con, [RARE], ["unheard"]) is None
    assert named(con, [RARE], ["never"]) == []
    assert sorted(named(con, [RARE], ["half"])) == sorted(rows[RARE] & rows["half"]) and whole(con, [RARE], ["half"])
    monkeypatch.setattr(search_bits, "FIRST", 10)
    monkeypatch.setattr(search_bits, "RARE", len(rows[RARE]) - 1)
    assert set(named(con, [RARE], ["fewer"])) == rows["fewer"] and not whole(con, [RARE], ["fewer"])


def test_few_bits_take_little_space(part):
    """A term that few rows have takes a small part of what a frequent one takes."""
    con, _ = part
    size = dict(con.execute("SELECT term, sum(length(rows)) FROM found.bits JOIN found.common ON number = place >> 32 GROUP BY 1")
                )  # fmt: skip
    assert 2 < size["half"] / (search_bits.PIECE // 8) <= 3 and size["fewer"] * 6 < size["half"] and "never" not in size


def test_the_most_common_terms_have_bits():
    """Terms that stand in a small share of the rows have none, nor marks of several values; of many, the most frequent have."""
    con = sqlite3.connect(":memory:")
    con.execute("ATTACH ':memory:' AS found")
    for statement in search_bits.TABLES:
        con.execute(statement)
    single, together = (search._mark(bits, ["x"]) for bits in (1, 3))
    times = {f"word{n}": n for n in range(5000)}
    search_bits.learn(con, "part", {**times, single: 6000, together: 6000, "once": 1}, 500)
    assert set(search_bits.common(con, "part")) == {single, *[f"word{n}" for n in range(1001, 5000)]}
    search_bits.learn(con, "other", {"once": 1, "twice": 2}, 1000)
    assert set(search_bits.common(con, "other")) == {"twice"}
