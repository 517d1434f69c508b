"""Entry of all hooks: one event on stdin, at most one JSON answer on stdout, exit 0 whatever happens.

Usage: entry.py EVENT CLIENT_PID. Standard library, Python 3.9.
"""

import os
import sys

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
