"""Door of the planning floor: puts scripts/ on the import path and hands over to the command line.

Run by bin/orchestrator in the locked environment, without its packages (-S): a list that only reads needs none, and is
there sooner; everything else gets them here. Exit codes: 0 done, 1 refused, 2 usage. Python 3.10+.
"""

import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

if __name__ == "__main__":
    gc.set_threshold(200_000)  # most commands end before their rings of garbage weigh anything
    try:
        from orchestrator.edges.cli import quick

        if not quick.answered(sys.argv[1:]):
            import site

            site.main()
            from orchestrator.edges.cli import main

            main(prog_name="orchestrator")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("orchestrator"):
            raise
        sys.exit(
            f"orchestrator: the environment {os.path.dirname(os.path.dirname(sys.executable))} lacks {missing.name}: "
            "remove that folder and run the command again, it will be built anew."
        )
