"""Bare doctor: what `orchestrator doctor` can say without its packages, where these cannot be installed.

Usage: python3 -I -S bare_doctor.py DATA. Standard library, Python 3.9. Always ends with 1: the packages are missing.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from orchestrator import paths
from orchestrator.services import checks, checks_project

MARKS = {"fine": "✓", "note": "!", "broken": "✗"}


def main(data):
    """Prints what was found, a sentence a line."""
    root, at = paths.plugin_root(), paths.project_of()
    workspace = paths.workspace_of(at)
    found = [checks.broken("environment", "The packages for plans, lists and reports are missing; what was just said is why. "
                           "Hooks record without them.")]
    found += [checks.floor(root), checks.data_folder(data), checks.client(), *checks.shadows(root)]
    found += checks_project.project(at, workspace, paths.history_of(workspace, at), data, None)
    for each in found:
        print("%s %s" % (MARKS[each.grade], " ".join(each.text.split())))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
