"""Context bounds' door: do these files fit an agent's budget, and which are the largest.

Usage: check_context_bounds.py [PATH…] [--files a,b] [--budget 200000] [--warn-threshold 0.75]
The same as `orchestrator bundle check`, from any python3. Exit codes: 0 they fit, 1 they do not, 2 usage.
"""

import os
import sys

if __name__ == "__main__":
    program = os.path.join(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "bin", "orchestrator"
    )
    os.execv(program, [program, "bundle", "check"] + sys.argv[1:])
