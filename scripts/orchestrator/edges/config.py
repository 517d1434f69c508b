"""A project's own settings read at the door: `.env` and config.toml, as data, each value checked.

Nothing is executed or expanded. Of `.env`, which belongs to the project's programs, only the table's names
count. What is ours (ORCHESTRATOR_*, config.toml) is refused where it is wrong; a name that other programs use
as well (DEFAULT_MODEL) is passed over, and `orchestrator doctor` says so.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, NamedTuple, Optional, Sequence

from orchestrator import paths
from orchestrator.services import settings
from orchestrator.services.settings import Setting
from orchestrator.store import open as store

DOTENV, CONFIG = paths.DOTENV, paths.CONFIG
MOST = 262144  # bytes of either file that are read
_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*"""
    r"""(?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>[^\n]*))""",
    re.MULTILINE | re.DOTALL,
)


class Given(NamedTuple):
    """A setting's text and where it stands."""

    text: str
    source: str


class Said(NamedTuple):
    """What some sources say: settings by name, what is refused, what is passed over."""

    given: dict[str, Given]
    faults: list[str]
    notes: list[str]
    above: frozenset[str]  # settings that a source above these gives, so that nothing wrong is in force

    def take(self, setting: Setting, name: str, text: Optional[str], source: str, raw: object = None) -> None:
        """Keeps a value that is allowed; else it is a fault, or a note where the name is not ours alone."""
        try:
            settings.tried(setting, settings.parse(setting, text or ""))
            self.given[setting.name] = Given((text or "").strip(), source)
        except ValueError as allowed:
            ours = raw is not None or name.startswith("ORCHESTRATOR_")
            found = shown(str(raw) if text is None else text)
            if setting.name not in self.above:
                to = self.faults if ours else self.notes
                to.append(f"{source}: {name} is {found}; it must be {allowed}.")


def environment() -> Said:
    """What the environment says."""
    said = Said({}, [], [], frozenset())
    for each in settings.TABLE:
        text = paths.variable(each.variable) if each.variable else None
        if text:
            said.take(each, str(each.variable), text, "the environment")
    return said


def files(project: str, workspace: str, flags: Sequence[str] = ()) -> Said:
    """What `.env` and, below it, config.toml say; nothing is wrong with what a flag or the environment gives.

    The caller has made sure that the workspace is this user's.
    """
    said = Said({}, [], [], frozenset([*environment().given, *flags]))
    _read_config(os.path.join(workspace, CONFIG), said)
    if project not in ("/", os.path.realpath(paths.home() or "/")):
        _read_dotenv(os.path.join(project, DOTENV), said)
    history = said.given.get("history")
    wrong = _misplaced(history.text, project) if history else None
    if history and wrong:
        del said.given["history"]
        if "history" not in said.above:
            said.faults.append(f"{history.source}: the history {shown(history.text)} is not taken: {wrong}.")
    return said


def _misplaced(text: str, project: str) -> Optional[str]:
    """Why a project's own file may not place the history there; None where it may."""
    path = paths.inside(project, text)
    if path is None:
        return "it must stay inside the project (the environment may name any place)"
    if os.path.relpath(path, os.path.realpath(project)).split(os.sep)[0] == ".git":
        return "git's own folder is no place for it"
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path)):
        return "it must be a file in a folder that is there"
    return None


def _read_dotenv(path: str, said: Said) -> None:
    by_variable = {each.variable: each for each in settings.TABLE if each.dotenv}
    try:
        text = (_bytes(path) or b"").decode("utf-8", "replace")
    except OSError:
        return  # another program's file
    for line, name, value in dotenv(text):
        setting = by_variable.get(name)
        if setting and value:
            said.take(setting, name, value, f"{path} line {line}")


def dotenv(text: str) -> list[tuple[int, str, str]]:
    """(line, name, value) of each assignment of a `.env`; a quoted value may go over several lines."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n")
    found, line, at = [], 1, 0
    for match in _ASSIGNMENT.finditer(text):
        plain = match["plain"]
        if plain is None:
            value = match["double"] if match["single"] is None else match["single"]
        else:
            value = "" if plain.startswith("#") else re.split(r"[ \t]#", plain, maxsplit=1)[0].strip()
        line, at = line + text.count("\n", at, match.start("name")), match.start("name")
        found.append((line, match["name"], value))
    return found


def _read_config(path: str, said: Said) -> None:
    try:
        data = _bytes(path)
        values = _toml(data) if data else {}
    except OSError as problem:
        said.faults.append(f"{path} cannot be read: {problem.strerror}.")
        return
    except (ValueError, RecursionError) as problem:
        said.faults.append(f"{path} is no TOML: {shown(str(problem), 120)}.")
        return
    for key, value in values.items():
        setting = settings.BY_NAME.get(key)
        if setting is None:
            said.faults.append(f"{path}: there is no setting {shown(key)}; {_near(key)}.")
        else:
            said.take(setting, key, _text(setting, value), path, value)


def _near(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, settings.BY_NAME, 1)
    return f"{near[0]} is probably meant" if near else "there are " + ", ".join(settings.BY_NAME)


def _toml(data: bytes) -> dict[str, Any]:
    import importlib
    import sys

    reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    values: dict[str, Any] = reader.loads(data.decode("utf-8"))
    return values


def _text(setting: Setting, value: Any) -> Optional[str]:
    """A TOML value as the table's text; None for one of another type."""
    kind = setting.kind
    if isinstance(value, bool):
        return str(value).lower() if kind == "switch" else None
    if isinstance(value, str):
        return value if kind in ("choice", "name", "path") else None
    if isinstance(value, (int, float)):
        return str(value) if kind == "seconds" or (kind == "whole" and isinstance(value, int)) else None
    listed = kind == "patterns" and isinstance(value, list) and all(isinstance(each, str) for each in value)
    return json.dumps(value) if listed else None


def _bytes(path: str) -> Optional[bytes]:
    """The bytes of a regular file; None where there is none (a pipe, which would never end, is none)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(handle, MOST) if stat.S_ISREG(os.fstat(handle).st_mode) else None
    finally:
        os.close(handle)


def shown(text: str, room: int = 60) -> str:
    """A value as a sentence may show it."""
    text = "".join(c if c.isprintable() else "?" for c in text[: room + 1])
    return "'" + (text if len(text) <= room else text[: room - 1] + "…") + "'"


def in_force(said: Said, options: dict[str, str]) -> list[tuple[Setting, Any, str]]:
    """(setting, value, where it is from) of every setting, as hooks decide it; `options` as in `meta`."""
    con = store.connect(":memory:")
    con.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
    rows = [("setting." + name, given.text) for name, given in said.given.items()]
    con.executemany("INSERT INTO meta VALUES (?, ?)", rows + list(options.items()))
    found = []
    for each in settings.TABLE:
        value, where = settings.in_force(con, each.name)
        source = {"environment": f"the environment ({each.variable})", "option": "the plugin's options",
                  "file": said.given[each.name].source if each.name in said.given else "",
                  "default": "the default"}[where]  # fmt: skip
        found.append((each, value, source))
    con.close()
    return found
