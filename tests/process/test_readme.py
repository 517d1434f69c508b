"""The pages: every command line exists, every link leads somewhere, the README shows what there is."""

import functools
import json
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
# A program of ours at the beginning of a line of code, or after something of the shell's.
PROGRAM = re.compile(
    r"(?:^|[;&|(] *)(?:\$ |! ?)?((?:bin/)?orchestrator(?: |$)|(?:python3? )?scripts/\w+\.py(?: |$))"
)
SCRIPTS = {
    "execution_tracker": ["tracker"],
    "context_manager": ["bundle"],
    "output_collector": ["outputs"],
    "check_context_bounds": ["bundle", "check"],
    "validate_orchestration": ["tracker", "validate"],
    "synthesize_reports": ["outputs", "synthesize"],
}
# What stands for a value: capitals, an ellipsis, something in angle or square brackets.
STANDS_FOR = re.compile(r"[A-Z][A-Z_|]*|…|\.\.\.|.*[<[{$…].*")


def pages():
    """Every page of the project."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file()]


def inside(path):
    """The name a test shows for a file."""
    return str(path.relative_to(ROOT))


def code_of(text):
    """The lines of code of a page: fenced, indented, or between backquotes; a heredoc's body is left out."""
    lines, fence, until = [], None, None
    for line in text.splitlines():
        mark = re.match(r" *(```+|~~~+)", line)
        if until:
            until = None if line.strip() == until else until
        elif fence:
            fence = None if mark and line.strip() == fence else fence
            lines += [line.strip()] if fence else []
        elif mark:
            fence = mark[1]
        elif line.startswith("    "):
            lines.append(line.strip())
        else:
            lines += [found[1] for found in re.findall(r"(`+)(.+?)\1(?!`)", line)]
        heredoc = re.search(r"<<'(\w+)'", line)
        if heredoc and (fence or line.startswith("    ")):
            until = heredoc[1]
    return lines


def commands_of(text):
    """The command lines of ours in a page, without their comments and what the shell does with them."""
    found = []
    for line in code_of(text):
        for begun in PROGRAM.finditer(line):
            command = re.sub(r"\s+#.*|\s+<<.*", "", line[begun.start(1) :])
            command = command.partition(")")[0] if line[begun.start()] == "(" else command
            try:
                words = shlex.split(command)
            except ValueError:  # a quote that the line does not close
                words = command.split()
            ends = [at for at, word in enumerate(words) if re.match(r"[|&;><]+$|\d?>", word)]
            found.append(words[: ends[0]] if ends else words)
    return found


@functools.cache
def program():
    """The click group of the program."""
    from orchestrator.edges.cli import main

    return main


def faults(words):
    """What is wrong with a command line: unknown verbs and options, words too many, values not allowed."""
    first = [word for word in words if not word.startswith("python")]
    at = SCRIPTS.get(Path(first[0]).stem, [])
    if first[0].endswith(".py") and (not at or not (ROOT / first[0]).is_file()):
        return [f"there is no {first[0]}"]
    command, rest, wrong, given = program(), [*at, *first[1:]], [], []
    while rest:
        word = rest.pop(0)
        if word == "[options]" or STANDS_FOR.fullmatch(word) and isinstance(command, click.Group):
            return wrong
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            if name in ("--help", "-h", "--version"):
                return wrong
            option = next(
                (each for each in command.params if name in [*each.opts, *each.secondary_opts]), None
            )
            if option is None:
                wrong.append(f"{command.name} has no {name}")
            elif not getattr(option, "is_flag", False) and not getattr(option, "count", False):
                value = value or (rest.pop(0) if rest else "")
                if not value:
                    wrong.append(f"{name} of {command.name} wants a value")
                wrong += not_allowed(option, value)
        elif isinstance(command, click.Group):
            names = word.split("|")  # `task list|show`
            verbs = [command.get_command(click.Context(command), name) for name in names]
            if None in verbs:
                return [*wrong, f"{command.name} has no verb {names[verbs.index(None)]}"]
            command = verbs[0]
        else:
            given.append(word)
    takes = [each for each in command.params if isinstance(each, click.Argument)]
    most = sum(1000 if each.nargs < 0 else each.nargs for each in takes)
    if len(given) > most and "…" not in given:
        wrong.append(f"{command.name} takes {most} words, not {given}")
    for argument, word in zip(takes, given, strict=False):
        wrong += not_allowed(argument, word)
    return wrong


def not_allowed(parameter, value):
    """What is wrong with one value."""
    kind = parameter.type
    if STANDS_FOR.fullmatch(value) or not isinstance(kind, (click.Choice, click.types.IntParamType)):
        return []
    try:
        kind.convert(value, parameter, None)
        return []
    except click.UsageError as problem:
        return [problem.format_message()]


@pytest.mark.parametrize("path", pages(), ids=inside)
def test_every_command_line_exists(path):
    """Verbs, options and allowed values in every page are those of the program."""
    text = path.read_text(encoding="utf-8")
    wrong = {" ".join(words): faults(words) for words in commands_of(text)}
    assert not {line: found for line, found in wrong.items() if found}


def test_the_pages_are_really_read():
    """The walk finds the commands that are there, and sees what is wrong with others."""
    lines = [" ".join(words) for page in pages() for words in commands_of(page.read_text(encoding="utf-8"))]
    assert set(KNOWN) <= set(lines) and len(lines) > 60
    assert not [line for line in BAD if not faults(line.split())]
    assert not [line for line in GOOD if faults(line.split())]


KNOWN = """\
bin/orchestrator demo
orchestrator purge --all
orchestrator next --driver conversation
orchestrator plan -
orchestrator show t2""".splitlines()
BAD = """\
orchestrator fly
orchestrator demo --fast
orchestrator next --driver bicycle
bin/orchestrator task mend t1
orchestrator status a b c
orchestrator history --limit
scripts/nobody.py query
python scripts/execution_tracker.py querry""".splitlines()
GOOD = """\
orchestrator task <id>
orchestrator history --limit N
bin/orchestrator --project DIR status
scripts/execution_tracker.py query --limit 5""".splitlines()


@pytest.mark.parametrize("path", pages(), ids=inside)
def test_every_link_leads_somewhere(path):
    """Links within the project name files and headings that are there; pictures say what they show."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for picture, said, target in re.findall(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = unquote(target).partition("#")
        page = (path.parent / name) if name else path
        if not page.exists() or (heading and heading not in headings(page)) or (picture and not said):
            broken.append(target)
    assert not broken


def headings(page):
    """The anchors of a page's headings."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


README = ROOT / "README.md"


def block(name):
    """A generated block of the README."""
    found = re.search(
        r"<!-- generated: %s -->\n(.*?)<!-- end -->\n" % name, README.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found, name
    return found[1]


def test_the_readme_begins_with_what_a_newcomer_needs():
    """What it is for, the installation, the two commands and a captured run stand at the top, so ordered."""
    text = README.read_text(encoding="utf-8")
    wanted = ["claude plugin marketplace add", "claude plugin install", "bin/orchestrator demo", "tests/run",
              "<!-- generated: demo -->", "docs/flow.svg", "## Where data lives"]  # fmt: skip
    places = [text.index(word) for word in wanted]
    assert places == sorted(places)
    assert text[: places[4]].count("\n") <= 25
    assert text.count("\n") <= 190


def test_what_the_readme_installs_is_what_there_is():
    """The name and the marketplace in the installation are those of the manifests."""
    market = json.loads((ROOT / ".claude-plugin/marketplace.json").read_text())
    plugin = json.loads((ROOT / ".claude-plugin/plugin.json").read_text())
    assert "claude plugin install %s@%s\n" % (plugin["name"], market["name"]) in README.read_text()


def test_the_captured_run_has_the_shape_of_a_run():
    """The run in the README is one: its events in order, one failure, one compaction, counts that add up."""
    lines = block("demo").splitlines()
    assert lines[:2] == ["```console", "$ bin/orchestrator demo"] and lines[-1] == "```"
    events = [re.fullmatch(r" *(\d+\.\d) s  (.{10}) (.+)", line) for line in lines[2 : lines.index("…")]]
    assert all(events) and len(events) == 27
    times, whos = [float(e[1]) for e in events], [e[2].strip() for e in events]
    assert times == sorted(times) and times[-1] < 30
    for who, count in {
        "> you": 3,
        "planner": 2,
        "workflow": 2,
        "tests": 4,
        "compacted": 1,
        "held": 1,
    }.items():
        assert whos.count(who) == count, who
    assert [e[3] for e in events].count("failed: api_error") == 1
    counts = [re.fullmatch(r" +([\d,]+)  .+", line) for line in lines[lines.index("…") + 1 : -1]]
    total, held, kept, _ = [int(found[1].replace(",", "")) for found in counts]
    assert total == held + kept and max(map(len, lines)) <= 100


def test_the_picture_can_be_read_on_any_page():
    """The picture of the flow has a ground of its own, says what it shows, and asks nothing of anybody."""
    picture = (ROOT / "docs/flow.svg").read_text(encoding="utf-8")
    assert 'class="panel"' in picture and "<title" in picture and "<desc" in picture
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image|xlink", picture)
