"""The backbone's own features, one vector for a text or for each token: a head without parameters.

Nothing is trained, unless by a stage of `pretrain`; training rows only show how long texts are, and serve to compare
the graph with the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Normalized, Pooled
from ..frozen import Frozen
from ..metrics import nothing
from ._scores import Tally

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..facts.backbone import BackboneFacts
    from ..layers.head import HeadModule


class Options(Pooled, Normalized, Frozen):
    """Keys under `head` for feature-extraction."""

    pooling: Literal["mean", "cls", "max", "last", "none"] | None = Field(
        None,
        description="how token states become one feature; default the folder's own, else mean for encoders; "
        "none: a vector for each token",
    )
    normalize: bool | None = Field(
        None, description="whether vectors have length one; default as a sentence-transformers folder says, else not"
    )


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record of the head: pure data that training and bundle share."""
    return {"is_pooled": options.pooling != "none", "is_normalized": options.normalize}


def settle(record: Mapping[str, Any], backbone: BackboneFacts, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The record, in which a sentence-transformers folder decides whether vectors are normalised."""
    said = backbone.sentences
    usual = bool(said and said.is_normalized and record["is_pooled"])
    return {**record, "is_normalized": usual if record["is_normalized"] is None else record["is_normalized"]}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """Zero."""
    return 0


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the graph by name."""
    along = () if record["is_pooled"] else ("sequence",)
    return {"features": {"dtype": "float32", "shape": ["batch", *along, "width"]}}


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, Any], features: list[Any]
) -> list[np.ndarray]:
    """An empty target for each row of arrays."""
    import numpy as np

    return [np.zeros(0, np.float32) for _ in features]


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: the features themselves, normalised if the record says so."""
    from ..layers.embedder import Features

    return Features(record["is_normalized"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Zero, because there are no targets."""
    return outputs["features"].sum() * 0


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=nothing.METRICS,
    tally=Tally,
    lower=lower,
    settle=settle,
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
    is_untrained=True,
    is_vector=True,
)
