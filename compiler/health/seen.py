"""Records of a finished training for the rules of health."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FEWEST = 12  # the fewest steps whose last third gives a useful mean
FIRST = 0.1  # share of steps at the start of a training


@dataclass(frozen=True)
class Training:
    """A finished training.

    `losses` (steps,), `norms` (steps, 2) of gradients before clipping (all parameters, heads), `rates` (steps,) as
    factors on the peak, and the history of `epochs`. `untrained` is the loss of the best constant answer, None where
    unknown. With `is_fitted`, heads were fitted before the first step, and `before` holds their scores. `can_fit` names
    heads that could have been fitted and were not. `starts_random` tells whether heads began with random weights.
    """

    losses: np.ndarray
    norms: np.ndarray
    rates: np.ndarray
    epochs: Sequence[Mapping[str, Any]]
    best_epoch: int
    metric: str
    direction: int
    validation_rows: int
    max_grad_norm: float
    untrained: float | None = None
    is_fitted: bool = False
    before: Mapping[str, Any] = field(default_factory=dict)
    can_fit: Collection[str] = ("",)
    starts_random: bool = True
    has_one_set: bool = (
        True  # whether there is one set of rows; with several, losses of two steps may be of different tasks
    )
    has_backbone: bool = True  # whether the backbone learns, apart from the head

    @cached_property
    def begun(self) -> float:
        """The mean loss of the first steps."""
        return float(self.losses[: max(1, round(FIRST * len(self.losses)))].mean())

    @cached_property
    def start(self) -> float | None:
        """The loss of a constant answer, else that of the first steps of a random head; None where neither is known."""
        if self.untrained is not None:
            return self.untrained
        return self.begun if self.starts_random and not self.is_fitted and len(self.losses) else None

    @property
    def end(self) -> float:
        """The training loss of the last epoch; with one epoch, the mean of the last fifth of its steps."""
        if len(self.epochs) > 1:
            return float(self.epochs[-1]["train_loss"])
        return float(self.losses[-max(1, len(self.losses) // 5) :].mean())

    def values(self) -> list[float | None]:
        """The value of each epoch by which the best one was picked."""
        return [epoch.get(self.metric) for epoch in self.epochs]

    def scores(self) -> list[float | None]:
        """As `values`, after the score of fitted heads."""
        return [*([self.before.get(self.metric)] if self.before else []), *self.values()]

    def margin(self, value: float) -> float:
        """The smallest difference of the metric that is no chance.

        For means of scores between 0 and 1, half of one over the root of the rows, the largest standard error; for
        other measures a twentieth of the value.
        """
        if self.direction < 0 or abs(value) > 1:
            return 0.05 * abs(value)
        least: float = 0.02
        return max(least, 0.5 / max(1, self.validation_rows) ** 0.5)


@dataclass(frozen=True)
class Answers:
    """The answers of the trained model and of its floors to a head's validation rows.

    `floor` and `value` are the best floor's name and score, `model` is the model's score, and `error` is the standard
    error of their difference. `tells` is the least share of a constant answer's loss that remains on the way to a
    floor's answer, `learned` the share that the model leaves. `unused` maps labels that are never answered to rows.
    """

    head: str
    metric: str
    rows: int
    model: float | None = None
    floor: str = ""
    value: float | None = None
    lead: float = 0.0  # lead of the model over that floor
    error: float = 0.0
    is_below: bool = False
    tells: float | None = None
    learned: float | None = None
    unused: Mapping[str, int] = field(default_factory=dict)
    commonest: tuple[str, float, float] | None = None  # (label, share of answers, share of rows)
