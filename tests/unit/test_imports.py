"""Imports: what the rooms may reach, what the recording floor may load, and how files begin and are named."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
PACKAGE = SCRIPTS / "orchestrator"
ROOMS = ("model", "store", "recording", "context", "services", "edges")
OPEN_TO_ALL = ("paths", "errors")
# Where the recording floor begins; what it reaches from there, wherever it lies, is the floor too.
FLOOR_ROOMS = ("model", "store", "recording")
FLOOR_FILES = (
    "edges/hooks.py", "edges/own_command.py", "edges/brief.py", "edges/bootstrap.py",
    "context/briefing.py", "services/gate.py", "services/digest.py",
)
PROCESS = {
    "sys": {"exit", "argv", "stdin", "stdout", "stderr"},
    "os": {"_exit", "environ", "environb", "getenv"},
}
SLOW = {"json", "re", "typing", "dataclasses", "sqlite3", "datetime", "pathlib", "subprocess"}


def sources(*folders):
    """Every Python file below the folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree(path):
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def inside(path):
    """The name a test shows for a file."""
    return str(path.relative_to(ROOT))


def module_file(name):
    """The file behind a dotted name of our package; None for what is a name inside a module."""
    place = SCRIPTS.joinpath(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def imports(path, nodes=None):
    """The dotted names a file imports, at its top or anywhere in it; relative ones made absolute."""
    package = path.relative_to(SCRIPTS).with_suffix("").parts[:-1]
    for node in ast.walk(tree(path)) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                below = "%s.%s" % (base, alias.name)
                yield below if base.split(".")[0] == "orchestrator" and module_file(below) else base


def at_the_top(path):
    """The names that importing a file imports at once: not in a function, not after a failure."""
    waiting, found = list(tree(path).body), []
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ExceptHandler)):
            found.append(node)
            waiting.extend(ast.iter_child_nodes(node))
    return set(imports(path, found))


def room(path):
    """The room a file of the package lies in; None for the files beside the rooms."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def floor():
    """The files of the recording floor: where it begins, and whatever of ours they import from there."""
    waiting = [path for name in FLOOR_ROOMS for path in sources("scripts/orchestrator/" + name)]
    waiting += [PACKAGE / name for name in FLOOR_FILES if (PACKAGE / name).is_file()]
    found = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for file in map(module_file, imports(path)) if file and PACKAGE in file.parents]
    return sorted(found)


def hook_path():
    """The files that a hook loads, whatever the event."""
    waiting, found = sorted((PACKAGE / "edges").glob("hooks*.py")), set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for file in map(module_file, imports(path)) if file and PACKAGE in file.parents]
    return sorted(found)


@pytest.mark.parametrize("path", sources("scripts/orchestrator"), ids=inside)
def test_rooms_import_only_what_lies_below(path):
    """A room imports its own files and rooms below it; the files beside the rooms import none of them."""
    own = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "orchestrator" or len(parts) == 1 or parts[1] in OPEN_TO_ALL:
            continue
        assert parts[1] in ROOMS, "%s imports %s, which is no room" % (inside(path), name)
        assert own is not None, "%s lies beside the rooms and imports %s" % (inside(path), name)
        assert ROOMS.index(parts[1]) <= ROOMS.index(own), "%s imports %s from above" % (inside(path), name)


def test_every_folder_of_the_package_is_a_known_room():
    """There are six rooms and two files that all may use."""
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert folders == set(ROOMS)
    assert files == {*OPEN_TO_ALL, "__init__"}


def test_the_floor_begins_where_it_is_said_to():
    """The files that the floor begins with are there: none drops out of the checks by being renamed."""
    assert not [name for name in FLOOR_FILES if not (PACKAGE / name).is_file()]


@pytest.mark.parametrize("path", floor(), ids=inside)
def test_the_floor_needs_only_the_standard_library(path):
    """Whatever the recording floor reaches imports nothing that has to be installed."""
    assert not {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"orchestrator"}


@pytest.mark.parametrize("path", floor(), ids=inside)
def test_the_floor_is_python_3_9(path):
    """The floor's files parse as Python 3.9 and use nothing that came later at run time."""
    parsed = ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))
    lazy = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in parsed.body)
    for node in ast.walk(parsed):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            parts = ast.walk(annotation) if annotation and not lazy else ()
            assert not any(isinstance(part, ast.BinOp) for part in parts), "line %d: X | Y" % node.lineno
        if isinstance(node, ast.Call):
            named = {keyword.arg for keyword in node.keywords}
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert not (called == "dataclass" and named & {"slots", "kw_only"}), "line %d" % node.lineno
            assert not (called == "zip" and "strict" in named), "line %d" % node.lineno


@pytest.mark.parametrize("path", hook_path(), ids=inside)
def test_what_a_hook_loads_starts_fast(path):
    """No file that a hook may load imports at its top what costs more than the hook's work."""
    assert not {name.split(".")[0] for name in at_the_top(path)} & SLOW


def test_a_hook_starts_with_none_of_the_slow_modules():
    """Importing the hooks' entry, as a hook does, loads none of the slow modules by any way."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import orchestrator.edges.hooks; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(SCRIPTS)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not SLOW & set(loaded)


@pytest.mark.parametrize(
    "path",
    [path for path in sources("scripts/orchestrator") if room(path) != "edges" and path.name != "paths.py"],
    ids=inside,
)
def test_below_the_edges_nobody_touches_the_process(path):
    """Below the edges nobody prints, exits, or reads the arguments or the environment."""
    for node in ast.walk(tree(path)):
        at = "%s:%d" % (inside(path), getattr(node, "lineno", 0))
        if isinstance(node, ast.Name):
            assert node.id not in ("print", "input", "exit", "quit", "SystemExit"), at
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr not in PROCESS.get(node.value.id, ()), "%s %s" % (at, node.attr)
        if isinstance(node, ast.ImportFrom):
            assert not {alias.name for alias in node.names} & PROCESS.get(node.module, set()), at


def test_each_library_has_its_place():
    """click lives in edges/cli, pydantic in one file of the edges, tiktoken in one file."""
    users = {name: set() for name in ("click", "pydantic", "tiktoken")}
    for path in sources("scripts/orchestrator"):
        for name in imports(path):
            if name.split(".")[0] in users:
                users[name.split(".")[0]].add(path)
    assert users["click"] and {path.parent for path in users["click"]} == {PACKAGE / "edges/cli"}
    assert len(users["pydantic"]) == 1 and {room(path) for path in users["pydantic"]} == {"edges"}
    loading = {path for path in sources("scripts/orchestrator") if "tiktoken._tiktoken" in path.read_text(encoding="utf-8")}
    assert users["tiktoken"] == set() and len(loading) == 1, "its extension is loaded without the package around it"


@pytest.mark.parametrize("path", sources("scripts", "tests", "hooks"), ids=inside)
def test_every_file_says_what_it_is(path):
    """The first statement is a docstring, its first sentence begins with the noun."""
    text = ast.get_docstring(tree(path))
    assert text, "no docstring"
    assert text.split()[0] not in ("This", "Module", "File"), text.splitlines()[0]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=inside)
def test_packages_load_nothing(path):
    """An __init__.py is its docstring, so that importing a room costs nothing; edges/cli has the commands."""
    assert len(tree(path).body) == 1 or path == PACKAGE / "edges/cli/__init__.py"


def test_no_file_is_named_for_everything():
    """No file is called core, utils, common, helpers or manager, but for the published context_manager.py."""
    vague = {"core", "util", "utils", "common", "helper", "helpers", "manager", "misc"}
    names = [inside(path) for path in sources("scripts", "tests", "hooks")]
    found = {name for name in names if vague & set(name[:-3].replace("/", "_").split("_"))}
    assert found <= {"scripts/context_manager.py"}
