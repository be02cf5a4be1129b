"""Scores of written texts beside those of predicted words.

Reads the outputs of `language`, and `texts`: of each row the bytes of its answer in UTF-8. References are a list of
texts for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..contracts.metrics import Metrics
from ..contracts.reading import Columns
from . import language

if TYPE_CHECKING:
    import numpy as np

TEXTS = "texts"  # the output
Scores = Callable[[Sequence[str], Sequence[Sequence[str]]], dict[str, Any]]
"""(texts, references of each) → every score by name, and what says how they were computed"""


def as_output(text: str) -> np.ndarray:
    """A text as an output, uint8 of shape (bytes,)."""
    import numpy as np

    return np.frombuffer(text.encode(), np.uint8)


def metrics(names: tuple[str, ...], scores: Scores) -> Metrics:
    """The scores of predicted words, and `names`, which `scores` gives of texts; higher is better."""

    def every(columns: Columns) -> tuple[str, ...]:
        """Metrics that a spec may name under `train.metric`."""
        return (*language.NAMES, *names)

    def direction(name: str) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if name in names else language.direction(name)

    def one(name: str, record: Mapping[str, Any], outputs: Mapping[str, Any], examples: Any) -> float | None:
        """One metric; None where there is nothing to score."""
        found: float | None = report(record, outputs, examples).get(name)
        return found

    def report(record: Mapping[str, Any], outputs: Mapping[str, Any], examples: Any) -> dict[str, Any]:
        """Every metric that the outputs allow."""
        found = language.report(record, outputs, examples) if "losses" in outputs else {}
        if TEXTS not in outputs:
            return dict(found)
        written = [bytes(row.astype("uint8").tobytes()).decode() for row in outputs[TEXTS]]
        return {**found, **(scores(written, list(examples.references)) if written else dict.fromkeys(names))}

    relative = language.METRICS.relative
    return Metrics(names=every, direction=direction, one=one, report=report, of_texts=names, relative=relative)
