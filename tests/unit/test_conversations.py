"""Agents of several conversations and processes: whatever these do, what is told of the agents is so."""

import os

import pytest

from conversations import FAULTY, Clients
from orchestrator.recording import sessions

EXAMPLES = int(os.environ.get("ORCHESTRATOR_TEST_EXAMPLES", "20"))
SEEDS = pytest.mark.parametrize("seed", range(2 * EXAMPLES))
STEPS = 14


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Plays clients, and fails with what was told of them that is not so, behind all that happened until then."""

    def played(seed, **how):
        clients = Clients(str(tmp_path), seed, **how)
        monkeypatch.setattr(sessions, "alive", clients.lives)
        try:
            clients.play(STEPS)
        finally:
            clients.history.con.close()
        if clients.wrong:
            pytest.fail("\n".join(["what happened:", *clients.story, *clients.wrong]))

    return played


@SEEDS
def test_conversations_that_are_left_gone_on_with_and_killed(seed, play):
    """Where every signal is heard, what is at work is never shown as anything else, what ended is neither lost nor failed, what
    died before it ever ended is not completed; when all is over no conversation is open, nothing is at work, each agent that
    ended has its last words, and no execution is without its agent nor an agent without its execution."""
    play(seed)


@SEEDS
def test_processes_in_the_same_conversations(seed, play):
    """The same holds while up to three processes are in the same conversations."""
    play(seed, guests=True)


@SEEDS
def test_conversations_of_which_not_all_is_heard(seed, play):
    """Where signals are dropped, doubled and late, and ends told by none, the same holds, but for three things: an agent is shown
    as at work only when one of the signals that put it to work was heard, one that ended untold may be shown as at work, or as
    lost, until all is over, and one of which nothing was heard is not there."""
    play(seed, guests=bool(seed % 2), fates=FAULTY)
