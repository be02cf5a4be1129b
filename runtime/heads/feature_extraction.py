"""Decodes feature-extraction: a text gets its vector, or one for each of its tokens."""

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
    """The features of a text: one vector, or a vector for each token."""

    features: tuple[float, ...] | tuple[tuple[float, ...], ...]


def decode(outputs: Outputs, head: Mapping[str, Any], rows: Rows) -> list[Answer]:
    """An answer for each input, from `features`: (rows, width), or (tokens, width) for each row.

    Raises BundleError E0503 for outputs of another shape.
    """
    found = outputs.get("features", ())
    if any(np.asarray(row).ndim != 2 - head["is_pooled"] for row in found) or len(found) != len(rows.features):
        raise BundleError("E0503", "the graph does not give the features that the manifest names")
    return [Answer(_plain(np.asarray(found[rows.of(i)[0]], np.float64))) for i in range(len(rows.inputs))]


def _plain(values: np.ndarray) -> Any:
    return tuple(map(float, values)) if values.ndim == 1 else tuple(tuple(map(float, row)) for row in values)


DECODER = Decoder(
    head={"is_pooled": bool},
    kind=Answer,
    answer=one_pass(decode),
)
