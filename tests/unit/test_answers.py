"""Answers: each line of references/answers.md, and of assets/queries.sql's commands, is run and answers its question."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from histories import Filled, fill
from orchestrator.edges.cli import describe, main
from orchestrator.edges.cli.stats import told as told_stats
from orchestrator.services import details, queries, stats

PAGE = Path(__file__).resolve().parents[2] / "references/answers.md"
LINES = re.findall(r"^\| ([^|]+\?) \| `(orchestrator [^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
# question: what its answer must show
SHOWN = {
    "Which agents ran for this task?": ["builder", "failed", "completed", "#2: Write the export"],
    "What did the last builder produce?": ["Wrote it.", "deliverable", "src/csv_export.py [tests: pass]"],
    "What did agents of this type leave lately?": ["deliverable", "validation_result", "src/csv_export.py"],
    "What context did the last tester get?": ["src/adder.py", "required", "yes", "bun-"],
    "What was it told, to the byte?": ["def add(a, b):", "Test it"],
    "Which bundles led to results that passed?": ["bun-", "builder", "tester"],
    "Who last touched this file, and why?": ["wrote", "builder", "t2 #2: Write the export"],
    "What did this cost?": ["$0.0", "claude-opus-4-8", "agents   5: 3 completed, 1 failed, 1 at work"],
    "What did this task cost, with all its agents' agents?": ["agents   2: 1 completed, 1 failed", "$0.0"],
    "What was running at 15:20?": ["scout", "t1: Look around"],
    "What did this agent say about that?": ["    1  08:30:00  call", "src/csv_export.py"],
    "Which agents spoke of that?": ["scout", "t1: Look around"],
    "What failed this week?": [],
    "What is lost, and what is known of it?": ["Explore", "lost", "elsewhere"],
    "How full is an agent's window?": ["6.2 % of 200,000 at its last request"],
    "What did it all come to?": ["By agent type", "By model", "By day", "checks   2 passed, 1 not"],
    "What did the cache serve?": [],
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An orchestration as hooks recorded it."""
    folder = tmp_path_factory.mktemp("answers")
    made = fill(Filled(folder, folder / "data"))
    made.data = str(folder / "data")
    return made


@pytest.fixture
def run(filled, monkeypatch):
    """`run("history", …)`: what a command prints, in the filled project."""
    monkeypatch.setenv("ORCHESTRATOR_DATA", filled.data)
    for name in ("ORCHESTRATOR_DB_PATH", "CLAUDE_CODE_SESSION_ID", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words):
        return CliRunner().invoke(main, ["--project", filled.project, *words])

    return invoke


def test_every_question_of_the_page_is_tried():
    """The page asks nothing that this test does not know the answer to, and the other way round."""
    assert [question for question, _ in LINES] == list(SHOWN)


@pytest.mark.parametrize(("question", "line"), LINES, ids=[question for question, _ in LINES])
def test_each_line_answers_its_question(run, question, line):
    """Each line of the page is run as it stands there and shows what was asked (S2-46, S2-47, S2-48)."""
    answer = run(*shlex.split(line)[1:])
    assert answer.exit_code == 0, answer.output
    for part in SHOWN[question]:
        assert part in answer.stdout, answer.stdout


NAMES = re.findall(r"^\| (`[^|]+`) \| `(orchestrator [^`]+)`, `([^`]+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("name", "line", "place"), NAMES, ids=[name for name, *_ in NAMES])
def test_the_names_of_seed_003(run, name, line, place):
    """What the names of seed 003 gave stands where the page says it does (S3-20, S3-30, S3-31, S3-35)."""
    answer = run(*shlex.split(line)[1:])
    assert answer.exit_code == 0, answer.output
    found = [json.loads(answer.stdout)]
    for step in re.findall(r"\[\]|[a-z_]+", place):
        found = [each for some in found for each in some] if step == "[]" else [each[step] for each in found]
    assert [each for each in found if each is not None], found
    if "metrics" in place:
        assert set(found[0]) == {"cost_usd", "input_tokens", "output_tokens", "tokens", "messages", "tool_calls", "files_read",
                                 "files_written", "seconds"}  # fmt: skip


def test_the_whole_cost_is_that_of_the_roles(run):
    """What `get_total_cost()` gave is the sum of what `get_cost_by_role()` did: the agents' alone."""
    assert ("`Database.get_total_cost()`", "orchestrator stats --json", ".by_part.agents.cost_usd") in NAMES
    whole = json.loads(run("stats", "--json").stdout)
    by_role = sum(each["cost_usd"] or 0 for each in whole["by_agent_type"])
    assert whole["by_part"]["agents"]["cost_usd"] == pytest.approx(by_role) and by_role > 0


def test_seed_003_is_there_whole():
    """Each of its names for what was recorded has a line."""
    assert len(NAMES) == 6


def test_an_agent_near_the_end_of_its_window_is_to_be_retired(filled, run):
    """From 80 % of its model's window on, agent-details advises to start another agent (S3-37)."""
    for size, told in ((159_000, (79.5, False)), (160_000, (80.0, True))):
        filled.con.execute("UPDATE executions SET context_size = ? WHERE task_id = 't1'", (size,))
        used = json.loads(run("agent-details", "t1", "--json").stdout)["context_usage"]
        assert (used["usage_percentage"], bool(used["advice"])) == told
        assert ("retire it" in run("agent-details", "t1").stdout) == told[1]
    filled.con.execute("UPDATE executions SET context_size = 12345 WHERE task_id = 't1'")


def test_a_window_that_is_not_known_is_not_made_up(filled, run):
    """Of a model that the table does not know agent-details says the tokens, and neither a percentage nor advice."""
    before = filled.con.execute("SELECT resolved_model, context_size FROM executions WHERE task_id = 't1'").fetchone()
    change = "UPDATE executions SET resolved_model = ?, context_size = ? WHERE task_id = 't1'"
    filled.con.execute(change, ("gpt-9", 215_000))
    used = json.loads(run("agent-details", "t1", "--json").stdout)["context_usage"]
    assert used == {"tokens": 215_000, "how": "context size", "window": None, "usage_percentage": None, "advice": None}
    text = run("agent-details", "t1").stdout
    assert "215,000 tokens at its last request; its model's window is not known" in text
    assert "retire it" not in text and "200,000" not in text
    filled.con.execute(change, before)


def test_statistics_say_what_they_leave_out(filled, run):
    """A cost that does not know every price has a + behind it, and is not made up where none is known."""
    filled.con.execute("UPDATE usage SET model = 'claude-unknown-9', cost_usd = NULL WHERE owner = ?", (filled.id_of("t1"),))
    whole = json.loads(run("stats", "--json").stdout)
    unknown = next(each for each in whole["by_model"] if each["model"] == "claude-unknown-9")
    assert unknown["cost_usd"] is None and unknown["unpriced_tokens"] == unknown["tokens"]["number"] > 0
    text = run("stats").stdout
    assert re.search(r"^cost +\$[\d.]+\+$", text, re.MULTILINE) and "not known" in text


def test_what_was_never_measured_is_not_known(filled, run):
    """Of executions without usage statistics say no tokens and no cost, but how many they are; sums without them have a +."""
    filled.con.execute("SAVEPOINT before")
    filled.con.execute("INSERT INTO executions (execution_id, origin, runtime, agent_type, deployed_at, status) VALUES "
                       "('exec-001', 'tracker', 'tracker', 'debugger', '2026-11-21T08:00:00.000Z', 'completed')")  # fmt: skip
    body = stats.of(filled.con, "execution", "exec-001")
    for used in (body["usage"], body["by_part"]["agents"], body["by_agent_type"][0]):
        assert (used["tokens"], used["cost_usd"], used["unmeasured"]) == ({"number": None, "how": None}, None, 1)
    text = "\n".join(told_stats(body))
    assert re.search("^tokens +not known$", text, re.MULTILINE) and re.search("^cost +not known$", text, re.MULTILINE)
    assert "of 1 of 1 executions no usage is known" in text and "$0" not in text
    assert describe._in_all({"executions": 1, **body["usage"]}) == (
        "1 executions, tokens not known, cost not known, of 1 no usage is known")  # fmt: skip
    whole = stats.statistics(filled.con)
    ((unknown,),) = filled.rows("SELECT count(*) FROM executions WHERE execution_id NOT IN (SELECT owner FROM usage)")
    assert whole["usage"]["unmeasured"] == unknown and whole["usage"]["tokens"]["how"] == "usage"
    text = "\n".join(told_stats(whole))
    assert f"of {unknown} of {whole['fleet']['executions']} executions no usage is known" in text
    assert re.search(r"^cost +\$[\d.]+\+$", text, re.MULTILINE) and re.search("^debugger .* not known$", text, re.MULTILINE)
    day = whole["by_day"][0]
    assert (day["day"], day["tokens"]["number"], day["cost_usd"], day["unmeasured"]) == ("2026-11-21", None, None, 1)
    filled.con.execute("ROLLBACK TO before")
    filled.con.execute("RELEASE before")


@pytest.fixture
def without_a_price(filled):
    """Two agents: one deployed the other, which used a model without a price beside one that has one; as it was, after."""
    owner, child = filled.id_of("t2", 2), filled.id_of("t3")
    filled.con.execute("SAVEPOINT before")
    filled.con.execute("UPDATE executions SET parent_agent_id = (SELECT agent_id FROM executions WHERE execution_id = ?) WHERE "
                       "execution_id = ?", (owner, child))  # fmt: skip
    filled.con.execute("INSERT INTO usage (owner, kind, model, day, input_tokens) VALUES (?, 'execution', 'gpt-9', '2026-11-20', "
                       "95)", (child,))  # fmt: skip
    yield owner, child
    filled.con.execute("ROLLBACK TO before")
    filled.con.execute("RELEASE before")


def test_a_sum_without_every_price_is_marked_everywhere(filled, without_a_price):
    """What an agent and those it deployed cost has a + where tokens without a price are in the sum, and says how many."""
    owner, child = without_a_price
    body = details.execution(filled.con, owner)
    assert body["with_its_agents"]["unpriced_tokens"] == 95 and body["with_its_agents"]["cost_usd"] > 0
    assert re.search(r"^with them .* \$[\d.]+\+, 95 tokens without a price$", "\n".join(describe.execution(body)), re.MULTILINE)
    filled.con.execute("UPDATE usage SET cost_usd = NULL WHERE owner IN (?, ?)", (owner, child))
    body = details.execution(filled.con, owner)
    assert re.search(r"^with them .*, cost not known, [\d,]+ tokens without a price$", "\n".join(describe.execution(body)),
                     re.MULTILINE)  # fmt: skip


def test_a_cost_that_is_not_known_is_said_with_the_model(filled, without_a_price):
    """Where an execution's own cost is not known, its line says which models have no price, and what the others cost."""
    owner, child = without_a_price
    body = details.execution(filled.con, child)
    assert (body["cost_usd"], body["unpriced_tokens"], body["unpriced_models"]) == (None, 95, ["gpt-9"])
    assert re.search(r"^cost +\$[\d.]+\+, no price for gpt-9$", "\n".join(describe.execution(body)), re.MULTILINE)
    (row,) = queries.executions(filled.con, execution=child)
    assert row["cost_usd"] is None and row["priced_usd"] > 0 and row["unpriced_tokens"] == 95  # so a list says it too
    filled.con.execute("DELETE FROM usage WHERE owner = ? AND model != 'gpt-9'", (child,))
    shown = "\n".join(describe.execution(details.execution(filled.con, child)))
    assert re.search("^cost +not known, no price for gpt-9$", shown, re.MULTILINE)
    filled.con.execute("INSERT OR REPLACE INTO meta VALUES ('setting.cost_tracking', 'false')")
    shown = "\n".join(describe.execution(details.execution(filled.con, child)))
    assert re.search("^cost +not known, cost_tracking is off$", shown, re.MULTILINE)


def test_the_quick_door_and_click_give_the_same(filled, run, monkeypatch, capsys):
    """What the quick door answers itself it answers as click would; help, mistakes and the rest it leaves alone."""
    from orchestrator.edges.cli import quick

    place = ["--project", filled.project]
    for words in (
        ["history"],
        ["history", "--limit", "2", "--status=failed"],
        ["history", "--task", "t2", "--format", "json"],
        ["history", "--since", "2026-11-20", "--until", "2026-11-20", "--agent-type", "builder", "--format", "csv"],
        ["history", "--text", "adders", "--format=markdown"],
        ["history", "--at", "2026-11-20T08:03"],
    ):
        theirs = run(*words)
        assert quick.answered([*place, *words])
        said = capsys.readouterr()
        assert (said.out, said.err) == (theirs.stdout, theirs.stderr), words
    for words in (
        [], ["stats"], ["history", "--help"], ["history", "--limit", "0"], ["history", "--limit", "x"], ["history", "t1"],
        ["history", "--since", "yesterdayish"], ["history", "--status", "running"], ["history", "--task"], ["--version"],
    ):  # fmt: skip
        assert not quick.answered([*place, *words]), words
    with pytest.raises(SystemExit) as end:
        quick.answered([*place, "history", "--task", "nix"])
    assert end.value.code == 1 and capsys.readouterr().err.startswith("orchestrator: Nothing here has an id")
