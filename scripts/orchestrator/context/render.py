"""Templates of briefings, rendered strictly and in a sandbox, and cut where the items and results go."""

import os
from functools import lru_cache
from typing import Any, Optional

from orchestrator.errors import OrchestratorError
from orchestrator.paths import plugin_root

NAME = "briefing-template.md"
SLOTS = ("shared", "context", "results")


class BadTemplate(OrchestratorError):
    """The template cannot be used; the text says where and why."""


def find(name: str, folders: list[str], here: bool = True) -> str:
    """The text of a template: a path as it is, a bare name from this folder (unless `here` is off: a file that
    happens to lie there steers no briefing unasked), from the folders given, then from the plugin's assets.
    """
    places = [name] if os.sep in name or (here and os.path.isfile(name)) else []
    places += [os.path.join(folder, os.path.basename(name)) for folder in [*folders, _assets()]]
    for place in places:
        try:
            with open(place, encoding="utf-8") as f:
                return f.read()
        except (OSError, UnicodeDecodeError):
            continue
    raise BadTemplate(f"There is no template {name}: looked in {', '.join(places)}.")


def _assets() -> str:
    return os.path.join(plugin_root(), "assets")


def render(text: str, values: dict[str, Any]) -> str:
    """The template with its values; an unknown name or forbidden access is an error, not an empty place."""
    import jinja2

    try:
        return str(_compiled(text).render(**values))
    except jinja2.TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line}" if line else ""
        raise BadTemplate(f"The briefing template is faulty{where}: {_bare(error)}.") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise BadTemplate(f"The briefing template is faulty: {_bare(error)}.") from None


def _bare(error: Exception) -> str:
    return str(error).rstrip(".")


@lru_cache(maxsize=8)
def _compiled(text: str) -> Any:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(text)


def cut(text: str, values: dict[str, Any], filled: Optional[set[str]] = None) -> list[str]:
    """The texts before, between and after the three places where shared items, context items and results go.

    `filled` are the places that will hold something; a template must have each of those exactly once, in that
    order.
    """
    filled = set(SLOTS) if filled is None else filled
    marks = {slot: f"\0{slot}\0" for slot in SLOTS}
    whole = render(text, {**values, **{slot: marks[slot] if slot in filled else "" for slot in SLOTS}})
    wanted = [slot for slot in SLOTS if slot in filled]
    for slot in wanted:
        if whole.count(marks[slot]) != 1:
            raise BadTemplate(f"The briefing template needs {{{{ {slot} }}}} exactly once.")
    if wanted != sorted(wanted, key=lambda slot: whole.index(marks[slot])):
        raise BadTemplate(
            "The briefing template has its places in another order than shared, context, results."
        )
    out = []
    for slot in SLOTS:
        before, _, whole = whole.partition(marks[slot]) if slot in filled else ("", "", whole)
        out.append(before)
    return [*out, whole]
