"""The page of settings: the tables in references/settings.md, written from the one in code."""

from __future__ import annotations

from orchestrator.services.settings import PLACES, TABLE, Setting, parse

BEGIN, END = "<!-- generated: settings -->", "<!-- end -->"


def table() -> str:
    """Every setting with each of its names, what it may be, what it is otherwise and what it does."""
    heads = ["config.toml", "environment", "`.env`", "flag", "plugin option", "allowed", "default", "meaning"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for each in TABLE:
        option = f"`{each.name}`" if each.option else ""
        dotenv = _codes(each.variable) if each.dotenv else ""
        cells = [f"`{each.name}`", _codes(each.variable), dotenv, _codes(each.flag), option]
        lines.append("| " + " | ".join([*cells, _allowed(each), _default(each), each.meaning]) + " |")
    lines += ["", "From the environment alone:", "", "| variable | meaning |", "| --- | --- |"]
    return "\n".join(lines + [f"| `{name}` | {meaning} |" for name, meaning in PLACES]) + "\n"


def filled(page: str) -> str:
    """The page with the table as it is now between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n\n" + table() + "\n" + END + rest.partition(END)[2]


def _codes(names: str | None) -> str:
    return ", ".join(f"`{each}`" for each in names.split(", ")) if names else ""


def _allowed(setting: Setting) -> str:
    try:
        return str(parse(setting, ""))
    except ValueError as sentence:
        return str(sentence)


def _default(setting: Setting) -> str:
    if setting.default in (None, ()):
        return "none"
    text = "%g" % setting.default if setting.kind == "seconds" else str(setting.default)
    return f"`{text.lower() if setting.kind == 'switch' else text}`"
