"""Bundles: the items of one execution, measured against a budget, with an id made of what they hold."""

import time
from dataclasses import dataclass, field
from typing import Any, Iterable, Optional

from orchestrator.context import briefing, budget, margins
from orchestrator.context.items import Item, Request, Shelf, gather
from orchestrator.context.tokens import ESTIMATE, EXACT, Counter
from orchestrator.errors import OrchestratorError
from orchestrator.model.redact import redact


class BadItems(OrchestratorError):
    """Some of what was asked for cannot be given; the text lists every fault."""


@dataclass
class Bundle:
    """What one execution is given, item by item in the order it is read."""

    agent_type: str
    scope: str
    items: list[Item]
    budget: int
    model: str = ""
    created_at: str = field(default_factory=lambda: stamp())
    calibration: Optional[margins.Calibration] = None
    shared: int = 0  # how many items, from the first, are shared with siblings

    def __post_init__(self) -> None:
        said = (self.agent_type, self.scope, self.model)
        if mask_names(self.items, said):
            self.agent_type, self.scope, self.model = map(_masked, said)

    @property
    def bundle_id(self) -> str:
        """`bun-` and a hash of the items and their order; not of when, for whom or what is left."""
        return briefing.bundle_id_of([key_of(item) for item in self.items])

    @property
    def total_tokens(self) -> int:
        """The tokens of everything that is sent."""
        return sum(item.tokens for item in self.items)

    @property
    def how(self) -> str:
        """How they were counted: exactly only if all were."""
        return EXACT if all(item.how == EXACT for item in self.items if item.included) else ESTIMATE

    def as_json(self) -> dict[str, Any]:
        """The seed's bundle JSON; how, budget, model and expected are ours."""
        expected, margin_how = margins.expected(
            self.model, [(i.source, i.tokens) for i in self.items], self.calibration
        )
        keys = [key_of(item) for item in self.items]
        return {
            "bundle_id": briefing.bundle_id_of(keys),
            "agent_type": self.agent_type,
            "scope": self.scope,
            "created_at": self.created_at,
            "context_items": [{**i.as_json(), "key": key} for i, key in zip(self.items, keys, strict=True)],
            "total_tokens": self.total_tokens,
            "budget_remaining": self.budget - self.total_tokens,
            "how": self.how,
            "budget": self.budget,
            "model": self.model or None,
            "expected": {"tokens": expected, "how": margin_how},
        }


def _masked(text: str) -> str:
    return redact(text)[0]


def mask_names(items: Iterable[Item], more: Iterable[str] = ()) -> bool:
    """Masks the secrets in the names of items: their text has none already. Whether there was any, there or in `more`."""
    items = list(items)
    names = "\n".join([*more, *[item.label for item in items]])  # looked through once: hardly ever is there anything
    if _masked(names) == names:
        return False
    for item in items:
        if _masked(item.source) != item.source:
            item.source, item.file = _masked(item.source), None  # not found again: sent as it is now
        item.sections = [_masked(each) for each in item.sections]
    return True


def key_of(item: Item) -> str:
    """What stands for an item in the bundle's id."""
    return briefing.item_key(item.source, "\x1e".join(item.sections), item.form, item.sent_hash)


def stamp() -> str:
    """The present as UTC text in milliseconds."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03dZ" % (now * 1000 % 1000)


def prepare(
    project_root: str,
    files: Iterable[str] = (),
    references: Iterable[str] = (),
    optional: Iterable[str] = (),
    *,
    agent_type: str = "",
    scope: str = "",
    allowed: Optional[int] = None,
    model: str = "",
    counter: Optional[Counter] = None,
    calibration: Optional[margins.Calibration] = None,
) -> Bundle:
    """The bundle of these files (required), references (recommended) and optional files.

    Raises one error that lists every fault, or says what is too large.
    """
    requests = [Request(spec, "file", "required") for spec in files]
    requests += [Request(spec, "reference", "recommended") for spec in references]
    requests += [Request(spec, "file", "optional") for spec in optional]
    items, faults = gather(Shelf(project_root), requests)
    if faults:
        raise BadItems(" ".join(faults))
    mask_names(items)
    allowed = allowed or margins.window(model)
    budget.fit(
        items, allowed, counter or Counter(remember=True), 0, margins.room(model, agent_type, calibration)
    )
    return Bundle(agent_type, scope, items, allowed, model, calibration=calibration)
