"""Shared parts of heads and objectives over a vocabulary: the language model, its loss and its scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.options import NewHead
from ..facts.backbone import BackboneFacts
from ..frozen import Frozen

if TYPE_CHECKING:
    import numpy as np
    import torch

IGNORED = -100  # the target of tokens without a loss


class Fitted(NewHead, Frozen):
    """The key for the steps in which a head that the checkpoint lacks is fitted."""

    head_steps: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="steps in which a head that the checkpoint lacks is fitted alone before the stage; "
        "default one epoch, at most 500",
    )


def language_model(backbone: BackboneFacts) -> dict[str, Any]:
    """Fields of the record on the backbone's language model; `is_new` where the checkpoint lacks its head."""
    model = backbone.language_model
    assert model is not None
    tensors = {tensor.name: tensor.shape for tensor in model.tensors}
    return {"vocabulary": model.vocabulary, "is_new": not model.is_there, "tensors": tensors}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """The number of parameters of the head that are not the backbone's."""
    return sum(math.prod(shape) for shape in record["tensors"].values())


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy over the tokens that have a target."""
    from ..layers.losses import cross_entropy_along

    return cross_entropy_along(outputs["logits"], targets, IGNORED)


def condense(
    record: Mapping[str, Any], outputs: Mapping[str, Any], targets: Sequence[np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """For each token with a target, its loss and whether it was found, in place of logits over a vocabulary."""
    import numpy as np

    losses, hits = [], []
    for logits, wanted in zip(outputs["logits"], targets, strict=True):
        logits, wanted = logits[wanted != IGNORED].astype(np.float64), wanted[wanted != IGNORED]
        most = logits.max(-1, initial=-np.inf)
        own = logits[np.arange(len(wanted)), wanted]
        losses.append((np.log(np.exp(logits - most[:, None]).sum(-1)) + most - own).astype(np.float32))
        hits.append((own == most).astype(np.float32))
    return {"losses": losses, "hits": hits}


def unigram_entropy(targets: Iterable[np.ndarray]) -> float:
    """The loss in nats of a model that knows only the frequency of each token in the text."""
    counts = Counter(token for row in targets for token in row.tolist() if token != IGNORED)
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values()) if total else 0.0
