"""The scripts of seed 002, started as processes with the very command lines that it prints."""

import json
import os
import subprocess
from pathlib import Path

import pytest

# Seed 002's command lines for the tracker, the collector and the validator, word for word, in its order.
ANALYZE = r"""
python scripts/execution_tracker.py init-session \
  --scope "Implement vector search feature" \
  --session-id "orch-2025-01-17-001"

python scripts/validate_orchestration.py \
  --scope "Implement vector search" \
  --context-files "spec/requirements.md,lib/types.ts"
"""
PLAN = r"""
python "$PLUGIN/scripts/context_manager.py" prepare-bundle \
  --agent-type "task-implementor" \
  --scope "Implement HNSW" \
  --files "spec/requirements.md,lib/types.ts" \
  --output bundle-001.json
"""
EXECUTE = r"""
python scripts/execution_tracker.py init-deployment \
  --session-id "orch-2025-01-17-001" \
  --execution-id "exec-001" \
  --agent-type "task-implementor" \
  --scope "Implement HNSW algorithm" \
  --context-token-count 15000 \
  --model "sonnet"

python scripts/execution_tracker.py record-completion \
  --execution-id "exec-001" \
  --status "completed" \
  --final-message "$(cat agent-output.txt)" \
  --deliverables "lib/vector-search.ts,tests/vector-search.test.ts"

python scripts/execution_tracker.py init-deployment \
  --session-id "orch-2025-01-17-001" \
  --execution-id "exec-002" \
  --agent-type "task-implementor" \
  --context-bundle bundle-001.json

python "$PLUGIN/scripts/context_manager.py" record-allocation \
  --execution-id "exec-002" \
  --bundle bundle-001.json

python scripts/execution_tracker.py record-completion \
  --execution-id "exec-002" \
  --final-message "$(cat agent-final-output.txt)"
"""
VALIDATE = r"""
python scripts/output_collector.py collect \
  --execution-id "exec-001" \
  --deliverables "lib/vector-search.ts,tests/vector-search.test.ts" \
  --validation-results "format:pass,lint:pass,types:pass,tests:pass" \
  --insights "HNSW provides O(log n) search complexity"

python scripts/output_collector.py collect \
  --execution-id "exec-001" \
  --deliverables "lib/vector-search.ts,tests/vector-search.test.ts" \
  --validation-results "format:pass,lint:pass,types:pass,tests:pass"
"""
CONFIRM = r"""
python scripts/output_collector.py synthesize \
  --session-id "orch-2025-01-17-001" \
  --template synthesis-report.tmpl \
  --output report.md

python scripts/execution_tracker.py complete-session \
  --session-id "orch-2025-01-17-001"
"""


@pytest.fixture
def shell(plugin, bare, data, tmp_path):
    """`shell(lines)`: runs them with sh in a project of its own; `scripts/` leads to the plugin's."""
    project = tmp_path / "a project's folder"
    for path, text in {
        "spec/requirements.md": "# Vector Search Requirements\n\nFast.\n",
        "lib/types.ts": "export type Vector = number[]\n",
        "lib/vector-search.ts": "export {}\n",
        "agent-output.txt": 'Implemented HNSW.\n"quoted" $HOME `x`\n',
        "agent-final-output.txt": "Done again.\n",
    }.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    (project / "scripts").symlink_to(plugin / "scripts")
    environment = bare(ORCHESTRATOR_DATA=data, PLUGIN=plugin)
    folder = Path(environment["PATH"].split(os.pathsep)[0])
    (folder / "python").symlink_to((folder / "python3").resolve())

    def run(lines, check=True, stdin=""):
        ran = subprocess.run(
            ["sh", "-e", "-c", lines],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            input=stdin,
        )
        assert not check or ran.returncode == 0, ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
        return ran

    run.project = project
    return run


def test_every_line_of_seed_002_runs_as_printed(shell):
    """The five phases of seed 002, word for word (S2-10 to S2-16, S2-28 to S2-31, S2-34)."""
    assert shell(ANALYZE).stdout.startswith("orch-2025-01-17-001\n")
    shell(PLAN)
    assert shell(EXECUTE).stdout == "exec-001\nexec-002\n"
    shell(VALIDATE)
    shell(CONFIRM)
    query = "python scripts/execution_tracker.py query "
    mine = json.loads(shell(query + '\\\n  --session-id "orch-2025-01-17-001" \\\n  --format json').stdout)
    assert [
        (e["execution_id"], e["status"], e["success"], e["model"], e["scope"], e["context_token_count"])
        for e in mine
    ] == [
        ("exec-002", "completed", True, None, "Implement HNSW", mine[0]["context_token_count"]),
        ("exec-001", "completed", True, "sonnet", "Implement HNSW algorithm", 15000),
    ]
    assert (
        mine[1]["final_message"] == 'Implemented HNSW.\n"quoted" $HOME `x`'
        and mine[0]["context_token_count"] > 0
    )
    latest = json.loads(shell(query + "\\\n  --limit 10 \\\n  --format json").stdout)
    assert [(s["session_id"], s["status"], s["phase"], s["scope"]) for s in latest] == [
        ("orch-2025-01-17-001", "completed", 5, "Implement vector search feature")
    ]
    collector = "python scripts/output_collector.py query "
    last = json.loads(shell(collector + '--agent-type "task-implementor" --limit 10 --format json').stdout)
    assert {o["output_type"] for o in last} == {"deliverable", "validation_result", "insight"}
    deliverable = next(
        o
        for o in last
        if o["content"]
        == {
            "file_path": "lib/vector-search.ts",
            "validation": {"format": "pass", "lint": "pass", "types": "pass", "tests": "pass"},
        }
    )
    assert deliverable["metadata"] == {
        "agent_type": "task-implementor",
        "model": "sonnet",
        "related_files": ["tests/vector-search.test.ts"],
    }
    table = shell(collector + '--session-id "orch-2025-01-17-001" --output-type "deliverable"').stdout
    assert table.count("deliverable") == 2
    assert shell(collector + '--since "2025-01-15" --format markdown').stdout.startswith("| created |")
    assert json.loads(shell(collector + '--session-id "orch-2025-01-17-001" --format json').stdout)
    report = (shell.project / "report.md").read_text()
    assert report.startswith("# Implement vector search feature\n") and "- `lib/vector-search.ts`" in report


def test_a_final_message_may_come_from_standard_input(shell):
    """--final-message - reads the message to its end, whatever it holds."""
    shell(
        ANALYZE + "python scripts/execution_tracker.py init-deployment --session-id orch-2025-01-17-001 "
        "--execution-id e1 --agent-type x"
    )
    shell(
        "python scripts/execution_tracker.py record-completion --execution-id e1 --final-message -",
        stdin="long " * 100_000 + "é\n",
    )
    found = json.loads(shell("python scripts/execution_tracker.py query --agent-type x --format json").stdout)
    assert found[0]["final_message"] == "long " * 100_000 + "é\n"


def test_every_form_of_query_is_answered(shell):
    """query answers by session, type, time and state in each form; set-phase moves on (S2-14, S2-15)."""
    shell(ANALYZE + PLAN + EXECUTE)
    tracker = "python scripts/execution_tracker.py "
    for words in (
        "--session-id orch-2025",
        "--agent-type task-implementor",
        "--since 2025-01-15",
        "--until 1d",
        "--limit 1",
        "--status completed",
        "--status deployed",
        "--since 1h --until 2030-01-01",
    ):
        for form in ("json", "table", "markdown", "csv"):
            shell(tracker + "query %s --format %s" % (words, form))
    shell(tracker + "set-phase --session-id orch-2025-01-17-001 --phase 4")
    assert json.loads(shell(tracker + "query --format json").stdout)[0]["phase"] == 4


def test_scripts_refuse_with_a_sentence_and_the_right_code(shell):
    """An unknown session is refused with what to do (1), wrong use is told (2), help is help (0)."""
    for line, code, said in (
        ("execution_tracker.py init-deployment --session-id nix --agent-type x", 1, "init-session"),
        ("execution_tracker.py init-session --scope x --session-id orch-1", 0, ""),
        ("execution_tracker.py init-deployment --session-id nix --agent-type x", 1, "init-session"),
        ("execution_tracker.py query --session-id nix", 1, "There is no session"),
        ("execution_tracker.py record-completion --execution-id nix", 1, "There is no execution"),
        ("execution_tracker.py init-session", 2, "--scope"),
        ("execution_tracker.py nix", 2, "No such command"),
        ("output_collector.py collect --execution-id nix --insights x", 1, "There is no execution nix"),
        ("synthesize_reports.py", 2, "Name report files"),
        ("synthesize_reports.py nix.md", 1, "cannot be read"),
        ("validate_orchestration.py --scope x --context-files nix.md,../out", 1, "nix.md"),
        ("execution_tracker.py --help", 0, ""),
    ):
        ran = shell("python scripts/" + line, check=False)
        assert ran.returncode == code and said in ran.stderr, (line, ran.stdout, ran.stderr)


def test_reports_are_put_together_as_before(shell):
    """synthesize_reports.py takes report files, or a session, in Markdown or JSON (S2-27)."""
    (shell.project / "one.md").write_text("It works.\nDeliverables:\n- lib/types.ts\n")
    assert "It works." in shell("python scripts/synthesize_reports.py one.md agent-output.txt").stdout
    told = json.loads(shell("python scripts/synthesize_reports.py one.md --format json").stdout)
    assert told["others"][0]["deliverables"] == ["lib/types.ts"]
    shell(ANALYZE)
    assert (
        "# Implement vector search"
        in shell("python scripts/synthesize_reports.py --session-id orch-2025-01-17-001").stdout
    )


def test_the_scripts_work_from_any_folder_of_the_project(shell):
    """From a subfolder the same project's history is meant, and paths are that project's."""
    shell(ANALYZE)
    (shell.project / "deep" / "er").mkdir(parents=True)
    found = shell("cd deep/er && python ../../scripts/execution_tracker.py query --format json").stdout
    assert json.loads(found)[0]["session_id"] == "orch-2025-01-17-001"


def test_two_commands_at_once_lose_nothing(shell):
    """Twenty deployments recorded at the same time are twenty rows."""
    shell(ANALYZE)
    shell(
        "for n in $(seq 1 20); do python scripts/execution_tracker.py init-deployment "
        "--session-id orch-2025-01-17-001 --execution-id e$n --agent-type x >/dev/null & done; wait"
    )
    found = json.loads(
        shell("python scripts/execution_tracker.py query --agent-type x --limit 50 --format json").stdout
    )
    assert {e["execution_id"] for e in found} == {"e%d" % n for n in range(1, 21)}
