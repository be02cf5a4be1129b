"""The processes that train one network together, and all that none of them may do alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

Each = TypeVar("Each")


@dataclass(frozen=True)
class World:
    """One process among `size`, the number `rank` from 0; this class is the world of a single one.

    Training asks it wherever a process must not decide or act for itself:

    - `is_main`: it alone writes checkpoints, results and lines of progress
    - `agree`: into how many parts a batch is cut after memory ended, whether training stops early, is interrupted, or
      is due to be saved
    - `own`: the order of rows is drawn from (seed, epoch), so all draw the same one, and each takes its part of a batch
    - `gather`: rows that are held against each other, as in-batch negatives are
    - `wrap`, `mean`: gradients and losses are means over all of them

    A world of several overrides these five methods; whatever calls them then is called in every process, in one order.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def agree(self, value: int) -> int:
        """The largest value of any process: of a bool, whether any says so."""
        return value

    def own(self, rows: Sequence[Each]) -> Sequence[Each]:
        """The rows of a batch that this process learns from; `rows` are all of them, the same in every process."""
        return rows

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """(rows, …) of every process as (all rows, …), in the order of ranks; gradients flow back to each."""
        return tensor

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose `forward` gives a loss, with gradients that are means over all processes."""
        return module

    def mean(self, value: float) -> float:
        """The mean of every process's value."""
        return value


ALONE = World()
