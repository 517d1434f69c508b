"""Kept code: hooks load their modules from one file, which is never believed over the sources (decision 13)."""

import ast
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hook(plugin, bare, tmp_path):
    """`hook()`: one deployment recorded by the copy's hooks; returns the agent types recorded so far; `.forget()` begins anew;
    `.send()`: only one is sent."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    env, count = bare(CLAUDE_PROJECT_DIR=project), []

    def send(plugin=plugin):
        count.append(1)
        asked = {"description": "look", "prompt": "Look.", "subagent_type": "scout%d" % len(count)}
        event = {
            "hook_event_name": "PreToolUse",
            "session_id": "s",
            "cwd": str(project),
            "tool_name": "Agent",
            "tool_use_id": "c%d" % len(count),
            "tool_input": asked,
        }
        done = subprocess.run(
            [str(plugin / "hooks/run"), "PreToolUse"],
            env=env,
            input=json.dumps(event),
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return project

    def once():
        send()
        with sqlite3.connect(project / ".orchestrator/history.db") as con:
            found = [row[0] for row in con.execute("SELECT agent_type FROM executions ORDER BY number")]
        assert len(found) == len(count) and not [n for n in os.listdir(project / ".orchestrator/inbox") if n[0] != "."]
        return found

    def begin():
        event = {"hook_event_name": "SessionStart", "session_id": "s", "cwd": str(project), "source": "startup"}
        done = subprocess.run([str(plugin / "hooks/run"), "SessionStart"], env=env, input=json.dumps(event), text=True,
                              capture_output=True, timeout=60)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")

    def forget():
        shutil.rmtree(project / ".orchestrator")
        count.clear()

    once.forget, once.begin, once.send = forget, begin, send
    return once


def kept(plugin):
    """The file of the copy's hooks, or None."""
    found = list((plugin / "hooks/__pycache__").glob("hooks.*.kept"))
    return found[0] if found else None


def change(path: Path, old: str, new: str):
    """Another source under the same name."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_changed_source_counts_at_once(plugin, hook):
    """After an edit or an update the very next hook runs the new source, and the file is made anew with it."""
    hook()
    before = kept(plugin).read_bytes()
    change(plugin / "scripts/orchestrator/services/gate.py", 'p.input_type or "general-purpose"', '"edited-" + p.input_type')
    assert hook() == ["scout1", "edited-scout2"]
    assert kept(plugin).read_bytes() != before
    assert hook()[-1] == "edited-scout3"


def test_whichever_source_changed(plugin, hook):
    """Any one of the files that a hook loads may be newer than what is kept: the event is handled all the same."""
    hook()
    before = kept(plugin).read_bytes()
    changed = [path for path in (plugin / "scripts/orchestrator").rglob("*.py") if path.parent.name != "cli"]
    for number, path in enumerate(sorted([*changed, plugin / "hooks/preload.py"])):
        if number % 8 == 0:
            about = path.stat()
            kept(plugin).write_bytes(before)
            os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1_000_000_000))
            hook.forget()  # the first event in a project loads more
            hook()
            hook()
            os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: b"",
        lambda d: d[: len(d) // 2],
        lambda d: bytes(len(d)),
        lambda d: d[:70000] + b"\xff" * 50,
        lambda d: d[: len(d) // 2] + b"\xff" * (len(d) - len(d) // 2),
    ],
    ids=["empty", "cut", "zeros", "spoilt codes", "spoilt functions"],
)
def test_a_damaged_file_costs_no_event(plugin, hook, spoil):
    """Whatever became of the file, the event is recorded, by the ordinary way of loading."""
    hook()
    path = kept(plugin)
    path.write_bytes(spoil(path.read_bytes()))
    hook()
    assert len(hook()) == 3


def test_one_bit_that_is_spoilt_is_mended_by_the_next_session(plugin, hook):
    """Wherever a bit has changed, a session's start finds it and keeps the code anew, and no event after it is lost."""
    hook()
    path = kept(plugin)
    whole = path.read_bytes()
    for part in range(6):
        spoilt = bytearray(whole)
        spoilt[len(whole) * part // 6 + 40] ^= 64
        path.write_bytes(bytes(spoilt))
        hook.begin()
        assert path.read_bytes() == whole
        hook.forget()
        hook()


def test_where_something_failed_is_said_to_the_line(plugin, hook):
    """What is kept has no lines; the log names the very line all the same, the first time and when the code was kept."""
    hook()
    path = plugin / "scripts/orchestrator/services/gate.py"
    change(path, 'p.input_type or "general-purpose"', '{}["nothing"]')
    line = path.read_text().partition('{}["nothing"]')[0].count("\n") + 1
    for _ in range(3):
        project = hook.send()
    told = [json.loads(each) for each in (project / ".orchestrator/log.jsonl").read_text().splitlines()]
    assert len(told) >= 3 and {each["error"] for each in told} == {"KeyError: 'nothing'"}
    assert {each["where"].rpartition(" > ")[2] for each in told} == {"services/gate.py:%d _unplanned" % line}
    moved = plugin.rename(plugin.with_name("moved"))  # and where that lay once is what was kept
    hook.send(moved)
    *_, last = (project / ".orchestrator/log.jsonl").read_text().splitlines()
    assert json.loads(last)["where"].endswith(" > services/gate.py:%d _unplanned" % line)


ALIKE = """
import sys
from collections import Counter
from types import CodeType
sys.path.insert(0, sys.argv[1] + "/hooks")
import keep_code

def within(code):
    codes = [const for const in code.co_consts if isinstance(const, CodeType)]
    return [code.replace(co_consts=()), *[each for one in codes for each in within(one)]]

for name, (*_, tree, code, plain) in keep_code.compiled(sys.argv[1]).items():
    pieces = [keep_code._defining([node], code) for node in tree.body]
    found = Counter([each for piece in pieces for each in within(piece)[1:]])
    if found != Counter(within(keep_code._bare(code))[1:]):
        print(name)
"""


def test_each_function_is_kept_as_it_is():
    """Each function, class, lambda and comprehension of what is kept is the source's own, also where a line holds several."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", ALIKE, str(ROOT)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


WOKEN = """
import marshal, os, sys, tempfile
from functools import partial
sys.path.insert(0, sys.argv[1] + "/hooks")
import preload

text = "def f(self, *, space, name, length=3, offset=4):\\n return self, space, name, length, offset"
code = marshal.dumps(compile(text, "f", "exec"))
with tempfile.TemporaryFile() as f:
    f.write(b"head" + code)
    f.flush()
    kept, space = preload.Kept(sys.argv[1] + "/hooks", f.fileno(), {preload.LATER: (1,)}), {}
    space["f"] = early = partial(kept.wake, space, "f", len(code), 3)
    print(early(0, space=1, name=2), early(0, space=1, name=2, offset=5), space["f"] is not early)
"""


def test_a_function_that_is_read_when_it_is_called_takes_what_it_takes():
    """Whatever a function's parameters are called, it gets them, by its first name and by its new one."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", WOKEN, str(ROOT)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("(0, 1, 2, 3, 4) (0, 1, 2, 3, 5) True\n", "")


def test_a_plugin_that_cannot_be_written(plugin, hook):
    """Where nothing can be kept, each hook loads the ordinary way and records all the same."""
    (plugin / "hooks/__pycache__").write_text("")
    hook()
    assert len(hook()) == 2 and kept(plugin) is None


def test_what_many_events_run_is_there():
    """Each module in hooks/often.txt is one of ours, each function at the top of its module and without a decorator, and each
    event one that we hear."""
    heard = json.loads((ROOT / "hooks" / "hooks.json").read_text())["hooks"]
    for line in (ROOT / "hooks" / "often.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, *kinds = line.split()
        assert kinds and {*kinds} <= {*heard, "*"}, line
        module, _, function = name.partition(":")
        path = ROOT / "scripts" / module.replace(".", "/")
        tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
        plain = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list]
        assert not function or function in plain, line
