"""Entry of all hooks: one event on stdin, at most one JSON answer on stdout, exit 0 whatever happens.

Usage: entry.py EVENT CLIENT_PID. Standard library, Python 3.9.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts"))

try:
    raw = sys.stdin.buffer.read()
    from orchestrator.edges import hooks

    answer = hooks.run(raw, sys.argv[1], int(sys.argv[2]))
    if answer:
        sys.stdout.buffer.write(answer.encode("utf-8", "replace") + b"\n")
        sys.stdout.flush()
except BaseException:  # a hook never breaks the user's session; run() has kept the event before this can happen
    pass
os._exit(0)  # nothing left to tear down
