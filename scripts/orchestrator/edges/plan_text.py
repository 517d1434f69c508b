"""JSON that a model wrote: read with its usual slips named, and found in the middle of a message.

The standard library alone, Python 3.9: a hook asks `find_plan` whether a planner's last message holds a plan.
"""

import json
import re

FOUND_MOST = 64 * 1024  # bytes of a plan in a message
_MESSAGE_MOST = 1024 * 1024  # characters of a message that are looked at
_SLIPS = 20  # slips that are stepped over before giving up
_COMMA = ("a comma stands before a closing bracket", "Take the comma out.")
_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}


class Doubled(dict):
    """An object with keys that were written twice, `keys_twice`; the last value counts, as in JSON."""

    keys_twice: tuple = ()


def _object(pairs):
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen, twice = set(), []
    for key, _ in pairs:
        if key in seen:
            twice.append(key)
        seen.add(key)
    found = Doubled(found)
    found.keys_twice = tuple(dict.fromkeys(twice))
    return found


def _load(text):
    # strict=False: line breaks inside strings, as a heredoc makes them easy to write, are understood.
    # NaN and Infinity are read too: no field takes them, so each is told where it stands, beside all else.
    return json.loads(text, strict=False, object_pairs_hook=_object)


def read_json(text):
    """(value, slips), a slip being (where, what, what to do); after a usual one reading goes on.

    `value` is None when it could not be read to the end; then there is at least one slip.
    """
    text = _without_fence(text.lstrip("\ufeff"))
    if not text.strip():
        return None, [("", "there is no JSON in it, it is empty", "Send an object with `goal` and `tasks`.")]
    slips: list = []
    while True:
        try:
            return _load(text), slips
        except json.JSONDecodeError as error:
            where = "line %d, column %d" % (error.lineno, error.colno)
            what, do, mended = _slip(text, error)
            slips.append((where, what, do))
            if mended is None or len(slips) >= _SLIPS:
                return None, slips
            text = mended
        except RecursionError:
            slips.append(
                ("", "it is nested too deep to be read", "A plan has three levels: plan, tasks, fields.")
            )
            return None, slips
        except ValueError as error:  # a number of five thousand digits
            slips.append(
                ("", "a number in it cannot be read: %s" % str(error)[:80], "Write a plain whole number.")
            )
            return None, slips


def _slip(text, error):
    """(what is wrong, what to do, the text with it mended or None)."""
    at, rest = error.pos, text[error.pos :]
    before = text[:at].rstrip()
    if not rest.strip():
        return "the JSON ends in the middle", "Send it whole: it may have been cut off.", None
    if rest[0] in "]}" and before.endswith(","):
        return _COMMA + (before[:-1] + " " + text[len(before) :],)
    if re.match(r",\s*[\]}]", rest):  # where Python 3.13 puts the same slip
        return _COMMA + (text[:at] + " " + rest[1:],)
    if rest[0] == "," and before.endswith(","):
        return "two commas follow one another", "Take one out.", text[:at] + " " + rest[1:]
    comment = re.match(r"//[^\n]*|#[^\n]*|/\*.*?\*/", rest, re.S)
    if comment:
        blank = re.sub(r"[^\n]", " ", comment.group())
        return (
            "a comment stands here, and JSON has none",
            "Take it out.",
            text[:at] + blank + rest[comment.end() :],
        )
    word = re.match(r"[A-Za-z]+", rest)
    if word and word.group() in _WORDS:
        right = _WORDS[word.group()]
        mended = text[:at] + right + rest[word.end() :]
        return "`%s` is not JSON" % word.group(), "Write `%s`." % right, mended
    if rest[0] in "'\u2018\u2019\u201c\u201d":
        return 'quotes other than " stand here', 'JSON knows only double quotes: write "…".', None
    if error.msg.startswith("Invalid \\"):
        return "a backslash stands before a character that needs none", "Write \\\\ for a backslash.", None
    if error.msg.startswith("Unterminated string"):
        return (
            "a string begins here and does not end",
            'Close it with ", and write \\" for quotes inside it.',
            None,
        )
    if error.msg.startswith("Extra data"):
        return "something follows after the plan's end", "Send the one JSON object and nothing else.", None
    if error.msg.startswith("Expecting ',' delimiter"):
        do = 'Put the comma in, or write \\" for quotes inside a string.'
        mended = text[:at] + "," + rest if "\n" in text[len(before) : at] and rest[0] in '"{[' else None
        return "a comma or a closing bracket is missing before this", do, mended
    if error.msg.startswith("Expecting property name"):
        return "a key in double quotes is missing", 'Write keys like "tasks".', None
    return "this is not JSON (%s)" % error.msg[:60], "Mend it here.", None


def _without_fence(text):
    """`text` with a Markdown fence around it blanked, so that lines keep their numbers."""
    lines = text.split("\n")
    marked = [at for at, line in enumerate(lines) if line.lstrip().startswith(("```", "~~~"))]
    if text.lstrip().startswith(("```", "~~~")):
        lines[marked[0]] = ""
        if len(marked) > 1 and not "".join(lines[marked[-1] + 1 :]).strip():
            lines[marked[-1]] = ""
        return "\n".join(lines)
    return text


def find_plan(text):
    """The JSON plan in a message, as text to hand to `read_plan`, or None.

    The last fenced block that looks like a plan (it may have faults: they go back to its author), else the
    first object with a list `tasks`. At most 64 KB.
    """
    text = text[-_MESSAGE_MOST:]
    found = None
    for block in _blocks(text):
        start = block.lstrip()[:1]
        if start == "{" and '"tasks"' in block or start == "[" and '"prompt"' in block and '"id"' in block:
            found = block
    if found is None:
        found = _bare(text)
    fits = found is not None and len(found.encode("utf-8", "replace")) <= FOUND_MOST
    return found.strip() if fits else None


def _blocks(text):
    """What stands inside each fence of `text`."""
    fence = ""
    kept: list = []
    for line in text.split("\n"):
        mark = line.strip()
        if fence:
            if mark.startswith(fence) and not mark.strip(fence[0]):
                yield "\n".join(kept)
                fence = ""
            else:
                kept.append(line)
        elif mark.startswith(("```", "~~~")):
            fence = mark[: len(mark) - len(mark.lstrip(mark[0]))]
            kept = []


def _bare(text):
    """The text of the first object with a list `tasks`: a brace not far before that key opens it."""
    decoder = json.JSONDecoder(strict=False)
    key = -1
    for _ in range(10):
        key = text.find('"tasks"', key + 1)
        if key < 0:
            return None
        start = key
        for _ in range(10):
            start = text.rfind("{", 0, start)
            if start < 0 or key - start > FOUND_MOST:
                break
            try:
                value, end = decoder.raw_decode(text[start : start + FOUND_MOST])
            except (ValueError, RecursionError):
                continue
            if isinstance(value.get("tasks"), list):
                return text[start : start + end]
    return None
