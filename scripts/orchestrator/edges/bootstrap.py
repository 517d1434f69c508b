"""Bootstrap: builds the locked environment once and prints where it is.

Usage: bootstrap.py DATA          the environment's folder on stdout, progress on stderr
       bootstrap.py --which       the interpreter it would be built with
Exit codes: 0 done, 1 refused with one sentence. Standard library, Python 3.9+; run by bin/orchestrator.

It is built in a folder of its own and renamed into place, so that what is there is whole. A lock makes a
second build wait for the first; where locks do not work, the slower of the two throws its copy away.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SCRIPTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, SCRIPTS)

from orchestrator.edges import interpreters  # noqa: E402

LOCK = os.path.join(os.path.dirname(SCRIPTS), "requirements", "runtime.txt")
HASH = os.path.join(os.path.dirname(SCRIPTS), "requirements", "runtime.hash")
IMPORTS = "import click, jinja2, pydantic, sqlite_utils, tiktoken"
UNUSED_DAYS = 30
# Settings that would send the packages somewhere else; all others of pip (index, proxy, certificates) hold.
MISPLACING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "__PYVENV_LAUNCHER__")
BEGAN = time.monotonic()


class Refused(Exception):
    """The environment cannot be built; the message says what to do."""


def step(text):
    """One line of progress, with the seconds since the start."""
    sys.stderr.write("orchestrator: [%2d s] %s\n" % (time.monotonic() - BEGAN, text))
    sys.stderr.flush()


def ready(folder):
    """Whether a whole environment is there and its interpreter still exists."""
    return os.access(os.path.join(folder, "bin", "python"), os.X_OK)


@contextlib.contextmanager
def alone(data):
    """Holds the lock of the data folder; yields whether there is one (some file systems have none)."""
    import fcntl

    with open(os.path.join(data, "build.lock"), "a") as lock:
        held = True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            step("another command is building the environment: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            held = False
        yield held


def run(command, log, each_line=None):
    """Runs a command with its output kept in the log; its last telling line is returned if it failed."""
    passed = {name: value for name, value in os.environ.items() if name not in MISPLACING}
    telling = ""
    process = subprocess.Popen(
        command, env=passed, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        for raw in process.stdout or ():
            log.write(raw)
            line = raw.decode("utf-8", "replace").strip()
            if each_line is not None:
                each_line(line)
            # pip says "ERROR: what" and then, less tellingly, "ERROR: No matching distribution".
            if line and not telling.startswith("ERROR"):
                telling = line
        return telling or "it printed nothing" if process.wait() else None
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


class Packages:
    """Tells how far pip is: a line for a package, but not more often than every two seconds."""

    def __init__(self):
        with open(LOCK) as lock:
            self.total = len({line.split("==")[0] for line in lock if "==" in line})
        self.seen = 0
        self.told = time.monotonic()

    def line(self, text):
        if text.startswith("Collecting "):
            self.seen += 1
            if time.monotonic() - self.told >= 2:
                self.told = time.monotonic()
                step("  %s (%d of about %d)" % (text.split()[1], self.seen, self.total))
        elif "Retrying (" in text:
            step("  the package index does not answer; pip tries again")
        elif text.startswith("Installing collected packages"):
            step("unpacking %d packages" % (text.count(",") + 1))


def fill(folder, found, log):
    """Makes a virtual environment in the folder and installs exactly what the lock lists."""
    step("making an environment with Python %s (%s)" % (found.tag, found.path))
    without = [] if found.ensurepip else ["--without-pip"]
    fault = run([found.path, "-I", "-m", "venv", *without, folder], log)
    if fault:
        raise Refused(
            "Python %s (%s) cannot make a virtual environment (%s): install its venv package "
            "(Debian, Ubuntu: apt install python%s-venv) or name another Python in ORCHESTRATOR_PYTHON."
            % (found.tag, found.path, fault, found.tag)
        )
    python = os.path.join(folder, "bin", "python")
    pip = [python, "-I", "-m", "pip"]
    if not found.ensurepip:
        pip = [found.path, "-I", "-m", "pip", "--python", python]
    packages = Packages()
    step("installing about %d packages from the lock" % packages.total)
    fault = run(
        [*pip, "install", "--require-hashes", "--only-binary", ":all:", "--no-user", "--no-input",
         "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off", "-r", LOCK],
        log, packages.line,
    )
    if fault:
        raise Refused(
            "the packages could not be installed (%s): go online or point pip at an index you can reach "
            "(PIP_INDEX_URL, PIP_PROXY, PIP_CERT, pip.conf), then run this again; recording works without."
            % fault.replace("ERROR: ", "")
        )
    fault = run([python, "-I", "-c", IMPORTS], log)
    if fault:
        raise Refused("the packages were installed but do not work here (%s): see %s." % (fault, log.name))
    # Only the interpreter is ever started; the other programs name the folder they were built in.
    for name in os.listdir(os.path.join(folder, "bin")):
        if not name.startswith("python"):
            os.remove(os.path.join(folder, "bin", name))


def swap(folder, target):
    """Puts a whole environment into its place; one that somebody else put there first stays."""
    if os.path.lexists(target) and not ready(target):
        with tempfile.TemporaryDirectory(prefix="building-", dir=os.path.dirname(target)) as aside:
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, os.path.join(aside, "broken"))
    try:
        os.rename(folder, target)
    except OSError:
        if not ready(target):
            raise


def sweep(data, held):
    """Removes what interrupted builds left, and environments of other locks that nobody used for a month."""
    for name in os.listdir(data):
        path = os.path.join(data, name)
        if name.startswith("building-"):
            limit = 0 if held else 1
        elif name.startswith("env-"):
            limit = UNUSED_DAYS
        else:
            continue
        used = os.path.join(path, "used")
        with contextlib.suppress(OSError):
            age = time.time() - os.stat(used if os.path.exists(used) else path).st_mtime
            if age > limit * 86400:
                shutil.rmtree(path, ignore_errors=True)


def environment(data):
    """The folder of the environment for this lock, built if need be; bin/orchestrator finds it then."""
    with open(HASH) as stored:
        lock = stored.read().strip()
    found, fault = interpreters.choose()
    if found is None:
        raise Refused(fault)
    target = os.path.join(data, "env-%s-%s" % (lock, found.tag))
    os.makedirs(data, mode=0o700, exist_ok=True)
    if not ready(target):
        step("this needs some packages, once: %s" % target)
        with alone(data) as held:
            if not ready(target):
                sweep(data, held)
                folder = tempfile.mkdtemp(prefix="building-", dir=data)
                try:
                    with open(os.path.join(data, "build.log"), "wb") as log:
                        fill(folder, found, log)
                    swap(folder, target)
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
        step("ready")
    remember(os.path.join(data, "ready-" + lock), target)
    return target


def remember(path, target):
    """Writes the pointer that lets bin/orchestrator find the environment without starting Python."""
    asked = os.environ.get("ORCHESTRATOR_PYTHON", "")
    with open("%s.%d" % (path, os.getpid()), "wb") as pointer:
        pointer.write(os.fsencode("%s\n%s\n" % (target, asked)))
    os.replace(pointer.name, path)


def main(arguments):
    """Builds or finds, prints the folder, answers with the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments == ["--which"]:
            found, fault = interpreters.choose()
            if found is None:
                raise Refused(fault)
            print(found.path)
        elif len(arguments) == 1 and not arguments[0].startswith("-"):
            print(environment(os.path.abspath(arguments[0])))
        else:
            sys.stderr.write("usage: bootstrap.py DATA | --which\n")
            return 2
        return 0
    except Refused as refused:
        sys.stderr.write("orchestrator: %s\n" % refused)
    except OSError as fault:
        sys.stderr.write("orchestrator: the data folder cannot be used (%s): " % fault)
        sys.stderr.write("mend that, or set ORCHESTRATOR_DATA to another folder.\n")
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
