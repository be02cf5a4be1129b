"""Texts that belong together come to lie close, all others of a batch apart; alone, a text belongs to itself.

Two passes with other dropout see one text in two ways (unsupervised SimCSE: Gao et al., 2021, arXiv:2104.08821).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..diagnostics import Diagnostic
from ..frozen import Frozen
from ..heads import sentence_similarity as similar

if TYPE_CHECKING:
    import numpy as np

MODALITY = similar.MODALITY
NEEDS = similar.NEEDS
ROLES = similar.ROLES
OPTIONAL = ("text_pair", "text_negative")
JOINED = similar.JOINED
TARGETS: tuple[str, ...] = ()
IN_FILES = similar.IN_FILES
METRICS = "contrast"
IS_JOINT = similar.IS_JOINT
Tally = similar.Tally
files, refusal, reads, stratum = similar.files, similar.refusal, similar.reads, similar.stratum
build, loss, parameters, outputs = similar.build, similar.loss, similar.parameters, similar.outputs
least = similar.least


class Options(Frozen):
    """Keys of a stage with objective contrastive."""

    temperature: float = Field(0.05, gt=0.0, le=10.0, description="what cosines are divided by before softmax")
    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The texts of a row that are held together; a text alone twice."""
    found = similar.raw(row, columns, folder)
    return found if len(found) > 1 else found * 2


def problems(options: Options, tallies: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Nothing can be wrong with texts that are texts."""
    yield from ()


def metrics(columns: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`, the default first."""
    return ("loss",)


def lower(options: Options, train: Any) -> dict[str, Any]:
    """The record; `texts` is how many are held together."""
    texts = max(2, sum(role in train.roles for role in ROLES))
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
    """For each text of a row a number that equal texts share, an int64."""
    return similar.numbered(raw(row, columns, Path()))
