"""Verdicts: what a check said, as agents write it, and whether it passed, failed, or says neither; kept, summed up, shown."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from histories import Filled
from orchestrator.edges.cli import main
from orchestrator.model import verdict as judge
from orchestrator.services import report_files, stats

# as an agent writes it: the check, its verdict, whether it passed
WRITTEN = {
    "tests: pass (pytest -q tests/test_a.py)": ("tests", "pass (pytest -q tests/test_a.py)", True),
    "types: PASSED": ("types", "PASSED", True),
    "lint: ok": ("lint", "ok", True),
    "tests: `pass`": ("tests", "pass", True),
    "tests: **pass**": ("tests", "pass", True),
    "tests: **pass** (`pytest -q`)": ("tests", "pass (pytest -q)", True),
    "**tests**: pass": ("tests", "pass", True),
    "**tests: pass**": ("tests", "pass", True),
    "`pytest -q`: pass": ("pytest -q", "pass", True),
    "tests: ✅ pass": ("tests", "pass", True),
    "tests: ✅": ("tests", "✅", True),
    "tests: ✅ 12 of 12": ("tests", "✅ 12 of 12", True),
    "tests: ❌ 2 of 12": ("tests", "❌ 2 of 12", False),
    "tests: fail": ("tests", "fail", False),
    "tests: **Failed**: error in x": ("tests", "Failed: error in x", False),
    "tests: not ok": ("tests", "not ok", False),
    "tests: 12 passed": ("tests", "12 passed", True),
    "tests: 2 failed, 10 passed": ("tests", "2 failed, 10 passed", False),
    "tests: 0 failed": ("tests", "0 failed", None),
    "tests: 10 passed, 2 failed": ("tests", "10 passed, 2 failed", False),
    "tests: 10 passed, 0 failed": ("tests", "10 passed, 0 failed", True),
    "tests: 0 failed, 10 passed": ("tests", "0 failed, 10 passed", True),
    "tests: 10 passed, 2 timed out": ("tests", "10 passed, 2 timed out", False),
    "tests: 10 passed in 2 s (error cases left out)": ("tests", "10 passed in 2 s (error cases left out)", True),
    "tests: passed 10, failed 2": ("tests", "passed 10, failed 2", False),
    "tests: passed: 10, failed: 0": ("tests", "passed: 10, failed: 0", True),
    "tests: pass, timeout 30 s": ("tests", "pass, timeout 30 s", True),
    "tests: failures: 0": ("tests", "failures: 0", None),
    "Tests run: 12, Failures: 0, Errors: 0": ("Tests run", "12, Failures: 0, Errors: 0", None),
    "tests: no failures": ("tests", "no failures", None),
    "tests: 12 passed, no failures": ("tests", "12 passed, no failures", True),
    "unit: 42/42 passed": ("unit", "42/42 passed", True),
    "unit: 42 of 42 tests passed": ("unit", "42 of 42 tests passed", True),
    "unit: 40/42 passed": ("unit", "40/42 passed", None),
    "unit: 4/42 passed": ("unit", "4/42 passed", None),
    "unit: 2/42 failed": ("unit", "2/42 failed", False),
    "unit: 0/42 failed": ("unit", "0/42 failed", None),
    "tests: 1,204 passed": ("tests", "1,204 passed", True),
    "tests: 1,000 failed": ("tests", "1,000 failed", False),
    "tests: 12 tests passed": ("tests", "12 tests passed", True),
    "tests: all pass": ("tests", "all pass", True),
    "tests: all tests pass": ("tests", "all tests pass", True),
    "tests: all 12 tests passed": ("tests", "all 12 tests passed", True),
    "tests: not all tests pass": ("tests", "not all tests pass", False),
    'tests: "pass"': ("tests", '"pass"', True),
    "tests: 100% pass": ("tests", "100% pass", True),
    "tests: 85% passed": ("tests", "85% passed", None),
    "❌ pytest: 3 of 42": ("pytest", "❌ 3 of 42", False),
    "✅ build: 12 s": ("build", "✅ 12 s", True),
    "❌ tests": ("tests", "❌", False),
    "✅ pytest: 42 passed": ("pytest", "42 passed", True),
    "✅ pytest: 2 failed": ("pytest", "2 failed", False),
    "tests: cleanup: failed": ("tests: cleanup", "failed", False),
    "e2e: cleanup of temp files: fail": ("e2e: cleanup of temp files", "fail", False),
    "tests: okhttp client: fail": ("tests: okhttp client", "fail", False),
    "test: passive mode: fail": ("test: passive mode", "fail", False),
    "tests: pass through: fail": ("tests: pass through", "fail", False),
    "lint: cleanup needed": ("lint", "cleanup needed", None),
    "unit: error handling: pass": ("unit: error handling", "pass", True),
    "unit: errors: pass": ("unit: errors", "pass", True),
    "unit: 404 errors: pass": ("unit: 404 errors", "pass", True),
    "unit tests: timeout handling: pass": ("unit tests: timeout handling", "pass", True),
    "unit tests: timeout handling: passes now": ("unit tests: timeout handling", "passes now", True),
    "tests: crash recovery: ok": ("tests: crash recovery", "ok", True),
    "tests (unit: ok): fail": ("tests (unit: ok)", "fail", False),
    "tests: fail - log: ok": ("tests", "fail - log: ok", False),
    "types: error-free": ("types", "error-free", None),
    "npm run test:unit: pass": ("npm run test:unit", "pass", True),
    "npm run test:unit:pass": ("npm run test:unit", "pass", True),
    "tests/a.py::t: pass": ("tests/a.py::t", "pass", True),
    "cargo test a::error_cases: pass": ("cargo test a::error_cases", "pass", True),
    "tests: pass (log: ok)": ("tests", "pass (log: ok)", True),
    "src/*.py: pass": ("src/*.py", "pass", True),
    "coverage: 85%": ("coverage", "85%", None),
    "coverage:85": ("coverage", "85", None),
    "tests: ok; lint: fail": ("tests", "ok; lint: fail", False),
    "tests: ok, lint: failed.": ("tests", "ok, lint: failed.", False),
    "tests: pass; lint: ❌": ("tests", "pass; lint: ❌", False),
    "tests: ✅ unit, ❌ e2e": ("tests", "unit, ❌ e2e", False),
    "tests: unit ✅, e2e ❌": ("tests", "unit ✅, e2e ❌", False),
    "tests: ok; lint: ok": ("tests", "ok; lint: ok", True),
    "tests: pass, failure path covered": ("tests", "pass, failure path covered", True),
    "tests: pass; note: failover is slow": ("tests", "pass; note: failover is slow", True),
    "tests: pass (was: fail)": ("tests", "pass (was: fail)", True),
    "build: passes on Linux, fails on Windows": ("build", "passes on Linux, fails on Windows", False),
    "build: passes on Linux but fails on Windows": ("build", "passes on Linux but fails on Windows", False),
    "tests: 12 ✓, 0 ✗": ("tests", "12 ✓, 0", None),
    "tests: ✓ 12, ✗ 0": ("tests", "✓ 12, ✗ 0", True),
    "tests: ✓ 12, ✗ 2": ("tests", "12, ✗ 2", False),
    "tests: success: 12, failure: 2": ("tests: success", "12, failure: 2", False),
    "manual: passed for admin, failed for guest": ("manual", "passed for admin, failed for guest", False),
    "npm test: PASS src/a.test.js; FAIL src/b.test.js": ("npm test", "PASS src/a.test.js; FAIL src/b.test.js", False),
    "tests: pass; lint: 3 errors": ("tests: pass; lint", "3 errors", False),
    "tests: passed, 2 errors mended": ("tests", "passed, 2 errors mended", None),
    "tests: pass; lint: 0 errors": ("tests", "pass; lint: 0 errors", True),
    "tests: pass/fail": ("tests", "pass/fail", None),
    "tests: pass or fail": ("tests", "pass or fail", None),
    "tests: ok?": ("tests", "ok?", None),
    "tests: 12 passed (0 failed)": ("tests", "12 passed (0 failed)", True),
    "tests: 12 passed (2 failed)": ("tests", "12 passed (2 failed)", False),
    "tests: 12 passed/0 failed": ("tests", "12 passed/0 failed", True),
    "tests: 12 passed,0 failed": ("tests", "12 passed,0 failed", True),
    "eslint: ✖ 1 problem (0 errors, 1 warning)": ("eslint", "1 problem (0 errors, 1 warning)", None),
    "eslint: ✖ 3 problems (2 errors, 1 warning)": ("eslint", "3 problems (2 errors, 1 warning)", False),
    "pytest: ===== 42 passed in 1.23s =====": ("pytest", "===== 42 passed in 1.23s =====", True),
    "pytest: ===== 1 failed, 41 passed in 1.23s =====": ("pytest", "===== 1 failed, 41 passed in 1.23s =====", False),
    "go: --- FAIL: TestX (0.00s)": ("go", "--- FAIL: TestX (0.00s)", False),
    "go: --- PASS: TestX (0.00s)": ("go", "--- PASS: TestX (0.00s)", True),
    "mvn: BUILD FAILURE": ("mvn", "BUILD FAILURE", False),
    "gradle: BUILD SUCCESSFUL in 3s": ("gradle", "BUILD SUCCESSFUL in 3s", True),
    "dotnet: Build succeeded. 0 Warning(s) 0 Error(s)": ("dotnet", "Build succeeded. 0 Warning(s) 0 Error(s)", True),
    "dotnet: Passed! - Failed: 0, Passed: 12": ("dotnet", "Passed! - Failed: 0, Passed: 12", True),
    "mypy: Found 3 errors in 2 files": ("mypy", "Found 3 errors in 2 files", False),
    "mypy: Success: no issues found in 12 source files": ("mypy", "Success: no issues found in 12 source files", True),
    "cargo: test result: ok. 12 passed; 0 failed": ("cargo: test result", "ok. 12 passed; 0 failed", True),
    "tests: skipped": ("tests", "skipped", None),
    "tests: n/a": ("tests", "n/a", None),
    "tests: not run": ("tests", "not run", None),
    "tests of a:b: see above": ("tests of a", "b: see above", None),
    "k [masked:token]: pass": ("k [masked:token]", "pass", True),
    "build": ("build", "", None),
}
PIECES = ["pass", "Fail", "ok", "not ", "error", "0", "12", " ", "`", "*", "✅", "❌", "✔", "skipped", "%", "ed", ":", "n/a",
          ", ", "/", " of ", "-", "_", " all ", " tests ", "timed out", '"', "s", "passed", " failed", "1,2", "100%", "; ", " 3",
          "\u212a", "; lint: fail", "; ", "(0 ", "/0 ", ",0 ", "?", " or ", "===== ", "--- ", "found ", "build ",
          " but fails ", "fails",
          "; fails ", "; fail ", "; failed ", " but failed ", "✗ 0", "0 ✗",
          "; failure", ";", ": fail", " errors", " error"]  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_a_verdict_is_read_as_agents_write_it(written):
    """The check and its verdict are parted where the verdict begins, without marks and signs; the word it begins with judges."""
    check, said, passed = WRITTEN[written]
    assert (*judge.halves(written), judge.passed(said)) == (check, said, passed)


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=20))
def test_marks_around_a_verdict_judge_nothing(text):
    """Whatever an agent writes is parted; emphasis and quotes around what the check said leave its judgement as it is."""
    said = judge.halves(text)[1]
    assert judge.passed("**" + said + "**") == judge.passed('"' + said) == judge.passed(said)


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """A project whose one agent ended with every line of the table as a validation result, and was sent a bundle."""
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "data"))
    made = Filled(tmp_path, tmp_path / "data")
    lines = [("- " if n % 2 else "* ") + line for n, line in enumerate(WRITTEN)]
    made.end(made.deploy(), "Done.\n\nValidation:\n" + "\n".join(lines))
    made.con.execute("INSERT INTO bundles VALUES ('bun-1', 'general-purpose', 's', '2026-11-20', 5, 'given', NULL, '{}')")
    made.con.execute("UPDATE executions SET bundle_id = 'bun-1'")
    return made


def test_what_says_neither_counts_as_neither(filled):
    """Statistics, bundles and the sums by day count what passed and what failed; numbers, skipped and n/a are neither."""
    kept = filled.con.execute("SELECT v.key, v.value, passed FROM outputs, json_each(content) v ORDER BY output_id")
    assert kept.fetchall() == list(dict.fromkeys((check, said or "named", passed) for check, said, passed in WRITTEN.values()))
    passed, failed = [len({each[:2] for each in WRITTEN.values() if each[2] is wanted}) for wanted in (True, False)]
    whole = stats.statistics(filled.con)["validation"]
    assert (whole["passed"], whole["not_passed"]) == (passed, failed)
    assert [(each["passed"], each["not_passed"]) for each in stats.bundles(filled.con)[0]] == [(passed, failed)]
    assert filled.con.execute("SELECT passed, not_passed FROM daily_checks").fetchall() == [(passed, failed)]


def test_results_of_a_command_are_judged_alike(filled):
    """The seed's own example of validation results is four that passed and a number that is neither."""
    execution = filled.con.execute("SELECT execution_id FROM executions").fetchone()[0]
    filled.con.execute("DELETE FROM outputs")
    given = ["--execution-id", execution, "--validation-results", "format:pass,lint:pass,types:pass,tests:pass,coverage:85"]
    assert CliRunner().invoke(main, ["--project", filled.project, "outputs", "collect", *given]).exit_code == 0
    answer = CliRunner().invoke(main, ["--project", filled.project, "stats"])
    assert "checks   4 passed, 0 not (100.0 %)" in answer.stdout


def test_report_files_are_read_alike(tmp_path):
    """What a report file names under Validation is parted as what an agent says is."""
    report = tmp_path / "report.md"
    report.write_text("Done.\nValidation:\n- npm run test:unit: **pass**\n- build\n")
    assert json.loads(json.dumps(report_files.of_files([str(report)])))["others"][0]["validation"] == {
        "npm run test:unit": "pass", "build": "named"}  # fmt: skip


@pytest.mark.parametrize("long", ["a: " * 400_000, "pass; " * 200_000, "x: pass; lint: " * 80_000, "(: ok" * 200_000])
def test_a_line_of_a_megabyte_is_judged_by_how_it_begins(long):
    """Nobody writes a verdict as long; it is parted and judged all the same, by its beginning."""
    for text in (long, "tests: pass " + long, "tests: fail " + long):
        check, said = judge.halves(text)
        assert judge.passed(said) == judge.passed(said[:2000])
    assert judge.halves("tests: pass. " + "x" * 10**6)[0] == "tests"
