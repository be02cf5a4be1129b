"""Random changes of training pictures, drawn from a seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from kornia.augmentation import ColorJiggle, RandomHorizontalFlip, RandomResizedCrop
from torch import nn


class Augmentation(nn.Module):
    """Crops, mirrors and recolours each picture by itself; `record` is the plan's `augment`.

    Row i of a call draws from (seed, first + i) alone, so that a batch cut into parts gets the same changes.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__()
        self.record = dict(record)

    @torch.no_grad()
    def forward(self, pixels: torch.Tensor, seed: int, first: int = 0) -> torch.Tensor:
        """Changes pictures: float (batch, 3, height, width) in [0, 1], before normalisation; the shape stays.

        torch's random state is restored.
        """
        size = int(pixels.shape[-2]), int(pixels.shape[-1])
        steps = _steps(self.record["horizontal_flip"], self.record["crop"], self.record["color"], size)
        if not steps:
            return pixels
        rows = []
        # kornia draws from the CPU's generator, for pictures on a GPU too
        with torch.random.fork_rng(devices=[]):
            for index, row in enumerate(pixels):
                torch.default_generator.manual_seed(_derived(seed, first + index))
                row = row[None]
                for step in steps:
                    row = step(row)
                rows.append(row)
        return torch.cat(rows)

    def rows(self, rows: Sequence[Mapping[str, np.ndarray]], seed: int, first: int = 0) -> list[dict[str, np.ndarray]]:
        """Changes rows of an image input before collation: uint8 in, uint8 out."""
        pixels = torch.from_numpy(np.stack([row["pixels"] for row in rows])).permute(0, 3, 1, 2)
        changed = self(pixels.float() / 255, seed, first).mul(255).round().clamp(0, 255).to(torch.uint8)
        arrays = changed.permute(0, 2, 3, 1).contiguous().numpy()
        return [{**row, "pixels": array} for row, array in zip(rows, arrays, strict=True)]


@lru_cache(maxsize=8)
def _steps(
    horizontal_flip: float, crop: float | None, color: float | None, size: tuple[int, int]
) -> tuple[nn.Module, ...]:
    """The changes in order: crop, mirror, colours.

    They stay out of the module tree, because `Module.to` would move kornia's generator to the device and change its
    draws.
    """
    steps: list[nn.Module] = []
    if crop is not None:
        steps.append(RandomResizedCrop(size, scale=(crop, 1.0)))
    if horizontal_flip:
        steps.append(RandomHorizontalFlip(p=horizontal_flip))
    if color:
        steps.append(ColorJiggle(brightness=color, contrast=color, saturation=color))
    return tuple(steps)


def _derived(seed: int, index: int) -> int:
    """A 64-bit seed for one row, independent of the seeds of other rows and of other batches."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])
