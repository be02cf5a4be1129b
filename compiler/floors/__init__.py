"""Floors: scores without training a network, from the most frequent answer to a linear model on words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ...runtime.rows import Outputs
    from ..execution.prepared import Examples


@dataclass(frozen=True)
class Sample:
    """Rows that a floor learns from or answers.

    `examples` holds arrays and targets. `read` returns the raw inputs; it is called only if a floor needs them.
    `vectors`, of shape (rows, width), are the untouched backbone's features, `untuned` what the network gives before any
    training; None where they were not computed.
    """

    examples: Examples
    read: Callable[[], Sequence[Any]]
    vectors: np.ndarray | None = None
    untuned: Outputs | None = None

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def texts(self) -> list[tuple[str, ...]]:
        """The texts of each input: one, two or three."""
        return [(value,) if isinstance(value, str) else tuple(value) for value in self.read()]


@dataclass(frozen=True)
class Floor:
    """A floor's name, and its outputs for rows in the head's own form; None where it has none.

    With `is_constant`, all inputs get the same outputs. With `is_calibrated`, thresholds and the like are calibrated on
    validation rows, as for the trained model.
    """

    name: str
    answer: Callable[[Sample], Outputs | None]
    is_constant: bool = False
    is_calibrated: bool = True
