"""Chooses labels for a text or a pair of texts: one label, or several with a threshold each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Pooled
from ..floors import Floor, Sample, labels, linear
from ..metrics import classification
from . import _classification
from ._classification import decided, lower, problems, stratum, target
from ._labels import Tally
from ._shares import build, convex, loss, outputs, parameters


class Options(Pooled, _classification.Options):
    """Keys under `head` for text-classification."""

    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """What costs nothing: the commonest label, and logistic regression on words."""
    return labels.floors(record, train, {"words": (linear.words, 10.0)})


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=classification.METRICS,
    targets=("label", "labels"),
    several=("labels",),  # several columns are a label each
    stratum=stratum,
    tally=Tally,
    problems=problems,
    decided=decided,
    lower=lower,
    targets_from=("labels", "is_multi"),
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
    convex=convex,
    gives_shares=True,
    floors=floors,
)
