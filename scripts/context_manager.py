"""Context manager's door: bundles prepared, measured, compared, turned into briefings and recorded.

Usage: context_manager.py prepare-bundle|track-budget|deduplicate|generate-briefing|record-allocation …
The same as `orchestrator bundle …`, from any python3. Exit codes: 0 done, 1 refused, 2 usage.
"""

import os
import sys

if __name__ == "__main__":
    program = os.path.join(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "bin", "orchestrator"
    )
    os.execv(program, [program, "bundle"] + sys.argv[1:])
