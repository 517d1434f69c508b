"""Interpreters: which Python the locked environment is built with, and why another one will not do.

The one that ORCHESTRATOR_PYTHON names; else the newest on PATH from 3.13 down to 3.10; else a later one.
"""

import os
import subprocess
import sys

NEWEST, OLDEST = 13, 10
PLACES = ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin")  # a desktop's PATH may name none of them
PROBE = """
import importlib.util, os, sys
has = lambda name: importlib.util.find_spec(name) is not None
lacks = ",".join(name for name in ("_ssl", "_sqlite3", "venv", "zlib") if not has(name)) or "-"
if lacks == "-":
    import _sqlite3
    if tuple(int(part) for part in _sqlite3.sqlite_version.split(".")) < (3, 34):
        lacks = "SQLite-3.34"
can = (int(has("ensurepip")), int(has("pip")))
print(*sys.version_info[:2], *can, lacks, os.path.realpath(sys.executable))
"""


class Interpreter:
    """A Python of this machine: where it really is, its version, and how it could make an environment."""

    def __init__(self, path, version, ensurepip, pip, lacks):
        self.path = path
        self.version = version
        self.ensurepip = ensurepip
        self.pip = pip
        self.lacks = lacks

    @property
    def tag(self):
        return "%d.%d" % self.version

    def fault(self):
        """What keeps it from being used, as the end of a sentence; None if nothing does."""
        if self.version < (3, OLDEST):
            return "is Python %s" % self.tag
        if self.lacks:
            return "lacks %s" % self.lacks
        if not (self.ensurepip or self.pip):
            return "has neither ensurepip nor pip (Debian, Ubuntu: apt install python%s-venv)" % self.tag
        return None


def look(path):
    """The interpreter that runs when `path` is started (behind a shim, the real one); None if none does."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60,
        )
        words = os.fsdecode(answer.stdout).rstrip("\n").split(" ", 5)
        major, minor, ensurepip, pip, lacks, real = words
        version = (int(major), int(minor))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Interpreter(real, version, ensurepip == "1", pip == "1", "" if lacks == "-" else lacks)


def on_path(name):
    """Every file of that name on PATH and in the usual places, each once."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep) + list(PLACES)
    seen = []
    for folder in folders:
        path = os.path.join(folder, name)
        if folder and path not in seen and os.access(path, os.X_OK) and not os.path.isdir(path):
            # On a Mac without the command line tools this one opens a window, and with them it is 3.9.
            if not (sys.platform == "darwin" and path == "/usr/bin/python3"):
                seen.append(path)
    return seen


def candidates():
    """Paths to try, best first."""
    for minor in range(NEWEST, OLDEST - 1, -1):
        yield from on_path("python3.%d" % minor)
    yield from on_path("python3")
    yield from on_path("python")
    yield sys.executable
    for minor in range(NEWEST + 1, NEWEST + 5):
        yield from on_path("python3.%d" % minor)


def choose():
    """The interpreter to build with, or a sentence that says why there is none: (interpreter, sentence)."""
    asked = os.environ.get("ORCHESTRATOR_PYTHON", "")
    if asked:
        places = [asked] if os.sep in asked else on_path(asked)
        found = look(places[0]) if places else None
        fault = "does not run" if found is None else found.fault()
        if fault:
            return None, "ORCHESTRATOR_PYTHON=%s %s: name a Python from 3.%d on." % (asked, fault, OLDEST)
        return found, ""
    faults = []
    later = None
    for path in candidates():
        found = look(path)
        if found is None:
            continue
        fault = found.fault()
        if fault is None and found.version <= (3, NEWEST) and found.ensurepip:
            return found, ""
        if fault is None:
            later = later or found
        elif "%s %s" % (path, fault) not in faults:
            faults.append("%s %s" % (path, fault))
    if later is not None:
        return later, ""
    seen = " (%s)" % "; ".join(faults) if faults else ""
    return None, (
        "no Python from 3.%d on was found to build the environment with%s: "
        "install one, or name it in ORCHESTRATOR_PYTHON." % (OLDEST, seen)
    )
