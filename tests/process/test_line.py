"""The line before the lock: hooks wait for each other in it, and nobody waits for ever (decision 13)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.store.open import open_history
from orchestrator.store.workspace import install_mark

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WRITE = """
import sys; sys.path.insert(0, %r)
from orchestrator.store import open as store
con = store.open_history(sys.argv[1])
store.stand_in_line(sys.argv[2], float(sys.argv[3]))
with store.writing(con):
    con.execute("INSERT INTO meta SELECT ?, count(*) FROM meta", (sys.argv[4],))
""" % str(SCRIPTS)
HOLD = """
import os, sys, time
os.lockf(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), os.F_LOCK, 0)
print(1, flush=True)
time.sleep(60)
"""


@pytest.fixture
def history(tmp_path):
    """A history that is there already."""
    open_history(str(tmp_path / "history.db")).close()
    return tmp_path / "history.db"


def writer(history, line, seconds, name):
    """A process that waits in line for so long and then writes a row."""
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", WRITE, str(history), str(line), str(seconds), name])


def written(history):
    """The rows that were written."""
    con = open_history(str(history))
    found = [row[0] for row in con.execute("SELECT key FROM meta ORDER BY key")]
    con.close()
    return found


def holder(line):
    """A process that stands first in line and does not move."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(line)], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_who_waited_long_enough_asks_sqlite(history, tmp_path):
    """A holder that never lets go delays a writer by its own time at most."""
    first = holder(tmp_path / "line")
    try:
        assert writer(history, tmp_path / "line", 0.2, "after all").wait(timeout=30) == 0
        assert first.poll() is None and written(history) == ["after all"]
    finally:
        first.kill()
        first.communicate()


def test_a_blocked_alarm_keeps_nobody_waiting(history, tmp_path):
    """The same where the process was started with its alarm blocked, which children inherit."""
    first = holder(tmp_path / "line")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    try:
        second = writer(history, tmp_path / "line", 0.2, "after all")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    try:
        assert second.wait(timeout=30) == 0 and written(history) == ["after all"]
    finally:
        for each in (first, second):
            each.kill()
        first.communicate()


def test_a_holder_that_dies_lets_the_next_one_go(history, tmp_path):
    """The lock dies with its holder: whoever waits behind it writes at once, long before its time is over."""
    first = holder(tmp_path / "line")
    second = writer(history, tmp_path / "line", 1000, "next")
    time.sleep(0.5)
    assert second.poll() is None and written(history) == []
    first.kill()
    first.communicate()
    assert second.wait(timeout=60) == 0 and written(history) == ["next"]


def taken(line):
    """How many places were taken in a line since it was begun."""
    return max(0, os.path.getsize(line) - 1) if line.exists() else 0


def until(condition):
    """Waits until something holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def at_the_head(history, line):
    """A process that writes, and is not done before a byte comes on its stdin."""
    held = WRITE.replace("    con.execute", "    print(1, flush=True); sys.stdin.read(1)\n    con.execute")
    first = subprocess.Popen([sys.executable, "-I", "-S", "-c", held, str(history), str(line), "60", "first"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    first.stdout.readline()
    return first


def in_order(history):
    """The rows in the order in which they were written."""
    con = open_history(str(history))
    found = [row[0] for row in con.execute("SELECT key FROM meta ORDER BY CAST(value AS INTEGER)")]
    con.close()
    return found


def test_nobody_is_passed_by(history, tmp_path):
    """Who stands in line writes in the order in which they came, whoever comes at the moment when one is done."""
    line = tmp_path / "line"
    first = at_the_head(history, line)
    waiting = []
    for n in range(8):
        waiting.append(writer(history, line, 60, "w%d" % n))
        until(lambda n=n: taken(line) == n + 2)
    first.communicate(b"x")
    assert [each.wait(timeout=60) for each in waiting] == [0] * 8
    assert in_order(history) == ["first", *["w%d" % n for n in range(8)]]


def test_one_who_dies_in_line_holds_up_nobody(history, tmp_path):
    """Where one of those who wait is killed, all others write, and nothing is lost."""
    line = tmp_path / "line"
    first = at_the_head(history, line)
    waiting = [writer(history, line, 60, "w%d" % n) for n in range(4)]
    until(lambda: taken(line) == 5)
    waiting[1].kill()
    first.communicate(b"x")
    assert [each.wait(timeout=60) for each in waiting] == [0, -9, 0, 0]
    assert written(history) == ["first", "w0", "w2", "w3"]


def test_places_are_counted_anew(history, tmp_path):
    """The line's file does not grow for ever: after some thousand places, when nobody waits, it begins anew."""
    line = tmp_path / "line"
    line.write_bytes(b"\0" * 5000)
    assert writer(history, line, 60, "one").wait(timeout=60) == 0 and taken(line) == 1
    assert writer(history, line, 60, "two").wait(timeout=60) == 0 and taken(line) == 2


@pytest.mark.parametrize("line", ["no/such/folder/line", "folder", "link"])
def test_where_nobody_can_stand_in_line(history, tmp_path, line):
    """Without a file to lock, writers ask SQLite directly, and none is lost; what a link in its place leads to is left alone."""
    os.makedirs(tmp_path / "folder", exist_ok=True)
    (tmp_path / "precious").write_bytes(b"x" * 5000)
    (tmp_path / "link").symlink_to("precious")
    every = [writer(history, tmp_path / line, 5, "w%d" % n) for n in range(4)]
    assert [each.wait(timeout=60) for each in every] == [0, 0, 0, 0]
    assert written(history) == ["w0", "w1", "w2", "w3"]
    assert (tmp_path / "precious").read_bytes() == b"x" * 5000


MARK = """
import sys; sys.path.insert(0, %r)
from orchestrator.store.workspace import install_mark
sys.stdin.read(1)
print(install_mark(sys.argv[1]))
""" % str(SCRIPTS)


@pytest.mark.parametrize("found", [None, ""], ids=["nothing", "an empty file"])
def test_one_mark_for_all_who_begin_at_once(tmp_path, found):
    """Processes that race to mark this installation all find the same mark, and none takes half of it for the whole."""
    for turn in range(4):
        data = tmp_path / str(turn)
        data.mkdir()
        if found is not None:
            (data / "install-id").write_text(found)
        racing = [
            subprocess.Popen([sys.executable, "-I", "-S", "-c", MARK, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(12)
        ]
        for each in racing:
            each.stdin.write(b"x")
            each.stdin.flush()
        told = {each.communicate()[0] for each in racing}
        assert install_mark(str(data)) != ""
        if found is None:  # an empty file is not raced for in earnest: whoever is last decides
            assert told == {(install_mark(str(data)) + "\n").encode()}
        assert os.listdir(data) == ["install-id"]
