"""Inputs of several modalities: a mapping with one of each; arrays are prefixed with the modality."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..given import named
from ..rows import Rows
from . import Preprocessing, Preprocessor


def combined(parts: Mapping[str, Preprocessing]) -> Preprocessing:
    """The preprocessing of modalities that make up one input; the first determines the length of a row."""

    def records(record: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = record["readings"]
        return found

    def preprocessor(record: Mapping[str, Any], folder: Path) -> Preprocessor:
        return Combined({name: part.preprocessor(records(record)[name], folder) for name, part in parts.items()})

    def annotation(record: Mapping[str, Any]) -> str:
        kinds = [part.annotation(records(record)[name]) for name, part in parts.items()]
        return f"Mapping[str, {' | '.join(dict.fromkeys(kinds))}]"

    def requires(record: Mapping[str, Any]) -> tuple[str, ...]:
        needed = (package for name, part in parts.items() for package in part.requires(records(record)[name]))
        return tuple(dict.fromkeys(needed))

    return Preprocessing(
        record={"readings": {name: part.record for name, part in parts.items()}},
        requires=requires,
        preprocessor=preprocessor,
        from_words=lambda words, record: list(from_words(words, tuple(parts))),
        input_help="; ".join(f"{name}={part.input_help}" for name, part in parts.items()),
        annotation=annotation,
        many=lambda record: f"list[{annotation(record)}]",
        imports=("from collections.abc import Mapping", *(line for part in parts.values() for line in part.imports)),
    )


def from_words(words: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Inputs from NAME=VALUE, or from JSON objects; a repeated name or an object begins the next input.

    Raises ValueError for a word that is neither.

    >>> list(from_words(["text=a", "image=b.png", "text=c", "image=d.png"], ("text", "image")))
    [{'text': 'a', 'image': 'b.png'}, {'text': 'c', 'image': 'd.png'}]
    """
    open_one: dict[str, str] = {}
    for word in words:
        name, mark, value = word.partition("=")
        if word.startswith("{"):
            if open_one:
                yield open_one
                open_one = {}
            yield _object(word)
            continue
        if not mark or name not in names:
            raise ValueError(f"write {' and '.join(f'`{each}=…`' for each in names)}, not `{word[:40]}`")
        if name in open_one:
            yield open_one
            open_one = {}
        open_one[name] = value
    if open_one:
        yield open_one


def _object(word: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(word)
    except RecursionError:
        raise ValueError("an object is nested too deeply") from None
    return found


class Combined:
    """Turns mappings by modality into rows with arrays named by modality and name: `image.pixels`."""

    def __init__(self, parts: Mapping[str, Preprocessor]) -> None:
        self.parts = parts
        self.budget = next(iter(parts.values())).budget

    def is_one(self, value: Any) -> bool:
        """Whether a value is one input: mappings are."""
        return isinstance(value, Mapping)

    def rows(self, inputs: Sequence[Any]) -> Rows:
        """A row of arrays for each input; raises ValueError for an input that is no mapping with all parts."""
        for value in inputs:
            if not isinstance(value, Mapping) or value.keys() != self.parts.keys():
                raise ValueError(f"expected an object of {' and '.join(self.parts)}, not {named(value)}")
        read = {name: part.rows([value[name] for value in inputs]) for name, part in self.parts.items()}
        if any(len(rows.features) != len(inputs) for rows in read.values()):
            raise ValueError("a part of the input makes several rows")
        features = [
            {f"{name}.{array}": values for name, rows in read.items() for array, values in rows.features[i].items()}
            for i in range(len(inputs))
        ]
        first = next(iter(read.values()))
        return Rows(inputs, features, np.arange(len(features)), first.tokenizer)

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays of a batch, each part's collated by its own preprocessing."""
        found: dict[str, np.ndarray] = {}
        for name, part in self.parts.items():
            prefix = f"{name}."
            own = [{k.removeprefix(prefix): v for k, v in row.items() if k.startswith(prefix)} for row in rows]
            found |= {f"{prefix}{array}": values for array, values in part.collate(own).items()}
        return found
