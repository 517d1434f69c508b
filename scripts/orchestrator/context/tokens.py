"""Token counts: tiktoken over the vocabulary that ships with the plugin, or an estimate where tiktoken is
missing.

A count is always a pair: the number and how it was obtained. Nothing here touches the network, and the
vocabulary is not loaded while every count asked for is in the cache.
"""

import os
import zlib
from typing import Any, Callable, Iterable, Optional, Protocol

from orchestrator.context import estimate
from orchestrator.model.ids import content_hash
from orchestrator.paths import plugin_root

EXACT = "tiktoken:cl100k"
ESTIMATE = estimate.HOW
SEPARATOR = b"\xc0\xc1"  # two bytes that no UTF-8 text contains
# cl100k's pattern in another form: what needs no looking ahead stands in one group, which the engine runs as
# one automaton, about twice as fast as tiktoken's own form. It cuts every text alike: a test compares them.
PATTERN = (
    r"(?:(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+)|\s+(?!\S)|\s+"
)
BATCH = 2_000_000  # bytes of text counted before the caller hears of it

Count = tuple[int, str]


class Cache(Protocol):
    """Counts kept by content hash, so that a text is counted once."""

    def get(self, hashes: list[str], how: str) -> dict[str, int]: ...

    def put(self, counts: dict[str, int], how: str) -> None: ...


def vocabulary() -> list[bytes]:
    """The tokens of cl100k in order of rank."""
    with open(os.path.join(plugin_root(), "assets", "vocabulary", "cl100k.bin"), "rb") as f:
        return zlib.decompress(f.read()).split(SEPARATOR)


_encoding: Any = None


def _encoder() -> Any:
    """The tiktoken encoding, built once; None where tiktoken cannot be used."""
    global _encoding
    if _encoding is None:
        try:
            import tiktoken
        except ImportError:
            _encoding = False
        else:
            words = vocabulary()
            ranks = dict(zip(words, range(len(words)), strict=True))
            _encoding = tiktoken.Encoding("cl100k", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    return _encoding or None


def available() -> bool:
    """Whether counts will be exact; answered without loading the vocabulary."""
    import importlib.util

    return _encoding is not False and importlib.util.find_spec("tiktoken") is not None


def count(text: str) -> Count:
    """The tokens of a text, and how they were counted."""
    encoder = _encoder()
    return _count_with(encoder, text) if encoder else (estimate.tokens(text), ESTIMATE)


def _count_with(encoder: Any, text: str) -> Count:
    try:
        return len(encoder.encode_ordinary(text)), EXACT
    except BaseException as error:  # the extension panics, outside Exception, on what its regex cannot take
        if type(error).__name__ != "PanicException" and not isinstance(error, ValueError):
            raise
        return estimate.tokens(text), ESTIMATE


def text_hash(text: str) -> str:
    """The address of a text: of its UTF-8 bytes, as blobs are addressed."""
    return content_hash(text.encode("utf-8", "surrogatepass"))


class Counter:
    """Counts many texts, from a cache where it has them, on as many threads as there are cores.

    `remember`: the same texts will be asked for again and again, so their hashes are kept.
    """

    def __init__(self, cache: Optional[Cache] = None, exact: Optional[bool] = None, remember: bool = False):
        self.cache = cache
        self._hashes: Optional[dict[str, str]] = {} if remember else None
        self.how = EXACT if (available() if exact is None else exact) else ESTIMATE
        self._known: dict[str, Count] = {}

    def count(self, text: str) -> Count:
        """One text."""
        return self.count_many([text])[0]

    def count_many(
        self, texts: Iterable[str], progress: Optional[Callable[[int], None]] = None
    ) -> list[Count]:
        """The texts in their order. `progress` hears how many texts are done, each time some are."""
        texts = list(texts)
        hashes = [self._hash(text) for text in texts]
        missing = self.recall(hashes)
        known = len(set(hashes) - missing)
        if progress and known:
            progress(known)
        self._count_missing(
            [(h, t) for h, t in dict(zip(hashes, texts, strict=True)).items() if h in missing], progress
        )
        return [self._known[h] for h in hashes]

    def _hash(self, text: str) -> str:
        if self._hashes is None:
            return text_hash(text)
        digest = self._hashes.get(text)
        if digest is None:
            digest = self._hashes[text] = text_hash(text)
        return digest

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

    def _count_missing(
        self, wanted: list[tuple[str, str]], progress: Optional[Callable[[int], None]]
    ) -> None:
        if not wanted:
            return
        encoder = _encoder() if self.how == EXACT else None
        wanted.sort(
            key=lambda pair: len(pair[1]), reverse=True
        )  # the largest first, so that no thread ends late
        fresh: dict[str, int] = {}

        def one(pair: tuple[str, str]) -> tuple[str, Count]:
            digest, text = pair
            return digest, _count_with(encoder, text) if encoder else (estimate.tokens(text), ESTIMATE)

        from concurrent.futures import ThreadPoolExecutor  # costs more to import than a warm run takes

        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for batch in _batches(wanted):
                for digest, counted in pool.map(one, batch) if encoder else map(one, batch):
                    self._known[digest] = counted
                    if counted[1] == self.how:
                        fresh[digest] = counted[0]
                if progress:
                    progress(len(batch))
        if self.cache and fresh:
            self.cache.put(fresh, self.how)


def _batches(pairs: list[tuple[str, str]]) -> Iterable[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    size = 0
    for pair in pairs:
        batch.append(pair)
        size += len(pair[1])
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
