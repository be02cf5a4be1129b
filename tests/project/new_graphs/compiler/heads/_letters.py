"""What heads share that answer a text with a short word, one letter after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.targets import Place, TargetStatistics
from ..facts.rows import Unusable, cell
from ..frozen import Frozen

if TYPE_CHECKING:
    import numpy as np
    import torch

LETTERS, LONGEST = "abcde", 6  # of an answer; after its last letter stands what ends it
IGNORED = -100  # the target of a letter beyond the end


class Options(Frozen):
    """Keys under `head`."""

    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="on the feature, while training")


class Words(TargetStatistics):
    """Counts the rows whose word can be written."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        (self.column,) = columns["word"]
        self.rows = 0

    @property
    def strata(self) -> tuple[int, ...]:
        """All rows are of one stratum."""
        return (self.rows,)

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row; returns what is wrong where its word has other letters, or too many."""
        if wrong := cell(values, self.column):
            return wrong
        if len(values[self.column]) > LONGEST - 1 or set(values[self.column]) - set(LETTERS):
            return Unusable(self.column, f"is no word of at most {LONGEST - 1} of the letters {LETTERS}")
        self.rows += 1
        return None

    def record(self) -> dict[str, Any]:
        """What a lock keeps of the count, for `recall`."""
        return {"rows": self.rows}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Words:
        """The count that `record` gave."""
        words = cls(columns)
        words.rows = int(record["rows"])
        return words


def lower(options: Options, train: Words) -> dict[str, Any]:
    """The record: the letters, what ends a word not among them."""
    return {"letters": LETTERS, "longest": LONGEST, "dropout": options.dropout}


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """The numbers of the letters and of the end, int64 of shape (letters + 1,)."""
    import numpy as np

    letters = [record["letters"].index(letter) for letter in row[columns["word"][0]]]
    return [np.array([*letters, len(record["letters"])], np.int64)]


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy over the letters of a batch and their ends; logits (batch, longest, letters + 1)."""
    from ..layers.losses import cross_entropy_along

    return cross_entropy_along(outputs["logits"][:, : targets.shape[1]], targets, IGNORED)


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Of a single pass: logits of every letter that may come, and the state from which the first one follows."""
    letters = len(record["letters"]) + 1
    return {
        "logits": {"dtype": "float32", "shape": ["batch", record["longest"], letters]},
        "state": {"dtype": "float32", "shape": ["batch", "width"]},
    }
