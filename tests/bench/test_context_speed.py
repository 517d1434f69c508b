"""Context engine's speed: counting 24 MB beside repomix, loading the vocabulary, accepting a plan, joining a
long briefing.

The corpus is the sdist that CORPUS names, its text files up to 120 KB; repomix comes from its registry.
Run `tests/run -m bench tests/bench/test_context_speed.py -s` on a machine that does nothing else.
"""

import base64
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from context_savings import corpus

from orchestrator.context.encoder import vocabulary
from orchestrator.store.open import open_history

ROOT = Path(__file__).resolve().parents[2]
CORPUS, REPOMIX, LARGEST = "sympy==1.13.3", "repomix@1.18.1", 120_000
ROUNDS = 5
pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository of some 1,900 text files and 24 MB."""
    top = corpus(CORPUS, tmp_path_factory.mktemp("sdist"))
    for path in top.rglob("*"):
        if path.is_file() and (path.stat().st_size > LARGEST or b"\0" in path.read_bytes()[:8000]):
            path.unlink()
    subprocess.run(["git", "init", "-q"], cwd=top, check=True)
    subprocess.run(["git", "add", "-A"], cwd=top, check=True)
    return top


def timed(command, cwd, env):
    """(seconds, peak megabytes) of one run."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    return time.perf_counter() - begun, used.ru_maxrss / 1024


def middle(runs):
    """(median seconds, largest megabytes)."""
    return statistics.median(s for s, _ in runs), max(m for _, m in runs)


def test_counting_beside_repomix(project, tmp_path, data):
    """Cold at most 0.45 times repomix, warm at most 0.05 times and 0.3 s; at most 150 MB."""
    if not shutil.which("npm"):
        pytest.skip("npm is missing: repomix cannot be fetched")
    subprocess.run(["npm", "install", "--silent", "--prefix", str(tmp_path), REPOMIX], check=True)
    theirs = [str(tmp_path / "node_modules/.bin/repomix"), ".", "-o", str(tmp_path / "out.xml"), "--quiet"]
    ours = [str(ROOT / "bin/orchestrator"), "count", ".", "--depth", "0"]
    env = {**os.environ, "ORCHESTRATOR_DATA": str(data), "REPOMIX_TOKEN_CACHE": "0"}
    timed(ours, project, env)
    rows: dict[str, list] = {"repomix": [], "cold": [], "warm": []}
    for _ in range(ROUNDS):
        rows["cold"].append(timed([*ours, "--no-cache"], project, env))
        rows["repomix"].append(timed(theirs, project, env))
        rows["warm"].append(timed(ours, project, env))
    medians = {name: middle(runs) for name, runs in rows.items()}
    base = medians["repomix"][0]
    files = sum(1 for p in project.rglob("*") if p.is_file() and ".git" not in p.parts)
    print(f"\n{files} files of {CORPUS}, medians of {ROUNDS} alternating runs\n")
    print("| | seconds | x repomix | peak MB |\n|---|---:|---:|---:|")
    called = {"repomix": REPOMIX, "cold": "`orchestrator count`, cold", "warm": "`orchestrator count`, warm"}
    for name, (seconds, megabytes) in medians.items():
        print(f"| {called[name]} | {seconds:.3f} | {seconds / base:.3f} | {megabytes:.0f} |")
    assert medians["cold"][0] <= 0.45 * base and medians["cold"][1] <= 150
    assert medians["warm"][0] <= 0.05 * base and medians["warm"][0] <= 0.3


LOADING = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from orchestrator.context import encoder
os.environ["TIKTOKEN_CACHE_DIR"] = sys.argv[2]
begun = time.process_time()
if sys.argv[3] == "standard":
    import tiktoken
    tiktoken.get_encoding("cl100k_base")
else:
    encoder.encoder(encoder.QUICK)
print(time.process_time() - begun)
"""


def test_loading_the_vocabulary(tmp_path):
    """Loading costs at most half of `tiktoken.get_encoding` with its file at hand: least processor times of
    new processes, in turns."""
    lines = [base64.b64encode(word) + b" %d\n" % rank for rank, word in enumerate(vocabulary())]
    address = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
    (tmp_path / hashlib.sha1(address.encode()).hexdigest()).write_bytes(b"".join(lines))
    command = [sys.executable, "-I", "-c", LOADING, str(ROOT / "scripts"), str(tmp_path)]
    least = {"standard": 9.0, "ours": 9.0}
    for _ in range(30):
        for way in least:
            done = subprocess.run([*command, way], capture_output=True, text=True, check=True)
            least[way] = min(least[way], float(done.stdout))
    ratio = least["ours"] / least["standard"]
    print(f"\nvocabulary loaded in {1000 * least['ours']:.0f} ms, {ratio:.2f} of the standard way")
    assert ratio <= 0.5


def plan(project):
    """Twenty tasks, each with some ten files of the repository and a few it reads for reference."""
    rng = random.Random(1)
    names = sorted(
        str(p.relative_to(project))
        for p in (project / "sympy").rglob("*.py")
        if 2_000 < p.stat().st_size < 30_000
    )
    common = ["sympy/core/basic.py::*", "sympy/core/cache.py"]
    return {
        "goal": "bench",
        "tasks": [
            {
                "id": f"t{n}",
                "title": f"Task {n}",
                "agent": "orchestrator:builder",
                "prompt": "Do it.",
                "after": [f"t{n - 3}"] if n > 2 else [],
                "files": rng.sample(names, 6) + (["sympy/logic/*.py"] if n % 5 == 0 else []),
                "references": rng.sample(names, 3) + common,
            }
            for n in range(20)
        ],
    }


def test_accepting_a_plan(project, tmp_path, data):
    """Twenty tasks over the repository: at most 3 s cold, 0.5 s warm, whole processes."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan(project)))
    env = {**os.environ, "ORCHESTRATOR_DATA": str(data), "ORCHESTRATOR_PROJECT": str(project)}
    command = [str(ROOT / "bin/orchestrator"), "plan", str(path)]
    cold, warm = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(project / ".orchestrator", ignore_errors=True)
        cold.append(timed(command, project, env))
        warm.append(timed(command, project, env))
    tokens = (
        open_history(str(project / ".orchestrator/history.db"))
        .execute("SELECT sum(tokens) / 2 FROM prepared")
        .fetchone()[0]
    )
    print(
        f"\nplan of 20 tasks, {tokens:,.0f} tokens: "
        f"cold {middle(cold)[0]:.2f} s, warm {middle(warm)[0]:.2f} s"
    )
    assert middle(cold)[0] <= 3 and middle(warm)[0] <= 0.5


def test_joining_a_long_briefing(project, tmp_path):
    """A warm briefing of 50,000 tokens is joined, interpreter included, in at most 5 bare starts of it."""
    from orchestrator.services.prepare import prepare_plan

    history = tmp_path / "h.db"
    names = sorted((project / "sympy/core").glob("*.py"), key=lambda p: p.stat().st_size)
    files = [str(p.relative_to(project)) for p in names if 4_000 < p.stat().st_size < 30_000][:20]
    task = {"id": "t1", "title": "T", "agent": "a", "prompt": "Do it.", "files": files}
    con = open_history(str(history))
    assert prepare_plan(con, str(project), "o", [task]) == []
    tokens = con.execute("SELECT tokens FROM prepared").fetchone()[0]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport _sqlite3\n"
        "from orchestrator.context import briefing\n"
        "con = _sqlite3.connect(sys.argv[2], isolation_level=None)\n"
        "assert len(briefing.assemble(con, sys.argv[3], 'o', 't1').text) > 100000\n"
    )
    python = os.path.realpath(sys.executable)
    bare = [python, "-I", "-S", "-c", "pass"]
    joined = [python, "-I", "-S", "-c", code, str(ROOT / "scripts"), str(history), str(project)]
    rows: list[list] = [[], []]
    for _ in range(40):
        rows[0].append(timed(bare, tmp_path, os.environ))
        rows[1].append(timed(joined, tmp_path, os.environ))
    ratio = middle(rows[1])[0] / middle(rows[0])[0]
    print(f"\nbriefing of {tokens:,} tokens joined: {ratio:.1f} times a bare start")
    assert ratio <= 5
