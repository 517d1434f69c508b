"""Bundles: the seed's JSON, an id of what they hold, a budget kept in a way a person would agree with."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.context import budget, bundle_file, dedupe, near, tokens
from orchestrator.context.bundle import BadItems, Bundle, prepare
from orchestrator.context.items import Item
from orchestrator.context.tokens import Counter
from orchestrator.services import bundles as service
from orchestrator.store.open import open_history

COUNTER = Counter()
SEED = {"bundle_id", "agent_type", "scope", "created_at", "context_items", "total_tokens", "budget_remaining"}
SEED_ITEM = {"type", "source", "token_count", "priority", "sections"}


def words(n, seed=0):
    """Text of n different lines."""
    rng = random.Random(seed)
    return "".join("line %d of %d: %s\n" % (k, seed, rng.randrange(10**9)) for k in range(n))


def code(n, seed=0):
    """A module of n functions with bodies."""
    body = "    total = 0\n    for step in range(%d):\n        total += step * %d\n    return total\n\n\n"
    return "".join(
        'def task_%d_%d(a, b):\n    """Does %d."""\n' % (seed, k, k) + body % (k, seed) for k in range(n)
    )


@pytest.fixture
def project(tmp_path):
    """A project like the seed's."""
    for name, text in {
        "spec/requirements.md": "# R\n\n## Vector Search Requirements\n\nfast\n",
        "lib/types.ts": "export type A = number\n",
        "references/hnsw-algorithm.md": "# H\n\n## Algorithm Overview\n\nhnsw\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def made(project, **more):
    """The seed's bundle."""
    return prepare(
        str(project),
        ["spec/requirements.md#Vector Search Requirements", "lib/types.ts"],
        ["references/hnsw-algorithm.md"],
        agent_type="task-implementor",
        scope="Implement vector search",
        **more,
    )


def test_the_json_is_the_seeds(project):
    """Every key of the seed is there under its name, with its type; sums hold (S2-25)."""
    body = made(project).as_json()
    assert SEED <= body.keys()
    assert all(SEED_ITEM <= item.keys() for item in body["context_items"])
    assert body["bundle_id"].startswith("bun-")
    assert body["context_items"][0]["sections"] == ["Vector Search Requirements"]
    assert [i["type"] for i in body["context_items"]] == ["file", "file", "reference"]
    assert [i["priority"] for i in body["context_items"]] == ["required", "required", "recommended"]
    assert body["total_tokens"] == sum(i["token_count"] for i in body["context_items"])
    assert body["budget_remaining"] == 200_000 - body["total_tokens"]
    assert body["how"] == "tiktoken:cl100k"
    assert bundle_file.faults(json.loads(json.dumps(body))) == []


def test_the_same_context_has_the_same_id(project):
    """The id is of the items and their order; when, for whom and how much is left do not enter it."""
    first = made(project)
    again = prepare(
        str(project),
        ["spec/requirements.md#Vector Search Requirements", "lib/types.ts"],
        ["references/hnsw-algorithm.md"],
        agent_type="other",
        scope="other",
        allowed=500,
    )
    assert first.bundle_id == again.bundle_id
    for item in again.items:
        item.shared_with = ["bun-x"]
    assert first.bundle_id == again.bundle_id
    assert Bundle("a", "s", again.items[::-1], 1).bundle_id != first.bundle_id
    (project / "lib/types.ts").write_text("export type A = string\n")
    assert made(project).bundle_id != first.bundle_id


def test_preparing_again_tells_what_changed(project):
    """A bundle records each item's hash, so that a second preparation says what differs."""
    before = made(project).as_json()
    (project / "lib/types.ts").write_text("export type A = string | number\n")
    (project / "spec/requirements.md").write_text("# R2\n\n## Vector Search Requirements\n\nfast\n")
    told = service.changes(before, made(project).as_json())
    assert told == [
        "spec/requirements.md, Vector Search Requirements has changed (elsewhere than in what is sent).",
        "lib/types.ts has changed (+2 tokens).",
    ]


def test_preparing_again_tells_what_is_newly_included(project):
    """An item that was left out before has not changed: it is included now, and the other way round."""
    before = made(project).as_json()
    after = json.loads(json.dumps(before))
    left_out = before["context_items"][1]
    left_out.update(included=False, token_count=0, item_hash=None, file_hash=None)
    count = after["context_items"][1]["token_count"]
    assert service.changes(before, after) == [f"lib/types.ts is newly included (+{count} tokens)."]
    assert service.changes(after, before) == [f"lib/types.ts is no longer included (-{count} tokens)."]
    assert service.changes(after, after) == []


def test_a_section_that_no_file_of_a_glob_has_is_refused(project):
    """As without a glob; where one of the files has it, the others are named and left out."""
    (project / "spec/other.md").write_text("# Other\n")
    with pytest.raises(BadItems, match="No file that spec/[*].md matches has what is asked for"):
        prepare(str(project), ["lib/types.ts", "spec/*.md#Nowhere"], agent_type="a", scope="s")
    fine = prepare(str(project), ["spec/*.md#Vector Search Requirements"], agent_type="a", scope="s")
    assert {item.source: item.included for item in fine.items} == {
        "spec/requirements.md": True,
        "spec/other.md": False,
    }


def test_every_fault_is_told_at_once(project):
    """A bundle whose files are wrong is refused with all of them."""
    with pytest.raises(BadItems) as refused:
        prepare(str(project), ["none.py", "../x", "spec/requirements.md#Gone"])
    assert all(word in str(refused.value) for word in ("none.py", "../x", "Gone"))


def item(name, text, priority="required", kind="file"):
    """An item made by hand."""
    return Item(kind, name, priority, text=text)


def test_what_is_required_and_does_not_fit_is_refused(project):
    """The refusal names the largest items and what to do, and nothing is cut silently (S2-26, S2-41)."""
    items = [item("big.py", words(400)), item("small.py", words(3, 1)), item("other.md", words(60, 2))]
    with pytest.raises(budget.OverBudget) as refused:
        budget.fit(items, 1000, COUNTER)
    said = str(refused.value)
    assert "the budget is 1,000" in said and said.index("big.py") < said.index("other.md")
    assert "path#Heading" in said and "budget_tokens" in said


def test_optional_items_give_way_before_recommended_ones():
    """Optional before recommended, required never; each with its reason."""
    items = [
        item("r.md", words(50)),
        item("rec.md", words(50, 1), "recommended"),
        item("opt.md", words(20, 2), "optional"),
    ]
    whole = sum(COUNTER.count(i.text)[0] for i in items)
    budget.fit(items, whole - 10, COUNTER)
    assert [(i.source, i.form) for i in items] == [("r.md", "all"), ("rec.md", "all"), ("opt.md", "path")]
    assert items[2].reason == "over budget: read it when you need it" and items[2].tokens == 0


def test_code_gives_way_to_its_outline_first():
    """A module becomes its signatures, the largest module first, as long as that is enough."""
    items = [
        item("r.md", words(5)),
        item("a.py", code(10, 1), "optional"),
        item("b.py", code(40, 2), "optional"),
    ]
    whole = sum(COUNTER.count(i.text)[0] for i in items)
    budget.fit(items, whole - 50, COUNTER)
    assert [i.form for i in items] == ["all", "all", "outline"]
    assert "def task_2_39(a, b): ..." in items[2].sent and "total += step" not in items[2].sent


def test_what_was_cut_before_something_larger_comes_back():
    """When cutting a large recommended item makes room, a small optional one cut before it returns."""
    items = [
        item("r.md", words(10)),
        item("rec.md", words(200, 1), "recommended"),
        item("o.md", words(10, 2), "optional"),
    ]
    counts = [COUNTER.count(i.text)[0] for i in items]
    budget.fit(items, counts[0] + counts[2] + 5, COUNTER)
    assert [i.form for i in items] == ["all", "path", "all"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["required", "recommended", "optional"])), max_size=7
    ),
    st.integers(1, 4000),
)
def test_a_budget_is_kept_or_refused(sizes, allowed):
    """Whatever the items, the result fits and required items are whole, or it is refused for required ones
    alone.
    """
    items = [
        item(f"{n}.py", code(size, n) if n % 2 else words(size, n), priority)
        for n, (size, priority) in enumerate(sizes)
    ]
    required = sum(COUNTER.count(i.text)[0] for i in items if i.priority == "required")
    try:
        budget.fit(items, allowed, COUNTER)
    except budget.OverBudget:
        assert required > allowed * 0.9
    else:
        assert sum(i.tokens for i in items) <= allowed
        assert all(i.included for i in items if i.priority == "required")
        assert all(i.reason for i in items if not i.included)


LICENCE = "".join(
    f"# Licensed under the terms of clause {n}, which say that nothing is warranted here.\n" for n in range(6)
)


def rebuilt(items):
    """The items' texts, from what is sent of them."""
    return dedupe.rebuild(items)


def test_what_stands_twice_is_there_once():
    """A repeated section is a pointer; the originals can be rebuilt; tokens are saved."""
    items = [item("a.py", LICENCE + code(3, 1)), item("b.py", LICENCE + code(3, 2)), item("c.py", code(3, 1))]
    originals = [i.text for i in items]
    dedupe.within(items, COUNTER)
    assert [i.form for i in items] == ["all", "pointers", "pointers"]
    assert items[1].sent.startswith("[6 lines that stand in a.py, above, from `# Licensed under")
    assert items[1].needs == [0] and sum(i.tokens for i in items) < sum(i.full_tokens for i in items)
    assert rebuilt(items) == originals


def test_a_pointer_leads_only_to_what_is_sent():
    """An item cut to its outline is no target: nothing points at text that the agent was not given."""
    items = [item("a.py", LICENCE + code(9, 1), "optional"), item("b.py", LICENCE + code(2, 2))]
    items[0].form, items[0].sent = "outline", "def x(): ..."
    dedupe.within(items, COUNTER)
    assert items[1].form == "all" and not items[1].needs


def test_a_kept_bundles_pointers_lead_to_what_is_given(project, tmp_path_factory):
    """When the file that a pointer or a diff leads to has changed, or what was sent was not kept, the item is given
    in full; else as it was, a diff with the name of what it is against.
    """
    original = words(120, 1)
    copy = "".join(line.replace("line", "LINE") if n % 20 == 0 else line for n, line in enumerate(original.splitlines(True)))
    (project / "lib/a.md").write_text(original)
    (project / "lib/b.md").write_text(copy)
    (project / "lib/c.md").write_text(original + words(3, 2))
    con = open_history(str(tmp_path_factory.mktemp("w") / "h.db"))
    bundle = prepare(str(project), ["lib/a.md", "lib/b.md", "lib/c.md"], scope="s", agent_type="x")
    service.keep(con, bundle)
    body = bundle.as_json()
    assert [i["form"] for i in body["context_items"]] == ["all", "diff", "pointers"]

    def briefing(con):
        return service.briefing_of(con, str(project), body, "{{ context }}")[0]

    text = briefing(con)
    assert "what differs from lib/a.md, above" in text and "lines that stand in lib/a.md" in text and copy not in text
    assert copy in briefing(None) and "above" not in briefing(None)
    (project / "lib/a.md").write_text(original + "more")
    text = briefing(con)
    assert copy in text and original + words(3, 2) in text and "above" not in text


def test_an_edited_copy_is_a_diff():
    """A long copy with scattered edits is sent as what differs; applying it gives the copy."""
    original = words(120, 1)
    copy = "".join(
        line.replace("line", "LINE") if n % 20 == 0 else line
        for n, line in enumerate(original.splitlines(True))
    )
    items = [item("a.md", original), item("b.md", copy)]
    dedupe.within(items, COUNTER)
    assert items[1].form == "diff" and items[1].base == "a.md" and items[1].needs == [0]
    assert items[1].tokens < items[1].full_tokens / 2
    assert rebuilt(items) == [original, copy]


lines = st.lists(
    st.sampled_from(
        [f"{c} something long enough to be worth a pointer {c * 20}\n" for c in "abcdefg"] + ["\n", "}\n"]
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(lines, min_size=1, max_size=4), st.booleans())
def test_dedupe_is_lossless(texts, ends):
    """Whatever the texts, what is sent rebuilds them, and never costs more tokens than sending them whole."""
    items = [item(f"{n}.txt", "".join(t) + ("" if ends else "no end")) for n, t in enumerate(texts)]
    originals = [i.text for i in items]
    dedupe.within(items, COUNTER)
    assert rebuilt(items) == originals
    assert all(i.tokens <= i.full_tokens for i in items)


@given(lines, lines)
def test_a_diff_can_be_applied(old, new):
    """Applying the diff of two texts gives the second."""
    import difflib

    hunks = "".join(list(difflib.unified_diff(old, new, n=1))[2:])
    assert near.apply("".join(old), hunks) == "".join(new)


def test_the_same_input_gives_the_same_bytes():
    """Preparing twice gives the same texts, forms and ids."""

    def run():
        items = [item("a.py", LICENCE + code(3, 1)), item("b.py", LICENCE + code(4, 2), "optional")]
        budget.fit(items, 300, COUNTER)
        return [(i.sent, i.form, i.tokens) for i in items]

    assert run() == run()


def test_track_budget(project, tmp_path):
    """Bundles add up; the threshold warns, the budget is the end (S2-20, S2-21)."""
    bodies = [made(project).as_json()] * 2
    total = 2 * bodies[0]["total_tokens"]
    assert service.budget_of(bodies, 200_000, 0.75)["state"] == "ok"
    assert service.budget_of(bodies, total, 0.75)["state"] == "warn"
    assert service.budget_of(bodies, total - 1, 0.75)["state"] == "over"


def test_track_budget_of_an_orchestration(tmp_path):
    """The executions of a session add up, and those of a phase by what their agents do."""
    con = open_history(str(tmp_path / "h.db"))
    con.execute(
        "INSERT INTO orchestrations (orchestration_id, goal, created_at, updated_at) VALUES ('o',"
        " 'g', '', '')"
    )
    for n, (kind, origin) in enumerate(
        [
            ("orchestrator:builder", "planned"),
            ("orchestrator:tester", "planned"),
            ("orchestrator:planner", "planner"),
        ]
    ):
        con.execute(
            "INSERT INTO executions (execution_id, orchestration_id, origin, agent_type, deployed_at,"
            " context_token_count) VALUES (?, 'o', ?, ?, '2026', ?)",
            (f"e{n}", origin, kind, 100 * (n + 1)),
        )
    assert service.budget_of_session(con, "o", None, 1000, 0.75)["total_tokens"] == 600
    assert [service.budget_of_session(con, "o", p, 1000, 0.75)["total_tokens"] for p in (1, 2, 3, 4, 5)] == [
        0,
        300,
        100,
        200,
        0,
    ]


def test_shared_context_names_who_holds_it(project):
    """What two bundles hold is one shared_context item that names both, in a bundle of its own (S2-22)."""
    one = made(project).as_json()
    two = prepare(str(project), ["lib/types.ts"], agent_type="x", scope="y").as_json()
    shared = service.shared_context([one, two])
    assert bundle_file.faults(shared) == []
    assert [(i["type"], i["source"], i["shared_with"]) for i in shared["context_items"]] == [
        ("shared_context", "lib/types.ts", [one["bundle_id"], two["bundle_id"]])
    ]
    assert shared["duplicate_tokens"] == shared["total_tokens"] > 0
    assert shared["bundle_id"] not in (one["bundle_id"], two["bundle_id"])  # though `two` has just this item
    assert shared["bundle_id"] == service.shared_context([two, one])["bundle_id"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.pop("scope"), "scope is missing"),
        (lambda b: b.update(total_tokens="5"), "total_tokens"),
        (lambda b: b["context_items"][0].update(token_count=-1), "token_count is no whole number"),
        (lambda b: b["context_items"][0].update(type="thing"), "type is none of"),
        (lambda b: b["context_items"][0].update(sections="x"), "sections is no list"),
        (lambda b: b.update(total_tokens=1), "not the sum"),
    ],
)
def test_a_faulty_bundle_is_named_as_such(project, tmp_path, change, says):
    """A file that is no bundle is refused with what is wrong in it."""
    body = made(project).as_json()
    change(body)
    path = tmp_path / "b.json"
    path.write_text(json.dumps(body))
    with pytest.raises(bundle_file.NotABundle, match=says):
        service.load(None, str(path))


def test_the_seeds_own_bundle_is_read():
    """A bundle written by hand after the seed, with none of our keys, is a bundle."""
    body = {
        "bundle_id": "bundle-001",
        "agent_type": "task-implementor",
        "scope": "s",
        "created_at": "2025-01-17T10:00:00Z",
        "context_items": [
            {"type": "file", "source": "a", "token_count": 5, "priority": "required", "sections": ["x"]},
            {
                "type": "shared_context",
                "source": "b",
                "token_count": 0,
                "priority": "required",
                "shared_with": ["bundle-002"],
            },
        ],
        "total_tokens": 5,
        "budget_remaining": 199995,
    }
    assert bundle_file.faults(body) == []


def test_an_allocation_is_recorded_once(project, tmp_path):
    """Each item of a bundle is recorded for its execution, however often that is said (S2-24, S2-42)."""
    con = open_history(str(tmp_path / "h.db"))
    con.execute(
        "INSERT INTO executions (execution_id, origin, agent_type, deployed_at) VALUES ('e',"
        " 'tracker', 'x', '')"
    )
    body = made(project).as_json()
    for _ in range(2):
        assert service.record_allocation(con, "e", body) == 3
    rows = con.execute(
        "SELECT context_type, context_source, token_count, included FROM allocations"
    ).fetchall()
    assert len(rows) == 3 and rows[0][:2] == ("file", "spec/requirements.md")
    assert con.execute("SELECT bundle_id, context_token_count FROM executions").fetchone() == (
        body["bundle_id"],
        body["total_tokens"],
    )
    assert tokens.EXACT in con.execute("SELECT count_how FROM executions").fetchone()
