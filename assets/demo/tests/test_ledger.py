"""Tests of the ledger: order, sums, months, words."""

from receipts.ledger import Ledger
from receipts.money import Money


def ledger(*rows):
    """A ledger of (day, what, cents)."""
    made = Ledger()
    for day, what, cents in rows:
        made.add(day, what, Money(cents))
    return made


def test_receipts_stand_in_order_of_their_date():
    """A forgotten receipt finds its place."""
    kept = ledger(("2024-03-05", "ink", 1200), ("2024-03-01", "paper", 420))
    assert [receipt.what for receipt in kept.receipts] == ["paper", "ink"]


def test_receipts_of_one_day_stay_as_they_came():
    """The order of adding counts within a day."""
    kept = ledger(("2024-03-01", "first", 1), ("2024-03-01", "second", 2))
    assert [receipt.what for receipt in kept.receipts] == ["first", "second"]


def test_months_add_up():
    """Each month has its own sum, a return lowers it, and an empty month is not listed."""
    kept = ledger(("2024-03-01", "paper", 420), ("2024-03-02", "back", -420), ("2024-05-01", "ink", 1200))
    assert kept.by_month() == {"2024-03": Money(0), "2024-05": Money(1200)}


def test_a_word_is_found_in_any_case():
    """Upper and lower case are the same."""
    kept = ledger(("2024-03-01", "Paper, A4", 420), ("2024-03-02", "ink", 1200))
    assert kept.matching("paper").total() == Money(420)


def test_nothing_costs_nothing():
    """An empty ledger adds up to nothing, and has no months."""
    assert Ledger().total() == Money(0)
    assert Ledger().by_month() == {}
