"""Places: which project this is, where its workspace and the data folder lie. The one reader of the environment."""

import os

WORKSPACE = ".orchestrator"
HISTORY = "history.db"
ARCHIVE = "archive"  # beside a history: its transcripts
DOTENV, CONFIG = ".env", "config.toml"  # a project's own settings: beside its programs', and in the workspace
PATTERNS = "redact"  # in the workspace: the user's own patterns as they stand in the history, for when that cannot be read
HISTORY_PATH = "history-path"  # in the workspace, one line: where else in the project the history lies


def plugin_root():
    """The plugin's folder, from this file."""
    here = os.path.abspath(__file__)
    return os.path.dirname(os.path.dirname(os.path.dirname(here)))


def home(env=None):
    """The user's home folder, also where HOME is unset; "" when there is none."""
    env = os.environ if env is None else env
    if env.get("HOME"):
        return env["HOME"]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return ""


def data_folder(env=None):
    """The folder for what outlives projects: $ORCHESTRATOR_DATA, else the XDG data home. Not created; "" for a user
    without a home."""
    env = os.environ if env is None else env
    if env.get("ORCHESTRATOR_DATA"):
        return os.path.abspath(env["ORCHESTRATOR_DATA"])
    house = home(env)
    if not env.get("XDG_DATA_HOME") and not house:
        return ""
    return os.path.join(env.get("XDG_DATA_HOME") or os.path.join(house, ".local", "share"), "orchestrator")


def regular(path, most, follow=True):
    """At most `most` bytes of a regular file; OSError for everything else (a pipe or a device would never end)."""
    import stat

    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("%s is not a regular file" % path)
        found = data = os.read(handle, min(most, about.st_size + 1))
        while data and len(found) < most:  # a read may give less; a file may grow, or not tell its size
            data = os.read(handle, most - len(found))
            found += data
        return found
    finally:
        os.close(handle)


def readable(path, *how, **more):
    """A regular file, opened; OSError for everything else (a pipe or a device would never end)."""
    import stat

    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("%s is not a regular file" % path)
    return open(path, *how, **more)


def _text(path, most=4096, follow=True):
    return regular(path, most, follow).decode("utf-8", "surrogateescape")


def _main_worktree(git_file):
    """The main worktree's folder, read from the `.git` file of a linked one; None when it is not linked."""
    try:
        line = _text(git_file).split("\n")[0].strip()
        if not line.startswith("gitdir:"):
            return None
        folder = os.path.join(os.path.dirname(git_file), line[7:].strip())
        common = os.path.realpath(os.path.join(folder, _text(os.path.join(folder, "commondir")).split("\n")[0].strip()))
        back = os.path.join(folder, _text(os.path.join(folder, "gitdir")).split("\n")[0].strip())
        if os.path.realpath(back) != os.path.realpath(git_file):
            return None  # git itself points back at each of its worktrees: another's word is not taken
    except (OSError, ValueError):  # a NUL in it is no path
        return None  # a submodule's .git file has no commondir: the submodule is its own project
    return os.path.dirname(common) if os.path.basename(common) == ".git" else None


def _ancestors(folder):
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def _ours(folder):
    """Whether this folder holds a workspace that belongs to this user (another user's is not even looked at)."""
    try:
        st = os.lstat(os.path.join(folder, WORKSPACE))
    except OSError:
        return False
    import stat

    return stat.S_ISDIR(st.st_mode) and st.st_uid == os.getuid()


def named(env=None):
    """The folder that the environment names, which counts more than the working one; "" where it names none."""
    env = os.environ if env is None else env
    return env.get("ORCHESTRATOR_PROJECT") or env.get("CLAUDE_PROJECT_DIR") or ""


def project_of(cwd=None, env=None):
    """The project's folder: ORCHESTRATOR_PROJECT, else CLAUDE_PROJECT_DIR, else cwd; from a linked git worktree the
    main one; then the nearest ancestor with our workspace, else the git top, else itself."""
    env = os.environ if env is None else env
    start = os.path.realpath(named(env) or cwd or os.getcwd())
    house, top = os.path.realpath(home(env) or "/"), None
    for folder in _ancestors(start):
        git = os.path.join(folder, ".git")
        if os.path.isfile(git):
            main = _main_worktree(git)
            if main and main != folder:
                inside = os.path.join(main, os.path.relpath(start, folder))
                start = inside if os.path.isdir(inside) else main
            break
        if os.path.isdir(git):
            break
    for folder in _ancestors(start):
        if folder in ("/", house):
            break
        if _ours(folder):
            return folder
        if top is None and os.path.exists(os.path.join(folder, ".git")):
            top = folder
    return top or start


def workspace_of(project, env=None):
    """The workspace of a project. In HOME, / or a folder that cannot be written it lies in the data folder."""
    env = os.environ if env is None else env
    if project not in ("/", os.path.realpath(home(env) or "/")):
        inside = os.path.join(project, WORKSPACE)
        if os.access(inside if os.path.isdir(inside) else project, os.W_OK):
            return inside
    return elsewhere(project, env)


def elsewhere(project, env=None):
    """The workspace that a project has in the data folder, where its own folder cannot hold one."""
    data = data_folder(env)
    if not data:
        return os.path.join(project, WORKSPACE)
    import _blake2

    mark = _blake2.blake2b(project.encode("utf-8", "surrogateescape"), digest_size=5).hexdigest()
    name = os.path.basename(project) or "root"
    return os.path.join(data, "projects", name + "-" + mark)


def history_of(workspace, project=None, env=None):
    """The history's file: ORCHESTRATOR_DB_PATH (relative to the project), else where in the project its own
    files want it (the command line keeps that in the workspace), else the workspace's own."""
    env = os.environ if env is None else env
    if env.get("ORCHESTRATOR_DB_PATH"):
        return os.path.abspath(os.path.join(project or "", env["ORCHESTRATOR_DB_PATH"]))
    try:
        kept = inside(project, _text(os.path.join(workspace, HISTORY_PATH), follow=False).split("\n")[0]) if project else None
    except OSError:
        kept = None  # as almost always
    return kept or os.path.join(workspace, HISTORY)


def archive_of(history):
    """The folder of a history's archived transcripts: beside its file, whoever opens it from wherever."""
    return os.path.join(os.path.dirname(os.path.realpath(history)), ARCHIVE)


def inside(project, path):
    """The real place of a path that a project's own file names; None where that leaves the project."""
    if not path or "\0" in path:
        return None
    try:
        top, real = os.path.realpath(project), os.path.realpath(os.path.join(project, path))
    except (OSError, ValueError):
        return None
    return real if top != "/" and real.startswith(top + os.sep) else None


def file_in(project, path, known):
    """A file as rows name it: relative to the project (a real path), by the real names of its folders, also where it is gone;
    one in a worktree, an agent's or another linked one, as that of the project; one outside by its whole path. `known` keeps
    what was found out of folders."""
    folder, name = os.path.split(os.path.normpath(os.path.join(project, path)))
    if folder not in known:
        known[folder] = of_project(project, os.path.realpath(folder))
    full = os.path.join(known[folder], name)
    if os.path.islink(full):
        full = os.path.realpath(full)
    if not (full + os.sep).startswith(project.rstrip(os.sep) + os.sep):
        return full
    name = os.path.relpath(full, project).replace(os.sep, "/")
    if name.startswith(_WORKTREES) and "/" in name[len(_WORKTREES):]:  # also of one that is gone
        name = name[len(_WORKTREES):].partition("/")[2]
    return name


_WORKTREES = ".claude/worktrees/"  # where the client puts those of agents


def of_project(project, folder):
    """The folder that one in a linked worktree, or its top, stands for; any other is itself."""
    for each in _ancestors(folder):
        git = os.path.join(each, ".git")
        if each == project or os.path.isdir(git):
            break
        if os.path.isfile(git):
            main = _main_worktree(git)
            return os.path.normpath(os.path.join(main, os.path.relpath(folder, each))) if main else folder
    return folder


def off(workspace, env=None):
    """Whether nothing is to be recorded: ORCHESTRATOR_OFF=1, or `orchestrator off` in this project."""
    env = os.environ if env is None else env
    return env.get("ORCHESTRATOR_OFF", "") not in ("", "0") or os.path.exists(os.path.join(workspace, "off"))


def variable(name, default=None, env=None):
    """One environment variable, so that nobody else reads the environment."""
    return (os.environ if env is None else env).get(name) or default


def git_index(project):
    """Where git keeps the list of what it tracks, for the repository around a project; "" outside of one."""
    at = project
    while True:
        git = os.path.join(at, ".git")
        if os.path.exists(git):
            return os.path.join(git, "index")
        if at == os.path.dirname(at):
            return ""
        at = os.path.dirname(at)


def environment(**changes):
    """A copy of the environment with changes, for a command of our own."""
    return dict(os.environ, **changes)


def client_folder(env=None):
    """Claude Code's own folder of this user: CLAUDE_CONFIG_DIR, else ~/.claude; "" where there is no home."""
    env = os.environ if env is None else env
    house = home(env)
    return env.get("CLAUDE_CONFIG_DIR") or (os.path.join(house, ".claude") if house else "")
