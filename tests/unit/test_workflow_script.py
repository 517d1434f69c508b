"""The workflow's script, run as the client runs it: an async function given agent, phase, log and args."""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "run.js"

RUNNER = """
const fs = require('fs')
const [file] = process.argv.slice(1)
const source = fs.readFileSync(file, 'utf8').replace(/^export const meta/m, 'const meta')
const Script = Object.getPrototypeOf(async function () {}).constructor
const scenarios = JSON.parse(fs.readFileSync(0, 'utf8'))
async function play({ args, ends, delays }) {
  const calls = [], log = [], phases = []
  let flying = 0, most = 0
  const ended = []
  const agent = async (prompt, options) => {
    const id = /orchestrator brief (\\S+)/.exec(prompt)[1]
    calls.push({ id, prompt, options, before: [...ended] })
    most = Math.max(most, ++flying)
    for (let i = 0; i <= (delays[id] || 0); i++) await new Promise((done) => setImmediate(done))
    flying--
    const end = id in ends ? ends[id] : 'did it'
    ended.push(id)
    if (end && end.throws) throw new Error(end.throws)
    return end
  }
  const run = new Script('agent', 'phase', 'log', 'args', source)
  const result = await run(agent, (title) => phases.push(title), (line) => log.push(line), args)
  return { result, calls, log, phases, most }
}
Promise.all(scenarios.map(play)).then((all) => console.log(JSON.stringify(all)))
"""
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(not NODE, reason="there is no node here to run the workflow's script with")


def play(args, endings=None, delays=None):
    """What the script does with a graph: result, calls, log, phases, most at once."""
    (played,) = play_all([(args, endings, delays)])
    return played


def play_all(cases):
    """The same of several graphs, one after the other in one process."""
    scenarios = [{"args": args, "ends": endings or {}, "delays": delays or {}} for args, endings, delays in cases]
    for scenario in scenarios:
        if scenario["args"] is None:
            del scenario["args"]
    command = [NODE, "-e", RUNNER, str(WORKFLOW)]
    done = subprocess.run(command, input=json.dumps(scenarios), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout, "the script never ended"
    return json.loads(done.stdout)


def graph(*tasks, limit=5):
    """args with tasks written as (id, [after])."""
    listed = [
        {"id": name, "title": "title of " + name, "agent": "orchestrator:builder", "after": after}
        for name, after in tasks
    ]
    return {"orchestration": "orch-1", "limit": limit, "tasks": listed}


def ends(done, failed=(), skipped=()):
    """What the script returns."""
    lists = {"done": done, "failed": failed, "skipped": skipped}
    return {"orchestration": "orch-1", **{name: list(ids) for name, ids in lists.items()}}


def started(run):
    return [call["id"] for call in run["calls"]]


DIAMOND = (("t1", []), ("t2", ["t1"]), ("t3", ["t1"]), ("t4", ["t2", "t3"]))


def test_the_workflows_meta_is_a_literal_the_client_can_read():
    """The script begins with `meta`: the name that makes it orchestrator:run, a description, its phases."""
    source = WORKFLOW.read_text(encoding="utf-8")
    code = re.sub(r"\A(//.*\n)+", "", source)
    assert code.startswith("export const meta = {\n")
    assert "\n  name: 'run',\n" in code and "\n  description: '" in code and "\n  phases: [" in code
    assert not re.search(r"Date\.now|Math\.random|new Date|require\(|\bimport\b", code)
    assert len(source.splitlines()) <= 60


@needs_node
def test_a_diamond_runs_in_its_order():
    """Each task starts when those it waits for have ended, and together with its like."""
    run = play(graph(*DIAMOND))
    assert run["result"] == ends(["t1", "t2", "t3", "t4"])
    assert started(run) == ["t1", "t2", "t3", "t4"]
    assert [set(call["before"]) for call in run["calls"]] == [set(), {"t1"}, {"t1"}, {"t1", "t2", "t3"}]
    assert (run["most"], run["phases"]) == (2, ["Execute"])


@needs_node
def test_an_agent_is_told_to_fetch_its_briefing():
    """The prompt's first line is the command; label, agent type and phase go along, a model if any."""
    tasks = graph(("t1", []), ("t2", []))
    tasks["tasks"][1].update(model="haiku", title=None, agent=None)
    first, second = play(tasks)["calls"]
    assert first["prompt"].split("\n")[0] == "Run: orchestrator brief t1"
    assert "NO BRIEFING" in first["prompt"]
    builder = {"label": "t1 title of t1", "phase": "Execute", "agentType": "orchestrator:builder"}
    assert first["options"] == builder
    assert second["options"] == {"label": "t2", "phase": "Execute", "model": "haiku"}


@needs_node
def test_a_limit_holds_and_a_free_place_is_taken_at_once():
    """Never more than `limit` at once; a slow task does not hold up what could run beside it."""
    run = play(graph(*[("t%d" % n, []) for n in range(6)], limit=2), delays={"t0": 50})
    assert run["most"] == 2
    assert run["calls"][-1]["before"] == ["t1", "t2", "t3", "t4"]


@needs_node
@pytest.mark.parametrize("end", [None, "NO BRIEFING: why", "**NO BRIEFING**", {"throws": "no such type"}])
def test_what_waits_for_a_failure_is_not_started(end):
    """An agent that died, had no briefing or did not start has failed; what waits for it stays undone."""
    run = play(graph(*DIAMOND, ("t5", ["t4"])), endings={"t2": end})
    assert run["result"] == ends(["t1", "t3"], ["t2"], ["t4", "t5"])
    assert started(run) == ["t1", "t2", "t3"]
    assert run["log"] == (["t2: no such type"] if isinstance(end, dict) else [])


@needs_node
def test_a_result_that_speaks_of_a_briefing_is_no_failure():
    """Only an answer that begins with NO BRIEFING is one."""
    run = play(graph(("t1", [])), endings={"t1": "Wrote the page. It explains NO BRIEFING."})
    assert run["result"]["done"] == ["t1"]


@needs_node
def test_tasks_that_are_not_listed_have_ended():
    """A task may wait for one that an earlier run has done."""
    assert play(graph(("t2", ["t1"])))["result"]["done"] == ["t2"]


@needs_node
@pytest.mark.parametrize("name", ["constructor", "to-string", "0"])
def test_a_tasks_name_means_nothing_to_the_script(name):
    """A task may be called anything that an id may be, and others may wait for it, listed or not."""
    assert play(graph((name, []), ("t1", [name])))["result"] == ends([name, "t1"])
    assert play(graph(("t1", [name])))["result"] == ends(["t1"])


@needs_node
def test_a_ring_does_not_hang():
    """Tasks that wait for one another are left out, and the script ends."""
    run = play(graph(("a", ["b"]), ("b", ["a"]), ("c", [])))
    assert (run["result"]["done"], run["result"]["skipped"]) == (["c"], ["a", "b"])


@needs_node
@pytest.mark.parametrize("args", [None, {}, {"orchestration": "orch-1"}, "add CSV", [], 7, {"tasks": "t1"}])
def test_without_a_graph_it_says_so(args):
    """Where no hook filled in the graph, a sentence comes back that says what to do, and no agent starts."""
    run = play(args)
    assert run["calls"] == []
    assert "orchestrator doctor" in run["result"]


@needs_node
def test_a_graph_may_come_as_text():
    """A graph that a model handed over as JSON text is read."""
    assert play(json.dumps(graph(("t1", []))))["result"]["done"] == ["t1"]


@st.composite
def plans_and_failures(draw):
    names = ["t%d" % n for n in range(draw(st.integers(1, 9)))]
    waits = st.lists(st.sampled_from([*names, "gone"]), max_size=3, unique=True)
    tasks = [(name, draw(waits)) for name in names]
    failures = st.sampled_from([None, "NO BRIEFING", {"throws": "x"}])
    failing = draw(st.dictionaries(st.sampled_from(names), failures))
    delays = draw(st.dictionaries(st.sampled_from(names), st.integers(0, 5)))
    return graph(*tasks, limit=draw(st.integers(1, 4))), failing, delays


@needs_node
@settings(max_examples=10, deadline=None)
@given(st.lists(plans_and_failures(), min_size=1, max_size=12))
def test_any_graph_ends_with_every_task_accounted_for(cases):
    """Whatever the graph and its failures: each task is in one list, none starts early or above the limit."""
    for (tasks, failing, _), run in zip(cases, play_all(cases), strict=True):
        result, after = run["result"], {task["id"]: task["after"] for task in tasks["tasks"]}
        assert sorted(result["done"] + result["failed"] + result["skipped"]) == sorted(after)
        assert run["most"] <= tasks["limit"]
        assert sorted(started(run)) == sorted(result["done"] + result["failed"])
        assert set(result["failed"]) == set(started(run)) & set(failing)
        for call in run["calls"]:
            listed = set(after[call["id"]]) & set(after)
            assert listed <= set(call["before"]) & set(result["done"])
        for name in result["skipped"]:
            assert any(other in result["failed"] + result["skipped"] for other in after[name])
