"""Token estimates: a regular expression that cuts text much as the vocabulary does, and a weight for each
kind of cut.
"""

import re

HOW = "estimate"

PIECES = re.compile(
    r"(?P<word>[^\W\d_]+)|(?P<number>\d+)|(?P<space>[ \t]+)|(?P<line>[\r\n]+[ \t]*)|(?P<mark>[^\w\s]+|_+)"
)


def tokens(text: str) -> int:
    """About how many tokens a text has."""
    total = 0.0
    for piece in PIECES.finditer(text):
        kind, size = piece.lastgroup, piece.end() - piece.start()
        if kind == "word":
            total += 1 if size <= 7 else 1 + (size - 7) / 6
        elif kind == "number":
            total += (size + 2) // 3
        elif kind == "line":
            total += 1
        elif kind == "mark":
            total += 1 if size <= 2 else size / 2.5
    return round(total)
