"""Options of the lists of executions, as plain rows: click makes its own of them, the quick door reads them itself."""

from __future__ import annotations

from orchestrator.services import queries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Optional, Sequence, Union

    class Option(NamedTuple):
        """One option: its names, what it is called in Python, what it takes, its metavar, what help says."""

        names: tuple[str, ...]
        key: str
        kind: Union[str, tuple[str, ...]]
        metavar: Optional[str]
        said: Optional[str]
        default: Any
else:
    Option = lambda *row: row  # noqa: E731  as a class it costs a list its time

FORMATS = ("table", "json", "csv", "markdown")
# what an option takes: words; a since, until or at (times.py); a count from 1; one of several names; nothing (a flag)
FILTERS = (
    Option(("--task",), "task", "words", "ID", "Of this task: T or ORCHESTRATION/T.", None),
    Option(("--agent-type",), "agent_type", "words", None, "Of this agent type; a bare role such as builder is ours.", None),
    Option(("--model",), "model", "words", None, "That used, or else was to use, a model whose name holds this.", None),
    Option(("--status",), "status", queries.STATUSES, None, "In this state; lost ones can no longer end.", None),
    Option(("--origin",), "origin", queries.ORIGINS, None, "Deployed in this way.", None),
    Option(("--since",), "since", "since", None, "Not earlier: 2026-11-20, 2026-11-20T08:30 (UTC), 12h, 7d.", None),
    Option(("--until",), "until", "until", None, "Not later than this; a day is meant whole.", None),
    Option(("--at",), "at", "at", None,
           "At work then: 2026-11-20T15:20 (UTC), at any moment of that minute; 15:20: when the clock last showed it, maybe "
           "yesterday.", None),
    Option(("--text",), "text", "words", None,
           'With these words in scope, result or error; "in quotes": in a row; word*: what begins so.', None),
    Option(("--file",), "file", "words", "PATH", "That read, wrote or left this file, or one below it.", None),
)  # fmt: skip
FORMAT = Option(("--format",), "form", FORMATS, None,
                "How rows are printed; in csv, a text that looks like a formula has an apostrophe before it.",
                "table")  # fmt: skip
LIMIT = Option(("--limit",), "limit", "count", None, "The most rows.", 20)
OF = Option(("--orchestration", "--session-id"), "orchestration", "words", "ID", "Of this orchestration; a prefix will do.", None)
HISTORY = (OF, *FILTERS, LIMIT, FORMAT)


def read(words: Sequence[str], options: Sequence[Option]) -> Optional[dict[str, Any]]:
    """{key: value} of a command line, as click would give it; None for whatever is better left to click."""
    out = {option[1]: option[5] for option in options}
    known = {name: option for option in options for name in option[0]}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name not in known or not equals and not rest:
            return None
        _, key, kind, _, _, _ = known[name]
        if not equals:
            value = rest.pop(0)
        if kind == "count":
            if not (value.isascii() and value.isdigit() and 0 < int(value) < 1_000_000_000):
                return None
            out[key] = int(value)
        elif isinstance(kind, tuple):
            if value not in kind:
                return None
            out[key] = value
        elif kind == "words":
            if not value.strip():
                return None
            out[key] = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        else:
            from orchestrator.edges.cli import times

            try:
                out[key] = times.moment(value, kind)
            except ValueError:
                return None
    return out
