"""Encoder of cl100k: tiktoken's extension over the vocabulary that ships with the plugin, made to count.

A count needs no tokens, so texts are cut by a pattern that does not look ahead: the extension runs it as one
automaton, in two thirds of the time. Such a pattern cannot tell the last space before a word from those before
it, so it leaves them out and they are counted here. Every count is tiktoken's own: a test compares them.
"""

import importlib.util
import os
import re
import sys
import threading
import unicodedata
from collections import Counter
from importlib.machinery import PathFinder
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import content_hash
from orchestrator.paths import plugin_root

SEPARATOR = b"\xc0\xc1"  # two bytes that no UTF-8 text contains
HASH = "b2:2e9d5ff8ec2b879732b718f35fa03d7e"
# cl100k's pattern in another form, which cuts every text alike.
_GROUP = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
WHOLE = rf"(?:{_GROUP % ''})|\s+(?!\S)|\s+"
# The same without white space that neither ends a line nor begins a word. The space before a digit stays with
# it: no token has both, so they count as they do apart.
QUICK = _GROUP % r" ?[0-9]\p{N}{0,2}|"
LONGEST = 81  # spaces are one token up to this many

_WHITE = r"\t\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # what \s is, line ends apart
_LEFT_OUT = re.compile(rf"(?<![{_WHITE}])([{_WHITE}]+)(?![{_WHITE}\r\n])(.?)")
_KINDS = bytes(ord(" ") if byte == ord(" ") else ord("\n") if byte in b"\r\n" else ord("x") for byte in range(256))

_encoders: dict[str, Any] = {}
_loading = threading.Lock()


def tokens(text: str) -> int:
    """The tokens of a text. Raises ImportError where tiktoken is missing."""
    kinds = set() if text.isascii() else {unicodedata.category(char) for char in set(text) if char > "\x7f"}
    if "Cn" in kinds:  # a character younger than this Python: only tiktoken knows its kind
        return len(encoder(WHOLE).encode_ordinary(text))
    found = len(encoder(QUICK).encode_ordinary(text))
    odd = "\t" in text or "\v" in text or "\f" in text or "\x85" in text or " " * (LONGEST + 1) in text
    if odd or any(kind[0] in "NZ" for kind in kinds):
        return found + _left_out(text)
    return found + text.encode().translate(_KINDS).count(b"  x") + text.endswith(" ")


def _left_out(text: str) -> int:
    """The tokens of all white space that QUICK leaves out, whatever it is made of."""
    pieces: Counter[str] = Counter()
    for (white, char), times in Counter(_LEFT_OUT.findall(text)).items():
        last = white[-1]
        if not char:
            pieces[white] += times
            continue
        pieces[white[:-1]] += times
        if not (char.isalpha() or last == " " and (char.isascii() or unicodedata.category(char)[0] != "N")):
            pieces[last] += times
    single = encoder(QUICK).encode_single_piece
    return sum(times * len(single(piece.encode())) for piece, times in pieces.items() if piece)


def encoder(pattern: str) -> Any:
    """The extension's encoder for a pattern, built once.

    The extension alone, without the package around it: that is the larger part of what loading costs less
    than `tiktoken.get_encoding`, the other is the vocabulary's form (tests/bench/test_context_speed.py).
    """
    if pattern not in _encoders:
        with _loading:
            if pattern not in _encoders:
                made, words = _extension().CoreBPE, vocabulary()
                _encoders[pattern] = made(dict(zip(words, range(len(words)), strict=True)), {}, pattern)
    return _encoders[pattern]


def vocabulary() -> list[bytes]:
    """The tokens of cl100k in order of rank."""
    path = os.path.join(plugin_root(), "assets", "vocabulary", "cl100k.bin")
    with open(path, "rb") as f:
        data = f.read()
    if content_hash(data) != HASH:
        raise OrchestratorError(f"{path} is not the vocabulary that was shipped: install the plugin again.")
    return data.split(SEPARATOR)


def _extension() -> Any:
    name = "tiktoken._tiktoken"
    if name not in sys.modules:
        package = importlib.util.find_spec("tiktoken")
        spec = package and PathFinder.find_spec(name, package.submodule_search_locations)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError("tiktoken is not installed", name="tiktoken")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]
