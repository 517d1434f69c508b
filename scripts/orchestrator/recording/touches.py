"""Touches: an execution's tool calls, those refused or failed among them, and the files they read and wrote.

Agents' transcripts hold no patches (measured on both pinned clients), so lines are counted from the calls
themselves, as far as the agent was shown what they changed: they are at least so many. What shell commands do to files is
not seen.
"""

from orchestrator.model.redact import redact
from orchestrator.paths import file_in

# How clients answer a call that they did not let through. 2.1.329 says beside the text what was decided; on 2.1.197 a
# hook's denial is its reason alone, which nothing tells from a failure. Other tools' servers have words of their own.
_BEGIN = (
    "Permission to ", "Permission for this", "Permission denied by", "Claude requested permissions",
    "The user doesn't want to", "Cannot write to", "Your organization requires approval",
    "This command requires approval", "sed command requires approval", "This Bash command contains multiple operations. The ",
    "<tool_use_error>File is in a directory that is denied by", "<tool_use_error>File is covered by a ",
)  # fmt: skip
_WITHIN = (
    "' was blocked. For security, Claude Code may only ", "' was blocked by a deny rule",
    " resolved from a path-like name and requires approval", "' requires approval for this ",
)  # fmt: skip
_OTHERS = ("Exit code", "<tool_use_error>String to replace", "<tool_use_error>Found ")  # words of a command, of a file
WRITERS = ("Edit", "Write", "MultiEdit", "NotebookEdit")
_MOST_STEPS = 100_000  # of the search for the shortest way from one text to another; of what it does not find, it is the least

_CALLS = """
SELECT json_extract(b.value, '$.id'), json_extract(b.value, '$.name'),
    COALESCE(json_extract(b.value, '$.input.file_path'), json_extract(b.value, '$.input.notebook_path')),
    json_extract(line, '$.timestamp'),
    COALESCE(json_extract(b.value, '$.input.content'), json_extract(b.value, '$.input.new_string'),
        json_extract(b.value, '$.input.new_source'), ''),
    json_extract(b.value, '$.input.old_string'), json_extract(b.value, '$.input.replace_all'),
    CASE WHEN COALESCE(json_extract(b.value, '$.input.offset'), 1) IN (0, 1)
        THEN COALESCE(json_extract(b.value, '$.input.limit'), 1e9) ELSE 0 END,
    json_extract(b.value, '$.input.cell_id'), json_extract(b.value, '$.input.edit_mode'),
    json_extract(b.value, '$.input.edits')
FROM temp.lines, json_each(line, '$.message.content') b
WHERE json_extract(line, '$.type') = 'assistant' AND b.type = 'object'
    AND json_extract(b.value, '$.type') = 'tool_use' ORDER BY n"""
_EDITS = """
SELECT json_extract(value, '$.new_string'), json_extract(value, '$.old_string'), json_extract(value, '$.replace_all')
FROM json_each(CASE WHEN json_valid(?1) THEN ?1 ELSE '[]' END) WHERE type = 'object'"""
_TEXT = """CASE json_type(b.value, '$.content') WHEN 'array' THEN json_extract(b.value, '$.content[0].text')
        ELSE json_extract(b.value, '$.content') END"""
_FROM_ANSWERS = """
FROM temp.lines, json_each(line, '$.message.content') b
WHERE json_extract(line, '$.type') = 'user' AND json_type(line, '$.message.content') = 'array'
    AND b.type = 'object' AND json_extract(b.value, '$.type') = 'tool_result'"""
_PATCH = """(SELECT count(*) FROM json_each(line, '$.toolUseResult.structuredPatch') h,
        json_each(CASE h.type WHEN 'object' THEN h.value ELSE '{}' END, '$.lines') l WHERE l.value LIKE '%s%%')"""
_ANSWERS = """SELECT json_extract(b.value, '$.tool_use_id'), json_extract(b.value, '$.is_error'),
    CASE WHEN json_type(line, '$.toolDenialKind') = 'text' THEN 1
        ELSE CASE json_extract(line, '$.permissionDecision.decision') WHEN 'accept' THEN 0 WHEN 'reject' THEN 1 END END,
    substr(%s, 1, 300), %s, %s%s""" % (
    _TEXT, _PATCH % "+", _PATCH % "-", _FROM_ANSWERS,
)  # fmt: skip
_SHOWN = (
    "SELECT json_extract(b.value, '$.tool_use_id') AS call, "
    + _TEXT
    + _FROM_ANSWERS
    + " AND call IN (SELECT value FROM json_each(?))"
)


def keep(con, execution, project):
    """Keeps what temp.lines shows: rows of tool_calls and file_touches, their sums in the execution's row."""
    calls, tools, refused_names = {}, {}, []
    for call in con.execute(_CALLS).fetchall():
        if call[0] not in calls:
            calls[call[0]] = call[1:]
            tools.setdefault(redact(str(call[1] or "?"))[0], [0, 0, 0])[0] += 1
    answers = {}
    for answer in con.execute(_ANSWERS).fetchall():
        answers.setdefault(answer[0], answer[1:])
    touched, folders, texts = {}, {}, _Texts(con, calls)
    for name, (tool, path, at, new, old, everywhere, fewer, cell, mode, edits) in calls.items():
        if name not in answers:
            continue  # it was not answered: nobody knows whether it was done
        wrong, denied, text, added, removed = answers[name]
        text, tool = str(text or ""), redact(str(tool or "?"))[0]
        if wrong:
            refused = _refused(tool, text) if denied is None else denied
            tools[tool][1 if refused else 2] += 1
            if refused and tool not in refused_names:
                refused_names.append(tool)
            continue
        if not isinstance(path, str) or (tool != "Read" and tool not in WRITERS):
            continue
        if tool == "Read":
            texts.shown(path, name, fewer)
        elif isinstance(new, str):
            if tool == "NotebookEdit":
                lines = texts.cell(path, cell, mode, new)
            elif tool == "MultiEdit":
                each = [edit for edit in con.execute(_EDITS, (edits,)).fetchall() if isinstance(edit[0], str)]
                each = [texts.written(path, put, old, everywhere, "") for put, old, everywhere in each]
                lines = [sum(some) for some in zip(*each)] or [0, 0]
            else:
                lines = texts.written(path, new, old, everywhere, text)
            added, removed = (added, removed) if added or removed else lines
        mode = "read" if tool == "Read" else "write"
        row = touched.setdefault((redact(file_in(project, path, folders))[0], mode), [0, at, at, 0, 0])
        row[0] += 1
        row[2:] = at, row[3] + added, row[4] + removed
    _store(con, execution, tools, refused_names, touched)


def _refused(tool, text):
    """Whether a call that came to nothing was not let through, by the words it was answered with."""
    if text.startswith(_OTHERS):
        return False
    by_a_hook = text.startswith("PreToolUse:") and text.partition(" ")[2].startswith("hook error: ")
    ours = not tool.startswith("mcp__")
    return by_a_hook or text.startswith(_BEGIN) or ours and any(words in text for words in _WITHIN)


def _store(con, execution, tools, refused_names, touched):
    con.execute("DELETE FROM tool_calls WHERE execution_id = ?", (execution,))
    con.execute("DELETE FROM file_touches WHERE execution_id = ?", (execution,))
    con.executemany(
        "INSERT INTO tool_calls VALUES (?, ?, ?, ?, ?)",
        [(execution, tool) + tuple(counts) for tool, counts in tools.items()],
    )
    con.executemany(
        "INSERT INTO file_touches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(execution,) + key + tuple(row) for key, row in touched.items()],
    )
    written = [row for (_, mode), row in touched.items() if mode == "write"]
    counts = [sum([n[i] for n in tools.values()]) for i in range(3)]
    counts += [len(touched) - len(written), len(written)] + [sum([row[i] for row in written]) for i in (3, 4)]
    con.execute(
        "UPDATE executions SET calls = ?, refused_calls = ?, failed_calls = ?, files_read = ?, "
        "files_written = ?, lines_added = ?, lines_removed = ?, refused_names = ? WHERE execution_id = ?",
        counts + [", ".join(refused_names) or None, execution],
    )


class _Texts:
    """What the written files held before, as far as the agent was shown it."""

    def __init__(self, con, calls):
        self.known, self.cells = {}, {}
        written = {call[1] for call in calls.values() if call[0] in WRITERS}
        whole = [
            name for name, call in calls.items() if call[0] == "Read" and call[1] in written and isinstance(call[6], (int, float))
        ]
        names = "[%s]" % ",".join(
            ['"%s"' % name for name in whole if str(name).replace("_", "").replace("-", "").isalnum()]
        )
        self.answers = dict(con.execute(_SHOWN, (names,)).fetchall()) if whole else {}

    def shown(self, path, call, fewer):
        """A file was read: as a whole, where that showed fewer lines than were asked for."""
        answer = self.answers.get(call)
        if isinstance(answer, str):
            text = _without_numbers(answer)
            if text is not None and text.count("\n") + 1 < fewer:
                self.known[path] = text

    def cell(self, path, cell, mode, new):
        """The same by a call that put in, replaced or removed a notebook's cell."""
        new = "" if mode == "delete" else new
        if mode == "insert":  # after that cell; the call does not say what the new one is called
            return changed("", new)
        before = self.cells.get((path, cell), "") if cell else ""  # which one it was is not said
        self.cells[path, cell] = new
        return changed(before, new)

    def written(self, path, new, old, everywhere, answer):
        """(lines added, lines removed) by a call that wrote `new`, in place of `old` or of the whole file."""
        before = "" if answer.startswith("File created") else self.known.get(path)
        if not isinstance(old, str):
            self.known[path] = new
            if before is None and "has been updated" in answer:
                return 0, 0  # of what was there nothing is known: no line is made up
            return changed(before or "", new)
        if before is None or old not in before:
            return changed(old, new)
        after = self.known[path] = before.replace(old, new, -1 if everywhere else 1)
        return changed(before, after)


def _without_numbers(shown):
    """A file's text, as the Read tool shows it with a number before each line; None where it does not."""
    lines = []
    for line in shown.partition("\n\n<system-reminder>\n")[0].split("\n"):
        number, mark, text = line.lstrip(" ").partition("\t")
        if not number.isdigit():  # as clients before 2.1 had it
            number, mark, text = line.lstrip(" ").partition("\u2192")
        if not (number.isdigit() and mark):
            return None
        lines.append(text)
    return "\n".join(lines)


def changed(old, new):
    """(lines added, lines removed) from one text to another, by the shortest way; at least so many where that is too long."""
    a, b = old.split("\n"), new.split("\n")
    a, b = a if a[-1] else a[:-1], b if b[-1] else b[:-1]  # the newline at the end begins no line
    first = 0
    while first < min(len(a), len(b)) and a[first] == b[first]:
        first += 1
    last = 0
    while last < min(len(a), len(b)) - first and a[-1 - last] == b[-1 - last]:
        last += 1
    a, b = a[first : len(a) - last], b[first : len(b) - last]
    same = _common(a, b)
    return len(b) - same, len(a) - same


def _common(a, b):
    """The length of the longest common subsequence of two lists of lines: quick where they are nearly the same or have little in
    common (Myers 1986); not less than it, where they are neither and long."""
    there = set(b)
    a = [line for line in a if line in there]
    there = set(a)
    b = [line for line in b if line in there]
    long, reach, steps = len(a) + len(b), {1: 0}, _MOST_STEPS
    for changes in range(long + 1):
        for k in range(-changes, changes + 1, 2):
            down = k == -changes or k != changes and reach[k - 1] < reach[k + 1]
            x = began = reach[k + 1] if down else reach[k - 1] + 1
            while x < len(a) and x - k < len(b) and a[x] == b[x - k]:
                x += 1
            if x >= len(a) and x - k >= len(b):
                return (long - changes) // 2
            reach[k] = x
            steps -= 1 + x - began
        if steps < 0:
            return min(len(a), len(b), (long - changes - 1) // 2)
