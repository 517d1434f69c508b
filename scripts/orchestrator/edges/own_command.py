"""Judge of a Bash command line: exactly our own command and nothing else, or not ours to allow.

What is allowed runs without asking the user, so every doubt is a None and the client asks as it always would.
The grammar is smaller than any shell's: one that would read more into a line (expansion, joining, aliases,
redirection) is given nothing to read it from.
"""

import os

NAME = "orchestrator"
LONGEST_LINE = 32768  # of one line; a plan's heredoc may be longer
LONGEST_PATH = 4096  # no system opens a longer one
MOST_PIECES = 256  # of one word, each of which might be a path

PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./,:@+"
LONG_NAME = "abcdefghijklmnopqrstuvwxyz-"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
EXPANDS = "$`\\!"
# Letters and marks that Python calls printable and nobody can see; they have no business in a command.
UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
CONTROLS = "".join(map(chr, list(range(9)) + list(range(11, 32)) + list(range(127, 160))))

ANYONE, MAIN = "anyone", "main"
VERBS = {
    "--help": ANYONE, "--version": ANYONE,
    "agent-details": ANYONE, "brief": ANYONE, "history": ANYONE, "list-agents": ANYONE, "list-tasks": ANYONE,
    "next": MAIN, "show": ANYONE, "stats": ANYONE, "status": ANYONE, "task-details": ANYONE,
    "task list": ANYONE, "task show": ANYONE, "who": ANYONE,
    "agents": MAIN, "count": MAIN, "doctor": MAIN, "init": MAIN, "plan": MAIN, "prime": MAIN, "report": MAIN,
    "resume": MAIN, "stop": MAIN, "task add": MAIN, "task retry": MAIN, "task skip": MAIN,
    "bundle calibrate": MAIN, "bundle check": MAIN, "bundle deduplicate": MAIN, "bundle generate-briefing": MAIN,
    "bundle languages": MAIN, "bundle prepare": MAIN, "bundle prepare-bundle": MAIN, "bundle record-allocation": MAIN,
    "bundle refresh": MAIN, "bundle show": MAIN, "bundle track-budget": MAIN,
    "outputs collect": MAIN, "outputs query": MAIN, "outputs synthesize": MAIN,
    "tracker complete-session": MAIN, "tracker init-deployment": MAIN, "tracker init-session": MAIN,
    "tracker query": MAIN, "tracker record-completion": MAIN, "tracker set-phase": MAIN,
    "tracker validate": MAIN,
}
FAMILIES = ("bundle", "outputs", "task", "tracker")

# Every option that is known to do no more than its verb. What is not here asks: --db, --project, --yes.
OPTIONS = frozenset("""
    --after --agent --agent-type --all --at --briefing --budget --budget-tokens --bundle --bundles --by --cache
    --context --context-bundle --context-files --context-token-count --deliverables --depth --description --driver
    --dry-run --errors --execution-id --file --files --final-message --format --goal --help --id --insights
    --json --last --limit --max-tokens --may-spawn --metadata --model --no-cache --no-store --optional
    --orchestration --origin --output-type --part --phase --print --priority --prompt --quiet --references --result
    --retries --said --scope --session-id --since --state --status --strategy --task --text --title
    --transcript --tree --until --validation-results --verbose --warn-threshold --writes -n -q -v
""".split())

# Options whose value is a file to write; it may be a new document in the project that nothing there obeys.
WRITING = ("--output", "-o")
DOCUMENTS = (".csv", ".json", ".md", ".txt")
OBEYED = (
    "agent.md", "agents.md", "claude.local.md", "claude.md", "cmakelists.txt", "composer.json",
    "constraints.txt", "deno.json", "gemini.md", "package-lock.json", "package.json", "requirements.txt",
    "skill.md", "tsconfig.json",
)


def judge(command, project, cwd, inside_agent, planner, ours):
    """(verb, words, rewritten command) of a command line that is ours to allow; None for every other.

    `project` and `cwd` are the project's folder and the shell's; `planner` says whether the agent is our
    planner; `ours` is the absolute path of our program, which the rewritten command names.
    """
    if not isinstance(command, str) or not command.startswith(NAME + " ") or not _nameable(ours):
        return None
    rewritten = quoted(ours) + command[len(NAME):]
    try:
        folders = _folders(project, cwd)
        if not folders:
            return None
        if "<<" in command[:32]:
            allowed = (planner or not inside_agent) and _is_plan(command)
            return ("plan", ("plan", "-"), rewritten) if allowed else None
        words = _words(command[len(NAME):]) if len(command) <= LONGEST_LINE else ()
        verb = _verb(words, inside_agent) if words else None
        if verb is None:
            return None
        rest = words[verb.count(" ") + 1:]
        if not _harmless(rest, os.path.realpath(cwd), folders, inside_agent):
            return None
    except (OSError, TypeError, ValueError):
        return None  # a name that this system cannot write
    return verb, words, rewritten


def quoted(word):
    """A word as every shell takes it for itself; also for what a hook adds to a rewritten command."""
    return "'" + word.replace("'", "'\\''") + "'"


def _verb(words, inside_agent):
    """The verb, if the one who asks may use it."""
    verb = words[0]
    if verb in FAMILIES and len(words) > 1:
        verb += " " + words[1]
        if words[1] == "--help":
            return verb if len(words) == 2 else None
    who = VERBS.get(verb)
    if who is None or " " in words[0] or (who is MAIN and inside_agent):
        return None
    if verb[0] == "-" and len(words) > 1:
        return None
    return verb


def _nameable(path):
    return isinstance(path, str) and path.startswith("/") and path.isprintable()


def _words(line):
    """The words of a line of plain words and whole quotes, each after a blank; none if it is more."""
    words, at, end = [], 0, len(line)
    while at < end:
        if line[at] != " ":
            return ()
        while at < end and line[at] == " ":
            at += 1
        start = at
        while at < end and line[at] not in " '\"":
            at += 1
        bare = line[start:at]
        if at < end and line[at] != " ":
            quote = line[at]
            close = line.find(quote, at + 1)
            text = line[at + 1:close]
            if close < 0 or not text.isprintable() or any(c in text for c in UNSEEN):
                return ()
            if quote == '"' and any(c in text for c in EXPANDS):
                return ()
            if bare and not (bare.endswith("=") and _is_long_option(bare[:-1])):
                return ()
            bare, at = bare + text, close + 1
        else:
            name, equals, value = bare.partition("=")
            if not bare or value.strip(PLAIN) or (equals and not _is_long_option(name)) or name.strip(PLAIN):
                return ()  # the empty word: a blank at the end
        words.append(bare)
    return tuple(words)


def _is_long_option(name):
    return name.startswith("--") and len(name) > 2 and not name.strip(LONG_NAME)


def _is_plan(command):
    """Whether it is `orchestrator plan - <<'WORD'`, a body in which no line is WORD, and WORD."""
    head, _, rest = command.partition("\n")
    before = "orchestrator plan - <<'"
    word = head[len(before):-1]
    if not head.startswith(before) or not head.endswith("'"):
        return False
    if not 1 <= len(word) <= 32 or word.strip(CAPITALS):
        return False
    try:
        rest.encode("utf-8")
    except UnicodeEncodeError:
        return False  # a lone surrogate: nobody can say which bytes the shell would get
    if any(c in rest for c in CONTROLS):
        return False
    if rest.endswith("\n"):
        rest = rest[:-1]
    lines = "\n" + rest + "\n"
    return lines.endswith("\n" + word + "\n") and lines.find("\n" + word + "\n") == len(lines) - len(word) - 2


def _harmless(rest, cwd, folders, inside_agent):
    """Whether each option is known, nothing leaves the project and what is written may be written."""
    takes_file = False
    for word in rest:
        if takes_file:
            if not _may_write(word, cwd, folders):
                return False
            takes_file = False
        elif word[:1] == "-":
            name, equals, value = word.partition("=")
            if name in WRITING:
                if inside_agent or equals and not _may_write(value, cwd, folders):
                    return False
                takes_file = not equals
            elif name not in OPTIONS:
                return False
        if not _stays(word, cwd, folders):
            return False
    return not takes_file


def _stays(word, cwd, folders):
    """Whether no part of a word could be a path that leads out of the project."""
    if "{" in word and "," in word and _braces_lead_out(word):
        return False
    parts = set()
    for part in [word] + word.replace(";", ",").split(","):
        part = part.strip()
        parts.add(part)
        if " " not in part:  # no sentence: an option with its value, a path with a heading, symbol or lines
            for mark in "=#@":
                part = part.replace(mark, ":")
            parts.update(part.split(":"))
    if len(parts) > MOST_PIECES:
        return False
    return all(_inside_one(os.path.join(cwd, part), part, folders) for part in parts if part)


def _braces_lead_out(word):
    """Whether braces, as in `.{.,x}` or `{,x}/a`, could make `..` or an absolute path of a word's pieces."""
    if "{/" in word or "}/" in word and ("{," in word or ",," in word or ",}" in word):
        return True
    for mark in "{},;:=#@ ":
        word = word.replace(mark, "/")
    pieces = word.split("/")
    return pieces.count(".") + 2 * pieces.count("..") > 1


def _inside_one(path, part, folders):
    if part[0] == "~":
        return False
    if "/" not in part and ".." not in part and not os.path.lexists(path):
        return True
    climbs = ".." in part.split("/")
    if climbs and len(path) > LONGEST_PATH:
        return False
    # Both readings must stay: a program may take `link/..` as text where the system follows the link.
    text = os.path.normpath(path)
    if not any(_within(text, folder) for folder in folders):
        return False
    if len(text) > LONGEST_PATH:
        return True  # a long sentence with a stroke in it
    real = os.path.realpath(path if climbs else text)
    return any(_within(real, folder) for folder in folders)


def _may_write(value, cwd, folders):
    """Whether a new document may be written there without asking."""
    path = os.path.join(cwd, value)
    if not value or value[0] in "-~" or len(value) > LONGEST_PATH or os.path.lexists(path):
        return False
    real = os.path.realpath(path)
    for folder in folders:
        if _within(real, folder):
            inner = real[len(folder):].casefold().strip("/").split("/")
            return inner[-1].endswith(DOCUMENTS) and inner[-1] not in OBEYED and not any(
                name.startswith(".") for name in inner)
    return False


def _within(path, folder):
    """Whether a path lies in a folder. Nothing counts as lying in `/`: every path would be the project's."""
    return folder != "/" and (path == folder or path.startswith(folder + "/"))


def _folders(project, cwd):
    """The folders that count as the project, the innermost first: a linked git worktree of it, and itself.
    None of them when the shell is in neither."""
    if not project or not cwd:
        return ()
    project, cwd = os.path.realpath(project), os.path.realpath(cwd)
    if project == "/":
        return ("/",)
    twin = _worktree_twin(project, cwd)
    folders = (twin, project) if twin else (project,)
    return folders if any(_within(cwd, folder) for folder in folders) else ()


def _worktree_twin(project, cwd):
    """The project's folder in the linked git worktree around `cwd`; None when git knows of no such one."""
    folder = cwd
    while not os.path.lexists(os.path.join(folder, ".git")):
        if folder == "/":
            return None
        folder = os.path.dirname(folder)
    mark = os.path.join(folder, ".git")
    there = _line_of(mark) if os.path.isfile(mark) else ""
    if not there.startswith("gitdir:"):
        return None
    entry = os.path.realpath(os.path.join(folder, there[7:].strip()))
    git, kind = os.path.split(os.path.dirname(entry))
    main = os.path.dirname(git)
    # Anybody can write a .git file; only git's own folder, which must name this one, makes it a worktree.
    if kind != "worktrees" or os.path.basename(git) != ".git" or not _within(project, main):
        return None
    back = os.path.join(entry, _line_of(os.path.join(entry, "gitdir")))
    if os.path.realpath(back) != os.path.realpath(mark):
        return None
    return os.path.normpath(os.path.join(folder, os.path.relpath(project, main)))


def _line_of(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline(4096).strip()
    except OSError:
        return ""
