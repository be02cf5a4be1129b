"""The contrastive loss of finding a text's partner within a batch, over batches of the rows in order.

Reads the output `sentence_embedding` and the fields `texts`, the number of texts of a row, and `scale`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns

if TYPE_CHECKING:
    import numpy as np

BATCH = 64  # rows per batch


def names(columns: Columns) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`."""
    return ("loss",)


def direction(name: str) -> int:
    """-1: lower is better."""
    return -1


def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> float:
    """The loss of `sentence_embedding`, (texts, width), a row's texts adjacent; equal texts are no negatives."""
    import numpy as np

    count = record["texts"]
    vectors = np.asarray(outputs["sentence_embedding"], np.float64)
    vectors, texts = vectors.reshape(-1, count, vectors.shape[-1]), np.asarray(examples.targets).reshape(-1, count)
    losses = []
    for at in range(0, len(vectors), BATCH):
        own, known = vectors[at : at + BATCH], texts[at : at + BATCH]
        logits = own[:, 0] @ own[:, 1:].swapaxes(0, 1).reshape(-1, own.shape[-1]).T * record["scale"]
        right = logits[np.arange(len(own)), np.arange(len(own))]
        twins = known[:, 1:2] == known[:, 1:].T.reshape(1, -1)
        twins[np.arange(len(own)), np.arange(len(own))] = False
        logits = np.where(twins, -np.inf, logits)
        most = logits.max(1)
        losses.append(np.log(np.exp(logits - most[:, None]).sum(1)) + most - right)
    return float(np.concatenate(losses).mean())


def report(record: Mapping[str, Any], outputs: Mapping[str, np.ndarray], examples: Any) -> dict[str, Any]:
    """Every metric."""
    return {"loss": one("loss", record, outputs, examples)}


METRICS = Metrics(names=names, direction=direction, one=one, report=report)
