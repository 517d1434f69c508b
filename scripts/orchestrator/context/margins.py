"""Margins: what our counts become in a model's own tokens, and how much a model can take.

The figures and their sources stand in assets/margins.json. Once enough executions have been recorded, figures
fitted to their real usage take the place of the published ones (services/calibrate.py).
"""

import fnmatch
import json
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Callable, Iterable, Mapping, Optional

from orchestrator.context.items import Item
from orchestrator.paths import plugin_root

DEFAULT_WINDOW = 200_000
KINDS = ("code", "prose", "data")
_PROSE = {".md", ".markdown", ".rst", ".txt", ".adoc", ".tex", ".org", ".html", ".htm", ""}
_DATA = {
    ".json",
    ".jsonl",
    ".yaml",
    ".yml",
    ".toml",
    ".xml",
    ".csv",
    ".tsv",
    ".ini",
    ".cfg",
    ".lock",
    ".svg",
    ".po",
}


@dataclass(frozen=True)
class Calibration:
    """Factors and intercepts fitted to the real usage of some executions of one model."""

    executions: int
    factors: Mapping[str, float]
    overheads: Mapping[str, float] = field(default_factory=dict)  # by agent type; "" for any other


@lru_cache(maxsize=1)
def table() -> Any:
    """The published figures."""
    with open(os.path.join(plugin_root(), "assets", "margins.json"), encoding="utf-8") as f:
        return json.load(f)


def kind(source: str) -> str:
    """What kind of text a source holds, by its ending: code, prose or data. Briefings are prose."""
    if " " in source and "." not in source.rpartition(" ")[2]:
        return "prose"
    ending = os.path.splitext(source)[1].lower()
    return "data" if ending in _DATA else "prose" if ending in _PROSE else "code"


def window(model: str) -> int:
    """The context window of a model; 200,000 where it is not known."""
    return known_window(model) or int(table()["default_window"])


def known_window(model: str) -> Optional[int]:
    """The context window of a model, if the table knows it."""
    for row in table()["windows"]:
        if _matches(model, row["models"]):
            return int(row["tokens"])
    return None


def factors(model: str) -> tuple[Mapping[str, float], str]:
    """(what a count of each kind is multiplied by, how that is known)."""
    for family in table()["families"]:
        if _matches(model, family["models"]):
            return family["factors"], f"published margins of {family['name']}"
    return table()["unknown"], "the largest published margins: the model is not known"


def _matches(model: str, patterns: Iterable[str]) -> bool:
    return bool(model) and any(fnmatch.fnmatchcase(model.lower(), pattern) for pattern in patterns)


def overhead(agent_type: str, calibration: Optional[Calibration] = None) -> int:
    """The tokens that an agent's first request has beside its briefing."""
    if calibration and calibration.overheads:
        known = calibration.overheads
        return round(known.get(agent_type, known.get("", table()["overhead"]["tokens"])))
    return int(table()["overhead"]["tokens"])


def expected(
    model: str, items: Iterable[tuple[str, int]], calibration: Optional[Calibration] = None
) -> tuple[int, str]:
    """(the tokens of these sources as the model will count them, how that is known)."""
    published, how = factors(model)
    used = published
    if calibration:
        used, how = calibration.factors, f"calibrated on {calibration.executions} executions"
    return round(sum(tokens * used.get(kind(source), published["prose"]) for source, tokens in items)), how


def room(
    model: str, agent_type: str = "", calibration: Optional[Calibration] = None
) -> Optional[Callable[[list[Item]], Optional[str]]]:
    """A check that the model's own window, where it is known, takes the items and what stands beside them."""
    limit = known_window(model)
    if limit is None:
        return None
    beside = overhead(agent_type, calibration)

    def check(items: list[Item]) -> Optional[str]:
        tokens, how = expected(model, [(i.source, i.tokens) for i in items], calibration)
        if tokens + beside <= limit:
            return None
        return (
            f"{model} will count about {tokens:,} tokens ({how}) and {beside:,} beside them, "
            f"and takes {limit:,}."
        )

    return check
