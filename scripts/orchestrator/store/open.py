"""Opening the history: made by the first who needs it, migrated when old, refused when newer."""

import os
import time

try:  # the C module alone: the sqlite3 package costs more than the write
    import _sqlite3 as sqlite
except ImportError:
    import sqlite3 as sqlite  # type: ignore[no-redef]

from orchestrator.paths import plugin_root, regular

VERSION = 3
_LOG = 200 * 4120  # bytes of the write-ahead log, after which a hook closes the history: so many pages, each with its head
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
# SQL: whether an execution `e` was deployed, or put to work again by a message, in the present process of its Claude session `s`
BEGAN = ("(e.deployed_at >= s.started_at OR EXISTS (SELECT 1 FROM segments g WHERE g.execution_id = e.execution_id AND "
         "g.started_at >= s.started_at))")
# whether an execution `e` is lost, as the view of these says it, which SQLite would prepare anew in each process
LOST = ("(e.status = 'deployed' AND EXISTS (SELECT 1 FROM claude_sessions s WHERE s.claude_session_id = e.claude_session_id AND "
        "(s.ended_at IS NOT NULL OR NOT " + BEGAN + ")))")
# the same as BEGAN of one that had ended, or was lost, and works again: its present stretch of work has not ended
AGAIN = ("EXISTS (SELECT 1 FROM segments g WHERE g.execution_id = e.execution_id AND g.ended_at IS NULL AND g.ordinal > 1 AND "
         "g.started_at >= s.started_at)")
Error = sqlite.Error


def connect(path, timeout=10.0, read_only=False):
    """A connection in autocommit mode, foreign rows unchecked, waiting `timeout` seconds for a lock. `read_only`: True, or
    "immutable=1" for a file that nobody writes, where its folder cannot be written."""
    if read_only:
        from urllib.parse import quote

        if os.path.exists(path) and not os.path.isfile(path):
            raise sqlite.OperationalError("unable to open database file: it is no file")  # a pipe would never open
        how = "mode=ro" if read_only is True else read_only
        return sqlite.connect("file:" + quote(path) + "?" + how, timeout=timeout, isolation_level=None, uri=True)
    return sqlite.connect(path, timeout=timeout, isolation_level=None)


def open_history(path, timeout=10.0):
    """A connection to the history at `path`, made or migrated when need be. Its folder must exist.

    Raises NewerSchema, and the driver's Error for what the disk or another writer refuses.
    """
    try:
        return _opened(path, timeout)
    except Error as problem:
        if not without_wal(path, problem):
            raise
    return _opened(path, timeout)


def _opened(path, timeout):
    con = connect(path, timeout)
    try:
        found = con.execute("PRAGMA user_version").fetchone()[0]
        if found < VERSION:
            _bring_up(con, path)
        elif found > VERSION:
            from orchestrator.errors import NewerSchema
            from orchestrator.store import strange

            strange.refuse(con, path)
            raise NewerSchema("The history %s has schema %d, this orchestrator knows %d: update the plugin, or name "
                              "another history with --db." % (path, found, VERSION))
    except BaseException:
        con.close()
        raise
    return con


def for_one_event(con, path, durable):
    """Makes a connection fit for a process that writes once and ends.

    What is not `durable` survives the process and the client, and the machine's power once something durable was written
    after it.
    """
    if not durable and os.path.exists(path + "-wal"):  # without a log the database itself would be in danger
        con.execute("PRAGMA synchronous = NORMAL")


def log_is_long(path):
    """Whether the write-ahead log has grown so far that it should be brought home, and nobody else is about to write.

    The next to open a log that nobody has open reads all of it, and knows no more what of it was brought home before: SQLite
    by itself would bring the same home again after every write. The last to close the history does so and takes the log away.
    """
    try:
        return os.stat(path + "-wal").st_size > _LOG and _line_is_free()
    except OSError:
        return False  # there is none, or nothing can be told


def _bring_up(con, path):
    """Creates or migrates under one lock; the version is read again inside it, because others race to do the same."""
    from orchestrator.store import strange

    hollow = False
    if con.execute("PRAGMA page_count").fetchone()[0] == 0:  # else its mode was settled
        hollow = strange.was_emptied(path)
        con.execute("PRAGMA journal_mode = WAL").fetchone()  # where the file system cannot, SQLite keeps its own mode
    con.execute("BEGIN IMMEDIATE")
    try:
        found = con.execute("PRAGMA user_version").fetchone()[0]
        if found < VERSION:
            strange.refuse(con, path)
        if found == 0:
            if hollow:
                emptied.append(path)
            for statement in statements(_read("execution_db.schema.sql")):
                con.execute(statement)
        elif found < VERSION:
            from orchestrator.model.verdict import judging

            con.create_function("judged", 1, judging())
            for step in range(found + 1, VERSION + 1):
                for statement in statements(_read(os.path.join("migrations", "%03d.sql" % step))):
                    con.execute(statement)
        if found < VERSION:
            con.execute("PRAGMA user_version = %d" % VERSION)
        con.execute("COMMIT")
    except BaseException:
        roll_back(con)
        raise
    try:
        os.chmod(path, 0o600)
    except OSError:
        pass


emptied = []  # histories that this process began anew, in a file that was empty though it had been written before


def _read(name):
    with open(os.path.join(plugin_root(), "assets", name), encoding="utf-8") as f:
        return f.read()


def statements(script):
    """The statements of an SQL script, one by one (executescript would commit the transaction it runs in)."""
    buffer = ""
    for line in script.split("\n"):
        buffer += line + "\n"
        if ";" in line and sqlite.complete_statement(buffer):
            yield buffer
            buffer = ""


def now():
    """The present as UTC text in milliseconds."""
    at = time.time()
    return "%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(at)[:6] + ".%03dZ" % (at % 1 * 1000)


class writing:
    """A write transaction: BEGIN IMMEDIATE, then COMMIT, or ROLLBACK when anything was raised."""

    def __init__(self, con):
        self.con, self.turn = con, None

    def __enter__(self):
        if _line:
            self.turn = _take_turn(self.con)
        try:
            self.con.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._next()
            raise
        return self.con

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.con.execute("COMMIT")
        except BaseException:
            roll_back(self.con)
            raise
        else:
            roll_back(self.con)
        finally:
            self._next()
        return False

    def _next(self):
        if self.turn is not None:
            os.close(self.turn)  # and with it the lock is gone, as with the process
            self.turn = None


_line = []  # where this process waits for its turn to write, and how many seconds more


def stand_in_line(path, seconds):
    """From now on this process waits behind others that do so too, before it asks SQLite for the lock.

    Nobody is passed by, and the system wakes the next as soon as one is done; SQLite's own waiting sleeps up to a tenth of a
    second at a time, and whoever comes at the right moment is first. It is courtesy, not the lock: who cannot stand in line,
    or stood in it for all its `seconds`, asks SQLite and does not wait again. For programs of one thread.
    """
    _line[:] = [path, seconds]


def _take_turn(con):
    """Takes a place in line and waits until who has the one before is done, or gone. Returns what holds the place.

    A place is a byte of the line's file, locked by who has it; the file is as long as places were taken. Its first byte is
    locked while one is taken, so that the next is sure to find it so.
    """
    try:
        handle = _open_line()
    except OSError:
        return None
    begun, until = time.monotonic(), None
    try:
        if not _lock(handle, 0):
            until = begun + _line[1]
            _wait(handle, 0, until)
        place = os.lseek(handle, 0, os.SEEK_END) or 1
        if place > _PLACES and _lock(handle, place - 1):
            place = 1
        os.ftruncate(handle, place + 1)
        _lock(handle, place)
        os.lseek(handle, 0, os.SEEK_SET)
        os.lockf(handle, os.F_ULOCK, 1)
        if place > 1 and not _lock(handle, place - 1):
            until = until or begun + _line[1]
            _wait(handle, place - 1, until)
    except (OSError, ValueError):
        pass
    if until is not None:
        _line[1] = max(0.05, until - time.monotonic())
        con.execute("PRAGMA busy_timeout = %d" % (_line[1] * 1000)).fetchone()
    return handle


def _open_line():
    return os.open(_line[0], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)  # its length is not another file's


_PLACES = 4096  # after so many they are counted anew, as soon as nobody waits


def _lock(handle, place):
    """Locks a byte unless another has it; returns whether it is ours."""
    os.lseek(handle, place, os.SEEK_SET)
    try:
        os.lockf(handle, os.F_TLOCK, 1)
        return True
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES
        return False


def _wait(handle, place, until):
    """Locks a byte as soon as who has it is done with it. InterruptedError when the time is over."""
    import _signal as signal  # the public one loads enum, which costs as much as the write

    def enough(*_):
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, enough)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM,))  # whoever started this process may have blocked it
    try:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, until - time.monotonic()))
        os.lseek(handle, place, os.SEEK_SET)
        os.lockf(handle, os.F_LOCK, 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _line_is_free():
    """Whether nobody writes or waits to write, as far as they stand in line."""
    if _line:
        try:
            handle = _open_line()
        except OSError:
            return True  # nobody can stand in it
        try:
            os.lockf(handle, os.F_TEST, 0)  # OSError where another has it
        finally:
            os.close(handle)
    return True


def roll_back(con):
    """Ends a transaction that failed, where SQLite has not done so itself (a full disk)."""
    if con.in_transaction:
        try:
            con.execute("ROLLBACK")
        except Error:
            pass


# How SQLite says that the disk or another writer refuses; anything else is the event's fault, or ours.
_REFUSALS = ("locked", "disk", "readonly", "read-only", "unable to open", "busy", "not a database", "locking protocol",
             "out of memory", "interrupted", "attempt to write")


def refused(problem):
    """Whether the disk or another writer refused, so that the same event may well be taken in later."""
    if isinstance(problem, OSError):
        import errno

        return problem.errno not in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP, errno.EISDIR, errno.ENOTDIR)
    if isinstance(problem, Error):
        return any(words in str(problem) for words in _REFUSALS)
    from orchestrator.errors import NewerSchema, NoHistory  # not before: what every event loads, it waits for

    return isinstance(problem, (NewerSchema, NoHistory))


def without_wal(path, problem):
    """Puts a history that has a write-ahead log under a journal, where a problem may come of that log: its index must be
    memory that processes share, which not every file system can. Returns whether that was so and is mended."""
    if not refused(problem) or "locked" in str(problem) or "full" in str(problem):
        return False
    try:
        if regular(path, 20)[18:] != b"\x02\x02":
            return False
    except OSError:
        return False
    con = None
    try:
        con = connect(path, 1.0)
        con.execute("PRAGMA locking_mode = EXCLUSIVE")  # for one alone the index needs no file; what the log holds is kept
        return bool(con.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete")
    except Error:
        return False
    finally:
        if con is not None:
            con.close()


def corrupt(problem):
    """Whether the history's file is damaged, or none at all."""
    return isinstance(problem, Error) and ("not a database" in str(problem) or "image is malformed" in str(problem)
                                           or "malformed database schema" in str(problem))


def file_of(path):
    """Which file lies at a path now, so that one that took its place can be told from it; None when there is none.

    OSError for what is no regular file: a pipe would never open.
    """
    import stat

    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError("%s is not a regular file" % path)
    return found.st_ino


def set_aside(path, file, at):
    """Moves a damaged history, the `file` that was found at `path`, out of the way, under a name with the time.

    Returns its new path; "" where another process was quicker; None where it is not damaged after all.
    """
    import fcntl

    handle = os.open(path + ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if file_of(path) != file:
            return ""
        if _sound(path):
            return None
        aside = "%s.corrupt-%s" % (path, at.replace(":", ""))
        os.rename(path, aside)
        for more in ("-wal", "-shm", "-journal"):
            try:
                os.rename(path + more, aside + more)
            except OSError:
                pass
        return aside
    finally:
        os.close(handle)


def _sound(path):
    """Whether SQLite finds no fault in a file within two seconds."""
    end = time.monotonic() + 2
    try:
        con = connect(path, 1.0)
        try:
            con.set_progress_handler(lambda: time.monotonic() > end, 20000)
            return con.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        finally:
            con.close()
    except Error:
        return False
