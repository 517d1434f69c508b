"""The repository: fresh locks, our own words, nothing of anybody's machine, a tree of a sensible size."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Written in two halves, so that this file does not hold what it forbids.
HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "deb." + "debian.org"]
MACHINE = ["/work" + "/", "/root" + "/", "/opt/" + "wheels", "/tmp/" + "helpers", "pyenv/" + "versions"]
NOT_OUR_WORDS = re.compile(r"\b(context package|spawn plan|agent run|subtask|state dir)s?\b", re.IGNORECASE)


def tracked():
    """The files that belong to the project: what git tracks, and what it would if asked now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file()]


def text_of(path):
    """A file's text; None for one that is not text."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode("utf-8", "replace")


def inside(path):
    """The name a test shows for a file."""
    return str(path.relative_to(ROOT))


def requirements(name):
    """The requirements of a lock, each as (name, its whole entry); those of a file it names with -r too."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith(("#", "-c ", "-r ")))
    entries = re.split(r"\n(?=[a-z0-9])", text)
    named = [each for line in lines if line.startswith("-r ") for each in requirements(line[3:].strip())]
    return named + [(re.match(r"[a-z0-9-]+", entry).group(), entry) for entry in entries if entry.strip()]


def test_the_lock_hash_is_fresh():
    """runtime.hash is of runtime.txt as it is: another lock is another environment (requirements/relock)."""
    lock = (ROOT / "requirements/runtime.txt").read_bytes()
    assert (ROOT / "requirements/runtime.hash").read_text() == hashlib.sha256(lock).hexdigest()[:12] + "\n"


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_locks_pin_everything_by_hash(name):
    """Every requirement is one exact version with hashes, and every name asked for is there."""
    locked = requirements(name + ".txt")
    for package, entry in locked:
        assert re.match(r"[a-z0-9-]+==[^ ]+", entry), package
        assert "--hash=sha256:" in entry, package
    asked = {package for package, _ in requirements(name + ".in")}
    assert asked <= {package for package, _ in locked}


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt", "runtime.in", "dev.in"])
def test_locks_name_no_index(name):
    """Where packages come from is the business of pip's own settings."""
    text = (ROOT / "requirements" / name).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_dev_and_runtime_locks_agree():
    """A package that both locks name has one version."""
    pins = {}
    for name in ("runtime.txt", "dev.txt"):
        for _, entry in requirements(name):
            pins.setdefault(name, set()).add(entry.split(" \\")[0])
    names = {pin.split("==")[0] for pin in pins["runtime.txt"]}
    assert {pin for pin in pins["dev.txt"] if pin.split("==")[0] in names} <= pins["runtime.txt"]


def test_no_file_names_a_registry_or_a_machine():
    """No registry's host name and no path of a machine this was made on is in any file."""
    texts = [(inside(path), text_of(path) or "") for path in tracked()]
    found = [(name, word) for name, text in texts for word in HOSTS + MACHINE if word in text]
    assert not found


def test_pages_use_our_words():
    """Pages call things by the one name they have."""
    pages = [(inside(path), path.read_text(encoding="utf-8")) for path in tracked() if path.suffix == ".md"]
    found = {name: NOT_OUR_WORDS.findall(text) for name, text in pages}
    assert not {name: words for name, words in found.items() if words}


def test_the_shipped_tree_is_small():
    """What is installed with the plugin is under 2.6 megabytes, each file under 600 kB but the vocabulary,
    which stands there unpacked because loading it is waited for, and nothing built."""
    shipped = [path for path in tracked() if path.relative_to(ROOT).parts[0] not in ("tests", ".ci")]
    sizes = {inside(path): path.stat().st_size for path in shipped}
    sizes["assets/vocabulary/cl100k.bin"] -= 450_000
    assert sum(sizes.values()) < 2_150_000, sorted(sizes.items(), key=lambda pair: -pair[1])[:5]
    assert not {name: size for name, size in sizes.items() if size > 600_000}
    built = re.compile(r"\.(pyc|so|db|log|whl|zip|tgz)$|\.min\.|node_modules")
    assert not [name for name in sizes if built.search(name)]


def test_source_files_stay_readable():
    """No source file of the package is longer than 400 lines."""
    lengths = {inside(path): text_of(path).count("\n") for path in (ROOT / "scripts").rglob("*.py")}
    assert not {name: count for name, count in lengths.items() if count > 400}


def test_programs_can_be_started():
    """Every file with a #! line may be executed, and shell files have no syntax error."""
    programs = [path for path in tracked() if path.read_bytes()[:2] == b"#!"]
    names = {inside(path) for path in programs}
    assert {"bin/orchestrator", "tests/run", ".ci/run", "requirements/relock"} <= names
    assert not [inside(path) for path in programs if not os.access(path, os.X_OK)]
    for path in [*programs, ROOT / "hooks/floor.sh"]:
        if path.suffix == ".sh" or b"sh" in path.read_bytes().split(b"\n")[0].split(b"/")[-1]:
            checked = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True)
            assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("*.md")), ids=inside)
def test_decisions_are_short_and_complete(path):
    """A decision has a context, a choice and a price, in at most fifty lines."""
    text = path.read_text(encoding="utf-8")
    assert re.match(r"\d{4}-[a-z0-9-]+\.md", path.name)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Price"]
    assert text.count("\n") <= 50


def test_the_change_log_knows_the_version():
    """The manifest's version is either released in the change log or still to come."""
    version = json.loads((ROOT / ".claude-plugin/plugin.json").read_text())["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert headings[0] == "Unreleased"
    assert version == "0.1.0" or version in headings
