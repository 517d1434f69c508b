"""Verdicts: where a check's name ends and what it said begins, and whether it passed."""

# The words and signs of a verdict, whatever their case.
WORDS = {
    True: ("pass", "passed", "passes", "passing", "ok", "okay", "success", "successful", "successfully", "succeeded", "succeeds",
           "green", "clean", "✅", "✓", "✔", "🟢"),
    False: ("fail", "failed", "fails", "failing", "failure", "failures", "error", "errors", "errored", "broken", "crash",
            "crashed", "crashes", "timeout", "❌", "✗", "✘", "🔴"),
}
_JUDGED = {word: judged for judged, words in WORDS.items() for word in words}
_SIGNS = tuple(word for word in _JUDGED if len(word) == 1)
_NOUNS = ("success", "failure", "failures", "error", "errors", "crash", "crashes", "timeout")  # what a check may be named by
_AROUND = "`*\" "  # marks around a verdict
_IN_FRONT = _AROUND + "=-"  # and what else stands in front of one: === 12 passed ===, --- FAIL
_DIGITS = "0123456789"
_FAILING = tuple(word for word in _SIGNS if not _JUDGED[word])
_COLONS, _LONG = 100, 2000  # colons at which a line may part, and characters that judge: nobody writes as many
_COUNTED = ["; %s %s" % (word, number) for word in ("failed", "failure", "failures", "errors") for number in _DIGITS[1:]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LOWER = str.maketrans(_LETTERS.upper(), _LETTERS)  # no other letter becomes one of these
# One way of writing for several, in this order: what is left is a number before a word, or a word. A 0 tells of nothing.
_SAME = (("*", ""), (", ", "; "), (" all ", " "), (" tests ", " "), (" test ", " "), (" checks ", " "), (" build ", " "),
         (" found ", " "), (" 100% ", " 100 "), (" of ", "/"), (" / ", "/"), (": 0 ", "-0 "), (": 0;", "-0;"),
         (": fail", ":fail"), (": ", " "), (" 0 ", " 0-"), ("(0 ", "(0-"), ("/0 ", "/0-"), (",0 ", ",0-"), ("not ok", "fail"),
         ("not pass", "fail"), ("timed out", "timeout"))


def halves(text):
    """(check, what it said), without the marks around each. The colon of what was masked parts nothing.

    Parted at a colon that a verdict follows; one with a space goes before one without, one outside brackets before one inside.
    Of several with a space it is the first behind which the verdict stands alone (`tests: fail: error in x`), else the last
    (`unit: error handling of a: passes`); of several without, the last; where no verdict follows any, the first.
    """
    parts = text.replace("[masked:", "[masked\0").split(":", _COLONS)
    places = [n for n in range(1, len(parts)) if passed(_said(":".join(parts[n:n + 9])[:500])) is not None]
    spaced = [n for n in places if parts[n][:1] == " "]
    spaced = [n for n in spaced if not _open(":".join(parts[:n]))] or spaced
    alone = [n for n in spaced if _alone(parts[n])]
    at = (alone[:1] or spaced[-1:] or places[-1:] or [1])[0]
    check, said = [part.replace("\0", ":") for part in (":".join(parts[:at]), ":".join(parts[at:]))]
    sign, said = check.lstrip(_AROUND)[:1], _said(said)
    return [_bare(check), (sign + " " + said).strip() if sign in _SIGNS and passed(said) is None else said]


def passed(verdict):
    """Whether a check passed (True) or failed (False), by the sign or the word its verdict begins with; None: it says neither.

    A verdict that begins with a number is a summary: it failed where a number of what failed is told, wherever it stands;
    else it passed where a number of what passed is told, and not of fewer than all (`10 of 12 passed`). 0 tells of nothing.
    Where words stand before their numbers (`passed 10, failed 2`), it failed likewise; and where a further check failed
    (`ok; lint: fail`). One that passed, and then tells of a number of what failed, says neither.
    """
    said = _plain(verdict)
    if said.startswith("0/"):
        return None
    more = said.partition("; ")[2]
    if more and any(counted in said for counted in _COUNTED) or _another_failed(said, more):
        return False
    if said[:1] not in tuple(_DIGITS):
        judged = _JUDGED.get(_first(said))
        return None if judged and False in _counted(more, _is_above_0) else judged
    counted = _counted(said)
    rest = said.lstrip(_DIGITS + ",")
    all_of_them = "/" + said[:len(said) - len(rest)]
    few = rest[:1] == "/" and (not rest.startswith(all_of_them) or rest[len(all_of_them):][:1] in tuple(_DIGITS + ","))
    return False if False in counted else True if True in counted and not few else None


def judging():
    """For migrations: what judges verdicts (bytes, which may be no text) as `passed` does, each of them once."""
    known = {}  # a history has few verdicts, each many times

    def judged(verdict):
        if verdict not in known:
            known[verdict] = passed(verdict.decode("utf-8", "replace"))
        return known[verdict]

    return judged


def _counted(said, is_number=lambda end: end[-1:] in tuple(_DIGITS)):
    """What is judged by the words that stand behind numbers, by how what stands before a word ends: some of True, False, None."""
    parts = said.split(" ")
    return {_JUDGED.get(_word(parts[n])) for n in range(1, len(parts)) if is_number(parts[n - 1][-2:])}


def _is_above_0(end):
    return end[-1:] in tuple(_DIGITS[1:]) or len(end) == 2 and not end.strip(_DIGITS)


def _another_failed(said, more):
    """Whether a further check failed, by what stands behind the first part. A sign of which there are none says nothing."""
    if "; fails " in said or " but fails " in said or " but failed " in said:
        return True
    if any(part[:1] in tuple(_LETTERS) for word in ("; fail ", "; failed ") for part in said.split(word)[1:]):
        return True
    if any(part[:1] in tuple(" ;.esi") for part in more.split(":fail")[1:]):
        return True
    return any(char in _FAILING and ";" in said[:at - 1] and said[at - 1] != "-" and not said.startswith(" 0", at + 1)
               for at, char in enumerate(said) if at)


def _plain(verdict):
    """A verdict in lower case, without the marks in front, in the one way of writing that is judged; a space ends it."""
    said = " " + verdict[:_LONG].translate(_LOWER).lstrip(_IN_FRONT) + " "
    for written, same in _SAME:
        said = said.replace(written, same)
    return said.lstrip(" ")


def _word(text):
    """The word that a text begins with; nothing where it goes on behind the letters."""
    word = text[:len(text) - len(text.lstrip(_LETTERS))]
    return "" if text[len(word):len(word) + 1] in tuple("-_" + _DIGITS) else word


def _first(said):
    """The sign that a verdict begins with, or its word; nothing where that is asked, or one of several (`pass or fail`)."""
    word = _word(said)
    if said[len(word):len(word) + 1] in ("/", "?") or said[len(word):len(word) + 4] == " or ":
        return ""
    return said[:1] if said[:1] in _SIGNS else word


def _alone(part):
    """Whether a verdict stands between two colons, and no other word behind it that would make it a check's name."""
    said = _plain(part).lstrip(_DIGITS + ",/ ")
    first = _first(said)
    return first in _JUDGED and first not in _NOUNS and (first in _SIGNS or not said[len(first):].lstrip(_AROUND)[:1].isalnum())


def _open(text):
    """Whether a bracket is open at the end of a text."""
    return text.count("(") + text.count("[") > text.count(")") + text.count("]")


def _said(text):
    """What a check said, without marks; a sign stays where the words without it say something else, or nothing."""
    whole, words = text.strip().strip(_AROUND), _bare(text)
    return whole if passed(whole) is not None and passed(whole) != passed(words) else words


def _bare(text):
    """A text without the marks and signs around it: `pass`, **pass** and ✅ pass are pass; signs alone stay."""
    text = text.replace("`", "")
    begin, end = 0, len(text)
    while begin < end and _is_mark(text[begin]):
        begin += 1
    while end > begin and _is_mark(text[end - 1]):
        end -= 1
    bare = text[begin:end]
    return (bare.replace("**", "", 1) if "**" in text[:begin] else bare) or text.strip()


def _is_mark(char):
    return char in "* \t" or char >= "\u2010" and not char.isalnum()
