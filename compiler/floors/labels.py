"""Floors of heads that choose among labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import Floor, Sample, constant, linear


def floors(record: Mapping[str, Any], train: Sample, ways: Mapping[str, tuple[linear.See, float]]) -> Iterator[Floor]:
    """The most frequent label, and logistic regression on each kind of features, with its strength."""
    import numpy as np

    targets, count = train.examples.targets, len(record["labels"])
    assert isinstance(targets, np.ndarray)
    yield constant.of_several(targets) if record["is_multi"] else constant.of_labels(targets, count)
    for name, (see, strength) in ways.items():
        fit = linear.any_of(strength) if record["is_multi"] else linear.one_of(count, strength)
        yield from linear.floors(train, targets, fit, {name: see})
