"""Chooses labels for a text or a pair of texts: one label, or several with a threshold each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from ..contracts.options import Pooled
from ..floors import Floor, Sample, labels, linear
from . import _classification
from ._classification import head


class Options(Pooled, _classification.Options):
    """Keys under `head` for text-classification."""

    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """Floors: the most frequent label, and logistic regression on words."""
    return labels.floors(record, train, {"words": (linear.words, 10.0)})


HEAD = head(modality="text", options=Options, floors=floors)
