"""Ledger: receipts in order of their date, with sums over all of them, a month, or a word."""

from datetime import date

from receipts.money import total


class Receipt:
    """One purchase: its day, what it was, what it cost."""

    def __init__(self, day, what, amount):
        self.day = date.fromisoformat(day) if isinstance(day, str) else day
        self.what = what
        self.amount = amount

    @property
    def month(self):
        """The month, as 2024-03."""
        return self.day.strftime("%Y-%m")

    def as_row(self):
        """The receipt as the columns of a file."""
        return [self.day.isoformat(), self.what, str(self.amount)]


class Ledger:
    """All receipts of somebody."""

    def __init__(self, receipts=()):
        self.receipts = sorted(receipts, key=lambda receipt: receipt.day)

    def add(self, day, what, amount):
        """Keeps one more receipt, in its place."""
        self.receipts = sorted([*self.receipts, Receipt(day, what, amount)], key=lambda receipt: receipt.day)

    def total(self):
        """What all of them cost."""
        return total(receipt.amount for receipt in self.receipts)

    def by_month(self):
        """What each month cost, in order."""
        months = {}
        for receipt in self.receipts:
            months.setdefault(receipt.month, []).append(receipt.amount)
        return {month: total(amounts) for month, amounts in months.items()}

    def matching(self, word):
        """A ledger of the receipts that name a word."""
        return Ledger(receipt for receipt in self.receipts if word.lower() in receipt.what.lower())

    def largest(self, count=3):
        """The receipts that cost most."""
        return sorted(self.receipts, key=lambda receipt: -receipt.amount.cents)[:count]
