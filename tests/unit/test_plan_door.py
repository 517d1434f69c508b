"""Plans at the door: what is taken, what is refused, and that every fault is told at once."""

import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.edges.faults import SHOWN
from orchestrator.edges.plans import PlanRefused, free_id, not_prepared, read_plan, task_add
from orchestrator.edges.schemas import Plan, PlanTask, task_spec
from orchestrator.services import plans
from orchestrator.services.blueprints import CLIENTS_OWN, Blueprint
from orchestrator.store.open import open_history

ROLES = ("analyst", "builder", "documenter", "planner", "reviewer", "scout", "tester")
KNOWN = {each.name: each for each in CLIENTS_OWN}
KNOWN.update(
    {f"orchestrator:{role}": Blueprint(f"orchestrator:{role}", "", None, None, True) for role in ROLES}
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A small project with links that stay inside it and links that leave it."""
    top = tmp_path_factory.mktemp("a project")
    outside = tmp_path_factory.mktemp("outside")
    for name in ("src/a.py", "src/b.py", "docs/formats.md", "app/[id]/page.tsx", "odd#name.md"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("x\n")
    (outside / "secret").write_text("x")
    (top / "inner").symlink_to("src")
    (top / "outer").symlink_to(outside)
    (top / "leak").symlink_to(outside / "secret")
    (top / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    return top


def read(project, value, **more):
    """`read_plan` of a value."""
    text = value if isinstance(value, (str, bytes)) else json.dumps(value)
    return read_plan(text, project=project, known_agents=KNOWN, **more)


def task(name, **fields):
    """A task with what it must have."""
    return {"id": name, "agent": "builder", "prompt": f"do {name}", **fields}


def refusal(project, value, **more):
    """The message of a refusal."""
    with pytest.raises(PlanRefused) as refused:
        read(project, value, **more)
    assert refused.value.faults and all(fault.what for fault in refused.value.faults)
    assert more.get("context") or all(fault.do for fault in refused.value.faults)
    return str(refused.value)


def faults(project, *tasks, **more):
    """The faults of a plan made of these tasks, as text."""
    with pytest.raises(PlanRefused) as refused:
        read(project, {"goal": "g", "tasks": list(tasks)}, **more)
    return [str(fault) for fault in refused.value.faults]


def taken(project, *tasks, **more):
    """The plan and its warnings."""
    return read(project, {"goal": "g", "tasks": list(tasks)}, **more)


# What is taken


def test_seed_004s_plan_is_taken(project):
    """The founding document's `{id, agent, prompt, deps}` is a plan, for the goal there is (S4-14, S4-26)."""
    text = """{"tasks": [
       {"id": "1", "agent": "Explore", "prompt": "...", "deps": []},
       {"id": "2", "agent": "frontend-developer", "prompt": "...", "deps": ["1"]}]}"""
    plan, warnings = read(project, text, goal="Research auth and then implement login")
    assert plan.goal == "Research auth and then implement login"
    assert [(each.id, each.agent, each.after) for each in plan.tasks] == [
        ("1", "Explore", []),
        ("2", "frontend-developer", ["1"]),
    ]
    assert any('"frontend-developer"' in warning for warning in warnings)


def test_every_field_is_kept(project):
    """What later issues act on is accepted and kept now."""
    full = {
        "id": "t2",
        "title": "Add the writer",
        "agent": "orchestrator:builder",
        "prompt": "Write it",
        "after": ["t1"],
        "files": ["src/a.py", "docs/formats.md#CSV", "src/b.py::main", "src/b.py:1-20", "src/*.py"],
        "references": ["docs/formats.md"],
        "documents": ["doc-1"],
        "priority": 7,
        "model": "haiku",
        "budget_tokens": 60000,
        "writes": ["out/*.csv"],
        "check": "pytest -q",
        "retries": 2,
        "may_spawn": True,
    }
    plan, warnings = taken(project, task("t1"), full)
    assert plan.tasks[1].model_dump() == full and warnings == []
    assert task_spec(plan.tasks[1], KNOWN) == {**full, "has_bash": True}


def test_what_is_left_out_is_filled_in(project):
    """A title is the prompt's first line, an agent the builder (said in a warning), the rest empty."""
    plan, warnings = read(project, '[{"id": "t1", "prompt": "\\n# Look around\\nthen tell"}]')
    only = plan.tasks[0]
    assert (only.title, only.agent, only.priority, only.after) == (
        "Look around",
        "orchestrator:builder",
        0,
        [],
    )
    assert plan.goal == "Look around"
    assert len(warnings) == 2 and "t1" in warnings[0] and "no goal" in warnings[1]


@pytest.mark.parametrize("given, kept", [("high", 10), ("normal", 0), ("low", -10), (3, 3), (-100, -100)])
def test_priority_is_a_word_or_a_number(project, given, kept):
    """Levels are kept as a number, higher first (S4-17)."""
    assert taken(project, task("t1", priority=given))[0].tasks[0].priority == kept


@pytest.mark.parametrize("agent, kept", [("builder", "orchestrator:builder"), ("Explore", "Explore")])
def test_a_bare_role_is_ours(project, agent, kept):
    """Planners shorten names; the row has the one that the client takes."""
    assert taken(project, task("t1", agent=agent))[0].tasks[0].agent == kept


def test_a_fence_a_mark_and_bytes_are_no_faults(project):
    """The door is as forgiving as it can be without guessing."""
    text = "\ufeff```json\n" + json.dumps({"goal": "g", "tasks": [task("t1")]}) + "\n```\n"
    assert read(project, text.encode())[0].tasks[0].id == "t1"


def test_a_plan_extends_an_orchestration(project):
    """`after` may name tasks that are there, and their `writes` count."""
    there = [{"id": "t1", "after": [], "writes": ["gen/*.py"]}, {"id": "t2", "after": ["t1"], "writes": []}]
    plan, _ = taken(project, task("t3", after=["t2"], files=["gen/x.py"]), existing=there)
    assert plan.tasks[0].after == ["t2"]
    assert faults(project, task("t2"), existing=["t2"]) == [
        "task t2 (tasks[0]): the orchestration has a task of this id already. Give it another, such as t2-2."
    ]


def test_files_are_there_or_will_be(project):
    """A file exists, or a task that comes before, however far, may write it."""
    plan, _ = taken(
        project,
        task("a", writes=["gen/**/*.py", "out/", "src", "./new.md"]),
        task("b", after=["a"]),
        task("c", after=["b"], files=[
            "gen/x/y.py", "gen/z.py::main", "out/deep/data.csv", "new.md#Part", "./src/a.py", "inner/b.py",
            "gen/*.py", "app/[id]/page.tsx", "odd#name.md"]),
    )  # fmt: skip
    assert plan.tasks[0].writes == ["gen/**/*.py", "out/**", "src/**", "new.md"]


def test_a_thousand_tasks_are_taken(project):
    """The limit itself is allowed, and a chain of that length does no harm."""
    chain = [task(f"t{at}", after=[f"t{at - 1}"] if at else [], title=f"T{at}") for at in range(1000)]
    plan, warnings = taken(project, *chain)
    assert len(plan.tasks) == 1000 and warnings == []


# What is refused


PLANTED = {
    "cycle": (task("a1", after=["a3"]), task("a2", after=["a1"]), task("a3", after=["a2"])),
    "itself": (task("b1", after=["b1"]),),
    "unknown id": (task("c-first"), task("c2", after=["c-frist"])),
    "doubled id": (task("d1"), task("d1", title="again")),
    "doubled after": (task("e0"), task("e1", after=["e0", "e0"])),
    "missing file": (task("f1", files=["src/nothing.py"]),),
    "not before": (task("g1", writes=["gen/g.py"]), task("g2", files=["gen/g.py"])),
    "absolute": (task("h1", files=["/etc/passwd"]),),
    "parent": (task("i1", files=["../x", "{..,src}/a.py"]), task("i2", writes=[".{.,x}/**", "{x,outer}/*"])),
    "link": (task("j1", files=["outer/secret"]), task("j2", references=["leak"])),
    "writes outside": (task("k1", writes=["outer/**"]), task("k2", writes=["/tmp/*"])),
    "empty prompt": (task("l1", prompt=" \n"),),
    "wrong type": (
        task("m1", after="m0"),
        task("m2", retries="2"),
        task("m3", may_spawn=1),
        task("m4", title=5),
        task("m5", priority=float("nan")),
    ),
    "unknown key": (task("n1", depends_on=["x"]), task("n2", pormpt="x")),
    "near agent": (task("o1", agent="bulder"), task("o2", agent="explore")),
    "folder": (task("p1", files=["src"]),),
    "bad id": (task("Q 1"),),
    "bounds": (task("r1", retries=99), task("r2", title="x" * 201), task("r3", priority="urgent")),
    "control": (task("s1", prompt="a\x1b[2Jb"), task("s2", title="\ud800")),
    "no object": (5, None, []),
    "glob": (task("t1", files=["nowhere/*.py"]),),
    "address": (task("u1", files=["https://example.org/a.md"]),),
    "dangling": (task("v1", files=["dangling"]), task("v2", files=["pipe"])),
}
SAID = {
    "cycle": ["a1 → a3 → a2 → a1"],
    "itself": ["waits for itself"],
    "unknown id": ["no task has the id c-frist. Did you mean \"c-first\"?"],
    "doubled id": ["the id is that of tasks"],
    "doubled after": ['"e0" stands there twice'],
    "missing file": ['"src/nothing.py" does not exist'],
    "not before": ["`g1` may write it but does not come before"],
    "absolute": ['"/etc/passwd" leaves the project'],
    "parent": ['"../x" has `..` in it', '"{..,src}/a.py" leaves the project by its braces',
               '".{.,x}/**" leaves the project by its braces', '"{x,outer}/*" leaves the project through a link'],
    "link": ['"outer/secret" leaves the project through a link', '"leak" leaves the project through a link'],
    "writes outside": ['"outer/**" leaves the project through a link', '"/tmp/*" leaves the project'],
    "empty prompt": ["`prompt` is empty"],
    "wrong type": ['`after` is "m0", not a list', '`retries` is "2", not a whole number',
                   "`may_spawn` is 1, not true or false", "`title` is 5, not text",
                   "`priority` is NaN, not a whole number"],
    "unknown key": ['"depends_on" is not known. Did you mean `af', '"pormpt" is not known. Did you mean `pr'],
    "near agent": ["Write orchestrator:builder", "Write Explore"],
    "folder": ['"src" is a folder'],
    "bad id": ['`id` is "Q 1"'],
    "bounds": ["`retries` is 99, more than 10", "`title` has 201 characters", '`priority` is "urgent"'],
    "control": ["`prompt` contains the control character U+001B", "`title` contains half a character"],
    "no object": ["it is 5, not an object", "it is null, not an object", "it is a list, not an object"],
    "glob": ['"nowhere/*.py" matches no file'],
    "address": ["is an address"],
    "dangling": ["is a link to nothing", "is not a regular file"],
}  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(sorted(PLANTED)), min_size=1, unique=True), st.randoms(use_true_random=False))
def test_every_planted_fault_is_listed_and_nothing_else(project, kinds, random):
    """Whatever kinds of fault stand in one plan, in whatever order, each is told, once, with what to do."""
    tasks = [each for kind in kinds for each in PLANTED[kind]]
    random.shuffle(tasks)
    told = faults(project, *tasks)
    wanted = [said for kind in kinds for said in SAID[kind]]
    for said in wanted:
        assert sum(said in fault for fault in told) == 1, (said, told)
    assert len(told) == len(wanted), told


def test_slips_of_syntax_are_told_with_the_faults_behind_them(project):
    """A comma too many does not hide an empty prompt."""
    text = '{"goal": "g", // why\n "tasks": [{"id": "t1", "agent": "builder", "prompt": "",}]}'
    message = refusal(project, text)
    assert (
        "3 faults" in message
        and "comment" in message
        and "comma" in message
        and "`prompt` is empty" in message
    )


def test_the_message_is_one_list_of_sentences(project):
    """Numbered, each with where, what and what to do; it ends with how to go on."""
    message = refusal(project, {"goal": "g", "gaol": 1, "tasks": [task("t1", prompt="", after=["t2"])]})
    assert message.splitlines() == [
        "The plan is refused and nothing of it was stored: 3 faults.",
        '1. the key "gaol" is not known. Did you mean `goal`?',
        "2. task t1 (tasks[0]): `prompt` is empty. "
        'Write it like "prompt": "Add a function that writes rows as CSV".',
        "3. task t1 (tasks[0]), after[0]: no task has the id t2. Take it out, or add that task.",
        "Mend all of them and submit the whole plan again.",
    ]


@pytest.mark.parametrize("value, said", [
    (5, "it is 5, not an object"),
    ("null", "it is null, not an object"),
    ('"text"', 'it is "text", not an object'),
    ({"goal": "g"}, "`tasks` is missing"),
    ({"goal": "g", "tasks": []}, "`tasks` is empty"),
    ([], "`tasks` is empty"),
    ({"goal": "g", "tasks": {"t1": {}}}, "`tasks` is an object, not a list"),
    ({"goal": 5, "tasks": [task("t1")]}, "`goal` is 5, not text"),
    ({"goal": " ", "tasks": [task("t1")]}, "`goal` is empty"),
    ({"plan": {"tasks": []}}, '"plan" is not known. Did you mean `tasks`?'),
    ('{"goal": "g", "goal": "h", "tasks": []}', '"goal" is written twice'),
    ({"goal": "g", "tasks": [{"title": "Hi you"}]}, '`id` is missing. Write it like "id": "hi-you"'),
    ({"goal": "g", "tasks": [{"id": 1, "prompt": "p"}, {**task("2"), "after": [1]}]}, "`id` is 1, not text"),
    ({"goal": "g", "tasks": [task("a"), task("b", after=["a"], deps=[])]}, "two names for one thing"),
    (b"\xff\xfe{", "not UTF-8"),
    ("[" * 50_000, "nested too deep"),
    ('{"goal": 1e999999, "tasks": []}', "`goal` is"),
    ('{"goal": %s, "tasks": []}' % ("9" * 5000), "cannot be read"),
])  # fmt: skip
def test_what_is_no_plan_is_refused_in_words(project, value, said):
    """Each in a sentence that says what was there instead."""
    assert said in refusal(project, value)


def test_too_much_is_refused(project):
    """More than 1,000 tasks, also together with those there are, and more than 1 MB."""
    many = [task(f"t{at}") for at in range(1001)]
    assert "1,001 tasks, more than 1,000" in refusal(project, {"goal": "g", "tasks": many})
    assert "beside the 999 there are" in refusal(
        project, {"goal": "g", "tasks": many[:2]}, existing=[f"x{at}" for at in range(999)]
    )
    assert "1,000,001 bytes, more than 1,000,000" in refusal(project, " " * 1_000_001)
    assert "500,001 entries" not in refusal(
        project, '{"goal":"g","tasks":[{"id":"a","after":[%s1]}]}' % ("1," * 400_000)
    )


def test_an_absolute_path_inside_the_project_is_refused_with_the_relative_one(project):
    """The suggestion can be copied."""
    assert (
        "Write it relative to the project: `src/a.py`."
        in faults(project, task("t1", files=[f"{project}/src/a.py"]))[0]
    )


def test_a_misplaced_file_is_suggested(project):
    """The same name elsewhere, or a like name in the same folder."""
    assert "Did you mean `src/a.py`?" in faults(project, task("t1", files=["lib/a.py"]))[0]
    assert "Did you mean `docs/formats.md`?" in faults(project, task("t1", files=["docs/format.md#CSV"]))[0]


def test_a_task_cannot_read_what_only_it_writes(project):
    """A file that is to be made belongs into `writes` alone."""
    assert "The task writes it itself" in faults(project, task("t1", files=["new.py"], writes=["new.py"]))[0]


def test_a_long_list_of_faults_is_cut(project):
    """Fifty are listed, the others counted."""
    message = refusal(project, {"goal": "g", "tasks": [task(f"t{at}", prompt="") for at in range(80)]})
    assert f"\n{SHOWN}. " in message and f"\n{SHOWN + 1}. " not in message and "… and 30 more." in message


HOSTILE = st.text(st.characters(), min_size=1, max_size=400)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_what_a_plan_holds_is_quoted_as_data(project, one, two, three):
    """No value breaks a line of the message, moves a cursor, or takes more than its place."""
    value = {
        "goal": "g",
        one: 1,
        "tasks": [{"id": two, "agent": 5, "after": [three], "files": [one, two], three: 2}],
    }
    for line in refusal(project, value).split("\n"):
        assert len(line) < 900 and not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", line)
        assert line[:1].isdigit() or line.startswith(("The plan is", "Mend"))


FIELDS = st.sampled_from([*Plan.fields, *PlanTask.fields, "deps"])
WORDS = st.sampled_from(
    ["t1", "t2", "src/a.py", "**", "../..", "builder", "{a,b}/*", "src/**", "[", "~", "/"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(FIELDS | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=12,
)
IDS = st.sampled_from(["t1", "t2", "t3", "t4", "t5"])
PATHS = st.lists(WORDS | st.text("ab/*?[]{},.#:!-", max_size=12), max_size=3)
TASK = st.fixed_dictionaries(
    {"id": IDS | LEAVES, "prompt": st.just("do it") | LEAVES},
    optional={
        "after": st.lists(IDS, max_size=3) | VALUES,
        "files": PATHS | VALUES,
        "writes": PATHS | VALUES,
        "agent": st.sampled_from(["builder", "Explore", "x:y", "orchestrator:"]) | VALUES,
        "title": st.text(max_size=9) | VALUES,
        "deps": VALUES,
    },
)
TASKS = st.lists(TASK | VALUES, max_size=5)


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(VALUES | TASKS | st.fixed_dictionaries({"tasks": TASKS}, optional={"goal": VALUES}))
def test_any_json_is_a_plan_or_refused(project, value):
    """Nothing but PlanRefused is ever raised, and what is taken is a plan again."""
    try:
        plan, _ = read(project, value)
    except PlanRefused as refused:
        assert refused.faults and str(refused).count("\n") >= 2
    else:
        assert read(project, {"goal": plan.goal, "tasks": [each.model_dump() for each in plan.tasks]})[0] == plan


# What is odd


def test_two_tasks_that_may_write_the_same_at_once_are_warned_of(project):
    """Unordered ones are named; with an order between them there is nothing to say."""
    one, two = task("a", writes=["src/*.py"], title="A"), task("b", writes=["src/a.py"], title="B")
    assert taken(project, one, two)[1] == [
        'a and b may both write "src/a.py" and nothing orders them: they may run at the same time.'
    ]
    assert taken(project, one, task("m", after=["a"]), {**two, "after": ["m"]})[1] == []
    assert taken(project, task("a", writes=["x/*.py"]), task("b", writes=["x/*.md"]))[1] == []


def test_the_same_title_twice_is_warned_of(project):
    """It is allowed, but a digest would show two lines alike."""
    assert taken(project, task("a", title="Same"), task("b", title="same"))[1] == [
        "a, b have the same title."
    ]


# One task by command


def test_a_task_is_added_by_its_words(project):
    """`orchestrator task add "Research X" --agent scout --after t1` (S4-11)."""
    words = {"agent": "scout", "after": ("t1",), "model": None, "files": ()}
    added, warnings = task_add(
        "Research X: how?", existing=["t1"], project=project, known_agents=KNOWN, **words
    )
    assert (added.id, added.title, added.prompt) == ("research-x-how", "Research X: how?", "Research X: how?")
    assert (added.agent, added.after, warnings) == ("orchestrator:scout", ["t1"], [])


def test_a_task_that_is_added_is_judged_like_a_plan(project, context):
    """The same faults, told as a task's, those of its context too."""
    with pytest.raises(PlanRefused) as refused:
        task_add(
            "X",
            agent="bulder",
            after=["t9"],
            files=["no.py", "docs/formats.md#Nope"],
            existing=["t1"],
            project=project,
            known_agents=KNOWN,
            context=context,
        )
    assert "task x: docs/formats.md has no heading 'Nope'" in str(refused.value)
    assert len(refused.value.faults) == 4 and "The task is refused" in str(refused.value)
    assert str(refused.value).endswith("add it again.") and "tasks[0]" not in str(refused.value)


@given(st.text(max_size=300), st.lists(st.sampled_from(["task", "task-2", "a", "a-2", "b"])))
def test_an_id_made_of_a_title_is_free_and_valid(title, there):
    """Whatever the title is written in."""
    name = free_id(title, there)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) and name not in there


@pytest.fixture
def context(tmp_path, project):
    """What finds the faults of tasks' context: a history and the project's files."""
    (project / "docs/big.txt").write_text("word " * 9000)
    con = open_history(str(tmp_path / "h.db"))
    return lambda specs: plans.context_faults(con, str(project), None, specs)


def test_faults_of_context_stand_among_the_others(project, context):
    """A missing heading and a bundle over its budget are told in the same message as all else, each once.

    What a faulty task would write counts as coming; a file whose fault is told is not told again. A task with
    another fault, or without an id of its own, has those of its files told too, also where a file is named whole beside.
    """
    plan = {
        "tasks": [
            task("t1", files=["docs/formats.md#Nope", "none.md"], writes=["new.md"], retries="x"),
            task("t2", files=["docs/big.txt", "new.md"], budget_tokens=2000, after=["t1", "t9"]),
            task("t3", files=["docs/formats.md#Gone", "none.md"], after=["t3"]),
            task("t3", files=["docs/formats.md#Lost", "docs/formats.md", "docs/formats.md:900"]),
            {"prompt": "x", "files": ["docs/formats.md#Nowhere", "none.md"]},
        ]
    }
    told = refusal(project, plan, context=context).splitlines()
    assert [line.partition(". ")[2][:44] for line in told[1:-1]] == [
        'task t1 (tasks[0]): `retries` is "x", not a ',
        'task t1 (tasks[0]), files[1]: "none.md" does',
        "task t1 (tasks[0]): docs/formats.md has no h",
        "task t2 (tasks[1]), after[1]: no task has th",
        "task t2 (tasks[1]): What is required is 9,00",
        "task t3 (tasks[2]), after[0]: the task waits",
        'task t3 (tasks[2]), files[1]: "none.md" does',
        "task t3 (tasks[2]): docs/formats.md has no h",
        "task t3 (tasks[3]): the id is that of tasks[",
        "task t3 (tasks[3]): docs/formats.md has no h",
        "task t3 (tasks[3]): docs/formats.md has 1 li",
        "tasks[4]: `id` is missing. Write it like \"id",
        'tasks[4], files[1]: "none.md" does not exist',
        "tasks[4]: docs/formats.md has no heading 'No",
    ]


def test_a_plan_that_cannot_be_prepared_is_refused_alike(project, context):
    """Where nothing else is wrong, the refusal has the same form, and every fault of the context (S2-41)."""
    plan, _ = read(project, {"tasks": [task("t1", files=["docs/big.txt", "docs/formats.md#No"], budget_tokens=1000)]})
    found = context([task_spec(each, KNOWN) for each in plan.tasks])
    told = str(not_prepared(plan.tasks, found)).splitlines()
    assert told[0].endswith("2 faults.") and told[1].startswith("1. task t1 (tasks[0]): docs/formats.md has no heading")
    assert "the budget is 1,000. Largest: docs/big.txt" in told[2]
    assert "\n1. task t1: docs/formats.md has no heading" in str(not_prepared(plan.tasks, found, "task"))
