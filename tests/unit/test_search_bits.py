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
BEGIN = "few*"  # of two words
FREQUENT = {"half", "tenth"}
NEAR = set(search.NEAR)
EVER = (0, search.LAST)


def moment(taken):
    """The second of a row: some are older than those before."""
    return 1_700_000_000 + (taken if taken % 1000 else -taken)


def named(con, *wanted, between=EVER, most=ROWS):
    """The rows that are named, one after another, the newest pieces first; None where it is left to FTS5."""
    batches = search_bits.candidates(con, "part", wanted, between, most)
    return None if batches is None else [row for rows, *_ in batches for row in rows]


def whole(con, *wanted):
    """Whether all rows that are named have all that is wanted."""
    return all(batch[-1] for batch in search_bits.candidates(con, "part", wanted, EVER, ROWS))


@pytest.fixture(scope="module")
def part():
    """(A connection to an index of one part, {term: its rows}), written in batches of any size."""
    dice, con = random.Random(3), sqlite3.connect(":memory:", isolation_level=None)
    con.execute("ATTACH ':memory:' AS found")
    for statement in (*search_bits.TABLES, "CREATE VIRTUAL TABLE found.part USING fts5(words, content = '', tokenize = 'ascii')",
                      "CREATE TABLE found.part_rows (taken INTEGER PRIMARY KEY, number INTEGER)"):  # fmt: skip
        con.execute(statement)
    search_bits.learn(con, "part", {term: 1000 * share for term, share in SHARES.items() if term != RARE}, 0, ROWS)
    rows, first = {term: set() for term in SHARES}, 1
    common = search_bits.common(con, "part")
    assert set(common) == {*SHARES, BEGIN, "f*", "fe*", *NEAR} - {RARE}
    con.execute("BEGIN")
    while first <= ROWS:
        noted, spans = collections.defaultdict(list), {}
        note = search_bits.noting(noted, spans, FREQUENT, common)
        after = min(ROWS + 1, first + dice.choice([1, 70, 9000, 40_000]))
        for taken in dice.sample(range(first, after), after - first):
            words = " ".join([term for term, share in SHARES.items() if dice.random() < share])
            for term in words.split():
                rows[term].add(taken)
            place = search.LAST - moment(taken) << search.SECONDS | search.LAST_ORDER - taken
            assert note(place, words) == words
            con.execute("INSERT INTO found.part_rows VALUES (?, ?)", (taken, taken))
            con.execute("INSERT INTO found.part (rowid, words) VALUES (?, ?)", (place, words))
        search_bits.write(con, "part", common, noted, spans)
        assert set(noted) <= {"", *SHARES, *NEAR}
        first = after
    con.execute("COMMIT")
    return con, {**rows, BEGIN: rows["few"] | rows["fewer"]}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_rows_that_have_all_terms(part, count):
    """Of two terms or more, asked in any order, exactly the rows that have all are named, the latest first."""
    con, rows = part
    for terms in itertools.permutations(SHARES, count):
        want = set.intersection(*[rows[term] for term in terms])
        assert named(con, *[[term] for term in terms]) == sorted(want, reverse=True) or RARE in terms
        assert sorted(named(con, *[[term] for term in terms])) == sorted(want)


def test_rows_that_have_one_of_some_terms(part, monkeypatch):
    """A row may have one term or the other, whether one of them is common or both; of many, rows that may are named."""
    con, rows = part
    for most in (search_bits.BESIDE, 3):
        monkeypatch.setattr(search_bits, "BESIDE", most)
        for one, other, third in itertools.permutations([*SHARES, BEGIN], 3):
            want = (rows[one] | rows[other]) & rows[third]
            found = named(con, [one, other], [third])
            if most == 3 and RARE in (one, other):  # the third alone is gone by
                assert sorted(found) == sorted(rows[third])
                assert not whole(con, [one, other], [third])
            else:
                assert sorted(found) == sorted(want)
                assert whole(con, [one, other], [third])
    assert named(con, ["half"], []) == []


def test_rows_with_a_beginning_of_words(part):
    """What begins with some letters has bits of its own, also alone; what only one word does has none."""
    con, rows = part
    assert named(con, [BEGIN]) == sorted(rows["few"] | rows["fewer"], reverse=True) and whole(con, [BEGIN])
    assert sorted(named(con, [BEGIN], ["half"])) == sorted((rows["few"] | rows["fewer"]) & rows["half"])
    assert sorted(named(con, ["hard*"], ["half"])) == sorted(rows[RARE] & rows["half"])  # by FTS5
    assert named(con, ["nobody*"], ["half"]) == [] and named(con, ["nobody*"]) is None


def test_no_later_row_is_newer_than_is_said(part):
    """With each batch of rows goes the time of the newest of those to come, by which a search knows that it has enough."""
    con, _ = part
    batches = list(search_bits.candidates(con, "part", [["half"], ["tenth"]], EVER, ROWS))
    assert len(batches) == 3 and batches[-1][1] == search.LAST
    for n, (_, after, _) in enumerate(batches[:-1]):
        newest = max(moment(taken) for taken in range(1, (2 - n) * search_bits.PIECE))
        assert search.LAST - after == newest
        assert search.time_of(after) == datetime.datetime.fromtimestamp(newest, datetime.timezone.utc).isoformat()[:19]
    batches = list(search_bits.candidates(con, "part", [["half"], ["tenth"]], EVER, 10))
    assert len(batches) == ROWS // search_bits.BLOCK + 1 and all(len(rows) <= search_bits.BLOCK for rows, *_ in batches)
    for n, (rows, after, _) in enumerate(batches[:-1]):
        before = len(batches) - 1 - n  # so many blocks are left
        assert all(row // search_bits.BLOCK == before for row in rows)
        assert search.LAST - after == max(moment(taken) for taken in range(1, before * search_bits.BLOCK))


@pytest.mark.parametrize("most", [ROWS, 10])
def test_rows_of_a_time(part, most):
    """Where a time is asked for, all rows of it are named that have all terms, and hardly any others."""
    con, rows = part
    for newest, oldest in ((ROWS, ROWS - 900), (41_234, 40_999), (50_000, 0), (3000, 3000), (-1, -60_000)):
        between = tuple(search.LAST - 1_700_000_000 - second for second in (newest, oldest))
        for terms in (["half", "tenth"], ["some", "half"], ["few", RARE]):
            have = set.intersection(*[rows[term] for term in terms])
            want = {row for row in have if oldest <= moment(row) - 1_700_000_000 <= newest}
            found = set(named(con, *[[term] for term in terms], between=between, most=most))
            assert want <= found <= have
            if oldest > 60_000 and most == 10:  # older ones stand here and there among these
                assert len(found) <= len(want) + search_bits.BLOCK


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


def test_the_most_common_terms_have_bits(monkeypatch):
    """Terms that stand in a small share of the rows have none, nor marks of several values; of many, the most frequent have."""
    con = sqlite3.connect(":memory:")
    con.execute("ATTACH ':memory:' AS found")
    for statement in search_bits.TABLES:
        con.execute(statement)
    single, together = (search._mark(bits, ["x"]) for bits in (1, 3))
    times = {f"word{n}": n for n in range(5000)}
    monkeypatch.setattr(search_bits, "MOST", 4000)
    search_bits.learn(con, "part", {**times, single: 6000, together: 6000, "once": 1}, 2000, 9000)
    found = set(search_bits.common(con, "part"))
    begins = {term for term in found if term.endswith("*")}
    assert found - begins == {single, *[f"word{n}" for n in range(1001, 5000)]}
    assert begins == {"w*", "wo*", "wor*", "word*", *[f"word{n}*" for n in range(1, 500)]}
    search_bits.learn(con, "other", {"once": 1, "twice": 2}, 2000, 10**6)
    assert set(search_bits.common(con, "other")) == {"twice", *NEAR}


def test_words_of_any_length_are_soon_taken_in():
    """Data without spaces is one word, of a million letters: its beginnings are not gone through one by one."""
    con, long = sqlite3.connect(":memory:"), "abc" * 300_000
    con.execute("ATTACH ':memory:' AS found")
    for statement in search_bits.TABLES:
        con.execute(statement)
    search_bits.learn(con, "part", {long + "x": 9, long + "y": 9}, 500, 500)
    common, noted, spans = search_bits.common(con, "part"), collections.defaultdict(list), {}
    assert set(common) == {long + "x", long + "y", *[long[:n] + "*" for n in range(1, search_bits.LONGEST + 1)]}
    search_bits.noting(noted, spans, (), common)(search.LAST_ORDER - 1, long + "z " + long[:5])
    search_bits.write(con, "part", common, noted, spans)
    assert con.execute("SELECT count(*) FROM found.bits").fetchone() == (search_bits.LONGEST,)
