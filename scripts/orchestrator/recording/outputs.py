"""Outputs an agent names in its last message: deliverables, validation results, insights (the contract's headings)."""

import os

from orchestrator.model.redact import redact
from orchestrator.paths import file_in, regular

_EPOCH = 2440587.5  # the Julian day of 1970
_HEADINGS = {"deliverables:": "deliverable", "validation:": "validation_result", "insights:": "insight"}
# The words and signs of a verdict, whatever their case. The views `verdict_words` and `verdicts` of the schema say the same;
# tests hold them equal.
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
_DIGITS = "0123456789"
_COUNTED = ["; %s %s" % (word, number) for word in ("failed", "failures", "errors") for number in _DIGITS[1:]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LOWER = str.maketrans(_LETTERS.upper(), _LETTERS)  # as SQLite's lower()
# One way of writing for several, in this order: what is left is a number before a word, or a word. A 0 tells of nothing.
_SAME = (("*", ""), (", ", "; "), (" all ", " "), (" tests ", " "), (" test ", " "), (" checks ", " "), (" 100% ", " 100 "),
         (" of ", "/"), (" / ", "/"), (": 0 ", "-0 "), (": 0;", "-0;"), (": ", " "), (" 0 ", " 0-"), ("not ok", "fail"),
         ("not pass", "fail"), ("timed out", "timeout"))


def named(message):
    """[(output type, text)] from lines under, or behind, the contract's headings; at most 200."""
    found, kind = [], None
    for line in (message or "").split("\n"):
        words = line.strip().strip("*").strip()
        lower = words.lower().replace("**", "")
        heading = next((h for h in _HEADINGS if lower.startswith(h)), None)
        if heading:
            kind, words = _HEADINGS[heading], words.replace("**", "")[len(heading):].strip()
            items = words.split(", ") if kind == "deliverable" else [words]
        elif kind and line.strip()[:2] in ("- ", "* "):
            items = [line.strip()[2:]]
        elif not words or kind is None:
            continue
        else:
            kind = None
            continue
        for item in items:
            item = item.strip().strip("`").strip()
            if kind == "deliverable":
                item = item.split(" ")[0].strip("`,;:") if "`" not in item else item.split("`")[0]
            if item and item.lower() not in ("none", "none.", "-", "n/a"):
                found.append((kind, item[:500]))
    return found[:200]


def keep(con, project, execution, message, now):
    """Keeps what a message names as outputs of its execution; a deliverable with its version and its content's hash, unless
    it was changed after `now`, when that was a while ago."""
    for kind, content, path, digest in _outputs(con, project, message):
        if path:
            digest = None if digest and _changed_after(con, os.path.join(project, path), now) else digest
            path = redact(path)[0]
        new = con.execute("INSERT OR IGNORE INTO outputs (execution_id, output_type, content, created_at, path, content_hash) "
                          "VALUES (?, ?, ?, ?, ?, ?)", (execution, kind, content, now, path, digest)).rowcount
        if new:
            number(con, execution, kind, content, path)


_CHECK = "(SELECT key FROM json_each(CASE WHEN json_valid(%s) THEN %s ELSE 'null' END) LIMIT 1)"
_NAME = "CASE {0}output_type WHEN 'deliverable' THEN {0}path WHEN 'validation_result' THEN %s END" % (
    _CHECK % ("{0}content", "{0}content"))
# The plus: a path may be that of a million outputs, a task has few executions.
_NUMBER = """
UPDATE outputs SET version = 1 + (SELECT count(DISTINCT e.execution_id) FROM executions me JOIN executions e ON
    e.orchestration_id = me.orchestration_id AND e.task_id = me.task_id AND e.attempt < me.attempt JOIN outputs o ON
    o.execution_id = e.execution_id AND +o.output_type = ?2 AND %s = ?3 WHERE me.execution_id = outputs.execution_id)
WHERE +output_type = ?2 AND %s = ?3 AND execution_id IN (SELECT e.execution_id FROM executions me JOIN executions e ON
    e.orchestration_id = me.orchestration_id AND e.task_id = me.task_id AND e.attempt >= me.attempt WHERE me.execution_id = ?1)
""" % (_NAME.format("o."), _NAME.format("outputs."))


def number(con, execution, kind, content, path):
    """Numbers the versions of a path, or of a check's result, that an attempt of a task left, and those of the later attempts:
    it may be heard of late. An insight or an error is no version of another."""
    name = path
    if kind == "validation_result":
        name = con.execute("SELECT " + _CHECK % ("?1", "?1"), (content,)).fetchone()[0]
    if name is not None:
        con.execute(_NUMBER, (execution, kind, name))


def drop(con, project, execution, messages):
    """Drops what messages named that were not the last word after all; what the last one names too is left as it was kept."""
    last = [row[0] for row in con.execute("SELECT final_message FROM segments WHERE execution_id = ?", (execution,))]
    gone, stands = [{row[:3] for message in some for row in _outputs(con, project, message)} for some in (messages, last)]
    for kind, content, path in gone - stands:
        con.execute("DELETE FROM outputs WHERE execution_id = ? AND output_type = ? AND content = ?", (execution, kind, content))
        number(con, execution, kind, content, path and redact(path)[0])


def _outputs(con, project, message):
    """(output type, content, path inside the project, hash) of what a message names; the last two of deliverables only."""
    for kind, text in named(message):
        content, path, digest = text, None, None
        if kind == "deliverable":
            path, digest = inside(project, text)
            if path is None:
                continue
            content = con.execute("SELECT json_object('file_path', ?)", (redact(path)[0],)).fetchone()[0]
        elif kind == "validation_result":
            name, verdict = halves(text)
            content = con.execute("SELECT json_object(?, ?)", (name, verdict or "named")).fetchone()[0]
        yield kind, content, path, digest


def halves(text):
    """(check, what it said), without the marks around each. The colon of what was masked parts nothing.

    Parted at a colon that a verdict follows; one with a space goes before one without, one outside brackets before one inside.
    Of several with a space it is the first behind which the verdict stands alone (`tests: fail: error in x`), else the last
    (`unit: error handling of a: passes`); of several without, the last; where no verdict follows any, the first.
    """
    parts = text.replace("[masked:", "[masked\0").split(":")
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
    Where words stand before their numbers (`passed 10, failed 2`), it failed likewise.
    """
    said = _plain(verdict)
    parts = said.split(" ")
    if said.startswith("0/"):
        return None
    if ";" in said and any(counted in said for counted in _COUNTED):
        return False
    if said[:1] not in tuple(_DIGITS):
        return _JUDGED.get(_first(said))
    counted = {_JUDGED.get(_word(parts[n])) for n in range(1, len(parts)) if parts[n - 1][-1:] in tuple(_DIGITS)}
    rest = said.lstrip(_DIGITS + ",")
    all_of_them = "/" + said[:len(said) - len(rest)]
    few = rest[:1] == "/" and (not rest.startswith(all_of_them) or rest[len(all_of_them):][:1] in tuple(_DIGITS + ","))
    return False if False in counted else True if True in counted and not few else None


def _plain(verdict):
    """A verdict in lower case, without the marks in front, in the one way of writing that is judged; a space ends it."""
    said = " " + verdict.translate(_LOWER).lstrip(_AROUND) + " "
    for written, same in _SAME:
        said = said.replace(written, same)
    return said.lstrip(" ")


def _word(text):
    """The word that a text begins with; nothing where it goes on behind the letters."""
    word = text[:len(text) - len(text.lstrip(_LETTERS))]
    return "" if text[len(word):len(word) + 1] in tuple("-_" + _DIGITS) else word


def _first(said):
    """The sign that a verdict begins with, or its word."""
    return said[:1] if said[:1] in _SIGNS else _word(said)


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


def inside(project, name):
    """(path relative to the project, hash of its bytes or None); (None, None) for what lies outside."""
    full, named_so = os.path.realpath(os.path.join(project, name)), file_in(os.path.realpath(project), name, {})
    if os.path.isabs(named_so) or named_so == ".":
        return None, None
    digest = None
    try:
        if os.path.getsize(full) < 8_000_000:
            from orchestrator.model.ids import content_hash

            digest = content_hash(regular(full, 8_000_000))
    except OSError:
        pass
    return named_so, digest


def _changed_after(con, path, now):
    """Whether a file was changed more than a minute after a time."""
    changed = os.stat(path).st_mtime / 86400 + _EPOCH
    return con.execute("SELECT ? > julianday(?) + 60 / 86400.0", (changed, now)).fetchone()[0]
