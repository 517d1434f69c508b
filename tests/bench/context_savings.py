"""Savings bench: what a plan's bundles cost when made naively, and what each step of ours takes off.

Usage: python tests/bench/context_savings.py [--plan FILE] [--corpus FOLDER] [--format markdown|json]
The corpus is fetched by pip (the sdist that the plan names) unless a folder is given. Exit codes: 0 done, 2
usage.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts"))

from orchestrator.context import dedupe, sections  # noqa: E402
from orchestrator.context.items import Request, Shelf, gather  # noqa: E402
from orchestrator.context.tokens import EXACT, Counter  # noqa: E402
from orchestrator.services.prepare import prepare  # noqa: E402
from orchestrator.store.open import open_history  # noqa: E402


def corpus(requirement, folder):
    """The unpacked sdist of a requirement."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
        requirement,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (top,) = (path for path in folder.iterdir() if path.is_dir())
    return top


def specs(task):
    """Every file a task names, as (type, spec)."""
    return [("file", spec) for spec in task.get("files", [])] + [
        ("reference", s) for s in task.get("references", [])
    ]


def whole(spec):
    """A spec with its outline undone: the file in full."""
    return spec.removesuffix("::" + sections.OUTLINE)


def naive(shelf, task, counter):
    """Everything a task names, one after the other."""
    total = 0
    for kind, spec in specs(task):
        items, faults = gather(shelf, [Request(whole(spec), kind)])
        assert not faults, faults
        total += sum(counter.count(item.text)[0] for item in items)
    return total


def step(shelf, task, counter, unfold, blocks, diffs):
    """The tokens of a task's items after some of the steps."""
    wanted = [Request(whole(spec) if unfold else spec, kind) for kind, spec in specs(task)]
    items, faults = gather(shelf, wanted)
    assert not faults, faults
    dedupe.measure(items, counter)
    if blocks:
        originals = [item.text for item in items]
        dedupe.within(items, counter, diffs=diffs)
        assert dedupe.rebuild(items) == originals
    return sum(item.tokens for item in items)


def measure(root, tasks):
    """Rows of (task, naive, once, pointers, diffs, outlines)."""
    counter, shelf = Counter(), Shelf(str(root))
    assert counter.how == EXACT
    return [
        (
            task["id"],
            naive(shelf, task, counter),
            step(shelf, task, counter, True, False, False),
            step(shelf, task, counter, True, True, False),
            step(shelf, task, counter, True, True, True),
            step(shelf, task, counter, False, True, True),
        )
        for task in tasks
    ]


def shared(root, tasks):
    """(tokens of the shared parts, read again by siblings, all tokens of the prepared briefings)."""
    with tempfile.TemporaryDirectory() as folder:
        made = prepare(open_history(os.path.join(folder, "h.db")), str(root), "bench", tasks)
    assert not made.faults, made.faults
    parts = [sum(i.tokens for i in b.items[: b.shared]) for b in made.bundles.values() if b.shared]
    again = sum(parts) - sum({p: p for p in parts})
    return sum(parts), again, sum(b.total_tokens for b in made.bundles.values())


def table(rows, sharing, plan):
    """The Markdown table."""
    sums = [sum(row[n] for row in rows) for n in range(1, 6)]

    def off(n):
        return f"{100 * (1 - sums[n] / sums[0]):.1f} %"

    names = [
        "everything named, in full",
        "each file and section once",
        "repeated blocks as pointers",
        "edited copies as diffs",
        "references as the outlines asked for",
    ]
    lines = [
        f"{len(rows)} agents over {plan['corpus']}, counted with {EXACT}:",
        "",
        "| step | tokens | less than naive |",
        "|---|---:|---:|",
    ]
    for n, name in enumerate(names):
        mark = "" if n in (0, 4) else " (lossless)"
        if n and sums[n] == sums[n - 1]:
            mark = mark.replace(")", "; none here is shorter so)") or " (nothing here)"
        lines.append(f"| {name}{mark} | {sums[n]:,} | {off(n) if n else ''} |")
    together, again, total = sharing
    lines += [
        "",
        f"Of the {total:,} tokens of the prepared briefings, {together:,} stand in shared parts at their "
        f"beginning; {again:,} of those repeat what a sibling has sent.",
    ]
    return "\n".join(lines)


def main():
    """Runs the bench and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", type=Path, default=HERE / "corpus_plan.json")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown")
    given = parser.parse_args()
    plan = json.loads(given.plan.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        root = given.corpus or corpus(plan["corpus"], Path(folder))
        rows, sharing = measure(root, plan["tasks"]), shared(root, plan["tasks"])
    if given.format == "json":
        print(json.dumps({"rows": rows, "shared": sharing}))
    else:
        print(table(rows, sharing, plan))


if __name__ == "__main__":
    main()
