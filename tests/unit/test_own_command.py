"""Specification of what runs without asking: our own command, whole and alone, as real shells read it."""

import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.edges import own_command
from orchestrator.edges.own_command import judge
from unit.own_command_corpus import AGENTS_MAY, AGENTS_REACHING, ALLOWED, PLAN, SMUGGLED, S

OURS = "/opt/it's here/bin/orchestrator"
SHELLS = [shell for shell in (
    ["/bin/sh"], ["/bin/bash"], ["/bin/bash", "--posix"], ["/bin/bash", "-O", "extglob"], ["/bin/zsh"],
    ["/bin/ksh"], ["/bin/mksh"], ["/bin/yash"], ["/bin/busybox", "sh"],
) if os.path.exists(shell[0])]


@pytest.fixture
def project(tmp_path):
    """A project with files, links that lead out of it and a folder outside."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.md").write_text("secret")
    root = tmp_path / "project"
    for folder in ("src/deep", ".git/hooks", ".claude/agents", ".orchestrator", "docs", "spec"):
        (root / folder).mkdir(parents=True)
    (root / "plan.json").write_text("{}")
    (root / "report-old.md").write_text("old")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "outfile").symlink_to(tmp_path / "outside" / "secret.md")
    (root / "dangling.md").symlink_to(tmp_path / "outside" / "new.md")
    (root / "src" / "up").symlink_to("../..")
    (root / "docs" / "git").symlink_to("../.git")
    (root / "far").symlink_to("src/deep")
    (root / "src" / "here").symlink_to("deep")
    return str(root)


def ask(command, project, cwd=None, agent=False, planner=False):
    return judge(command, project, cwd or project, agent, planner, OURS)


@pytest.mark.parametrize("command", ALLOWED)
def test_own_commands_are_allowed_in_the_main_conversation(project, command):
    """A plain line of a listed verb is allowed; only its first word is exchanged for our program's path."""
    verdict = ask(command, project)
    assert verdict is not None
    assert verdict[2] == "'/opt/it'\\''s here/bin/orchestrator'" + command[len("orchestrator"):]
    assert " ".join(verdict[1]).startswith(verdict[0])


@pytest.mark.parametrize("command", AGENTS_MAY)
def test_agents_may_read(project, command):
    """Every agent may use the reading verbs and fetch its briefing."""
    assert ask(command, project, agent=True) is not None


def test_only_the_planner_may_submit_a_plan_among_agents(project):
    """`plan -` is the planner's; another agent's is not allowed."""
    assert ask(PLAN, project, agent=True, planner=True)[:2] == ("plan", ("plan", "-"))
    assert ask(PLAN, project, agent=True) is None
    assert ask("orchestrator plan plan.json", project, agent=True, planner=True) is None


READING = ("--help", "--version", "status", "show", "history", "stats", "list-agents", "list-tasks",
           "task-details", "agent-details", "task show", "task list", "task --help", "brief")


@pytest.mark.parametrize("command", ALLOWED)
def test_agents_may_do_nothing_else(project, command):
    """What the main conversation may do beyond reading, an agent may not; the planner's heredoc aside."""
    reads = ask(command, project)[0] in READING
    assert (ask(command, project, agent=True) is not None) == reads
    assert (ask(command, project, agent=True, planner=True) is not None) == (reads or "<<" in command)


@pytest.mark.parametrize("name", SMUGGLED)
def test_nothing_is_smuggled(project, name):
    """No attempt to do something else beside our command is allowed, in the main conversation or an agent."""
    assert ask(SMUGGLED[name], project) is None
    assert ask(SMUGGLED[name], project, agent=True) is None
    assert ask(SMUGGLED[name], project, agent=True, planner=True) is None


@pytest.mark.parametrize("rest", AGENTS_REACHING)
def test_agents_write_nothing(project, rest):
    """An agent, the planner too, reaches no verb and no option that writes."""
    assert ask("orchestrator " + rest, project, agent=True) is None
    assert ask("orchestrator " + rest, project, agent=True, planner=True) is None


def test_the_corpora_are_large_enough():
    """At least 25 lines are known to be allowed and at least 100 attempts refused."""
    assert len(set(ALLOWED)) >= 25
    assert len(set(SMUGGLED.values())) + len(AGENTS_REACHING) >= 300


def test_the_shell_must_stand_in_the_project(project, tmp_path):
    """From a folder outside the project nothing is allowed: the command might choose another project."""
    assert ask(S, project, cwd=project + "/src/deep") is not None
    assert ask("orchestrator count ../../plan.json", project, cwd=project + "/src/deep") is not None
    assert ask("orchestrator count ../../../outside", project, cwd=project + "/src/deep") is None
    assert ask(S, project, cwd=str(tmp_path / "outside")) is None
    assert ask(S, project, cwd=project + "/out") is None
    assert ask(S, project, cwd=project + "-not") is None
    assert ask(S, "", cwd=project) is None


def test_a_project_at_the_root_has_no_paths(project):
    """Where the whole disk would be the project, verbs are allowed and paths are not."""
    assert judge(S, "/", "/", False, False, OURS) is not None
    for path in ("etc/passwd", "/etc", "//etc", "etc", "/"):
        assert judge("orchestrator count " + path, "/", "/", False, False, OURS) is None


def git(*words, cwd):
    who = ("-c", "user.name=x", "-c", "user.email=x")
    subprocess.run(("git", *who, *words), cwd=cwd, check=True, capture_output=True)


def test_a_worktree_of_a_repository_inside_the_project_does_not_widen_it(tmp_path):
    """A linked worktree counts only for a project that lies in its repository, not for one around it."""
    house, repo, linked = tmp_path / "house", tmp_path / "house" / "repo", tmp_path / "far" / "linked"
    repo.mkdir(parents=True)
    git("init", "-q", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "a", cwd=repo)
    git("worktree", "add", "-q", str(linked), cwd=repo)
    assert judge(S, str(repo), str(linked), False, False, OURS) is not None
    assert judge(S, str(house), str(linked), False, False, OURS) is None


def test_a_linked_worktree_counts_as_the_project(tmp_path):
    """In a git worktree of the project its own files are inside; a folder that claims to be one is not."""
    main, linked, forged = tmp_path / "main", tmp_path / "linked", tmp_path / "forged"
    for folder in (main / "pkg", forged):
        folder.mkdir(parents=True)
    git("init", "-q", cwd=main)
    (main / "pkg" / "a.md").write_text("a")
    git("add", ".", cwd=main)
    git("commit", "-qm", "a", cwd=main)
    git("worktree", "add", "-q", str(linked), cwd=main)
    (forged / ".git").write_text((linked / ".git").read_text())

    def allowed(line, project, cwd):
        return judge(line, str(project), str(cwd), False, False, OURS) is not None

    assert allowed("orchestrator plan pkg/a.md", main, linked)
    assert allowed("orchestrator report --output pkg/new.md", main, linked)
    assert not allowed("orchestrator plan ../forged/x", main, linked)
    assert allowed("orchestrator plan a.md", main / "pkg", linked / "pkg")
    assert not allowed(S, main / "pkg", linked)
    assert not allowed(S, main, forged)
    part = main / ".git" / "modules" / "part"
    part.mkdir(parents=True)
    (part / "gitdir").write_text(str(forged / ".git"))
    (forged / ".git").write_text("gitdir: %s" % part)
    assert not allowed(S, main, forged)
    inner = main / ".claude" / "worktrees" / "x"
    git("worktree", "add", "-q", str(inner), cwd=main)
    assert allowed("orchestrator report --output new.md", main, inner)
    assert not allowed("orchestrator report --output .git", main, inner)


@pytest.mark.parametrize("ours", ["orchestrator", "./bin/orchestrator", "", "/a\nb", "/a\0b", None])
def test_our_program_must_have_an_absolute_name(project, ours):
    """Without a sound absolute path of our own program nothing is allowed."""
    assert judge(S, project, project, False, False, ours) is None


@pytest.mark.parametrize("odd", [None, 5, b"orchestrator status", ["orchestrator", "status"]])
def test_what_is_no_text_is_not_ours(project, odd):
    """A command that is no text is not judged; a folder that is none is not believed."""
    assert ask(odd, project) is None
    assert judge(S, project, odd, False, False, OURS) is None
    assert judge(S, odd, project, False, False, OURS) is None


def lines_run(command, project):
    """How many lines of the judge ran."""
    count = [0]

    def step(frame, event, _):
        if frame.f_code.co_filename == own_command.__file__:
            count[0] += event == "line"
            return step
        return None

    sys.settrace(step)
    try:
        ask(command, project)
    finally:
        sys.settrace(None)
    return count[0]


@pytest.mark.parametrize("make", [
    lambda n: "orchestrator plan - <<'PLAN'\n" + "x" * n + "\nPLAN",
    lambda n: "orchestrator plan - <<'PLAN'\n" + "PLAN \n" * n + "PLAN",
    lambda n: "orchestrator show " + "'" * n,
    lambda n: "orchestrator show " + "a " * n,
    lambda n: "orchestrator show '" + "a,/" * n + "'",
    lambda n: "orchestrator count " + "x/" * n,
])
def test_long_lines_cost_no_more_than_their_length(project, make):
    """Ten times the length runs at most ten times the lines; beyond the longest line it stays the same."""
    assert lines_run(make(10000), project) <= 12 * lines_run(make(1000), project)
    assert lines_run(make(400000), project) <= 2 * lines_run(make(40000), project)


def test_the_hook_path_pays_for_no_import():
    """Importing the judge brings in `os` and nothing that costs start-up time."""
    code = ("import sys; sys.path.insert(0, %r); import os; before = set(sys.modules)\n"
            "import orchestrator.edges.own_command\n"
            "print(*sorted(set(sys.modules) - before))")
    scripts = os.path.dirname(os.path.dirname(os.path.dirname(own_command.__file__)))
    command = [sys.executable, "-I", "-S", "-c", code % scripts]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["orchestrator", "orchestrator.edges", "orchestrator.edges.own_command"]


# Options of allowed verbs that the user is asked about all the same.
ASKED = {"--template", "--check", "--every", "--from-message", "--take", "--watch"}


def verbs(command, path=()):
    """(path, command) of each verb of the program."""
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from verbs(command.get_command(None, name), (*path, name))
    else:
        yield " ".join(path), command


def test_each_option_of_an_allowed_verb_was_thought_about():
    """A new option of an allowed verb is put here, or into the judge's table if it does no more."""
    click, cli = pytest.importorskip("click"), pytest.importorskip("orchestrator.edges.cli.group")
    program = cli.main
    known = {*own_command.OPTIONS, *own_command.WRITING, *ASKED}
    for verb, command in verbs(program):
        options = [each for each in command.params if isinstance(each, click.Option)]
        names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        assert verb not in own_command.VERBS or names <= known, verb


# The shells as judges

RECORDER = """#!/bin/sh
exec >>"${0%/*}/record"
printf 'RUN\\0'
for word do printf '%s\\0' "$word"; done
printf 'STDIN\\0'
/bin/cat
printf '\\0END\\0'
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A scratch project and a recorder in the place of our program, in a folder whose name needs quoting."""
    root = tmp_path_factory.mktemp("stage")
    (root / "it's a \"bin\"").mkdir()
    recorder = root / "it's a \"bin\"" / "orchestrator"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    (root / "scratch").mkdir()
    (root / "scratch" / "status").write_text("")
    for name in ("orchestrator", "id"):
        decoy = root / "scratch" / name
        decoy.write_text("#!/bin/sh\necho decoy\n")
        decoy.chmod(0o755)
    return str(recorder), str(root / "scratch")


def held_by_shells(command, stage, agent=False):
    """Judges a command; if it is allowed, has each shell run it and compares. Returns the verdict."""
    ours, scratch = stage
    verdict = judge(command, scratch, scratch, agent, agent, ours)
    if verdict is None:
        return None
    verb, words, rewritten = verdict
    lines = command.split("\n")[1:]
    stdin = "".join(line + "\n" for line in lines[:-2 if lines[-1:] == [""] else -1])
    expected = "RUN\0" + "".join(w + "\0" for w in words) + "STDIN\0" + stdin + "\0END\0"
    record = os.path.join(os.path.dirname(ours), "record")
    before = sorted(os.listdir(scratch))
    for shell in SHELLS:
        if os.path.exists(record):
            os.unlink(record)
        done = subprocess.run(
            [*shell, "-c", rewritten], cwd=scratch, env={"PATH": "", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        with open(record, encoding="utf-8", newline="") as file:
            assert file.read() == expected, shell
        assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0), shell
        assert sorted(os.listdir(scratch)) == before
    return verdict


@pytest.mark.parametrize("command", [c for c in ALLOWED if "plan.json" not in c])
def test_shells_run_what_was_judged(stage, command):
    """Each allowed line, run by every shell there is, starts our program once with those words."""
    assert held_by_shells(command, stage) is not None


def test_no_single_character_turns_a_command_into_another(stage):
    """Each ASCII character, put into an allowed line, makes it refused or leaves it one run of ours."""
    ran = 0
    for line in ("orchestrator show a 'b c' --model=\"d\"", "orchestrator plan - <<'PLAN'\nx\nPLAN"):
        for at in range(len(line) + 1):
            for char in map(chr, range(128)):
                command = line[:at] + char + line[at:]
                verdict = judge(command, stage[1], stage[1], False, False, stage[0])
                # Letters and digits are alike to every shell: one of each is run.
                if verdict and (not char.isalnum() or char in "aZ7"):
                    held_by_shells(command, stage)
                    ran += 1
    assert ran > 150


PIECES = st.sampled_from([
    "status", "show", "history", "brief", "t1", "'a'", '"b"', "'a;b'", '"a;b"', "--json", "--limit",
    "--limit=5", "--file=x", "--file='x'", '--file="x', 'y"', "--output", "-o", "x.md", "-n", "-", "--",
    "--db", ";", "&", "&&", "|", "||", ">", ">>", "<", "<<", "<<-", "<<<", "<<'PLAN'", "<<PLAN", '<<"PLAN"',
    "PLAN", "(", ")", "{", "}", "{a,b}", "!", "!!", "#", "$", "$x", "${x}", "$(id)", "`id`", "$'a'", '$"a"',
    '\\', '\\a', "~", "~/x", "*", "?", "[a]", "=", "=id", "a=b", "^", "%", "%1", "@(a)", "+(a)", "!(a)",
    "..", "../x", "./x", "/etc", "a/b", ":", ",", ".", "@", "+", "_", '\xe9', '\u3000', '\xa0', '\u200b',
    '\ud800', "id", "./id", "plan", "stop", "''", '""', "'it'", '"\'"', '\'"\'', "1", "2>&1", ">(id)",
    "<(id)", "task", "  ", '\t', '\n', '\r', '\x00', '\x01', '\x7f', '\nPLAN', 'PLAN\n', '\nPLAN\n', '\\\n',
    "'", '"',
])
CHARS = st.text(st.sampled_from("ab1 -=/.,:'\";&|<>$`\\!#*?[]{}()~^%@+_\n\t\r\0\x01é\u2028"))
WORD = st.one_of(PIECES, st.text(own_command.PLAIN, min_size=1, max_size=6),
                 CHARS.map(lambda s: "'%s'" % s), CHARS.map(lambda s: '"%s"' % s),
                 CHARS.map(lambda s: "--title='%s'" % s), CHARS)
LINE = st.tuples(st.sampled_from(["status", "show", "history", "task add", "stats", "report", "--help"]),
                 st.lists(WORD, max_size=4), st.sampled_from([" ", " ", " ", "", "  ", "\t"]),
                 ).map(lambda t: "orchestrator " + t[2].join([t[0], *t[1]]))
GENTLE = st.lists(st.one_of(
    st.text(own_command.PLAIN, min_size=1, max_size=8).filter(lambda s: s[0] != "-"),
    st.text(max_size=8).map(lambda s: "'%s'" % s.replace("'", "")),
    st.text(max_size=8).map(lambda s: '"%s"' % "".join(c for c in s if c not in '"$`\\!')),
    st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "N")), max_size=8).map(
        lambda s: "--text='%s'" % s.replace("'", "")),
), max_size=5).map(lambda words: " ".join(["orchestrator show", *words]))
BODY = st.lists(st.one_of(
    PIECES, CHARS, st.sampled_from(["PLAN", " PLAN", "PLAN ", "PLANS", "\\", "EOF", "$(id)", "{}"]),
), max_size=6)
HEREDOC = st.tuples(
    BODY,
    st.sampled_from(["'PLAN'", "'PLAN'", "'PLAN'", "'A'", "PLAN", '"PLAN"', "''", "'PL AN'"]),
    st.sampled_from(["\nPLAN", "\nPLAN\n", "\nA", "PLAN", "\nPLAN\n\n", "\nPLAN\nid", "\nPLAN ", ""]),
    st.sampled_from(["\n", "\n", "\n", "", "; id\n", " \n", "\r\n", "\\\n", "\n\n"]),
).map(lambda t: "orchestrator plan - <<" + t[1] + t[3] + "\n".join(t[0]) + t[2])


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(command=st.one_of(LINE, GENTLE, GENTLE, HEREDOC, HEREDOC))
@example(command="orchestrator plan - <<'PLAN'\n\\\nPLAN")
@example(command="orchestrator plan - <<'PLAN'\n\nPLAN\n")
@example(command="orchestrator show 'a\\' b")
@example(command="orchestrator show - 'é'")
def test_whatever_is_allowed_is_one_run_of_ours(stage, command):
    """What the judge allows near its grammar, real shells run as our program with those words."""
    held_by_shells(command, stage)
