"""Tests of the export: what is written is read again."""

from receipts.export import from_csv, to_csv
from receipts.ledger import Ledger
from receipts.money import Money


def ledger():
    """Two receipts, the later one first."""
    made = Ledger()
    made.add("2024-03-02", 'ink, "black"', Money(1200))
    made.add("2024-03-01", "paper", Money(420))
    return made


def test_the_first_line_names_the_columns():
    """A reader of the file knows what stands where."""
    assert to_csv(ledger()).splitlines()[0] == "date,what,amount"


def test_a_ledger_comes_back():
    """Commas and quotes survive, and the order is that of the dates."""
    again = from_csv(to_csv(ledger()))
    assert [receipt.what for receipt in again.receipts] == ["paper", 'ink, "black"']
    assert again.total() == Money(1620)
