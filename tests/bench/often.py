"""Writer of hooks/often.txt: the functions that at least a quarter of a typical orchestration's events run, and the modules
that at least half of the events of a kind load.

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
HEAD = """\
# Functions that many events run, whose code is not left to be read when they are called, and event>module for the modules
# that most events of a kind load. Written by tests/bench/often.py.
"""
SHARE, HALF = 4, 2  # one in so many events
counted, kinds, loaded = Counter(), Counter(), Counter()


class Watched(bench.Place):
    """A project whose events are handled in a fork of this process, which tells what they ran."""

    def time(self, label, command, event, **env):
        """One event; what is no recorded one is left out."""
        if label.startswith(("bare", "nothing")):
            return b""
        kinds[command[1]] += 1
        out, into = os.pipe()
        if os.fork() == 0:
            os.close(out)
            os.environ.clear()
            os.environ.update(self.env)
            before = set(sys.modules)
            answer, names = watched(event, command[1])
            modules = [name for name in sys.modules if name not in before and name.startswith("orchestrator.")]
            with os.fdopen(into, "wb") as f:
                pickle.dump((answer, names, modules), f)
            os._exit(0)
        os.close(into)
        with os.fdopen(out, "rb") as f:
            answer, names, modules = pickle.load(f)
        os.wait()
        counted.update(names)
        loaded.update([(command[1], name) for name in modules])
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
    often = sorted(name for name, times in counted.items() if times * SHARE >= kinds.total())
    beside = sorted("%s>%s" % (kind, name) for (kind, name), times in loaded.items() if times * HALF >= kinds[kind]
                    and any(loaded[other, name] * HALF < kinds[other] for other in kinds))
    LIST.write_text(HEAD + "".join(name + "\n" for name in often + beside))
    print("%d of %d functions, %d modules of kinds, %d events" % (len(often), len(counted), len(beside), kinds.total()))


if __name__ == "__main__":
    main()
