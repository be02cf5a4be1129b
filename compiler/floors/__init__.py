"""Floors: what a task scores without any training of a network, from the commonest answer to a linear model on words."""

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
    """Rows that a floor learns from or is asked.

    `examples` are their arrays and targets; `read` gives the raw inputs, which are read only where a floor wants them.
    `vectors`, of shape (rows, width), are the untouched backbone's features, None where nobody computed them.
    """

    examples: Examples
    read: Callable[[], Sequence[Any]]
    vectors: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def texts(self) -> list[tuple[str, ...]]:
        """The texts of each input: one, or those of a pair or a triplet."""
        return [(value,) if isinstance(value, str) else tuple(value) for value in self.read()]


@dataclass(frozen=True)
class Floor:
    """A floor by the name that people read, and what it gives for rows: the head's own outputs, None where it can't tell.

    `is_constant`: it gives every input the same. `is_calibrated`: validation rows decide what is left to decide, as for
    the trained model.
    """

    name: str
    answer: Callable[[Sample], Outputs | None]
    is_constant: bool = False
    is_calibrated: bool = True
