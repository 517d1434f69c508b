"""Tests of money: what is read, what is written, exact sums."""

import pytest
from receipts.money import Money, NoAmount, total


@pytest.mark.parametrize("text, cents", [("4.20", 420), ("-0.05", -5), (" 12.00 ", 1200)])
def test_an_amount_is_read(text, cents):
    """Amounts with two places and a dot, with or without a minus."""
    assert Money.parse(text) == Money(cents)


@pytest.mark.parametrize("text", ["4,20", "4.2", "", "four"])
def test_other_texts_are_refused(text):
    """Anything else is no amount, and the message shows how to write one."""
    with pytest.raises(NoAmount, match="write it as"):
        Money.parse(text)


def test_sums_are_exact():
    """A thousand times ten cents are a hundred."""
    assert total([Money(10)] * 1000) == Money.parse("100.00")
    assert str(Money(5) + -Money(10)) == "-0.05"
