"""Settings: the one table of them all, and what is in force for whoever reads a history.

In order: a command's flag, the environment, the project's own files (`.env` and `config.toml`, which only
the command line reads and keeps in `meta` as `setting.<name>`; edges/config.py), the plugin's options (of
this hook, else as a session's start left them in `option.<name>`), the default. A value that is not allowed
counts for nothing here: a hook has nobody to tell; the command line tells.
"""

from orchestrator.paths import variable

OPTION = "CLAUDE_PLUGIN_OPTION_"  # the client's prefix; only hooks see these


class Setting:
    """One setting: its names, what it may be, what it is otherwise, what it does."""

    __slots__ = ("name", "kind", "default", "variable", "dotenv", "option", "flag", "allowed", "meaning")

    def __init__(self, name, kind, default, variable=None, dotenv=False, option=False, flag="", allowed=(),
                 meaning=""):  # fmt: skip
        self.name, self.kind, self.default = name, kind, default  # the name is also config.toml's key
        self.variable, self.dotenv, self.option, self.flag = variable, dotenv, option, flag
        self.allowed, self.meaning = allowed, meaning


# kind: choice (of `allowed`), whole (from, to), seconds (from, to), switch, name, path, patterns
TABLE = (
    Setting(
        "driver", "choice", "auto", "ORCHESTRATOR_DRIVER", option=True, flag="plan --driver, next --driver",
        allowed=("auto", "workflow", "conversation"),
        meaning="How a plan is run: by the client's Workflow tool, by Agent calls, or by what fits it.",
    ),
    Setting(
        "max_parallel_agents", "whole", 5, "ORCHESTRATOR_MAX_PARALLEL_AGENTS", dotenv=True, option=True,
        allowed=(1, 1000),
        meaning="How many agents of a plan may be at work at once.",
    ),
    Setting(
        "default_model", "name", None, "DEFAULT_MODEL", dotenv=True, option=True, flag="task add --model",
        meaning="The model of tasks that name none, if it is one of Claude's; else the client decides.",
    ),
    Setting(
        "budget_tokens", "whole", None, "ORCHESTRATOR_BUDGET_TOKENS", flag="task add --budget-tokens",
        allowed=(1000, 10000000),
        meaning="The most tokens of a briefing whose task names no budget; without it the model's window.",
    ),
    Setting(
        "history", "path", None, "ORCHESTRATOR_DB_PATH", dotenv=True, flag="--db",
        meaning="The history's file, relative to the project; without it `history.db` in the workspace. "
        "From `.env` and config.toml only a path inside the project is taken.",
    ),
    Setting(
        "monitor_interval_seconds", "seconds", 15.0, "MONITOR_INTERVAL_SECONDS", dotenv=True,
        flag="status --every", allowed=(0.1, 86400),
        meaning="How often a watching command looks again.",
    ),
    Setting(
        "cost_tracking", "switch", True, "ENABLE_COST_TRACKING", dotenv=True,
        meaning="false: tokens are counted, but no cost is worked out of them.",
    ),
    Setting(
        "observability", "switch", True, "ENABLE_OBSERVABILITY", dotenv=True,
        meaning="false: only orchestrations are recorded; agents that belong to none leave no trace.",
    ),
    Setting(
        "log_level", "choice", "error", "ORCHESTRATOR_LOG_LEVEL", dotenv=True,
        allowed=("error", "warning", "info", "debug"),
        meaning="What the hooks' log in the workspace holds: error, warning: where they failed unexpectedly; "
        "info: also what each decided and why; debug: also what came in. With debug in the environment "
        "commands show where they failed.",
    ),
    Setting(
        "redact", "patterns", (),
        meaning="Regular expressions of your own for what is masked before anything is kept, "
        "beside the secrets that are known.",
    ),
)  # fmt: skip
BY_NAME = {each.name: each for each in TABLE}

# Places and switches, from the environment alone: they are read before there is a project.
PLACES = (
    ("ORCHESTRATOR_PROJECT", "The project; else the one around the working folder (also `--project`)."),
    ("ORCHESTRATOR_DATA", "The data folder; else `orchestrator` in `$XDG_DATA_HOME` or `~/.local/share`."),
    ("ORCHESTRATOR_PYTHON", "The interpreter that builds the environment; hooks try it first, too."),
    ("ORCHESTRATOR_OFF", "`1`: nothing is recorded anywhere (`orchestrator off` is for one project)."),
)


def parse(setting, text):
    """The value that a text means. ValueError says what is allowed."""
    kind, allowed, text = setting.kind, setting.allowed, text.strip()
    if kind == "choice":
        if text.lower() in allowed:
            return text.lower()
        raise ValueError("one of " + ", ".join(allowed))
    if kind == "whole":
        if text.isascii() and text.isdigit() and len(text) < 12 and allowed[0] <= int(text) <= allowed[1]:
            return int(text)
        raise ValueError("a whole number from %d to %d" % allowed)
    if kind == "seconds":
        try:
            if text.isascii() and "_" not in text and allowed[0] <= float(text) <= allowed[1]:
                return float(text)
        except ValueError:
            pass
        raise ValueError("a number of seconds from %g to %g" % allowed)
    if kind == "switch":
        if text.lower() in ("true", "1", "yes", "on", "false", "0", "no", "off"):
            return text.lower() in ("true", "1", "yes", "on")
        raise ValueError("true or false")
    if kind == "name":
        if text and len(text) <= 200 and text.isprintable() and " " not in text:
            return text
        raise ValueError("one word of at most 200 characters")
    if kind == "path":
        if text and len(text) <= 4096 and text.isprintable():
            return text
        raise ValueError("a path")
    return _patterns(text)


def _patterns(text):
    import json
    import re

    try:
        found = json.loads(text)
        if isinstance(found, list) and len(found) <= 50 and all(_is_pattern(each, re) for each in found):
            return tuple(found)
    except (ValueError, re.error, RecursionError, OverflowError):
        pass
    raise ValueError("a list of at most 50 regular expressions that do not match the empty text")


def _is_pattern(each, re):
    return isinstance(each, str) and len(each) <= 500 and not re.compile(each).match("")


def tried(setting, value):
    """A value as it is, once it was tried. ValueError says what is wrong with one of the user's own patterns."""
    from orchestrator.model import deadline

    for pattern in value if setting.kind == "patterns" else ():
        piece = deadline.tried(pattern)
        if piece is not None:
            raise ValueError("a list of regular expressions that end in time: %s takes too long for a text such as %s"
                             % (pattern[:60], repr(piece * 3)[1:-1] + "…"))
    return value


def in_force(con, name):
    """(value, where it is from: environment, file, option or default) of a setting."""
    setting = BY_NAME[name]
    keys = ("setting." + name, "option." + name)
    kept = dict(con.execute("SELECT key, value FROM meta WHERE key = ? UNION ALL SELECT key, value FROM meta WHERE key = ?",
                            keys).fetchall())
    option = variable(OPTION + name.upper()) if setting.option else None
    for text, where in (
        (variable(setting.variable) if setting.variable else None, "environment"),
        (kept.get("setting." + name), "file"),
        (option or kept.get("option." + name), "option"),
    ):
        if text:
            try:
                return parse(setting, text), where
            except ValueError:
                pass
    return setting.default, "default"


def value(con, name):
    """A setting's value in force."""
    return in_force(con, name)[0]


def limit(con):
    """How many planned agents may be at work at once."""
    return value(con, "max_parallel_agents")


def model(con):
    """The model of tasks that name none, if it is one of Claude's (DEFAULT_MODEL may be another program's); None: the
    client decides."""
    asked = value(con, "default_model")
    return asked if asked and any(word in asked for word in ("claude", "haiku", "sonnet", "opus")) else None


def driver(con):
    """auto, workflow or conversation."""
    return value(con, "driver")


def seconds_between(con):
    """How often a watching command looks again."""
    return value(con, "monitor_interval_seconds")


def keep_options(con):
    """Keeps the plugin's options, which only hooks see, for the command line; in the caller's transaction."""
    rows = con.execute("SELECT key, value FROM meta WHERE key >= 'option.' AND key < 'option/'").fetchall()
    found = [("option." + each.name, variable(OPTION + each.name.upper())) for each in TABLE if each.option]
    now = {key: text for key, text in found if text}
    if now != dict(rows):
        con.execute("DELETE FROM meta WHERE key >= 'option.' AND key < 'option/'")
        con.executemany("INSERT INTO meta VALUES (?, ?)", list(now.items()))
