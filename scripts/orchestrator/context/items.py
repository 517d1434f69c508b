"""Items: pieces of context with where they come from, what they weigh and how much of them is sent."""

import os
from dataclasses import dataclass, field
from typing import Any, Iterable, Optional

from orchestrator.context import files, sections
from orchestrator.context.clean_texts import CleanTexts
from orchestrator.context.files import Source, Unreadable
from orchestrator.context.outline import outline
from orchestrator.context.sections import NoSection, Spec
from orchestrator.context.tokens import address
from orchestrator.model import globs
from orchestrator.model.redact import redact

TYPES = ("file", "reference", "briefing", "shared_context", "result", "document")
PRIORITIES = ("required", "recommended", "optional")
LATER = "an earlier task writes it; read it when you start"
GAP = "[lines %d-%d are left out]\n"


@dataclass(frozen=True)
class Request:
    """Something asked for: a spec of a file, as what it is to count, and how much it matters."""

    spec: str
    type: str = "file"
    priority: str = "required"


@dataclass
class Item:
    """One piece of context. `form` says how much of it is sent: all, sections, outline, pointers, diff or
    path.
    """

    type: str
    source: str
    priority: str = "required"
    sections: list[str] = field(default_factory=list)
    text: str = ""  # what was asked for, redacted
    form: str = "all"
    sent: str = ""  # what the agent gets of it
    tokens: int = 0
    how: str = ""
    reason: str = ""  # why less, or something else, is sent
    file: Optional[Source] = None
    masked: list[tuple[str, int]] = field(default_factory=list)
    shared_with: list[str] = field(default_factory=list)
    needs: list[int] = field(
        default_factory=list
    )  # places, in the bundle, of items that its pointers lead to
    full_tokens: int = 0  # of all of `text`, which is sent when one of those is not
    first_line: int = 1
    pointers: list[Any] = field(default_factory=list)  # the lines of `sent` that stand for others
    base: str = ""  # label of the item that a diff is against
    why_absent: str = ""  # why it could not be given at all

    def __post_init__(self) -> None:
        self.asked = "all" if self.form in ("pointers", "diff") else self.form
        self.sent = self.sent or self.text

    @property
    def sent_hash(self) -> str:
        """The address of what is sent."""
        return address(self.sent)

    def reset(self) -> None:
        """Undoes every cut: the item is again what was asked for."""
        self.form, self.sent, self.reason = self.asked, self.text, ""
        self.needs, self.pointers, self.base = [], [], ""
        if not self.included:
            self.reason = self.why_absent

    @property
    def included(self) -> bool:
        """Whether any of its text is sent."""
        return self.form != "path"

    @property
    def label(self) -> str:
        """The item in words: its source and sections."""
        return self.source + (", " + "; ".join(self.sections) if self.sections else "")

    @property
    def identity(self) -> str:
        """What was asked for: two tasks whose items have the same identity want the same text."""
        return "\x1f".join([self.source, "\x1e".join(self.sections), self.asked, address(self.text)])

    def as_json(self) -> dict[str, Any]:
        """The item as the bundle's JSON holds it: the seed's keys, then ours."""
        out: dict[str, Any] = {
            "type": self.type,
            "source": self.source,
            "token_count": self.tokens,
            "priority": self.priority,
            "sections": self.sections,
            "form": self.form,
            "included": self.included,
            "how": self.how,
            "item_hash": self.sent_hash if self.included else None,
        }
        if self.full_tokens > self.tokens:
            out["full_tokens"] = self.full_tokens
        if self.shared_with or self.type == "shared_context":
            out["shared_with"] = self.shared_with
        if self.reason:
            out["reason"] = self.reason
        if self.pointers:
            out["pointers"] = [
                {"line": p.at, "item": p.item, "from": p.first, "lines": p.count} for p in self.pointers
            ]
        if self.needs:
            out["needs"] = self.needs
        if self.base:
            out["diff_against"] = self.base
        if self.masked:
            out["masked"] = [{"kind": kind, "count": n} for kind, n in self.masked]
        if self.file:
            out.update(file_hash=self.file.file_hash, size=self.file.size, mtime_ns=self.file.mtime_ns)
        return out


class Shelf:
    """The project's files as they are at this moment, each read, masked and cut once however many bundles
    want it.
    """

    def __init__(self, root: str, clean: Optional[CleanTexts] = None):
        self.root, self.clean = root, clean
        self._read: dict[tuple[str, bool], Source] = {}
        self._masked: dict[str, tuple[str, list[tuple[str, int]]]] = {}
        self._matching: dict[str, list[str]] = {}
        self._outlines: dict[str, Optional[str]] = {}
        self._found: dict[tuple[str, Spec], tuple[int, int]] = {}

    def has(self, text: str) -> bool:
        """Whether a name is that of a file here, of a section of one, or a glob of some."""
        try:
            path = sections.parse(text, self.root).path
            return _exists(self.root, path) or globs.is_glob(path) and bool(self.matching(path))
        except (Unreadable, NoSection, ValueError):
            return False

    def source(self, path: str, whole: bool = True) -> Source:
        """The file, read once."""
        if (path, whole) not in self._read:
            self._read[path, whole] = files.read(self.root, path, whole)
        return self._read[path, whole]

    def masked(self, source: Source) -> tuple[str, list[tuple[str, int]]]:
        """A file's text without its secrets, and what was masked."""
        digest = source.file_hash
        if digest not in self._masked:
            if self.clean is not None and digest in self.clean:
                self._masked[digest] = (source.text, [])
            else:
                clean, hits = redact(source.text)
                self._masked[digest] = (clean, [(kind, n) for kind, n in hits])
                if self.clean is not None and not hits and clean == source.text:
                    self.clean.add(digest)
        return self._masked[digest]

    def outline(self, path: str, text: str) -> Optional[str]:
        """The outline of a file, made once."""
        if path not in self._outlines:
            self._outlines[path] = outline(path, text)
        return self._outlines[path]

    def section(self, path: str, spec: Spec, text: str) -> tuple[int, int]:
        """Where a section lies, found once."""
        if (path, spec) not in self._found:
            self._found[path, spec] = sections.find(spec, path, text)
        return self._found[path, spec]

    def matching(self, pattern: str) -> list[str]:
        """The files a glob means, listed once."""
        if pattern not in self._matching:
            self._matching[pattern] = files.matching(self.root, pattern)
        return self._matching[pattern]


def gather(
    shelf: Shelf, requests: Iterable[Request], pending: Iterable[str] = ()
) -> tuple[list[Item], list[str]]:
    """The items that are asked for, in the order asked, one for each file; and a sentence for each fault.

    A file named in several ways is one item with all its sections. `pending` are globs of files that earlier
    tasks will write: such a file may be missing, and is then given by its path.
    """
    wanted: dict[str, list[tuple[Request, Spec]]] = {}
    faults: list[str] = []
    waits = list(pending)
    for request in requests:
        try:
            spec = sections.parse(request.spec, shelf.root)
            for path in _paths(shelf, spec):
                wanted.setdefault(path, []).append((request, spec))
        except (Unreadable, NoSection) as error:
            faults.append(str(error))
    items = []
    held: set[Spec] = set()  # what was asked for and is in some file
    lacking: dict[Spec, str] = {}  # a section that a file found by a glob does not have
    for path, named in wanted.items():
        later = any(globs.matches(w, path) for w in waits)
        try:
            absent = _absent(shelf, path, named)
            there = [each for each in named if each[1] not in absent]
            if absent and later and not any(spec.whole for _, spec in there):
                items.append(_later(path, named))
                continue
            lacking.update({spec: why for spec, why in absent.items() if spec.path != path})
            faults += [why for spec, why in absent.items() if spec.path == path and not later]
            if there:
                items.append(_item(shelf, path, there))
                held.update(spec for _, spec in there)
            elif any(spec.path != path for spec in absent):
                items.append(_unusable(path, named, next(iter(absent.values()))))
        except (Unreadable, NoSection) as error:
            if isinstance(error, NoSection):
                lacking.update({spec: str(error) for _, spec in named if spec.path != path and not spec.whole})
            if later:
                items.append(_later(path, named))
            elif any(spec.path != path for _, spec in named):  # found by a glob: named and left out
                items.append(_unusable(path, named, str(error).removeprefix(path + " ")))
            else:
                faults.append(str(error))
    for spec, why in lacking.items():
        if spec not in held:
            faults.append(f"No file that {spec.path} matches has what is asked for: {why}")
    return items, faults


def _absent(shelf: Shelf, path: str, named: list[tuple[Request, Spec]]) -> dict[Spec, str]:
    """What a file was to have and has not, each with a sentence; told also where all of the file is sent."""
    absent: dict[Spec, str] = {}
    for _, spec in named:
        if not spec.whole and spec.symbol != sections.OUTLINE:
            try:
                shelf.section(path, spec, shelf.source(path, any(s.whole for _, s in named)).text)
            except NoSection as error:
                absent[spec] = str(error)
    return absent


def _paths(shelf: Shelf, spec: Spec) -> list[str]:
    if not globs.is_glob(spec.path) or _exists(shelf.root, spec.path):
        return [files.plain(shelf.root, spec.path)]
    found = shelf.matching(spec.path)
    if not found:
        raise Unreadable(f"{spec.path} matches no file that git does not ignore.")
    return found


def _exists(root: str, path: str) -> bool:
    return os.path.lexists(os.path.join(root, path))


def _weight(named: list[tuple[Request, Spec]]) -> tuple[str, str]:
    """Of several requests for one file: the type of the first, the strongest priority."""
    return named[0][0].type, min((r.priority for r, _ in named), key=PRIORITIES.index)


def _later(path: str, named: list[tuple[Request, Spec]]) -> Item:
    kind, priority = _weight(named)
    labels = [spec.label for _, spec in named if spec.label]
    return Item(kind, path, priority, labels, form="path", reason=LATER, why_absent=LATER)


def _unusable(path: str, named: list[tuple[Request, Spec]], why: str) -> Item:
    kind, priority = _weight(named)
    return Item(kind, path, priority, form="path", reason=why, why_absent=why)


def _item(shelf: Shelf, path: str, named: list[tuple[Request, Spec]]) -> Item:
    kind, priority = _weight(named)
    whole = any(spec.whole for _, spec in named)
    source = shelf.source(path, whole)
    if whole:
        text, masked = shelf.masked(source)
        return Item(kind, path, priority, [], text, file=source, masked=masked)
    if all(spec.symbol == sections.OUTLINE for _, spec in named):
        return _outlined(shelf, path, kind, priority, source)
    labels: list[str] = []
    ranges: list[tuple[int, int]] = []
    for _, spec in named:
        if spec.symbol != sections.OUTLINE and spec.label not in labels:
            labels.append(spec.label)
            ranges.append(shelf.section(path, spec, source.text))
    text, masked, first = _cut(shelf, source, ranges)
    return Item(
        kind, path, priority, labels, text, form="sections", file=source, masked=masked, first_line=first
    )


def _outlined(shelf: Shelf, path: str, kind: str, priority: str, source: Source) -> Item:
    clean, masked = shelf.masked(source)
    short = shelf.outline(path, clean)
    if short is None:
        raise NoSection(f"No outline can be made of {path}: name its lines or symbols instead.")
    return Item(kind, path, priority, ["outline"], short, form="outline", file=source, masked=masked)


def _cut(
    shelf: Shelf, source: Source, ranges: list[tuple[int, int]]
) -> tuple[str, list[tuple[str, int]], int]:
    """The lines in these ranges, in the file's order, each once, with a mark where lines are left out."""
    clean, masked = shelf.masked(source)
    original = sections.lines_of(source.text)
    lines: list[list[str]] = (
        [[line] for line in original] if clean == source.text else _aligned(original, clean)
    )
    out: list[str] = []
    last = 0
    for first, end in sorted(ranges):
        first = max(first, last + 1)
        if first > end:
            continue
        if last and first > last + 1:
            out.append(GAP % (last + 1, first - 1))
        for line in lines[first - 1 : end]:
            out.extend(line)
        if out and not out[-1].endswith("\n"):
            out[-1] += "\n"
        last = end
    return "".join(out), masked if clean != source.text else [], min(first for first, _ in ranges)


def _aligned(original: list[str], clean: str) -> list[list[str]]:
    """For each line of the original, the lines that stand for it in the masked text: a mask may span lines,
    and a section that begins or ends inside the span gets the mask, not a piece of the secret.
    """
    import difflib

    masked = sections.lines_of(clean)
    out: list[list[str]] = [[] for _ in original]
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, original, masked, autojunk=False).get_opcodes():
        if kind == "equal" or a2 - a1 == b2 - b1:
            for offset in range(a2 - a1):
                out[a1 + offset] = [masked[b1 + offset]]
        else:
            for at in range(a1, a2):
                out[at] = masked[b1:b2] if at == a1 else []
            if a1 == a2 and a1 < len(out):
                out[a1] = masked[b1:b2] + out[a1]
    return out
