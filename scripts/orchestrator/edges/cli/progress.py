"""Progress bars: a line on stderr for a person, silence for a pipe."""

import sys

from orchestrator.edges.cli.tables import say

WIDTH = 24


class Bar:
    """A bar that grows in its line and is gone at the end."""

    def __init__(self, what: str) -> None:
        self.what, self.shown = what, -1
        self.on = sys.stderr.isatty()

    def step(self, done: int, total: int) -> None:
        """Draws how far it is, when that has changed."""
        share = 100 * done // total if total else 100
        if not self.on or share == self.shown:
            return
        self.shown = share
        full = WIDTH * share // 100
        say(f"\r{self.what} [{'#' * full}{'.' * (WIDTH - full)}] {share:3} %", err=True, end="")

    def end(self) -> None:
        """Clears the line."""
        if self.shown >= 0:
            say("\r" + " " * (len(self.what) + WIDTH + 10) + "\r", err=True, end="")
            self.shown = -1
