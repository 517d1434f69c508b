"""Entry of all hooks: one event on stdin, at most one JSON answer on stdout, exit 0 whatever happens.

Usage: entry.py EVENT CLIENT_PID. Standard library, Python 3.9.
"""

import gc
import os
import sys

gc.disable()  # the process is over before there is anything worth collecting


def lean_sqlite():
    """Loads _sqlite3 without functools, of which it takes one name and which costs as much as a write (CPython 3.10 on)."""
    import _functools

    stand_in = type(sys)("functools")
    stand_in.lru_cache = lambda size: lambda call: _functools._lru_cache_wrapper(call, size, False, tuple)
    sys.modules["functools"] = stand_in
    try:
        import _sqlite3

        _sqlite3.connect(":memory:").execute("SELECT 1").fetchone()
    finally:
        del sys.modules["functools"]


try:
    lean_sqlite()
except Exception:  # another Python: it is loaded the ordinary way
    sys.modules.pop("_sqlite3", None)

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(here), "scripts"))

raw = b""
try:
    raw = sys.stdin.buffer.read()
    from orchestrator.edges import hooks

    answer = hooks.run(raw, sys.argv[1], int(sys.argv[2]))
    if answer:
        sys.stdout.buffer.write(answer.encode("utf-8", "replace") + b"\n")
        sys.stdout.flush()
except BaseException as problem:  # a hook never breaks the user's session: run() keeps the event, else this does
    try:
        sys.path.insert(0, here)
        import last_resort

        last_resort.keep(raw, sys.argv, problem)
    except BaseException:
        pass
os._exit(0)  # nothing left to tear down
