"""Gathers Facts: what the backbone and the data look like, without torch."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from . import variants
from .backbone import BackboneFacts, gather_backbone
from .diagnostics import At, Diagnostic, Refused, Row, listed, nearest
from .rows import Opened, fingerprint, open_tables, rows
from .spec import HeldOut, Spec

SAMPLE = 2_000
SHOWN = 3
SPLITS = ("train", "validation", "test")
Columns = dict[str, tuple[str, ...]]


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


@dataclass
class _Gathering:
    spec: Spec
    folder: Path
    found: list[Diagnostic] = field(default_factory=list)
    columns: Columns | None = None

    @property
    def head(self) -> ModuleType:
        return variants.load("heads", self.spec.head_type)

    @property
    def input(self) -> ModuleType:
        return variants.load("inputs", self.spec.modality)

    def backbone(self) -> BackboneFacts | None:
        try:
            return gather_backbone(self.spec.backbone.from_, self.folder)
        except Refused as refused:
            if refused.status != 1:
                raise
            self.found += refused.diagnostics
            return None

    def split(self, name: str) -> SplitFacts | None:
        entry = getattr(self.spec.data, name)
        if entry is None or isinstance(entry, HeldOut):
            return None
        try:
            tables = open_tables(entry, self.folder, ("data", name))
            return self._read(name, tables)
        except Refused as refused:
            if refused.status != 1:
                raise
            self.found += refused.diagnostics
            return None

    def _read(self, name: str, tables: tuple[Opened, ...]) -> SplitFacts | None:
        reader = _Split(self, name)
        digests = [reader.table(table) for table in tables]
        if reader.broken:
            return None
        if not reader.count:
            shown = ", ".join(table.shown for table in tables)
            self.found.append(
                Diagnostic("E0311", f"the {name} data has no rows", At(("data", name)), notes=(f"read {shown}",))
            )
            return None
        return SplitFacts(tables, tuple(digests), reader.count, reader.tally, tuple(reader.sample))


class _Split:
    """Streams the rows of one split: checks each, counts labels, keeps a seeded sample."""

    def __init__(self, gathering: _Gathering, name: str) -> None:
        self.gathering, self.name = gathering, name
        self.columns: Columns | None = None
        self.tally: Any = None
        self.count = 0
        self.bad: dict[str, int] = {}
        self.broken = False
        self.sample: list[Any] = []
        self.random = random.Random(f"{gathering.spec.top.seed} {name}")

    def table(self, table: Opened) -> str:
        files: list[Path] = []
        first = True
        for number, values in rows(table):
            if first and not self._settle(values, table):
                self.broken = True
                break
            first = False
            self._row(table, number, values)
            files += self.gathering.input.files(values, self.columns, table.folder)
        self._report()
        return fingerprint(table, files)

    def _settle(self, values: dict[str, Any], table: Opened) -> bool:
        columns, found = resolve(
            self.gathering.spec, self.gathering.head, self.gathering.input, values, self.name, table
        )
        self.gathering.found += [d for d in found if d not in self.gathering.found]
        if found or columns is None:
            return False
        self.columns = columns
        self.gathering.columns = self.gathering.columns or columns
        self.tally = self.tally or self.gathering.head.Tally(columns)
        return True

    def _row(self, table: Opened, number: int, values: dict[str, Any]) -> None:
        wrong = self.gathering.input.refusal(values, self.columns, table.folder) or self.tally.add(
            values, (table.shown, number)
        )
        if wrong:
            column, reason = wrong
            self.bad[reason] = self.bad.get(reason, 0) + 1
            if self.bad[reason] <= SHOWN:
                code = "E0316" if reason.startswith("image") else "E0313"
                self.gathering.found.append(
                    Diagnostic(code, f"`{column}` {reason}", Row(table.shown, number), (At(("data", self.name)),))
                )
            return
        self.count += 1
        if len(self.sample) < SAMPLE:
            self.sample.append(self.gathering.input.raw(values, self.columns, table.folder))
        elif self.random.random() < SAMPLE / self.count:
            self.sample[self.random.randrange(SAMPLE)] = self.gathering.input.raw(values, self.columns, table.folder)

    def _report(self) -> None:
        for reason, count in self.bad.items():
            if count > SHOWN:
                self.gathering.found.append(
                    Diagnostic(
                        "E0313", f"{count - SHOWN} more rows of the {self.name} data: {reason}", At(("data", self.name))
                    )
                )
        self.broken = self.broken or bool(self.bad)
        self.bad = {}


def resolve(
    spec: Spec, head: ModuleType, input: ModuleType, values: Mapping[str, Any], split: str, table: Opened
) -> tuple[Columns | None, list[Diagnostic]]:
    """Which columns play which role: as written, else the column of the role's own name."""
    written = {role: names if isinstance(names, tuple) else (names,) for role, names in spec.data.columns.items()}
    roles = (*input.ROLES, *head.TARGETS)
    found = [
        Diagnostic("E0312", f"`{role}` is not a role of `{spec.head_type}`", At(("data", "columns", role), on_key=True), notes=(f"roles: {', '.join(roles)}",), help=nearest(role, roles))
        for role in written if role not in roles
    ]  # fmt: skip
    columns: Columns = {role: written.get(role, (role,)) for role in roles if role in written or role in values}
    targets = [role for role in head.TARGETS if role in columns]
    if len(targets) > 1 and not any(role in written for role in targets):
        columns = {role: names for role, names in columns.items() if role not in targets[1:]}
    elif len(targets) > 1:
        keep = [role for role in targets if role in written]
        columns = {role: names for role, names in columns.items() if role not in targets or role in keep[:1]}
    needed = [role for role in input.ROLES if role not in input.OPTIONAL]
    missing = [role for role in needed if role not in columns] + (
        [head.TARGETS[0]] if head.TARGETS and not targets else []
    )
    found += [_absent(role, role, values, split, table) for role in missing]
    for role, names in columns.items():
        found += [_absent(role, name, values, split, table) for name in names if name not in values]
    return (None if found else columns), found


def _absent(role: str, name: str, values: Mapping[str, Any], split: str, table: Opened) -> Diagnostic:
    at = At(("data", "columns", role)) if role != name else At(("data", split))
    close = nearest(name, values)
    help = close or f"name it under `data.columns`: `{role}: <column>`"
    return Diagnostic(
        "E0312", f"`{table.shown}` has no column `{name}`", at, (), (f"its columns: {listed(map(str, values))}",), help
    )


def gather(spec: Spec, folder: Path) -> Facts:
    """Looks at everything a spec refers to; paths are relative to `folder`.

    What is wrong stands in the result's `found`. Raises Refused with status 4 where the machine is at fault.
    """
    gathering = _Gathering(spec, folder)
    backbone = gathering.backbone()
    splits = {name: facts for name in SPLITS if (facts := gathering.split(name))}
    preprocessing, measured = None, {}
    if backbone and gathering.columns and spec.modality == backbone.family.MODALITY:
        try:
            preprocessing = gathering.input.preprocessing(
                backbone.located.folder, backbone.config, spec.input, backbone.longest, gathering.columns
            )
            if "train" in splits and not list(gathering.input.problems(spec.input, backbone.longest)):
                measured = gathering.input.measure(splits["train"].sample, preprocessing, backbone.located.folder)
        except Refused as refused:
            gathering.found += refused.diagnostics
    return Facts(backbone, gathering.columns or {}, splits, preprocessing, measured, tuple(gathering.found))
