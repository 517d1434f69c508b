"""Faults around the hooks: whatever the disk, the environment or the events are like, nothing is lost and nobody is disturbed."""

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from hooked import LINKS, ROOT, Hooked, intents
from orchestrator.edges import hooks
from orchestrator.recording import notification
from orchestrator.store import open as store
from streams import History, World

pytestmark = pytest.mark.timeout(300)
MUTATED = int(os.environ.get("ORCHESTRATOR_TEST_MUTATED", "10000"))
MOUNTS = ["unshare", "-Urm", "sh", "-c"]


@pytest.fixture
def hooked(tmp_path):
    """A project whose hooks are run as processes."""
    return Hooked(tmp_path)


@pytest.fixture
def mounts():
    """`mounts(script, *words, env=…)`: a shell script that may mount what it likes, seen by nobody else."""
    if subprocess.run([*MOUNTS, "true"], capture_output=True).returncode:
        pytest.skip("unshare is missing: this machine gives no namespace to mount in")

    def run(script, *words, env):
        done = subprocess.run(
            [*MOUNTS, script, "sh", *[str(w) for w in words]], env=env, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def played(hooked):
    """Three agents, one of each usual end."""
    hooked.world.agent(10)
    hooked.world.agent(20, "api_error")
    hooked.world.agent(30, "max_turns", background=False)
    return hooked.world.events


def locked(path, seconds):
    """Holds the write lock of a history for so long, from now on; returns the thread."""
    held = threading.Event()

    def hold():
        con = sqlite3.connect(path, isolation_level=None)
        con.execute("BEGIN IMMEDIATE")
        held.set()
        time.sleep(seconds)
        con.execute("ROLLBACK")
        con.close()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    return thread


def test_locked_for_longer_than_a_hook_waits(hooked):
    """Events go to the inbox; the next writer takes them in, in their order, each once."""
    events = played(hooked)
    for event in events[:2]:
        hooked.hook(event)
    hooked.hook(events[2])
    thread = locked(hooked.workspace / "history.db", 10.5)
    assert hooked.hooks(events[3:9]) == [None] * 6
    thread.join()
    assert len(hooked.waiting()) == 6
    for event in [*events[9:], hooked.last_stop()]:
        hooked.hook(event)
    assert hooked.waiting() == []
    assert hooked.ends() == hooked.expected()
    assert hooked.rows(
        "SELECT kind, count(*) FROM events WHERE kind IN ('intent', 'started', 'stopped', 'notified') GROUP BY kind ORDER BY kind"
    ) == [("intent", 3), ("notified", 2), ("started", 3), ("stopped", 1)]
    assert hooked.log() == []


def test_own_patterns_leave_what_events_are_joined_by(hooked):
    """A pattern of the user's that a path or an id matches masks what is said, in the inbox as in rows, and no place or id."""
    events = played(hooked)
    for event in events[:3]:
        hooked.hook(event)
    with sqlite3.connect(hooked.workspace / "history.db") as con:
        patterns = json.dumps([r"(?i)e", "[0-9]+"])
        con.execute("INSERT INTO meta VALUES ('setting.redact', ?)", (patterns,))
        con.execute("PRAGMA user_version = 99")
    (hooked.workspace / "redact").write_text(patterns)
    hooked.hooks(events[3:])
    waiting = [hooked.workspace / "inbox" / name for name in hooked.waiting()]
    kept = [json.loads(path.read_text().split("\n", 3)[3]) for path in waiting]
    names = ("hook_event_name", "session_id", "transcript_path", "cwd", "agent_id", "agent_transcript_path", "tool_use_id")
    sent = [{name: event.get(name) for name in names} for event in events[3:]]
    assert sorted(map(str, [{name: event.get(name) for name in names} for event in kept])) == sorted(map(str, sent))
    said = [event[name] for event in kept for name in ("prompt", "last_assistant_message") if event.get(name)]
    said += [event["tool_input"]["prompt"] for event in kept if "prompt" in event.get("tool_input", ())]
    told = [notification.parse(text) for text in said if text.startswith(notification.OPEN)]
    said = [text for text in said if not text.startswith(notification.OPEN)] + [each.result for each in told if each.result]
    assert said and not [text for text in said if "e" in text.replace("[masked:own]", "")]
    prompts = [notification.parse(event.get("prompt") or "") for event in events[3:]]
    assert told and {(each.task_id, each.call, each.status, each.tokens) for each in told} == {
        (each.task_id, each.call, each.status, each.tokens) for each in prompts if each}


def test_a_pattern_that_finds_no_end(hooked):
    """A hook whose user's own pattern would search for hours ends in time, and the event is recorded without the text."""
    events = played(hooked)
    for event in events[:3]:
        hooked.hook(event)
    with sqlite3.connect(hooked.workspace / "history.db") as con:
        con.execute("INSERT INTO meta VALUES ('setting.redact', ?)", (json.dumps(["(a+)+$"]),))
    ends = [event for event in events if event["hook_event_name"] == "SubagentStop"][0]
    for event in events[3:events.index(ends)]:
        hooked.hook(event)
    hooked.hook({**ends, "last_assistant_message": "so " + "a" * 40 + "!"})
    assert hooked.rows("SELECT text FROM events WHERE kind = 'stopped'") == [("[masked:own]",)]
    assert hooked.waiting() == [] and hooked.log() == []


def test_a_planned_deployment_fails_closed(hooked):
    """What is planned is not deployed while its record cannot be written; anything else is let through."""
    hooked.hook(intents(hooked, 1)[0])
    with sqlite3.connect(hooked.workspace / "history.db") as con:
        con.execute("PRAGMA user_version = 99")
    planned, other = intents(hooked, 2)
    planned["tool_input"]["prompt"] = "orchestrator task t1"
    answer = hooked.hook(planned)["hookSpecificOutput"]
    assert answer["permissionDecision"] == "deny" and "schema 99" in answer["permissionDecisionReason"]
    assert hooked.hook(other) is None


def test_a_newer_schema(hooked):
    """A history written by a newer orchestrator is left alone, the user is told, and the events wait for the update."""
    events = played(hooked)
    for event in events[:3]:
        hooked.hook(event)
    with sqlite3.connect(hooked.workspace / "history.db") as con:
        con.execute("PRAGMA user_version = 99")
    told = hooked.hook({**events[0], "source": "resume"})["systemMessage"]
    assert "schema 99" in told and str(hooked.workspace / "inbox") in told
    for event in events[3:]:
        assert hooked.hook(event) is None
    with sqlite3.connect(hooked.workspace / "history.db") as con:
        con.execute("PRAGMA user_version = %d" % store.VERSION)
    hooked.hook(hooked.last_stop())
    assert hooked.waiting() == []
    assert hooked.ends() == hooked.expected()


@pytest.mark.parametrize("damage", ["no database", "torn pages", "cut short"])
def test_a_damaged_history(hooked, damage):
    """It is set aside and kept, the user is told once, a new one is begun, and what waited is taken into that."""
    events = played(hooked)
    for event in events[:8]:
        hooked.hook(event)
    path = hooked.workspace / "history.db"
    with sqlite3.connect(path) as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    if damage == "no database":
        path.write_bytes(b"This is not a database, whatever it was before. " * 200)
    elif damage == "torn pages":
        path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    else:
        path.write_bytes(whole[: len(whole) // 3 // 4096 * 4096])
    broken = path.read_bytes()
    for more in ("-wal", "-shm"):
        Path(str(path) + more).unlink(missing_ok=True)
    (hooked.workspace / "inbox").mkdir(exist_ok=True)
    (hooked.workspace / "inbox" / "2026-11-20T080000.000Z-PreToolUse-1-00").write_text(
        "PreToolUse\n1\n2026-11-20T08:00:00.000Z\n" + json.dumps(events[2])
    )
    answers = [hooked.hook(event) for event in [*events[8:], hooked.last_stop()]]
    told = [a["systemMessage"] for a in answers if isinstance(a, dict) and "systemMessage" in a]
    assert len(told) == 1 and "was damaged" in told[0]
    (aside,) = hooked.workspace.glob("history.db.corrupt-*Z")
    assert aside.name in told[0] and aside.read_bytes() == broken
    assert hooked.rows("SELECT count(*) FROM events WHERE kind = 'intent' AND tool_use_id = 'toolu_010'") == [(1,)]
    assert hooked.ends()["a%016x" % (30 * 7919)] == ("failed", "max_turns")
    assert hooked.waiting() == []


def test_a_history_that_is_damaged_for_many_at_once(hooked):
    """Hooks that find it damaged at the same time set it aside once, and none of their events is lost."""
    hooked.hook(intents(hooked, 1)[0])
    path = hooked.workspace / "history.db"
    for more in ("-wal", "-shm"):
        Path(str(path) + more).unlink()
    path.write_bytes(b"nothing " * 4000)
    hooked.hooks(intents(hooked, 30), 30)
    hooked.hook(hooked.last_stop())
    assert len(list(hooked.workspace.glob("history.db.corrupt-*Z"))) == 1
    assert hooked.rows("SELECT count(*) FROM executions") == [(30,)]


def test_a_read_only_history(hooked, mounts, tmp_path):
    """A history that can only be read is left as it is; the events wait beside it."""
    events = played(hooked)
    for event in events[:4]:
        hooked.hook(event)
    for number, event in enumerate(events[4:]):
        (tmp_path / ("%02d-%s" % (number, event["hook_event_name"]))).write_text(json.dumps(event))
    mounts(
        """cd "$2" && mount --bind "$1/history.db" "$1/history.db" && mount -o remount,ro,bind "$1/history.db" || exit 9
        for each in "$2"/[0-9][0-9]-*; do "$3/hooks/run" "${each##*-}" <"$each" || exit 8; done""",
        hooked.workspace,
        tmp_path,
        ROOT,
        env=hooked.env,
    )
    assert len(hooked.waiting()) == len(events) - 4
    hooked.hook(hooked.last_stop())
    assert hooked.waiting() == [] and hooked.ends() == hooked.expected()


@pytest.mark.parametrize("begun_in", [".", "src"], ids=["all of it", "but for the folder it was begun in"])
def test_a_read_only_project(hooked, mounts, tmp_path, begun_in):
    """In a project that cannot be written the history lies in the data folder, and every event comes there."""
    events = played(hooked)
    for number, event in enumerate([*events, hooked.last_stop()]):
        (tmp_path / ("%02d-%s" % (number, event["hook_event_name"]))).write_text(json.dumps(event))
    mounts(
        """mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 9
        if [ "$4" = src ]; then mount -t tmpfs none "$1/src" || exit 9; fi
        for each in "$2"/[0-9][0-9]-*; do "$3/hooks/run" "${each##*-}" <"$each" || exit 8; done""",
        hooked.project,
        tmp_path,
        ROOT,
        begun_in,
        env={**hooked.env, "CLAUDE_PROJECT_DIR": str((hooked.project / begun_in).resolve())},
    )
    (place,) = (hooked.data / "projects").iterdir()
    assert hooked.ends(place / "history.db") == hooked.expected()
    assert not hooked.workspace.exists()


ASKED = ("history", "stats", "list-agents --all", "history --text task", "tracker query", "history --status failed --format json")


def test_a_history_in_a_project_that_can_only_be_read(hooked, mounts):
    """What was recorded before the project could no longer be written is answered from where it lies, named or not; one of an
    earlier schema, which would have to be written first, is said to be that."""
    for event in [*played(hooked), hooked.last_stop()]:
        hooked.hook(event)
    script = """mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 9
        cd "$1" || exit 8; shift; "$@" 2>&1 || true"""
    named = "--db %s " % (hooked.workspace / "history.db")
    env = {**hooked.env, "ORCHESTRATOR_DATA": str(hooked.data)}
    program = [sys.executable, ROOT / "scripts" / "cli.py"]
    there = {words: subprocess.run([*program, *words.split()], cwd=hooked.project, env=env, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True).stdout for words in ASKED}  # fmt: skip
    assert "general-purpose" in there["history"] and "3: 1 completed, 2 failed" in there["stats"]
    for words in ASKED:
        assert mounts(script, hooked.project, *program, *words.split(), env=env) == there[words], words
    assert mounts(script, hooked.project, *program, *named.split(), *ASKED[0].split(), env=env) == there[ASKED[0]]
    assert "is in %s: commands read it" % (hooked.workspace / "history.db") in mounts(
        script, hooked.project, *program, "doctor", env=env)  # fmt: skip
    mounts(script, hooked.project, *program, "backup", hooked.data / "copy.db", env=env)
    assert mounts(script, hooked.project, *program, "--db", hooked.data / "copy.db", "stats", env=env) == there["stats"]
    con = sqlite3.connect(hooked.workspace / "history.db")
    con.execute("PRAGMA user_version = 2")
    con.close()
    assert "has schema 2, this orchestrator knows" in mounts(script, hooked.project, *program, "history", env=env)


@pytest.mark.parametrize("named", ["by a link", "with a slash"])
def test_a_session_in_the_home_folder(hooked, tmp_path, named):
    """Begun in the home folder, whatever HOME calls it, the history lies in the data folder, and every event comes there."""
    (tmp_path / "link").symlink_to(hooked.project)
    home = tmp_path / "link" if named == "by a link" else "%s/" % hooked.project
    for event in [*played(hooked), hooked.last_stop()]:
        hooked.hook(event, env={**hooked.env, "HOME": str(home)})
    (place,) = (hooked.data / "projects").iterdir()
    assert hooked.ends(place / "history.db") == hooked.expected()
    assert not hooked.workspace.exists()


def test_a_full_disk(hooked, mounts, tmp_path):
    """On a disk without a byte left the events are written into room that was kept for them; none is lost."""
    events = played(hooked)
    for number, event in enumerate(events):
        (tmp_path / ("%02d-%s" % (number, event["hook_event_name"]))).write_text(json.dumps(event))
    (tmp_path / "stop").write_text(json.dumps(hooked.last_stop()))
    (tmp_path / "out").mkdir()
    env = {**hooked.env, "ORCHESTRATOR_DATA": str(hooked.project / "data")}
    said = mounts(
        """mount -t tmpfs -o size=3m tmpfs "$1" && mkdir "$1/.git" "$1/src" && : >"$1/src/adder.py" || exit 9
        n=0
        for each in "$2"/[0-9][0-9]-*; do
            n=$((n + 1))
            if [ $n = 4 ]; then dd if=/dev/zero of="$1/fill" bs=4k 2>/dev/null; df --output=avail "$1" | tail -1; fi
            "$3/hooks/run" "${each##*-}" <"$each" || exit 8
        done
        ls "$1/.orchestrator/inbox" | wc -l
        rm "$1/fill"
        "$3/hooks/run" Stop <"$2/stop"
        ls "$1/.orchestrator/inbox" | wc -l
        cp "$1/.orchestrator"/history.db* "$2/out/" """,
        hooked.project,
        tmp_path,
        ROOT,
        env=env,
    )
    free, waiting, left = map(int, said.split())
    assert (free, left) == (0, 0) and waiting > 3
    assert hooked.ends(tmp_path / "out" / "history.db") == hooked.expected()


def test_a_file_that_may_not_grow(hooked):
    """Where the history's file may not grow any more, events wait in files of their own."""
    events = played(hooked)
    for event in events[:3]:
        hooked.hook(event)
    most = (hooked.workspace / "history.db").stat().st_size

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (min(most, 32768), resource.RLIM_INFINITY))

    for event in events[3:]:
        hooked.end(hooked.start(event, preexec_fn=limited))
    assert len(hooked.waiting()) == len(events) - 3
    hooked.hook(hooked.last_stop())
    assert hooked.waiting() == [] and hooked.ends() == hooked.expected()


def test_a_workspace_that_is_deleted_under_way(hooked):
    """A workspace that is deleted is made anew by the next deployment, as trusted as the first."""
    events = played(hooked)
    hooked.hook(events[0])
    hooked.hook(events[2])
    shutil.rmtree(hooked.workspace)
    for event in [*events, hooked.last_stop()]:
        hooked.hook(event)
    assert hooked.ends() == hooked.expected()


def test_a_workspace_that_is_deleted_all_the_time(hooked):
    """Hooks that lose their workspace while they write end well, and those after them record as ever."""
    over = threading.Event()

    def delete():
        while not over.is_set():
            shutil.rmtree(hooked.workspace, ignore_errors=True)
            time.sleep(0.01)

    thread = threading.Thread(target=delete)
    thread.start()
    hooked.hooks(intents(hooked, 40), 8)
    over.set()
    thread.join()
    shutil.rmtree(hooked.workspace, ignore_errors=True)
    for event in [*played(hooked), hooked.last_stop()]:
        hooked.hook(event)
    assert {key: hooked.ends()[key] for key in hooked.expected()} == hooked.expected()


@pytest.mark.parametrize("known", [True, False], ids=["a user with a home", "a user nobody knows"])
def test_no_home(known):
    """Without HOME the user's home is looked up; a user who has none is recorded too, and nothing is left lying about."""
    folder = tempfile.mkdtemp(prefix="no home ")
    try:
        hooked = Hooked(folder)
        env = {"PATH": "/usr/bin:/bin", "CLAUDE_PROJECT_DIR": str(hooked.project)}
        events, options = [*played(hooked), hooked.last_stop()], {}
        if known:
            env["ORCHESTRATOR_DATA"] = str(hooked.data)
        elif os.getuid() == 0:
            os.chmod(folder, 0o755)
            for top, names, files in os.walk(folder):
                for name in [".", *names, *files]:
                    os.chown(os.path.join(top, name), 54321, 54321)
            options = {"user": 54321, "group": 54321, "extra_groups": []}
        for event in events:
            hooked.end(hooked.start(event, env=env, **options))
        assert hooked.ends() == hooked.expected()
        assert sorted(n.name for n in hooked.project.iterdir()) == [".git", ".orchestrator", "src"]
    finally:
        shutil.rmtree(folder)


def test_no_python(hooked, tmp_path):
    """Without a Python the user is told so in one sentence when a session starts, and nothing else is said."""
    plugin = tmp_path / "plugin"
    shutil.copytree(ROOT / "hooks", plugin / "hooks")
    floor = (plugin / "hooks" / "floor.sh").read_text()
    (plugin / "hooks" / "floor.sh").write_text(
        floor.replace("/usr/local/bin/python3 /opt/homebrew/bin/python3 /usr/bin/python3", "")
    )
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("sh", "id", "cat"):
        (bare / name).symlink_to(shutil.which(name))
    env = {**hooked.env, "PATH": str(bare), "ORCHESTRATOR_DATA": str(tmp_path / "empty")}
    for event in played(hooked):
        answer = hooked.hook(event, plugin=plugin, env=env)
        if event["hook_event_name"] == "SessionStart":
            assert "no python3" in answer["systemMessage"] and answer["systemMessage"].count(". ") == 1
        else:
            assert answer is None


def test_broken_packages_of_the_user(hooked, tmp_path):
    """Packages, startup files and variables of the user's Python do not reach the hooks."""
    junk = tmp_path / "junk"
    junk.mkdir()
    for name in ("sitecustomize", "usercustomize", "json", "_sqlite3", "sqlite3", "os", "re", "orchestrator", "hooks"):
        (junk / (name + ".py")).write_text("raise SystemExit('broken')\n")
        (hooked.project / (name + ".py")).write_text("raise SystemExit('broken')\n")
    env = {
        **hooked.env,
        "PYTHONPATH": str(junk),
        "PYTHONSTARTUP": str(junk / "os.py"),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "error",
        "PYTHONDEVMODE": "1",
        "PYTHONINSPECT": "1",
        "PYTHONIOENCODING": "ascii",
    }
    for event in [*played(hooked), hooked.last_stop()]:
        hooked.hook(event, env=env)
    assert hooked.ends() == hooked.expected()


def test_a_package_of_ours_that_is_broken(hooked, tmp_path):
    """Where the recorder itself cannot be loaded the event is kept without its texts; the log says what is broken."""
    plugin = tmp_path / "plugin"
    for name in ("hooks", "scripts", "assets"):
        shutil.copytree(ROOT / name, plugin / name, ignore=shutil.ignore_patterns("__pycache__"))
    events = played(hooked)
    for event in events[:2]:
        hooked.hook(event)
    hooked.hook(events[2])
    door = plugin / "scripts" / "orchestrator" / "edges" / "hooks.py"
    door.write_text("import nothing_of_that_name\n" + door.read_text())
    for event in events[3:]:
        assert hooked.hook(event, plugin=plugin) is None
    assert len(hooked.waiting()) == len(events) - 3
    kept = "".join(path.read_text() for path in (hooked.workspace / "inbox").glob("20*"))
    assert "adder" not in kept and "toolu_010" in kept
    assert {line["error"] for line in hooked.log()} == {"ModuleNotFoundError: No module named 'nothing_of_that_name'"}
    hooked.hook(hooked.last_stop())
    assert hooked.waiting() == []
    assert hooked.ends() == hooked.expected()


def test_an_event_that_fails_by_itself(hooked, tmp_path):
    """A fault of ours with one event leaves a line in the log and keeps the event, and stops nothing else."""
    plugin = tmp_path / "plugin"
    for name in ("hooks", "scripts", "assets"):
        shutil.copytree(ROOT / name, plugin / name, ignore=shutil.ignore_patterns("__pycache__"))
    after = plugin / "scripts" / "orchestrator" / "edges" / "hooks_after.py"
    after.write_text(after.read_text().replace("def agent_stop(e):", "def agent_stop(e):\n    e.nobody.knows()\n", 1))
    events = played(hooked)
    for event in events:
        hooked.hook(event, plugin=plugin)
    assert hooked.waiting() == []
    assert [n.name.split("-")[3] for n in (hooked.workspace / "inbox" / "odd").iterdir()] == ["SubagentStop"]
    errors = hooked.log()
    assert [line["level"] for line in errors] == ["error", "error"]
    assert "AttributeError" in errors[0]["error"] and "agent_stop" in errors[0]["where"]
    hooked.hook({**events[0], "source": "resume"})  # mended: a session's start tries it again
    hooked.hook(hooked.last_stop())
    assert list((hooked.workspace / "inbox" / "odd").iterdir()) == []
    assert hooked.ends() == hooked.expected()


def test_an_answer_that_nobody_takes(hooked):
    """A client that is killed while a hook works hears no answer; the event is recorded once and whole, and nothing failed."""
    (asked,) = intents(hooked, 1)
    asked["tool_input"]["subagent_type"] = "orchestrator:planner"
    hook = hooked.start(asked)
    hook.stdout.close()  # what the hook writes goes nowhere, as when its client is gone
    assert (hook.wait(timeout=60), hook.stderr.read()) == (0, b"")
    hook.stderr.close()
    assert hooked.rows("SELECT kind, text FROM events") == [("intent", "Do 0.")]
    assert (hooked.waiting(), hooked.log()) == ([], [])


def test_events_of_every_shape(hooked):
    """An empty, a malformed, a huge event, bytes that are no text: exit 0, nothing said, and the next one is recorded."""
    events = played(hooked)
    for event in events[:4]:
        hooked.hook(event)
    base = json.dumps(events[3])
    shapes = [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{",
        base[:-20].encode(),
        b"\xff\xfe" + base.encode(),
        b"\x00" * 100,
        base.replace("toolu", "to\x00olu").encode(),
        base.replace("general", "\\ud800gen\\u0000eral").encode(),
        base.replace("general", "\x01\x02").encode(),
        ("[" * 100000 + "]" * 100000).encode(),
        json.dumps({**events[3], "tool_input": "text", "tool_response": [1, 2]}).encode(),
        json.dumps({**events[3], "session_id": None}).encode(),
        json.dumps({**events[3], "session_id": {"a": 1}}).encode(),
        json.dumps({**events[3], "agent_id": ["x"], "agent_type": 7}).encode(),
    ]
    for name in ("PreToolUse", "SubagentStop", "UserPromptSubmit"):  # the others: test_ten_thousand_mutated_events
        for shape in shapes:
            hooked.hook(shape, name)
    assert hooked.waiting() == [] and hooked.log() == []
    for event in [*events[4:], hooked.last_stop()]:
        hooked.hook(event)
    assert {key: hooked.ends()[key] for key in hooked.expected()} == hooked.expected()


def test_huge_events(hooked):
    """Ten million characters of a prompt and of a last message are taken in whole."""
    hooked.world.agent(10)
    events = hooked.world.events
    words = "word " * 2_000_000
    (asked, stopped) = [next(e for e in events if e["hook_event_name"] == name) for name in ("PreToolUse", "SubagentStop")]
    asked["tool_input"]["prompt"] = words
    stopped["last_assistant_message"] = words
    for event in [*events, hooked.last_stop()]:
        hooked.hook(event)
    assert hooked.ends() == hooked.expected()
    assert hooked.rows("SELECT length(final_message) FROM executions WHERE tool_use_id = 'toolu_010'") == [(len(words),)]


def test_a_file_system_without_a_shared_log(hooked):
    """Where SQLite cannot keep a write-ahead log it works with a journal, for many hooks at once."""
    hooked.hook(intents(hooked, 1)[0])
    shutil.rmtree(hooked.workspace)
    hooked.hook(intents(hooked, 1)[0])
    path = hooked.workspace / "history.db"
    for each in path.parent.glob("history.db*"):
        each.unlink()
    con = sqlite3.connect("file:%s?vfs=unix-dotfile" % path, uri=True, isolation_level=None)
    store._bring_up(con, str(path))
    assert con.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    con.close()
    for left in path.parent.glob("history.db.lock"):
        left.rmdir()
    hooked.hooks(intents(hooked, 60), 20)
    assert hooked.rows("PRAGMA journal_mode") == [("delete",)]
    hooked.hook(hooked.last_stop())
    assert hooked.rows("SELECT count(*) FROM executions") == [(60,)] and hooked.waiting() == []


@pytest.mark.parametrize("before", ["none", "one with a log"])
def test_a_log_whose_index_cannot_be_shared(hooked, before):
    """Where the log's index can be no file (as on network file systems) the history goes over to a journal, with all that the
    log held, for many hooks at once."""
    events = intents(hooked, 40)
    hooked.hook(events[0])
    path = hooked.workspace / "history.db"
    if before == "none":
        for each in path.parent.glob("history.db*"):
            each.unlink()
    else:
        assert (hooked.workspace / "history.db-wal").stat().st_size > 0
        (hooked.workspace / "history.db-shm").unlink()
    (hooked.workspace / "history.db-shm").mkdir()
    assert hooked.hooks(events, 20) == [None] * 40
    hooked.hook(hooked.last_stop())
    assert hooked.rows("PRAGMA journal_mode") == [("delete",)]
    assert hooked.rows("SELECT count(*), count(DISTINCT tool_use_id) FROM executions") == [(40, 40)]
    assert hooked.waiting() == [] and hooked.log() == []


@pytest.mark.parametrize("in_line", [True, False], ids=["in line", "where nobody can stand in line"])
def test_the_log_stays_short(hooked, in_line):
    """Hooks that each write once bring a long log home, and with it what the sums by day had not taken in; nothing is lost."""
    if not in_line:
        hooked.hook(intents(hooked, 1)[0])
        (hooked.workspace / "history.db.line").unlink()
        (hooked.workspace / "history.db.line").mkdir()
    for event in intents(hooked, 30):
        hooked.hook(event)
        log = hooked.workspace / "history.db-wal"
        assert not log.exists() or log.stat().st_size < 300 * 4120
    assert hooked.rows(
        "SELECT (SELECT sum(executions) FROM daily) > 0, (SELECT sum(executions) FROM daily) + (SELECT "
        "COALESCE(sum(sign), 0) FROM daily_news), count(*) FROM executions"
    ) == [(1, 30, 30)]


@pytest.mark.parametrize("before", [0, 100_000])
def test_two_hundred_at_once(hooked, before):
    """Two hundred hooks at once, on a fresh history and on a full one: nothing is lost."""
    if before:
        hooked.hook(intents(hooked, 1)[0])
        with sqlite3.connect(hooked.workspace / "history.db") as con:
            con.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO executions "
                "(execution_id, origin, agent_type, deployed_at, completed_at, status, end_reason, success, "
                "claude_session_id, tool_use_id, agent_id) SELECT 'old-' || i, 'unplanned', 'general-purpose', "
                "'2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z', 'completed', "
                "'end_turn', 1, 's' || (i % 999), "
                "'c' || i, 'old' || i FROM n",
                (before,),
            )
    assert hooked.hooks(intents(hooked, 200), 200) == [None] * 200
    hooked.hook({**hooked.last_stop(), "hook_event_name": "SessionStart", "source": "resume"})
    assert hooked.waiting() == []
    assert hooked.rows("SELECT count(*), count(DISTINCT tool_use_id) FROM executions WHERE tool_use_id LIKE 'toolu%'") == [
        (200, 200)
    ]
    assert hooked.rows("PRAGMA integrity_check") == [("ok",)]


def test_every_event_from_two_processes_at_once(hooked):
    """Two processes that take in the same event at the same time, for each event, leave the rows that one would."""
    hooked.world.message(hooked.world.agent(40), 41, "more")
    hooked.world.teammate(50)
    hooked.world.workflow(60, ("normal", "api_error"))
    for event in [*played(hooked), hooked.last_stop()]:
        for process in [hooked.start(event) for _ in range(2)]:
            hooked.end(process)
    assert hooked.ends() == hooked.expected()
    assert hooked.rows("SELECT count(*) FROM segments") == [(len(hooked.expected()) + 1,)]
    assert hooked.rows("SELECT count(*), count(DISTINCT dedupe_key) FROM events")[0][0] > 20
    assert hooked.waiting() == [] and hooked.log() == [] and unsound(hooked) == []


def test_hooks_that_are_killed(hooked):
    """Hooks killed at any moment leave a sound history to the next one."""
    events = intents(hooked, 60)
    hooked.hook(events[0])
    for number, event in enumerate(events):
        process = hooked.start(event, start_new_session=True)
        time.sleep(0.002 * (number % 40))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert hooked.rows("PRAGMA integrity_check") == [("ok",)]
    for event in [*played(hooked), hooked.last_stop()]:
        hooked.hook(event)
    assert {key: hooked.ends()[key] for key in hooked.expected()} == hooked.expected()


WRITER = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from streams import History, World
world = World(sys.argv[3])
history = History.__new__(History)
history.world, history.count = world, 0
import os
from orchestrator.store import open as store, workspace
history.workspace = os.path.join(world.project, ".orchestrator")
workspace.make(history.workspace, os.path.join(world.folder, "data"))
history.con = store.open_history(os.path.join(history.workspace, "history.db"))
for n in range(10, 100000, 10):
    del world.events[:]
    world.agent(n)
    for event in world.events:
        history.take(event, n)
    print(n, flush=True)
"""


def already_home(shared):
    """How many bytes of a log were safely on the disk because SQLite had begun to bring them home: it syncs them before.

    https://www.sqlite.org/walformat.html, "WAL-Index Format": at 128, frames attempted; a frame is a page and 24 bytes.
    """
    data = shared.read_bytes() if shared.exists() else b""
    return 32 + int.from_bytes(data[128:132], sys.byteorder) * (4096 + 24) if len(data) >= 132 else 0


def test_power_lost_at_any_moment(hooked, tmp_path):
    """The files as they are at any moment are a sound history, with everything that had been recorded by then; so they are
    where the end of the log never reached the disk, with all but the latest; and the next hooks go on in them."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(ROOT / "tests"), str(ROOT / "scripts"), str(tmp_path / "w")],
        stdout=subprocess.PIPE,
        text=True,
        env={**hooked.env, "PYTHONHASHSEED": "0"},
    )
    done, copies = [], []
    reader = threading.Thread(target=lambda: done.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        while len(done) < 2 and process.poll() is None:
            time.sleep(0.02)
        for number in range(25):
            time.sleep(0.13 + 0.017 * (number % 7))
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.02)
            known = len(done)
            copy = tmp_path / ("copy%d" % number)
            shutil.copytree(tmp_path / "w" / "project" / ".orchestrator", copy)
            copies.append((known, copy / "history.db"))
            process.send_signal(signal.SIGCONT)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
    assert len(copies) == 25 and copies[-1][0] > 5
    chance = random.Random(3)
    for known, copy in copies:
        synced = already_home(Path(str(copy) + "-shm"))
        Path(str(copy) + "-shm").unlink(missing_ok=True)
        log = Path(str(copy) + "-wal")
        cut = copy.parent / "cut" / "history.db"
        cut.parent.mkdir()
        shutil.copy(copy, cut)
        if log.exists() and log.stat().st_size:
            whole = log.read_bytes()
            place = chance.randrange(min(synced, len(whole) - 1), len(whole))
            torn = whole[:place] + chance.choice([b"", os.urandom(2000), bytes(5000)])
            Path(str(cut) + "-wal").write_bytes(torn)
        con = sqlite3.connect(cut)
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert con.execute(
            "SELECT count(*) FROM events WHERE execution_id NOT IN (SELECT execution_id FROM executions)"
        ).fetchone() == (0,)
        con.close()
        con = sqlite3.connect(copy)
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert con.execute("SELECT count(*) FROM executions WHERE status = 'completed'").fetchone()[0] >= known
        assert con.execute(
            "SELECT count(*) FROM events WHERE execution_id NOT IN (SELECT execution_id FROM executions)"
        ).fetchone() == (0,)
        con.close()
    hooked.hook(intents(hooked, 1)[0])  # the last two copies in the history's place
    for path in (copies[-1][1], copies[-1][1].parent / "cut" / "history.db"):
        for each in hooked.workspace.glob("history.db*"):
            each.unlink()
        for each in path.parent.glob("history.db*"):
            shutil.copy(each, hooked.workspace)
        before = hooked.rows("SELECT count(*) FROM executions")[0][0]
        for event in [*intents(hooked, 3), hooked.last_stop()]:
            hooked.hook(event)
        assert hooked.rows("SELECT count(*) FROM executions") == [(before + 3,)] and hooked.waiting() == []


def test_the_environment_of_these_tests():
    """The hooks of these tests see one Python and the system's own programs."""
    assert sorted(os.listdir(LINKS)) == ["python3"]


WORDS = [
    None, "", " ", 0, -1, 7.5, True, [], {}, ["x"], {"a": 1}, "x" * 5000, "\ud800", "\u0000", "../../etc/passwd", "a/b", "é" * 40,
    "'; DROP TABLE events; --", '<task-notification>\n<task-id>a1</task-id>\n<status>completed</status>\n'
    '<summary>Agent "x" finished</summary>\n<result>r</result>\n</task-notification>', "orchestrator task t1", "completed",
    "async_launched", "killed", "orchestrator:run", "orchestrator:planner", "SubagentStop", 10**30, float("inf"),
]  # fmt: skip


def mutated(chance, events):
    """One event with something wrong about it, as the bytes a hook reads, and the name it is given under."""
    event = json.loads(json.dumps(chance.choice(events)))
    name = event["hook_event_name"]
    for _ in range(chance.randint(1, 3)):
        place = event
        while True:
            key = chance.choice(list(place)) if place else "x"
            if isinstance(place.get(key), dict) and place[key] and chance.random() < 0.7:
                place = place[key]
            else:
                break
        how = chance.randrange(5)
        if how == 0:
            place.pop(key, None)
        elif how == 1:
            place[key] = chance.choice(WORDS)
        elif how == 2:
            place[key] = chance.choice(events).get(key, chance.choice(WORDS))
        elif how == 3:
            place[
                chance.choice(
                    [
                        "agent_id",
                        "agent_type",
                        "tool_use_id",
                        "session_id",
                        "prompt",
                        "tool_name",
                        "cwd",
                        "transcript_path",
                        "agent_transcript_path",
                        "tool_response",
                        "tool_input",
                        "background_tasks",
                        "last_assistant_message",
                    ]
                )
            ] = chance.choice(WORDS)
        else:
            name = chance.choice(
                [
                    "SessionStart",
                    "PreToolUse",
                    "PostToolUse",
                    "SubagentStart",
                    "SubagentStop",
                    "Stop",
                    "StopFailure",
                    "UserPromptSubmit",
                    "PostToolUseFailure",
                    "PreCompact",
                    "Nothing",
                ]
            )
            event["hook_event_name"] = name
    raw = json.dumps(event, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        at = chance.randrange(len(raw))
        raw = chance.choice(
            [
                raw[:at],
                raw[:at] + b"\x00" + raw[at:],
                raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :],
                raw[at:],
                raw + raw,
            ]
        )
    return raw, name


def odd_streams(folder, session):
    """The events of a session in which everything happens, to be spoilt."""
    world = World(folder)
    world.agent(510)
    world.agent(520, "api_error")
    world.agent(530, "max_turns", background=False)
    world.agent(540, "handback")
    world.agent(550, "stopped")
    world.agent(560, "refused")
    world.message(world.agent(570), 71, "more")
    world.workflow(580, ("normal", "api_error"))
    world.skill(590)
    world.compaction(595)
    world.stop("a1")
    world.event("SessionEnd", reason="other")
    return [{**event, "session_id": session} for event in world.events]


def test_ten_thousand_mutated_events(hooked, monkeypatch):
    """Whatever the events of other sessions are like, no hook fails, and what is told rightly is recorded rightly.

    One in ten goes through everything that a hook's process does, the rest into a history that stays open.
    """
    for name in list(os.environ):
        if name.startswith(("ORCHESTRATOR_", "CLAUDE", "XDG_")):
            monkeypatch.delenv(name)
    for name, value in hooked.env.items():
        monkeypatch.setenv(name, value)
    chance = random.Random(20261121)
    odd = odd_streams(str(hooked.world.folder) + "-odd", "0dd00000-0000-4000-8000-000000000001")
    right = iter([*played(hooked), hooked.last_stop()])
    for event in odd:
        hooks.run(json.dumps(event).encode(), event["hook_event_name"], os.getpid())
    con = store.open_history(str(hooked.workspace / "history.db"))
    con.execute("PRAGMA synchronous = OFF")
    for number in range(MUTATED):
        raw, name = mutated(chance, odd)
        if number % 10 == 0:
            answer = hooks.run(raw, name, os.getpid())
        else:
            text, once = hooks.mend(raw.decode("utf-8", "replace").replace("\x00", "")), "mutated %d" % number
            answer = hooks.handle(con, text, name, os.getpid(), store.now(), str(hooked.project), str(hooked.workspace), once)
        assert answer is None or name == "PreCompact" or isinstance(json.loads(answer), dict)
        if number % (MUTATED // 16) == 0:
            event = next(right, None)
            if event:
                hooks.run(json.dumps(event).encode(), event["hook_event_name"], os.getpid())
    con.close()
    for event in right:
        hooks.run(json.dumps(event).encode(), event["hook_event_name"], os.getpid())
    shutil.rmtree(str(hooked.world.folder) + "-odd")
    assert [(line["error"], line["where"]) for line in hooked.log()] == []
    assert hooked.waiting() == []
    assert {key: hooked.ends()[key] for key in hooked.expected()} == hooked.expected()
    assert unsound(hooked) == []


def unsound(hooked):
    """What no signals may ever leave behind."""
    history = History.__new__(History)
    history.con = hooked.open()
    try:
        return history.unsound()
    finally:
        history.con.close()


def test_a_hundred_mutated_events_through_processes(hooked):
    """The same through the launcher: exit 0, nothing on stderr, an answer that is JSON or none."""
    chance = random.Random(7)
    odd = odd_streams(str(hooked.world.folder) + "-odd", "0dd00000-0000-4000-8000-000000000001")
    hooked.hook(intents(hooked, 1)[0])
    waiting = [mutated(chance, odd) for _ in range(100)]
    while waiting:
        now, waiting = waiting[:20], waiting[20:]
        for process in [hooked.start(raw, name) for raw, name in now]:
            answer = hooked.end(process)
            assert answer is None or isinstance(answer, (dict, str))
    shutil.rmtree(str(hooked.world.folder) + "-odd")
    for event in [*played(hooked), hooked.last_stop()]:
        hooked.hook(event)
    assert hooked.log() == []
    assert {key: hooked.ends()[key] for key in hooked.expected()} == hooked.expected()
    assert unsound(hooked) == []
