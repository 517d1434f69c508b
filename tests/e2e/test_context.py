"""Context in the real client: siblings that begin alike, what a prompt cache makes of that, calibration, replay."""

import json
import time
from itertools import combinations
from pathlib import Path

import clients
from orchestrator.edges.scripted_model import Play, Reply, call
from orchestrator.model.ids import content_hash
from plays import ask, deploy, main, results, shell, submit, task

BYTES_PER_TOKEN = 3.1  # of the scripted model's own tokenizer, which is not ours
LOOK_BACK = 20  # blocks before a mark that the API looks at for something it has kept
ENOUGH = 20  # executions that calibrate a model
ENDED = "SELECT count(*) FROM executions WHERE status = 'completed'"
EXECUTION = "SELECT execution_id FROM executions WHERE task_id = ? ORDER BY deployed_at"


def blocks(request):
    """A request as the blocks that a prompt cache sees, in its order: (text, whether the client marked it)."""
    out = []
    for part in [request.body.get("tools") or [], request.body["system"], *[m["content"] for m in request.messages]]:
        for block in [part] if isinstance(part, str) else part:
            bare = block if isinstance(block, str) else {k: v for k, v in block.items() if k != "cache_control"}
            out.append((json.dumps(bare, sort_keys=True), isinstance(block, dict) and "cache_control" in block))
    return out


class PromptCache:
    """What the API says a request used: prefixes of whole blocks are kept at the client's marks, and read from there."""

    def __init__(self):
        self.kept = set()
        self.said = {}  # agent: the usage of its requests

    def __call__(self, request):
        """The usage of a request."""
        found = blocks(request)
        sizes = [round(len(text.encode()) / BYTES_PER_TOKEN) for text, _ in found]
        prefixes = [(request.model, tuple(text for text, _ in found[: n + 1])) for n in range(len(found))]
        marks = [n for n, (_, marked) in enumerate(found) if marked]
        read = max([n + 1 for m in marks for n in range(max(0, m - LOOK_BACK), m + 1) if prefixes[n] in self.kept] or [0])
        written = max(marks) + 1
        self.kept.update(prefixes[n] for n in marks)
        usage = {
            "input_tokens": sum(sizes[written:]) + 1,
            "cache_creation_input_tokens": sum(sizes[read:written]),
            "cache_read_input_tokens": sum(sizes[:read]),
        }
        self.said.setdefault(request.agent_id, []).append(usage)
        wrote = usage["cache_creation_input_tokens"]
        return {**usage, "cache_creation": {"ephemeral_5m_input_tokens": wrote, "ephemeral_1h_input_tokens": 0}}

    def says(self, *parts):
        """A reply with the usage of its request."""
        return lambda request: Reply(*parts, usage=self(request))


def until(true):
    """Waits for something that comes by itself."""
    end = time.monotonic() + 30
    while not true() and time.monotonic() < end:
        time.sleep(0.05)


def siblings(project, names):
    """Tasks that share a page, each with one of its own: code, prose or data of different length."""
    (project / "shared.md").write_text("# Shared\n\n" + "".join("rule %d: words and more words\n" % n for n in range(300)))
    (project / "own").mkdir()
    for n, name in enumerate(names):
        kind, line = [("py", "x%d = f(%d, [y], z)\n"), ("md", "Page %d tells of %d things.\n"), ("json", '{"k%d": %d}\n')][n % 3]
        (project / "own" / f"{name}.{kind}").write_text("".join(line % (k, k * n) for k in range(30 + 25 * n)))
    return [task(n, files=["shared.md", f"own/{n}.*"]) for n in names]


def kept_beginning(project, text):
    """Whether a briefing's beginning, up to its task, is the shared part that was prepared for all of them."""
    ((shared,),) = ask(project, "SELECT DISTINCT shared_hash FROM prepared WHERE shared_hash IS NOT NULL")
    head, _, _ = text.partition("\n# Task ")
    return head.startswith("# Shared context") and "rule 299" in head and content_hash(head.encode()) == shared


def account(group, number, cache, agents):
    """Whether what `stats --cache` says of each execution is what the model's side said of its request of that number."""
    agent = {row["task_id"]: row["agent_id"] for row in agents}
    told = {each["task_id"]: [each["fresh"], each["written"], each["read"]] for each in group["executions"]}
    return told == {
        name: [value for key, value in cache.said[agent[name]][number].items() if key != "cache_creation"] for name in told
    }


def test_siblings_their_cache_calibration_and_a_replay(claude, project, rows):
    """Siblings begin alike, byte for byte; what twenty of them used calibrates the margins; one is replayed.

    Twenty on the newest client; three on the other, which calibrate nothing, and that is said. In the requests of any
    two siblings everything up to the end of the shared part is the same: tools, system, blocks before, and the
    briefing's beginning. The replay gets the identical briefing on another model (S2-50, S0-72).
    """
    cache, enough = PromptCache(), claude.client.version == clients.NEWEST
    names = ["t%d" % n for n in range(1, (ENOUGH if enough else 3) + 1)]
    tasks = siblings(project, names)

    def steps():
        yield submit(*tasks)
        yield [deploy(name) for name in names]
        while ask(project, ENDED) != [(len(names),)]:
            yield "waiting"
        yield [shell("orchestrator bundle calibrate"), shell("orchestrator stats --cache --json")]
        ((name,),) = ask(project, EXECUTION, "t2")
        yield [shell(f"orchestrator replay {name} --model haiku"), shell("orchestrator status")]
        ((replay,),) = ask(project, "SELECT task_id FROM tasks WHERE task_id LIKE 'replay-%'")
        yield deploy(replay)
        while ask(project, ENDED) != [(len(names) + 1,)]:
            yield "waiting"
        ((path,),) = ask(project, "SELECT transcript_path FROM executions WHERE task_id = ?", replay)
        file = Path(path)  # its last words are written a moment after it said them
        until(lambda: file.exists() and "t2 done" in file.read_text())
        more = task("later", files=["own/t2.md"])
        yield [shell(f"orchestrator replay {name} --compare --json"), submit(more)]
        yield "finished"

    script = steps()

    def drive(_):
        step = next(script, "finished")
        return Reply(step if isinstance(step, list) else [step])

    play = Play().when(main, drive)
    for name in names:
        play.when("DO %s." % name, cache.says(name + " done"))
    many = {"ORCHESTRATOR_MAX_PARALLEL_AGENTS": "30"}
    agreed = ("--allowedTools", "Bash(orchestrator replay:*)")  # a second time is paid for again: the user is asked
    run = claude.run("go", play, project, *agreed, env=many, timeout=150)
    assert run.text == "finished", [results(r) for r in run.main_requests[1:] if r.last_results]

    firsts = {name: run.agent_requests("DO %s." % name)[0] for name in names}
    for one, other in combinations(list(firsts.values())[:5], 2):
        a, b = blocks(one), blocks(other)
        place = next(n for n, pair in enumerate(zip(a, b, strict=False)) if pair[0][0] != pair[1][0])
        assert "# Shared context" in a[place][0]  # nothing differs before the briefing's own block
    assert all(kept_beginning(project, request.first_text) for request in firsts.values())

    said = {answer for request in run.main_requests[1:] for answer in (results(request) if request.last_results else [])}
    if enough:
        (learned,) = [s for s in said if "error on the held-out part" in s]
        assert "calibrated on 20 executions" in learned
        before, after = [float(p.split(" %")[0]) for p in learned.split("median and p95: ")[1].split(" and ")[1:3]]
        assert after < before / 2
    else:
        assert any("No model has 20 executions" in s and "the published margins hold" in s for s in said)

    (groups,) = [json.loads(s) for s in said if s.startswith("[") and "shared_tokens" in s]
    (group,) = groups
    assert group["without_transcript"] == 0 and len(group["executions"]) == len(names)
    assert account(group, 0, cache, rows(project, "SELECT task_id, agent_id FROM executions"))
    assert group["read"] == sum(each["read"] for each in group["executions"][1:]) > 0

    again = [r for r in run.requests if r.agent_id and r.first_text == firsts["t2"].first_text]
    assert [("haiku" in r.model) for r in again] == [False, True]
    (runs,) = [json.loads(s) for s in said if '"briefing_hash"' in s]
    assert [r["result"] for r in runs] == ["t2 done", "t2 done"] and len({r["briefing_hash"] for r in runs}) == 1
    assert "haiku" in runs[1]["model"] and runs[0]["model"] != runs[1]["model"] and all(r["input_tokens"] for r in runs)

    body = rows(project, "SELECT b.body FROM prepared JOIN bundles b USING (bundle_id) WHERE task_id = 'later'")[0]["body"]
    how = json.loads(body)["expected"]["how"]
    assert how == "calibrated on 20 executions" if enough else "published margins" in how


def test_a_workflows_siblings_get_the_same_beginning(claude, project, rows):
    """Each agent fetches a briefing that begins with the shared part; its request after that is what is counted.

    Before that stand its task's name and the id of its call, so no prompt cache can serve the shared part there.
    """
    cache, names = PromptCache(), ["t1", "t2"]
    tasks = siblings(project, names)
    play = Play().when(
        main, submit(*tasks), call("Workflow", name="orchestrator:run"), "under way",
        shell("orchestrator stats --cache --json"), "told")  # fmt: skip
    for name in names:
        play.when("orchestrator brief %s\n" % name, cache.says(shell("orchestrator brief " + name)), cache.says(name + " done"))
    run = claude.run("go", play, project, "--allowedTools", "Workflow")
    assert run.text == "told"
    (group,) = json.loads(results(run.main_requests[-1])[0])
    assert len(group["executions"]) == 2 and account(group, 1, cache, rows(project, "SELECT task_id, agent_id FROM executions"))
    for name in names:
        _, second = run.agent_requests("orchestrator brief %s\n" % name)
        assert kept_beginning(project, results(second)[0])
