"""The processes that train one network together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

Each = TypeVar("Each")


@dataclass(frozen=True)
class World:
    """One of the `size` processes of a training, with number `rank` from 0; this class is the world of one process.

    Training asks it wherever processes must agree or exchange data:

    - `is_main`: only this process writes checkpoints, results and lines of progress
    - `agree`: the number of parts after memory ended, early stopping, interrupts, and when a checkpoint is due
    - `own`: a process's part of a batch; all processes draw the same order of rows from (seed, epoch)
    - `gather`: rows of all processes, for losses over pairs of rows such as in-batch negatives
    - `wrap`, `mean`: means of gradients and losses over all processes

    A world of several processes overrides these five methods. Every process calls them, in the same order.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def agree(self, value: int) -> int:
        """The largest value of any process; for a bool, whether any process says True."""
        return value

    def own(self, rows: Sequence[Each]) -> Sequence[Each]:
        """The rows of a batch that this process learns from; `rows` are all rows, the same in every process."""
        return rows

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """(rows, …) of every process as (all rows, …) in the order of ranks; gradients flow back to each process."""
        return tensor

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose `forward` returns the loss, with gradients averaged over all processes."""
        return module

    def mean(self, value: float) -> float:
        """The mean of a value over all processes."""
        return value


ALONE = World()
