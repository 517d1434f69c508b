"""Money: an amount in cents, exact in sums, read and written with two places."""

import re

AMOUNT = re.compile(r"(-?)(\d+)\.(\d\d)")


class NoAmount(ValueError):
    """The text is no amount of money."""


class Money:
    """An amount, in whole cents."""

    def __init__(self, cents):
        self.cents = cents

    @classmethod
    def parse(cls, text):
        """The amount that a text such as 4.20 or -0.05 states."""
        found = AMOUNT.fullmatch(text.strip())
        if not found:
            raise NoAmount("%r is no amount; write it as 4.20" % text)
        sign, whole, part = found.groups()
        cents = int(whole) * 100 + int(part)
        return cls(-cents if sign else cents)

    def __add__(self, other):
        return Money(self.cents + other.cents)

    def __neg__(self):
        return Money(-self.cents)

    def __eq__(self, other):
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self):
        return hash(self.cents)

    def __str__(self):
        return "%s%d.%02d" % ("-" if self.cents < 0 else "", *divmod(abs(self.cents), 100))

    def __repr__(self):
        return "Money(%d)" % self.cents

    def share(self, parts):
        """The amount in equal parts; the cents that are left over go to the first ones."""
        each, over = divmod(self.cents, parts)
        return [Money(each + (place < over)) for place in range(parts)]


def total(amounts):
    """The sum of many amounts."""
    return Money(sum(amount.cents for amount in amounts))
