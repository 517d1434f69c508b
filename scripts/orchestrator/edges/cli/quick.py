"""Quick door: lists that only read, and plans, answered without click; and how every command ends.

What it does not surely understand, help and mistakes too, it leaves to click.
"""

from __future__ import annotations

import errno
import gc
import os
import sys

from orchestrator import paths
from orchestrator.errors import OrchestratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Sequence

WHERE = {"--project": "project", "--db": "db"}  # the program's own options, before the verb


def answered(words: Sequence[str]) -> bool:
    """Runs a list that only reads, or takes a plan; False for whatever click is to run."""
    place: dict[str, str] = {}
    rest = list(words)
    while len(rest) > 1 and rest[0] in WHERE and rest[1].strip():
        place[WHERE[rest[0]]] = rest[1]
        rest = rest[2:]
    if len(rest) == 2 and rest[0] == "plan" and (rest[1] == "-" or rest[1][:1] not in ("", "-")):
        return _planned(place, rest[1])
    if not rest or rest[0] != "history":
        return False
    from orchestrator.edges.cli import asked

    given = asked.read(rest[1:], asked.HISTORY)
    if given is None:
        return False

    def run() -> None:
        from orchestrator.edges.cli.executions import history
        from orchestrator.edges.cli.place import Place

        history(Place(place.get("project"), place.get("db")), **given)

    outcome(run)
    return True


def _planned(place: dict[str, str], source: str) -> bool:
    import site

    site.main()  # a plan needs the environment's packages

    def run() -> None:
        from orchestrator.edges.cli.place import Place
        from orchestrator.edges.cli.submitting import submit

        here = Place(place.get("project"), place.get("db"))
        try:
            submit(here, source)
        finally:
            here.close()
            gc.freeze()  # the program ends: no rings of garbage are looked for

    outcome(run)
    return True


def heard(run: Callable[[], Any]) -> Any:
    """Runs what prints; a reader who leaves, as `head` does, ends it quietly, and one who was never there is none."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    try:
        return run()
    except BrokenPipeError:
        _print_no_more()
        sys.exit(0)


def _print_no_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _while_printing(problem: BaseException) -> bool:
    """Whether something went wrong where texts are printed (tables.py, click): what they are printed to is full, or gone."""
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name in ("say", "exact", "echo")


def outcome(run: Callable[[], Any]) -> Any:
    """Runs a command; what was refused is one sentence on stderr and exit 1."""
    try:
        return heard(run)
    except OrchestratorError as refused:
        return _ended(f"orchestrator: {refused}", 1)
    except Exception as bug:
        if isinstance(bug, OSError) and _while_printing(bug):
            _print_no_more()
            return _ended(f"orchestrator: the output cannot be written ({bug.strerror}): let it go to another place.", 1)
        from orchestrator.store import open as store

        if isinstance(bug, store.Error) and "readonly" in str(bug):
            return _ended("orchestrator: the history can only be read here, and this command writes to it.", 1)
        if isinstance(bug, OSError) and bug.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT) and bug.filename:
            return _ended(f"orchestrator: {os.fsdecode(bug.filename)} cannot be written: {bug.strerror}.", 1)
        if isinstance(bug, store.Error) and (store.refused(bug) or store.corrupt(bug)):
            return _ended(f"orchestrator: the history cannot be used ({bug}): `orchestrator doctor` says what to do.", 1)
        if (paths.variable("ORCHESTRATOR_LOG_LEVEL") or "").upper() == "DEBUG":
            raise
        return _ended(f"orchestrator: that failed in a way nobody foresaw ({type(bug).__name__}: {bug}); "
                      "ORCHESTRATOR_LOG_LEVEL=DEBUG shows where. Please report it.", 1)  # fmt: skip


def _ended(said: Optional[str], code: int) -> None:
    print(said, file=sys.stderr, flush=True)
    sys.exit(code)
