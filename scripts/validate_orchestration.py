"""Orchestration validator's door: is this scope, with these files, fit to plan with.

Usage: validate_orchestration.py --scope TEXT [--context-files a,b] [--session-id ID] [--format table|json]
The same as `orchestrator tracker validate`, from any python3. Exit codes: 0 it is, 1 it is not, 2 usage.
"""

import os
import sys

if __name__ == "__main__":
    program = os.path.join(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "bin", "orchestrator"
    )
    os.execv(program, [program, "tracker", "validate"] + sys.argv[1:])
