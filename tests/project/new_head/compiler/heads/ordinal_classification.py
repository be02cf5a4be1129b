"""Chooses one of several ordered labels for a text, such as the stars of a review (McCullagh, 1980)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Pooled
from ..metrics import classification
from . import _classification, _shares
from ._classification import lower, problems, stratum, target
from ._labels import Tally

if TYPE_CHECKING:
    from ..layers.head import HeadModule


class Options(Pooled, _classification.Options):
    """Keys under `head` for ordinal-classification."""

    labels: tuple[str | int | bool, ...] = Field(min_length=3, description="from the lowest to the highest")
    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default mean for encoders"
    )


def parameters(record: Mapping[str, Any], width: int) -> int:
    """One score, and a threshold between each label and the next."""
    return _shares.parameters({**record, "labels": ("score",)}, width) + len(record["labels"]) - 1


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: (batch, width) → (batch, labels), log-probabilities that grow and fall around one score."""
    import torch

    from ..layers.classifier import Classifier
    from ..layers.head import HeadModule

    class Ordinal(HeadModule):
        """P(label > k) is the sigmoid of the score less threshold k; the thresholds stay in order."""

        def __init__(self) -> None:
            super().__init__()
            self.score = Classifier(width, tuple(record["hidden"]), 1, record["dropout"])
            count = len(record["labels"]) - 1  # of thresholds: evenly spread, and wide enough for a label between two
            self.thresholds = torch.nn.Parameter(torch.tensor([(1 - count) * 1.25, *[2.4] * (count - 1)]))

        def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
            gaps = torch.nn.functional.softplus(self.thresholds[1:])
            edges = torch.cat([self.thresholds[:1], self.thresholds[:1] + gaps.cumsum(0)])
            above = self.score(feature)["logits"] - edges
            over, under = torch.nn.functional.logsigmoid(above), torch.nn.functional.logsigmoid(-above)
            # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)): no digits are lost where both are close
            between = over[:, :-1] + under[:, 1:] + torch.log(1 - torch.exp(-gaps))
            return {"logits": torch.cat([under[:, :1], between, over[:, -1:]], 1)}

    return Ordinal()


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=classification.METRICS,
    targets=("label",),
    stratum=stratum,
    tally=Tally,
    problems=problems,
    lower=lower,
    parameters=parameters,
    outputs=_shares.outputs,
    target=target,
    build=build,
    loss=_shares.loss,
)
