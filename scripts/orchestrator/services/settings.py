"""Settings that hooks read: the environment, then what the command line keeps in meta, then defaults."""

from orchestrator.paths import variable

DEFAULT_LIMIT = 5


def setting(con, name, default=None):
    """A setting as the command line keeps it for hooks."""
    row = con.execute("SELECT value FROM meta WHERE key = ?", ("setting." + name,)).fetchone()
    return row[0] if row and row[0] not in (None, "") else default


def limit(con):
    """How many planned agents may be at work at once."""
    for value in (variable("ORCHESTRATOR_MAX_PARALLEL_AGENTS"), setting(con, "max_parallel_agents")):
        if value and value.isdigit() and int(value) > 0:
            return int(value)
    return DEFAULT_LIMIT


def model(con):
    """The model of tasks that name none; None: the client decides."""
    return variable("DEFAULT_MODEL") or setting(con, "default_model")


def seconds_between(con):
    """How often a watching command looks again."""
    for value in (variable("MONITOR_INTERVAL_SECONDS"), setting(con, "monitor_interval_seconds")):
        try:
            if value and float(value) > 0:
                return float(value)
        except ValueError:
            pass
    return 15.0
