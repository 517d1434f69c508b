"""Execution tracker's door: sessions, deployments and completions recorded by command, and asked for.

Usage: execution_tracker.py init-session|init-deployment|record-completion|complete-session|set-phase|query …
The same as `orchestrator tracker …`, from any python3. Exit codes: 0 done, 1 refused, 2 usage.
"""

import os
import sys

if __name__ == "__main__":
    program = os.path.join(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "bin", "orchestrator"
    )
    os.execv(program, [program, "tracker"] + sys.argv[1:])
