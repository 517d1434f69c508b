"""The tables of references/settings.md, written from the one in code; a block of tests/docs.py."""

from orchestrator.services.settings import PLACES, TABLE, parse


def table():
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


def _codes(names):
    return ", ".join(f"`{each}`" for each in names.split(", ")) if names else ""


def _allowed(setting):
    try:
        return str(parse(setting, ""))
    except ValueError as sentence:
        return str(sentence)


def _default(setting):
    if setting.default in (None, ()):
        return "none"
    text = "%g" % setting.default if setting.kind == "seconds" else str(setting.default)
    return f"`{text.lower() if setting.kind == 'switch' else text}`"
