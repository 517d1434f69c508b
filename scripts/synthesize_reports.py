"""Report synthesis' door: agents' report files, or a session of the history, put together.

Usage: synthesize_reports.py REPORT… | --session-id ID [--format markdown|json] [--output FILE]
The same as `orchestrator outputs synthesize`, from any python3. Exit codes: 0 done, 1 refused, 2 usage.
"""

import os
import sys

if __name__ == "__main__":
    program = os.path.join(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "bin", "orchestrator"
    )
    os.execv(program, [program, "outputs", "synthesize"] + sys.argv[1:])
