"""Writer of hooks/often.txt: which kinds of a typical orchestration's events load a module, or run a function, at least half the
time.

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
# Which events mostly load a module, or run a function: what they load and run is read at a stroke, any other code when it is
# called. Written by tests/bench/often.py.
"""
HALF, NEARLY_ALL = 2, 6  # of the events of a kind; kinds of events
kinds, seen = Counter(), Counter()


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
        seen.update([(command[1], name) for name in (*modules, *names)])
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
    often = {}
    for (kind, name), times in sorted(seen.items(), key=lambda one: one[0][::-1]):
        if times * HALF >= kinds[kind]:
            often.setdefault(name, []).append(kind)
    lines = ["%s %s\n" % (name, "*" if ":" in name and len(of) >= NEARLY_ALL else " ".join(of))
             for name, of in often.items() if ":" in name or len(of) < len(kinds)]  # fmt: skip
    LIST.write_text(HEAD + "".join(lines))
    print("%d modules and functions, %d for all, %d events" % (len(lines), sum("*" in line for line in lines), kinds.total()))


if __name__ == "__main__":
    main()
