"""Options that several commands share: forms, times, limits, names by comma."""

from typing import Any, Callable, Optional, Sequence

import click

from orchestrator.edges.cli.asked import FILTERS, FORMAT, LIMIT, Option


class Words(click.ParamType):
    """A text from the command line; what is no UTF-8 in it is replaced. An empty one is a shell's unset variable."""

    name = "TEXT"

    def __init__(self, empty: bool = False) -> None:
        self.empty = empty

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> str:
        """The text as it can be kept."""
        text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if not (self.empty or text.strip()):
            self.fail("it is empty: give it a value, or leave it out.", param, ctx)
        return text


WORDS, MAYBE_EMPTY = Words(), Words(empty=True)  # what names something, or asks for it; what is kept


class Moment(click.ParamType):
    """A time: 2026-11-20, 2026-11-20T08:30, with Z or an offset, 15:20, or as long ago as 30m, 12h, 7d; in UTC.

    Its value is a time as the history writes it (times.py).
    """

    name = "TIME"

    def __init__(self, kind: str = "since") -> None:
        self.kind = kind

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> str:
        """The time as UTC text in milliseconds."""
        from orchestrator.edges.cli import times

        try:
            return times.moment(str(value), self.kind)
        except ValueError:
            self.fail(
                f"{str(value)[:40]!r} is no time: write 2026-11-20, 2026-11-20T08:30, 15:20, or 30m, 12h, 7d ago.", param, ctx
            )


def options(rows: Sequence[Option]) -> Callable[[Any], Any]:
    """The options of a list, from their plain rows (asked.py)."""

    def add(command: Any) -> Any:
        for names, key, kind, metavar, said, default in reversed(rows):
            kinds: Any = {"words": WORDS, "count": click.IntRange(1, 999_999_999)}
            taken = click.Choice(kind) if isinstance(kind, tuple) else kinds.get(kind) or Moment(kind)
            command = click.option(
                *names, key, type=taken, metavar=metavar, help=said, default=default, show_default=default is not None
            )(command)
        return command

    return add


def form() -> Callable[[Any], Any]:
    """The option that says in which form rows are printed."""
    return options([FORMAT])


def period(command: Any) -> Any:
    """The options --since and --until."""
    return options([option for option in FILTERS if option[1] in ("since", "until")])(command)


def limit(most: int) -> Callable[[Any], Any]:
    """The option that says how many rows are printed at most."""
    return options([Option(*LIMIT[:-1], most)])


def names(given: tuple[str, ...]) -> list[str]:
    """Names given one by one or by comma."""
    return [name.strip() for each in given for name in each.split(",") if name.strip()]
