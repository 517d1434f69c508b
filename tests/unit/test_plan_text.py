"""Plan text: JSON as models write it, its slips named and stepped over, and a plan found in a message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.edges.plan_text import FOUND_MOST, find_plan, read_json

PLAN = '{"goal": "g", "tasks": [{"id": "t1", "prompt": "p"}]}'


@pytest.mark.parametrize(
    "text, what",
    [
        ('{"a": [1, 2,]}', "comma stands before a closing"),
        ('{"a": 1,\n}', "comma stands before a closing"),
        ('{"a": 1,, "b": 2}', "two commas"),
        ('{"a": 1 // one\n}', "comment"),
        ('{/* one */ "a": 1}', "comment"),
        ('{"a": True}', "`True` is not JSON"),
        ('{"a": 1\n "b": 2}', "comma or a closing bracket is missing"),
    ],
)
def test_a_usual_slip_is_named_and_stepped_over(text, what):
    """Reading goes on, so that the other faults of the plan can be told at the same time."""
    value, slips = read_json(text)
    assert what in slips[0][1] and slips[0][0].startswith("line ")
    assert isinstance(value, dict) and "a" in value and len(slips) == 1


@pytest.mark.parametrize(
    "text, what",
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("{'a': 1}", "quotes"),
        ('{"a": "b', "string begins here"),
        ('{"a": [1', "ends in the middle"),
        ('{"a": 1} and more', "after the plan's end"),
        ('{"a": "\\d"}', "backslash"),
        ('{"a": %s}' % ("9" * 5000), "a number in it"),
        ("[" * 100_000, "nested too deep"),
        ("{" * 100, "key in double quotes"),
        ("let me think", "not JSON"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(text, what):
    """There is no value then, and at least one slip with something to do."""
    value, slips = read_json(text)
    assert value is None and what in slips[-1][1] and slips[-1][2]


def test_a_fence_around_a_plan_is_no_fault_and_keeps_line_numbers():
    """Models fence what they send; the line of a slip is still the one they wrote."""
    assert read_json(f"```json\n{PLAN}\n```\n") == (json.loads(PLAN), [])
    assert read_json('```json\n{"a": 1,\n"b" 2}\n```')[1][0][0] == "line 3, column 5"


def test_line_breaks_inside_strings_are_understood():
    """A heredoc makes them easy to write, and they can mean nothing else."""
    assert read_json('{"prompt": "one\ntwo"}') == ({"prompt": "one\ntwo"}, [])


def test_doubled_keys_are_remembered():
    """JSON lets the last one win in silence; a plan does not."""
    assert read_json('{"a": 1, "a": 2, "b": 3}')[0].keys_twice == ("a",)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    """Nothing but a value or slips comes back."""
    value, slips = read_json(text)
    assert value is not None or slips or "null" in text


@given(st.text(alphabet='{}[]",:0 \n\\"tasks`~'))
def test_any_message_is_searched_without_harm(text):
    """What is found stands in the message."""
    found = find_plan(text + '"tasks"' + text)
    assert found is None or found in text + '"tasks"' + text


@pytest.mark.parametrize(
    "message",
    [
        f"Here it is:\n```json\n{PLAN}\n```\nDone.",
        f"```\n{PLAN}\n```",
        f"~~~~json\n{PLAN}\n~~~~",
        f"The plan is {PLAN} as asked.",
        f'First {{"note": 1}} then {PLAN}',
        f"A draft\n```json\n{PLAN.replace('t1', 't0')}\n```\nbetter:\n```json\n{PLAN}\n```",
    ],
)
def test_a_plan_is_found_in_a_message(message):
    """Fenced or not, and of several fenced ones the last (S4-14)."""
    assert json.loads(find_plan(message) or "null") == json.loads(PLAN)


def test_a_bare_list_of_tasks_and_a_plan_with_faults_are_found_when_fenced():
    """Their faults are told to the author rather than the plan being overlooked."""
    assert find_plan('```json\n[{"id": "a", "prompt": "p"}]\n```') == '[{"id": "a", "prompt": "p"}]'
    assert find_plan('```json\n{"tasks": [1,]}\n```') == '{"tasks": [1,]}'


@pytest.mark.parametrize(
    "message",
    [
        "No plan was needed.",
        'The key "tasks" is missing.',
        '```python\nprint({"tasks"})\n```',
        '{"tasks": 3}',
        '{"tasks": ["' + "x" * FOUND_MOST + '"]}',
        '{"a":' * 20_000 + '"tasks"',
    ],
)
def test_no_plan_is_found_where_there_is_none(message):
    """Prose about plans is no plan, and more than 64 KB is too much for a message."""
    assert find_plan(message) is None
