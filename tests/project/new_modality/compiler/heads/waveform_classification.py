"""Chooses labels for a waveform: one label, or several with a threshold each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..floors import Floor, Sample, labels, linear
from ._classification import Options, head


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """What costs nothing: the commonest label, and logistic regression on features kept anyway."""
    return labels.floors(record, train, {"features": (linear.features, 0.01)})


HEAD = head(modality="waveform", options=Options, floors=floors, floor_features="cached")
