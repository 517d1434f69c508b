"""Output collector's door: what executions left, collected, asked for, put together.

Usage: output_collector.py collect|query|synthesize …
The same as `orchestrator outputs …`, from any python3. Exit codes: 0 done, 1 refused, 2 usage.
"""

import os
import sys

if __name__ == "__main__":
    program = os.path.join(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "bin", "orchestrator"
    )
    os.execv(program, [program, "outputs"] + sys.argv[1:])
