"""Turns waveforms, lists of numbers, into arrays, as transformers' Wav2Vec2FeatureExtractor does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..given import named
from ..rows import Rows, one_each
from . import Preprocessing

MOST = 1 << 24  # samples
RECORD = {  # the shape of the manifest's `preprocessing`
    "sampling_rate": range(1, 1 << 20),
    "is_normalized": bool,
    "shortest": range(1, MOST),
    "max_samples": range(1, MOST),
}
EPSILON = 1e-7  # of a variance


def annotation(record: Mapping[str, Any]) -> str:
    """The type of one input, for generated wrappers."""
    return "list[float] | tuple[float, ...] | np.ndarray"


def many(record: Mapping[str, Any]) -> str:
    """The type of many inputs, for generated wrappers."""
    return "list[list[float]] | list[tuple[float, ...]] | list[np.ndarray]"


def from_words(words: Sequence[str], record: Mapping[str, Any]) -> list[Any]:
    """Inputs from words of a command line: a JSON list of numbers each; raises ValueError for any other."""
    try:
        return [json.loads(word) for word in words]
    except (ValueError, RecursionError):
        raise ValueError("write each input as a JSON list of numbers") from None


class Preprocessor:
    """Scales each waveform to mean 0 and variance 1, then pads a batch with zeros."""

    budget = 160_000  # samples in a batch, padding included

    def __init__(self, record: Mapping[str, Any], folder: Path) -> None:
        self.record = record

    def is_one(self, value: Any) -> bool:
        """Whether a sequence or an array is one input: numbers in one dimension."""
        return isinstance(value, Sequence | np.ndarray) and numbers(value) is not None

    def rows(self, inputs: Sequence[Any]) -> Rows:
        """Rows of `input_values`, float32 (samples,); raises ValueError for an input that can't be used."""
        return one_each(inputs, [{"input_values": self._values(value)} for value in inputs])

    def _values(self, value: Any) -> np.ndarray:
        found = numbers(value)
        if found is None:
            raise ValueError(f"expected a list of numbers, not {named(value)}")
        found = found[: self.record["max_samples"]]
        if self.record["is_normalized"]:
            found = (found - found.mean()) / np.sqrt(found.var() + EPSILON)
        silence = np.zeros(max(0, self.record["shortest"] - len(found)))
        return np.concatenate([found, silence]).astype(np.float32)

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """A batch of shape (rows, longest): values, padded on the right, and 1 where they are a row's own."""
        longest = max(len(row["input_values"]) for row in rows)
        values = np.zeros((len(rows), longest), np.float32)
        mask = np.zeros((len(rows), longest), np.int64)
        for i, row in enumerate(rows):
            own = row["input_values"]
            values[i, : len(own)], mask[i, : len(own)] = own, 1
        return {"input_values": values, "attention_mask": mask}


def numbers(value: Any) -> np.ndarray | None:
    """A waveform in float64, None for what is none: another type, another shape, or what is not all finite numbers."""
    try:
        found = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iuf" or not np.isfinite(found).all():
        return None
    return found.astype(np.float64)


PREPROCESSING = Preprocessing(
    record=RECORD,
    preprocessor=Preprocessor,
    from_words=from_words,
    input_help="waveform, as a JSON list of numbers",
    annotation=annotation,
    many=many,
    imports=("import numpy as np",),
)
