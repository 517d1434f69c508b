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
    asked = terms(wanted)
    if asked is None:
        return wanted.casefold() in text.casefold()
    small = text.lower()
    if small.isascii():
        return all(each is not None and each.search(small) for each in _searches(wanted))
    words = " " + (plain(small) if _may_hold(small, wanted) else "") + " "
    return all(" " + term + (" " if whole else "") in words for term, whole in asked)


def _may_hold(small, wanted):
    """Whether a small text, of more than ASCII letters, has those of what is asked in a row: that most have not is soon seen."""
    import unicodedata

    letters = unicodedata.normalize("NFD", small).encode("ascii", "ignore").decode()
    return all(each is None or each.search(letters) for each in _searches(wanted, True))


@functools.lru_cache(maxsize=8)
def _searches(wanted, loosely=False):
    """Patterns of what is asked, for small ASCII texts, which are soon gone through so; None of what is not ASCII.

    `loosely`, for texts that were more than ASCII: nothing is said of what stood between the letters that are left.
    """
    import re

    found = []
    for term, whole in terms(wanted):
        first, _, others = term.partition(" ")
        if loosely:
            pattern = "[^a-z0-9]*".join(term.split())
        else:
            pattern = first + "(?<![a-z0-9]%s)" % first + "".join(["[^a-z0-9]+" + word for word in others.split()])
            pattern += "(?![a-z0-9])" * whole
        found.append(re.compile(pattern) if term.isascii() else None)
    return found


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

    return " ".join(unicodedata.normalize("NFD", text).translate(_OTHERS).split())


class _Letters(dict):
    """{number of a letter: what stands for it in plain text}, learned as they come."""

    def __missing__(self, n):
        import unicodedata

        letter = chr(n)
        self[n] = found = None if unicodedata.combining(letter) else letter if letter.isalnum() else " "
        return found


_PLAIN, _OTHERS = "".join([chr(n) if chr(n).isalnum() else " " for n in range(128)]), _Letters()
