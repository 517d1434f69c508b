"""Calibration: margins fitted to this project's own history, each model's real first requests against our
counts.

The fit is a least-squares line per model: a factor for each kind of text and an intercept for each agent
type, held near the published figures where the history says little. Its error is measured on executions it
has not seen.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Iterable, Optional, Sequence

from orchestrator.context import margins
from orchestrator.context.margins import KINDS, Calibration
from orchestrator.services.first_request import of_execution
from orchestrator.store.open import writing

ENOUGH = 20  # executions of a model before its figures are its own
HELD_OUT = 4  # each fourth execution is not fitted but predicted
PULL = 0.02  # how strongly the published figures hold, against one execution of typical size


@dataclass(frozen=True)
class Sample:
    """One execution: our count of its briefing by kind of text, and the tokens of its first request."""

    model: str
    agent_type: str
    counts: tuple[float, ...]
    actual: float
    asked: str = ""  # the model as the plan names it, "" for none


@dataclass(frozen=True)
class Fit:
    """What was learned for one model, and the error on the held-out part before and after (median and 95th
    %).
    """

    model: str
    executions: int
    factors: dict[str, float]
    overheads: dict[str, float]
    before: tuple[float, float]
    after: tuple[float, float]


def samples(con: Any) -> list[Sample]:
    """Every execution whose bundle is kept and whose transcript can still be read."""
    found = []
    for execution, agent_type, path, body, workflow, asked in con.execute(
        "SELECT e.execution_id, e.agent_type, e.transcript_path, b.body, e.runtime = 'workflow', COALESCE(e.model, '')"
        " FROM executions e JOIN bundles b USING (bundle_id)"
        " WHERE e.transcript_path IS NOT NULL AND e.status != 'deployed' ORDER BY e.deployed_at"
    ).fetchall():
        request = of_execution(con, execution, path, bool(workflow))
        if request is None:
            continue
        counts: Counter[str] = Counter()
        for item in json.loads(body)["context_items"]:
            counts[margins.kind(item["source"])] += item["token_count"]
        found.append(
            Sample(
                request.model, agent_type, tuple(float(counts[k]) for k in KINDS), float(request.total), asked
            )
        )
    return found


def fit(found: Sequence[Sample]) -> Optional[Fit]:
    """The fit of one model's executions; None while there are too few."""
    if len(found) < ENOUGH:
        return None
    learn = [s for place, s in enumerate(found) if place % HELD_OUT != HELD_OUT - 1]
    held = [s for place, s in enumerate(found) if place % HELD_OUT == HELD_OUT - 1]
    model = found[0].model
    published, _ = margins.factors(model)
    trial = _solve(learn, published)
    before = _errors(held, Calibration(0, published), plain=True)
    after = _errors(held, trial)
    final = _solve(found, published)
    return Fit(model, len(found), dict(final.factors), dict(final.overheads), before, after)


def _solve(found: Sequence[Sample], published: Any) -> Calibration:
    """Ridge regression towards the published factors and the common overhead, by normal equations."""
    types = sorted({s.agent_type for s in found})
    size = len(KINDS) + len(types)
    prior = [float(published[k]) for k in KINDS] + [float(margins.overhead(""))] * len(types)
    scale = [max(1.0, sum(s.counts[k] for s in found) / len(found)) for k in range(len(KINDS))] + [1.0] * len(
        types
    )
    matrix = [[0.0] * size for _ in range(size)]
    right = [0.0] * size
    for sample in found:
        row = [*sample.counts] + [1.0 if sample.agent_type == t else 0.0 for t in types]
        weight = 1.0 / max(sample.actual, 1.0) ** 2  # relative errors count, not the largest briefings alone
        for i in range(size):
            for j in range(size):
                matrix[i][j] += weight * row[i] * row[j]
            right[i] += weight * row[i] * sample.actual
    for i in range(size):
        pull = PULL * len(found) * scale[i] ** 2 / _typical(found) ** 2
        matrix[i][i] += pull
        right[i] += pull * prior[i]
    solved = _gauss(matrix, right)
    overheads = {t: max(0.0, solved[len(KINDS) + place]) for place, t in enumerate(types)}
    overheads[""] = sum(overheads.values()) / len(overheads)
    return Calibration(len(found), dict(zip(KINDS, (max(0.5, x) for x in solved), strict=False)), overheads)


def _typical(found: Sequence[Sample]) -> float:
    return max(1.0, sum(s.actual for s in found) / len(found))


def _gauss(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solves a small positive definite system."""
    size = len(right)
    rows = [[*matrix[i], right[i]] for i in range(size)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, size):
            share = rows[r][i] / rows[i][i]
            for c in range(i, size + 1):
                rows[r][c] -= share * rows[i][c]
    out = [0.0] * size
    for i in reversed(range(size)):
        out[i] = (rows[i][size] - sum(rows[i][c] * out[c] for c in range(i + 1, size))) / rows[i][i]
    return out


def predict(sample: Sample, calibration: Calibration, plain: bool = False) -> float:
    """The first request's tokens as a calibration, or the published margins alone, would have them."""
    text = sum(n * calibration.factors[k] for n, k in zip(sample.counts, KINDS, strict=True))
    return text + margins.overhead(sample.agent_type, None if plain else calibration)


def _errors(held: Sequence[Sample], calibration: Calibration, plain: bool = False) -> tuple[float, float]:
    off = sorted(abs(predict(s, calibration, plain) - s.actual) / max(1.0, s.actual) for s in held)
    return (off[len(off) // 2], off[min(len(off) - 1, int(0.95 * len(off)))]) if off else (0.0, 0.0)


def calibrate(con: Any) -> list[Fit]:
    """Fits every model that has enough executions, and keeps what was learned."""
    by_model: dict[str, list[Sample]] = {}
    for sample in samples(con):
        by_model.setdefault(sample.model, []).append(sample)
    fits = [made for made in (fit(each) for each in by_model.values()) if made]
    with writing(con):
        con.executemany(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            [("calibration." + made.model, json.dumps(asdict(made))) for made in fits]
            + [("calibration_of." + s.asked, s.model) for each in by_model.values() for s in each],
        )
    return fits


def refresh(con: Any) -> None:
    """Calibrates again when the history has grown by a fifth since it was done last."""
    ended = con.execute(
        "SELECT count(*) FROM executions WHERE transcript_path IS NOT NULL AND bundle_id IS NOT NULL"
        " AND status != 'deployed'"
    ).fetchone()[0]
    row = con.execute("SELECT value FROM meta WHERE key = 'calibrated_at_executions'").fetchone()
    if ended >= ENOUGH and ended >= 1.2 * int(row[0] if row else 0):
        calibrate(con)
        with writing(con):
            con.execute("INSERT OR REPLACE INTO meta VALUES ('calibrated_at_executions', ?)", (str(ended),))


def known(con: Any, model: str) -> Optional[Calibration]:
    """What was learned for a model, by its id or as plans name it ("" where they name none), if anything."""
    row = con.execute(
        "SELECT value FROM meta WHERE key = 'calibration.' || ?1 OR key = 'calibration.' ||"
        " (SELECT value FROM meta WHERE key = 'calibration_of.' || ?1) ORDER BY key = 'calibration.' || ?1 DESC",
        (model,),
    ).fetchone()
    if row is None:
        return None
    kept = json.loads(row[0])
    return Calibration(kept["executions"], kept["factors"], kept["overheads"])


def lines(fits: Iterable[Fit]) -> list[str]:
    """What was learned, for a person."""
    out = []
    for made in fits:
        used = ", ".join(f"{kind} x{made.factors[kind]:.2f}" for kind in KINDS)
        before, after = (
            f"{100 * error[0]:.1f} % and {100 * error[1]:.1f} %" for error in (made.before, made.after)
        )
        out.append(
            f"{made.model}: calibrated on {made.executions} executions; {used}; error on the held-out part, "
            f"median and p95: {before} before, {after} after"
        )
    return out
