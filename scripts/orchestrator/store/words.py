"""Words: what a text that is searched for asks, and whether a text holds it, as the index sees words and reading does."""

import functools


@functools.lru_cache(maxsize=8)  # each row that is read asks for it
def terms(text):
    """[(words in a row, whether the last of them is whole)] of which all are wanted: "words in quotes" stand in a row, word*
    is what begins so. None for what only reading can find: no word at all, or writing without spaces between its words.
    """
    return None if any(map(_unspaced, text)) else _terms(text) or None


def _unspaced(c):
    return any(first <= c <= last for first, last in _UNSPACED)


_UNSPACED = (("\u0e00", "\u10ff"), ("\u2e80", "\ufaff"))  # letters of writing without spaces between its words


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


@functools.lru_cache(maxsize=1)
def _patterns():
    import re

    return re.compile("(?:[^\\w\\s]|[_%s])+" % "".join(map("-".join, _UNSPACED))), re.compile("[^\\W_]+")


def signs(text):
    """{each sign, and each two in a row} of a text, with the ASCII words of one that is not ASCII.

    Signs are the letters of writing without spaces between its words, and what is no letter and no space.
    """
    text, found = text.casefold(), set()
    some, word = _patterns()
    for run in some.findall(text):
        found.update(run, map("".join, zip(run, run[1:])))
    if not text.isascii():
        found.update(filter(str.isascii, word.findall(text)))
    return found


def signs_of(text):
    """(signs, words, what a word begins with, or nothing) that each text has that holds a text just as it is."""
    text, found, whole, begins = text.casefold(), [], [], ""
    some, word = _patterns()
    for run in some.findall(text):
        found += map("".join, zip(run, run[1:])) if len(run) > 1 else [run]
    for each in [] if text.isascii() else word.finditer(text):
        if each.start() and each.group().isascii():  # at the beginning it may be the end of another
            if each.end() < len(text):
                whole.append(each.group())
            elif len(each.group()) > 1:  # what begins with one letter is too much
                begins = each.group()
    return found, whole, begins


def plain(text):
    """A text's words, small, without accents, one space between them."""
    text = text.lower()
    if text.isascii():
        return " ".join(text.translate(_PLAIN).split())
    import unicodedata

    text = "".join([c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)])
    return " ".join("".join([c if c.isalnum() else " " for c in text]).split())


_PLAIN = "".join([chr(n) if chr(n).isalnum() else " " for n in range(128)])
