"""Errors of this package: their text is the sentence a person reads."""


class OrchestratorError(Exception):
    """What is wrong, where, and what to do about it, in one sentence."""


class NewerSchema(OrchestratorError):
    """The history was written by a newer orchestrator: update the plugin, or name another history with --db."""


class NoHistory(OrchestratorError):
    """What lies where the history should is something else: move it away, or name another place with ORCHESTRATOR_DB_PATH."""


class NotOurs(OrchestratorError):
    """The workspace did not come from this user: look at it, then run `orchestrator trust`."""
