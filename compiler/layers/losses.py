"""Losses of a batch."""

from __future__ import annotations

import torch
from torch.nn import functional

LEAST = torch.finfo(torch.float32).eps  # lower bound of 1 − p, because a root has no slope at zero


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None, smoothing: float, focal: float
) -> torch.Tensor:
    """Mean over rows, weighted by label: logits (rows, labels), targets (rows,), weights (labels,).

    With `focal`, each row is weighted by (1 − p)^focal, where p is the probability of its label (Lin et al. 2017,
    arXiv:1708.02002).
    """
    if not focal:
        return functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
    lost = functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing, reduction="none")
    certain = logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    counts = torch.ones_like(lost) if weights is None else weights[targets]
    return ((1 - certain).clamp(min=LEAST) ** focal * lost).sum() / counts.sum()


def binary_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None, smoothing: float, focal: float
) -> torch.Tensor:
    """Mean over rows and labels: logits and targets (rows, labels), weights (labels,) of positive answers."""
    smoothed = targets * (1 - smoothing) + 0.5 * smoothing
    lost = functional.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weights, reduction="none")
    if focal:
        share = logits.sigmoid()
        lacking = 1 - (share * targets + (1 - share) * (1 - targets))
        lost = lacking.clamp(min=LEAST) ** focal * lost
    return lost.mean()


def cross_entropy_along(logits: torch.Tensor, targets: torch.Tensor, ignored: int) -> torch.Tensor:
    """Mean over tokens that have a target: logits (rows, tokens, outputs), targets (rows, tokens).

    It is 0 where no token has a target, which can happen where a tokenizer drops all of a text.
    """
    if bool((targets == ignored).all()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=ignored)
