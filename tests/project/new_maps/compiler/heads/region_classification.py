"""Chooses a label for each cell of a grid that is laid over a picture, from all feature maps of the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.head import Head
from ..contracts.targets import LabelCounts, Place
from ..facts.rows import Unusable
from ..frozen import Frozen
from ..metrics import regions

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layers.head import HeadModule

ROWS, COLUMNS = 2, 3


class Options(Frozen):
    """Keys under `head` for region-classification."""

    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="on the maps, while training")


class Regions(LabelCounts):
    """Counts the labels of cells."""

    role = "regions"

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        (self.column,) = columns["regions"]
        self.rows, self.counts, self.first = 0, {}, {}

    @property
    def strata(self) -> tuple[int, ...]:
        """All rows are of one stratum."""
        return (self.rows,)

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row; returns what is wrong where its grid has another size."""
        grid = values[self.column]
        if not isinstance(grid, list) or [len(row) for row in grid] != [COLUMNS] * ROWS:
            return Unusable(self.column, f"is no grid of {ROWS} rows and {COLUMNS} columns")
        for label in chain.from_iterable(grid):
            self.counts[label] = self.counts.get(label, 0) + 1
            self.first.setdefault(label, place)
        self.rows += 1
        return None

    def record(self) -> dict[str, Any]:
        """What a lock keeps of the count, for `recall`."""
        return {"rows": self.rows, "counts": dict(self.counts)}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Regions:
        """The count that `record` gave."""
        found = cls(columns)
        found.rows, found.counts = int(record["rows"]), dict(record["counts"])
        found.first = dict.fromkeys(found.counts, place)
        return found


def lower(options: Options, train: Regions) -> dict[str, Any]:
    """The record: the labels, sorted."""
    return {"labels": sorted(train.counts), "dropout": options.dropout}


def settle(record: Mapping[str, Any], backbone: Any, preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """How many channels there are on all levels together."""
    return {**record, "channels": sum(level.channels for level in backbone.maps)}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """A layer from the channels to the labels."""
    return (int(record["channels"]) + 1) * len(record["labels"])


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """A number for each label and cell."""
    return {"logits": {"dtype": "float32", "shape": ["batch", len(record["labels"]), ROWS, COLUMNS]}}


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> Sequence[np.ndarray]:
    """The labels of the cells: int64 (rows, columns)."""
    import numpy as np

    return [np.array([[record["labels"].index(label) for label in cells] for cells in row[columns["regions"][0]]])]


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: maps (batch, channels, height, width) → (batch, labels, rows, columns)."""
    import torch

    from ..layers.head import HeadModule

    class Cells(HeadModule):
        """Maps of all levels, each brought to the grid, and a layer over their channels."""

        def __init__(self) -> None:
            super().__init__()
            self.dropout = torch.nn.Dropout(record["dropout"])
            self.out = torch.nn.Conv2d(record["channels"], len(record["labels"]), 1)

        def forward(self, feature: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
            cells = [torch.nn.functional.interpolate(level, size=(ROWS, COLUMNS), mode="bilinear") for level in feature]
            return {"logits": self.out(self.dropout(torch.cat(cells, 1)))}

    return Cells()


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the cells; targets are (batch, rows, columns)."""
    import torch

    return torch.nn.functional.cross_entropy(outputs["logits"], targets)


HEAD = Head(
    modality="image",
    needs="maps",
    options=Options,
    metrics=regions.METRICS,
    targets=("regions",),
    tally=Regions,
    lower=lower,
    settle=settle,
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
)
