"""Optimisation: learning rates by part and layer, schedules, clipping, L2-SP, gradual unfreezing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ..model.assembly import learned, tensors
from ..model.network import Network
from ..planning.plan import Phase


class L2SP:
    """The L2-SP penalty (Li et al. 2018, arXiv:1802.01483): ½ · strength · |w − w₀|² on pretrained weights.

    Its gradient is added to the gradients; recorded losses leave it out. Heads have no w₀ and no penalty.
    """

    def __init__(self, network: Network, plan: Phase) -> None:
        self.strength = plan.train.l2_sp
        pretrained = [t for _, t, planned in tensors(network, plan) if planned.state == "trained" and t.requires_grad]
        self.pairs = [(tensor, tensor.detach().clone()) for tensor in pretrained]

    def add(self) -> None:
        """Adds the penalty's gradient; weights without a gradient do not move and get none."""
        with torch.no_grad():
            for tensor, start in self.pairs:
                if tensor.grad is not None:
                    tensor.grad.add_(tensor - start, alpha=self.strength)


def clip(parameters: Sequence[torch.nn.Parameter], most: float) -> float:
    """Scales gradients down to a total norm of at most `most`; returns the norm before.

    Unlike `torch.nn.utils.clip_grad_norm_`, gradients below the limit are not multiplied by one, which would cost a
    pass over all of them.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if not norm + 1e-6 <= most:  # 1e-6 as in torch; NaN takes this branch too, as in torch
        torch.nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return float(norm)


def norm_of(parameters: Iterable[torch.nn.Parameter]) -> float:
    """The total norm of the gradients of some parameters."""
    return float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))


def unfreeze(network: Network, plan: Phase, epoch: int) -> None:
    """Gradual unfreezing (Howard and Ruder 2018, arXiv:1801.06146): sets which tensors learn in an epoch, from 0.

    At first the head and the tensors above all layers learn, then one more layer at a time, from the top down.
    """
    joined = epoch // plan.train.gradual_unfreezing
    for _, tensor, planned in tensors(network, plan):
        if planned.state in ("trained", "added") and not planned.is_buffer:
            tensor.requires_grad_(plan.train.layer_of.get(planned.name, 0) <= joined)


def groups(network: Network, plan: Phase) -> list[dict[str, Any]]:
    """Parameter groups of AdamW: a peak rate by part and layer, and no weight decay on vectors (biases, norms)."""
    train = plan.train
    found: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, tensor in learned(network, plan).items():
        if not isinstance(tensor, torch.nn.Parameter):
            continue
        part, _, inner = name.partition(".")
        rate = (
            train.head_learning_rate
            if part == "head"
            else train.learning_rate * train.layer_decay ** train.layer_of.get(inner, 0)
        )
        decay = 0.0 if tensor.ndim <= 1 else train.weight_decay
        found.setdefault((rate, decay), []).append(tensor)
    return [
        {"params": params, "peak": rate, "lr": rate, "weight_decay": decay} for (rate, decay), params in found.items()
    ]


def schedule(plan: Phase) -> Any:
    """step → factor on the peak rate, by transformers' schedules."""
    from transformers import get_scheduler

    name = {"constant": "constant_with_warmup"}.get(plan.train.schedule, plan.train.schedule)
    dummy = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    return get_scheduler(name, dummy, plan.train.warmup_steps, plan.train.steps).lr_lambdas[0]
