"""Private keys: where one stands in a text, in whatever a program, a tool or a document writes around its lines."""

from orchestrator.model.named_values import compiled
from orchestrator.model.redact import is_random

BREAK = r"(?:[ \t\r\n]|\\{1,31}[nrt])"  # blanks and line ends, also as JSON writes them
LINES = r"(?:[A-Za-z0-9+/=]{16,}" + BREAK + r"*)+"
ENDS = r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?(?:-----)?"
BODY = r"(?:[A-Za-z0-9+/=:,.()\s-]+|\\{1,31}[nrt/])*"
KEY_LINE = r"(?:(?<![A-Za-z0-9+/=\\])|(?<=\\[nrt])|(?<=\\u[0-9A-Fa-f]{4}))(?:[A-Za-z0-9+/=]|\\{1,31}/){16,}"
KEY_SIZE = 16384  # characters between the two ends of a private key, at most, with all that its lines may carry
GAP = 100  # characters between two lines of a key: a line end and what a program writes before each line


def mask(text, found):
    """The text without the private keys in it: from BEGIN to END, or as far as lines of one go whose other end is cut off.

    What stands between the lines goes with them, unless it holds quotes: a program or a document stays one.
    """
    ends = list(compiled(ENDS).finditer(text))
    parts, done, before = [], 0, 0
    for number, end in enumerate(ends):
        if end.start() >= done:
            if end[1] == "BEGIN":
                spans = _after_begin(text, end, ends[number + 1:number + 2])
            else:
                spans = _before_end(text, max(done, before), end)
            if len(spans) == 1 and '"' in text[spans[0][0]:spans[0][1]]:
                spans = _key_lines(text, *spans[0])
            for start, stop in spans:
                parts += (text[done:start], "[masked:private-key]")
                done = stop
            if spans:
                found["private-key"] = found.get("private-key", 0) + 1
        before = end.end()
    return "".join(parts) + text[done:] if parts else text


def _is_key_line(line):
    if len(line) <= 40 and not line.strip("0123456789abcdefABCDEF"):
        return False  # a commit's id
    return is_random(line) or (len(line) >= 60 and any(map(str.isdigit, line)))


def _key_lines(text, start, limit):
    """The places of what could be lines of a key."""
    return [line.span() for line in compiled(KEY_LINE).finditer(text, start, limit) if _is_key_line(line.group())]


def _after_begin(text, begin, following):
    """The places of the key that begins here: one, or where other text stands between its two ends, those of its lines."""
    start, limit = begin.end(), following[0].start() if following else len(text)
    if following and following[0][1] == "END":
        stop = following[0].end()
        if compiled(BODY).match(text, start, limit).end() == limit:
            runs = [run.span() for run in compiled(KEY_LINE).finditer(text, start, limit)
                    if len(run.group()) > 40 or run.group().strip("0123456789abcdefABCDEF")]
            if any(two - one >= 24 for one, two in runs) and _is_full_of(runs, start, limit):
                return [(begin.start(), stop)]
        if limit - start <= KEY_SIZE:
            lines = _key_lines(text, start, limit)
            if any(two - one >= 40 for one, two in lines):
                return [(begin.start(), stop)] if _is_full_of(lines, start, limit) else _beside_long_ones(lines)
    first = compiled(BREAK + "*" + LINES).match(text, start, limit)
    end = start
    for run in compiled("[A-Za-z0-9+/=]{16,}").finditer(text, start, first.end()) if first else ():
        end = run.end()
    for line in compiled(KEY_LINE).finditer(text, end, limit):
        if line.start() - end > GAP or not _is_key_line(line.group()):
            break
        end = line.end()
    return [(begin.start(), end)] if compiled("[A-Za-z0-9+/=]{24}").search(text, start, end) else []


def _is_full_of(lines, start, limit):
    """Whether these lines are most of what stands here, and little stands before, between and after them."""
    gaps = [two - one for one, two in zip([start, *[line[1] for line in lines]], [*[line[0] for line in lines], limit])]
    return max(gaps) <= 2 * GAP and 2 * sum(gaps) <= limit - start


def _beside_long_ones(lines):
    """Those of these lines that are as long as a key's, and the shorter ones that stand near one."""
    groups = []
    for line in lines:
        if not groups or line[0] - groups[-1][-1][1] > GAP:
            groups.append([])
        groups[-1].append(line)
    return [line for group in groups if any(two - one >= 40 for one, two in group) for line in group]


def _before_end(text, done, end):
    """The place of the lines that go before this END, and of itself: none, or one."""
    start = end.start()
    for line in reversed(list(compiled(KEY_LINE).finditer(text, max(done, start - KEY_SIZE), start))):
        if start - line.end() > GAP or not _is_key_line(line.group()):
            break
        start = line.start()
    return [(start, end.end())] if start < end.start() else []
