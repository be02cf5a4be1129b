"""Predicts one number or several from a text or a pair of texts: a grade, a similarity, a price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Pooled, Startable
from ..diagnostics import Diagnostic
from ..floors import Floor, Sample, constant, linear
from ..frozen import Frozen
from ..metrics import regression
from ._scores import Tally, all_equal, numbers
from ._stack import STARTS, Start, Width, count

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layers.head import HeadModule


class Options(Pooled, Startable, Frozen):
    """Keys under `head` for text-regression."""

    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="on the feature, while training")
    hidden: tuple[Width, ...] = Field((), description="widths of layers before the last")
    loss: Literal["mse", "l1", "huber"] = Field("mse", description="how far an answer is from its target")
    start: Start = Field(None, description=STARTS)
    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Errors for numbers that are all equal."""
    yield from all_equal(tallies["train"])


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record of the head: pure data that training and bundle share."""
    return {"names": train.columns, "dropout": options.dropout, "hidden": options.hidden, "loss": options.loss}


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """The target of a row's only input: float32 (numbers,)."""
    return [numbers(row, columns["score"])]


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The untrained head: (batch, width) → (batch, numbers)."""
    from ..layers.classifier import Classifier

    return Classifier(width, tuple(record["hidden"]), len(record["names"]), record["dropout"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean loss of a batch over rows and numbers, as transformers computes it for `problem_type="regression"`."""
    from torch.nn import functional

    functions: dict[str, Any] = {"mse": functional.mse_loss, "l1": functional.l1_loss, "huber": functional.huber_loss}
    found: torch.Tensor = functions[record["loss"]](outputs["logits"], targets)
    return found


def convex(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The record with squared error, which is convex for one linear layer; None with hidden layers."""
    return None if record["hidden"] else {**record, "loss": "mse"}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """The number of parameters."""
    return count(width, record["hidden"], len(record["names"]))


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the graph by name."""
    return {"logits": {"dtype": "float32", "shape": ["batch", len(record["names"])]}}


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """Floors: the mean, and ridge regression on words."""
    import numpy as np

    targets = train.examples.targets
    assert isinstance(targets, np.ndarray)
    yield constant.of_numbers(targets)
    yield from linear.floors(train, targets, linear.numbers(1.0), {"words": linear.words})


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=regression.METRICS,
    targets=("score",),
    several=("score",),  # each of several columns is a number
    tally=Tally,
    problems=problems,
    lower=lower,
    targets_from=("names",),
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
    convex=convex,
    floors=floors,
)
