"""Chooses a label for a text and the picture that belongs to it: the backbone reads the text, layers of the head's own the picture."""

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

EDGE, CHANNELS = 16, 8  # pixels of a picture, and what is found of it


class Options(Pooled, _classification.Options):
    """Keys under `head` for offer-classification."""

    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default mean for encoders"
    )


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """How the picture is read, which no backbone says: small, in three channels."""
    edge = input.image_size or EDGE
    image = {
        "modality": "image", "channels": 3, "resize": {"height": edge, "width": edge}, "resample": 2, "crop": None,
        "crop_pct": None, "rescale": 1 / 255, "mean": [0.5] * 3, "std": [0.5] * 3,
    }  # fmt: skip
    return {"readings": {"image": image}}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """A convolution of the picture, and a layer over what it finds beside the text's feature."""
    return CHANNELS * (3 * 9 + 1) + len(record["labels"]) * (width + CHANNELS + 1)


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: (batch, width) and pictures (batch, 3, edge, edge) → (batch, labels)."""
    import torch

    from ..layers.head import HeadModule

    class Offers(HeadModule):
        """A text's feature beside what a convolution finds of a picture."""

        reads_arrays = True

        def __init__(self) -> None:
            super().__init__()
            self.look = torch.nn.Conv2d(3, CHANNELS, 3, stride=2)
            self.out = torch.nn.Linear(width + CHANNELS, len(record["labels"]))

        def forward(self, feature: torch.Tensor, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            seen = torch.relu(self.look(arrays["image.pixel_values"])).mean((2, 3))
            return {"logits": self.out(torch.cat([feature, seen], 1))}

    return Offers()


HEAD = Head(
    modality="text+image",
    needs="pooled",
    options=Options,
    metrics=classification.METRICS,
    targets=("label",),
    reads=reads,
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
