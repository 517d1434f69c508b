"""Prices: what a model's tokens cost, from assets/prices.json and the project's own prices.json.

A model is found by its canonical name, whatever stands before and after it (a provider, a date, `[1m]`). One
that is not in the table has no price: its tokens are counted and no cost is made up.
"""

import os

from orchestrator.paths import plugin_root, regular, variable, workspace_of

OWN = "prices.json"  # in the workspace
_MOST = 1_000_000  # bytes of a project's own table
_NAMES = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")

# What one message (a row of temp.messages m) costs at its model's price (a row of temp.prices p), reckoned as
# client 2.1.329 does: the whole prompt decides whether it is a long one (of one that took several goes, each has its row).
COST = """
(SELECT ((m.input * p.input + m.output * p.output + m.cached * p.cache_read
        + m.w1 * COALESCE(p.cache_write_1h, p.cache_write_5m) + m.w5 * p.cache_write_5m) / 1e6
    * CASE WHEN m.geo = 'us' THEN p.us_inference ELSE 1 END + m.searches * p.web_search)
FROM temp.prices p WHERE p.model = m.model
    AND (p.mode = 'standard' OR p.mode = 'fast' AND m.speed = 'fast'
        OR p.mode = 'above' AND m.input + m.cached + m.w5 + m.w1 > p.above)
ORDER BY p.mode = 'standard' LIMIT 1)"""
_FILL = """
UPDATE usage SET cost_usd = (SELECT (input_tokens * p.input + output_tokens * p.output
        + cache_read_tokens * p.cache_read + cache_write_5m_tokens * p.cache_write_5m
        + cache_write_1h_tokens * COALESCE(p.cache_write_1h, p.cache_write_5m)) / 1e6
    FROM temp.prices p WHERE p.model = usage.model AND p.mode = 'standard')
WHERE cost_usd IS NULL AND model IN (SELECT model FROM temp.prices)"""


def canonical(model, names):
    """The name among `names` that a model goes by, or None: the longest one that stands whole in it."""
    low = (model or "").lower()
    best = None
    for name in names:
        at = low.find(name)
        if at < 0 or (at and low[at - 1] not in "./") or not _ends(low[at + len(name) :]):
            continue
        if best is None or len(name) > len(best):
            best = name
    return best


def _ends(rest):
    """Whether a name is over here: what follows is a date, `latest`, a platform's version, a variant, or nothing."""
    if not rest or rest[0] in "@:[" or rest == "-latest":
        return True
    if rest[:2] == "-v" and rest[2:3].isdigit():
        return True
    return rest[:1] == "-" and len(rest) >= 9 and rest[1:9].isdigit() and _ends(rest[9:])


def families(con, models):
    """{model: the name in our table that it goes by}, of those that are in it."""
    names = [row[0] for row in con.execute("SELECT lower(key) FROM json_each(?, '$.models')", (ours(),))]
    found = {model: canonical(model, names) for model in models}
    return {model: name for model, name in found.items() if name}


def ours():
    """The JSON text of our own price table."""
    with open(os.path.join(plugin_root(), "assets", "prices.json"), encoding="utf-8") as f:
        return f.read()


def tables(project):
    """The JSON texts of the price tables, ours first."""
    own = own_table(project)
    return [ours()] if own is None else [ours(), own]


def own_table(project):
    """The JSON text of the project's own price table; None where it has none."""
    try:
        return regular(os.path.join(workspace_of(project), OWN), _MOST).decode("utf-8", "replace")
    except OSError:
        return None


def problems(con, text):
    """What is wrong with a price table, in sentences; an empty list when nothing is."""
    return list(_faults(con, text).values())


def _faults(con, text):
    """{model: what is wrong with its prices}, of which nothing counts; under None what is wrong with the table as a whole."""
    whole = "SELECT CASE WHEN json_valid(?1) THEN json_type(?1, '$.models') END"
    if con.execute(whole, (text,)).fetchone()[0] != "object":
        return {None: "It is not a JSON object with `models`."}
    found = {}
    for name in ("web_search", "us_inference"):
        kind, price = con.execute("SELECT json_type(?1, ?2), json_extract(?1, ?2)", (text, "$." + name)).fetchone()
        if kind is not None and not (kind in ("integer", "real") and _is_price(price)):
            found["", name] = "%s is no price of at least 0." % name
    for model, kind, value in con.execute("SELECT key, type, value FROM json_each(?, '$.models')", (text,)).fetchall():
        if kind != "object":
            found[model] = "%s is no object of prices." % model[:100]
            continue
        wrong = []
        for mode in ("", "fast.", "above."):
            prices = con.execute("SELECT %s" % ", ".join(
                ["CASE WHEN json_type(?1, '$.{0}') IN ('true', 'false') THEN 'no' ELSE json_extract(?1, '$.{0}') END".format(
                    mode + name) for name in _NAMES]), (value,)).fetchone()  # fmt: skip
            if mode and not con.execute("SELECT json_type(?1, ?2)", (value, "$." + mode[:-1])).fetchone()[0]:
                continue
            wrong += [mode + name for name, price in zip(_NAMES, prices)
                      if not (_is_price(price) or price is None and name == "cache_write_1h")]  # fmt: skip
        above = con.execute("SELECT json_type(?1, '$.above'), json_type(?1, '$.above.prompt_tokens')", (value,)).fetchone()
        if above[0] and above[1] != "integer":
            wrong.append("above.prompt_tokens")
        if wrong:
            found[model] = "%s has no price of at least 0 for %s." % (model[:100], ", ".join(wrong))
    return found


def _is_price(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6


def tracked(con):
    """Whether costs are to be worked out: the setting cost_tracking, or ENABLE_COST_TRACKING."""
    kept = con.execute("SELECT value FROM meta WHERE key = 'setting.cost_tracking'").fetchone()
    said = variable("ENABLE_COST_TRACKING") or (kept[0] if kept else None) or "true"
    return said.strip().lower() not in ("false", "0", "no", "off")


def load(con, project, models):
    """Fills temp.prices with the prices of these models; one without a price has no row there."""
    con.execute(
        "CREATE TEMP TABLE IF NOT EXISTS prices (model TEXT, mode TEXT, above INTEGER, %s, "
        "web_search REAL, us_inference REAL)" % ", ".join(_NAMES)
    )
    con.execute("DELETE FROM temp.prices")
    if not models or not tracked(con):
        return
    known, search, geo = {}, 0.0, 1.0
    for own, text in enumerate(tables(project)):
        faults = _faults(con, text) if own else {}
        if None in faults:
            continue
        found = con.execute(
            "SELECT json_extract(?1, '$.web_search'), json_extract(?1, '$.us_inference')", (text,)
        ).fetchone()
        search, geo = [new if _is_price(new) else old for new, old in zip(found, (search, geo))]
        rows = con.execute("SELECT key, value FROM json_each(?, '$.models')", (text,)).fetchall()
        known.update({model.lower(): each for model, each in rows if model not in faults})
    for model in models:
        name = canonical(model, known)
        for path, mode in (("$", "standard"), ("$.fast", "fast"), ("$.above", "above")) if name else ():
            row = con.execute(
                "SELECT json_extract(?1, '$.above.prompt_tokens'), "
                + ", ".join(["json_extract(?1, '%s.%s')" % (path, each) for each in _NAMES]),
                (known[name],),
            ).fetchone()
            if _is_price(row[1]):
                con.execute(
                    "INSERT INTO temp.prices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (model, mode) + row + (search, geo),
                )


def found(con, project):
    """Whether a model whose tokens have no cost yet has a price now: the project's own table came to name it."""
    if not tracked(con):
        return False
    load(con, project, [r[0] for r in con.execute("SELECT DISTINCT model FROM usage WHERE cost_usd IS NULL")])
    return con.execute("SELECT 1 FROM temp.prices LIMIT 1").fetchone() is not None


def fill(con, project):
    """Works out the costs that are missing because their model had no price when it was read.

    Of sums, not of messages: neither fast mode nor long prompts are told apart any more. Returns how many.
    """
    models = [r[0] for r in con.execute("SELECT DISTINCT model FROM usage WHERE cost_usd IS NULL")]
    load(con, project, models)
    return con.execute(_FILL).rowcount
