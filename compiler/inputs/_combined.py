"""Inputs of several modalities together: the first is the backbone's, of the others the head says how they are read.

A record of preprocessing has that of each under `readings`, and arrays are called by modality and name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import create_model

from ..contracts.input import Input
from ..contracts.options import TokenLengths
from ..contracts.reading import Columns, Record, Row, RowReader
from ..decision import Decided
from ..diagnostics import Diagnostic
from ..facts.rows import Unusable
from ..frozen import Frozen

Parts = Mapping[str, Input[Any]]


def combined(word: str, parts: Parts) -> Input[Any]:
    """The input whose parts are of several modalities, by their words; `word` is what the plan calls it."""
    first = next(iter(parts))

    def each(record: Record) -> Iterator[tuple[str, Input[Any], Record]]:
        """The parts whose reading is known; those that the head adds come after the backbone's."""
        return ((name, part, record["readings"][name]) for name, part in parts.items() if name in record["readings"])

    def preprocessing(
        folder: Path, config: Record, options: Any, longest: int | None, columns: Columns, usual: Any = None
    ) -> Record:
        own = parts[first].preprocessing(folder, config, _own(parts[first], options), longest, columns, usual)
        return {"modality": word, "readings": {first: own}}

    def decided(options: Any, record: Record, longest: int | None, usual: Any = None) -> Mapping[str, Decided[Any]]:
        return parts[first].decided(
            _own(parts[first], options), record.get("readings", {}).get(first, {}), longest, usual
        )

    def measure(inputs: Iterable[Any], record: Record, folder: Path) -> Mapping[str, float]:
        read = list(inputs)
        found: dict[str, float] = {}
        for name, part, own in each(record):
            found |= part.measure([value[name] for value in read], own, folder)
        return found

    def samples(seed: int, record: Record) -> list[Any]:
        made = {name: part.samples(seed, own) for name, part, own in each(record)}
        return [
            {name: values[i % len(values)] for name, values in made.items()}
            for i in range(max(map(len, made.values())))
        ]

    def array(name: str, record: Record) -> Record:
        part, _, own = name.partition(".")
        return parts[part].array(own, record["readings"][part])

    def joined(every: Callable[[str, Input[Any], Record], Iterable[Any]]) -> Callable[[Record], Iterator[Any]]:
        return lambda record: (found for name, part, own in each(record) for found in every(name, part, own))

    return Input(
        options=_options(parts),
        arrays=tuple(f"{name}.{array}" for name, part in parts.items() for array in part.arrays),
        reader=_reader(parts),
        preprocessing=preprocessing,
        decided=decided,
        misfits=lambda record, folder, backbone: parts[first].misfits(record["readings"][first], folder, backbone),
        problems=lambda options, longest: (
            d for part in parts.values() for d in part.problems(_own(part, options), longest)
        ),
        measure=measure,
        statistics=tuple(word for part in parts.values() for word in part.statistics),
        doubts=lambda record, measured, longest: _doubts(list(each(record)), measured, longest),
        stored=lambda record, measured: sum(part.stored(own, measured) for _, part, own in each(record)),
        samples=samples,
        array=array,
        assets=lambda folder: parts[first].assets(folder),
        portable=lambda value: {name: parts[name].portable(own) for name, own in value.items()},
        example=lambda record: _braced(f'"{name}": {part.example(own)}' for name, part, own in each(record)),
        limits=lambda record: " ".join(joined(lambda name, part, own: [part.limits(own)])(record)),
        packages=tuple(dict.fromkeys(package for part in parts.values() for package in part.packages)),
    )


def _doubts(
    each: Iterable[tuple[str, Input[Any], Record]], measured: Mapping[str, float], longest: int | None
) -> Iterator[Diagnostic]:
    for _, part, own in each:
        yield from part.doubts(own, measured, longest)


def _braced(pairs: Iterable[str]) -> str:
    return "{" + ", ".join(pairs) + "}"


def _options(parts: Parts) -> type[Frozen]:
    """The keys of all parts, but for random changes: an input of several parts is learned from as it is."""
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for part in parts.values()
        for name, field in part.options.model_fields.items()
        if name not in part.augments
    }
    has_tokens = any(issubclass(part.options, TokenLengths) for part in parts.values())
    return create_model("Options", __base__=TokenLengths if has_tokens else Frozen, **fields)


def _own(part: Input[Any], options: Frozen) -> Frozen:
    """The options of one part, as far as they are written."""
    written = options.model_fields_set & part.options.model_fields.keys()
    own: Frozen = part.options(**options.model_dump(include=written))
    return own


def _reader(parts: Parts) -> RowReader:
    """Reads a row by the reader of every part; what is wrong with it, the first of them says."""
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
