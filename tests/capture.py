"""The captured run in the README: a real one of the demo, with what a first look does not need left out.

Usage: .venv/bin/python tests/capture.py   runs the demo with the newest pinned client and writes the block
Exit codes: 0 written, 1 the demo did not go through.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import clients

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- generated: demo -->\n).*?(<!-- end -->\n)", re.DOTALL)
EVENT = re.compile(r" *\d+\.\d s  ")
COUNT = re.compile(r" +[\d,]+  \w")


def shortened(out):
    """The events and the token counts of a run; where lines are left out stands an ellipsis."""
    kept, left_out = [], False
    for line in out.splitlines():
        if EVENT.match(line) or COUNT.match(line):
            kept += ["…"] if left_out and kept else []
            kept.append(line)
            left_out = False
        elif line.strip():
            left_out = True
    return "\n".join(kept)


def main():
    """Runs the demo and writes the block."""
    client = clients.find(clients.NEWEST)
    command = [str(ROOT / "bin/orchestrator"), "demo", "--client", client.path]
    with tempfile.TemporaryDirectory() as folder:  # what the demo leaves goes, too
        environment = dict(os.environ, COLUMNS="100", NO_COLOR="1", TMPDIR=folder)
        run = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    if run.returncode:
        sys.stderr.write(run.stdout + run.stderr)
        return 1
    page = ROOT / "README.md"
    block = "```console\n$ bin/orchestrator demo\n%s\n```\n" % shortened(run.stdout)
    made, count = BLOCK.subn(lambda found: found[1] + block + found[2], page.read_text(encoding="utf-8"))
    page.write_text(made, encoding="utf-8")
    return 0 if count == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
