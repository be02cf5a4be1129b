"""What a plain script consists of, and how its losses are held against graftc's."""

from __future__ import annotations

from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from graftc.compiler import variants
from graftc.compiler.planning.split import epoch_order

from . import running

STEPS, BATCH, DECAY, WARMUP = 50, 8, 0.01, 0.1
FEW = 25  # steps of a pretrained network, where one takes as long as all of a tiny one
TOLERANCE = 1e-4  # relative, at each step
PEFTS = tuple(
    word for word in variants.words("methods") if "from peft import" in getsource(variants.load("methods", word))
)


def order(rows: int, steps: int = STEPS) -> list[np.ndarray]:
    """The batches of the first steps."""
    per_epoch = -(-rows // BATCH)
    epochs = [epoch_order(rows, 0, epoch) for epoch in range(-(-steps // per_epoch))]
    return [epochs[s // per_epoch][s % per_epoch * BATCH :][:BATCH] for s in range(steps)]


def optimise(model: nn.Module, batches: list[np.ndarray], loss_of: Any, rate: float) -> list[float]:
    """AdamW, linear schedule, clipping: the loop of every tutorial."""
    learns = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learns if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in learns if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)  # the one that Trainer takes
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * len(batches)), len(batches))
    model.train()
    losses = []
    for batch in batches:
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learns, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


class MeanPooled(nn.Module):
    """A sentence classifier as users write it by hand."""

    def __init__(self, encoder: nn.Module, labels: int, width: int = 384) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(width, labels)

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        states = self.encoder(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        return self.classifier((states * mask).sum(1) / mask.sum(1))


def spec(
    folder: Path,
    backbone: Path,
    adapt: dict[str, Any],
    head: str,
    data: dict[str, Any],
    rate: float,
    steps: int = STEPS,
) -> Path:
    """A spec that trains for some steps."""
    train = {
        "max_steps": steps, "batch_size": BATCH, "learning_rate": rate, "warmup": WARMUP, "weight_decay": DECAY,
        "fold": "off", "group_by_length": False,
    }  # fmt: skip
    fields = variants.head(head).options.model_fields
    plain = {"dropout": 0.0, "start": "random"}  # as a script begins, that fits no head
    off = {name: value for name, value in plain.items() if name in fields}
    return running.write_spec(
        folder,
        backbone={"from": str(backbone)},
        adapt=adapt,
        head={"type": head, **off},
        data=data,
        train=train,
    )


def assert_equal_losses(ours: np.ndarray, theirs: list[float], falls_to: float = 0.9) -> None:
    """Equal at every step, and lower at the end: else nothing was learned, so nothing was compared."""
    relative = np.abs(ours - theirs) / np.abs(theirs)
    assert len(ours) == len(theirs)
    assert relative.max() <= TOLERANCE, (
        f"step {relative.argmax() + 1}: {ours[relative.argmax()]} {theirs[relative.argmax()]}"
    )
    assert ours[-10:].mean() < falls_to * ours[:10].mean(), "nothing was learned, so nothing was compared"
