"""Words: what a text that is searched for asks, and whether a text holds it, as the index sees words and reading does."""

import functools
import itertools


@functools.lru_cache(maxsize=8)  # each row that is read asks for it
def terms(text):
    """[(words in a row, whether the last of them is whole)] of which all are wanted: "words in quotes" stand in a row, word*
    is what begins so. None for what only reading can find: no word at all, or writing without spaces between its words.
    """
    return None if any(map(_unspaced, text)) else _terms(text) or None


def _unspaced(c):
    return 0x0E00 <= ord(c) < 0x1100 or 0x2E80 <= ord(c) < 0xFB00


def holds(text, wanted):
    """Whether a text holds what is wanted, as the index would say; without a word, or spaces, in it: just as it is."""
    asked, small = terms(wanted), text.lower()
    if asked is None:
        return wanted.casefold() in text.casefold()
    if text.isascii() and any(term.isascii() and term.partition(" ")[0] not in small for term, _ in asked):
        return False
    words = " " + plain(text) + " "
    return all(" " + term + (" " if whole else "") in words for term, whole in asked)


def _terms(text):
    """[(words in a row, whether the last of them is whole)] of which all are wanted."""
    found = []
    for place, part in enumerate(text.split('"')):
        for term in [part] if place % 2 else part.split():
            words = plain(term)
            if words:
                found.append((words, not term.endswith("*")))
    return found


def signs(text):
    """{each two in a row, or one alone} of letters without spaces between words, and of what is no letter, beyond ASCII.

    A text that holds another as it is has all of its signs; each letter of two is a sign that a text has too.
    """
    import re

    found = set()
    for some in re.findall("[^\0-\x7f]+", text.casefold()):
        for is_sign, letters in itertools.groupby(some, lambda c: _unspaced(c) or not (c.isalnum() or c.isspace())):
            run = "".join(letters)
            if is_sign:
                found.update(map("".join, zip(run, run[1:])) if len(run) > 1 else [run])
    return found


def plain(text):
    """A text's words, small, without accents, one space between them."""
    text = text.lower()
    if text.isascii():
        return " ".join(text.translate(_PLAIN).split())
    import unicodedata

    text = "".join([c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)])
    return " ".join("".join([c if c.isalnum() else " " for c in text]).split())


_PLAIN = "".join([chr(n) if chr(n).isalnum() else " " for n in range(128)])
