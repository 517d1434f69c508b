"""A history of any size, filled as years of work would fill it, to measure on.

Usage: python tests/bench/make_history.py FILE [--executions 1000000]

The same number gives the same rows. There are five outputs to an execution, three events, two files, one row of
usage; ten executions to an orchestration, forty to a Claude session. Exit codes: 0 made, 1 FILE is there, 2 usage.
"""

import argparse
import itertools
import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from orchestrator.recording.rollup import PARTS
from orchestrator.store import open as store

TYPES = ["orchestrator:" + role for role in ("builder", "scout", "tester", "reviewer", "analyst", "documenter", "planner")]
TYPES += ["general-purpose", "Explore"]
WEIGHTS = [30, 20, 15, 10, 8, 4, 3, 7, 3]
MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-4-8"]
PRICES = {"claude-opus-5-5": 4e-6, "claude-sonnet-5-5": 2e-6, "claude-haiku-5-5": 1e-7, "claude-opus-4-8": 5e-6}
WORDS = (
    "the parser reads a config file and returns rows for each table while tests cover errors in the queue of writers "
    "that hold a lock until the reader has seen its own index page cache block value field option command answer result"
).split()
SYLLABLES = "ba ce di fo gu ka le mi no pu ra se ti vo zu".split()
WORDS += [a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES]  # 3,375 more, each rarer than the one before
OFTEN = list(itertools.accumulate(1 / rank for rank in range(1, len(WORDS) + 1)))  # as often as words of a language
LETTERS = [chr(0x4E00 + n) for n in range(600)]  # of writing without spaces between its words
BATCH = 20_000


def moment(second):
    """A time of the history's calendar, which begins in 2024."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_704_067_200 + second)) + ".%03dZ" % (second % 1000)


def sentence(dice, length):
    """Words in a row."""
    return " ".join(dice.choices(WORDS, cum_weights=OFTEN, k=length))


def rows(number, of, dice):
    """The rows of one execution: {table: [row, …]}."""
    at = number * 90  # every minute and a half one is deployed
    name, orchestration = "exec-%010d" % number, "orch-%08d" % (number // 10)
    agent_type, model = dice.choices(TYPES, WEIGHTS)[0], dice.choices(MODELS, [40, 35, 15, 10])[0]
    seconds = int(dice.lognormvariate(4.5, 1))
    late = number >= of - 20
    status = "deployed" if late or number % 5000 == 7 else "failed" if dice.random() < 0.08 else "completed"
    begun, ended = moment(at), None if status == "deployed" else moment(at + seconds)
    planned = dice.random() < 0.8
    words = sentence(dice, 40) + (" zirconium" if number % 50_021 == 5 else "")
    if number % 10 == 0:
        words = "".join(dice.choices(LETTERS, cum_weights=OFTEN[: len(LETTERS)], k=20)) + " " + words
    size = dice.randrange(8_000, 90_000)
    used = (size, dice.randrange(5_000, 60_000), 0, dice.randrange(50_000, 900_000), dice.randrange(500, 9_000))
    cost = round(sum(used) * PRICES[model] * 0.3, 6)
    session = "session-%06d" % (number // 40)
    execution = (
        number + 1, name, orchestration if planned else None, "t%d" % (number % 10) if planned else None,
        2 if dice.random() < 0.05 else 1, "planned" if planned else "skill" if number % 997 == 0 else "unplanned", "agent",
        session, "toolu_%09d" % number, "a%016x" % number, agent_type, sentence(dice, 8), model, begun, begun, ended, status,
        None if status == "deployed" else "end_turn" if status == "completed" else "api_error",
        None if status == "deployed" else int(status == "completed"), words if status == "completed" else None,
        "API Error: 500" if status == "failed" else None, size, "bun-%07d" % (number // 3), 12, int(dice.random() < 0.1), 1, 2, 1,
        10, 3, "/nowhere/%s.jsonl" % name, None if late else "", ended or (None if late else moment(number // 40 * 3600 + 9000)),
        None if late else model,
    )  # fmt: skip
    files = ["src/%s/%s.py" % (WORDS[dice.randrange(20)], WORDS[dice.randrange(40)]) for _ in range(3)]
    passed = dice.random() < 0.9
    outputs = [
        (name, "deliverable", '{"file_path": "%s"}' % files[0], ended or begun, files[0], None),
        (name, "validation_result", '{"tests": "%s"}' % ("pass" if passed else "fail"), ended or begun, None, passed),
        *[(name, "insight", "%d %s" % (n, words[n * 20 : n * 20 + 60]), ended or begun, None, None) for n in range(3)],
    ]
    agent = "a%016x" % number
    events = [
        ("%s %s" % (name, kind), begun if n < 2 else ended or begun, kind, session, agent, name, "words" if n != 1 else None)
        for n, kind in enumerate(("intent", "started", "stopped") if ended else ("intent", "started"))
    ]
    usage = [(name, "execution", model, begun[:10], 9, *used, cost)] if not late else []
    touches = [(name, files[1], "read", 2, begun, begun, 0, 0), (name, files[0], "write", 1, begun, ended or begun, 10, 3)]
    return {"executions": [execution], "outputs": outputs, "events": events, "usage": usage, "file_touches": touches}


INSERTS = {
    "executions": "INSERT INTO executions (number, execution_id, orchestration_id, task_id, attempt, origin, runtime, "
    "claude_session_id, tool_use_id, agent_id, agent_type, scope, resolved_model, deployed_at, started_at, completed_at, status, "
    "end_reason, success, final_message, error_message, context_size, bundle_id, calls, refused_calls, failed_calls, files_read, "
    "files_written, lines_added, lines_removed, transcript_path, transcript_hash, usage_read_at, models) VALUES ("
    + ", ".join("?" * 34) + ")",
    "outputs": "INSERT INTO outputs (execution_id, output_type, content, created_at, path, passed) VALUES (?, ?, ?, ?, ?, ?)",
    "events": "INSERT INTO events (dedupe_key, at, kind, claude_session_id, agent_id, execution_id, text) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)",
    "usage": "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "file_touches": "INSERT OR IGNORE INTO file_touches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
}


def make(path, count, say=lambda line: None):
    """Writes the history; indexes, triggers and roll-ups come last, as that is quickest."""
    con = store.connect(path)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000", "temp_store = MEMORY"):
        con.execute("PRAGMA " + pragma).fetchone()
    first, last = [], []
    for statement in store.statements(store._read("execution_db.schema.sql")):
        begins = [line for line in statement.split("\n") if line and not line.startswith("--")][0]
        (last if begins.startswith(("CREATE INDEX", "CREATE UNIQUE", "CREATE TRIGGER")) else first).append(statement)
    for statement in first:
        con.execute(statement)
    dice, begun = random.Random(count), time.monotonic()
    con.execute("BEGIN")
    for start in range(0, count, BATCH):
        batch = {table: [] for table in INSERTS}
        for number in range(start, min(start + BATCH, count)):
            for table, found in rows(number, count, dice).items():
                batch[table] += found
        for table, found in batch.items():
            con.executemany(INSERTS[table], found)
        say("%d of %d executions, %.0f s" % (min(start + BATCH, count), count, time.monotonic() - begun))
    _around(con, count)
    con.execute("COMMIT")
    for statement in last:
        if "TRIGGER" not in statement:
            con.execute(statement)
    say("indexes, %.0f s" % (time.monotonic() - begun))
    _roll_up(con)
    for statement in last:
        if "TRIGGER" in statement:
            con.execute(statement)
    con.execute("PRAGMA user_version = %d" % store.VERSION)
    con.execute("PRAGMA journal_mode = WAL").fetchone()
    con.close()
    say("done, %.0f s, %.2f GB" % (time.monotonic() - begun, os.path.getsize(path) / 1e9))


def _around(con, count):
    """Orchestrations, their tasks, Claude sessions and bundles."""
    each = range(count // 10 + 1)
    times = [moment(number * 900) for number in each]
    con.executemany(
        "INSERT INTO orchestrations (orchestration_id, goal, status, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
        [("orch-%08d" % n, "goal %d" % n, "executing" if n == each[-1] else "completed", times[n], times[n]) for n in each],
    )
    con.executemany(
        "INSERT INTO tasks (orchestration_id, task_id, position, title, agent_type, spec, created_at) "
        "VALUES (?, ?, ?, ?, ?, '{}', ?)",
        (("orch-%08d" % n, "t%d" % t, t, "Task %d" % t, TYPES[t % 7], times[n]) for n in each for t in range(10)),
    )
    con.executemany(
        "INSERT INTO claude_sessions (claude_session_id, host, started_at, ended_at, usage_read_at) "
        "VALUES (?, 'elsewhere', ?, ?, ?)",
        (
            (
                "session-%06d" % n,
                moment(n * 3600),
                None if n * 40 >= count - 40 else moment(n * 3600 + 4000),
                moment(n * 3600 + 9000),
            )
            for n in range(count // 40 + 1)
        ),
    )
    con.executemany(
        "INSERT INTO bundles (bundle_id, agent_type, created_at, total_tokens, how, body) "
        "VALUES (?, ?, ?, 20000, 'estimate', '{}')",
        (("bun-%07d" % n, TYPES[n % 7], moment(n * 270)) for n in range(count // 3 + 1)),
    )


def _roll_up(con):
    """What the triggers would have added up."""
    con.execute("DELETE FROM daily_news")
    con.execute("DELETE FROM usage_news")
    for table, width in (("daily", 2), ("daily_usage", 4)):
        names = [row[1] for row in con.execute("PRAGMA table_info(%s)" % table)]
        key, sums = ", ".join(names[:width]), ", ".join("sum(%s)" % name for name in names[width:])
        con.execute("INSERT INTO %s SELECT %s, %s FROM (%s) GROUP BY %s" % (table, key, sums, PARTS[table], key))
    con.execute("INSERT INTO daily_checks SELECT substr(created_at, 1, 10), sum(passed), sum(1 - passed) FROM outputs "
                "WHERE passed NOT NULL GROUP BY 1")


def main():
    """Makes the history that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--executions", type=int, default=1_000_000)
    given = parser.parse_args()
    if os.path.exists(given.file):
        print("%s is already there." % given.file, file=sys.stderr)
        return 1
    make(given.file, given.executions, lambda line: print(line, file=sys.stderr))
    return 0


if __name__ == "__main__":
    sys.exit(main())
