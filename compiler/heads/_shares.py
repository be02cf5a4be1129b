"""Shared parts of heads that choose among labels: layers, loss, and the fit before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._stack import count

if TYPE_CHECKING:
    import torch

    from ..layers.head import HeadModule


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: (batch, width) → (batch, labels), untrained."""
    from ..layers.classifier import Classifier

    return Classifier(width, tuple(record["hidden"]), len(record["labels"]), record["dropout"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean loss of a batch: cross entropy over labels, or binary cross entropy by label, with focal weights if set."""
    import torch

    from ..layers.losses import binary_cross_entropy, cross_entropy

    logits, written = outputs["logits"], record["class_weights"]
    weights = None if written is None else torch.tensor(written, dtype=logits.dtype, device=targets.device)
    score = binary_cross_entropy if record["is_multi"] else cross_entropy
    return score(logits, targets, weights, record["label_smoothing"], record["focal"])


def convex(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The record with a loss that is convex for one linear layer, without focal weights; None with hidden layers."""
    return None if record["hidden"] else {**record, "focal": 0.0}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """The number of parameters."""
    return count(width, record["hidden"], len(record["labels"]))


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the graph by name."""
    return {"logits": {"dtype": "float32", "shape": ["batch", len(record["labels"])]}}
