"""Chooses labels for an image: one label, or several with a threshold each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..floors import Floor, Sample, labels, linear
from ._classification import Options, head


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """Floors: the most frequent label, and logistic regression on mean colours or on cached features."""
    ways = {"mean colours": (linear.colours, 1.0), "features": (linear.features, 0.01)}
    return labels.floors(record, train, ways)


HEAD = head(modality="image", options=Options, floors=floors, floor_features="cached")
