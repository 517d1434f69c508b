"""Export: a ledger as CSV and back (docs/format.md)."""

import csv
import io

from receipts.ledger import Ledger, Receipt
from receipts.money import Money, NoAmount

COLUMNS = ["date", "what", "amount"]


class BadFile(ValueError):
    """The file is not in the format; its message names the line."""


def to_csv(ledger):
    """The ledger as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for receipt in ledger.receipts:
        writer.writerow(receipt.as_row())
    return out.getvalue()


def from_csv(text):
    """The ledger that a CSV text holds. BadFile names the first line that is wrong."""
    rows = csv.reader(io.StringIO(text))
    if next(rows, None) != COLUMNS:
        raise BadFile("line 1: the columns must be %s" % ", ".join(COLUMNS))
    receipts = []
    for row in rows:
        if row:
            receipts.append(_receipt(row, rows.line_num))
    return Ledger(receipts)


def _receipt(row, line):
    if len(row) != len(COLUMNS):
        raise BadFile("line %d: %d columns instead of %d" % (line, len(row), len(COLUMNS)))
    try:
        return Receipt(row[0], row[1], Money.parse(row[2]))
    except NoAmount as problem:
        raise BadFile("line %d: %s" % (line, problem)) from problem
