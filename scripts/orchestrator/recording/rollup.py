"""Roll-ups: what the sums by day are sums of, and the taking in of what changed since they were made.

Triggers leave each change of a row as news, in the writer's transaction (assets/execution_db.schema.sql). A sum is always
that of the table and its news.
"""

_MILLISECONDS = ("COALESCE(CAST(max(0, (julianday(completed_at) - "  # none where it has not ended, or a time is none
                 "julianday(COALESCE(started_at, deployed_at))) * 86400000 - paused_ms) + 0.5 AS INTEGER), 0)")
_DAILY = (
    ("executions", "1"), ("completed", "(status = 'completed')"), ("failed", "(status = 'failed')"), ("retries", "(attempt > 1)"),
    ("milliseconds", _MILLISECONDS), ("calls", "calls"), ("refused_calls", "refused_calls"), ("failed_calls", "failed_calls"),
    ("files_read", "files_read"), ("files_written", "files_written"), ("lines_added", "lines_added"),
    ("lines_removed", "lines_removed"))
_USAGE = (
    ("messages", "messages"), ("input_tokens", "input_tokens"),
    ("cache_write_tokens", "(cache_write_5m_tokens + cache_write_1h_tokens)"), ("cache_read_tokens", "cache_read_tokens"),
    ("output_tokens", "output_tokens"), ("cost_usd", "COALESCE(cost_usd, 0.0)"),
    ("unpriced_tokens", "CASE WHEN cost_usd IS NULL THEN input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + "
                        "cache_read_tokens + output_tokens ELSE 0 END"))
COUNTED, USED = [name for name, _ in _DAILY], [name for name, _ in _USAGE]
_DAY = "substr(deployed_at, 1, 10)"


def _list(sums, form):
    return ", ".join([form % each for each in sums])


PARTS = {  # what each row adds, with its owner
    "daily": "SELECT execution_id AS owner, %s AS day, agent_type, %s FROM executions" % (
        _DAY, _list([(what, name) for name, what in _DAILY], "%s AS %s")),
    "daily_usage": "SELECT u.owner, day, COALESCE(e.agent_type, '') AS agent_type, u.model, u.kind, %s FROM usage u LEFT JOIN "
                   "executions e ON e.execution_id = u.owner AND u.kind = 'execution'" % (
                       _list([(what, name) for name, what in _USAGE], "%s AS %s"))}
NEWS = {  # what the news add, by key
    "daily": "SELECT %s AS day, agent_type, %s FROM daily_news GROUP BY 1, 2" % (
        _DAY, _list([(what, name) for name, what in _DAILY], "sum(sign * %s) AS %s")),
    "daily_usage": "SELECT day, COALESCE(agent_type, '') AS agent_type, model, kind, %s FROM usage_news GROUP BY 1, 2, 3, 4" % (
        _list([(what, name) for name, what in _USAGE], "sum(sign * %s) AS %s"))}


def take_in(con):
    """Adds the news to the sums, in the caller's transaction; sums by month of their days no longer stand."""
    for table, key, names, news, month in (("daily", "day, agent_type", COUNTED, "daily_news", "deployed_at"),
                                           ("daily_usage", "day, agent_type, model, kind", USED, "usage_news", "day")):
        if con.execute("SELECT 1 FROM %s LIMIT 1" % news).fetchone():
            con.execute("INSERT INTO %s (%s, %s) SELECT * FROM (%s) WHERE true ON CONFLICT DO UPDATE SET %s" % (
                table, key, ", ".join(names), NEWS[table], ", ".join(["%s = %s + excluded.%s" % (n, n, n) for n in names])))
            con.execute("DELETE FROM months WHERE month IN (SELECT DISTINCT substr(%s, 1, 7) FROM %s)" % (month, news))
            con.execute("DELETE FROM %s" % news)
