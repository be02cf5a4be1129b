"""Gathers Facts: what the backbone and the data look like, without torch."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import variants
from ..boundary import OPEN, Boundary
from ..contracts.input import Input
from ..decision import Decided
from ..diagnostics import At, Diagnostic, Refused, Row, Status, listed, quote, refuse
from ..formats import stop
from ..language.places import SPLITS
from ..language.spec import Data, Draft, HeldOut, Skip
from ..store.hashes import identity
from .backbone import BackboneFacts, gather_backbone
from .bad_rows import BadRows, LeftOut
from .columns import Columns, absent, misplaced, resolve
from .inputs_seen import Sketch
from .rows import SKIP, Fingerprint, Opened, Unusable, answers, in_rows, lacks, outside_of, peek, rows
from .tables import open_tables

if TYPE_CHECKING:
    from ..contracts.head import Head
    from ..contracts.reading import RowReader
    from ..contracts.targets import TargetStatistics
    from .recorded import Known

SAMPLE = 1_000
MISSING = 20  # columns that a table lacks, said one by one
NUMBERS = 40  # bits of a row's number; above them a place holds the number of its table
Numbered = tuple[int, dict[str, Any]]  # a row


@dataclass(frozen=True)
class SplitFacts:
    """The rows of a split, read once."""

    tables: tuple[Opened, ...]
    sha256: tuple[str, ...]
    bytes: tuple[int | None, ...]  # of the tables that are files, as they were hashed
    rows: int
    tally: TargetStatistics
    sample: tuple[Any, ...]
    sketch: Sketch | None = None  # of the inputs, where they were read
    places: tuple[int, ...] = ()  # of its rows, where other heads read the same table
    left_out: tuple[LeftOut, ...] = ()  # rows that can't be used, where they were read
    kinds: Mapping[str, int] = field(default_factory=dict)  # these rows by what is wrong with them
    skipped: tuple[str, ...] = ()  # their numbers in each table, as `bad_rows.ranges` writes them

    @property
    def each_skipped(self) -> tuple[str, ...]:
        """What is left out of each table."""
        return self.skipped or ("",) * len(self.tables)

    def place(self, place: int) -> Row:
        """The data row of a place in the sketch."""
        return self.tables[place >> NUMBERS].row(place & ((1 << NUMBERS) - 1))


@dataclass(frozen=True)
class Facts:
    """What the world looks like; `found` holds what already went wrong while looking."""

    backbone: BackboneFacts | None
    columns: Columns
    splits: Mapping[str, SplitFacts]
    preprocessing: Mapping[str, Any] | None
    measured: Mapping[str, float]
    found: tuple[Diagnostic, ...] = ()
    status: Status = Status.FINE  # of the machine, where it kept something from being looked at
    pretrain: tuple[Facts, ...] = ()  # of each stage before the supervised one
    retain: Facts | None = None

    tasks: tuple[Facts, ...] = ()  # of a spec with `heads`: for each as if it were the only one
    # heads → training rows that are for just these
    patterns: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    usual: Decided[int] | None = None  # length of an input, as the backbone's folder asks for it

    @property
    def each(self) -> tuple[Facts, ...]:
        """The facts for each head, as if it were the only one."""
        return self.tasks or (self,)

    def stages(self) -> dict[str, Facts]:
        """What is read besides the rows of the supervised stage, by name."""
        found = {f"pretrain-{i}": seen for i, seen in enumerate(self.pretrain, 1)}
        return found | ({"retain": self.retain} if self.retain else {})


@dataclass
class Gathering:
    """What is being looked at, and what of it was found wrong."""

    spec: Draft
    folder: Path
    known: Known | None = None
    found: list[Diagnostic] = field(default_factory=list)
    columns: Columns | None = None
    absent: set[tuple[str, str]] = field(default_factory=set)  # roles and columns that a table lacks
    status: Status = Status.FINE
    heads: tuple[str, ...] = ()  # that read inputs of one length; by default its own
    boundary: Boundary = OPEN

    @cached_property
    def head(self) -> Head[Any, Any]:
        """The head, or the objective of a stage."""
        return self.spec.head_variant

    @cached_property
    def reader(self) -> RowReader:
        """What reads the input of a row."""
        return variants.reader(str(self.spec.head_type))

    @cached_property
    def input(self) -> Input[Any]:
        """The modality."""
        return self.spec.input_variant

    @cached_property
    def data(self) -> Data:
        """What is written of the data."""
        assert self.spec.data is not None
        return self.spec.data

    def backbone(self, reference: str) -> BackboneFacts | None:
        """The backbone, or that of `reference`; None where it can't be had."""
        if self.spec.backbone is None:
            return None
        try:
            found = gather_backbone(reference or self.spec.backbone.from_, self.folder, boundary=self.boundary)
        except Refused as refused:
            self.note(refused)
            return None
        self.found += found.found
        return found

    def splits(self) -> dict[str, SplitFacts]:
        """Every split whose rows are sound; none where roles are wrong, because then every row would be."""
        if self.known:
            self.columns = self.known.columns
            return dict(self.known.splits)
        wrong = list(misplaced(self.data.columns, str(self.spec.head_type), self.head, self.reader))
        self.found += wrong
        if wrong:
            return {}
        tables = {name: self._tables(name) for name in SPLITS}
        train = _Split(self, "train")
        if tables["train"]:  # whose columns decide for all
            train.begin(tables["train"][0])
        # the others are read first and remembered, so that training rows are held against them as they pass
        others = {name: _Split(self, name) for name in SPLITS if name != "train"}
        found = {name: self._split(split, tables[name]) for name, split in others.items()}
        train.sketch = Sketch([split.sketch for split in others.values()])
        found["train"] = self._split(train, tables["train"])
        return {name: facts for name in SPLITS if (facts := found[name])}

    def look(self) -> None:
        """Whether the data is there, where what its rows should be is not known."""
        for name in SPLITS if self.spec.data and not self.known else ():
            self._tables(name)

    def note(self, refused: Refused, at: At | None = None) -> None:
        """Keeps what was refused, at `at` where it has no place, and whether the machine is at fault; looking goes on."""
        if refused.status != Status.WRONG:
            self.status = refused.status
        for found in (replace(d, at=d.at or at) for d in refused.diagnostics):
            self.add(found)

    def add(self, found: Diagnostic) -> None:
        """Keeps what is wrong with rows; that they may be left out is said at the first of such."""
        if SKIP in found.help and any(SKIP in other.help for other in self.found if other != found):
            found = replace(found, help=found.help.removesuffix(SKIP).removesuffix("; or ").removesuffix(", or "))
        if found not in self.found:
            self.found.append(found)

    def _tables(self, name: str) -> tuple[Opened, ...]:
        entry = getattr(self.data, name)
        if entry is None or isinstance(entry, HeldOut):
            return ()
        try:
            return open_tables(entry, self.folder, ("data", name), self.boundary)
        except Refused as refused:
            self.note(refused)
            return ()

    def _split(self, reader: _Split, tables: tuple[Opened, ...]) -> SplitFacts | None:
        fingerprints = [reader.table(table, number << NUMBERS) for number, table in enumerate(tables)]
        if not reader.is_broken and reader.left is not None:
            self.found += (wrong := tuple(reader.left.too_many(reader.name, reader.count)))
            reader.is_broken = bool(wrong)
        if reader.is_broken or not tables:
            return None
        if not reader.count:
            at, notes = At(("data", reader.name)), [f"read {listed(table.shown for table in tables)}"]
            notes += ["rows without an answer for this head count for the others only"] if reader.is_shared else []
            self.found.append(Diagnostic("E0311", f"the {reader.name} data has no rows", at, notes=tuple(notes)))
            return None
        assert reader.tally is not None  # rows were counted
        digests, sizes = (tuple(f.hexdigest() for f in fingerprints), tuple(f.size for f in fingerprints))
        sample, places, left = tuple(reader.sample), tuple(reader.places), reader.left_out(tables)
        return SplitFacts(tables, digests, sizes, reader.count, reader.tally, sample, reader.sketch, places, **left)


@dataclass(frozen=True)
class _Beginning:
    """A table of which the first rows were read: these, the rest, and why there are no more, if that is a mistake."""

    first: list[Numbered]
    rest: Iterator[Numbered]
    broken: Refused | None
    is_settled: bool  # whether its columns are those that are needed
    identity: str


class _Split:
    """Streams the rows of one split: checks each, counts labels, keeps a seeded sample and hashes of inputs."""

    def __init__(self, gathering: Gathering, name: str) -> None:
        self.gathering, self.name, self.reader = gathering, name, gathering.reader
        self.columns: Columns = {}
        self.targets: list[str] = []
        self.tally: TargetStatistics | None = None
        self.count = 0
        self.is_shared = len(gathering.spec.together) > 1
        self.places: list[int] = []
        self.bad: dict[tuple[str, str], tuple[Unusable, list[int]]] = {}
        bad_rows = gathering.data.bad_rows
        self.left = BadRows(bad_rows.skip) if isinstance(bad_rows, Skip) else None
        self.seen = 0  # rows of the table
        self.is_broken = False
        self.sample: list[Any] = []
        self.begun: dict[Opened, _Beginning] = {}
        self.sketch = Sketch()
        self.random = random.Random(f"{gathering.spec.top.seed if gathering.spec.top else 0} {name}")

    def begin(self, table: Opened) -> None:
        """Reads the first rows of a table, which tell its columns."""
        before, left = identity(table.path), self.left
        numbered = rows(table, partial(left.malformed, table) if left is not None else stop)
        first, broken = peek(numbered)
        self.begun[table] = _Beginning(first, numbered, broken, not first or self._settle(first, table), before)

    def table(self, table: Opened, place: int) -> Fingerprint:
        """Reads a table, whose rows begin at `place`; its fingerprint means nothing where the split is broken."""
        if table not in self.begun:
            self.begin(table)
        begun, fingerprint, self.seen = self.begun.pop(table), Fingerprint(table), 0
        if not begun.is_settled:
            self.is_broken = True
            return fingerprint
        broken = begun.broken
        try:
            if begun.first:
                self._take(table, chain(begun.first, begun.rest if broken is None else ()), place, fingerprint)
        except Refused as refused:
            broken = refused
        if identity(table.path) != begun.identity:  # what was read is of no one state of the file
            self.bad, broken = {}, _unsettled(table)
        if broken is not None:
            self.gathering.note(broken, At(("data", self.name)))
            self.is_broken = True
        self._report(table)
        return fingerprint

    def _settle(self, first: Sequence[tuple[int, Mapping[str, Any]]], table: Opened) -> bool:
        """Which columns play which role: decided by the first table, held against every other."""
        names = dict.fromkeys(name for _, values in first for name in values)
        known = self.gathering.columns
        written, head = self.gathering.data.columns, self.gathering.head
        columns = resolve(written, head, self.reader, names) if known is None else known
        lacking = [(role, name) for role, wanted in columns.items() for name in wanted if name not in names]
        # a column that one table lacks, and that is named nowhere else, is one mistake and not one per table
        new = [pair for pair in lacking if known is not None or pair not in self.gathering.absent]
        told = new[:MISSING]  # each is looked for among all columns
        self.gathering.found += [absent(role, name, names, self.name, table, role in written) for role, name in told]
        self.gathering.absent.update(lacking)
        if lacking:
            return False
        self.columns = self.gathering.columns = columns
        self.targets = [name for role in head.targets for name in columns.get(role, ())]
        self.tally = self.tally or head.tally(columns, self.gathering.spec.head)
        return True

    def _take(self, table: Opened, numbered: Iterable[Numbered], place: int, fingerprint: Fingerprint) -> None:
        """Takes up the sound rows; an input that lies in a file is known by the file's bytes."""
        assert self.tally is not None  # made of the columns, which are settled
        reader, columns, targets, folder = self.reader, self.columns, self.targets, table.folder
        refusal = reader.refusal if self.left is None else reader.damage or reader.refusal
        tell, tally, remember = reader.raw, self.tally.add, self.sketch.add
        in_files, left = reader.in_files, self.left
        spelt = self.gathering.head.spelt
        for number, written in numbered:  # of which a tally tells how it is written
            self.seen += 1
            values: Mapping[str, Any] = spelt(self.gathering.spec.head, written, columns) if spelt else written
            wrong = outside_of(table, reader, values, columns) or refusal(values, columns, folder)
            if not wrong and self.is_shared and targets and lacks(values, targets):
                _ = [fingerprint.add(file) for file in reader.files(values, columns, folder)]
                continue
            wrong = wrong or tally(written, (table.shown, number))
            if wrong:
                wrong = wrong.untold(values) if table.boundary.is_closed else wrong
                if left is not None:
                    left.unusable(table, number, wrong)
                else:
                    self.bad.setdefault((wrong.column, wrong.reason), (wrong, []))[1].append(number)
                continue
            raw = known = tell(values, columns, folder)
            if in_files:
                known = tuple(fingerprint.add(file) for file in reader.files(values, columns, folder)) or raw
            remember(known, answers(values, targets), place + number)
            self.count += 1
            if self.is_shared:
                self.places.append(place + number)
            if self.count <= SAMPLE:
                self.sample.append(raw)
            elif (chosen := int(self.random.random() * self.count)) < SAMPLE:
                self.sample[chosen] = raw

    def left_out(self, tables: Sequence[Opened]) -> dict[str, Any]:
        """What SplitFacts keeps of rows that can't be used."""
        if self.left is None or not self.left.found:
            return {}
        found, order = self.left, {table: i for i, table in enumerate(tables)}
        rows = sorted(found.found, key=lambda left: (order[left.table], left.number))
        return {"left_out": tuple(rows), "kinds": found.kinds, "skipped": found.skipped(tables)}

    def _report(self, table: Opened) -> None:
        """One diagnostic per kind of mistake, at the first of its rows."""
        for wrong, numbers in self.bad.values():
            role = next((role for role, names in self.columns.items() if wrong.column in names), "")
            is_every = len(numbers) == self.seen > 1 and role in self.gathering.data.columns
            found = in_rows(wrong, numbers, table, self.name, role if is_every else "")
            self.gathering.add(found)
        self.is_broken = self.is_broken or bool(self.bad)
        self.bad = {}


def _unsettled(table: Opened) -> Refused:
    headline, help = f"{quote(table.shown)} changed while it was read", "run again once nothing writes to it"
    return refuse("E0351", headline, at=Row(table.shown), help=help)
