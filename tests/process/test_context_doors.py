"""Context manager's doors: the seed's command lines as printed, from any python3, and what they write."""

import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.path.realpath(sys.executable)

FILES = {
    "spec/requirements.md": "# Requirements\n\n## Vector Search Requirements\n\nFast.\n\n## Other\n\nSlow.\n",
    "lib/types.ts": "export type Vector = number[]\n",
    "references/hnsw-algorithm.md": "# HNSW\n\n## Algorithm Overview\n\nLayers.\n\n##"
    " Implementation Notes\n\nHeaps.\n",
}


@pytest.fixture
def project(tmp_path):
    """A project with the seed's files."""
    root = tmp_path / "a project"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def run(project, bare, data):
    """`run("context_manager.py …")`: a command line in the project, by a python3 that has no packages."""
    environment = bare(ORCHESTRATOR_DATA=data)

    def go(line, code=0):
        script, *words = shlex.split(line)
        done = subprocess.run(
            [PYTHON, "-I", "-S", str(ROOT / "scripts" / script), *words],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return go


def test_the_seeds_command_lines(run, project):
    """Every line that seed 002 prints for the context manager, in its order and each of its forms
    (S2-19..24).
    """
    run(
        'context_manager.py prepare-bundle --agent-type "task-implementor" --scope "Implement vector search" '
        '--files "spec/requirements.md,lib/types.ts" --references "references/hnsw-algorithm.md" '
        "--output bundle.json"
    )
    body = json.loads((project / "bundle.json").read_text())
    assert [i["source"] for i in body["context_items"]] == list(FILES)
    run(
        'context_manager.py prepare-bundle --agent-type "task-implementor" --scope "Implement HNSW" '
        '--files "spec/requirements.md,lib/types.ts" --output bundle-001.json'
    )
    shutil.copy(project / "bundle.json", project / "bundle-002.json")
    run(
        'execution_tracker.py init-session --scope "Implement vector search" '
        '--session-id "orch-2025-01-17-001"'
    )
    said = run(
        'context_manager.py track-budget --session-id "orch-2025-01-17-001" --phase 3 --budget 200000 '
        "--warn-threshold 0.75"
    )
    assert "0  of 200,000 tokens" in said.stdout
    said = run(
        'context_manager.py track-budget --session-id "orch-2025-01-17-001" '
        '--bundles "bundle-001.json,bundle-002.json"'
    )
    assert "of 200,000 tokens" in said.stdout
    run(
        'context_manager.py deduplicate --bundles "bundle-001.json,bundle-002.json" '
        "--output shared-context.json"
    )
    shared = json.loads((project / "shared-context.json").read_text())
    assert [i["source"] for i in shared["context_items"]] == ["spec/requirements.md", "lib/types.ts"]
    assert all(i["type"] == "shared_context" and len(i["shared_with"]) == 2 for i in shared["context_items"])
    run(
        "context_manager.py generate-briefing --bundle bundle.json --template briefing-template.md "
        "--output agent-briefing.md"
    )
    briefing = (project / "agent-briefing.md").read_text()
    assert all(
        word in briefing for word in ("Implement vector search", "Fast.", "number[]", "Heaps.", "# Contract")
    )
    run(
        'execution_tracker.py init-deployment --session-id "orch-2025-01-17-001" --execution-id "exec-001" '
        '--agent-type "task-implementor" --context-bundle bundle-001.json'
    )
    run('context_manager.py record-allocation --execution-id "exec-001" --bundle bundle-001.json')
    said = run('context_manager.py track-budget --session-id "orch-2025-01-17-001" --phase 3 --format json')
    tracked = json.loads(said.stdout)
    assert tracked["total_tokens"] == json.loads((project / "bundle-001.json").read_text())["total_tokens"]


def test_exit_codes_and_the_threshold(run, project):
    """Under the threshold 0 and silent, over it 0 with a warning, over the budget 1, a wrong call 2."""
    run(
        "context_manager.py prepare-bundle --agent-type a --scope s --files spec/requirements.md"
        " --output b.json"
    )
    total = json.loads((project / "b.json").read_text())["total_tokens"]
    assert run(f"context_manager.py track-budget --bundles b.json --budget {total * 2}").stderr == ""
    warned = run(f"context_manager.py track-budget --bundles b.json --budget {total} --warn-threshold 0.5")
    assert "more than 50 %" in warned.stderr
    over = run(f"context_manager.py track-budget --bundles b.json --budget {total - 1}", code=1)
    assert "over the budget" in over.stderr and "cut the largest" in over.stderr
    run("context_manager.py track-budget", code=2)
    run("context_manager.py prepare-bundle --scope s", code=2)
    refused = run(
        "context_manager.py prepare-bundle --agent-type a --scope s --files"
        " spec/requirements.md,no.py,../x --budget 3",
        code=1,
    )
    assert "no.py does not exist" in refused.stderr and "../x leads out" in refused.stderr
    refused = run(
        "context_manager.py prepare-bundle --agent-type a --scope s --files spec/requirements.md --budget 3",
        code=1,
    )
    assert "the budget is 3" in refused.stderr
    assert "is not JSON" in run("context_manager.py track-budget --bundles lib/types.ts", code=1).stderr
    assert "no bundle" in run("context_manager.py track-budget --bundles nope.json", code=1).stderr


def test_bundles_outlive_the_command(run, project):
    """A bundle is kept in the history: its id serves where its file would, also for its drawing and its
    briefing.
    """
    run("context_manager.py prepare-bundle --agent-type a --scope s --files lib/types.ts --output b.json")
    name = json.loads((project / "b.json").read_text())["bundle_id"]
    (project / "b.json").unlink()
    assert name in run(f"context_manager.py track-budget --bundles {name}").stdout
    assert "lib/types.ts" in run(f"context_manager.py show {name[:10]}").stdout
    assert "number[]" in run(f"context_manager.py generate-briefing --bundle {name}").stdout
    (project / "lib/types.ts").write_text("changed\n")
    said = run(f"context_manager.py generate-briefing --bundle {name}")
    assert "number[]" not in said.stdout and "changed since" in said.stdout + said.stderr


def test_preparing_again_tells_what_changed(run, project):
    """Writing over a bundle that was prepared before says which files differ."""
    line = "context_manager.py prepare-bundle --agent-type a --scope s --files lib/types.ts --output b.json"
    assert "has changed" not in run(line).stderr
    (project / "lib/types.ts").write_text("export type Vector = Float32Array\n")
    assert "lib/types.ts has changed" in run(line).stderr


def test_without_the_history(run, project):
    """--no-store writes the file and makes no workspace (S2-39)."""
    run(
        "context_manager.py prepare-bundle --agent-type a --scope s --files lib/types.ts --output"
        " b.json --no-store"
    )
    assert not (project / ".orchestrator").exists()
    assert "number[]" in run("context_manager.py generate-briefing --bundle b.json").stdout
    assert not (project / ".orchestrator").exists()


def test_context_bounds(run):
    """Files within their bounds exit 0, beyond them 1; in either form of naming them (S2-35)."""
    assert "of 200,000 tokens" in run("check_context_bounds.py spec/requirements.md lib/types.ts").stdout
    assert "lib/types.ts" in run('check_context_bounds.py --files "spec/requirements.md,lib/types.ts"').stdout
    assert "over the budget" in run("check_context_bounds.py lib/types.ts --max-tokens 2", code=1).stderr
    run("check_context_bounds.py", code=2)


def person(command, project, environment):
    """What a command writes to a terminal of its own on stderr."""
    ours, theirs = pty.openpty()
    done = subprocess.run(command, cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=theirs, timeout=110)
    os.close(theirs)
    assert done.returncode == 0
    seen = os.read(ours, 10_000).decode()
    os.close(ours)
    return seen


def test_count(project, bare, data):
    """`orchestrator count` counts files and folders, twice the same, and names what it leaves out."""
    (project / "logo.png").write_bytes(b"\x89PNG\0")
    (project / "leak").symlink_to(ROOT / "LICENSE")

    def count(*words):
        return subprocess.run([str(ROOT / "bin/orchestrator"), "count", *words], cwd=project, text=True,
                              env=bare(ORCHESTRATOR_DATA=data), capture_output=True, timeout=110)  # fmt: skip

    first, second = count("--format", "json"), count("--format", "json")
    assert first.stdout == second.stdout and first.returncode == 0
    told = json.loads(first.stdout)
    assert {f["path"] for f in told["files"]} == set(FILES) and told["how"] == "tiktoken:cl100k"
    assert told["total_tokens"] == sum(f["token_count"] for f in told["files"])
    assert "logo.png: is binary" in first.stderr and "leak: is a link that leads out of the folder" in first.stderr
    drawn = count("--depth", "1").stdout.splitlines()
    assert drawn[-1].split()[1:4] == ["100%", "3", "files"]
    assert "\r" not in first.stderr, "a progress bar is for a person"
    assert "counting [########################] 100 %" in person(
        [str(ROOT / "bin/orchestrator"), "count", "--no-cache"], project, bare(ORCHESTRATOR_DATA=data))
    assert count("none").returncode == 1
