"""Files that a plan names, held against the project's disk: do they stay inside, do they exist."""

from __future__ import annotations

import bisect
import difflib
import os
import stat

from orchestrator.context import files, sections
from orchestrator.errors import OrchestratorError
from orchestrator.model import globs

_EFFORT = 3_000_000  # roughly microseconds, spent on comparing globs before the rest is believed

Wrong = tuple[str, str]  # what is wrong, what to do


class PlanFiles:
    """The project as a plan's paths see it; what it learned of the disk is kept for the next question."""

    def __init__(self, project: str | os.PathLike[str]) -> None:
        self.root = os.path.realpath(project)
        self._paths: dict[str, str | Wrong] = {}
        self._listing: list[str] | None = None
        self._effort = _EFFORT

    def path(self, text: str) -> str | Wrong:
        """The path or glob that a reference names, without heading, symbol or lines, if it stays inside."""
        if text not in self._paths:
            self._paths[text] = self._path(text)
        return self._paths[text]

    def _path(self, text: str) -> str | Wrong:
        if "://" in text:
            return "is an address, not a file of the project", "Name it in the prompt instead."
        try:
            path = sections.parse(text, self.root).path
        except OrchestratorError as error:
            return "is not a reference", str(error)
        wrong = self.leaves(path)
        if wrong:
            return wrong
        return os.path.normpath(path)

    def leaves(self, path: str) -> Wrong | None:
        """What is wrong with a path or glob that leaves the project, or could: absolute, `..`, a link."""
        if path.startswith("~"):
            return "leaves the project", "Name a path inside it, relative to its top."
        if os.path.isabs(path):
            inside = os.path.relpath(os.path.realpath(path), self.root)
            if inside.split(os.sep)[0] == os.pardir:
                return "leaves the project", "Name a path inside it, relative to its top."
            return "is absolute", f"Write it relative to the project: {_shown(inside)}."
        if os.pardir in path.split("/"):
            return "has `..` in it", "Write it relative to the project's top, without `..`."
        if globs.leads_out(path):
            return "leaves the project by its braces", "Write several patterns, relative to the project's top, without `..`."
        try:
            for each in [path] if self._exists(path) else globs.alternatives(path):
                files.inside(self.root, each if self._exists(each) else globs.head(each))
        except (OrchestratorError, ValueError, OSError):
            return "leaves the project through a link", "Name a file that lies inside the project."
        return None

    def _is_file(self, path: str) -> bool:
        return os.path.isfile(os.path.join(self.root, path))

    def _exists(self, path: str) -> bool:
        return os.path.lexists(os.path.join(self.root, path))

    def missing(self, path: str) -> Wrong | None:
        """What is wrong when nothing that could be read stands at a path or glob (as `path` gave it)."""
        if self._exists(path):
            try:
                mode = os.stat(os.path.join(self.root, path)).st_mode
            except OSError:
                return "is a link to nothing", "Name the file itself."
            if stat.S_ISDIR(mode):
                pattern = "**" if path == os.curdir else f"{path}/**"
                return "is a folder", f"Name its files, or a pattern such as {_shown(pattern)}."
            return None if stat.S_ISREG(mode) else ("is not a regular file", "Name a plain file.")
        if globs.is_glob(path):
            if any(self.matches(path, each) and self._is_file(each) for each in self._below(globs.head(path))):
                return None
            return "matches no file", "Correct it, or let a task in `after` name what it creates in `writes`."
        near = self._near(path)
        hint = f"Did you mean {_shown(near)}? Else let" if near else "Correct it, or let"
        return "does not exist", f"{hint} a task in `after` name it in `writes`."

    def matches(self, pattern: str, path: str) -> bool:
        """`globs.matches`, until the plan has used up what it may cost; from then on yes."""
        if not globs.may_match(pattern, path):
            self._effort -= 1
            return pattern == path
        self._effort -= 5 + (len(pattern) + len(path)) // 4
        return self._effort < 0 or globs.matches(pattern, path)

    def overlap(self, one: str, other: str) -> bool:
        """`globs.overlap`, within the same limit."""
        if not globs.may_overlap(one, other):
            self._effort -= 1
            return one == other
        self._effort -= 3 * (one.count("/") + 1) * (other.count("/") + 1) * (256 if "{" in one + other else 1)
        return self._effort < 0 or globs.overlap(one, other)

    @property
    def tired(self) -> bool:
        """Whether the limit was reached, so that answers about globs are guesses."""
        return self._effort < 0

    def _below(self, folder: str) -> list[str]:
        if self._listing is None:
            self._listing = files.names(self.root)
        if not folder:
            return self._listing
        first = bisect.bisect_left(self._listing, folder + "/")
        return self._listing[first : bisect.bisect_left(self._listing, folder + "0")]  # "0" comes after "/"

    def _near(self, path: str) -> str | None:
        """A file that may have been meant: the same name elsewhere, else a like one in the same folder."""
        folder, name = os.path.split(path)
        same = [each for each in self._below("") if os.path.basename(each) == name and self._is_file(each)]
        if same:
            return min(same, key=len)
        beside = [each for each in self._below(folder) if os.path.dirname(each) == folder][:500]
        close = difflib.get_close_matches(path, beside, 1, 0.8)
        return close[0] if close else None


def _shown(path: str) -> str:
    """A path within a sentence, as data: one line, cut."""
    shown = "".join(char if char.isprintable() and char != "`" else "?" for char in path[:200])
    return f"`{shown}{'…' if len(path) > 200 else ''}`"
