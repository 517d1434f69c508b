"""Counts: offline, from the shipped vocabulary, cached, and each with how it was obtained."""

import ast
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.context import count_cache, encoder, estimate, margins, tokens, tree
from orchestrator.context.count_cache import FileCache, HistoryCache
from orchestrator.errors import OrchestratorError
from orchestrator.store.open import open_history

ROOT = Path(__file__).resolve().parents[2]
STANDARD = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"


def test_the_vocabulary_is_the_standard_one():
    """The shipped blob, written as the standard file, has the standard hash; it is half as large."""
    lines = [b"%s %d\n" % (base64.b64encode(word), rank) for rank, word in enumerate(encoder.vocabulary())]
    assert hashlib.sha256(b"".join(lines)).hexdigest() == STANDARD
    assert (ROOT / "assets/vocabulary/cl100k.bin").stat().st_size < 850_000
    assert "MIT License" in (ROOT / "assets/vocabulary/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("hello world", 2),
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
        ("<|endoftext|>", 7),
    ],
)
def test_known_counts(text, count):
    """Texts whose cl100k counts are published; special tokens are plain text here."""
    assert tokens.count(text) == (count, "tiktoken:cl100k")


@pytest.fixture(scope="module")
def standard():
    """tiktoken's own cl100k_base, its pattern and all, over our copy of the vocabulary."""
    import tiktoken
    from tiktoken_ext import openai_public

    load, words = openai_public.load_tiktoken_bpe, encoder.vocabulary()
    openai_public.load_tiktoken_bpe = lambda *_, **__: {word: rank for rank, word in enumerate(words)}
    try:
        return tiktoken.Encoding(**openai_public.cl100k_base())
    finally:
        openai_public.load_tiktoken_bpe = load


pieces = st.sampled_from(
    [
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "'",
        "'LL",
        "'s",
        "a",
        "Zé",
        "12345",
        "_",
        "({",
        "日本",
        "\u00a0",
        "\u2028",
        " " * 81,
        "\v",
        "\f",
        "\x1c",
        "\x85",
        "1²",
        "²",
        "٣",
        "一",
        "\u0301",
        "\U0001fae0",
        "\U00011f50",
        "/",
    ]
)


@settings(max_examples=500, deadline=None)
@given(text=st.one_of(st.text(max_size=80), st.text(st.characters(), max_size=9), st.lists(pieces, max_size=40).map("".join)))
def test_every_count_is_the_standard_one(standard, text):
    """Whatever the text, our count is the one that tiktoken's own encoding gives."""
    assert tokens.count(text)[0] == len(standard.encode_ordinary(text))


def test_the_vocabulary_is_one_for_which_counting_by_runs_is_exact():
    """Spaces are one token up to as many as is assumed, no token has a space before a digit, and a file that is
    not the one shipped is refused.
    """
    words = encoder.vocabulary()
    assert {b" " * n for n in range(1, encoder.LONGEST + 1)} <= set(words)
    assert not [word for word in words if re.search(rb" [0-9]", word)]


def test_a_vocabulary_that_is_not_the_one_shipped_is_refused(tmp_path, monkeypatch):
    """A file that was cut or changed gives no counts, but a sentence that says what to do."""
    (tmp_path / "assets/vocabulary").mkdir(parents=True)
    whole = (ROOT / "assets/vocabulary/cl100k.bin").read_bytes()
    (tmp_path / "assets/vocabulary/cl100k.bin").write_bytes(whole[:-1])
    monkeypatch.setattr(encoder, "plugin_root", lambda: str(tmp_path))
    with pytest.raises(OrchestratorError, match="install the plugin again"):
        encoder.vocabulary()


def test_counting_needs_no_network(monkeypatch):
    """No socket is opened, in a process that has no cache of tiktoken's either."""
    code = (
        "import socket, sys; sys.path.insert(0, sys.argv[1])\n"
        "def no(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = no; socket.getaddrinfo = no\n"
        "from orchestrator.context import tokens; print(tokens.count('hello world'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "scripts")],
        capture_output=True,
        text=True,
        env={"TIKTOKEN_CACHE_DIR": "/nonexistent", "HOME": "/nonexistent"},
    )
    assert done.stdout.strip() == "(2, 'tiktoken:cl100k')", done.stderr
    assert socket.socket.connect


def test_without_tiktoken_the_estimate_says_so():
    """Where tiktoken cannot be imported a count comes from the estimator and is called one."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.modules['tiktoken'] = None\n"
        "from orchestrator.context import tokens\n"
        "print(tokens.count('hello world')[1], tokens.Counter().count('hello world')[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ROOT / "scripts")], capture_output=True, text=True)
    assert done.stdout.split() == ["estimate", "estimate"], done.stderr


def test_the_vocabulary_is_not_loaded_when_all_counts_are_cached(tmp_path):
    """A second run over the same texts neither reads the vocabulary nor imports tiktoken."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from orchestrator.context import tokens; from orchestrator.context.count_cache import FileCache\n"
        "c = tokens.Counter(FileCache(sys.argv[2])); print(c.count('some text'), 'tiktoken._tiktoken' in sys.modules)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, str(ROOT / "scripts"), str(tmp_path / "c.db")],
            capture_output=True,
            text=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert runs == ["(2, 'tiktoken:cl100k') True", "(2, 'tiktoken:cl100k') False"]


def test_a_count_is_kept_by_content_and_by_how(tmp_path):
    """The cache keeps exact and estimated counts apart, and gives back only what was asked for."""
    cache = HistoryCache(open_history(str(tmp_path / "h.db")))
    exact, rough = tokens.Counter(cache, exact=True), tokens.Counter(cache, exact=False)
    text = "def f():\n    return 'a rather long line of text, twice as long as it should be'\n"
    assert exact.count(text)[1] == "tiktoken:cl100k"
    assert rough.count(text) == (estimate.tokens(text), "estimate")
    digest = tokens.text_hash(text)
    assert cache.get([digest, "b2:none"], "tiktoken:cl100k") == {digest: exact.count(text)[0]}


def test_many_texts_are_counted_in_their_order_and_once(tmp_path):
    """Counting many gives what counting each gives, and each different text is counted once."""
    texts = ["word " * n for n in (5, 1, 400, 5, 0)]
    cache = FileCache(str(tmp_path / "x" / "c.db"))
    assert tokens.Counter(cache).count_many(texts) == [tokens.count(t) for t in texts]
    assert cache.con.execute("SELECT count(*) FROM token_counts").fetchone() == (4,)


def test_more_text_than_may_wait_is_counted_all_the_same(monkeypatch):
    """Texts beyond the span that may wait are taken as they are done."""
    monkeypatch.setattr(tokens, "SPAN", 50)
    texts = [f"number {n} " * n for n in range(40)]
    assert tokens.Counter().count_many(texts) == [tokens.count(t) for t in texts]


def test_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    """A file whose state is as it was when read needs no reading; a changed or young one is read."""
    (tmp_path / "p").mkdir()
    old, young = tmp_path / "p/old.txt", tmp_path / "p/young.txt"
    old.write_text("one two three")
    cache = FileCache(str(tmp_path / "c.db"))
    monkeypatch.setattr(count_cache, "YOUNG", -1)
    first = tree.count_paths([str(tmp_path / "p")], tokens.Counter(cache), None, cache)
    read = []
    monkeypatch.setattr(
        tree, "_bytes", lambda name, full, counted: read.append(name) or Path(full).read_bytes()
    )
    monkeypatch.setattr(count_cache, "YOUNG", 60_000_000_000)
    young.write_text("four five")
    second = tree.count_paths([str(tmp_path / "p")], tokens.Counter(cache), None, cache)
    assert read == ["young.txt"] and second.files["old.txt"] == first.files["old.txt"]
    old.write_text("one two three four")
    third = tree.count_paths([str(tmp_path / "p")], tokens.Counter(cache), None, cache)
    assert read == ["young.txt", "old.txt", "young.txt"] and third.files["old.txt"] == (4, 18)


def test_a_cache_file_that_cannot_be_used_counts_as_empty(tmp_path):
    """A broken cache file costs the cache, not the count."""
    path = tmp_path / "c.db"
    path.write_bytes(b"this is no database" * 100)
    assert tokens.Counter(FileCache(str(path))).count("hello world") == (2, "tiktoken:cl100k")


@given(st.text(max_size=400))
def test_any_text_can_be_counted(text):
    """Whatever the text, both ways give a number that is not negative, and nothing only for nothing."""
    for n in (tokens.count(text)[0], estimate.tokens(text)):
        assert n >= 0 and (n > 0) == bool(text)


def described(source):
    """A module as JSON: its functions and classes with what they say and take."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return [
        {"name": node.name, "line": node.lineno, "doc": ast.get_docstring(node), "public": node.name[0] != "_",
         "args": [arg.arg for arg in node.args.args] if isinstance(node, ast.FunctionDef) else None}
        for node in found
    ]  # fmt: skip


def test_the_estimate_is_near_on_code_markdown_and_json():
    """On the standard library's code, on the installed packages' Markdown pages and on JSON made of both, the
    95th percentile of the error is at most 12 %, for each kind by itself (the test prints them).
    """
    code = sorted(Path(os.__file__).parent.glob("*.py"))[:120]
    sources = [p.read_text(encoding="utf-8") for p in code if p.stat().st_size > 1500]
    pages = [str(d.metadata.get_payload()) for d in distributions()]
    known = [{k: v for k, v in d.metadata.items() if k != "Description"} for d in distributions()]
    data = [json.dumps(each, indent=n % 3 or None) for n, each in enumerate([*map(described, sources), *known])]
    groups = {
        "code": sources,
        "Markdown": [page for page in pages if len(page) > 1500 and "#" in page],
        "JSON": [text for text in data if len(text) > 800],
    }
    worst = {}
    for kind, texts in groups.items():
        exact = tokens.Counter().count_many(texts)
        errors = sorted(abs(estimate.tokens(t) - n) / n for t, (n, _) in zip(texts, exact, strict=True))
        worst[kind] = errors[int(0.95 * len(errors))]
        print(f"{len(texts)} texts of {kind}: p95 of the error {100 * worst[kind]:.1f} %")
        assert len(texts) >= 20
    assert max(worst.values()) <= 0.12, worst


@pytest.mark.parametrize(
    ("model", "family", "window"),
    [
        ("claude-sonnet-4-5-20250929", "up to 4.6", 200_000),
        ("claude-opus-4-6", "up to 4.6", 200_000),
        ("claude-opus-4-8[1m]", "4.7 and later", 1_000_000),
        ("claude-opus-5-5", "4.7 and later", 1_000_000),
        ("claude-haiku-4-5-20251001", "up to 4.6", 200_000),
        ("claude-mythos-5-1", "4.7 and later", 1_000_000),
        ("opus", "4.7 and later", 200_000),
        ("", "not known", 200_000),
        ("gpt-9", "not known", 200_000),
    ],
)
def test_margins_and_windows_by_model(model, family, window):
    """A model's family and window come from the table; an unknown one gets the largest margin and 200,000
    (S0-44).
    """
    assert family in margins.factors(model)[1]
    assert margins.window(model) == window


@pytest.mark.parametrize("model", ["gpt-9", "claude-opus-9", "claude-unknown-9", ""])
def test_no_window_is_known_of_a_model_that_the_table_does_not_name(model):
    """A model that is newer than the table has no known window, whoever made it."""
    assert margins.known_window(model) is None


def test_every_margin_names_its_source():
    """Each figure of the table says where it comes from."""
    table = margins.table()
    for row in [*table["families"], *table["windows"], table["overhead"]]:
        assert len(row["source"]) > 10


def test_what_a_model_will_count_is_more_than_we_count():
    """The expectation applies the margin of each kind of text (S0-72)."""
    sources = [("a.py", 1000), ("b.md", 1000), ("c.json", 1000), ("task t1", 1000)]
    assert margins.expected("claude-sonnet-4-5", sources)[0] == 4720
    assert margins.expected("claude-opus-5-5", sources)[0] == 1400 + 1550 + 1500 + 1550
