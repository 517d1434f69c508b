"""Budgets: what a month may cost, and which months cost more."""

from receipts.money import Money


class Budget:
    """A limit for every month, and other limits for some of them."""

    def __init__(self, usual, others=None):
        self.usual = usual
        self.others = dict(others or {})

    def limit(self, month):
        """What this month may cost."""
        return self.others.get(month, self.usual)

    def left(self, month, spent):
        """What may still be spent; negative when it was too much."""
        return Money(self.limit(month).cents - spent.cents)

    def exceeded(self, ledger):
        """The months that cost more than they may, each with how much more."""
        over = {}
        for month, spent in ledger.by_month().items():
            left = self.left(month, spent)
            if left.cents < 0:
                over[month] = -left
        return over

    def forecast(self, ledger, months):
        """What is left of the usual limits if all months go on as they did on average."""
        spent = ledger.by_month()
        if not spent:
            return Money(self.usual.cents * months)
        average = sum(amount.cents for amount in spent.values()) // len(spent)
        return Money((self.usual.cents - average) * months)
