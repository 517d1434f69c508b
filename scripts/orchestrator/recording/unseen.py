"""Unseen usage: what the client says a Claude session used beyond what its transcripts show."""

from orchestrator.recording import prices, usage


def _said(name):
    """A count in what the client says it used; what is none there counts as none."""
    path = "c.value, '$.%s'" % name
    counts = "json_type(%s) IN ('integer', 'real') AND json_extract(%s) BETWEEN 0 AND %d" % (path, path, usage.MOST_TOKENS)
    return "CASE WHEN %s THEN json_extract(%s) ELSE 0 END" % (counts, path)


_CLIENTS = (
    "SELECT replace(c.key, '[1m]', ''), %s, %s - %s, %s, %s, %s" % tuple([_said(name) for name in (
        "inputTokens", "cacheCreationInputTokens", "cacheCreationEphemeral1hInputTokens", "cacheCreationEphemeral1hInputTokens",
        "cacheReadInputTokens", "outputTokens")])
    + ", CASE WHEN json_type(c.value, '$.costUSD') IN ('integer', 'real') THEN json_extract(c.value, '$.costUSD') END "
    "FROM claude_sessions s, json_each(s.client_usage) c WHERE s.claude_session_id = ? AND c.type = 'object'"
)  # fmt: skip
_OURS = (
    "SELECT model, sum(input_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), "
    "sum(cache_read_tokens), sum(output_tokens), CASE WHEN count(cost_usd) = count(*) THEN sum(cost_usd) END FROM usage "
    "WHERE owner = ?1 OR owner IN (SELECT execution_id FROM executions WHERE claude_session_id = ?1) GROUP BY model"
)
_SEVERAL = "?"  # the model, where it may be one of several


def keep(con, session, now):
    """Keeps the client's sums less ours, model by model.

    The client keeps the name that it asked for, its transcripts the one that answered: those go together that are one model
    in the table of prices. Where ours are more than it says of a model, it has them under a name that only it knows: those
    are compared all together.
    """
    clients, ours = [con.execute(sums, (session,)).fetchall() for sums in (_CLIENTS, _OURS)]
    family = prices.families(con, {row[0] for row in clients + ours})
    sides = {}
    for side, rows in enumerate((clients, ours)):
        for row in rows:
            sides.setdefault(family.get(row[0], row[0]), ([], []))[side].append(row)
    more = [name for name, (said, shown) in sides.items() if _tokens(said) < _tokens(shown)]
    if more:
        pairs = [sides.pop(name) for name in list(sides) if name in more or not sides[name][1]]
        sides[None] = [sum([pair[side] for pair in pairs], []) for side in (0, 1)]
    for name, (said, shown) in sides.items():
        if _tokens(said) <= _tokens(shown):
            continue
        models = {row[0] for row in (name and shown) or said}
        read, written, hour, cached, output = [max(0, a - b) for a, b in zip(_sums(said), _sums(shown))]
        cost = _dollars(said), _dollars(shown)
        con.execute(
            "INSERT OR IGNORE INTO usage VALUES (?, 'unseen', ?, ?, 0, ?, ?, ?, ?, ?, ?)",
            (session, min(models) if name or len(models) == 1 else _SEVERAL, now[:10], read, written, hour, cached, output,
             None if None in cost else max(0.0, cost[0] - cost[1])),
        )  # fmt: skip


def _sums(rows):
    """The tokens of some rows: read anew, written to the cache for five minutes and for an hour, read from it, written."""
    return [sum([row[place] for row in rows]) for place in range(1, 6)]


def _tokens(rows):
    return sum(_sums(rows))


def _dollars(rows):
    """What some rows cost; None where one has no price."""
    costs = [row[6] for row in rows]
    return None if None in costs else sum(costs)
