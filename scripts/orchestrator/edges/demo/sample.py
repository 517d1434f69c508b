"""The project of the demo: a small one of its own, or a few files of a given one, read and never changed."""

import os
import re
import shutil
from typing import NamedTuple

from orchestrator import paths
from orchestrator.context import files
from orchestrator.errors import OrchestratorError

OWN = os.path.join(paths.plugin_root(), "assets", "demo")
DOCUMENTS = (".md", ".rst", ".adoc", ".txt")
CODE = tuple(
    ".py .js .mjs .ts .tsx .jsx .go .rs .java .kt .rb .php .c .h .cc .cpp .cs .swift .sh .lua".split()
)
# Names that a plan can state as they are, in folders whose files somebody wrote.
PLAIN = re.compile(r"(?!.*(?:^|/)(?:\.|node_modules/|vendor/|dist/|build/|third_party/))[\w./+-]+")
TEST = re.compile(r"(^|[/._-])(tests?|specs?)([/._-]|$)", re.IGNORECASE)
LEAST, MOST = 1, 9_000  # bytes: of one file, and of all files of one kind
MANY = 3  # files of one kind
LOOKED_AT = 5_000  # names: enough to find a few


class Chosen(NamedTuple):
    """The files that the tasks read, by kind, and the text of each."""

    documents: list[str]
    code: list[str]
    tests: list[str]
    texts: dict[str, str]


def make(project: str) -> None:
    """Copies the sample project."""
    shutil.copytree(OWN, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def remove(project: str) -> None:
    """Removes what make() made; what the plugin keeps there stays."""
    for name in os.listdir(OWN):
        path = os.path.join(project, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


def choose(project: str) -> Chosen:
    """A few files of a project that are worth reading: documents, code, tests."""
    kinds: dict[str, list[tuple[int, str, str]]] = {"documents": [], "code": [], "tests": []}
    for name in files.listing(project)[:LOOKED_AT]:
        kind = _kind(name)
        text = _text(project, name) if kind else None
        if kind and text is not None:
            kinds[kind].append((_rank(name, len(text)), name, text))
    texts: dict[str, str] = {}
    picked = {kind: _few(sorted(found), texts) for kind, found in kinds.items()}
    some = next((names for names in (picked["code"], picked["documents"], picked["tests"]) if names), None)
    if some is None:
        raise OrchestratorError(
            f"{project} holds no code or document of at most {MOST:,} bytes for agents to read: "
            "name another project."
        )
    return Chosen(picked["documents"] or some, picked["code"] or some, picked["tests"] or some, texts)


def _kind(name: str) -> str:
    end = os.path.splitext(name)[1].lower()
    if not PLAIN.fullmatch(name) or len(name) > 120:
        return ""
    if end in DOCUMENTS:
        return "documents"
    return "" if end not in CODE else "tests" if TEST.search(name) else "code"


def _text(project: str, name: str) -> str | None:
    path = os.path.join(project, name)
    try:
        if os.path.islink(path) or not LEAST <= os.path.getsize(path) <= MOST:
            return None
        return files.read(project, name).text
    except (OSError, files.Unreadable):
        return None


def _rank(name: str, size: int) -> int:
    """The README first, then what has most to say."""
    return -MOST if os.path.basename(name).lower().startswith("readme") and "/" not in name else -size


def _few(found: list[tuple[int, str, str]], texts: dict[str, str]) -> list[str]:
    names, used = [], 0
    for _, name, text in found:
        if len(names) < MANY and used + len(text) <= MOST:
            names.append(name)
            texts[name] = text
            used += len(text)
    return sorted(names)
