"""Program: adds up a CSV file of receipts.

Usage: python -m receipts FILE [--month 2024-03] [--word paper] [--largest 3]
Exit codes: 0 printed, 1 the file cannot be used, 2 usage.
"""

import argparse
import sys

from receipts.export import BadFile, from_csv
from receipts.ledger import Ledger


def arguments(words=None):
    """The command line, read."""
    parser = argparse.ArgumentParser(prog="receipts", description="Adds up a CSV file of receipts.")
    parser.add_argument("file", help="the file, or - for standard input")
    parser.add_argument("--month", help="only this month, as 2024-03")
    parser.add_argument("--word", help="only receipts that name this word")
    parser.add_argument("--largest", type=int, metavar="N", help="the N receipts that cost most, too")
    return parser.parse_args(words)


def read(path):
    """The text of a file or of standard input."""
    if path == "-":
        return sys.stdin.read()
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


def chosen(ledger, options):
    """The part of a ledger that the options ask for."""
    if options.word:
        ledger = ledger.matching(options.word)
    if options.month:
        ledger = Ledger(receipt for receipt in ledger.receipts if receipt.month == options.month)
    return ledger


def lines(ledger, options):
    """What is printed: each month, the total, the largest if they are asked for."""
    for month, amount in ledger.by_month().items():
        yield "%s  %10s" % (month, amount)
    yield "total    %10s" % ledger.total()
    for receipt in ledger.largest(options.largest or 0):
        yield "%s  %10s  %s" % (receipt.day, receipt.amount, receipt.what)


def main(words=None):
    """Runs the program; answers with the exit code."""
    options = arguments(words)
    try:
        ledger = from_csv(read(options.file))
    except (OSError, UnicodeDecodeError, BadFile) as problem:
        print("receipts: %s" % problem, file=sys.stderr)
        return 1
    for line in lines(chosen(ledger, options), options):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
