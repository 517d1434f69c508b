"""Quoting: text of files, plans and agents as data that can neither close its quotation nor pose as the
harness.

Standard library, Python 3.9, nothing imported: results are quoted while a hook waits.
"""

TAGS = (  # what the client itself writes into a conversation
    b"system-reminder",
    b"task-notification",
    b"task-id",
    b"tool-use-id",
    b"output-file",
    b"local-command-",
    b"command-name",
    b"command-message",
    b"command-args",
    b"bash-input",
    b"bash-stdout",
    b"bash-stderr",
    b"user-prompt-submit-hook",
    b"user-memory-input",
    b"persisted-output",
    b"function_calls",
    b"function_results",
    b"antml:",
    b"invoke ",
    b"tool_use",
    b"tool_result",
    b"tools-used-before-summary",
    b"fork-boilerplate",
    b"teammate-message",
    b"total_tokens",
    b"subagent_tokens",
)
SKIP, SKIPPED = b"/ \t\r\n\\", 11  # what may stand between `<` and the name of a tag, and how much of it
LONGEST = max(map(len, TAGS))
TURNS = (b"human:", b"assistant:", b"[system", b"system:")  # what begins a turn, at the start of a line
PREFIX = "> "


def _tag_starts(data):
    """Where, in lower-case bytes, a `<` begins one of the harness's tags, in order."""
    found = []
    at = data.find(b"<")
    while at >= 0:
        near = data[at + 1 : at + 1 + SKIPPED + LONGEST]
        name = near.lstrip(SKIP)
        if name.startswith(TAGS) and len(near) - len(name) <= SKIPPED:
            found.append(at)
        at = data.find(b"<", at + 1)
    return found


def plain(text):
    """The text with `&lt;` for each `<` that begins a tag of the harness; nearly always the text itself."""
    data = text.encode("utf-8", "replace")
    starts = _tag_starts(data.lower())
    if not starts:
        return text if data.isascii() else data.decode("utf-8")
    out, last = [], 0
    for at in starts:
        out.append(data[last:at])
        last = at + 1
    out.append(data[last:])
    return b"&lt;".join(out).decode("utf-8")


def suspicious(text):
    """Whether the text could be taken for something the harness says."""
    data = text.encode("utf-8", "replace").lower()
    if _tag_starts(data):
        return True
    if any(map(data.__contains__, TURNS)):
        turns = tuple([word.decode() for word in TURNS])
        for line in text.splitlines():
            if line.lstrip().lower().startswith(turns):
                return True
    return False


def lines(text):
    """The text with every line marked as quoted; no line of it begins with anything else."""
    return "".join([PREFIX + line + "\n" for line in plain(text).splitlines()])


def fence(text):
    """A fence longer than any run of backticks in the text."""
    longest, mark = 2, "```"
    while mark in text:
        longest += 1
        mark += "`"
    return mark


def block(text):
    """(opening, body, closing): fenced, or line by line when the text could be taken for the harness."""
    if suspicious(text):
        return "Quoted, each line after `> `; `<` of tags is written `&lt;`.\n\n", lines(text), "\n"
    mark = fence(text)
    return mark + "\n", text if text.endswith("\n") else text + "\n", mark + "\n\n"


def label(text):
    """A name or title on one line, without anything that could be more than a name."""
    text = "".join([c if c.isprintable() else "?" for c in plain(text)[:300]])
    return text.replace("`", "'")
