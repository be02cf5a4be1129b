"""Chooses labels for an image: one label, or several with a threshold each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..contracts.head import Head
from ..floors import Floor, Sample, labels, linear
from ..metrics import classification
from ._classification import Options, decided, lower, problems, stratum, target
from ._labels import Tally
from ._shares import build, convex, loss, outputs, parameters


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """What costs nothing: the commonest label, and logistic regression on mean colours, or on features kept anyway."""
    ways = {"mean colours": (linear.colours, 1.0), "features": (linear.features, 0.01)}
    return labels.floors(record, train, ways)


HEAD = Head(
    modality="image",
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
    floor_features="kept",
)
