"""The commands that read the history: their forms, what they refuse, what they leave unloaded."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from histories import Filled, fill
from orchestrator.edges.cli import asked, main, tables
from orchestrator.model import ids
from orchestrator.services import outputs as left
from orchestrator.services import tracker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An orchestration as hooks recorded it, one of its results hostile to terminals."""
    folder = tmp_path_factory.mktemp("doors")
    made = fill(Filled(folder, folder / "data"))
    made.data = str(folder / "data")
    session = tracker.init_session(made.con, "By hand", "orch-2025-01-17-001", "2026-11-20T07:00:00.000Z")
    tracker.init_deployment(
        made.con, session, "evil", "2026-11-20T07:01:00.000Z", execution_id="exec-001", scope=EVIL
    )
    tracker.record_completion(
        made.con, made.project, "exec-001", "2026-11-20T07:02:00.000Z", message=EVIL * 3
    )
    left.collect(made.con, made.project, "exec-001", "2026-11-20T07:03:00.000Z", insights=[EVIL])
    return made


EVIL = '\x1b]0;owned\x07\x1b[31m=cmd|" /C calc"!A0\x9b2J\u202e | <b>`x`</b>\r\nsecond line\n'


@pytest.fixture
def run(filled, monkeypatch):
    """`run("history", "--limit", "3")`: the command's result, in the filled project."""
    monkeypatch.setenv("ORCHESTRATOR_DATA", filled.data)
    monkeypatch.delenv("ORCHESTRATOR_DB_PATH", raising=False)
    monkeypatch.delenv("CLAUDE_CODE_SESSION_ID", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)

    def invoke(*words, stdin=None):
        return CliRunner().invoke(main, ["--project", filled.project, *words], input=stdin)

    return invoke


def harmless(text):
    """Whether a text holds nothing that drives a terminal."""
    return tables.visible(text) == text


def test_history_is_readable_at_100_columns(run, filled):
    """The table has a heading and a line an execution, none wider than 100, and no colour on a pipe."""
    result = run("history")
    lines = result.stdout.rstrip("\n").split("\n")
    assert result.exit_code == 0 and result.stderr == ""
    assert len(lines) == 1 + len(filled.rows("SELECT 1 FROM executions"))
    assert all(tables.width(line) <= 100 for line in lines)
    assert "\x1b" not in result.stdout and harmless(result.stdout)
    assert filled.id_of("t2", 2) in result.stdout and "t2 #2: Write" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("history",),
        ("list-agents", "--all"),
        ("list-tasks",),
        ("outputs", "query"),
        ("tracker", "query"),
        ("tracker", "query", "--agent-type", "evil"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("form", asked.FORMATS)
def test_every_list_has_every_form(run, command, form):
    """table, json, csv and markdown hold the same rows, and none of them can drive a terminal."""
    result = run(*command, "--format", form)
    rows = json.loads(run(*command, "--format", "json").stdout)
    assert result.exit_code == 0 and rows
    assert harmless(result.stdout)
    if form == "csv":
        assert len(list(csv.DictReader(io.StringIO(result.stdout, newline="")))) == len(rows)
    elif form != "json":
        assert len(result.stdout.rstrip("\n").split("\n")) == len(rows) + (2 if form == "markdown" else 1)


def test_json_has_the_documents_keys_and_the_exact_text(run, filled):
    """JSON is for programs: full texts, stable keys, pairs of a count and how it was obtained."""
    row = json.loads(run("history", "--text", "second line", "--format", "json").stdout)[0]
    assert (
        row["final_message"]
        == filled.rows("SELECT final_message FROM executions WHERE execution_id = 'exec-001'")[0][0]
    )
    assert set(row["tokens"]) == {"number", "how"}
    assert (
        row["deployed_at"] == "2026-11-20T07:01:00.000Z" and row["lost"] is False and row["success"] is True
    )


def test_nothing_found_is_no_error(run):
    """An empty list is [] in JSON, nothing in CSV, and a word on stderr for people."""
    assert run("history", "--text", "nix", "--format", "json").stdout == "[]\n"
    assert run("history", "--text", "nix", "--format", "csv").stdout == ""
    result = run("history", "--text", "nix")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No execution fits.\n")


def test_a_task_is_the_conversations_own_or_named_with_its_orchestration(run, filled):
    """history --task takes the id of a task of the current orchestration, or ORCHESTRATION/TASK."""
    for name in ("t2", filled.orchestration + "/t2"):
        rows = json.loads(run("history", "--task", name, "--format", "json").stdout)
        assert [(r["orchestration_id"], r["attempt"]) for r in rows] == [
            (filled.orchestration, 2),
            (filled.orchestration, 1),
        ]


@pytest.mark.parametrize(
    ("command", "most"),
    [
        (("history",), 8),
        (("list-agents", "--all"), 8),
        (("list-tasks", "--orchestration", "orch-2026"), 4),
        (("list-tasks", "--all"), 4),
        (("tracker", "query"), 2),
        (("tracker", "query", "--since", "2025-01-01"), 2),
        (("tracker", "query", "--origin", "planned"), 5),
        (("outputs", "query"), 1),
        (("who", "src/shared.py"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_list_says_when_there_is_more(run, filled, command, most):
    """A list that was cut says so on stderr, and holds as many rows as were asked for; a whole one says nothing."""
    form = ("--json",) if command[0] == "who" else ("--format", "json")
    if command[0] == "who":
        filled.con.execute(
            "INSERT INTO file_touches (execution_id, path, mode, times, first_at, last_at) SELECT execution_id, 'src/shared.py', "
            "'read', 1, deployed_at, deployed_at FROM executions LIMIT 2"
        )

    def rows(limit):
        result = run(*command, "--limit", str(limit), *form)
        found = json.loads(result.stdout)
        return len(found["touches"] if command[0] == "who" else found), "there are more" in result.stderr

    every, more = rows(1000)
    assert every >= most and not more
    assert rows(every) == (every, False)
    assert every == 1 or rows(every - 1) == (every - 1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list-agents", "--status", "completed", "--agent-type", "documenter"), "No agent fits."),
        (("list-agents", "--all", "--agent-type", "nope"), "No agent fits."),
        (("list-agents", "--agent-type", "nope"), "No agent at work fits; --all looks at those that have ended too."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_no_agent_that_fits_is_not_no_agent(run, words, said):
    """Where filters let no agent through, that is said, and not that there is none."""
    assert run(*words).stderr == said + "\n"


@pytest.mark.parametrize(
    "words",
    [
        ("history", "--model"),
        ("history", "--agent-type"),
        ("history", "--file"),
        ("history", "--task"),
        ("history", "--text"),
        ("history", "--orchestration"),
        ("list-agents", "--agent-type"),
        ("list-tasks", "--orchestration"),
        ("tracker", "query", "--session-id"),
        ("outputs", "query", "--execution-id"),
        ("task", "list", "--orchestration"),
        ("stats",),
        ("report",),
        ("stop",),
    ],
    ids=" ".join,
)
def test_an_empty_value_is_no_filter_left_out(run, words):
    """An empty value, as an unset variable of a shell gives it, is a usage error, and nothing is listed."""
    result = run(*words, "")
    assert result.exit_code == 2 and result.stdout == "" and "it is empty" in result.stderr
    assert asked.read(["--model", ""], asked.HISTORY) is None


@pytest.mark.parametrize(
    "words",
    [
        ("history", "--since", "yesterdayish"),
        ("history", "--status", "running"),
        ("history", "--limit", "0"),
        ("history", "--format", "xml"),
        ("show",),
        ("show", "t1", "--briefing", "--result"),
        ("outputs", "collect"),
        ("outputs", "collect", "--execution-id", "exec-001"),
        ("tracker", "query", "--session-id", "x", "--status", "planning"),
        ("outputs", "synthesize"),
        ("tracker", "set-phase", "--session-id", "x", "--phase", "6"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2(run, words):
    """What cannot be meant is a usage error."""
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("show", "nix"),
        ("history", "--task", "nix"),
        ("history", "--task", "exec-001"),
        ("history", "--task", "t1", "--orchestration", "orch-2025"),
        ("show", "exec-"),
        ("history", "--orchestration", "nix"),
        ("tracker", "query", "--session-id", "nix"),
        ("task-details", "nix"),
        ("agent-details", "orch-2025"),
        ("report", "nix"),
        ("outputs", "query", "--execution-id", "nix"),
        ("tracker", "record-completion", "--execution-id", "nix"),
        ("report", "--template", "nix.tmpl"),
        ("outputs", "synthesize", "nix.md"),
    ],
    ids=" ".join,
)
def test_what_is_refused_is_one_sentence(run, words):
    """A refusal is exit 1 and one line on stderr: no traceback, nothing on stdout."""
    result = run(*words)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("orchestrator: ") and result.stderr.count("\n") == 1


def test_show_tells_each_kind_of_thing(run, filled):
    """Tasks, executions, orchestrations, bundles, outputs are shown by id or prefix, also as JSON."""
    bundle = filled.rows("SELECT bundle_id FROM executions WHERE task_id = 't3'")[0][0]
    number = str(filled.rows("SELECT output_id FROM outputs WHERE output_type = 'deliverable'")[0][0])
    for name, first, key in (
        ("t2", "task   ", "task_id"),
        (filled.id_of("t2", 2)[:-1], "execution ", "execution_id"),
        ("orch-2026", "orchestration ", "orchestration_id"),
        (bundle[:-3], "bundle ", "bundle_id"),
        (number, "output ", "output_id"),
    ):
        result = run("show", name)
        assert result.exit_code == 0 and result.stdout.startswith(first.rstrip()), result.output
        assert harmless(result.stdout)
        assert json.loads(run("show", name, "--json").stdout)[key]


def test_a_task_shows_its_attempts_and_its_result(run):
    """task-details and show tell of a task: prompt, executions, result, outputs (S3-14)."""
    for command in ("show", "task-details"):
        text = run(command, "t2").stdout
        for part in ("state   completed", "do it", "Wrote it.", "failed", "csv_export.py"):
            assert part in text
    assert json.loads(run("task-details", "t2", "--json").stdout)["attempts"] == 2


def test_agent_details_take_an_agent_an_execution_or_a_task(run, filled):
    """agent-details finds the same execution by each of its names (S3-15)."""
    agent = filled.rows("SELECT agent_id FROM executions WHERE task_id = 't3'")[0][0]
    bodies = [
        json.loads(run("agent-details", name, "--json").stdout) for name in (agent, filled.id_of("t3"), "t3")
    ]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["context_usage"]["usage_percentage"] > 0


def test_list_agents_shows_who_is_at_work(run):
    """list-agents names the active agents, lost and ended ones only with --all (S3-12)."""
    rows = json.loads(run("list-agents", "--format", "json").stdout)
    assert sorted(str(r["task_id"]) for r in rows) == ["None", "t4"]
    assert len(json.loads(run("list-agents", "--all", "--format", "json").stdout)) == 8


def test_list_tasks_shows_states(run, filled):
    """list-tasks shows the tasks of the current orchestration, by state, or of all (S3-13)."""

    def states(*words):
        return [
            (r["task_id"], r["state"])
            for r in json.loads(run("list-tasks", "--format", "json", *words).stdout)
        ]

    mine = ("--orchestration", filled.orchestration)
    assert states(*mine) == [
        ("t1", "completed"),
        ("t2", "completed"),
        ("t3", "completed"),
        ("t4", "in_flight"),
    ]
    assert states(*mine, "--status", "in_flight") == [("t4", "in_flight")]
    assert states("--all") == states(*mine)


def test_a_briefing_and_a_result_are_printed_to_the_byte(run, filled):
    """--briefing and --result print into a pipe exactly what was sent and said (S2-46)."""
    result = run("show", "exec-001", "--result")
    assert result.stdout_bytes.decode().rstrip("\n") == filled.rows(
        "SELECT final_message FROM executions WHERE execution_id = 'exec-001'"
    )[0][0].rstrip("\n")
    assert "Adders are in src/adder.py." in run("show", "t2", "--briefing").stdout
    assert run("show", "t2", "--result").stdout.startswith("Wrote it.\n")


def test_a_long_result_is_cut_only_beside_other_things(run, filled):
    """show cuts a long result and names the command that prints it whole."""
    tracker.init_deployment(
        filled.con, "orch-2025-01-17-001", "long", "2026-11-20T07:04:00.000Z", execution_id="exec-long"
    )
    tracker.record_completion(
        filled.con, filled.project, "exec-long", "2026-11-20T07:05:00.000Z", message="word " * 4000
    )
    text = run("show", "exec-long").stdout
    assert "characters more: orchestrator show exec-long --result" in text and len(text) < 8000
    assert len(run("show", "exec-long", "--result").stdout) == 20001


def test_report_goes_to_stdout_to_a_file_and_into_the_workspace(run, filled, tmp_path):
    """The report is printed, kept beside the history, and written where --output says (S2-30)."""
    kept = os.path.join(filled.workspace, "report-%s.md" % filled.orchestration)
    result = run("report", filled.orchestration)
    assert result.exit_code == 0 and result.stdout.startswith("# add CSV export")
    assert kept in result.stderr and "stays open: t4 (in flight)" in result.stderr
    assert Path(kept).read_text(encoding="utf-8") == result.stdout
    assert run("show", filled.orchestration, "--result").stdout == result.stdout
    out = tmp_path / "report.md"
    silent = run(
        "outputs",
        "synthesize",
        "--session-id",
        filled.orchestration,
        "--template",
        "synthesis-report.tmpl",
        "--output",
        str(out),
    )
    assert silent.stdout == "" and out.read_text(encoding="utf-8") == result.stdout
    assert (
        json.loads(run("report", filled.orchestration, "--format", "json").stdout)["tasks"][1]["id"] == "t2"
    )


def test_a_template_comes_from_the_workspace_by_its_bare_name(run, filled):
    """A project's own template stands in .orchestrator/templates and is used by its name."""
    folder = Path(filled.workspace) / "templates"
    folder.mkdir(exist_ok=True)
    (folder / "mine.tmpl").write_text("Mine: {{ line(goal) }}\n")
    assert run("report", filled.orchestration, "--template", "mine.tmpl").stdout == "Mine: add CSV export\n"
    (Path(filled.workspace) / "origin").rename(Path(filled.workspace) / "origin.away")
    try:
        result = run("report", filled.orchestration, "--template", "mine.tmpl")
    finally:
        (Path(filled.workspace) / "origin.away").rename(Path(filled.workspace) / "origin")
    assert result.exit_code == 1 and "orchestrator trust" in result.stderr


def test_a_long_report_does_not_fill_a_conversation(run, filled, monkeypatch):
    """In a Claude session only the beginning of a long report is printed, with the path of the whole."""
    whole = run("report", "orch-2025").stdout
    tracker.init_deployment(
        filled.con, "orch-2025-01-17-001", "x", "2026-11-20T07:06:00.000Z", execution_id="exec-more"
    )
    tracker.record_completion(
        filled.con, filled.project, "exec-more", "2026-11-20T07:07:00.000Z", message="more\n" * 4000
    )
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "s")
    short = run("report", "orch-2025").stdout
    assert (
        len(short)
        < 13_000
        < len(Path(filled.workspace, "report-orch-2025-01-17-001.md").read_text(encoding="utf-8"))
    )
    assert "the whole report: " in short and "the whole report: " not in whole


def test_recording_that_is_off_keeps_nothing_and_fails_nobody(run, filled, monkeypatch):
    """With recording off the tracker's commands go through and write no row (S2-39)."""
    monkeypatch.setenv("ORCHESTRATOR_OFF", "1")
    before = filled.rows("SELECT count(*) FROM orchestrations")
    result = run("tracker", "init-session", "--scope", "x", "--session-id", "orch-off")
    assert (result.exit_code, result.stdout) == (0, "orch-off\n") and "recording is off" in result.stderr
    for words in (
        ("init-deployment", "--session-id", "orch-off", "--agent-type", "x"),
        ("record-completion", "--execution-id", "x"),
        ("complete-session", "--session-id", "orch-off"),
    ):
        assert run("tracker", *words).exit_code == 0
    assert filled.rows("SELECT count(*) FROM orchestrations") == before


@pytest.mark.parametrize(
    "words",
    [
        ["history"],
        ["show", "exec-001"],
        ["list-agents"],
        ["list-tasks"],
        ["tracker", "query"],
        ["outputs", "query"],
    ],
    ids=" ".join,
)
def test_commands_that_only_read_load_click_and_sqlite_alone(filled, words):
    """A reading command loads click, and of the other packages of the environment none."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from orchestrator.edges.cli import main\n"
        "try: main(sys.argv[2:])\nexcept SystemExit as end: assert not end.code, end.code\n"
        "print(' '.join(sorted({n.split('.')[0] for n in sys.modules})), file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-c", code, str(ROOT / "scripts"), "--project", filled.project, *words],
        text=True,
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"], "ORCHESTRATOR_DATA": filled.data, "HOME": filled.data},
    )
    loaded = set(found.stderr.splitlines()[-1].split())
    foreign = {name for name in loaded if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert found.stdout and foreign <= {"click", "orchestrator"}
    assert not loaded & {
        "pydantic",
        "tiktoken",
        "jinja2",
        "sqlite_utils",
        "asyncio",
        "http",
        "urllib3",
        "ssl",
        "multiprocessing",
    }


def test_ids_may_be_cut_where_something_is_recorded(run, filled):
    """A recording command takes the beginning of an id too, and names the whole; a counted number is not cut."""
    assert run("tracker", "set-phase", "--session-id", "orch-2025", "--phase", "2").stderr == "orch-2025-01-17-001: phase 2\n"
    cut = run("outputs", "collect", "--execution-id", "exec-001"[:5], "--insights", "x")
    assert cut.exit_code == 1 and "begins several ids" in cut.stderr and " and more): write more of it" in cut.stderr
    listed = run("outputs", "query", "--execution-id", "exec-")
    assert listed.exit_code == 1 and " and more): write more of it" in listed.stderr
    other = run("tracker", "record-completion", "--execution-id", "exec-00")
    assert other.exit_code == 1 and "There is no execution 'exec-00'" in other.stderr
    assert ids.begins("exec-0", ids.execution_id()[:5] + "01234abcde") and ids.begins("t", "t10")
    assert not ids.begins("t1", "t10") and not ids.begins("", "t1") and not ids.begins("x", "t1")


def test_json_is_asked_for_in_either_way(run):
    """Where JSON is offered, `--json` and `--format json` both bring it; a verb that does not exist is told the likely one."""
    each = [json.loads(run("history", *how).stdout) for how in (["--json"], ["--format", "json"])]
    for row in each[0] + each[1]:
        row.pop("seconds")  # of one at work: since then
    assert each[0] == each[1] != []
    assert run("task", "list", "--format", "json").stdout == run("task", "list", "--format=json").stdout
    wrong = run("statu")
    assert wrong.exit_code == 2 and "Did you mean status?" in wrong.stderr
    assert json.loads(run("status", "--format", "json").stdout) and run("status", "--format", "table").exit_code == 2
