"""Takes a batch in parts where it is too large for the memory: the rows of a step stay together, not their activations."""

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
PERHAPS = "could not create a"  # oneDNN's words where it found no memory, and for mistakes that no smaller batch mends


class Parts:
    """Into how many parts batches are cut: one, and twice as many whenever the memory ends."""

    def __init__(self, network: nn.Module | None = None, world: World = ALONE) -> None:
        self.count, self.network, self.world = 1, network, world

    def fit(self, rows: int, act: Callable[[int], Found]) -> Found:
        """What `act` gives for the least number of parts that the memory allows; of `rows`, none is cut.

        Where the memory of one process ends, all of the world try again, so `act` leaves nothing of an attempt behind.
        Raises MemoryError where the memory ends with a single row, or the network normalises over rows.
        """
        while True:
            found = self._tried(rows, act)
            if not self.world.agree(not found):
                return found[0]
            # out of the handler's reach: the traceback holds what the failed attempt had computed
            clear_device_cache(garbage_collection=True)
            self.count *= 2

    def _tried(self, rows: int, act: Callable[[int], Found]) -> tuple[Found, ...]:
        """What `act` gives, alone in a tuple, or nothing where the memory ended and smaller parts may mend it."""
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
    """Where rows are cut into at most so many parts of one size, the last of which may be smaller; none is empty."""
    size = -(-rows // parts)
    return [slice(at, at + size) for at in range(0, rows, size)]


def answers_in_parts(
    network: Network, parts: int, batch: Mapping[str, torch.Tensor], names: Iterable[str]
) -> dict[str, dict[str, torch.Tensor]]:
    """The network's answers to a batch, by task and word, for a loss over all of its rows at once.

    Each part's activations are forgotten and computed anew when its gradient is due (Chen et al., 2016, by
    `torch.utils.checkpoint`), so a loss that holds rows against each other is as exact as one that does not, as in
    GradCache (Gao et al., 2021). The price is a second forward pass. Dropout is drawn part by part.
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
    """The answers of all parts as those of one batch: of masked words one part may have more in a row than another."""
    if parts[0].ndim < 2:
        return torch.cat(list(parts))
    longest, inner = max(part.shape[1] for part in parts), (0, 0) * (parts[0].ndim - 2)
    return torch.cat([nn.functional.pad(part, (*inner, 0, longest - part.shape[1])) for part in parts])


def normalises(network: nn.Module) -> bool:
    """Whether a network that learns normalises over the rows of a batch, which then can't be cut."""
    return any(isinstance(module, _BatchNorm) and module.training for module in network.modules())
