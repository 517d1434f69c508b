"""Globs: what they match, when two may meet, and that no pattern is too hostile."""

import fnmatch
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import globs

PIECES = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "?", "[ab]", "**", "a?", "{a,b}"])
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map("/".join)
PATHS = ["/".join(parts) for size in (1, 2, 3) for parts in itertools.product(("a", "b", "ab"), repeat=size)]


@pytest.mark.parametrize(
    "pattern, path, matched",
    [
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/deep/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/x/y/a.py", True),
        ("src/**", "src/x/y", True),
        ("**", "a/b", True),
        ("**/test_*.py", "tests/unit/test_a.py", True),
        ("src/*.{ts,tsx}", "src/a.tsx", True),
        ("src/*.{ts,tsx}", "src/a.js", False),
        ("app/[id]/page.tsx", "app/[id]/page.tsx", True),
        ("app/[id]/page.tsx", "app/i/page.tsx", True),
        ("{a,b}/{c,d}", "b/c", True),
        ("a{b", "a{b", True),
    ],
)
def test_a_pattern_matches_as_people_expect(pattern, path, matched):
    """`*` stays in its folder, `**` crosses many, braces mean either, a literal spelling always matches."""
    assert globs.matches(pattern, path) is matched


def slowly(pattern, path):
    """The same question by trying everything: fine for three segments, no way to do it for sixty."""
    if not pattern:
        return not path
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        return slowly(rest, path) or (bool(path) and slowly(pattern, path[1:]))
    return bool(path) and fnmatch.fnmatchcase(path[0], first) and slowly(rest, path[1:])


@given(PATTERNS)
def test_a_pattern_matches_what_trying_everything_finds(pattern):
    """The short cuts cost no match, and invent none."""
    either = [pattern.replace("{a,b}", "a"), pattern.replace("{a,b}", "b")]
    if pattern.count("{a,b}") < 2:
        for path in PATHS:
            by_hand = any(slowly(each.split("/"), path.split("/")) for each in either)
            assert globs.matches(pattern, path) == by_hand, path


@given(PATTERNS, PATTERNS)
def test_patterns_that_share_a_path_overlap(one, other):
    """No path that both match is ever denied; overlap may only err towards yes."""
    if any(globs.matches(one, path) and globs.matches(other, path) for path in PATHS):
        assert globs.overlap(one, other) and globs.overlap(other, one)


@pytest.mark.parametrize(
    "one, other", [("src/*.py", "docs/*.py"), ("a/*.py", "a/*.md"), ("a/b", "a/c"), ("x*/a", "y*/a")]
)
def test_patterns_with_nothing_in_common_do_not_overlap(one, other):
    """Two tasks that write different places are not warned of each other."""
    assert not globs.overlap(one, other)


@given(PATTERNS)
def test_what_matches_lies_below_the_head(pattern):
    """The head is what a pattern may be looked up by."""
    head = globs.head(pattern)
    for path in PATHS:
        if globs.matches(pattern, path) and path != pattern:
            assert not head or path == head or path.startswith(head + "/")


@pytest.mark.parametrize(
    "pattern", ["**/" * 60 + "x", "*a" * 100 + "b", "{a,b}" * 50, "[" * 200, "{" * 200 + ",}" * 50]
)
def test_a_hostile_pattern_comes_back(pattern):
    """Wildcards in great number neither hang nor recurse; the test's own time limit is the proof."""
    assert globs.matches(pattern, "/".join(["aaaa"] * 60)) in (True, False)
    assert globs.overlap(pattern, "**/" * 60 + "y") in (True, False)
