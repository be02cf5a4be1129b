"""Gathers Facts: what the backbone and the data look like, without torch."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import variants
from ..diagnostics import At, Diagnostic, Refused, Row, Status, clean, listed, nearest, quote
from ..language.spec import Data, Draft, HeldOut
from .backbone import BackboneFacts, gather_backbone
from .paths import absolute
from .rows import Opened, Unusable, fingerprint, rows
from .tables import open_tables

SAMPLE = 2_000
SHOWN = 5  # rows named per kind of mistake
MOST = 12  # columns named
HEADER = 50  # rows that show which columns there are: a row of JSON may leave some out
SPLITS = ("train", "validation", "test")
Columns = dict[str, tuple[str, ...]]
Written = Mapping[str, str | tuple[str, ...]]  # what `data.columns` says


@dataclass(frozen=True)
class SplitFacts:
    """The rows of a split, read once."""

    tables: tuple[Opened, ...]
    sha256: tuple[str, ...]
    rows: int
    tally: Any
    sample: tuple[Any, ...]


@dataclass(frozen=True)
class Facts:
    """What the world looks like; `found` holds what already went wrong while looking."""

    backbone: BackboneFacts | None
    columns: Columns
    splits: Mapping[str, SplitFacts]
    preprocessing: Mapping[str, Any] | None
    measured: Mapping[str, float]
    found: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class Known:
    """What an earlier look at the data found, taken as it is: its files are not opened."""

    columns: Columns
    splits: Mapping[str, SplitFacts]
    measured: Mapping[str, float]


@dataclass
class _Gathering:
    spec: Draft
    folder: Path
    known: Known | None = None
    found: list[Diagnostic] = field(default_factory=list)
    columns: Columns | None = None
    absent: set[tuple[str, str]] = field(default_factory=set)  # roles and columns that a table lacks

    @cached_property
    def head(self) -> ModuleType:
        return variants.load("heads", str(self.spec.head_type))

    @cached_property
    def reader(self) -> ModuleType:
        return variants.reader(str(self.spec.head_type))

    @cached_property
    def input(self) -> ModuleType:
        return variants.load("inputs", str(self.spec.modality))

    @cached_property
    def data(self) -> Data:
        assert self.spec.data is not None
        return self.spec.data

    def backbone(self, reference: str) -> BackboneFacts | None:
        if self.spec.backbone is None:
            return None
        try:
            return gather_backbone(reference or self.spec.backbone.from_, self.folder)
        except Refused as refused:
            self.note(refused)
            return None

    def splits(self) -> dict[str, SplitFacts]:
        """Every split whose rows are sound; none where roles are wrong, because then every row would be."""
        if self.known:
            self.columns = self.known.columns
            return dict(self.known.splits)
        wrong = list(misplaced(self.data.columns, str(self.spec.head_type), self.head, self.reader))
        self.found += wrong
        return {} if wrong else {name: facts for name in SPLITS if (facts := self._split(name))}

    def look(self) -> None:
        """Whether the data is there, where what its rows should be is not known."""
        for name in SPLITS if self.spec.data and not self.known else ():
            self._tables(name)

    def note(self, refused: Refused) -> None:
        """Keeps what was refused, unless the machine is at fault: then nothing more can be said."""
        if refused.status != Status.WRONG:
            raise refused
        self.found += [d for d in refused.diagnostics if d not in self.found]

    def _tables(self, name: str) -> tuple[Opened, ...]:
        entry = getattr(self.data, name)
        if entry is None or isinstance(entry, HeldOut):
            return ()
        try:
            return open_tables(entry, self.folder, ("data", name))
        except Refused as refused:
            self.note(refused)
            return ()

    def _split(self, name: str) -> SplitFacts | None:
        tables = self._tables(name)
        if not tables:
            return None
        reader = _Split(self, name)
        digests = [reader.table(table) for table in tables]
        if reader.is_broken:
            return None
        if not reader.count:
            notes = (f"read {listed(table.shown for table in tables)}",)
            self.found.append(Diagnostic("E0311", f"the {name} data has no rows", At(("data", name)), notes=notes))
            return None
        return SplitFacts(tables, tuple(digests), reader.count, reader.tally, tuple(reader.sample))


class _Split:
    """Streams the rows of one split: checks each, counts labels, keeps a seeded sample."""

    def __init__(self, gathering: _Gathering, name: str) -> None:
        self.gathering, self.name = gathering, name
        self.columns: Columns = {}
        self.tally: Any = None
        self.count = 0
        self.bad: dict[tuple[str, str], tuple[Unusable, list[int]]] = {}
        self.is_broken = False
        self.sample: list[Any] = []
        self.random = random.Random(f"{gathering.spec.top.seed if gathering.spec.top else 0} {name}")

    def table(self, table: Opened) -> str:
        """Reads a table; returns its fingerprint, which means nothing where the split is broken."""
        files: list[Path] = []
        numbered = rows(table)
        first, broken = _peek(numbered)
        if first and not self._settle(first, table):
            self.is_broken = True
            return ""
        try:
            for number, values in chain(first, numbered if broken is None else ()):
                if self._row(table, number, values):
                    files += self.gathering.reader.files(values, self.columns, table.folder)
            if broken is not None:
                raise broken
        except Refused as refused:
            self.gathering.note(refused)
            self.is_broken = True
        self._report(table)
        return "" if self.is_broken else fingerprint(table, files)

    def _settle(self, first: Sequence[tuple[int, Mapping[str, Any]]], table: Opened) -> bool:
        """Which columns play which role: decided by the first table, held against every other."""
        names = dict.fromkeys(name for _, values in first for name in values)
        known = self.gathering.columns
        written, head, input = self.gathering.data.columns, self.gathering.head, self.gathering.reader
        columns = resolve(written, head, input, names) if known is None else known
        absent = [(role, name) for role, wanted in columns.items() for name in wanted if name not in names]
        # a column that one table lacks, and that is named nowhere else, is one mistake and not one per table
        new = [pair for pair in absent if known is not None or pair not in self.gathering.absent]
        self.gathering.found += [_absent(role, name, names, self.name, table) for role, name in new]
        self.gathering.absent.update(absent)
        if absent:
            return False
        self.columns = self.gathering.columns = columns
        self.tally = self.tally or head.Tally(columns)
        return True

    def _row(self, table: Opened, number: int, values: dict[str, Any]) -> bool:
        wrong = self.gathering.reader.refusal(values, self.columns, table.folder)
        wrong = wrong or self.tally.add(values, (table.shown, number))
        if wrong:
            self.bad.setdefault((wrong.column, wrong.reason), (wrong, []))[1].append(number)
            return False
        self.count += 1
        if len(self.sample) < SAMPLE:
            self.sample.append(self.gathering.reader.raw(values, self.columns, table.folder))
        elif self.random.random() < SAMPLE / self.count:
            self.sample[self.random.randrange(SAMPLE)] = self.gathering.reader.raw(values, self.columns, table.folder)
        return True

    def _report(self, table: Opened) -> None:
        """One diagnostic per kind of mistake, at the first of its rows."""
        for wrong, numbers in self.bad.values():
            shown = ", ".join(map(str, numbers[:SHOWN])) + (", …" if len(numbers) > SHOWN else "")
            count = f"{len(numbers)} rows of the {self.name} data: {shown}" if len(numbers) > 1 else ""
            notes = tuple(note for note in (wrong.detail, count) if note)
            headline = f"{quote(wrong.column)} {wrong.reason}"
            self.gathering.found.append(Diagnostic(wrong.code, headline, Row(table.shown, numbers[0]), notes=notes))
        self.is_broken = self.is_broken or bool(self.bad)
        self.bad = {}


def _peek(numbered: Iterator[Any]) -> tuple[list[Any], Refused | None]:
    """The first rows, and why there are no more, if that is a mistake."""
    first: list[Any] = []
    try:
        for row in islice(numbered, HEADER):
            first.append(row)
    except Refused as refused:
        return first, refused
    return first, None


def misplaced(columns: Written, task: str, head: ModuleType, input: ModuleType) -> Iterator[Diagnostic]:
    """What is wrong with the roles under `data.columns`, whatever the data."""
    roles = (*input.ROLES, *head.TARGETS)
    for role, names in columns.items():
        at = At(("data", "columns", role), "not one of its roles", on_key=True)
        if role not in roles:
            notes = (f"roles: {', '.join(roles)}",)
            headline = f"{quote(role)} is not a role of `{task}`"
            yield Diagnostic("E0312", headline, at, notes=notes, help=nearest(role, roles))
        elif isinstance(names, tuple) and len(names) > 1 and role not in input.JOINED:
            yield Diagnostic("E0312", f"`{role}` takes one column", At(at.path, f"these are {len(names)}"))
    written = [role for role in head.TARGETS if role in columns]
    if len(written) > 1:
        at = At(("data", "columns", written[1]), "one of the two", on_key=True)
        also = (At(("data", "columns", written[0]), "the other", on_key=True),)
        headline = f"`{written[0]}` and `{written[1]}` are both given"
        yield Diagnostic("E0312", headline, at, also, help="`label` is for one label per row, `labels` for any number")


def resolve(columns: Written, head: ModuleType, input: ModuleType, names: Collection[str]) -> Columns:
    """Which columns play which role: as written, else the column of the role's own name, there or not."""
    written = {role: name if isinstance(name, tuple) else (name,) for role, name in columns.items()}
    found: Columns = {}
    for role in input.ROLES:
        if role in written or role in names or role not in input.OPTIONAL:
            found[role] = written.get(role, (role,))
    targets = [role for role in head.TARGETS if role in written] or [role for role in head.TARGETS if role in names]
    for role in (targets or head.TARGETS)[:1]:
        found[role] = written.get(role, (role,))
    return found


def _absent(role: str, name: str, names: Collection[str], split: str, table: Opened) -> Diagnostic:
    at = At(("data", "columns", role) if role != name else ("data", split))
    help = nearest(name, names) if role != name else f"name it under `data.columns`: `{role}: <column>`"
    headline = f"{quote(table.shown)} has no column {quote(name)}"
    return Diagnostic("E0312", headline, at, (), (f"its columns: {', '.join(map(clean, list(names)[:MOST]))}",), help)


def gather(spec: Draft, folder: Path, reference: str = "", known: Known | None = None) -> Facts:
    """Looks at everything that the sound parts of a spec refer to; paths are relative to `folder`.

    `reference` is a backbone to be taken instead of the spec's, pinned where that is open; with `known`, no data is
    read. What is wrong stands in the result's `found`. Raises Refused with status 4 where the machine is at fault.
    """
    gathering = _Gathering(spec, folder, known)
    gathering.found += absolute(spec, folder)
    backbone = gathering.backbone(reference)
    is_other = bool(backbone and spec.modality and spec.modality != backbone.family.MODALITY)
    if spec.data is None or spec.modality is None or "columns" in spec.lost or is_other:
        # rows would be held against a head or roles that are not meant; `problems` says so
        gathering.look()
        return Facts(backbone, {}, {}, None, {}, tuple(gathering.found))
    splits = gathering.splits()
    preprocessing, measured = None, {}
    if backbone and spec.input is not None:
        input, source = gathering.input, backbone.located.folder
        room = backbone.room(spec.method, spec.adapt)
        try:
            preprocessing = input.preprocessing(source, backbone.config, spec.input, room, gathering.columns or {})
            if hasattr(gathering.head, "reads"):
                preprocessing |= gathering.head.reads(spec.head, spec.input, gathering.columns or {})
            if known:
                measured = dict(known.measured)
            elif "train" in splits:
                measured = input.measure(splits["train"].sample, preprocessing, source)
        except Refused as refused:
            gathering.note(refused)
    return Facts(backbone, gathering.columns or {}, splits, preprocessing, measured, tuple(gathering.found))
