"""brief: a task's briefing printed for the agent in a workflow. Standard library; runs without the environment.

Usage: brief.py brief TASK [--part N] [--execution-id ID]. Exit codes: 0 printed, 1 there is none, 2 usage. Python 3.9+.
"""

import os
import sys

LONGEST = 28000  # characters: the Bash tool cuts output at 30,000


def text_of(con, workspace, task, execution, session, part=None):
    """The briefing of a task's execution (the latest one when none is named), or where to read a long one; `part`: from 1
    on, a part of it, for an agent that may not read that file (its client was started in a worktree or a subfolder)."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.store import blobs
    from orchestrator.store.workspace import write

    row = con.execute(
        "SELECT execution_id, briefing_hash FROM executions WHERE task_id = ?1 AND briefing_hash IS NOT NULL AND "
        "(?2 IS NULL OR execution_id = ?2) ORDER BY claude_session_id IS ?3 DESC, deployed_at DESC LIMIT 1",
        (task, execution, session)).fetchone()
    if row is None:
        if con.execute("SELECT 1 FROM tasks WHERE task_id = ? LIMIT 1", (task,)).fetchone() is None:
            raise OrchestratorError("NO BRIEFING: there is no task %s here; `orchestrator list-tasks` names them." % task)
        raise OrchestratorError("NO BRIEFING: no execution of a task %s has one; it is made when the task is deployed." % task)
    try:
        text = blobs.get(con, row[1]).decode("utf-8", "replace")
    except KeyError:
        raise OrchestratorError("NO BRIEFING: that of %s was pruned; `orchestrator show %s --context` lists what it held."
                                % (row[0], row[0])) from None
    parts = _parts(text)
    if part is not None:
        if not 1 <= part <= len(parts):
            raise OrchestratorError("there is no part %d; the briefing's last one is %d." % (part, len(parts)))
        return parts[part - 1]
    if len(parts) == 1:
        return parts[0]
    folder = os.path.join(workspace, "briefings")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, row[0] + ".md")
    write(path, text)
    return ("Your briefing has %d characters, too many for this tool. It is the file\n%s\n"
            "Read that file whole with the Read tool now (in parts, by offset, until its last line), then do what it says.\n"
            "Where reading it is refused: `orchestrator brief %s --part 1`, and so on to `--part %d`.\n"
            % (len(text), path, task, len(parts)))


def _parts(text):
    """A text in pieces that the Bash tool does not cut, each of whole lines where those are not too long themselves."""
    text, parts = text if text.endswith("\n") else text + "\n", []
    while text:
        end = len(text) if len(text) <= LONGEST else text.rfind("\n", 0, LONGEST) + 1 or LONGEST
        parts.append(text[:end])
        text = text[end:]
    return parts


def main(words):
    """Runs the command; returns the exit code."""
    from orchestrator import paths
    from orchestrator.errors import OrchestratorError
    from orchestrator.store import open as store
    from orchestrator.store import workspace as place

    given = dict(zip(words[2::2], words[3::2]))
    part = given.get("--part", "1")
    if len(words) < 2 or words[0] != "brief" or words[1].startswith("-") or len(words) != 2 + 2 * len(given) or not (
            set(given) <= {"--part", "--execution-id"} and part.isdigit() and len(part) < 6):
        sys.stderr.write("Usage: orchestrator brief TASK [--part N] [--execution-id ID]\n")
        return 2
    project = paths.project_of()
    workspace = paths.workspace_of(project)
    try:
        if not place.trusted(workspace, paths.data_folder()):
            raise OrchestratorError("NO BRIEFING: the workspace here did not come from you; `orchestrator trust` says more.")
        history = paths.history_of(workspace, project)
        if not os.path.exists(history):
            raise OrchestratorError("NO BRIEFING: nothing has been recorded here.")
        con = store.open_history(history)
        text = text_of(con, workspace, words[1], given.get("--execution-id"),
                       paths.variable("CLAUDE_CODE_SESSION_ID"), int(part) if "--part" in given else None)
    except (OrchestratorError, store.Error, OSError) as problem:
        sys.stderr.write("orchestrator: %s\n" % problem)
        return 1
    return _printed(text)


def _printed(text):
    """Prints the briefing; returns the exit code. A reader who leaves, or is not there, is no fault."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(text)
            sys.stdout.flush()
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(problem, BrokenPipeError):
            sys.stderr.write("orchestrator: the output cannot be written (%s): let it go to another place.\n" % problem.strerror)
            return 1
    return 0


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    sys.exit(main(sys.argv[1:]))
