"""Pulls texts that belong together close and pushes all others of a batch apart; a single text is its own partner.

Two passes with different dropout give two views of a text (unsupervised SimCSE: Gao et al., 2021, arXiv:2104.08821).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Pooled
from ..contracts.reading import RowReader
from ..frozen import Frozen
from ..heads import sentence_similarity as similar
from ..heads._scores import Tally
from ..metrics import contrast

if TYPE_CHECKING:
    import numpy as np


class Options(Pooled, Frozen):
    """Keys of a stage with objective contrastive."""

    temperature: float = Field(0.05, gt=0.0, le=10.0, description="divisor of cosines before softmax")
    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The texts of a row that belong together; a single text twice."""
    found = similar.raw(row, columns, folder)
    return found if len(found) > 1 else found * 2


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record; `texts` is the number of texts that belong together."""
    texts = max(2, sum(role in train.roles for role in similar.ROLES))
    return {
        "texts": texts,
        "is_scored": False,
        "scale": 1 / options.temperature,
        "score_range": None,
        "dimensions": None,
    }


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """For each text of a row an int64 that equal texts share."""
    return similar.numbered(raw(row, columns, Path()))


OBJECTIVE = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=contrast.METRICS,
    reader=RowReader(
        roles=similar.ROLES,
        optional=("text_pair", "text_negative"),
        joined=similar.ROLES,
        raw=raw,
        refusal=similar.refusal,
    ),
    reads=similar.reads,
    least_rows=similar.least_rows,
    tally=Tally,
    lower=lower,
    parameters=similar.parameters,
    outputs=similar.outputs,
    target=target,
    build=similar.build,
    loss=similar.loss,
    in_batch_negatives=True,
)
