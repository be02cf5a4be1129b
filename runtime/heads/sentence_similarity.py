"""Decodes sentence-similarity: the vector of a text, or the similarity of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BundleError
from ..rows import Outputs, Rows
from . import Decoder, one_pass


@dataclass(frozen=True)
class Answer:
    """The vector of a text, of length one: the dot product of two vectors is their cosine."""

    embedding: tuple[float, ...]


@dataclass(frozen=True)
class Similarity:
    """The cosine of two texts, from -1 to 1."""

    score: float


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows) -> list[Any]:
    """An answer for each input, from `sentence_embedding` (rows, width).

    A text gets its vector, two texts their similarity, more texts the similarities of the first with each other one.
    Raises BundleError E0503 for outputs of another shape.
    """
    vectors = np.asarray(outputs.get("sentence_embedding", ()), np.float64)
    if vectors.ndim != 2:
        raise BundleError("E0503", "the graph does not give one vector for each text")
    return [_answer(vectors[list(rows.of(i))]) for i in range(len(rows.inputs))]


def _answer(vectors: np.ndarray) -> Any:
    if len(vectors) == 1:
        return Answer(tuple(map(float, vectors[0])))
    found = tuple(Similarity(float(score)) for score in vectors[1:] @ vectors[0])
    return found[0] if len(found) == 1 else found


DECODER = Decoder(
    head={},
    kind=Answer,
    forms={"tuple[str, str]": Similarity},
    answer=one_pass(decode),
)
