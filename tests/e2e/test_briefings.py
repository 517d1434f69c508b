"""Briefings in the real client: what was cut, what has changed and what is not there, told wherever it is looked for."""

import json

from orchestrator.edges.scripted_model import Play, Reply
from plays import deploy, main, results, submit, task


def module(n, functions):
    """A module of functions with bodies."""
    body = "".join("    a = a * %d + len(str(a))\n" % k for k in range(5)) + "    return a\n\n\n"
    return "".join(f'def f{n}_{k}(a):\n    """Does {k}."""\n{body}' for k in range(functions))


def test_what_is_cut_or_has_changed_is_told_in_the_briefing_the_bundle_and_the_allocations(claude, project, rows):
    """Required files over the budget are refused with the largest. Of references a module becomes its outline and a
    page of words its path; a file that changed after the plan is not sent; a document is quoted if it is a file.
    """
    (project / "src").mkdir(exist_ok=True)
    pages = {"must.py": module(1, 20), "large.py": module(2, 150), "edited.py": module(3, 10)}
    pages["words.txt"] = "".join("word %d and %d\n" % (k, k * 7) for k in range(800))
    for name, text in pages.items():
        (project / "src" / name).write_text(text)
    (project / "notes.md").write_text("# Notes\n\nA rule.\n")
    fits = task("t1", files=["src/must.py", "src/edited.py"], references=["src/large.py", "src/words.txt"],
                documents=["notes.md", "doc-1"], budget_tokens=4600)  # fmt: skip
    too_large = task("t2", files=["src/must.py", "src/words.txt"], budget_tokens=2000)

    def edit(_):
        (project / "src/edited.py").write_text(module(4, 10))
        return Reply([deploy("t1")])

    play = Play().when(main, submit(fits, too_large), submit(fits), edit, "waiting", "finished").when("DO t1.", "t1 done")
    run = claude.run("go", play, project)
    (refused,) = results(run.main_requests[1])
    assert "task t2" in refused and "Largest: src/words.txt 6,257; src/must.py" in refused and "Name sections" in refused

    told = {
        "src/edited.py": "changed since this briefing was prepared",
        "src/large.py": "over budget: signatures and first docstring lines only",
        "src/words.txt": "over budget: read it when you need it",
        "doc-1": "no document of this name is kept here, so there is nothing to open",
    }
    text = run.agent_requests("DO t1.")[0].first_text
    left_out = text.split("# Left out")[1].split("# Contract")[0]
    assert all(f"- `{name}`: {why}\n" in left_out for name, why in told.items() if name != "src/edited.py")
    assert "f4_0" not in text and f"Not quoted here: {told['src/edited.py']}. Read `src/edited.py` yourself." in text
    assert "word 1 and 7" not in text and "def f2_149(a)" in text and "A rule." in text

    found = rows(project, "SELECT * FROM allocations")
    assert {row["context_source"]: row["reason"] for row in found if row["reason"]} == told
    (row,) = rows(project, "SELECT b.body FROM executions e JOIN bundles b USING (bundle_id)")
    items = {item["source"]: item for item in json.loads(row["body"])["context_items"]}
    assert {name: item["reason"] for name, item in items.items() if item.get("reason")} == told
    assert [items[name]["form"] for name in told] == ["path", "outline", "path", "path"]
    assert items["notes.md"]["type"] == "document" and items["notes.md"]["included"]
