"""Generated pages: what references/ says of commands and schema is what they are."""

import re

import pytest

import docs


@pytest.mark.parametrize("page", docs.pages(), ids=lambda page: page.name)
def test_generated_blocks_are_fresh(page):
    """Every generated block holds what would be generated now; if not, run .venv/bin/python tests/docs.py."""
    text = page.read_text(encoding="utf-8")
    assert docs.fresh(text) == text, "run .venv/bin/python tests/docs.py"


def test_the_pages_that_should_have_blocks_have_them():
    """The command line's page and the schema's are generated where they must not go stale."""
    blocks = {
        page.name: [block[1] for block in docs.BLOCK.findall(page.read_text(encoding="utf-8"))]
        for page in docs.pages()
    }
    assert blocks["cli.md"] == ["cli"]
    assert blocks["execution_schema.md"] == ["queries", "schema"]


@pytest.mark.parametrize(
    ("table", "kind", "comment", "columns"), docs.described(), ids=[d[0] for d in docs.described()]
)
def test_every_table_and_column_is_described(table, kind, comment, columns):
    """Each table and each column says what it holds, in the schema's comments or in tests/docs.py."""
    assert comment
    assert not [name for name, _, words in columns if not words]


def test_what_is_said_of_columns_is_said_of_columns_there_are():
    """No description outlives its column."""
    there = {"%s.%s" % (table, name) for table, _, _, columns in docs.described() for name, _, _ in columns}
    assert set(docs.SAID) <= there


SHARED = ("as in executions", "likewise", "as in daily_usage")  # of tables that only pass on what changed


@pytest.mark.parametrize(
    ("table", "kind", "comment", "columns"), docs.described(), ids=[d[0] for d in docs.described()]
)
def test_no_two_columns_share_a_sentence(table, kind, comment, columns):
    """What a column holds is said of it alone, also where the schema names two on a line."""
    said = [words for _, _, words in columns if words not in SHARED]
    assert len(said) == len(set(said)), said


def test_columns_say_what_their_check_allows():
    """A status, state or kind lists the words that the schema allows it; a view's column says what its own table's does."""
    said = {"%s.%s" % (table, name): words for table, _, _, columns in docs.described() for name, _, words in columns}
    listed = [(table, *each) for table, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", docs.schema_text(), re.DOTALL)
              for each in re.findall(r"\n    (\w+) TEXT[^\n]*CHECK \((\1 (?:=|IN) .*?'\)?)\)", body)]  # fmt: skip
    assert {("executions", "status"), ("orchestrations", "status"), ("usage", "kind")} < {each[:2] for each in listed}
    for table, column, words in listed:
        allowed = re.findall(r"'(\w+)'", words)
        assert set(allowed) <= set(re.findall(r"\w+", said[f"{table}.{column}"])), (table, column)
        if column == "status":
            assert allowed == re.findall(r"\b(?!or\b)\w+", said[table + ".status"])
        if (table, column) == ("usage", "kind"):
            assert set(allowed) <= set(re.findall(r"\w+", said["monthly_usage.kind"]))
    assert said["lost_executions.claude_session_id"] == said["executions.claude_session_id"]
    assert said["sessions.status"] == said["orchestrations.status"]
    assert said["task_states.priority"] == said["tasks.priority"]
    assert said["agent_executions.model"] != said["executions.model"]


def test_every_verb_has_its_module():
    """The table of verbs names no file that does not exist."""
    assert docs.missing_modules() == {}


def test_every_command_says_what_it_does():
    """Every command has a help text, and no line of the page is wider than 100 columns."""
    assert not [" ".join(words) for words, command, _ in docs.commands() if not command.help]
    assert not [line for line in docs.cli().split("\n") if len(line) > 100]
