"""Deadline: where a regular expression of the user's matches, or that looking for it takes too long.

Python looks after signals while it matches, so that a timer ends what would go on for hours. What has used its time
up gets little more: a process that masks many texts ends, too. The timer counts the time at work, not at waiting,
which is nobody's pattern's fault.
"""

MOST = 1.0  # seconds for one text
ALL = 3.0  # seconds that a process gives to texts that took too long
LEAST = 0.02  # seconds for each text after that
_lost = [0.0]  # seconds that went by in vain
TRIAL = 0.25  # seconds for one of the texts that a new pattern is tried on


class _Over(BaseException):
    """No pattern's own error: nothing between here and the match may take it for one."""


def spans(ready, text, most=None):
    """[(start, end)] of the matches of a compiled pattern, or None where they take too long."""
    import signal

    counted = most is None
    if counted:
        most = max(LEAST, min(MOST, ALL - _lost[0]))
    at_work = [True]

    def over(*_):
        if at_work:
            raise _Over
    try:
        before = signal.signal(signal.SIGVTALRM, over)
    except ValueError:  # only a program's first thread hears of signals
        return _elsewhere(ready, text, most)
    try:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGVTALRM,))  # whoever started this process may have blocked it
            signal.setitimer(signal.ITIMER_VIRTUAL, most)
            return [match.span() for match in ready.finditer(text)]
        finally:
            at_work.clear()
    except _Over:
        if counted:
            _lost[0] += most
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before or signal.SIG_DFL)


_CODE = ("import json, re, sys; pattern, flags, text = json.load(sys.stdin); "
         "print(json.dumps([match.span() for match in re.compile(pattern, flags).finditer(text)]))")


def _elsewhere(ready, text, most):
    """The same by another process, which can be ended."""
    import json
    import subprocess
    import sys

    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", _CODE], input=json.dumps([ready.pattern, ready.flags, text]),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=most + 1, check=True,
                              text=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [tuple(span) for span in json.loads(done.stdout)]


def tried(pattern):
    """What a pattern takes too long for when it is repeated, or None. Tried are what stands in the pattern and what words are
    made of, at a length at which only what doubles with each character takes long."""
    import re

    ready, plain = re.compile(pattern), re.sub(r"\\[A-Za-z]", " ", pattern)
    own = dict.fromkeys(re.findall(r"\w{2,10}", plain)[:10] + re.findall(r"[^\\()\[\]{}|?*+^$]", plain))
    for piece in dict.fromkeys([*"a0 A_-./=\n", "a ", "a0", "a.", "ab", *list(own)[:40]]):
        for end in ("!", "\0", ""):
            if spans(ready, (piece * 90)[:90] + end, TRIAL) is None:
                return piece
    return None
