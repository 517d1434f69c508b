"""What redaction costs: an innocent event beside a bare start, and ten times the text beside the text.

Usage: tests/run -m bench tests/bench/test_redact.py -s
"""

import subprocess
import sys
import time

import pytest

from orchestrator.model.redact import redact
from unit import secret_corpus
from unit.test_redact import EVENT

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


def seconds(work, rounds):
    """The least time of some runs."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def test_an_innocent_event_costs_a_fraction_of_a_start():
    """Redacting an event of 5 KB without a secret takes at most a fifteenth of `python3 -I -S -c pass`."""
    bare = seconds(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", "pass"]), 20)
    ours = seconds(lambda: redact(EVENT), 200)
    print("\ninnocent event: %.0f microseconds, %.3f x" % (ours * 1e6, ours / bare))
    assert ours <= bare / 15


@pytest.mark.parametrize("name", [*secret_corpus.HOSTILE, "secrets", "innocents"])
def test_ten_times_the_text_takes_ten_times_as_long(name):
    """Whatever a text is made of, time grows with its length (twice as much is allowed for noise)."""
    if name in secret_corpus.HOSTILE:
        small, large = [secret_corpus.hostile(name, size) for size in (200_000, 2_000_000)]
    else:
        secrets = [text for _, text, _ in secret_corpus.secrets()]
        text = "\n".join(secrets if name == "secrets" else secret_corpus.innocents())
        small, large = text * (200_000 // len(text)), text * (2_000_000 // len(text))
    short, long = seconds(lambda: redact(small), 3), seconds(lambda: redact(large), 1)
    print("\n%-16s %6.2f MB/s, ratio %.1f" % (name, len(large) / long / 1e6, long / short))
    assert long <= 20 * short + 0.05


def test_ends_without_a_key_cost_as_little_as_other_lines():
    """A text of nothing but ends of keys takes at most thirty times as long as one of beginnings of tokens."""
    ends, other = [secret_corpus.hostile(name, 200_000) for name in ("ends", "beginnings")]
    ours, theirs = seconds(lambda: redact(ends), 3), seconds(lambda: redact(other), 3)
    print("\nends of keys: %.2f MB/s, %.1f x" % (len(ends) / ours / 1e6, ours / theirs))
    assert ours <= 30 * theirs + 0.05
