"""Lays the rows of a batch one after the other into blocks, so that little of it is padding.

No row is divided, and none sees another: positions start again with each row, by which transformers tells rows apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..layers.decoders import POSITIONS

NOWHERE = -1  # the place of padding
TRIED = 16  # sizes of blocks


def best_fit(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Rows by number for each block of `size` tokens: the longest first, each where the least room is left.

    A row longer than `size` has a block of its own.

    >>> best_fit([5, 3, 2, 6, 1], 8)
    [[3, 2], [0, 1], [4]]
    """
    blocks: list[list[int]] = []
    room: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        fitting = [block for block, left in enumerate(room) if left >= lengths[row]]
        if not fitting:
            fitting, blocks, room = [len(blocks)], [*blocks, []], [*room, size]
        chosen = min(fitting, key=room.__getitem__)
        blocks[chosen].append(row)
        room[chosen] -= lengths[row]
    return blocks


def least_padding(lengths: Sequence[int], size: int) -> tuple[list[list[int]], int]:
    """(rows by number for each block, tokens of the longest block): of blocks of at most `size` those that pad least.

    Where as little is padding, shorter blocks are taken, over which attention costs less.

    >>> least_padding([5, 3, 2, 6, 1], 16)
    ([[3], [0, 4], [1, 2]], 6)
    """
    longest = max(lengths)
    found = []
    for most in np.unique(np.linspace(longest, max(longest, size), TRIED).astype(int)).tolist():
        blocks = best_fit(lengths, most)
        found.append((blocks, max(sum(lengths[row] for row in block) for block in blocks)))
    return min(found, key=lambda each: len(each[0]) * each[1])


class Layout:
    """The places of the tokens of a batch in blocks; `lengths` are those of its rows without padding."""

    def __init__(self, lengths: np.ndarray, size: int) -> None:
        blocks, width = least_padding(lengths.tolist(), size)
        self.longest = int(lengths.max())
        self.places = np.full((len(blocks), width), NOWHERE, np.int64)  # of each token in the batch's rows, end to end
        self.positions = np.zeros((len(blocks), width), np.int64)  # padding starts again with each token
        for number, block in enumerate(blocks):
            own = np.concatenate([np.arange(lengths[row]) for row in block])
            self.positions[number, : len(own)] = own
            self.places[number, : len(own)] = own + np.repeat(np.array(block) * self.longest, lengths[block])

    def laid(self, values: torch.Tensor, padding: float = 0) -> torch.Tensor:
        """Values of tokens (rows, longest, …) as values in blocks (blocks, tokens, …)."""
        places = torch.from_numpy(self.places).to(values.device)
        found = values[:, : self.longest].flatten(0, 1)[places.clamp(min=0)]
        found[places == NOWHERE] = padding
        return found

    def arrays(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The arrays of a batch, of which each is of tokens, with the positions of tokens in their rows."""
        found = {name: self.laid(values) for name, values in batch.items()}
        device = next(iter(found.values())).device
        return {**found, POSITIONS: torch.from_numpy(self.positions).to(device)}
