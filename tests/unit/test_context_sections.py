"""Files and their sections: inside the project only, decoded honestly, found by heading, symbol, lines and
glob.
"""

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.context import files, items, outline, sections
from orchestrator.context.files import Unreadable
from orchestrator.context.items import Request, Shelf, gather
from orchestrator.context.sections import NoSection

MARKDOWN = """# Title

intro

## Usage ##

use

```
# no heading
```

### Deep

deep

Setext
------

last

## Usage of `code`

end
"""
PYTHON = '''"""A module.

More."""

import os

LIMIT = 3


@decorated
def first(a: int, *, b="x") -> str:
    """Adds things.

    At length."""
    return b


class Box(Base):
    """Holds."""

    size: int = 0

    async def open(self):
        return 1

if os.name:
    def late(): ...
'''


@pytest.fixture
def project(tmp_path):
    """A project with a page, a module and a folder."""
    (tmp_path / "src").mkdir()
    (tmp_path / "doc.md").write_text(MARKDOWN)
    (tmp_path / "src/app.py").write_text(PYTHON)
    return tmp_path


def text_of(project, spec):
    """The text that a spec gives."""
    found, faults = gather(Shelf(str(project)), [Request(spec)])
    assert not faults, faults
    return found[0].text


@pytest.mark.parametrize(
    ("spec", "first", "last"),
    [
        ("doc.md#Usage", "## Usage ##", "deep"),
        ("doc.md#usage", "## Usage ##", "deep"),
        ("doc.md#Deep", "### Deep", "deep"),
        ("doc.md#Usage > Deep", "### Deep", "deep"),
        ("doc.md#Setext", "Setext", "last"),
        ("doc.md#Usage of code", "## Usage of `code`", "end"),
        ("doc.md#Title", "# Title", "end"),
        ("src/app.py::first", "@decorated", "    return b"),
        ("src/app.py::Box", "class Box(Base):", "        return 1"),
        ("src/app.py::Box.open", "    async def open(self):", "        return 1"),
        ("src/app.py::open", "    async def open(self):", "        return 1"),
        ("src/app.py::late", "    def late(): ...", "    def late(): ..."),
        ("doc.md:1-3", "# Title", "intro"),
        ("doc.md:3", "intro", "intro"),
    ],
)
def test_a_section_is_found(project, spec, first, last):
    """A heading to the next of its level, a symbol with its decorators, a range of lines."""
    lines = [line for line in text_of(project, spec).splitlines() if line]
    assert (lines[0], lines[-1]) == (first, last)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("doc.md#Nowhere", "Its headings: Title, Usage"),
        ("src/app.py::nothing", "It has: first, Box"),
        ("doc.md:90-95", "line 90 is not there"),
        ("doc.md:9-3", "the smaller first"),
        ("doc.md::x", "name lines instead"),
        ("none.py", "does not exist"),
        ("src", "is a folder"),
        ("src/*.rs", "matches no file"),
        ("", "named by its path"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(project, spec, says):
    """A section that does not exist is a sentence that names those that do."""
    _, faults = gather(Shelf(str(project)), [Request(spec)])
    assert len(faults) == 1 and says in faults[0]


def test_every_section_that_is_not_there_is_told(project):
    """All that a file lacks is told at once, also where it is named whole; what a glob's file has is given without the rest."""
    wanted = ["doc.md#Nope", "doc.md", "doc.md:900"]
    items, faults = gather(Shelf(str(project)), [Request(spec) for spec in wanted])
    assert [item.form for item in items] == ["all"] and "heading 'Nope'" in faults[0] and "line 900" in faults[1]
    items, faults = gather(Shelf(str(project)), [Request("doc.*#Nope"), Request("doc.md:1")])
    assert [item.sections for item in items] == [["lines 1-1"]] and "heading 'Nope'" in faults[0] and len(faults) == 1


def test_several_sections_of_a_file_are_one_item(project):
    """Sections come in the file's order, overlapping lines once, with a mark for the lines between."""
    found, _ = gather(
        Shelf(str(project)), [Request("doc.md:13-14"), Request("doc.md:1-3"), Request("doc.md:2-5")]
    )
    assert len(found) == 1
    assert found[0].sections == ["lines 13-14", "lines 1-3", "lines 2-5"]
    assert found[0].text == "# Title\n\nintro\n\n## Usage ##\n[lines 6-12 are left out]\n### Deep\n\n"


def test_a_whole_file_swallows_its_sections(project):
    """A file that is named whole and by section is given whole, with the stronger priority."""
    found, _ = gather(
        Shelf(str(project)),
        [Request("doc.md#Deep", "reference", "optional"), Request("doc.md", "file", "required")],
    )
    assert [(i.text, i.priority, i.sections) for i in found] == [(MARKDOWN, "required", [])]


def test_a_file_of_that_very_name_comes_first(project):
    """A file whose name looks like a section is that file."""
    (project / "odd#name:3").write_text("odd\n")
    assert text_of(project, "odd#name:3") == "odd\n"


@pytest.mark.parametrize(
    "path",
    ["../out.txt", "/etc/hostname", "link", "loop/../../out.txt", "folder/out.txt", "**/../../x*", "folder/*", "{folder,x}/*",
     ".{.,x}/out.*", "{/etc,x}/hostname", "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}/{..,x}/*"],
)
def test_nothing_leads_out_of_the_project(project, path):
    """No link, `..` or absolute path is followed out of the project."""
    (project.parent / "out.txt").write_text("secret")
    (project / "link").symlink_to(project.parent / "out.txt")
    (project / "folder").symlink_to(project.parent)
    (project / "loop").mkdir()
    found, faults = gather(Shelf(str(project)), [Request(path)])
    assert not found and "leads out of the project" in faults[0]


def test_a_link_within_the_project_is_followed(project):
    """A link that stays inside is the file it leads to, under the name it was given."""
    (project / "alias.py").symlink_to(project / "src/app.py")
    found, _ = gather(Shelf(str(project)), [Request("alias.py")])
    assert (found[0].source, found[0].text) == ("alias.py", PYTHON)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfbom\n", "bom\n"),
        ("ünï\n".encode("utf-16"), "ünï\n"),
        (b"# -*- coding: latin-1 -*-\n\xe9\n", "# -*- coding: latin-1 -*-\né\n"),
        (b"crlf\r\nkept\r\n", "crlf\r\nkept\r\n"),
    ],
)
def test_declared_encodings_are_honoured(data, text):
    """A byte order mark or a coding line is believed; line ends stay as they are."""
    assert files.decode("x.py", data) == text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a\0b", "binary"),
        (b"caf\xe9", "neither UTF-8"),
        (b"# coding: nonsense\n\xe9", "declares the encoding nonsense"),
    ],
)
def test_other_encodings_are_named_and_never_guessed(data, says):
    """What is not text by its own account is refused with the reason."""
    with pytest.raises(Unreadable, match=says):
        files.decode("x", data)


def test_binary_files_of_a_pattern_are_left_out_and_named(project):
    """A pattern gives its text files; the others are items with a reason. A binary file that is named is a
    fault.
    """
    (project / "src/logo.png").write_bytes(b"\x89PNG\0")
    found, faults = gather(Shelf(str(project)), [Request("src/*")])
    assert not faults
    assert {(i.source, i.included, i.reason) for i in found} == {
        ("src/app.py", True, ""),
        ("src/logo.png", False, "is binary."),
    }
    assert "binary" in gather(Shelf(str(project)), [Request("src/logo.png")])[1][0]


def test_a_huge_file_is_given_by_sections_only(project, monkeypatch):
    """A huge file is refused whole and readable by lines."""
    monkeypatch.setattr(files, "HUGE", 50)
    assert "huge" in gather(Shelf(str(project)), [Request("doc.md")])[1][0]
    assert text_of(project, "doc.md:1-1") == "# Title\n"


def test_ignored_files_are_left_out_unless_named(project):
    """Git decides what a pattern means; a named file is given whatever git thinks of it."""
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / ".gitignore").write_text("build/\n*.log\n")
    (project / "build").mkdir()
    (project / "build/out.py").write_text("x")
    (project / "a.log").write_text("log\n")
    assert files.matching(str(project), "**/*.py") == ["src/app.py"]
    assert files.matching(str(project), "*") == [".gitignore", "doc.md"]
    assert text_of(project, "a.log") == "log\n"


def test_without_git_every_file_is_found(project):
    """Outside a repository a pattern means the files on disk, but not our workspace or version control."""
    (project / ".orchestrator").mkdir()
    (project / ".orchestrator/x.py").write_text("x")
    assert files.matching(str(project), "**/*.py") == ["src/app.py"]
    assert files.matching(str(project), "{doc,none}.md") == ["doc.md"]


def test_a_file_that_an_earlier_task_writes_may_be_missing(project):
    """It is given by its path, with the reason."""
    found, faults = gather(
        Shelf(str(project)), [Request("out/new.py"), Request("out/gone.py")], ["out/n*.py"]
    )
    assert [(i.source, i.included, i.reason) for i in found] == [("out/new.py", False, items.LATER)]
    assert faults == ["out/gone.py does not exist."]


def test_a_python_outline():
    """Signatures, first lines of docstrings and short assignments; no bodies."""
    assert outline.outline("a.py", PYTHON).splitlines() == [
        '"""A module."""',
        "LIMIT = 3",
        "@decorated",
        "def first(a: int, *, b='x') -> str: ...",
        '    """Adds things."""',
        "class Box(Base):",
        '    """Holds."""',
        "    size: int = 0",
        "    async def open(self): ...",
        "def late(): ...",
    ]
    assert outline.outline("a.py", "def broken(:") is None


def test_an_outline_can_be_asked_for(project):
    """`path::*` is the outline of a file."""
    found, _ = gather(Shelf(str(project)), [Request("src/app.py::*")])
    assert (found[0].form, found[0].sections) == ("outline", ["outline"])
    assert "def first" in found[0].text and "return b" not in found[0].text


def test_secrets_are_masked_before_anything_else(project, monkeypatch):
    """What is masked is told; a section that begins inside a masked block shows no piece of it."""
    block = "-----BEGIN KEY-----\nAAAA\nBBBB\n-----END KEY-----\n"
    (project / "key.txt").write_text("before\n" + block + "after\n")
    monkeypatch.setattr(items, "redact", lambda t: (t.replace(block, "[masked key]\n"), [("key", 1)]))
    found, _ = gather(Shelf(str(project)), [Request("key.txt")])
    assert found[0].text == "before\n[masked key]\nafter\n" and found[0].masked == [("key", 1)]
    for lines in ("1-3", "3-6", "4-4", "2-5"):
        assert not {"AAAA", "BBBB", "KEY-----"} & set(text_of(project, "key.txt:" + lines).split())


@given(st.text(alphabet=st.sampled_from("ab\n\r#`~ -=x\u2028\x0c"), max_size=200))
def test_lines_are_lossless(text):
    """Cutting a text into lines and joining them gives the text, whatever ends its lines."""
    assert "".join(sections.lines_of(text)) == text
    for line, _, _ in sections.headings(text):
        assert 1 <= line <= text.count("\n") + 1


@given(st.text(max_size=60))
def test_any_spec_is_read_or_refused_in_a_sentence(text):
    """No spec, however odd, is more than an error with a sentence."""
    try:
        spec = sections.parse(text, "/nonexistent")
    except NoSection as error:
        assert str(error)
    else:
        assert spec.path


def test_a_path_with_a_nul_is_refused(project):
    """A NUL in a path is no way around the check."""
    with pytest.raises((Unreadable, ValueError)):
        files.inside(str(project), "doc.md\0/../../x")
    assert os.path.exists(project / "doc.md")
