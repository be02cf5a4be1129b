"""Pulls texts of one label close and pushes those of other labels apart (Khosla et al., 2020, arXiv:2004.11362).

It reads the training rows of the head after it, and never a held-out, validation or test row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Pooled, ReadsHead
from ..frozen import Frozen
from ..heads._classification import stratum, target
from ..heads._labels import Tally, order
from ..metrics import contrast

if TYPE_CHECKING:
    import torch

    from ..layers.head import HeadModule


class Options(Pooled, ReadsHead, Frozen):
    """Keys of a stage with objective supervised-contrastive."""

    head: str | None = Field(None, description="whose training rows it reads, where there are several heads")
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="divisor of cosines before softmax")
    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default mean for encoders"
    )


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record; `labels` are those of the training rows."""
    return {"temperature": options.temperature, "labels": order(train.counts), "is_multi": False}


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head module, (batch, width) → (batch, width) of length one; it has no parameters."""
    from ..layers.embedder import Embedder

    return Embedder(width, None)


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """The loss L_out of Khosla et al., averaged over the texts that have a partner in the batch.

    `sentence_embedding` is (texts, width) of length one; targets are (texts,), the numbers of the texts' labels.
    """
    import torch

    vectors = outputs["sentence_embedding"]
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    partners = (targets[:, None] == targets[None]) & ~itself
    logits = (vectors @ vectors.T / record["temperature"]).masked_fill(itself, float("-inf"))
    shares = torch.log_softmax(logits, -1).masked_fill(~partners, 0.0).sum(-1)
    counts = partners.sum(-1)
    paired = counts > 0
    if not bool(paired.any()):  # no two texts share a label
        return vectors.sum() * 0.0
    return -(shares[paired] / counts[paired]).mean()


def parameters(record: Mapping[str, Any], width: int) -> int:
    """0."""
    return 0


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Output arrays of the graph, by name."""
    return {"sentence_embedding": {"dtype": "float32", "shape": ["batch", "width"]}}


OBJECTIVE = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=contrast.METRICS,
    targets=("label", "labels"),
    stratum=stratum,
    tally=Tally,
    lower=lower,
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
    in_batch_negatives=True,
    reads_head=True,
    is_paired=True,
)
