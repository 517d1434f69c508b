"""Bootstrap, piece by piece: the swap where no lock helps, and what is said about an interpreter."""

import os

import pytest

from orchestrator.edges import bootstrap, interpreters


def environment(path, mark, interpreter=True):
    """A folder that looks like an environment; its python is any file that may be executed."""
    (path / "bin").mkdir(parents=True)
    (path / "mark").write_text(mark)
    if interpreter:
        (path / "bin/python").write_text("")
        (path / "bin/python").chmod(0o755)
    return path


@pytest.mark.parametrize("there, kept", [(None, "mine"), ("whole", "theirs"), ("broken", "mine")])
def test_the_swap_needs_no_lock(tmp_path, there, kept):
    """A whole environment that somebody else put there first stays; a broken or missing one is replaced."""
    target = tmp_path / "env-x-3.12"
    if there:
        environment(target, "theirs", interpreter=there == "whole")
    mine = environment(tmp_path / "building-1", "mine")
    bootstrap.swap(str(mine), str(target))
    assert (target / "mark").read_text() == kept
    assert bootstrap.ready(str(target))
    assert {path.name for path in tmp_path.iterdir()} <= {"env-x-3.12", "building-1"}


@pytest.mark.parametrize("found, fault", [
    (interpreters.Interpreter("/p", (3, 12), True, True, ""), None),
    (interpreters.Interpreter("/p", (3, 12), False, True, ""), None),
    (interpreters.Interpreter("/p", (3, 9), True, True, ""), "is Python 3.9"),
    (interpreters.Interpreter("/p", (3, 11), True, True, "_sqlite3"), "lacks _sqlite3"),
    (interpreters.Interpreter("/p", (3, 11), False, False, ""), "has neither ensurepip nor pip"),
])
def test_an_interpreter_says_what_keeps_it_from_being_used(found, fault):
    """Too old, a missing module, no way to install: each is the end of a sentence; else there is no fault."""
    assert found.fault() == fault or found.fault().startswith(fault)


def test_newest_supported_interpreter_wins(tmp_path, monkeypatch):
    """From what is on PATH the newest from 3.13 down is tried first, later ones last."""
    for minor in (9, 10, 12, 14):
        (tmp_path / ("python3.%d" % minor)).write_text("")
        (tmp_path / ("python3.%d" % minor)).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(interpreters, "PLACES", ())
    found = [os.path.split(path) for path in interpreters.candidates()]
    names = [name for folder, name in found if folder == str(tmp_path)]
    assert names == ["python3.12", "python3.10", "python3.14"]
