"""Generated blocks of references/: the command line's help, the schema, the queries; written by this.

Usage: .venv/bin/python tests/docs.py [--check]. A block stands from <!-- generated: NAME --> to <!-- end -->.
Exit codes: 0 done, or all is fresh; 1 with --check, when a page differs from what would be written.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)

# What a column holds, where the schema's comment is missing or short: wherever it stands, or in one table.
EVERYWHERE = {
    "cost_usd": "what it cost; NULL: no price is known",
    "day": "the day, UTC",
    "seconds": "how long they took together",
    "calls": "how many tool calls",
    "executions": "how many executions",
    "retries": "how many of these were second or later attempts",
    "milliseconds": "how long they took together",
    "unpriced_tokens": "tokens of models without a price",
    "passed": "how many verdicts say that a check passed",
    "not_passed": "how many verdicts say that it failed",
    "output_id": "the output, by its number",
    "owner": "whose: an execution or a Claude session",
    "kind": "whose: execution, session (a main conversation), compaction, or unseen (no transcript, only the client says so)",
    "completed": "how many of these completed",
    "failed": "how many of these failed",
    "sign": "1: to be added; -1: to be taken away",
    "failed_calls": "how many tool calls failed",
    "files_read": "how many files were read",
    "files_written": "how many files were written",
    "lines_added": "how many lines were added",
    "lines_removed": "how many lines were removed",
    "messages": "how many messages, each counted once",
    "refused_calls": "how many tool calls were refused",
    "agent_id": "the live worker, by Claude Code's id",
    "agent_type": "the agent type, as Claude Code names it",
    "at": "when it happened",
    "bundle_id": "the bundle",
    "claude_session_id": "the Claude session, by Claude Code's own id",
    "created_at": "when the row was made",
    "end_reason": "why it ended",
    "ended_at": "when it ended",
    "execution_id": "the execution",
    "final_message": "its last message",
    "how": "how the tokens were counted",
    "item_hash": "the blob of its text, as it was sent",
    "model": "the model",
    "orchestration_id": "the orchestration",
    "parent_agent_id": "the agent that deployed it; NULL: the main conversation did",
    "permission_mode": "Claude Code's permission mode, as it was last seen",
    "prompt_id": "the user's prompt under which it happened, by Claude Code's id",
    "started_at": "when it began",
    "status": "its status",
    "task_id": "the task",
    "tool_use_id": "the tool call, by Claude Code's id",
    "transcript_hash": "the archived transcript, by its content",
    "transcript_path": "where Claude Code keeps its transcript",
    "updated_at": "when it last changed",
    "input_tokens": "tokens that were read anew",
    "cache_write_tokens": "tokens written to the prompt cache",
    "cache_write_5m_tokens": "tokens written to the prompt cache for five minutes",
    "cache_write_1h_tokens": "tokens written to the prompt cache for an hour",
    "cache_read_tokens": "tokens read from the prompt cache",
    "output_tokens": "tokens that were written",
}
SAID = {
    "orchestrations.claude_session_id": "the Claude session that drives it",
    "orchestrations.status": "planning, executing, completed or failed",
    "executions.origin": "planned, planner, unplanned, nested, workflow, skill, teammate, tracker or imported",
    "executions.runtime": "what ran it: agent (the Agent tool), workflow, tracker",
    "executions.orchestration_id": "the orchestration; NULL: unplanned",
    "executions.task_id": "the task; NULL: unplanned, or the planner",
    "executions.tool_use_id": "the Agent or Workflow call, by Claude Code's id",
    "executions.model": "the model asked for",
    "executions.resolved_model": "the model that the client used",
    "executions.context_token_count": "tokens of the briefing",
    "executions.count_how": "how those were counted: tiktoken:cl100k, estimate, given",
    "executions.status": "deployed, completed or failed",
    "executions.end_reason": "end_turn, api_error, max_turns, stopped, refused, never_started, lost, "
    "no_briefing, ended or given",
    "tasks.title": "what it is, in a line",
    "task_dependencies.after_id": "the task it waits for",
    "claude_sessions.pid": "its process, by the number that the system gave it",
    "claude_sessions.process_started": "when that process began, as the system counts it: numbers are given again",
    "claude_sessions.ended_at": "when it ended, as SessionEnd said, or when its process was found gone",
    "claude_sessions.end_reason": "why it ended, as SessionEnd said, or gone",
    "claude_sessions.cwd": "its working directory",
    "claude_sessions.source": "how it began, as SessionStart says: startup, resume, clear, compact",
    "claude_sessions.client_version": "the version of Claude Code",
    "executions.attempt": "which attempt at its task this is, from 1",
    "executions.deployed_at": "when it was asked for",
    "executions.files_read": "how many files it read",
    "executions.files_written": "how many files it wrote",
    "executions.lines_added": "how many lines it added, over all files it wrote: at least, as its transcript shows",
    "executions.lines_removed": "how many lines it removed, over all files it wrote: at least, as its transcript shows",
    "executions.completed_at": "when its latest finished segment ended",
    "executions.error_message": "what went wrong, in words",
    "events.status": "the status that the signal says",
    "events.reason": "the reason that the signal gives",
    "events.event_id": "its number, in the order of arrival",
    "events.dedupe_key": "a hash that tells this fact from all others; the same fact is kept once",
    "counted_messages.message_id": "the message, by the model's own id",
    "counted_messages.owner": "whose usage it was counted in",
    "tool_calls.tool": "the tool's name",
    "tool_calls.refused": "how many of these calls were refused",
    "tool_calls.failed": "how many of these calls failed",
    "file_touches.path": "the file; absolute when it lies outside the project",
    "file_touches.mode": "read or write",
    "file_touches.times": "how often",
    "file_touches.first_at": "when first",
    "file_touches.last_at": "when last",
    "outputs.output_id": "its number",
    "outputs.output_type": "deliverable, validation_result, insight or error",
    "usage.kind": "whose: execution, session (a main conversation), compaction (by a hidden agent, which is no execution), or "
    "unseen (the client says that it used them, no transcript does)",
    "monthly_usage.agent_type": "the agent type, as Claude Code names it; empty: main conversations",
    "monthly_usage.cost_usd": "as far as prices are known",
    "archive.kind": "whose: execution or session (a main conversation)",
    "sessions.scope": "its goal: what the user asked for",
    "blobs.data": "the bytes, packed as codec says",
    "bundles.scope": "what for, in a line",
    "bundles.total_tokens": "the tokens of all its items",
    "bundles.budget": "the most tokens it could have",
    "prepared.tokens": "the tokens of the briefing, results still to come left out",
    "allocations.allocation_id": "its number",
    "allocations.token_count": "the item's tokens",
    "token_counts.hash": "the text, by its content",
    "token_counts.tokens": "its tokens",
    "agent_executions.model": "the model that the client used, or else the one asked for",
    "task_states.state": "waiting, ready, in_flight, completed, failed, skipped or lost",
}


def schema_text():
    """The schema as it is shipped."""
    return (ROOT / "assets/execution_db.schema.sql").read_text(encoding="utf-8")


def comments():
    """{(table, column): comment} and {(table, None): comment} as the schema file says them."""
    found, table = {}, None
    for line in schema_text().splitlines():
        code, _, comment = line.partition("--")
        begun = re.match(r"CREATE (?:TABLE|VIEW) (\w+)", code)
        if begun:
            table = begun[1]
            if comment.strip():
                found[table, None] = comment.strip()
        elif re.match(r"[)]|CREATE|;", code):
            table = None
        elif table and comment.strip():
            for name in re.findall(r"(?:^|,)\s*(\w+) (?:TEXT|INTEGER|REAL|BLOB)", code):
                found[table, name] = comment.strip()
    return found


def described():
    """[(table, kind, comment, [(column, type, words or None)])] of every table and view, in order."""
    import sqlite3

    con = sqlite3.connect(":memory:")
    con.executescript(schema_text())
    said, out = comments(), []
    for kind, table in con.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE "
        "'sqlite_%' ORDER BY rowid"
    ):
        columns = []
        for _, column, declared, _, _, primary in con.execute("PRAGMA table_info(%s)" % table):
            words = SAID.get("%s.%s" % (table, column)) or said.get((table, column))
            declared = "" if kind == "view" else declared + (", key" if primary else "")
            columns.append((column, declared, words or inherited(said, table, column, kind)))
        out.append((table, kind, sentence(said.get((table, None)) or VIEWS.get(table) or ""), columns))
    return out


VIEWS = {
    "sessions": "Orchestrations under seed 002's name for them, with its columns",
    "agent_executions": "Executions under seed 002's name for them, with its columns",
    "context_allocations": "Allocations under seed 002's name for them, with its columns",
}
OTHER_NAMES = {
    "session_id": ("orchestrations", "orchestration_id"),
    "scope": ("executions", "scope"),
    "phase": ("orchestrations", "phase"),
    "metadata": ("orchestrations", "metadata"),
    "included_in_deployment": ("allocations", "included"),
}
SHOWN = ("executions", "allocations", "tasks", "orchestrations")
OF = {"sessions": "orchestrations", "task_states": "tasks", "context_allocations": "allocations",
      "agent_executions": "executions", "lost_executions": "executions"}  # a view's own, looked at first


def inherited(said, view, column, kind):
    """What a column holds elsewhere: a view shows other tables' columns, some mean the same everywhere."""
    if kind == "view":
        own = [(OF[view], column)] if view in OF else []
        others = [] if own and column in EVERYWHERE else [(table, column) for table in SHOWN]
        for place in [*own, OTHER_NAMES.get(column), *others]:
            found = place and (SAID.get("%s.%s" % place) or said.get(place))
            if found:
                return found
    return EVERYWHERE.get(column)


def sentence(words):
    """A comment as a sentence."""
    return words[:1].upper() + words[1:].rstrip(".") + "." if words else ""


def schema():
    """The block `schema`: every table and view with its columns."""
    lines = []
    for table, kind, comment, columns in described():
        lines += [
            "### %s%s" % (table, " (view)" if kind == "view" else ""),
            "",
            comment,
            "",
            "| column | type | what it holds |",
            "| --- | --- | --- |",
        ]
        lines += [
            "| `%s` | %s | %s |" % (name, declared, (words or "").replace("|", "\\|"))
            for name, declared, words in columns
        ]
        lines.append("")
    return "\n".join(lines)


def named_queries():
    """[(heading, name, question, statement)] of assets/queries.sql."""
    found, heading, name, question, statement = [], "", None, "", []
    for line in (ROOT / "assets/queries.sql").read_text(encoding="utf-8").splitlines():
        if line.startswith("-- == "):
            heading = line[6:]
        elif re.match(r"-- \w+: ", line):
            name, _, question = line[3:].partition(": ")
            statement = []
        elif name and line.strip():
            statement.append(line)
            if line.rstrip().endswith(";"):
                found.append((heading, name, question, "\n".join(statement)))
                name = None
    return found


def queries():
    """The block `queries`: each question with its statement."""
    lines, last = [], None
    for heading, _, question, statement in named_queries():
        if heading != last:
            lines += ["### " + heading, ""]
            last = heading
        lines += [question, "", "```sql", statement, "```", ""]
    return "\n".join(lines)


def missing_modules():
    """{verb: module} of the verbs whose file does not exist."""
    from orchestrator.edges import cli

    return {
        verb: module
        for verb, module in cli.VERBS.items()
        if importlib.util.find_spec("orchestrator.edges.cli." + module) is None
    }


def commands():
    """(path of words, command, context) of every command there is, groups before what is in them."""
    import click

    from orchestrator.edges import cli

    def walk(command, words, parent):
        settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
        context = click.Context(command, info_name=words[-1], parent=parent, **settings)
        yield words, command, context
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                if len(words) == 1 and name in missing:
                    continue
                inner = command.get_command(context, name)
                if not inner.hidden:
                    yield from walk(inner, [*words, name], context)

    missing = missing_modules()
    return walk(cli.main, ["orchestrator"], None)


def help_of(command, context):
    """A command's help, as --help prints it; the main group's without the modules that are still missing."""
    missing = missing_modules()
    if context.parent is None and missing:
        import click

        whole = command
        command = click.Group(
            whole.name, params=whole.params, help=whole.help, context_settings=whole.context_settings
        )
        for name in whole.list_commands(context):
            if name not in missing:
                command.add_command(whole.get_command(context, name), name)
        settings = {**whole.context_settings, "terminal_width": 100, "max_content_width": 100}
        context = click.Context(command, info_name="orchestrator", **settings)
    return command.get_help(context)


def cli():
    """The block `cli`: the help of every command."""
    lines = []
    for words, command, context in commands():
        lines += [
            "%s %s" % ("#" * min(len(words) + 1, 4), " ".join(words)),
            "",
            "```",
            re.sub(r"[ \t]+$", "", help_of(command, context), flags=re.MULTILINE),
            "```",
            "",
        ]
    return "\n".join(lines)


def settings():
    """The block `settings`: every setting by each of its names."""
    import settings_page

    return settings_page.table()


GENERATORS = {"cli": cli, "schema": schema, "queries": queries, "settings": settings}


def fresh(text):
    """A page's text with its generated blocks made anew."""
    return BLOCK.sub(
        lambda block: block[1] + "\n" + GENERATORS[block[2]]().strip("\n") + "\n\n" + block[3], text
    )


def pages():
    """The pages that have generated blocks."""
    return [
        path
        for path in sorted((ROOT / "references").glob("*.md"))
        if BLOCK.search(path.read_text(encoding="utf-8"))
    ]


def main(words):
    """Writes the pages, or with --check names those that are not fresh."""
    stale = [
        path
        for path in pages()
        if fresh(path.read_text(encoding="utf-8")) != path.read_text(encoding="utf-8")
    ]
    for path in stale:
        print("%s %s" % ("not fresh:" if words else "written:", os.path.relpath(path, ROOT)))
        if not words:
            path.write_text(fresh(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 1 if words and stale else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "scripts"))
    sys.exit(main(sys.argv[1:]))
