"""Launcher and bootstrap: bin/orchestrator finds its root and an interpreter, and builds what is missing.

Builds are real, but small: the copy's lock lists five packages made here, each of one empty module, and the
copy's command line prints where it runs.
"""

import base64
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE = Path(os.path.realpath(sys.executable))
SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox") if shutil.which(shell)]
NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
TELL = """
import json, sys
class quick:
    answered = staticmethod(lambda words: False)
def main(**named):
    print(json.dumps({"prefix": sys.prefix, "words": sys.argv[1:], "stdin": sys.stdin.read()}))
    sys.exit(7)
"""
FLOOR = """
import json, os, sys
print(json.dumps({"isolated": sys.flags.isolated, "no_site": sys.flags.no_site, "words": sys.argv[1:]}))
"""


def started_by(shell):
    """The words that start a shell by its full path."""
    return [shutil.which(shell), "sh"] if shell == "busybox" else [shutil.which(shell)]


def run(program, *words, env, cwd=None, stdin="", shell=None):
    """One run of a program, by its #! line or by a shell; both streams as text."""
    command = [*(started_by(shell) if shell else []), str(program), *words]
    return subprocess.run(command, env=env, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=110)


def start(program, env):
    """A run that goes on, in a process group of its own."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([str(program), "x"], env=env, text=True, start_new_session=True, **pipes)


def wheel(folder, name):
    """A wheel of one empty module."""
    module, about = name.replace("-", "_"), "%s-1.0.dist-info/" % name.replace("-", "_")
    files = {
        module + ".py": "",
        about + "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % name,
        about + "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    sums = {path: hashlib.sha256(text.encode()).digest() for path, text in files.items()}
    sums = {path: base64.urlsafe_b64encode(digest).rstrip(b"=").decode() for path, digest in sums.items()}
    record = "".join("%s,sha256=%s,%d\n" % (path, sums[path], len(text)) for path, text in files.items())
    path = folder / ("%s-1.0-py3-none-any.whl" % module)
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            archive.writestr(inner, text)
        archive.writestr(about + "RECORD", record + about + "RECORD,,\n")
    return "%s==1.0 --hash=sha256:%s\n" % (name, hashlib.sha256(path.read_bytes()).hexdigest())


def lock(plugin, text):
    """Gives a copy of the plugin another lock."""
    (plugin / "requirements/runtime.txt").write_text(text)
    (plugin / "requirements/runtime.hash").write_text(hashlib.sha256(text.encode()).hexdigest()[:12] + "\n")


@functools.cache
def base_pip():
    """Whether the interpreter's own pip can fill another environment (from 22.3 on)."""
    asked = subprocess.run([BASE, "-I", "-m", "pip", "--version"], capture_output=True, text=True).stdout.split()
    return len(asked) > 1 and tuple(map(int, asked[1].split(".")[:2])) >= (22, 3)


def hide_ensurepip(plugin):
    """Lets a copy of the plugin see no ensurepip where there is a pip: more than half of a small build is ensurepip."""
    if base_pip():
        probe = plugin / "scripts/orchestrator/edges/interpreters.py"
        text = probe.read_text()
        assert 'int(has("ensurepip"))' in text
        probe.write_text(text.replace('int(has("ensurepip"))', "0"))


@pytest.fixture
def small(whole):
    """The same, with an interpreter that seems to have no ensurepip."""
    hide_ensurepip(whole[0].parents[1])
    return whole


@pytest.fixture
def whole(plugin, tmp_path, bare):
    """A plugin whose environment can be built offline: (program, environment, data folder)."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    names = ("click", "jinja2", "pydantic", "sqlite-utils", "tiktoken")
    lock(plugin, "".join(wheel(wheels, name) for name in names))
    shutil.rmtree(plugin / "scripts/orchestrator/edges/cli")
    (plugin / "scripts/orchestrator/edges/cli.py").write_text(TELL)
    (plugin / "scripts/orchestrator/edges/brief.py").write_text(FLOOR)
    data = tmp_path / "the user's data"
    env = bare(**NO_INDEX, PIP_FIND_LINKS=wheels.as_uri(), ORCHESTRATOR_DATA=data)
    return plugin / "bin/orchestrator", env, data


def left(data, prefix):
    """Names in the data folder that start so."""
    return sorted(path.name for path in data.iterdir() if path.name.startswith(prefix))


# Finding itself

def test_version_needs_neither_python_nor_environment(plugin, tmp_path):
    """`--version` answers from the manifest with nothing on PATH, and writes nothing."""
    env = {"PATH": "/nowhere", "ORCHESTRATOR_DATA": str(tmp_path / "d")}
    answer = run(plugin / "bin/orchestrator", "--version", env=env)
    version = json.loads((ROOT / ".claude-plugin/plugin.json").read_text())["version"]
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "orchestrator %s\n" % version, "")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("shell", [None, *SHELLS])
def test_runs_from_a_path_with_a_space_and_an_apostrophe(plugin, data, bare, shell):
    """Copied anywhere, under any shell, the command finds its own package."""
    answer = run(plugin / "bin/orchestrator", "--help", env=bare(ORCHESTRATOR_DATA=data), shell=shell)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Usage: orchestrator ")
    assert answer.stderr == ""


def test_runs_through_links_and_from_its_own_folder(small, tmp_path):
    """A chain of links, absolute and relative, or a bare name in its own folder, leads to the same root."""
    program, env, _ = small
    (tmp_path / "links").mkdir()
    (tmp_path / "links/one").symlink_to(program)
    (tmp_path / "links/two words").symlink_to("one")
    (tmp_path / "links/folder").symlink_to(program.parent)
    words = ["brief", "t1"]
    expected = run(program, *words, env=env).stdout
    assert json.loads(expected)["words"] == words
    for way in (tmp_path / "links/one", tmp_path / "links/two words", tmp_path / "links/folder/orchestrator"):
        assert run(way, *words, env=env).stdout == expected
    assert run("./two words", *words, env=env, cwd=tmp_path / "links").stdout == expected
    assert run("orchestrator", *words, env=env, cwd=program.parent, shell="sh").stdout == expected
    env["CDPATH"] = "/tmp:/"
    assert run("bin/orchestrator", *words, env=env, cwd=program.parents[1], shell="sh").stdout == expected


# The recording floor

def test_brief_runs_on_the_floor(small):
    """`brief` runs isolated, without site, words verbatim, and asks for no environment."""
    program, env, data = small
    words = ["brief", "a b", "", "it's", "$HOME `x` \"q\"", "two\nlines", "ü"]
    answer = run(program, *words, env=env)
    assert json.loads(answer.stdout) == {"isolated": 1, "no_site": 1, "words": words}
    assert left(data, "env-") == left(data, "building-") == []


def test_floor_interpreter_is_remembered_and_replaced_when_gone(small, tmp_path):
    """The real interpreter is remembered and used without PATH; one that is gone or unfit is found anew."""
    program, env, data = small
    assert run(program, "brief", env=env).returncode == 0
    remembered = data / "python-floor"
    assert remembered.read_text() == "%s\n" % BASE
    assert run(program, "brief", env={**env, "PATH": "/nowhere"}).returncode == 0
    for stale in ("/gone/python3\n", "python3\n", "", "%s\n" % tmp_path):
        remembered.write_text(stale)
        assert run(program, "brief", env=env).returncode == 0, stale
        assert remembered.read_text() == "%s\n" % BASE
    assert left(data, "python-floor") == ["python-floor"]


def test_floor_passes_over_an_interpreter_that_does_not_start(small, tmp_path):
    """A shim for a version that is not installed does not stop the search."""
    program, env, data = small
    (tmp_path / "shims").mkdir()
    shim = tmp_path / "shims/python3"
    shim.write_text("#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
    shim.chmod(0o755)
    env["PATH"] = "%s:%s" % (shim.parent, env["PATH"])
    answer = run(program, "brief", env=env)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert (data / "python-floor").read_text() != "%s\n" % shim


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("names", [
    {"HOME": "/h o'me"},
    {"HOME": "/h", "XDG_DATA_HOME": "/x y"},
    {"HOME": "/h", "XDG_DATA_HOME": ""},
    {"HOME": "/h", "XDG_DATA_HOME": "/x", "ORCHESTRATOR_DATA": "/d"},
    {"HOME": "/h", "ORCHESTRATOR_DATA": "in here"},
    {"HOME": ""},
    {},
], ids=str)
def test_shell_and_python_agree_on_the_data_folder(names, shell, tmp_path):
    """hooks/floor.sh and paths.py compute one data folder, HOME unset included."""
    (tmp_path / "id").symlink_to(shutil.which("id"))
    env = {**names, "PATH": str(tmp_path)}  # without mkdir nothing is remembered in a real home

    def answer(*command):
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    script = '. "$0"; printf %s "$DATA"'
    code = "import sys; sys.path += sys.argv[1:]; from orchestrator.paths import *; print(end=data_folder())"
    said = answer(*started_by(shell), "-uc", script, str(ROOT / "hooks/floor.sh"))
    assert said == answer(str(BASE), "-I", "-c", code, str(ROOT / "scripts"))
    assert os.path.isabs(said)


# The planning floor

def test_builds_once_then_starts_without_looking(whole):
    """The first command builds, tells so on stderr, and gets its words and stdin; the next starts at once."""
    program, env, data = whole
    answer = run(program, "plan", "-", env=env, stdin='{"goal": "x"}\n')
    assert answer.returncode == 7, answer.stderr
    told = json.loads(answer.stdout)
    (name,) = left(data, "env-")
    assert told == {"prefix": str(data / name), "words": ["plan", "-"], "stdin": '{"goal": "x"}\n'}
    lines = answer.stderr.splitlines()
    assert len(lines) >= 3 and all(line.startswith("orchestrator: [") and " s] " in line for line in lines)
    assert lines[-1].endswith("ready")
    assert left(data, "building-") == []
    again = run(program, "plan", "-", env={**env, "PATH": "/nowhere"}, stdin="")
    assert (again.returncode, again.stderr) == (7, "")
    assert json.loads(again.stdout)["prefix"] == told["prefix"]


def test_two_builds_at_once_are_harmless(small):
    """Two first commands at the same time both work, in the same whole environment."""
    program, env, data = small
    both = [start(program, env) for _ in range(2)]
    answers = [process.communicate(timeout=110) for process in both]
    assert [process.returncode for process in both] == [7, 7], answers
    assert len({json.loads(out)["prefix"] for out, _ in answers}) == 1
    assert len(left(data, "env-")) == 1 and left(data, "building-") == []
    assert sum("unpacking" in told for _, told in answers) == 1
    assert sum("waiting" in told for _, told in answers) == 1


def test_a_killed_build_leaves_nothing_that_looks_ready(small):
    """After kill -9 in the middle the next command builds anew and clears what was left."""
    program, env, data = small
    killed = start(program, env)
    for line in killed.stderr:
        if "installing" in line:
            break
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert left(data, "building-") and not left(data, "env-") and not left(data, "ready-")
    answer = run(program, "x", env=env)
    assert answer.returncode == 7, answer.stderr
    assert left(data, "building-") == [] and len(left(data, "env-")) == 1


def test_an_environment_whose_interpreter_is_gone_is_built_anew(small):
    """The pointer outlives the interpreter: the environment is noticed as broken and replaced."""
    program, env, data = small
    assert run(program, "x", env=env).returncode == 7
    (name,) = left(data, "env-")
    for path in (data / name / "bin").iterdir():
        path.unlink()
    (data / name / "bin/python").symlink_to("/gone/python3")
    answer = run(program, "x", env=env)
    assert answer.returncode == 7, answer.stderr
    assert left(data, "env-") == [name] and left(data, "building-") == []
    assert json.loads(answer.stdout)["prefix"] == str(data / name)


def test_an_upgrade_gets_an_environment_of_its_own(small):
    """Another lock is another folder: the old one stays for who uses it, until nobody has for a month."""
    program, env, data = small
    assert run(program, "x", env=env).returncode == 7
    (old,) = left(data, "env-")
    text = (program.parents[1] / "requirements/runtime.txt").read_text()
    lock(program.parents[1], text + "# two\n")
    second = run(program, "x", env=env)
    assert second.returncode == 7, second.stderr
    assert len(left(data, "env-")) == 2 and old in left(data, "env-")
    long_ago = time.time() - 40 * 86400
    os.utime(data / old / "used", (long_ago, long_ago))
    lock(program.parents[1], text + "# three\n")
    assert run(program, "x", env=env).returncode == 7
    assert old not in left(data, "env-") and len(left(data, "env-")) == 2


def test_settings_of_pip_cannot_misplace_the_packages(small, tmp_path):
    """PIP_USER and PIP_TARGET would send packages elsewhere; they still land in the environment."""
    program, env, data = small
    answer = run(program, "x", env={**env, "PIP_USER": "1", "PIP_TARGET": str(tmp_path / "elsewhere")})
    assert answer.returncode == 7, answer.stderr
    assert not (tmp_path / "elsewhere").exists()
    assert list((data / left(data, "env-")[0]).glob("lib/*/site-packages/tiktoken.py"))


# Refusals

def refused(answer, data):
    """Asserts the shape of a refusal and returns its sentence."""
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "Traceback" not in answer.stderr
    last = answer.stderr.splitlines()[-1]
    assert last.startswith("orchestrator: ") and last.endswith(".")
    if data.is_dir():
        assert left(data, "env-") == left(data, "building-") == left(data, "ready-") == []
    return last


@pytest.mark.parametrize("settings", [
    {"PIP_NO_INDEX": "1"},
    {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_TIMEOUT": "2"},
], ids=["no index", "unreachable index"])
def test_offline_without_environment_says_what_to_do(plugin, bare, tmp_path, settings):
    """Where packages cannot be had, one sentence names one, pip's settings and what works without."""
    hide_ensurepip(plugin)
    data = tmp_path / "data"
    env = bare(ORCHESTRATOR_DATA=data, PIP_CONFIG_FILE=os.devnull, **settings)
    sentence = refused(run(plugin / "bin/orchestrator", "status", env=env), data)
    assert "PIP_INDEX_URL" in sentence and "annotated-types" in sentence and "recording works" in sentence
    told = run(plugin / "bin/orchestrator", "doctor", env=env)
    assert told.returncode == 1 and "annotated-types" in told.stderr
    assert "The packages for plans" in told.stdout and "Hooks use" in told.stdout and "Recording is on" in told.stdout


def test_a_package_with_another_hash_is_refused(small):
    """What the index serves must be what the lock names."""
    program, env, data = small
    text = (program.parents[1] / "requirements/runtime.txt").read_text()
    lock(program.parents[1], text[:-5] + ("0000" if text[-5:-1] != "0000" else "1111") + "\n")
    assert "installed" in refused(run(program, "x", env=env), data)


def test_an_unfit_interpreter_is_named(small, tmp_path):
    """ORCHESTRATOR_PYTHON that is missing or does not start is refused by name."""
    program, env, data = small
    for asked in ("/gone/python3", "no-such-python", str(tmp_path)):
        sentence = refused(run(program, "x", env={**env, "ORCHESTRATOR_PYTHON": asked}), data)
        assert asked in sentence and "3.10" in sentence


def test_an_interpreter_without_ensurepip_and_pip_is_named(small, tmp_path):
    """A Python that cannot make environments is refused with the package that mends it."""
    program, env, data = small
    version = "python%d.%d" % sys.version_info[:2]
    poor, library = tmp_path / "poor", Path(os.__file__).parent
    (poor / "bin").mkdir(parents=True)
    (poor / "lib" / version).mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in ("ensurepip", "site-packages", "dist-packages", "__pycache__"):
            (poor / "lib" / version / path.name).symlink_to(path)
    shutil.copy2(BASE, poor / "bin" / version)
    asked = str(poor / "bin" / version)
    if subprocess.run([asked, "-I", "-c", "import ssl"], capture_output=True).returncode:
        pytest.skip("this interpreter cannot be moved")
    sentence = refused(run(program, "x", env={**env, "ORCHESTRATOR_PYTHON": asked}), data)
    assert "ensurepip" in sentence and "-venv" in sentence


def test_an_unusable_data_folder_is_named(small, tmp_path):
    """A data folder that cannot be made is named, with the variable that moves it."""
    program, env, _ = small
    (tmp_path / "file").write_text("")
    answer = run(program, "x", env={**env, "ORCHESTRATOR_DATA": str(tmp_path / "file/data")})
    assert "ORCHESTRATOR_DATA" in refused(answer, tmp_path / "file/data") and "file/data" in answer.stderr


def test_a_damaged_environment_is_named(small):
    """Packages that were deleted from an environment lead to a sentence, not to a traceback."""
    program, env, data = small
    (program.parents[1] / "scripts/orchestrator/edges/cli.py").write_text("import click_is_gone\n")
    answer = run(program, "x", env=env)
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert str(data / left(data, "env-")[0]) in answer.stderr and "click_is_gone" in answer.stderr
