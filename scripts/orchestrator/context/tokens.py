"""Token counts: tiktoken over the vocabulary that ships with the plugin, or an estimate where tiktoken is
missing.

A count is always a pair: the number and how it was obtained. Nothing here touches the network, and the
vocabulary is not loaded while every count asked for is in the cache.
"""

import importlib.util
import os
from collections import deque
from typing import Any, Iterable, Optional, Protocol

from orchestrator.context import encoder, estimate
from orchestrator.model.ids import content_hash

EXACT = "tiktoken:cl100k"
ESTIMATE = estimate.HOW
SPAN = 8_000_000  # characters of text that may wait to be counted

Count = tuple[int, str]
_usable = True  # tiktoken, until its import has failed


class Cache(Protocol):
    """Counts kept by content hash, so that a text is counted once."""

    def get(self, hashes: list[str], how: str) -> dict[str, int]: ...

    def put(self, counts: dict[str, int], how: str) -> None: ...


def available() -> bool:
    """Whether counts will be exact; answered without loading the vocabulary."""
    return importlib.util.find_spec("tiktoken") is not None and _usable


def count(text: str) -> Count:
    """The tokens of a text, and how they were counted."""
    global _usable
    if not _usable:
        return estimate.tokens(text), ESTIMATE
    try:
        return encoder.tokens(text), EXACT
    except UnicodeEncodeError:  # half a pair of surrogates; whole pairs become what they stand for
        return count(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except ImportError:
        _usable = False
    except BaseException as error:  # the extension panics, outside Exception, on what its regex cannot take
        if type(error).__name__ != "PanicException" and not isinstance(error, ValueError):
            raise
    return estimate.tokens(text), ESTIMATE


def text_hash(text: str) -> str:
    """The address of a text: of its UTF-8 bytes, as blobs are addressed."""
    return content_hash(text.encode("utf-8", "surrogatepass"))


_addresses: dict[str, str] = {}  # of texts that are asked for again and again


def address(text: str) -> str:
    """The same for a text of a bundle, computed once."""
    if text not in _addresses:
        _addresses[text] = text_hash(text)
    return _addresses[text]


def addressed(text: str, data: bytes, digest: str) -> None:
    """Tells the address of bytes; it is the text's when they are its UTF-8."""
    if text not in _addresses and text.encode("utf-8", "replace") == data:
        _addresses[text] = digest


class Counter:
    """Counts many texts, from a cache where it has them, on as many threads as there are cores.

    `remember`: the same texts will be asked for again and again, so their addresses are kept.
    """

    def __init__(self, cache: Optional[Cache] = None, exact: Optional[bool] = None, remember: bool = False):
        self.cache = cache
        self._hash = address if remember else text_hash
        self.how = EXACT if (available() if exact is None else exact) else ESTIMATE
        self._known: dict[str, Count] = {}

    def count(self, text: str) -> Count:
        """One text."""
        return self.count_many([text])[0]

    def count_many(self, texts: Iterable[str]) -> list[Count]:
        """The texts in their order, each different one counted once."""
        texts = list(texts)
        hashes = [self._hash(text) for text in texts]
        missing = self.recall(hashes)
        if missing:
            pairs = {h: t for h, t in zip(hashes, texts, strict=True) if h in missing}
            largest = sorted(pairs.items(), key=lambda pair: -len(pair[1]))  # so that no thread ends late
            self.stream(largest)
        return [self._known[h] for h in hashes]

    def recall(self, hashes: list[str]) -> set[str]:
        """Brings known counts in from the cache; the hashes that are left are to be counted."""
        missing = {h for h in hashes if h not in self._known}
        if self.cache and missing:
            found = self.cache.get(sorted(missing), self.how)
            self._known.update((h, (n, self.how)) for h, n in found.items())
            missing -= found.keys()
        return missing

    def known(self, digest: str) -> Optional[Count]:
        """The count of a text whose hash was recalled or counted."""
        return self._known.get(digest)

    def stream(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Counts (hash, text) pairs while the next are being made; at most SPAN characters wait."""
        waiting: deque[tuple[str, int, Any]] = deque()
        held = 0
        fresh: dict[str, int] = {}
        pool = None

        def take() -> int:
            digest, size, future = waiting.popleft()
            counted = future.result()
            self._known[digest] = counted
            if counted[1] == self.how:
                fresh[digest] = counted[0]
            return size

        try:
            for digest, text in pairs:
                if pool is None:
                    from concurrent.futures import ThreadPoolExecutor  # dearer to import than a warm run

                    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
                waiting.append((digest, len(text), pool.submit(self._one, text)))
                held += len(text)
                while held > SPAN:
                    held -= take()
            while waiting:
                take()
        finally:
            if pool:
                pool.shutdown()
        if self.cache and fresh:
            self.cache.put(fresh, self.how)

    def _one(self, text: str) -> Count:
        return count(text) if self.how == EXACT else (estimate.tokens(text), ESTIMATE)
