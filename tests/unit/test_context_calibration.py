"""Calibration: margins fitted to a project's own executions, and the error told before and after."""

import json
import random

from orchestrator.context import bundle, margins
from orchestrator.services import calibrate
from orchestrator.services.first_request import first_request
from orchestrator.store.open import open_history

TRUE = {"code": 1.28, "prose": 1.66, "data": 1.2}
BESIDE = {"orchestrator:builder": 19_000, "orchestrator:scout": 9_000}
MODEL = "claude-opus-5-5"


def made(rng, n):
    """Executions of a model whose real margins are not the published ones."""
    out = []
    for _ in range(n):
        counts = (rng.lognormvariate(8.5, 1), rng.lognormvariate(7.5, 1), rng.lognormvariate(6, 1))
        kind = rng.choice(sorted(BESIDE))
        actual = BESIDE[kind] + sum(
            c * f * rng.gauss(1, 0.05) for c, f in zip(counts, TRUE.values(), strict=True)
        )
        out.append(calibrate.Sample(MODEL, kind, counts, actual))
    return out


def test_the_fit_halves_the_error_on_what_it_has_not_seen():
    """From twenty executions on, the held-out error is at most half of that of the published margins."""
    for n in (20, 60):
        fit = calibrate.fit(made(random.Random(n), n))
        assert fit.after[1] < fit.before[1] / 2
        assert fit.executions == n


def test_the_intercepts_are_by_agent_type():
    """An agent type that carries more beside its briefing has the larger intercept, near the truth."""
    fit = calibrate.fit(made(random.Random(1), 80))
    for kind, tokens in BESIDE.items():
        assert abs(fit.overheads[kind] - tokens) < 0.25 * tokens


def test_too_few_executions_teach_nothing():
    """Below twenty executions the published margins hold."""
    assert calibrate.fit(made(random.Random(2), 19)) is None


def transcript(path, tokens, model=MODEL):
    """A transcript whose first answer cost so many tokens, told on two lines as the client does."""
    user = {"type": "user", "message": {"role": "user", "content": "go"}}
    usage = {"input_tokens": 20, "cache_creation_input_tokens": tokens - 520, "cache_read_input_tokens": 500}
    answer = {"type": "assistant", "message": {"id": "m1", "model": model, "usage": usage, "content": []}}
    error = {"type": "assistant", "isApiErrorMessage": True, "message": {"usage": usage, "model": "x"}}
    path.write_text("\n".join(json.dumps(line) for line in (user, error, answer, answer)) + "\nnot json\n")
    return str(path)


def test_the_first_request_is_read_from_the_transcript(tmp_path):
    """The first answered request counts: errors do not, and a message told twice is one."""
    request = first_request(transcript(tmp_path / "a.jsonl", 12_345))
    assert (request.model, request.total, request.read) == (MODEL, 12_345, 500)
    assert first_request(str(tmp_path / "none.jsonl")) is None


def test_a_workflows_request_is_the_one_after_it_fetched_its_briefing(tmp_path):
    """The answer that runs `orchestrator brief`, on several lines, is passed over; without one the first counts."""
    path = tmp_path / "a.jsonl"
    fetch = {"type": "tool_use", "name": "Bash", "input": {"command": "orchestrator brief t1"}}
    said = [("m1", 100, {"type": "text", "text": "I look."}), ("m1", 100, fetch), ("m2", 900, {"type": "text"}), ("m3", 950, {})]

    def written(rows):
        path.write_text("".join(
            json.dumps({"type": "assistant", "message": {
                "id": name, "model": MODEL, "content": [block], "usage": {"input_tokens": tokens}}}) + "\n"
            for name, tokens, block in rows))  # fmt: skip
        return str(path)

    assert first_request(written(said), workflow=True).total == 900
    assert first_request(str(path)).total == 100
    assert first_request(written(said[2:]), workflow=True).total == 900
    assert first_request(written(said[2:3]), workflow=True).total == 900
    assert first_request(written(said[:2]), workflow=True) is None


def test_a_history_calibrates_itself(tmp_path):
    """Executions with a kept bundle and a transcript are enough; what is shown then says on how many it
    stands.
    """
    con = open_history(str(tmp_path / "h.db"))
    for n, sample in enumerate(made(random.Random(5), 24)):
        names = ("a.py", "b.md", "c.json")
        items = [{"source": s, "token_count": round(c)} for s, c in zip(names, sample.counts, strict=True)]
        con.execute(
            "INSERT INTO bundles VALUES (?, 'x', '', '', 0, 'given', 0, ?)",
            (f"bun-{n}", json.dumps({"context_items": items})),
        )
        con.execute(
            "INSERT INTO executions (execution_id, origin, agent_type, bundle_id, deployed_at, status,"
            " transcript_path)"
            " VALUES (?, 'planned', ?, ?, ?, 'completed', ?)",
            (
                f"exec-{n}",
                sample.agent_type,
                f"bun-{n}",
                f"2026-01-01T00:00:{n:02}.000Z",
                transcript(tmp_path / f"{n}.jsonl", round(sample.actual)),
            ),
        )
    assert calibrate.known(con, MODEL) is None
    calibrate.refresh(con)
    known = calibrate.known(con, MODEL)
    assert known.executions == 24
    assert calibrate.known(con, "") == known  # these executions were asked for without naming a model
    assert calibrate.known(con, "sonnet") is None
    (tmp_path / "x.py").write_text("x = 1\n" * 50)
    made_bundle = bundle.prepare(
        str(tmp_path), ["x.py"], agent_type="a", scope="s", model=MODEL, calibration=known
    )
    assert made_bundle.as_json()["expected"]["how"] == "calibrated on 24 executions"
    assert "calibrated on 24 executions" in calibrate.lines(calibrate.calibrate(con))[0]


def test_a_model_that_cannot_take_the_bundle_refuses_it(tmp_path):
    """What fits by our count but not by the model's own is refused before anything is deployed (S2-26,
    S2-41).
    """
    items = [bundle.Item("file", "a.py", tokens=140_000)]
    assert margins.room("claude-sonnet-4-5")(items) is None
    assert "takes 200,000" in margins.room("claude-opus-4-8")(items)
    assert margins.room("") is None
