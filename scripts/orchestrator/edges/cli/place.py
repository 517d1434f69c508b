"""The place a command works in: project, workspace, history, Claude session; opened when first asked for."""

from __future__ import annotations

import os

from orchestrator import paths
from orchestrator.edges.cli.tables import say
from orchestrator.errors import NoHistory, NotOurs, OrchestratorError
from orchestrator.model.ids import begins
from orchestrator.store import inbox
from orchestrator.store import open as store
from orchestrator.store import workspace as folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    Connection = Any  # of the C module: it names no type


class Place:
    """Where a command works. `con` makes the workspace and the history; `reading` only opens what is there.

    A history that was named and lies in another workspace stays that one's: its settings, its inbox, its archive.
    """

    def __init__(self, project: str | None = None, db: str | None = None) -> None:
        if project and not os.path.isdir(project):
            raise OrchestratorError(f"There is no folder {project}: --project names the project's.")
        self.project = os.path.realpath(project) if project else paths.project_of()
        self.workspace = paths.workspace_of(self.project)
        self.history = os.path.abspath(db) if db else paths.history_of(self.workspace, self.project)
        self.named = bool(db or paths.variable("ORCHESTRATOR_DB_PATH"))  # no project file moves it
        self.data = paths.data_folder()
        self.session = paths.variable("CLAUDE_CODE_SESSION_ID")
        self._con: Connection = None
        self._made = self._said = False
        at = os.path.dirname(os.path.realpath(self.history)) if self.named else ""
        self.elsewhere = at if at != os.path.realpath(self.workspace) and os.path.isfile(os.path.join(at, "origin")) else ""

    def check_trust(self) -> None:
        """Raises NotOurs for a workspace that did not come from this user."""
        if not folder.trusted(self.workspace, self.data):
            raise NotOurs(f"The workspace {self.workspace} did not come from you (a clone, a copy, another user): "
                          "look at it, then run `orchestrator trust`.")

    @property
    def before(self) -> str | None:
        """The history in a project that can no longer be written, or None."""
        inside = os.path.join(self.project, paths.WORKSPACE)
        found = None if self.named or self.workspace == inside else paths.history_of(inside, self.project)
        return found if found and os.path.isfile(found) else None

    def check_recorded(self) -> None:
        """Raises OrchestratorError when nothing has been recorded here yet; makes nothing.

        A project that cannot be written has its workspace elsewhere; what was recorded in it before can be read.
        """
        if self._con is not None:
            return
        if before := self.before:
            if _is_blank(self.history):
                self.workspace, self.history = os.path.join(self.project, paths.WORKSPACE), before
                return
            if not self._said:
                self._said = True
                say(f"note: what was recorded before {self.project} could no longer be written is in {before}: --db reads it.",
                    err=True)
        if not os.path.lexists(self.history):
            if self.named:
                raise OrchestratorError(f"There is no history at {self.history}: look at "
                                        "--db, or at ORCHESTRATOR_DB_PATH.")
            raise OrchestratorError(f"Nothing has been recorded in {self.project} yet: `/orchestrate <goal>` in Claude Code or "
                                    "`orchestrator plan FILE` begins, `orchestrator import` takes in sessions of before.")

    @property
    def con(self) -> Connection:
        """The history, made when it is not there yet, to be written to. OrchestratorError where recording is off."""
        if self.off:
            raise OrchestratorError(f"Recording is off in {self.project}: `orchestrator on` first.")
        self.make()
        return self._opened()

    @property
    def reading(self) -> Connection:
        """The history if there is one. OrchestratorError when nothing has been recorded here yet."""
        self.check_recorded()
        return self._opened()

    def close(self) -> None:
        """Closes the history, if it was opened."""
        if self._con is not None:
            self._con.close()
            self._con = None

    @property
    def off(self) -> bool:
        """Whether nothing is recorded here."""
        return paths.off(self.workspace)

    def make(self) -> None:
        """Makes the workspace."""
        if self._made:
            return
        self.check_trust()
        try:
            folder.make(self.workspace, self.data)
        except OSError as problem:
            raise OrchestratorError(f"The workspace {self.workspace} cannot be made: {problem.strerror}.") from problem
        self._made = True

    def _opened(self) -> Connection:
        """The history; the project's settings are kept for hooks, and events that waited are taken in."""
        if self._con is None:
            self.check_trust()
            if not os.path.exists(self.history):
                self.make()
            con = self._open()
            try:
                con = self._settled(con)
            except store.Error as problem:
                if "readonly" not in str(problem):  # one that can only be read can be read
                    raise self._unusable(problem) from problem
            except OSError as problem:
                raise OrchestratorError(
                    f"The workspace {self.workspace} cannot be written: {problem.strerror}.") from problem
            self._con = con
        return self._con

    def _settled(self, con: Connection) -> Connection:
        from orchestrator.edges.config_kept import keep
        from orchestrator.services.settings import value

        moved = None
        if not self.elsewhere:
            moved = keep(con, self.project, self.workspace, self.data, self.history, self.named)
        if moved:
            say(f"note: the history is {moved} from now on; what {self.history} holds stays.", err=True)
            con.close()
            self.history = moved
            con = self._open()
            keep(con, self.project, self.workspace, self.data, self.history, self.named)
        patterns = value(con, "redact")
        if patterns:
            from orchestrator.model.redact import mask_also

            mask_also(patterns)
        if self.elsewhere:
            return con
        spare = paths.elsewhere(self.project)
        if not self.off and (inbox.waiting(self.workspace) or spare != self.workspace and inbox.waiting(spare)):
            from orchestrator.edges.hooks import replay

            replay(con, self.project, self.workspace)
        return con

    def _open(self) -> Connection:
        try:
            con = store.open_history(self.history)
            con.execute("PRAGMA cache_size = -16000")  # 16 MB: lists of a large history go through many pages
            if store.emptied:
                say(f"note: the history {store.emptied.pop()} had been emptied, and a new one was begun in it; `orchestrator "
                    "import` takes in what Claude Code's own transcripts still tell.", err=True)
            return con
        except (store.Error, NoHistory) as problem:
            con = self._only_read()
            if con is None:
                raise self._unusable(problem) from problem
            return con
        except OSError as problem:
            raise OrchestratorError(f"The history {self.history} cannot be made: {problem.strerror}.") from problem

    def _only_read(self) -> Connection:
        """A history in a folder that cannot be written, as it lies there; None where that is not why it cannot be opened."""
        if not os.path.isfile(self.history) or os.access(os.path.dirname(self.history), os.W_OK):
            return None
        for how in (True, "immutable=1"):
            con = store.connect(self.history, read_only=how)
            try:
                found = con.execute("PRAGMA user_version").fetchone()[0]
                con.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            except store.Error:
                con.close()
                continue
            if found != store.VERSION:
                con.close()
                raise OrchestratorError(f"The history {self.history} has schema {found}, this orchestrator knows "
                                        f"{store.VERSION}, and its folder cannot be written: copy it to where it can, and name "
                                        "that with --db.")
            if how is not True and os.path.exists(self.history + "-wal") and os.path.getsize(self.history + "-wal"):
                say(f"note: {self.history} is read without its write-ahead log, as its folder cannot be written.", err=True)
            return con
        return None

    def _unusable(self, problem: Exception) -> OrchestratorError:
        from orchestrator.store.strange import amiss

        other = None if "locked" in str(problem) else amiss(self.history)
        if other:
            return OrchestratorError(f"{other}; what happens meanwhile waits in {inbox.folder_of(self.workspace)}.")
        return OrchestratorError(f"The history {self.history} cannot be used ({problem}): "
                                 "`orchestrator doctor` says what to do.")

    def now(self) -> str:
        """The present as the history writes it."""
        return store.now()

    def orchestration(self, given: str | None = None) -> str:
        """The orchestration a command is about: the one named (any unique prefix), the Claude session's own, else the
        latest open one, else the latest."""
        con = self.reading
        if given:
            return self.unique("orchestrations", "orchestration_id", given)
        if self.session:
            row = con.execute("SELECT orchestration_id FROM claude_sessions WHERE claude_session_id = ?",
                              (self.session,)).fetchone()
            if row and row[0]:
                return str(row[0])
        row = con.execute("SELECT orchestration_id FROM orchestrations ORDER BY status IN ('planning', 'executing') DESC, "
                          "updated_at DESC LIMIT 1").fetchone()
        if row is None:
            raise OrchestratorError("There is no orchestration here yet: `/orchestrate <goal>` in Claude Code, or "
                                    "`orchestrator plan FILE`.")
        return str(row[0])

    def current(self) -> str | None:
        """The orchestration that a bare task id belongs to, or None where there is none."""
        try:
            return self.orchestration()
        except OrchestratorError:
            return None

    def latest_open(self) -> str | None:
        """The open orchestration that changed last, or None."""
        row = self.con.execute("SELECT orchestration_id FROM orchestrations WHERE status IN ('planning', 'executing') "
                               "AND origin = 'planned' ORDER BY updated_at DESC LIMIT 1").fetchone()
        return str(row[0]) if row else None

    def reconcile(self, archiving: bool = True) -> None:
        """Brings up to date what can be known now; `archiving` a few transcripts in passing."""
        from orchestrator.services.reconcile import reconcile

        if self.off:
            return
        try:
            if not self.elsewhere:
                reconcile(self._opened(), self.project, self.workspace, archiving)
            elif os.path.basename(self.elsewhere) == paths.WORKSPACE and folder.trusted(self.elsewhere, self.data):
                reconcile(self._opened(), os.path.dirname(self.elsewhere), self.elsewhere, archiving)
        except store.Error as problem:
            if "readonly" not in str(problem):  # one that can only be read is answered from as it is
                raise

    def project_state(self, orchestration: str) -> None:
        """Writes status.json and results/ after a change."""
        from orchestrator.recording.projections import project

        project(self._opened(), self.elsewhere or self.workspace, orchestration, self.now())

    def what_now(self, orchestration: str) -> bool:
        """Prints what to do now, with the exact calls; the conversation has been told. False: there was nothing."""
        from orchestrator.recording.graph import Graph
        from orchestrator.services.digest import to_do, troubles, writing_notice
        from orchestrator.services.settings import limit
        from orchestrator.services.turn import tell
        from orchestrator.store.open import writing

        graph = Graph(self.con, orchestration)
        lines = troubles(self.con, graph)
        mode = self.con.execute("SELECT permission_mode FROM claude_sessions WHERE claude_session_id = ?",
                                (self.session,)).fetchone()
        if mode and graph.deployable():
            lines += writing_notice(self.con, orchestration, mode[0])
        lines += to_do(self.con, orchestration, graph, limit(self.con), 20000)
        for line in lines:
            say(line)
        if self.session:
            with writing(self.con):
                tell(self.con, self.session, orchestration, self.now())
        return bool(lines)

    def ended(self, orchestration: str) -> bool:
        """Whether nothing of an orchestration is left to run."""
        from orchestrator.recording.graph import Graph

        return Graph(self.con, orchestration).ended()

    def interval(self) -> float:
        """Seconds between two looks of a watching command."""
        from orchestrator.services.settings import seconds_between

        return seconds_between(self._opened())

    def agent_types(self) -> dict[str, Any]:
        """The agent types that a plan may name here (services/blueprints.known)."""
        from orchestrator.services import blueprints

        return blueprints.known(paths.plugin_root(), self.project, paths.home(),
                                config=paths.variable("CLAUDE_CONFIG_DIR"), cwd=os.getcwd())

    def settings(self) -> dict[str, Any]:
        """What the preparation of briefings wants to know."""
        from orchestrator.context import render
        from orchestrator.services.settings import model, value

        templates = os.path.join(self.workspace, "templates")  # the workspace is trusted, or `con` had refused
        return {"model": model(self.con), "budget_tokens": value(self.con, "budget_tokens"),
                "template": render.find(render.NAME, [templates], here=False)}

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A progress callback, (done, of): a bar for a person, silence for a pipe."""
        from orchestrator.edges.cli.progress import Bar

        bar = Bar(what)

        def show(done: int, of: int) -> None:
            bar.step(done, of)
            if done == of:
                bar.end()

        return show

    def find(self, given: str, orchestration: str | None) -> tuple[str, str, str | None]:
        """(kind, id, its orchestration) of what a reading command names: `details.find`, with ids as they are kept."""
        from orchestrator.services import details

        return details.find(self.reading, _masked(given), orchestration)

    def unique(self, table: str, column: str, prefix: str) -> str:
        """The one id that begins with `prefix`; an exact id wins. OrchestratorError for none or several."""
        prefix = _masked(prefix)
        pattern = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = [r[0] for r in self.reading.execute(
            f"SELECT {column} FROM {table} WHERE {column} = ?1 OR {column} LIKE ?2 ESCAPE '\\' "
            f"ORDER BY {column} = ?1 DESC LIMIT 6", (prefix, pattern))]
        if not rows:
            lists = "tracker query" if table == "orchestrations" else "history"
            raise OrchestratorError(f"Nothing here has an id that begins with {prefix!r}: `orchestrator {lists}` lists them.")
        if rows[0] != prefix and len(rows) > 1:
            from orchestrator.services.details import some

            raise OrchestratorError(f"{prefix!r} begins several ids ({some(rows)}): write more of it.")
        return str(rows[0])

    def recorded(self, table: str, column: str, given: str) -> str:
        """The one id that may be cut to what a recording command was given; as given where there is none. Makes no history."""
        given = _masked(given)
        if self._con is None and not self.named and not os.path.lexists(self.history):
            what, then = (("session", "init-session --scope … --session-id …` begins one") if table == "orchestrations" else
                          ("execution", "init-deployment` records one"))
            raise OrchestratorError(f"There is no {what} {given}: nothing has been recorded in {self.project} yet; "
                                    f"`orchestrator tracker {then}.")
        rows = [str(r[0]) for r in self.con.execute(f"SELECT {column} FROM {table} WHERE {column} >= ?1 AND "
                                                    f"{column} < ?1 || char(1114111) ORDER BY {column}", (given,))]
        return self.whole(given, rows)

    def whole(self, given: str, ids: Iterable[str]) -> str:
        """The one of these ids that may be cut to what is given; as given where there is none."""
        ids = list(ids)
        rows = [given] if given in ids else [each for each in ids if begins(given, each)]
        if len(rows) > 1:
            from orchestrator.services.details import some

            raise OrchestratorError(f"{given!r} begins several ids ({some(rows)}): write more of it.")
        return rows[0] if rows else given


def _is_blank(history: str) -> bool:
    """Whether nothing was recorded in a history, or there is none."""
    if not os.path.lexists(history):
        return True
    try:
        con = store.connect(history, read_only=True)
        try:
            return con.execute("SELECT 1 FROM executions UNION ALL SELECT 1 FROM orchestrations LIMIT 1").fetchone() is None
        finally:
            con.close()
    except store.Error:
        return False


def _masked(given: str) -> str:
    from orchestrator.services.masks import masked_id

    return masked_id(given)


def pass_place(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that is given its place, from the context it runs in."""

    def run(*args: Any, **kwargs: Any) -> Any:
        import click

        return command(click.get_current_context().find_object(Place), *args, **kwargs)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__dict__.update(command.__dict__)
    return run
