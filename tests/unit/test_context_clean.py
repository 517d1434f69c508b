"""Clean files: searched for secrets once, and again as soon as the file or the rules are others."""

import ast
from pathlib import Path

import pytest

from orchestrator.context import clean_texts, items
from orchestrator.context.clean_texts import CleanTexts
from orchestrator.context.items import Request, Shelf, gather
from orchestrator.model import redact
from orchestrator.store.open import open_history

MODEL = Path(redact.__file__).parent


@pytest.fixture
def con(tmp_path):
    """A history outside the project."""
    return open_history(str(tmp_path / "h.db"))


@pytest.fixture
def project(tmp_path):
    """A file without a secret and one with."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "plain.py").write_text("x = 1\n")
    (folder / "key.py").write_text("TOKEN = 'ghp_%s'\n" % ("a1B2c3" * 6))
    return folder


@pytest.fixture
def searched(monkeypatch):
    """The texts that were searched for secrets."""
    seen = []
    monkeypatch.setattr(items, "redact", lambda text: seen.append(text) or redact.redact(text))
    return seen


def given(con, project):
    """What is sent of both files, on a shelf of its own."""
    shelf = Shelf(str(project), CleanTexts(con))
    found, faults = gather(shelf, [Request("plain.py"), Request("key.py")])
    assert faults == []
    shelf.clean.keep()
    return [item.text for item in found]


def test_a_clean_file_is_searched_once_and_one_with_a_secret_each_time(con, project, searched):
    """What holds a secret is masked the second time as it was the first; what holds none costs nothing."""
    first = given(con, project)
    assert "ghp_" not in first[1] and "[masked:" in first[1]
    assert len(searched) == 2
    assert given(con, project) == first
    assert searched[2:] == [(project / "key.py").read_text()]


def test_a_changed_file_is_searched_again(con, project, searched):
    """It is the content that was clean, not the file."""
    given(con, project)
    (project / "plain.py").write_text((project / "key.py").read_text())
    assert "ghp_" not in given(con, project)[0]


def test_other_rules_search_again(con, project, searched, monkeypatch):
    """A pattern of the user's own, or a change of the rules' code, makes every file unsearched."""
    given(con, project)
    monkeypatch.setattr(redact, "_also", [("own", r"x = \d")])
    assert given(con, project)[0] == "[masked:own]\n"


def test_the_rules_are_all_the_files_that_decide():
    """Every file that the masking imports is part of the rules' address."""
    names, left = set(), ["redact", "masking"]
    while left:
        name = left.pop()
        if name in names:
            continue
        names.add(name)
        for node in ast.walk(ast.parse((MODEL / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("orchestrator.model"):
                own = node.module.removeprefix("orchestrator.model").strip(".")
                left += [own] if own else [each.name for each in node.names]
    assert names == set(clean_texts.RULES)
