"""Archive and prune: transcripts kept, masked and found again; what is large and old let go, rows kept."""

import errno
import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.edges import brief
from orchestrator.edges.cli import main
from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import content_hash
from orchestrator.services import archive, details, prune, transcripts, unarchived
from orchestrator.store import blobs, workspace
from orchestrator.store.open import open_history

DATA = Path(__file__).parent.parent / "data" / "transcripts" / "2.1.329"
OLD, NEW, NOW = "2026-09-01T08:00:00.000Z", "2026-11-20T08:00:00.000Z", "2026-11-21T08:00:00.000Z"
CUTOFF = "2026-11-01T00:00:00.000Z"
SECRET = "sk-ant-api03-" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5bC7dE9fG1hJ3kL5mN7pQ9rS1tU3vW5xY7zA9bC1dE3fG5hJ7kL9mN" + "AA"


class Place:
    """A workspace with a history, and executions whose transcripts lie beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.workspace = str(folder / ".orchestrator")
        os.mkdir(self.workspace)
        self.con = open_history(os.path.join(self.workspace, "history.db"))
        self.con.execute("INSERT INTO claude_sessions (claude_session_id, started_at) VALUES ('s', ?)", (OLD,))

    def execution(self, name, ended=OLD, transcript="worker", text=None, status="completed"):
        """An execution that ended, its transcript read."""
        path = self.folder / (name + ".jsonl")
        path.write_text(text if text is not None else (DATA / (transcript + ".jsonl")).read_text())
        self.con.execute(
            "INSERT INTO executions (execution_id, origin, agent_type, agent_id, claude_session_id, deployed_at, completed_at, "
            "status, transcript_path, usage_read_at, final_message) VALUES (?1, 'unplanned', 'scout', ?1, 's', ?2, ?2, ?3, ?4, "
            "?2, 'its last words')",
            (name, ended, status, str(path)),
        )
        return path

    def keep(self, **options):
        """Keeps what is due."""
        return archive.keep(self.con, archive.agents_due(self.con), NOW, **options)

    def text(self, name):
        """The transcript, as a command reads it."""
        return "".join(archive.transcript_of(self.con, name))

    def files(self):
        """The files of the archive."""
        return sorted(Path(self.workspace, "archive").glob("*")) if os.path.isdir(self.workspace + "/archive") else []

    def value(self, sql, *values):
        """The one value of a query."""
        return self.con.execute(sql, values).fetchone()[0]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty workspace, and a client without settings."""
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "client"))
    place = Place(tmp_path)
    yield place
    place.con.close()


def test_a_transcript_outlives_the_clients_own(place):
    """A kept transcript is read back line for line when Claude Code has deleted its file."""
    path = place.execution("e")
    before = path.read_text()
    kept = place.keep()
    path.unlink()
    assert place.text("e") == before
    assert (kept.transcripts, kept.read) == (1, len(before.encode()))
    assert kept.packed < kept.read / 2
    row = place.con.execute("SELECT hash, lines, size, packed FROM archive").fetchone()
    assert row == (content_hash(before.encode()), before.count("\n"), kept.read, kept.packed)
    assert place.value("SELECT transcript_hash FROM executions") == row[0]


def test_the_archive_is_gzip_for_this_user_only(place):
    """Any tool opens a kept transcript, and nobody else on the machine does."""
    path = place.execution("e")
    place.keep()
    (file,) = place.files()
    assert gzip.decompress(file.read_bytes()) == path.read_bytes()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert file.name == content_hash(path.read_bytes())[3:] + ".jsonl.gz"


def test_equal_transcripts_are_kept_once(place):
    """Files are named by their content."""
    place.execution("e1")
    place.execution("e2")
    assert place.keep().transcripts == 2
    assert len(place.files()) == 1
    assert place.keep().transcripts == 0


def test_secrets_are_masked_before_they_are_kept(place):
    """Each line is redacted first; what was masked is said, not kept; the lines stay JSON."""
    lines = [{"type": "user", "message": {"content": words}} for words in ("line one\n%s\nand on" % SECRET, "x")]
    path = place.execution("e", text="".join(json.dumps(line) + "\n" for line in lines))
    assert place.keep().masked == {"anthropic-key": 1}
    assert place.value("SELECT masked FROM archive") == "anthropic-key 1"
    stored = gzip.decompress(place.files()[0].read_bytes()).decode()
    assert SECRET not in stored and len([json.loads(line) for line in stored.splitlines()]) == 2
    path.unlink()
    assert "[masked:anthropic-key]" in place.text("e")


def test_a_transcript_not_yet_kept_is_masked_when_shown(place):
    """Reading from the client's own file masks the same."""
    place.execution("e", text=json.dumps({"type": "user", "message": {"content": SECRET}}) + "\n")
    assert SECRET not in place.text("e")


def test_one_that_was_deleted_first_is_said_to_be_gone(place):
    """It is told as missing, and asking for it is answered with a sentence."""
    path = place.execution("e")
    path.unlink()
    assert place.keep().missing == [("execution", "e", str(path))]
    with pytest.raises(OrchestratorError, match="is gone"):
        place.text("e")
    with pytest.raises(OrchestratorError, match="There is no execution"):
        place.text("x")


@pytest.mark.parametrize(
    "days, ours, kept", [(None, None, 1), (3, None, 3), (90, None, 1), (90, 3, 3), ("x", None, 1), (1e999, 0, 3)]
)
def test_more_is_kept_when_a_transcript_is_about_to_be_deleted(place, monkeypatch, days, ours, kept):
    """After two thirds of the days that Claude Code keeps transcripts, by the user's or the project's settings, eight times as
    much is kept in passing."""
    monkeypatch.setattr(archive, "PIECE", 10_000)
    for folder, value in (("client", days), (".claude", ours)):
        (place.folder / folder).mkdir()
        text = "1e999" if value == 1e999 else json.dumps(value)
        if value is not None:
            (place.folder / folder / "settings.json").write_text('{"cleanupPeriodDays": %s}' % text)
    for number in range(3):
        place.execution("e%d" % number, ended="2026-11-18T08:00:00.000Z", text="%d\n" % number * 8_000)
    archive.in_passing(place.con, str(place.folder), NOW)
    assert place.value("SELECT count(*) FROM archive") == kept


def later(place, days=0, hours=0):
    """What is kept in passing some time after NOW, and whether anything was to be looked for."""
    now = place.value("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ?, ?)", NOW, "+%d hours" % (24 * days + hours))
    looked = unarchived.waiting(place.con, now)
    archive.in_passing(place.con, str(place.folder), now)
    return looked, [row[0] for row in place.con.execute("SELECT owner FROM archive ORDER BY 1")]


def test_what_was_out_of_reach_once_is_kept_later(place):
    """A transcript that was not there is kept as soon as it is, when the archive is asked for; in passing it is looked for
    again after a day, and not at every command before."""
    path = place.execution("e")
    text = path.read_text()
    path.unlink()
    place.execution("gone", ended=NEW).unlink()
    assert later(place) == (True, [])
    path.write_text(text)
    assert later(place, hours=1) == (False, [])
    assert later(place, hours=25) == (True, ["e"])
    other = place.execution("f", ended=NEW, text="other\n")
    other.unlink()
    assert len(place.keep().missing) == 2
    other.write_text("other\n")
    assert place.keep().transcripts == 1


def test_a_folder_that_is_there_again_is_looked_into_at_once(place):
    """Where the client's folder was not there, as in a container that does not mount it, the first command that finds it
    keeps what is in it."""
    path = place.execution("e")
    away, there = place.folder / "away", place.folder / "client"
    (away / "projects").mkdir(parents=True)
    path.rename(away / "projects" / "e.jsonl")
    place.con.execute("UPDATE executions SET transcript_path = ?", (str(there / "projects" / "e.jsonl"),))
    assert [later(place, hours=hours) for hours in (0, 1)] == [(True, []), (False, [])]
    away.rename(there)
    assert later(place, hours=2) == (True, ["e"])


def test_what_is_gone_does_not_stand_in_the_way(place, monkeypatch):
    """However many are gone, newer transcripts are kept, and each is looked for once in a round; those that ended together
    are all looked for."""
    monkeypatch.setattr(archive, "LOOKS", 3)
    for number in range(7):
        place.execution("gone%d" % number, ended="2026-09-0%dT08:00:00.000Z" % (1 + number // 2)).unlink()
    place.execution("e", ended=NEW)
    found = [later(place, hours=hours) for hours in range(6)]
    assert found[-1] == (False, ["e"])
    assert [looked for looked, _ in found].count(True) <= 5
    assert "executions_unarchived" in str(place.con.execute("EXPLAIN QUERY PLAN " + unarchived._WAITING, (NOW, "")).fetchall())


def test_one_that_may_not_be_read_stops_no_other(place):
    """A transcript that this user may not open, or that is a folder or a pipe, counts as missing; the next is kept. Asking
    for such a one is answered with a sentence."""
    path, pipe = place.execution("e", ended=OLD), place.execution("p", ended=OLD)
    path.unlink()
    path.mkdir()
    pipe.unlink()
    os.mkfifo(pipe)
    place.execution("f", ended=NEW)
    assert later(place) == (True, ["f"])
    assert later(place, hours=1) == (False, ["f"])
    for name in ("e", "p"):
        with pytest.raises(OrchestratorError, match="is gone"):
            place.text(name)


def test_what_went_from_the_archive_is_told_and_kept_again(place):
    """Files that are not in the archive any more are found, kept again where Claude Code still has the transcript, and are
    not counted as kept."""
    first, second = place.execution("e1", text="one\n"), place.execution("e2", text="two\n")
    place.keep()
    assert archive.emptied(place.con) == []
    shutil.rmtree(place.workspace + "/archive")
    second.unlink()
    sizes = {each.what: each for each in prune.sizes(place.con, place.workspace, place.workspace + "/history.db")}
    assert (sizes["archive (transcripts)"].number, sizes["archive (transcripts)"].bytes) == (0, 0)
    assert sizes[prune.MISSING].number == 2
    kept = archive.keep(place.con, archive.emptied(place.con), NOW)
    assert (kept.transcripts, [owner for _, owner, _ in kept.missing]) == (1, ["e2"])
    assert place.text("e1") == "one\n" == first.read_text()
    assert [owner for _, owner, _ in archive.emptied(place.con)] == ["e2"]


@pytest.mark.parametrize("harm", ["cut", "zeros", "not gzip", "empty", "in the middle"])
def test_a_spoilt_copy_is_told_and_made_anew(place, harm):
    """A copy that was cut short, that a power failure left empty, or that is something else is no empty transcript: it is told
    as spoilt, by doctor and where it is asked for, and made anew while Claude Code's own file is there."""
    path = place.execution("e")
    place.keep()
    (file,) = place.files()
    whole = file.read_bytes()
    harms = {"cut": whole[:30], "zeros": bytes(len(whole)), "not gzip": b"words", "empty": b"",
             "in the middle": whole[:99] + b"abcdefg" + whole[106:]}  # fmt: skip
    file.write_bytes(harms[harm])
    assert place.text("e") == path.read_text()
    away = path.rename(place.folder / "away")
    with pytest.raises(OrchestratorError, match="is spoilt"):
        place.text("e")
    if harm == "in the middle":  # it shows only when it is read
        return
    sizes = {each.what: each.number for each in prune.sizes(place.con, place.workspace, place.workspace + "/history.db")}
    assert (sizes["archive (transcripts)"], sizes[prune.SPOILT], prune.MISSING in sizes) == (0, 1, False)
    assert archive.keep(place.con, archive.emptied(place.con), NOW).missing == [("execution", "e", str(path))]
    away.rename(path)
    assert archive.keep(place.con, archive.emptied(place.con), NOW).transcripts == 1
    assert archive.emptied(place.con) == []
    path.unlink()
    assert "".join(place.text("e")) == (DATA / "worker.jsonl").read_text()


def test_a_copy_is_on_the_disk_before_it_has_its_name(place, monkeypatch):
    """Its content is flushed before it takes the name that rows know it by."""
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, name=name, real=real: (done.append(name), real(*given))[1])
    place.execution("e")
    place.keep()
    assert done == ["fsync", "replace"]


@pytest.mark.parametrize("beside", ["", "other.db", "history.db.corrupt-2026-11-20T080000.000Z", "history.db.bak"])
def test_files_that_no_row_names_are_told_and_pruned(place, beside):
    """What lies in the archive and no row names is counted, and goes when it is old, unless another history lies beside this
    one, also one that was set aside, as its own search index is not; other files, and folders, stay."""
    Path(place.workspace, "history.db-search").write_bytes(b"SQLite format 3\0")
    place.execution("e", ended=NEW)
    place.keep()
    folder = Path(place.workspace, "archive")
    for name, age in (("0" * 32 + ".jsonl.gz", 90 * 86400), ("1" * 32 + ".jsonl.gz", 60), ("mine.txt", 90 * 86400)):
        (folder / name).write_text("x")
        at = place.value("SELECT strftime('%s', ?)", CUTOFF)
        os.utime(folder / name, (int(at) - age, int(at) - age) if age > 60 else None)
    if beside:
        open_history(os.path.join(place.workspace, beside)).close()
    (folder / ("2" * 32 + ".jsonl.gz")).mkdir()
    sizes = {each.what: each.number for each in prune.sizes(place.con, place.workspace, place.workspace + "/history.db")}
    assert sizes.get("files in the archive that no row names") == (None if beside else 2)
    prune.prune(place.con, CUTOFF)
    assert len(list(folder.iterdir())) == (5 if beside else 4) and (folder / "mine.txt").exists()
    assert place.text("e")


def test_a_folder_in_the_place_of_a_kept_transcript(place):
    """It is passed over, and the others are kept."""
    for name in ("e", "f"):
        place.execution(name)
    place.keep()
    before = place.value("SELECT hash FROM archive WHERE owner = 'e'")
    path = archive.path_of(archive.folder_of(place.con), before)
    os.unlink(path)
    os.mkdir(path)
    place.con.execute("DELETE FROM archive")
    place.con.execute("UPDATE executions SET transcript_hash = NULL")
    kept = place.keep()
    assert os.path.isdir(path) and [owner for _, owner, _ in kept.missing] and kept.transcripts + len(kept.missing) == 2


def test_no_row_names_what_another_process_let_go_of_just_then(place, monkeypatch):
    """A copy whose content another lets go of between its writing and its row stays due; and what a row came to name meanwhile
    is not removed."""
    place.execution("e")
    pack, others = archive.pack, []

    def meanwhile(*given):
        written = pack(*given)
        others.pop()(place.files())
        return written
    monkeypatch.setattr(archive, "pack", meanwhile)
    others.append(lambda files: archive.let_go(place.con, files))
    assert place.keep().transcripts == 0 and archive.faulty(place.con) == ([], []) and place.files() == []
    others.append(lambda files: None)
    assert place.keep().transcripts == 1 and archive.faulty(place.con) == ([], [])
    archive.let_go(place.con, place.files())
    assert len(place.files()) == 1


def test_a_full_disk_is_said(place, monkeypatch):
    """Where the archive cannot be written, that is one sentence; what was archived before is kept, nothing half written stays."""
    data = str(place.folder / "data")
    monkeypatch.setenv("ORCHESTRATOR_DATA", data)
    Path(place.workspace, "origin").write_text(workspace.install_mark(data) + "\n")
    place.execution("e"), place.execution("f", text="another\n")
    pack = archive.pack

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    def packed(*given):
        if place.files():
            monkeypatch.setattr(os, "fsync", full)
        return pack(*given)
    monkeypatch.setattr(archive, "pack", packed)
    said = CliRunner().invoke(main, ["--project", str(place.folder), "archive"])
    assert said.exit_code == 1 and "cannot be written (No space left on device)" in said.output, said.output
    assert place.value("SELECT count(*) FROM archive") == len(place.files()) == 1
    archive.in_passing(place.con, str(place.folder), NOW)


def test_main_conversations_are_kept_on_request(place):
    """Ended ones with --main, those still going with --all; kept again once they have grown and ended anew."""
    path = place.folder / "main.jsonl"
    shutil.copy(DATA / "main.jsonl", path)
    place.con.execute("UPDATE claude_sessions SET transcript_path = ?", (str(path),))
    assert archive.conversations_due(place.con) == []
    assert archive.conversations_due(place.con, everything=True) == [("session", "s", str(path))]
    place.con.execute("UPDATE claude_sessions SET ended_at = ?", (NEW,))
    due = archive.conversations_due(place.con)
    assert archive.keep(place.con, due, NOW).transcripts == 1
    assert archive.conversations_due(place.con) == archive.conversations_due(place.con, everything=True) == []
    path.unlink()
    assert "".join(archive.conversation(place.con, "s")) == (DATA / "main.jsonl").read_text()


def test_a_conversation_goes_by_the_beginning_of_its_id(place):
    """As long as that is one's alone."""
    for name in ("5e55-1", "5e55-2", "5e55"):
        row(place, "claude_sessions", claude_session_id=name, started_at=OLD)
    found = [archive.session_of(place.con, given) for given in ("5e55-1", "5e55", "5e5", "s", "x", "")]
    assert found == ["5e55-1", "5e55", None, "s", None, None]


def test_in_passing_only_what_has_settled_and_not_much(place, monkeypatch):
    """What ended within the hour waits; of the rest a bounded part is kept, the oldest first."""
    monkeypatch.setattr(archive, "PIECE", 50_000)
    for number in range(4):
        ended = "2026-11-2%dT07:59:00.000Z" % (0 if number else 1)
        place.execution("e%d" % number, ended=ended, text="%d\n" % number * 15_000)
    archive.in_passing(place.con, str(place.folder), NOW)
    assert place.value("SELECT count(*) FROM archive") == 2  # the second fills the bound
    archive.in_passing(place.con, str(place.folder), NOW)
    archive.in_passing(place.con, str(place.folder), NOW)
    assert {row[1] for row in archive.agents_due(place.con)} == {"e0"}


def test_an_agent_that_goes_on_is_kept_anew(place):
    """A message to a finished agent lengthens its transcript: it is due again once that was read, and the longer one takes
    the shorter one's place; where Claude Code has deleted it by then, what was kept before can still be read."""
    path = place.execution("e")
    place.keep()
    with open(path, "a") as f:
        f.write('{"type": "user"}\n')
    from orchestrator.recording import tally

    assert archive.agents_due(place.con) == []
    assert place.text("e").endswith('{"type": "user"}\n')  # not the copy, which is older
    tally.read(place.con, "/a/project", "e", str(path))
    assert place.keep().transcripts == 1
    assert place.text("e").endswith('{"type": "user"}\n')
    assert place.files() == [Path(archive.path_of(place.workspace + "/archive", place.value("SELECT hash FROM archive")))]
    tally.read(place.con, "/a/project", "e", str(path))
    path.unlink()
    assert len(place.keep().missing) == 1
    assert place.text("e").endswith('{"type": "user"}\n')


def test_what_was_said_of_something(place):
    """Each line of the transcript that speaks of it, with its number and who said it, whatever the case."""
    place.execution("e")
    found = list(transcripts.about(archive.transcript_of(place.con, "e"), "ZWEI"))
    assert [(each.who, each.text.partition(" ")[0]) for each in found] == [("call", "Edit")]
    whole = place.text("e").splitlines()
    assert "zwei" in whole[found[0].line - 1]
    assert found[0].at.startswith("2026-")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ('"rate limit"', ["The Rate-Limit is 5."]),
        ("limit*", ["The Rate-Limit is 5.", "Limits of the café"]),
        ("CAFE", ["Limits of the café"]),
        ("cafe limit", ["The Rate-Limit is 5.", "Limits of the café"]),
        ('"5 limits"', ["The Rate-Limit is 5.\nLimits of the café"]),
        ("limi", []),
        ("5.", ["The Rate-Limit is 5."]),
    ],
)
def test_a_transcript_is_asked_as_texts_are(wanted, found):
    """Words in quotes stand in a row, word* begins so, accents and case are alike; words apart are told with their lines."""
    line = json.dumps({"type": "assistant", "message": {"content": "The Rate-Limit is 5.\nLimits of the café"}})
    assert [each.text for each in transcripts.about([line], wanted)] == found


def test_a_transcript_told(place):
    """Prompts, words, calls, answers and errors in order, each with its line."""
    place.execution("e")
    told = list(transcripts.told(archive.transcript_of(place.con, "e")))
    kinds = [each.who for each in told]
    assert kinds[:5] == ["prompt", "agent", "call", "call", "answer"] and kinds.count("error") == 2
    assert told[-1].text == "done"
    assert [each.line for each in told] == sorted(each.line for each in told)


def text(place, name):
    """A kept text; its address."""
    return blobs.put(place.con, (name * 100).encode())


def row(place, table, **values):
    """A row of a table."""
    names = ", ".join(values)
    place.con.execute("INSERT INTO %s (%s) VALUES (?%s)" % (table, names, ", ?" * (len(values) - 1)), list(values.values()))


@pytest.fixture
def filled(place):
    """Two executions, one over before the cutoff and one after; texts of the old, of the new, and of both."""
    for name, ended in (("old", OLD), ("new", NEW)):
        place.execution(name, ended=ended, text='{"%s": 1}\n' % name)
        change = "UPDATE executions SET briefing_hash = ?, bundle_id = ? WHERE execution_id = ?"
        place.con.execute(change, (text(place, name + "-briefing"), "bun-" + name, name))
        for item in (name + "-item", "shared-item"):
            row(place, "allocations", execution_id=name, included=1, item_hash=text(place, item))
        body = json.dumps([{"item_hash": text(place, name + "-bundled")}, {"item_hash": text(place, "both")}])
        row(place, "bundles", bundle_id="bun-" + name, agent_type="a", created_at=ended, total_tokens=1, how="given", body=body)
        row(place, "events", dedupe_key=name, at=ended, kind="intent", execution_id=name, text="the prompt")
        for kind in ("denied", "malformed"):  # of no execution
            row(place, "events", dedupe_key=name + kind, at=ended, kind=kind, text="the " + kind)
    row(place, "orchestrations", orchestration_id="o", goal="g", status="completed", created_at=OLD, updated_at=OLD,
        report_hash=text(place, "report"))  # fmt: skip
    parts = json.dumps([{"hash": text(place, "old-part")}, {"full": text(place, "both")}])
    row(place, "prepared", orchestration_id="o", task_id="t", parts=parts)
    text(place, "stranger")
    place.keep()
    return place


def test_pruning_lets_go_of_what_is_old_alone(filled):
    """Transcripts, briefings, items, parts and prompts of what was over before the cutoff go; whatever something newer
    names, reports, and what nobody knows stay."""
    tables = ("executions", "events", "bundles", "allocations")
    before = [filled.value("SELECT count(*) FROM " + table) for table in tables]
    seen = prune.going(filled.con, CUTOFF)
    assert filled.value("SELECT count(*) FROM archive") == 2  # looking changes nothing
    gone = prune.prune(filled.con, CUTOFF)
    assert gone == seen
    assert (gone.transcripts, len(gone.files), gone.blobs, gone.prompts) == (1, 1, 4, 3)
    left = {blobs.get(filled.con, each[0]).decode()[:-1] for each in filled.con.execute("SELECT hash FROM blobs")}
    kept = ("new-briefing", "new-item", "new-bundled", "shared-item", "both", "report", "stranger")
    assert left == {(name * 100)[:-1] for name in kept}
    assert [filled.value("SELECT count(*) FROM " + table) for table in tables] == before
    prompts = filled.con.execute("SELECT dedupe_key, text FROM events WHERE text IS NOT NULL ORDER BY 1").fetchall()
    assert prompts == [("new", "the prompt"), ("newdenied", "the denied"), ("newmalformed", "the malformed")]
    assert filled.value("SELECT final_message FROM executions WHERE execution_id = 'old'") == "its last words"


def test_pruning_twice_finds_nothing(filled):
    """What went is not counted again, and is not archived again although Claude Code still has it."""
    prune.prune(filled.con, CUTOFF)
    again = prune.prune(filled.con, CUTOFF)
    assert again.bytes == again.transcripts == 0
    assert filled.keep().transcripts == 0


def test_what_was_pruned_is_said(filled):
    """Asking for a pruned briefing is answered with a sentence; the transcript is read from the client while it is there."""
    prune.prune(filled.con, CUTOFF)
    with pytest.raises(OrchestratorError, match="pruned"):
        details.briefing(filled.con, "old")
    filled.con.execute("UPDATE executions SET task_id = 't1' WHERE execution_id = 'old'")
    with pytest.raises(OrchestratorError, match="NO BRIEFING: that of old was pruned"):
        brief.text_of(filled.con, filled.workspace, "t1", None, None)
    assert filled.text("old") == '{"old": 1}\n'
    (filled.folder / "old.jsonl").unlink()
    with pytest.raises(OrchestratorError, match="prune` ours"):
        filled.text("old")


def test_a_file_that_two_share_stays_while_one_needs_it(place):
    """The same content archived by an old and a new execution is not removed with the old one."""
    place.execution("old", ended=OLD, text="same\n")
    place.execution("new", ended=NEW, text="same\n")
    place.keep()
    gone = prune.prune(place.con, CUTOFF)
    assert (gone.transcripts, gone.files) == (1, [])
    assert place.text("new") == "same\n"


def test_what_is_at_work_is_never_pruned(place):
    """An execution that has not ended keeps its briefing, however long ago it was deployed; a lost one is over."""
    place.execution("e", ended=OLD, status="deployed")
    place.con.execute("UPDATE executions SET completed_at = NULL, briefing_hash = ?", (text(place, "b"),))
    assert prune.going(place.con, CUTOFF).blobs == 0
    place.con.execute("UPDATE claude_sessions SET ended_at = ?", (OLD,))
    assert prune.going(place.con, CUTOFF).blobs == 1


def test_half_written_files_go_after_a_day(place):
    """What a command began to write and never finished does not stay for ever."""
    folder = Path(place.workspace, "archive")
    folder.mkdir()
    for name, age in ((".1-a.part", 90_000), (".1-b.part", 60)):
        (folder / name).write_text("half")
        at = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (at, at))
    prune.prune(place.con, CUTOFF)
    assert [file.name for file in folder.iterdir()] == [".1-b.part"]


def test_sizes_are_told(filled):
    """Everything that is kept is counted and measured."""
    sizes = {each.what: each for each in prune.sizes(filled.con, filled.workspace, filled.workspace + "/history.db")}
    assert sizes["history (executions)"].number == 2 and sizes["history (executions)"].bytes > 50_000
    assert sizes["archive (transcripts)"].bytes == sum(file.stat().st_size for file in filled.files())
    assert sizes["in it, texts of briefings, bundles and reports"].number == filled.value("SELECT count(*) FROM blobs")
    assert sizes["transcripts not archived yet"].number == 0


def test_shrinking_gives_the_room_back(filled):
    """After --shrink the history's file is smaller than before, and whole."""
    big = blobs.put(filled.con, os.urandom(400_000))
    filled.con.execute("UPDATE executions SET briefing_hash = ? WHERE execution_id = 'old'", (big,))
    filled.con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    path = filled.workspace + "/history.db"
    before = os.path.getsize(path)
    prune.prune(filled.con, CUTOFF)
    prune.shrink(filled.con)
    assert os.path.getsize(path) < before - 300_000
    assert filled.value("PRAGMA integrity_check") == "ok"
