"""Globs over project paths: `*`, `?`, `[…]` within a segment, `**` for any of them, `{a,b}` for either.

Pure text: nothing here looks at a disk. Patterns are hostile input: nothing backtracks without a bound.
"""

import fnmatch
from functools import lru_cache

_MOST = 16  # alternatives that one pattern's braces may stand for
_SURE = 64  # the same, where it is asked whether one of them leads out


def is_glob(text):
    """Whether `text` has anything that a glob reads as more than itself."""
    return any(char in text for char in "*?[{")


def head(pattern):
    """The folders before the first wildcard: `src/a` of `src/a/*.py`. A plain path is its own head."""
    kept = []
    for segment in pattern.split("/"):
        if is_glob(segment):
            break
        kept.append(segment)
    return "/".join(kept)


def alternatives(pattern, most=_MOST):
    """`pattern` with its braces written out; past a limit the rest of them stay plain text."""
    found: list[str] = []
    todo = [pattern]
    while todo:
        text = todo.pop(0)
        parts = _braces(text) if len(found) + len(todo) < most else None
        if parts is None:
            found.append(text)
        else:
            todo.extend(parts)
    return found


def leads_out(pattern):
    """Whether a path that `pattern` stands for is absolute or has `..` in it, or could, with too many braces to tell."""
    return any(
        text.startswith("/") or ".." in text.split("/") or _braces(text) for text in alternatives(pattern, _SURE)
    )


def _braces(text):
    """The texts that the first innermost `{a,b}` of `text` stands for, or None when it has none."""
    close = text.find("}")
    while close >= 0:
        start = text.rfind("{", 0, close)
        if start >= 0 and "," in text[start:close]:
            return [text[:start] + part + text[close + 1 :] for part in text[start + 1 : close].split(",")]
        close = text.find("}", close + 1)
    return None


@lru_cache(maxsize=4096)
def ends(pattern):
    """What each match begins with and ends with: (`src`, `.py`) of `src/**/*.py`."""
    first = min([at for at in map(pattern.find, "*?[{") if at >= 0], default=len(pattern))
    last = max(map(pattern.rfind, "*?]}[{"))
    return pattern[:first].rstrip("/"), pattern[last + 1 :].lstrip("/")


def may_match(pattern, path):
    """Whether a path begins and ends as the matches do: cheap, and no only where `matches` says no."""
    start, end = ends(pattern)
    return path.startswith(start) and path.endswith(end)


def may_overlap(one, other):
    """The same of two patterns and `overlap`."""
    (start, end), (other_start, other_end) = ends(one), ends(other)
    return (start.startswith(other_start) or other_start.startswith(start)) and (
        end.endswith(other_end) or other_end.endswith(end)
    )


def matches(pattern, path):
    """Whether `path` is what `pattern` names; a pattern always names the path that is spelled like it."""
    if pattern == path:
        return True
    return may_match(pattern, path) and any(
        _segments_match(each.split("/"), path.split("/")) for each in alternatives(pattern)
    )


def _segments_match(pattern, path):
    """Segment by segment; after a mismatch only the last `**` takes one more: the work is bounded."""
    at = here = 0
    star, resume = -1, 0
    while here < len(path):
        if at < len(pattern) and pattern[at] == "**":
            star, resume = at, here
            at += 1
        elif at < len(pattern) and fnmatch.fnmatchcase(path[here], pattern[at]):
            at, here = at + 1, here + 1
        elif star >= 0:
            resume += 1
            at, here = star + 1, resume
        else:
            return False
    return all(segment == "**" for segment in pattern[at:])


def overlap(one, other):
    """Whether some path could match both patterns. In doubt yes."""
    if one == other:
        return True
    return may_overlap(one, other) and any(
        _segments_overlap(a.split("/"), b.split("/")) for a in alternatives(one) for b in alternatives(other)
    )


def _segments_overlap(one, other):
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(one) and j == len(other):
            return True
        ahead = []
        if i < len(one) and one[i] == "**":
            ahead += [(i + 1, j)] + ([(i, j + 1)] if j < len(other) else [])
        if j < len(other) and other[j] == "**":
            ahead += [(i, j + 1)] + ([(i + 1, j)] if i < len(one) else [])
        if i < len(one) and j < len(other) and _segment_overlap(one[i], other[j]):
            ahead.append((i + 1, j + 1))
        for pair in ahead:
            if pair not in reached:
                reached.add(pair)
                todo.append(pair)
    return False


def _segment_overlap(one, other):
    """Exact when one of them is plain; else by what stands before the first and after the last wildcard."""
    if not is_glob(one):
        return fnmatch.fnmatchcase(one, other)
    if not is_glob(other):
        return fnmatch.fnmatchcase(other, one)
    return _ends_agree(one, other, 1) and _ends_agree(one[::-1], other[::-1], -1)


def _ends_agree(one, other, way):
    wild = "*?[{" if way > 0 else "*?]}"
    for a, b in zip(one, other):
        if a in wild or b in wild:
            return True
        if a != b:
            return False
    return True
