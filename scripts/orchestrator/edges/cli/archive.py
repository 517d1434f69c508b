"""Commands `archive` and `prune`: transcripts kept for good, and what is large and old let go."""

from typing import Any

import click

from orchestrator.edges.cli import tables
from orchestrator.edges.cli.place import Place, pass_place
from orchestrator.errors import OrchestratorError


def measured(size: int) -> str:
    """A number of bytes for people."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} bytes"


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what it counts."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


@click.command()
@click.option("--main", "conversations", is_flag=True, help="Also the main conversations of sessions that ended.")
@click.option("--all", "everything", is_flag=True, help="Also main conversations, and what is still at work as it is now.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def archive(place: Place, conversations: bool, everything: bool, as_json: bool) -> None:
    """Keeps transcripts of ended agents, masked and compressed, before Claude Code deletes them.

    Commands and session starts do this in passing for what ended more than an hour ago, a little at a time. Claude Code
    deletes transcripts after 30 days; `orchestrator show EXEC --transcript` reads the copy. The archive lies beside the
    history's file. What was not there before is looked for again, and what is gone from the archive or spoilt is kept anew.
    """
    from orchestrator.services import archive as service

    con = place.reading
    place.reconcile(archiving=False)
    emptied = service.emptied(con)
    due = service.agents_due(con) + emptied
    if conversations or everything:
        due += service.conversations_due(con, everything)
    if everything:
        due += service.running(con)
    due = list(dict.fromkeys(due))
    try:
        kept = service.keep(con, due, place.now(), progress=place.progress("archived"))
    except OSError as problem:
        raise OrchestratorError(f"The archive {tables.one_line(service.folder_of(con))} cannot be written "
                                f"({problem.strerror}): what was archived until then is kept.") from problem
    lost = len(set(kept.missing) & set(emptied))  # neither the copy nor what it was made from
    gone = len(kept.missing) - lost
    if as_json:
        body: dict[str, Any] = {
            "transcripts": kept.transcripts, "bytes": kept.read, "archived_bytes": kept.packed, "gone": gone,
            "copies_gone": lost, "masked": kept.masked,
        }  # fmt: skip
        click.echo(tables.dumps(body))
        return
    if kept.transcripts:
        click.echo(f"Archived {counted(kept.transcripts, 'transcript')}: {measured(kept.read)}, "
                   f"{measured(kept.packed)} on the disk.")
    else:
        click.echo(f"Every transcript {'that is there' if due else 'that ended'} is archived.")
    if kept.masked:
        click.echo(f"Masked: {service.said(kept.masked)}.")
    if gone:
        click.echo(f"note: {counted(gone, 'transcript is', 'transcripts are')} not where Claude Code kept "
                   f"{'it' if gone == 1 else 'them'}: deleted, or out of reach from here.", err=True)
    if lost:
        click.echo(f"note: {counted(lost, 'archived transcript is', 'archived transcripts are')} gone or spoilt, the copy "
                   f"in {tables.one_line(service.folder_of(con))}, and Claude Code's own is gone too.", err=True)


@click.command()
@click.option("--keep-days", type=click.IntRange(min=0), required=True, metavar="N", help="What is younger stays.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--shrink", is_flag=True, help="Give the room in the history's file back to the disk, too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_place
def prune(place: Place, keep_days: int, dry_run: bool, shrink: bool, as_json: bool) -> None:
    """Lets go of what is large and was over N days ago: archived transcripts, briefings, prompts, texts of bundles.

    Rows stay: which agents ran, how they ended, their results, tokens, costs and files are known for ever after.
    """
    from orchestrator.services import prune as service

    con = place.reading
    place.reconcile()
    cutoff = con.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?)", (f"-{keep_days} days",)).fetchone()[0]
    found = service.going(con, cutoff) if dry_run else service.prune(con, cutoff)
    if shrink and not dry_run:
        service.shrink(con)
    if as_json:
        click.echo(tables.dumps({
            "dry_run": dry_run, "before": cutoff, "transcripts": found.transcripts, "files": len(found.files),
            "file_bytes": found.file_bytes, "texts": found.blobs, "text_bytes": found.blob_bytes, "prompts": found.prompts,
            "prompt_bytes": found.prompt_bytes,
        }))  # fmt: skip
        return
    verb = "Would go" if dry_run else "Gone"
    click.echo(f"{verb}, over before {tables.when(cutoff)} UTC: {measured(found.bytes)}")
    click.echo(f"  {counted(found.transcripts, 'archived transcript')}, {measured(found.file_bytes)}")
    click.echo(f"  {counted(found.blobs, 'text')} of briefings and bundles, {measured(found.blob_bytes)}")
    click.echo(f"  {counted(found.prompts, 'prompt')} as called, {measured(found.prompt_bytes)}")
    click.echo("Rows stay: who ran, how it ended, results, tokens, costs and files.")
    if found.blobs and not shrink:
        click.echo("The history's file keeps its size and fills again; --shrink gives the room back.")
