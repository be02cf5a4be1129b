"""Batches of prepared rows as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..execution.prepared import Prepared
from ..execution.work import Work

Batch = dict[str, torch.Tensor]


def arrays(batch: Mapping[str, np.ndarray], device: str) -> Batch:
    """Tensors on a device, from numpy arrays."""
    return {name: torch.from_numpy(np.ascontiguousarray(values)).to(device) for name, values in batch.items()}


def by_length(rows: Prepared, size: int) -> Iterator[np.ndarray]:
    """Indices of every row in batches of like length, longest first, so that little is padding."""
    order = np.argsort(-rows.lengths(), kind="stable")
    for at in range(0, len(order), size):
        yield order[at : at + size]


class Rows:
    """The rows of a split as batches: prepared arrays collated, or folded features."""

    def __init__(self, work: Work, split: str, processor: Any, device: str) -> None:
        plan, folded = work.plan, work.folded(split)
        self.prepared = Prepared(work.prepared(split))
        self.features = np.load(folded) if folded else None
        self.processor, self.device = processor, device
        self.augment: Callable[[list[dict[str, np.ndarray]], int], list[dict[str, np.ndarray]]] | None = None
        if plan.data.augment and split == "train":
            from .augmentation import Augmentation

            self.augment = Augmentation(plan.data.augment.plain()).rows

    def __len__(self) -> int:
        return len(self.prepared)

    def targets(self, chosen: np.ndarray) -> torch.Tensor:
        """Targets of the chosen rows."""
        return torch.from_numpy(self.prepared.targets[chosen]).to(self.device)

    def batch(self, chosen: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of the chosen rows; `seed` draws the augmentation where there is one."""
        if self.features is not None:
            return {"feature": torch.from_numpy(self.features[chosen]).to(self.device)}
        rows = [self.prepared.row(int(i)) for i in chosen]
        if self.augment and seed is not None:
            rows = self.augment(rows, seed)
        return arrays(self.processor.collate(rows), self.device)


def outputs_of(graft: torch.nn.Module, rows: Rows, size: int = 64) -> dict[str, np.ndarray]:
    """Outputs for every row of a split, in row order, in inference mode."""
    graft.eval()
    parts: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for chosen in by_length(rows.prepared, size):
            for name, values in graft(**rows.batch(chosen)).items():
                found = values.float().cpu().numpy()
                parts.setdefault(name, np.zeros((len(rows), *found.shape[1:]), np.float32))[chosen] = found
    return parts
