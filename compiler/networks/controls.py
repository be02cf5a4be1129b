"""What holds a backbone back while it learns: weights pulled to where they were, layers that join one by one."""

from __future__ import annotations

import torch

from ..planning.plan import Phase
from .assembly import tensors
from .graft import Graft


class Pull:
    """The gradient of L2-SP (Li et al. 2018, arXiv:1802.01483): ½ · strength · |w − w₀|² of the pretrained weights that learn.

    It is added to gradients and is no part of the losses that are recorded. The head has no w₀ and is left alone.
    """

    def __init__(self, graft: Graft, plan: Phase) -> None:
        self.strength = plan.train.l2_sp
        pretrained = [t for _, t, planned in tensors(graft, plan) if planned.state == "trained" and t.requires_grad]
        self.pairs = [(tensor, tensor.detach().clone()) for tensor in pretrained]

    def add(self) -> None:
        """Adds to the gradients of a step; a weight without one does not move and is not pulled."""
        with torch.no_grad():
            for tensor, start in self.pairs:
                if tensor.grad is not None:
                    tensor.grad.add_(tensor - start, alpha=self.strength)


def wake(graft: Graft, plan: Phase, epoch: int) -> None:
    """Gradual unfreezing (Howard and Ruder 2018, arXiv:1801.06146): what learns in an epoch, counted from 0.

    In the first epochs the head and what lies above the layers; then one more layer, from the top, at a time.
    """
    joined = epoch // plan.train.gradual_unfreezing
    for _, tensor, planned in tensors(graft, plan):
        if planned.state in ("trained", "added") and not planned.is_buffer:
            tensor.requires_grad_(plan.train.layer_of.get(planned.name, 0) <= joined)
