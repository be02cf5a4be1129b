"""Gathers Facts: the backbone and the data, examined without torch."""

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
from .answered import Answered
from .backbone import BackboneFacts, gather_backbone
from .bad_rows import BadRows, LeftOut
from .columns import Columns, absent, misplaced, resolve
from .inputs_seen import Sketch
from .rows import SKIP, Fingerprint, Mistake, Opened, answers, in_rows, lacks, outside_of, peek, rows
from .tables import open_tables

if TYPE_CHECKING:
    from ..contracts.head import Head
    from ..contracts.reading import RowReader
    from ..contracts.targets import TargetStatistics
    from .recorded import Known

SAMPLE = 1_000  # rows in the sample of inputs
MISSING = 20  # the most missing columns that are reported
NUMBERS = 40  # bits of a place for the row's number; the bits above are the table's
Numbered = tuple[int, dict[str, Any]]  # (number of a row, its values)


@dataclass(frozen=True)
class SplitFacts:
    """The facts of a split, from one pass over its rows."""

    tables: tuple[Opened, ...]
    sha256: tuple[str, ...]
    bytes: tuple[int | None, ...]  # sizes of the tables that are files, None for folders
    rows: int
    tally: TargetStatistics
    sample: tuple[Any, ...]
    sketch: Sketch | None = None  # hashes of inputs; None where rows were not read
    answered: Answered | None = None  # rows with a target, where other heads read the same table
    left_out: tuple[LeftOut, ...] = ()  # unusable rows; empty where rows were not read
    kinds: Mapping[str, int] = field(default_factory=dict)  # number of unusable rows by kind of fault
    skipped: tuple[str, ...] = ()  # numbers of unusable rows of each table, as `bad_rows.ranges` writes them

    @property
    def each_skipped(self) -> tuple[str, ...]:
        """The numbers of left-out rows of each table."""
        return self.skipped or ("",) * len(self.tables)

    def place(self, place: int) -> Row:
        """The row at a place of the sketch."""
        return self.tables[place >> NUMBERS].row(place & ((1 << NUMBERS) - 1))


@dataclass(frozen=True)
class Facts:
    """The backbone and the data of a spec; `found` holds diagnostics of gathering."""

    backbone: BackboneFacts | None
    columns: Columns
    splits: Mapping[str, SplitFacts]
    preprocessing: Mapping[str, Any] | None
    measured: Mapping[str, float]
    found: tuple[Diagnostic, ...] = ()
    status: Status = Status.FINE  # not FINE where the machine prevented an examination
    pretrain: tuple[Facts, ...] = ()  # facts of each stage of `pretrain`
    retain: Facts | None = None

    tasks: tuple[Facts, ...] = ()  # with `heads`: facts of each head by itself
    # heads → number of training rows with targets for exactly these
    patterns: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    usual: Decided[int] | None = None  # length of inputs that the backbone's folder names

    @property
    def each(self) -> tuple[Facts, ...]:
        """The facts of each head by itself."""
        return self.tasks or (self,)

    def stages(self) -> dict[str, Facts]:
        """The facts of other phases, by name: `pretrain-1` …, `retain`."""
        found = {f"pretrain-{i}": seen for i, seen in enumerate(self.pretrain, 1)}
        return found | ({"retain": self.retain} if self.retain else {})


@dataclass
class Gathering:
    """The gathering of the facts of one head: its spec, and diagnostics so far."""

    spec: Draft
    folder: Path
    known: Known | None = None
    found: list[Diagnostic] = field(default_factory=list)
    columns: Columns | None = None
    absent: set[tuple[str, str]] = field(default_factory=set)  # (role, column) pairs that a table lacks
    status: Status = Status.FINE
    heads: tuple[str, ...] = ()  # heads that share the length of inputs; empty for this head alone
    boundary: Boundary = OPEN

    @cached_property
    def head(self) -> Head[Any, Any]:
        """The record of the head or objective."""
        return self.spec.head_variant

    @cached_property
    def reader(self) -> RowReader:
        """The reader of a row's input."""
        return variants.reader(str(self.spec.head_type))

    @cached_property
    def input(self) -> Input[Any]:
        """The record of the modality."""
        return self.spec.input_variant

    @cached_property
    def data(self) -> Data:
        """The section `data` of the spec."""
        assert self.spec.data is not None
        return self.spec.data

    def backbone(self, reference: str) -> BackboneFacts | None:
        """The facts of the backbone, or of `reference`; None where it can't be read."""
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
        """Every split with sound rows; none where roles are wrong, because every row would be wrong then."""
        if self.known:
            self.columns = self.known.columns
            return dict(self.known.splits)
        wrong = list(misplaced(self.data.columns, str(self.spec.head_type), self.head, self.reader))
        self.found += wrong
        if wrong:
            return {}
        tables = {name: self._tables(name) for name in SPLITS}
        train = _Split(self, "train")
        if tables["train"]:  # its columns decide for all tables
            train.begin(tables["train"][0])
        # other splits are read first, so that training rows can be compared with them in one pass
        others = {name: _Split(self, name) for name in SPLITS if name != "train"}
        found = {name: self._split(split, tables[name]) for name, split in others.items()}
        train.sketch = Sketch([split.sketch for split in others.values()])
        found["train"] = self._split(train, tables["train"])
        return {name: facts for name in SPLITS if (facts := found[name])}

    def look(self) -> None:
        """Checks only that the data exists, where it is unknown how to read its rows."""
        for name in SPLITS if self.spec.data and not self.known else ():
            self._tables(name)

    def note(self, refused: Refused, at: At | None = None) -> None:
        """Keeps the diagnostics of a refusal, at `at` where they have no place, and its status."""
        if refused.status != Status.WRONG:
            self.status = refused.status
        for found in (replace(d, at=d.at or at) for d in refused.diagnostics):
            self.add(found)

    def add(self, found: Diagnostic) -> None:
        """Keeps a diagnostic on rows; only the first of them advises to leave rows out."""
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
        assert reader.tally is not None  # set with the first row
        digests, sizes = (tuple(f.hexdigest() for f in fingerprints), tuple(f.size for f in fingerprints))
        sample, answered = tuple(reader.sample), reader.answered if reader.is_shared else None
        seen = (tables, digests, sizes, reader.count, reader.tally, sample, reader.sketch, answered)
        return SplitFacts(*seen, **reader.left_out(tables))


@dataclass(frozen=True)
class _Beginning:
    """The first rows of a table, an iterator over the rest, and the error that ended reading, if any."""

    first: list[Numbered]
    rest: Iterator[Numbered]
    broken: Refused | None
    is_settled: bool  # whether it has the needed columns
    identity: str


class _Split:
    """Streams the rows of one split: checks and counts them, samples inputs by seed, and hashes inputs."""

    def __init__(self, gathering: Gathering, name: str) -> None:
        self.gathering, self.name, self.reader = gathering, name, gathering.reader
        self.columns: Columns = {}
        self.targets: list[str] = []
        self.tally: TargetStatistics | None = None
        self.count = 0
        self.is_shared = len(gathering.spec.together) > 1
        self.answered = Answered()
        self.bad: dict[tuple[str, str], Mistake] = {}
        bad_rows = gathering.data.bad_rows
        self.left = BadRows(bad_rows.skip) if isinstance(bad_rows, Skip) else None
        self.seen = 0  # rows of the current table
        self.is_broken = False
        self.sample: list[Any] = []
        self.begun: dict[Opened, _Beginning] = {}
        self.sketch = Sketch()
        self.random = random.Random(f"{gathering.spec.top.seed if gathering.spec.top else 0} {name}")

    def begin(self, table: Opened) -> None:
        """Reads the first rows of a table, which show its columns."""
        before, left = identity(table.path), self.left
        numbered = rows(table, partial(left.malformed, table) if left is not None else stop)
        first, broken = peek(numbered)
        self.begun[table] = _Beginning(first, numbered, broken, not first or self._settle(first, table), before)

    def table(self, table: Opened, place: int) -> Fingerprint:
        """Reads a table with places from `place` on; its fingerprint is meaningless where the split is broken."""
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
        if identity(table.path) != begun.identity:  # the file changed while it was read
            self.bad, broken = {}, _unsettled(table)
        if broken is not None:
            self.gathering.note(broken, At(("data", self.name)))
            self.is_broken = True
        self._report(table)
        return fingerprint

    def _settle(self, first: Sequence[tuple[int, Mapping[str, Any]]], table: Opened) -> bool:
        """Decides the columns of each role by the first table, and checks every other table for them."""
        names = dict.fromkeys(name for _, values in first for name in values)
        known = self.gathering.columns
        written, head = self.gathering.data.columns, self.gathering.head
        columns = resolve(written, head, self.reader, names) if known is None else known
        lacking = [(role, name) for role, wanted in columns.items() for name in wanted if name not in names]
        # a column that all tables lack is reported once
        new = [pair for pair in lacking if known is not None or pair not in self.gathering.absent]
        told = new[:MISSING]  # each is compared with all columns, so their number is limited
        self.gathering.found += [absent(role, name, names, self.name, table, role in written) for role, name in told]
        self.gathering.absent.update(lacking)
        if lacking:
            return False
        self.columns = self.gathering.columns = columns
        self.targets = [name for role in head.targets for name in columns.get(role, ())]
        self.tally = self.tally or head.tally(columns, self.gathering.spec.head)
        return True

    def _take(self, table: Opened, numbered: Iterable[Numbered], place: int, fingerprint: Fingerprint) -> None:
        """Reads the rows of a table; an input in a file is identified by the file's bytes."""
        assert self.tally is not None  # set by `_settle`
        reader, columns, targets, folder = self.reader, self.columns, self.targets, table.folder
        refusal = reader.refusal if self.left is None else reader.damage or reader.refusal
        tell, tally, remember = reader.raw, self.tally.add, self.sketch.add
        in_files, left = reader.in_files, self.left
        spelt = self.gathering.head.spelt
        for number, written in numbered:  # a tally sees rows as written
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
                    self.bad.setdefault((wrong.column, wrong.reason), Mistake(wrong)).add(number)
                continue
            raw = known = tell(values, columns, folder)
            if in_files:
                known = tuple(fingerprint.add(file) for file in reader.files(values, columns, folder)) or raw
            remember(known, answers(values, targets), place + number)
            self.count += 1
            if self.is_shared:
                self.answered.add(place >> NUMBERS, number)
            if self.count <= SAMPLE:
                self.sample.append(raw)
            elif (chosen := int(self.random.random() * self.count)) < SAMPLE:
                self.sample[chosen] = raw

    def left_out(self, tables: Sequence[Opened]) -> dict[str, Any]:
        """The fields of SplitFacts on unusable rows."""
        if self.left is None or not self.left.found:
            return {}
        found, order = self.left, {table: i for i, table in enumerate(tables)}
        rows = sorted(found.found, key=lambda left: (order[left.table], left.number))
        return {"left_out": tuple(rows), "kinds": found.kinds, "skipped": found.skipped(tables)}

    def _report(self, table: Opened) -> None:
        """Adds one diagnostic for each kind of mistake, at its first row."""
        for mistake in self.bad.values():
            role = next((role for role, names in self.columns.items() if mistake.wrong.column in names), "")
            is_every = mistake.count == self.seen > 1 and role in self.gathering.data.columns
            found = in_rows(mistake, table, self.name, role if is_every else "")
            self.gathering.add(found)
        self.is_broken = self.is_broken or bool(self.bad)
        self.bad = {}


def _unsettled(table: Opened) -> Refused:
    headline, help = f"{quote(table.shown)} changed while it was read", "run again once nothing writes to it"
    return refuse("E0351", headline, at=Row(table.shown), help=help)
