"""Blueprints: which agent types a plan may name, and what of them matters to it."""

from __future__ import annotations

import json
import os
from typing import Iterable, Iterator, Mapping, NamedTuple

OURS = "orchestrator"
_FILE_MOST = 64 * 1024  # bytes of a blueprint that are read: the frontmatter is on top
_FILES_MOST = 2000  # blueprints of one folder


class Blueprint(NamedTuple):
    """The stored definition behind an agent type, as far as a plan cares."""

    name: str  # as Claude Code takes it: builder, orchestrator:builder
    where: str  # a path, or "client"
    tools: tuple[str, ...] | None  # None: all of them
    model: str | None
    has_bash: bool  # without Bash an agent cannot fetch its briefing: the conversation driver is used


def _client(name: str, tools: tuple[str, ...] | None = None, model: str | None = None) -> Blueprint:
    return Blueprint(name, "client", tools, model, tools is None or "Bash" in tools)


# What both pinned clients bring. Explore and Plan lack the tools that write and that spawn.
CLIENTS_DENIED = {"Explore": "Agent, Edit, Write, NotebookEdit", "Plan": "Agent, Edit, Write, NotebookEdit"}
CLIENTS_OWN = (
    _client("general-purpose"),
    _client("claude"),
    _client("Explore"),
    _client("Plan"),
    _client("statusline-setup", ("Read", "Edit"), "sonnet"),
    _client("claude-code-guide", ("Glob", "Grep", "Read", "WebFetch", "WebSearch"), "haiku"),
)


def known(
    plugin_root: str,
    project: str,
    home: str,
    config: str | None = None,
    cwd: str | None = None,
) -> dict[str, Blueprint]:
    """Every agent type that can be found on this machine without asking the client, by name.

    `config` is the client's own folder where it is not `<home>/.claude`; from the project down to `cwd` each
    folder's `.claude/agents` count. The nearest wins, then the project's, the user's, plugins', the client's.
    """
    config = config or (os.path.join(home, ".claude") if home else "")
    found = {each.name: each for each in CLIENTS_OWN}
    for plugin, folder in installed(config, project):
        found.update(_scoped(plugin, folder))
    found.update(_scoped(OURS, plugin_root))
    for folder in [config, *(os.path.join(each, ".claude") for each in _way_down(project, cwd))]:
        if folder:
            found.update((each.name, each) for each in _plain(os.path.join(folder, "agents")))
    return found


def _way_down(project: str, cwd: str | None) -> list[str]:
    """The project and the folders from it down to `cwd`."""
    inside = os.path.relpath(cwd or project, project)
    if inside == os.curdir or inside.split(os.sep)[0] == os.pardir:
        return [project]
    parts = inside.split(os.sep)
    return [os.path.join(project, *parts[:depth]) for depth in range(len(parts) + 1)]


def _scoped(plugin: str, folder: str) -> Iterator[tuple[str, Blueprint]]:
    """A plugin's agents: a subfolder is part of the name, and a file without a name goes by its own."""
    agents = os.path.join(folder, "agents")
    for path in _files(agents):
        fields = frontmatter(path)
        place = os.path.relpath(os.path.dirname(path), agents)
        own = fields.get("name") or os.path.basename(path)[: -len(".md")]
        parts = [plugin, *([] if place == os.curdir else place.split(os.sep)), own]
        blueprint = _blueprint(":".join(parts), path, fields)
        yield blueprint.name, blueprint


def _plain(agents: str) -> Iterator[Blueprint]:
    """A project's or a user's agents; what lacks a name or a description the client passes over too."""
    for path in _files(agents):
        fields = frontmatter(path)
        name = fields.get("name", "")
        if name and "description" in fields and ":" not in name and not name.startswith("-"):
            yield _blueprint(name, path, fields)


def _blueprint(name: str, path: str, fields: Mapping[str, str]) -> Blueprint:
    tools = _tools(fields["tools"]) if fields.get("tools") else None
    if tools and "*" in tools:
        tools = None
    denied = _tools(fields.get("disallowedTools", ""))
    has_bash = (tools is None or "Bash" in tools) and "Bash" not in denied
    return Blueprint(name, path, tools, fields.get("model") or None, has_bash)


def _tools(text: str) -> tuple[str, ...]:
    """The names in `Read, Bash(git *)`, `[Read, Bash]` or a block list, without what is in parentheses."""
    names, depth, name = [], 0, ""
    for char in text.strip("[]") + ",":
        depth += (char == "(") - (char == ")")
        if char in ",\n" and depth <= 0:
            names.append(name.split("(")[0].strip(" \t\"'-"))
            name, depth = "", 0
        else:
            name += char
    return tuple(each for each in names if each)


def frontmatter(path: str) -> dict[str, str]:
    """The scalar fields between the first two `---` lines, a list below a key as its lines; else {}.

    Four plain fields are wanted of a file that is the client's to read, so this is no YAML and needs none.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            lines = f.read(_FILE_MOST).lstrip("\ufeff").split("\n")
    except OSError:
        return {}
    fields: dict[str, str] = {}
    key = ""
    if lines[0].strip() != "---":
        return {}
    for line in lines[1:]:
        if line.strip() == "---":
            return fields
        name, colon, value = line.partition(":")
        if colon and name and not name[0].isspace() and name[0] not in "#-":
            key = name.strip()
            fields[key] = value.split(" #")[0].strip().strip("\"'")
        elif key and line.strip().startswith("- "):
            fields[key] += "\n" + line.strip()
    return {}


def _files(folder: str) -> list[str]:
    found: list[str] = []
    for at, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.join(at, name) for name in sorted(names) if name.endswith(".md")]
        if len(found) > _FILES_MOST:
            break
    return [path for path in found[:_FILES_MOST] if os.path.isfile(path)]


def installed(config: str, project: str) -> Iterator[tuple[str, str]]:
    """(name, folder) of the other plugins that the client's own list names and no settings switch off."""
    plugins = _json(os.path.join(config, "plugins", "installed_plugins.json")).get("plugins")
    switched: dict[str, object] = {}
    for place in (config, os.path.join(project, ".claude")):
        for name in ("settings.json", "settings.local.json"):
            enabled = _json(os.path.join(place, name)).get("enabledPlugins")
            switched.update(enabled if isinstance(enabled, dict) else {})
    for full, entries in plugins.items() if isinstance(plugins, dict) else ():
        name = full.split("@")[0]
        if name == OURS or switched.get(full) is False:
            continue
        for entry in entries if isinstance(entries, list) else [entries]:
            folder = entry.get("installPath") if isinstance(entry, dict) else None
            if isinstance(folder, str) and os.path.isdir(folder):
                yield name, folder
                break


def _json(path: str) -> dict[str, object]:
    try:
        with open(path, encoding="utf-8") as f:
            value = json.load(f)
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# Prefixes that no plugin has, but that models write before a role.
_NO_PLUGINS = {"agent", "agents", "plugin", "claude", "project", "user", "builtin", "built-in", "subagent"}


def judge(name: str, known: Iterable[str]) -> tuple[str, str | None]:
    """("ok", its full name), ("near", what was probably meant: names joined by "or") or ("unknown", None).

    A bare role is ours (`builder` → `orchestrator:builder`) when no other agent goes by it. A role behind the
    name of another plugin is unknown, not near: other plugins bring agents that cannot be seen from here.
    """
    names = list(known)
    if name in names:
        return "ok", name
    bare = [each for each in names if each.split(":")[-1] == name]
    if bare == [f"{OURS}:{name}"]:
        return "ok", bare[0]
    if bare:
        return "near", " or ".join(sorted(bare)[:3])
    wanted = _plainly(name)
    prefix, _, role = wanted.rpartition(":")
    best: tuple[int, str] | None = None
    for each in names:
        plain = _plainly(each)
        scope, _, own = plain.rpartition(":")
        if prefix and scope and prefix != scope:
            away = _slips(prefix, scope, 2) if prefix not in _NO_PLUGINS else 0
            distance = None if away is None else _plus(away, _slips(role, own, _most(own)))
        elif prefix and not scope:
            distance = _slips(role, own, 0) if prefix in _NO_PLUGINS or prefix == OURS else None
        else:
            distance = _slips(role, own, _most(own))
        if distance is not None and (best is None or (distance, each) < best):
            best = distance, each
    if best:
        return "near", best[1]
    ours = sorted(each for each in names if each.startswith(OURS + ":"))
    return ("near", " or ".join(ours)) if prefix == OURS and ours else ("unknown", None)


def _plus(one: int, other: int | None) -> int | None:
    return None if other is None else one + other


def _plainly(name: str) -> str:
    return name.strip().casefold().replace("_", "-").replace(" ", "-")


def _most(name: str) -> int:
    return 2 if len(name) > 5 else 1


def _slips(one: str, other: str, most: int) -> int | None:
    """How many letters were added, lost, changed or swapped between the two; None when more than `most`."""
    if abs(len(one) - len(other)) > most:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row, older = row, [i], before
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
        if min(row) > most:
            return None
    return row[-1] if row[-1] <= most else None
