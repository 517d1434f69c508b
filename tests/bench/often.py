"""Writer of hooks/often.txt: the functions that at least a quarter of a typical orchestration's events run.

Usage: python tests/bench/often.py. It plays the orchestration of test_hooks.py in processes of its own.
"""

import os
import pickle
import sys
import tempfile
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "scripts")]

from bench import test_hooks as bench  # noqa: E402

LIST = bench.ROOT / "hooks" / "often.txt"
HEAD = "# Functions that many events run, written by tests/bench/often.py: the code of all others is read when they are called.\n"
SHARE = 4  # one in so many events
counted, events = Counter(), 0


class Watched(bench.Place):
    """A project whose events are handled in a fork of this process, which tells what they ran."""

    def time(self, label, command, event, **env):
        """One event; what is no recorded one is left out."""
        global events
        if label.startswith(("bare", "nothing")):
            return b""
        events += 1
        out, into = os.pipe()
        if os.fork() == 0:
            os.close(out)
            os.environ.clear()
            os.environ.update(self.env)
            answer, names = watched(event, command[1])
            with os.fdopen(into, "wb") as f:
                pickle.dump((answer, names), f)
            os._exit(0)
        os.close(into)
        with os.fdopen(out, "rb") as f:
            answer, names = pickle.load(f)
        os.wait()
        counted.update(names)
        return (answer or "").encode()


def watched(event, name):
    """(the answer, the functions that were run, as module:name)."""
    from orchestrator.edges import hooks

    names = set()

    def called(frame, kind, _):
        if kind == "call" and frame.f_globals.get("__name__", "").startswith("orchestrator."):
            if getattr(frame.f_globals.get(frame.f_code.co_name), "__code__", None) is frame.f_code:
                names.add("%s:%s" % (frame.f_globals["__name__"], frame.f_code.co_name))

    sys.setprofile(called)
    answer = hooks.run(event, name, os.getppid(), alone=True)
    sys.setprofile(None)
    return answer, names


def main():
    """Plays two sessions and writes the list."""
    bench.SESSIONS = 2
    tasks = [{"id": "t%d" % n, "title": "Task %d" % n, "agent": "scout", "prompt": "Do %d." % n} for n in range(16)]
    with tempfile.TemporaryDirectory() as folder:
        data = os.environ.get("ORCHESTRATOR_DATA") or str(Path(folder) / "data")
        place = Watched(Path(folder), data, tasks[:8])
        plan = place.plan
        place.plan = lambda session, _: plan(session, tasks[8:])
        bench.orchestration(place, tasks)
    often = sorted(name for name, times in counted.items() if times * SHARE >= events)
    LIST.write_text(HEAD + "".join(name + "\n" for name in often))
    print("%d of %d functions, %d events" % (len(often), len(counted), events))


if __name__ == "__main__":
    main()
