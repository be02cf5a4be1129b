"""Splits a batch into parts where memory ends: the step keeps all of its rows, but not their activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..model.network import Network
from .world import ALONE, World

Found = TypeVar("Found")
PERHAPS = "could not create a"  # oneDNN's message for lack of memory, and for errors that a smaller batch does not mend


class Parts:
    """The number of parts that batches are split into; it doubles whenever memory ends."""

    def __init__(self, network: nn.Module | None = None, world: World = ALONE) -> None:
        self.count, self.network, self.world = 1, network, world

    def fit(self, rows: int, act: Callable[[int], Found]) -> Found:
        """The result of `act(parts)` for the smallest number of parts that memory allows; `rows` is the largest number.

        Where memory ends in one process, all processes of the world try again, so a failed `act` must leave nothing
        behind. Raises MemoryError where memory ends with a single row, or where the network normalises over rows.
        """
        while True:
            found = self._tried(rows, act)
            if not self.world.agree(not found):
                return found[0]
            # outside of the handler, because the traceback holds tensors of the failed attempt
            clear_device_cache(garbage_collection=True)
            self.count *= 2

    def _tried(self, rows: int, act: Callable[[int], Found]) -> tuple[Found, ...]:
        """The result of `act` in a tuple; empty where memory ended and smaller parts may help."""
        try:
            return (act(self.count),)
        except (MemoryError, RuntimeError) as error:
            is_certain = isinstance(error, MemoryError) or should_reduce_batch_size(error)
            if not is_certain and (PERHAPS not in str(error) or self.count >= rows):
                raise
            if self.count >= rows or (self.network and normalises(self.network)):
                raise MemoryError(str(error)) from None
        return ()


def cuts(rows: int, parts: int) -> list[slice]:
    """Slices that split rows into at most `parts` parts of one size; the last may be smaller, none is empty."""
    size = -(-rows // parts)
    return [slice(at, at + size) for at in range(0, rows, size)]


def answers_in_parts(
    network: Network, parts: int, batch: Mapping[str, torch.Tensor], names: Iterable[str]
) -> dict[str, dict[str, torch.Tensor]]:
    """The network's outputs for a batch, by task and word, for one loss over all rows.

    Activations of each part are dropped and recomputed for its gradient (Chen et al., 2016, by
    `torch.utils.checkpoint`). So a loss over pairs of rows stays exact, as in GradCache (Gao et al., 2021), at the
    price of a second forward pass. Dropout is drawn part by part.
    """
    names = list(names)
    if parts == 1:
        return network.answers(batch, names)
    found = []
    for cut in cuts(len(next(iter(batch.values()))), parts):
        part = {name: values[cut] for name, values in batch.items()}
        found.append(checkpoint(network.answers, part, names, use_reentrant=False))
    return {name: {word: joined([each[name][word] for each in found]) for word in found[0][name]} for name in names}


def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The outputs of all parts as one batch, padded along the second axis where parts differ in length."""
    if parts[0].ndim < 2:
        return torch.cat(list(parts))
    longest, inner = max(part.shape[1] for part in parts), (0, 0) * (parts[0].ndim - 2)
    return torch.cat([nn.functional.pad(part, (*inner, 0, longest - part.shape[1])) for part in parts])


def normalises(network: nn.Module) -> bool:
    """Whether a network in training mode has batch norm, so that a batch can't be split."""
    return any(isinstance(module, _BatchNorm) and module.training for module in network.modules())
