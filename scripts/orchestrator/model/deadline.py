"""Deadline: where a regular expression of the user's matches, or that looking for it takes too long.

Python looks after signals while it matches, so that a timer ends what would go on for hours; but it does so rarely, so a
long text is left to a process of its own, which the timer ends at once. A pattern that has used the time up is not looked
for any more: a process that masks many texts ends, too. The timer counts the time at work, not at waiting, which is
nobody's pattern's fault.
"""

MOST = 1.0  # seconds for one text
ALL = 2.0  # seconds that a process gives to texts that took too long
MORE = 1.0  # seconds beside these for what is short: a document's names are of use
SHORT = 40  # characters
LEAST = 0.02  # seconds for a text after that, and what is no loss
EACH = 1e-6  # seconds for each of its characters, likewise
LONG = 10_000  # characters from which on a text may take long between two looks after signals
_lost = {}  # pattern -> seconds beyond what its texts may take
TRIAL = 0.25  # seconds for one of the texts that a new pattern is tried on
WORD = 5000  # letters of the longest of them: addresses are found in it in good time, what is slower than that has no end


class _Over(BaseException):
    """No pattern's own error: nothing between here and the match may take it for one."""


def spans(ready, text, most=None):
    """[(start, end)] of the matches of a compiled pattern, or None where they take too long."""
    if most is not None:
        return _looked(ready, text, most)[0]
    fair = LEAST + EACH * len(text)
    left, slow = ALL - sum(_lost.values()), ready.pattern in _lost
    if slow and left <= (-MORE if len(text) <= SHORT else 0):
        return None
    found, took = _looked(ready, text, min(MOST, max(left, LEAST if slow else fair)))
    if found is None or took > fair:
        _lost[ready.pattern] = _lost.get(ready.pattern, 0.0) + took
    return found


def _looked(ready, text, most):
    """(spans or None, seconds at work)."""
    import signal
    import threading
    import time

    if threading.current_thread() is not threading.main_thread():  # only a program's first thread hears of signals
        return _elsewhere(ready, text, most)
    if len(text) > LONG:
        return _forked(ready, text, most) if threading.active_count() == 1 else _elsewhere(ready, text, most)
    start, at_work = time.thread_time(), [True]

    def over(*_):
        if at_work:
            raise _Over
    before = signal.signal(signal.SIGVTALRM, over)
    found = None
    try:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGVTALRM,))  # whoever started this process may have blocked it
            signal.setitimer(signal.ITIMER_VIRTUAL, most)
            found = [match.span() for match in ready.finditer(text)]
        finally:
            at_work.clear()
    except _Over:
        pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before or signal.SIG_DFL)
    return found, time.thread_time() - start


def _forked(ready, text, most):
    """The same by a copy of this process, which the timer itself ends."""
    import marshal
    import os
    import signal

    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:  # there may be no more processes
        os.close(reading)
        os.close(writing)
        return None, 0.0
    if not child:
        try:
            signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGVTALRM,))
            signal.setitimer(signal.ITIMER_VIRTUAL, most)
            said = marshal.dumps([match.span() for match in ready.finditer(text)])
            with open(writing, "wb") as f:
                f.write(said)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # it does nothing of what the process it is a copy of does at its end
    os.close(writing)
    with open(reading, "rb") as f:
        said = f.read()
    try:
        took = os.wait4(child, 0)[2].ru_utime
    except ChildProcessError:  # whoever started this process may have it ignore how others end
        took = 0.0 if said else most
    try:
        return marshal.loads(said), took
    except (EOFError, ValueError, TypeError):
        return None, took


_CODE = ("import json, re, signal, sys, time; pattern, flags, text, most = json.load(sys.stdin); "
         "ready = re.compile(pattern, flags); signal.signal(signal.SIGVTALRM, signal.SIG_DFL); "
         "signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGVTALRM,)); signal.setitimer(signal.ITIMER_VIRTUAL, most); "
         "start = time.process_time(); "
         "found = [match.span() for match in ready.finditer(text)]; print(json.dumps([found, time.process_time() - start]))")


def _elsewhere(ready, text, most):
    """The same by another process."""
    import json
    import subprocess
    import sys

    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", _CODE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              input=json.dumps([ready.pattern, ready.flags, text, most]), timeout=60, check=True, text=True)
    except (OSError, subprocess.SubprocessError):
        return None, most
    found, took = json.loads(done.stdout)
    return [tuple(span) for span in found], took


def tried(pattern):
    """What a pattern takes too long for when it is repeated, or None. Tried are what stands in the pattern and what words are
    made of, at a length at which only what doubles with each character takes long, and one long word."""
    import re

    ready, plain = re.compile(pattern), re.sub(r"\\[A-Za-z]", " ", pattern)
    own = dict.fromkeys(re.findall(r"\w{2,10}", plain)[:10] + re.findall(r"[^\\()\[\]{}|?*+^$]", plain))
    for piece in dict.fromkeys([*"a0 A_-./=\n", "a ", "a0", "a.", "ab", *list(own)[:40]]):
        for end in ("!", "\0", ""):
            if spans(ready, (piece * 90)[:90] + end, TRIAL) is None:
                return piece
    return "a" if spans(ready, "a" * WORD + "!", MOST) is None else None
