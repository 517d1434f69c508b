"""The plan graph: rings, waves, dependents and the picture, over random graphs and hostile titles."""

import re

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import plan


@st.composite
def graphs(draw, most=12):
    """Any directed graph, self-loops and names that are nobody's among it."""
    size = draw(st.integers(0, most))
    names = [f"t{at}" for at in range(size)]
    after = st.lists(st.sampled_from([*names, "gone"]), max_size=4)
    return [{"id": name, "after": draw(after)} for name in names]


@st.composite
def acyclic(draw, most=12):
    """A graph without rings: each task waits for some that were drawn before it, told in any order."""
    tasks = []
    for at in range(draw(st.integers(0, most))):
        names = [task["id"] for task in tasks]
        after = draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else []
        tasks.append({"id": f"t{at}", "after": after})
    return draw(st.permutations(tasks))


def true_ring(tasks, ring):
    """Whether a ring is one: closed, simple, each waiting for the next."""
    waits = {task["id"]: task["after"] for task in tasks}
    simple = len(set(ring[:-1])) == len(ring) - 1 >= 1
    return ring[0] == ring[-1] and simple and all(b in waits[a] for a, b in zip(ring, ring[1:]))  # noqa: B905


@given(acyclic())
def test_a_graph_without_rings_has_none_and_its_waves_respect_the_order(tasks):
    """Every task is in one wave, after all it waits for, and no earlier wave would do."""
    assert plan.rings(tasks) == []
    waves = plan.waves(tasks)
    wave = {name: at for at, names in enumerate(waves) for name in names}
    assert sorted(wave) == sorted(task["id"] for task in tasks) and sum(map(len, waves)) == len(tasks)
    for task in tasks:
        assert wave[task["id"]] == max((wave[name] + 1 for name in task["after"]), default=0)


@given(graphs())
def test_a_ring_that_is_named_is_one(tasks):
    """Rings are true, named once, and there is one exactly when some task is in no wave."""
    rings = plan.rings(tasks)
    assert all(true_ring(tasks, ring) for ring in rings)
    assert len({tuple(ring) for ring in rings}) == len(rings)
    assert bool(rings) == (sum(map(len, plan.waves(tasks))) < len(tasks))


@given(graphs())
def test_breaking_every_named_ring_leaves_none(tasks):
    """All rings are told at once: without the tasks that stand in one of those named no ring is left."""
    named = {name for ring in plan.rings(tasks, limit=1000) for name in ring}
    assert plan.rings([task for task in tasks if task["id"] not in named]) == []


def test_a_ring_of_three_is_named_in_the_order_of_waiting():
    """a waits for b, b for c, c for a: a → b → c → a (S4-26)."""
    tasks = [{"id": "c", "after": ["a"]}, {"id": "a", "after": ["b"]}, {"id": "b", "after": ["c"]}]
    assert plan.rings(tasks) == [["a", "b", "c", "a"]]


def test_two_rings_that_share_a_task_are_both_named():
    """Mending one of them would not mend the plan."""
    tasks = [{"id": "a", "after": ["b", "c"]}, {"id": "b", "after": ["a"]}, {"id": "c", "after": ["a"]}]
    assert plan.rings(tasks) == [["a", "b", "a"], ["a", "c", "a"]]


def test_a_chain_of_five_thousand_tasks_does_not_recurse():
    """Depth costs no stack: waves, rings, what is reached and the picture all come back."""
    chain = [{"id": f"t{at}", "after": [f"t{at - 1}"] if at else []} for at in range(5000)]
    assert len(plan.waves(chain)) == 5000 and plan.rings(chain) == []
    assert len(plan.reachable(plan.edges(chain), "t4999")) == 4999
    assert len(plan.reachable(plan.dependents(chain), "t0")) == 4999
    chain[0]["after"] = ["t4999"]
    assert len(plan.rings(chain)[0]) == 5001
    assert "and 4850 more tasks" in plan.mermaid(chain)


def test_names_in_after_that_are_no_tasks_count_as_done():
    """A plan that extends an orchestration names tasks that were there before."""
    assert plan.waves([{"id": "t9", "after": ["t1", "t2"]}]) == [["t9"]]


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_a_title_cannot_leave_its_label(titles):
    """Whatever a title holds, each line of the picture is one of ours, and no line can close a fence."""
    tasks = [
        {"id": f"t{at}", "title": title, "after": ["t0"]} for at, title in enumerate(titles) if at or title
    ]
    for line in plan.mermaid(tasks).splitlines()[1:]:
        assert re.fullmatch(r'    (n\d+\["(\w|[ .,\-/…:]|#\d+;)*"\]|n\d+ --> n\d+)', line), line


def test_the_picture_colours_states_and_keeps_reserved_words_out_of_its_syntax():
    """An id such as `end` would end a Mermaid block; nodes are numbered instead."""
    picture = plan.mermaid(
        [{"id": "end", "title": 'say "hi" `now`'}, {"id": "b", "after": ["end"]}],
        {"end": "completed", "b": "odd"},
    )
    assert '    n0["end: say #34;hi#34; #96;now#96;"]:::completed\n' in picture
    assert (
        '    n1["b"]\n    n0 --> n1\n' in picture and "classDef completed" in picture and "odd" not in picture
    )
