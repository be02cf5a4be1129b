"""Scores how well a passage answers a query, read together, and ranks a query's passages.

A cross-encoder (Nogueira and Cho, 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Layered, Pooled
from ..diagnostics import Diagnostic
from ..floors import Floor, Sample, cosine
from ..frozen import Frozen
from ..inputs import text
from ..metrics import ranking
from ._scores import Range, Tally, all_equal, backwards, numbers, outside, scaled
from ._stack import Width, count

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layers.head import HeadModule


class Options(Pooled, Layered, Frozen):
    """Keys under `head` for text-ranking."""

    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="on the feature, while training")
    hidden: tuple[Width, ...] = Field((), description="widths of layers before the last")
    loss: Literal["bce", "mse"] = Field(
        "bce", description="binary cross entropy of scores from 0 to 1, or the squared error of any"
    )
    score_range: Range | None = Field(
        None, description="the lowest and the highest score of the data, which become 0 and 1"
    )
    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Errors for scores that are all equal, and for scores that the loss does not take."""
    yield from all_equal(tallies["train"])
    yield from backwards(options.score_range)
    low, high = options.score_range or (0.0, 1.0)
    if options.loss == "bce" or options.score_range:
        help = "write the ends of your scores under `head`: `score_range: [lowest, highest]`"
        yield from outside(tallies, low, high, help if options.score_range else f"{help}; or `loss: mse`")


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record of the head; `relevant` is the score from which a passage counts as relevant."""
    (column,) = train.columns
    is_unit = options.loss == "bce" or options.score_range is not None
    return {
        "loss": options.loss,
        "score_range": options.score_range,
        "dropout": options.dropout,
        "hidden": options.hidden,
        "relevant": 0.5 if is_unit else (train.least[column][0] + train.most[column][0]) / 2,
    }


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """The score of a row's only input: float32 (1,)."""
    return [scaled(numbers(row, columns["label" if "label" in columns else "score"]), record["score_range"])]


def reference(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> str:
    """The query; passages with the same query are ranked together."""
    return " ".join(str(row[name]) for name in columns["text"])


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The untrained head: (batch, width) → (batch, 1)."""
    from ..layers.classifier import Classifier

    return Classifier(width, tuple(record["hidden"]), 1, record["dropout"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean loss of a batch, each pair by itself."""
    from torch.nn import functional

    functions: dict[str, Any] = {"bce": functional.binary_cross_entropy_with_logits, "mse": functional.mse_loss}
    found: torch.Tensor = functions[record["loss"]](outputs["logits"], targets)
    return found


def parameters(record: Mapping[str, Any], width: int) -> int:
    """The number of parameters."""
    return count(width, record["hidden"], 1)


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the graph by name."""
    return {"logits": {"dtype": "float32", "shape": ["batch", 1]}}


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """Floors: the cosine of query and passage, by TF-IDF and by the untouched backbone."""
    for name, near in cosine.pairs(train):
        yield Floor(name, partial(_logits, near))


def _logits(near: cosine.Near, sample: Sample) -> dict[str, np.ndarray] | None:
    found = near(sample)
    return None if found is None else {"logits": found}


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=ranking.METRICS,
    targets=("label", "score"),
    reader=replace(text.INPUT.reader, optional=()),  # a query without a passage has no score
    reference=reference,
    tally=Tally,
    problems=problems,
    lower=lower,
    targets_from=("score_range",),
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
    floors=floors,
    floor_features="apart",
)
