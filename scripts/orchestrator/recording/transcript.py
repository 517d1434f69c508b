"""An agent's transcript on disk: where it lies, what its meta file says, what it ends with, what it used."""

import os

from orchestrator.paths import readable, regular
from orchestrator.recording.payload import masked, members, mend

_TAIL = 262144  # bytes at a transcript's end
_LONG = 8_000_000  # the same where those say nothing: a picture that was read is a line of more than that
INTERRUPTED = "[Request interrupted by user"  # so a transcript ends that was broken off, whoever wanted it
_JOURNAL = 16_000_000  # characters of a workflow's journal that are read


def folder_of(main_transcript):
    """The folder of a Claude session's subagents."""
    return os.path.join(main_transcript[:-6] if main_transcript.endswith(".jsonl") else main_transcript, "subagents")


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _elsewhere(path):
    """The same place under the client's folders for other working folders: one that enters a worktree takes its session along
    (2.1.329), or writes what its agents do from then on there (2.1.197)."""
    before, _, after = path.rpartition("/projects/")
    here, _, within = after.partition("/")
    if not before or not within:
        return
    for name in _names(before + "/projects"):
        if name != here:
            yield "%s/projects/%s/%s" % (before, name, within)


def _folders(main_transcript):
    """The folders of a Claude session's subagents: the one beside its main transcript, then those that are elsewhere."""
    if main_transcript:
        folder = folder_of(main_transcript)
        yield folder
        for other in _elsewhere(folder):
            if os.path.isdir(other):
                yield other


def path_of(main_transcript, agent):
    """The transcript of an agent, also of one in a workflow; None when it is not there."""
    name = "agent-%s.jsonl" % agent
    if not main_transcript or not agent or "/" in agent or agent.startswith("."):
        return None
    for folder in _folders(main_transcript):
        direct = os.path.join(folder, name)
        if os.path.exists(direct):
            return direct
        for run in _names(os.path.join(folder, "workflows")):
            found = os.path.join(folder, "workflows", run, name)
            if os.path.exists(found):
                return found
    return None


def main_of(con, session):
    """The main transcript of a Claude session, as its row has it; where it has gone elsewhere, the row is told. None for none."""
    row = con.execute("SELECT transcript_path FROM claude_sessions WHERE claude_session_id = ?", (session,)).fetchone()
    if row is None or not row[0] or os.path.exists(row[0]):
        return row[0] if row else None
    for path in _elsewhere(row[0]):
        if os.path.exists(path):
            moved(con, session, row[0], path)
            return path
    return row[0]


def moved(con, session, before, path):
    """The main transcript of a Claude session has another place: its row says so, and those of its agents whose transcripts
    went along."""
    con.execute("UPDATE claude_sessions SET transcript_path = ?, usage_offset = CASE WHEN ? THEN 0 ELSE usage_offset END WHERE "
                "claude_session_id = ?", (path, bool(before) and os.path.exists(before), session))  # another file: ids tell
    folder, there = before and folder_of(before), folder_of(path)
    for execution, its in con.execute("SELECT execution_id, transcript_path FROM executions WHERE claude_session_id = ? AND "
                                      "transcript_path IS NOT NULL", (session,)).fetchall() if folder else ():
        new = there + its[len(folder):]
        if its.startswith(folder + "/") and not os.path.exists(its) and os.path.exists(new):
            con.execute("UPDATE executions SET transcript_path = ? WHERE execution_id = ?", (new, execution))


def _having(folder, its):
    """The names in a folder below which a file lies. There may be thousands, and hardly one is it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return [name for name in os.listdir(handle) if name[-6:] != ".jsonl" and os.access(name + its, os.F_OK, dir_fd=handle)]
    finally:
        os.close(handle)


def parts(con, path):
    """The files that an agent's transcript is in, the earliest first. There are several where the client went on with it
    elsewhere: after /clear in the new conversation's folder, after it entered a worktree in that one's."""
    found, left = [], [path]
    while left:
        each = left.pop()
        found.append(each)
        session, _, within = each.rpartition("/subagents/")
        folder = os.path.dirname(session)
        if session and within:
            its = "/subagents/" + within
            others = ["%s/%s%s" % (folder, name, its) for name in _having(folder, its)]
            left += [other for other in (*others, *_elsewhere(each)) if other not in found + left and os.access(other, os.F_OK)]
    return found if len(found) == 1 else sorted(found, key=lambda each: began(con, each) or ("",))


class Meta:
    """What an agent's files on disk say of it. `call` is None for an agent that no Agent call began; `run` is the folder
    of its workflow's run; `stopped`: its session was ended over it; `mate`: a teammate's name and team."""

    __slots__ = ("path", "call", "agent_type", "description", "parent", "nested", "stopped", "run", "mate")


def _about(con, path):
    """What stands in the meta file beside an agent's transcript; None where there is none."""
    try:
        return members(con, mend(regular(path[:-6] + ".meta.json", 65536).decode("utf-8", "replace")))
    except OSError:
        return None


def meta(con, main_transcript, agent):
    """The Meta of an agent, or None while its meta file is not there."""
    path = path_of(main_transcript, agent) if agent else None
    if not path:
        return None
    words = _about(con, path)
    if "toolUseId" not in (words or ()):  # 2.1.197 has it only where the transcript begins; where it goes on, nothing or less
        for piece in parts(con, path):
            about = _about(con, piece)
            if about and ("toolUseId" in about or not words):
                path, words = piece, about
                if "toolUseId" in words:
                    break
    if not words:
        return None  # half written

    def word(name):
        value, kind = words.get(name, (None, None))
        return value or None if kind == "text" else None

    found = Meta()
    found.path, found.call, found.agent_type, found.description = path, word("toolUseId"), word("agentType"), word("description")
    found.parent, found.stopped = word("parentAgentId"), words.get("stoppedByUser", (None, None))[1] == "true"
    depth, kind = words.get("spawnDepth", (None, None))
    found.nested = found.parent is not None or kind == "integer" and depth > 1
    found.mate = None
    if (word("taskKind") or "").endswith("teammate"):
        found.mate = word("name") and word("teamName") and "%s@%s" % (word("name"), word("teamName"))
    if found.mate:
        found.agent_type = word("spawnedAgentType")  # what it says for its type is its name
    found.agent_type = masked(found.agent_type)
    folder = os.path.dirname(path)
    found.run = os.path.basename(folder) if os.path.basename(os.path.dirname(folder)) == "workflows" else None
    return found


def call_of(con, main_transcript, agent):
    """The tool-use id of the Agent call an agent came from, as its meta file says; None when there is none."""
    found = meta(con, main_transcript, agent)
    return found.call if found else None


def _last_lines(path, most=_TAIL):
    """The lines at a file's end; None when it cannot be read."""
    try:
        with readable(path, "rb") as f:
            f.seek(0, os.SEEK_END)
            size = f.tell()
            f.seek(max(0, size - most))
            lines = mend(f.read().decode("utf-8", "replace")).split("\n")
    except OSError:
        return None
    return lines[1:] if size > most else lines


def interrupted(con, path):
    """Whether the user broke off a turn and has typed nothing since, by the end of the main conversation's transcript."""
    for line in reversed(_last_lines(path) or ()):
        if INTERRUPTED in line or '"human"' in line:
            kind, text = con.execute(
                "SELECT json_extract(l, '$.origin.kind'), json_extract(l, "
                "'$.message.content[0].text') FROM (SELECT CASE WHEN "
                "json_valid(?1) THEN ?1 ELSE '{}' END AS l) WHERE json_extract(l, '$.type') = 'user'",
                (line,)).fetchone() or (None, None)
            if isinstance(text, str) and text.startswith(INTERRUPTED):
                return True
            if kind == "human":
                return False
    return False


def waiting(con, path, since):
    """The agents whose task-notifications wait in the client's queue: each will surely begin a turn, or join one.

    The main transcript tells what enters the queue and, without saying which and a moment late, what leaves it. `since` is
    when the client's process was first seen: what waited in an earlier one is gone.
    """
    queue = []
    for line in _last_lines(path) or ():
        if '"queue-operation"' in line:
            operation, content, at = con.execute(
                "SELECT json_extract(l, '$.operation'), json_extract(l, '$.content'), json_extract(l, '$.timestamp') FROM "
                "(SELECT CASE WHEN json_valid(?1) THEN ?1 ELSE '{}' END AS l)", (line,)).fetchone()
            if operation == "enqueue":
                queue.append(content if isinstance(content, str) and str(at) >= since else "")
            elif operation in ("dequeue", "remove"):
                queue = queue[1:]
            else:
                queue = []
    return [told.partition("<task-id>")[2].partition("</task-id>")[0] for told in queue
            if told.lstrip().startswith("<task-notification>")]


def ends_with(con, path, words):
    """Whether these are the last words in a transcript: then everything before them is written too."""
    lines = _last_lines(path) or []
    return bool(words) and (last_text(con, lines) or "").strip() == words.strip()


class Tail:
    """A transcript's end. `how`: end_turn, unfinished, stopped or api_error; `text`: the last words of the agent's own, `error`
    those of an API failure; `model` where it is sure; `at`: when the last line was written."""

    __slots__ = ("how", "text", "error", "model", "at")


def tail(con, path, until=None, since=None):
    """The Tail of a transcript, or of what was written `until` then, with words said `since` then; None when it cannot be read,
    or says nothing."""
    found = None
    for part in reversed(parts(con, path)):
        end = _tail(con, _last_lines(part) or (), until, since)
        if not (end and end.text) and os.path.exists(part) and os.path.getsize(part) > _TAIL:
            end = _tail(con, _last_lines(part, _LONG) or (), until, since)
        if found and end:
            found.text = end.text  # its last words stand before what it did last
        found = found or end
        if found and found.text:
            break
    return found


def _tail(con, lines, until, since):
    for n in range(len(lines) - 1, -1, -1):
        line = lines[n]
        if '"user"' not in line and '"assistant"' not in line:
            continue
        kind, reason, error, model, over, at, first = con.execute(
            "SELECT json_extract(l, '$.type'), json_extract(l, '$.message.stop_reason'), json_extract(l, '$.isApiErrorMessage'), "
            "json_extract(l, '$.message.model'), json_extract(l, '$.toolEndsTurn'), json_extract(l, '$.timestamp'), "
            "json_extract(l, '$.message.content[0].text') FROM (SELECT CASE WHEN json_valid(?1) THEN ?1 ELSE '{}' END AS l)",
            (line,)).fetchone()
        if kind not in ("user", "assistant") or until and isinstance(at, str) and at > until:
            continue
        found = Tail()
        found.text, found.error, found.model = last_text(con, lines[:n + 1], since=since), None, None
        found.at = at if isinstance(at, str) and len(at) == 24 and at.endswith("Z") else None
        if kind == "user":  # a workflow's agent may end with the call that hands over its result
            found.how = "end_turn" if over == 1 else "unfinished"
            if isinstance(first, str) and first.startswith(INTERRUPTED):
                found.how = "stopped"
        elif error:
            found.how, found.error = "api_error", last_text(con, [line], True)
        else:
            found.how = "unfinished" if reason == "tool_use" else "end_turn"
            found.model = masked(model) if isinstance(model, str) else None
        return found
    return None


def last_text(con, lines, error=False, since=""):
    """The last text an assistant wrote in these lines, or `since` then, or None; what the client wrote of an API failure is none,
    unless that is asked for (`error`)."""
    for line in reversed(lines):
        if '"assistant"' not in line:
            continue
        rows = con.execute(
            "SELECT json_extract(value, '$.text') FROM json_each(CASE WHEN json_valid(?1) THEN ?1 ELSE '{}' END, "
            "'$.message.content') WHERE CASE WHEN json_valid(?1) THEN json_extract(?1, '$.type') END = 'assistant' "
            "AND (?2 OR json_extract(?1, '$.isApiErrorMessage') IS NOT 1) "
            "AND CASE type WHEN 'object' THEN json_extract(value, '$.type') END = 'text' AND COALESCE(json_extract(?1, "
            "'$.timestamp'), '~') >= ?3", (line, error, since or "")).fetchall()
        texts = [r[0] for r in rows if isinstance(r[0], str)]
        if texts:
            return "\n".join(texts)
    return None


def on_disk(main_transcript):
    """The ids of the agents that a Claude session's folder has transcripts of, those of its workflows too."""
    found = {}  # in this order, each once
    for place in [*_folders(main_transcript), *runs_on_disk(main_transcript)]:
        found.update((n[6:-6], None) for n in _names(place) if n.startswith("agent-") and n.endswith(".jsonl"))
    return list(found)


def runs_on_disk(main_transcript):
    """The folders of a Claude session's workflows."""
    places = [os.path.join(folder, "workflows") for folder in _folders(main_transcript)]
    return [os.path.join(place, name) for place in places for name in sorted(_names(place))]


def journal(con, folder):
    """(agent, how, result) of what a workflow's journal says ended: how is result or failed; a result that is no text is
    given as JSON."""
    try:
        with readable(os.path.join(folder, "journal.jsonl"), encoding="utf-8", errors="replace") as f:
            lines = mend(f.read(_JOURNAL)).split("\n")
    except OSError:
        return []
    found = []
    for line in lines:
        if '"result"' in line or '"failed"' in line:
            row = con.execute(
                "SELECT json_extract(l, '$.agentId'), json_extract(l, '$.type'), json_extract(l, '$.result') FROM (SELECT CASE "
                "WHEN json_valid(?1) THEN ?1 ELSE '{}' END AS l) WHERE json_extract(l, '$.type') IN ('result', 'failed')",
                (line,)).fetchone()
            if row and isinstance(row[0], str) and row[0]:
                found.append((row[0], row[1], None if row[2] is None else str(row[2])))
    return found


def began(con, path):
    """(when, prompt id) of a transcript's first line; None where it tells none."""
    try:
        with readable(path, encoding="utf-8", errors="replace") as f:
            line = mend(f.readline(_TAIL))
    except OSError:
        return None
    at, prompt = con.execute(
        "SELECT json_extract(l, '$.timestamp'), json_extract(l, '$.promptId') FROM (SELECT CASE WHEN json_valid(?1) THEN ?1 "
        "ELSE '{}' END AS l)", (line,)).fetchone()
    return (at, prompt if isinstance(prompt, str) else None) if isinstance(at, str) and len(at) == 24 else None


def first_prompts(con, path):
    """(the texts a conversation begins with, whether it was answered yet). 329 tells a workflow's agent what the user asked
    for, where somebody sits at the terminal, before it tells what the script wants."""
    found = []
    try:
        with readable(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                kind, text = con.execute(
                    "SELECT json_extract(l, '$.type'), CASE WHEN json_extract(l, '$.type') = 'user' THEN json_extract(l, "
                    "'$.message.content') END FROM (SELECT CASE WHEN json_valid(?1) THEN ?1 ELSE '{}' END AS l)",
                    (mend(line),)).fetchone()
                if kind == "assistant":
                    return found, True
                if isinstance(text, str) and text:
                    found.append(text)
    except OSError:
        pass
    return found, False
