"""The glossary: what the code calls things is what the page says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "references" / "glossary.md").read_text()
SCHEMA = (ROOT / "assets" / "execution_db.schema.sql").read_text()


def row(of):
    """The values that the page lists for a status or state."""
    return set(re.search(r"^\| %s \|[^|]*\| (.*) \|$" % re.escape(of), PAGE, re.MULTILINE).group(1).split(", "))


@pytest.mark.parametrize("table, of", [("orchestrations", "orchestration"), ("executions", "execution")])
def test_a_stored_status_is_on_the_page(table, of):
    """Each status that the schema allows is listed, and no other."""
    body = SCHEMA.partition("CREATE TABLE %s (" % table)[2]
    allowed = re.search(r"CHECK \((status = [^)]*)\)", body).group(1)
    assert row(of) == set(re.findall(r"'(\w+)'", allowed))


def test_each_derived_task_state_is_on_the_page():
    """Each state that tasks are given in the code is listed, and no other."""
    code = (ROOT / "scripts/orchestrator/model/states.py").read_text()
    assert row("task") == set(re.search(r'"""Task states, derived from rows: (.*)\. Never', code).group(1).split(", "))


def test_each_word_for_an_output_is_on_the_page():
    """The kinds of output that the schema allows are named under output."""
    allowed = re.search(r"CHECK \((output_type = [^)]*)\)", SCHEMA).group(1)
    line = re.search(r"^\| output \|.*$", PAGE, re.MULTILINE).group()
    assert all(word in line for word in re.findall(r"'(\w+)'", allowed))
