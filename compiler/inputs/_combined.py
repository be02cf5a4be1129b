"""Inputs of several modalities together: the backbone reads the first, the head adds readings for the others.

A record of preprocessing holds the record of each modality under `readings`. Arrays are named by modality and name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import create_model

from ..contracts.input import Input
from ..contracts.options import TokenLengths
from ..contracts.reading import Columns, Record, Row, RowReader
from ..decision import Decided
from ..diagnostics import Diagnostic
from ..facts.rows import Unusable
from ..frozen import Frozen

if TYPE_CHECKING:
    import numpy as np

Parts = Mapping[str, Input[Any]]


class _CutIntoTokens(TokenLengths, Frozen):
    """Options of a combined input with a tokenized part."""


def combined(word: str, parts: Parts) -> Input[Any]:
    """The record of an input made of several modalities, by their words; `word` is its name in the plan."""
    whole, every = _Combined(word, parts), tuple(parts.values())
    return Input(
        options=_options(parts),
        arrays=tuple(f"{name}.{array}" for name, part in parts.items() for array in part.arrays),
        reader=_reader(parts),
        preprocessing=whole.preprocessing,
        decided=whole.decided,
        misfits=whole.misfits,
        problems=lambda options, longest: (d for part in every for d in part.problems(_own(part, options), longest)),
        measure=whole.measure,
        statistics=tuple(word for part in every for word in part.statistics),
        doubts=whole.doubts,
        stored=lambda record, measured: sum(part.stored(own, measured) for _, part, own in whole.each(record)),
        samples=whole.samples,
        array=whole.array,
        shortest=whole.shortest,
        assets=whole.first.assets,
        portable=lambda value: {name: parts[name].portable(own) for name, own in value.items()},
        shown=(),  # by the plan's readings, of which each has its own
        example=whole.example,
        typed=lambda record: " ".join(f"{name}={part.typed(own)}" for name, part, own in whole.each(record)),
        limits=lambda record: " ".join(part.limits(own) for _, part, own in whole.each(record)),
        packages=tuple(dict.fromkeys(package for part in every for package in part.packages)),
    )


class _Combined:
    """The functions of a combined input, made of those of its parts; the backbone's part comes first."""

    def __init__(self, word: str, parts: Parts) -> None:
        self.word, self.parts = word, parts
        self.name, self.first = next(iter(parts.items()))

    def each(self, record: Record) -> Iterator[tuple[str, Input[Any], Record]]:
        """(word, part, record) of each part with a reading; those that the head adds come after the backbone's."""
        readings = record.get("readings", {})
        return ((name, part, readings[name]) for name, part in self.parts.items() if name in readings)

    def preprocessing(
        self, folder: Path, config: Record, options: Any, longest: int | None, columns: Columns, usual: Any = None
    ) -> Record:
        """The record with the reading of the backbone's part."""
        own = self.first.preprocessing(folder, config, _own(self.first, options), longest, columns, usual)
        return {"modality": self.word, "readings": {self.name: own}}

    def decided(
        self, options: Any, record: Record, longest: int | None, usual: Any = None
    ) -> Mapping[str, Decided[Any]]:
        """The decisions of the backbone's part."""
        own = record.get("readings", {}).get(self.name, {})
        return self.first.decided(_own(self.first, options), own, longest, usual)

    def misfits(self, record: Record, folder: Path, backbone: Any) -> Iterable[Diagnostic]:
        """The findings of the backbone's part."""
        return self.first.misfits(record["readings"][self.name], folder, backbone)

    def measure(self, inputs: Iterable[Any], record: Record, folder: Path) -> Mapping[str, float]:
        """The statistics of all parts."""
        read = list(inputs)
        found: dict[str, float] = {}
        for name, part, own in self.each(record):
            found |= part.measure([value[name] for value in read], own, folder)
        return found

    def doubts(self, record: Record, measured: Mapping[str, float], longest: int | None) -> Iterator[Diagnostic]:
        """The warnings of all parts."""
        for _, part, own in self.each(record):
            yield from part.doubts(own, measured, longest)

    def samples(self, seed: int, record: Record) -> list[Any]:
        """Golden inputs, as many as the part with most has; other parts repeat theirs."""
        made = {name: part.samples(seed, own) for name, part, own in self.each(record)}
        most = max(map(len, made.values()))
        return [{name: values[i % len(values)] for name, values in made.items()} for i in range(most)]

    def array(self, name: str, record: Record) -> Record:
        """The dtype and shape of an array of one part."""
        part, _, own = name.partition(".")
        return self.parts[part].array(own, record["readings"][part])

    def shortest(self, record: Record) -> dict[str, np.ndarray]:
        """The arrays of every part."""
        arrays = {name: part.shortest(own) for name, part, own in self.each(record)}
        return {f"{name}.{array}": values for name, own in arrays.items() for array, values in own.items()}

    def example(self, record: Record) -> str:
        """A dict with an example of each part, as Python code."""
        pairs = (f'"{name}": {part.example(own)}' for name, part, own in self.each(record))
        return "{" + ", ".join(pairs) + "}"


def _options(parts: Parts) -> type[Frozen]:
    """The keys of all parts, without augmentation, which combined inputs do not have."""
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for part in parts.values()
        for name, field in part.options.model_fields.items()
        if name not in part.augments
    }
    has_tokens = any(issubclass(part.options, TokenLengths) for part in parts.values())
    return create_model("Options", __base__=_CutIntoTokens if has_tokens else Frozen, **fields)


def _own(part: Input[Any], options: Frozen) -> Frozen:
    """The options of one part, as far as they are written."""
    written = options.model_fields_set & part.options.model_fields.keys()
    own: Frozen = part.options(**options.model_dump(include=written))
    return own


def _reader(parts: Parts) -> RowReader:
    """A reader that reads a row by the readers of all parts, and reports the first fault."""
    readers = {name: part.reader for name, part in parts.items()}

    def raw(row: Row, columns: Columns, folder: Path) -> dict[str, Any]:
        return {name: reader.raw(row, columns, folder) for name, reader in readers.items()}

    def refusal(row: Row, columns: Columns, folder: Path) -> Unusable | None:
        return next(filter(None, (reader.refusal(row, columns, folder) for reader in readers.values())), None)

    def damage(row: Row, columns: Columns, folder: Path) -> Unusable | None:
        looks = ((reader.damage or reader.refusal)(row, columns, folder) for reader in readers.values())
        return next(filter(None, looks), None)

    def files(row: Row, columns: Columns, folder: Path) -> tuple[Path, ...]:
        return tuple(file for reader in readers.values() for file in reader.files(row, columns, folder))

    every = tuple(readers.values())
    return RowReader(
        roles=tuple(role for reader in every for role in reader.roles),
        optional=tuple(role for reader in every for role in reader.optional),
        joined=tuple(role for reader in every for role in reader.joined),
        in_files=any(reader.in_files for reader in every),
        raw=raw,
        refusal=refusal,
        damage=damage,
        files=files,
    )
