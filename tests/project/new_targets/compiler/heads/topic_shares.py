"""How much of a text is about each of some topics: rows name any number of them, each with its share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.head import Head
from ..contracts.targets import Place, TargetStatistics
from ..facts.rows import Unusable
from ..frozen import Frozen
from ..metrics import shares

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layers.head import HeadModule

TOPICS = "abcd"


class Options(Frozen):
    """Keys under `head` for topic-shares."""

    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="on the feature, while training")


class Shares(TargetStatistics):
    """Counts the rows whose topics are known."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        (self.column,) = columns["shares"]
        self.rows = 0

    @property
    def strata(self) -> tuple[int, ...]:
        """All rows are of one stratum."""
        return (self.rows,)

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row; returns what is wrong where it names another topic."""
        if any(topic not in TOPICS for topic, _ in values[self.column]):
            return Unusable(self.column, f"names a topic that is none of {TOPICS}")
        self.rows += 1
        return None

    def record(self) -> dict[str, Any]:
        """What a lock keeps of the count, for `recall`."""
        return {"rows": self.rows}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Shares:
        """The count that `record` gave."""
        found = cls(columns)
        found.rows = int(record["rows"])
        return found


def lower(options: Options, train: Shares) -> dict[str, Any]:
    """The record: the topics."""
    return {"topics": TOPICS, "dropout": options.dropout}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """A layer from the feature to the topics."""
    return (width + 1) * len(record["topics"])


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """A number for each topic."""
    return {"logits": {"dtype": "float32", "shape": ["batch", len(record["topics"])]}}


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[dict[str, np.ndarray]]:
    """`topics` int64 (named,) and `shares` float32 (named,) of the topics that a row names, which may be none."""
    import numpy as np

    named = row[columns["shares"][0]]
    topics = np.array([record["topics"].index(topic) for topic, _ in named], np.int64)
    return [{"topics": topics, "shares": np.array([share for _, share in named], np.float32)}]


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: (batch, width) → (batch, topics)."""
    import torch

    from ..layers.head import HeadModule

    class Topics(HeadModule):
        """One layer."""

        def __init__(self) -> None:
            super().__init__()
            self.out = torch.nn.Linear(width, len(record["topics"]))

        def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.out(feature)}

    return Topics()


def loss(
    record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Mean squared error of the shares that are named; `topics` and `shares` are (batch, most that a row names)."""
    topics, shares = targets["topics"], targets["shares"]
    said = outputs["logits"].sigmoid().gather(1, topics.clamp(min=0))
    is_named = (topics >= 0).float()
    found: torch.Tensor = (is_named * (said - shares) ** 2).sum() / is_named.sum().clamp(min=1)
    return found


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=shares.METRICS,
    targets=("shares",),
    tally=Shares,
    lower=lower,
    parameters=parameters,
    outputs=outputs,
    target=target,
    ragged_targets=("topics", "shares"),
    build=build,
    loss=loss,
)
