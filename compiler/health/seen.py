"""What training leaves behind anyway, as the rules of health look at it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FEWEST = 12  # steps: of fewer, a mean of their last third says nothing
FIRST = 0.1  # share of the steps whose losses say where a training began


@dataclass(frozen=True)
class Training:
    """A training that has ended.

    `losses` (steps,), `norms` (steps, 2) of gradients before clipping, of all that learns and of the heads, `rates`
    (steps,) as factors on the peak, and the history of its epochs. `untrained` is the loss of the best answer that is
    always the same, None where it is not known. `is_fitted`: the heads were fitted before the first step, and `before` has
    what they scored then. `can_fit`: names of heads that were not fitted and could be. `starts_random`: the heads began
    with random numbers.
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
    has_one_set: bool = True  # of rows; with several, the losses of two steps may be of different tasks
    has_backbone: bool = True  # that learns, and not in the head

    @cached_property
    def begun(self) -> float:
        """The mean loss of the first steps."""
        return float(self.losses[: max(1, round(FIRST * len(self.losses)))].mean())

    @cached_property
    def start(self) -> float | None:
        """What it loses to know nothing, else what the first steps of a random head lost; None where neither is known."""
        if self.untrained is not None:
            return self.untrained
        return self.begun if self.starts_random and not self.is_fitted and len(self.losses) else None

    @property
    def end(self) -> float:
        """The loss of the last epoch, of which each row is seen once; of one epoch, that of the last fifth of its steps."""
        if len(self.epochs) > 1:
            return float(self.epochs[-1]["train_loss"])
        return float(self.losses[-max(1, len(self.losses) // 5) :].mean())

    def values(self) -> list[float | None]:
        """What picked the best epoch, of each of them."""
        return [epoch.get(self.metric) for epoch in self.epochs]

    def scores(self) -> list[float | None]:
        """As `values`, before them that of heads that were fitted."""
        return [*([self.before.get(self.metric)] if self.before else []), *self.values()]

    def margin(self, value: float) -> float:
        """A difference of the metric that is no chance: half of one over the root of the rows, the most that the standard
        error of a mean of scores between 0 and 1 can be; of other measures a twentieth of the value.
        """
        if self.direction < 0 or abs(value) > 1:
            return 0.05 * abs(value)
        least: float = 0.02
        return max(least, 0.5 / max(1, self.validation_rows) ** 0.5)


@dataclass(frozen=True)
class Answers:
    """What the trained model and its floors say of a head's validation rows.

    `floor` and `value` are the best floor's name and score, `model` the model's own, `error` the standard error of their
    difference. `tells` is what is left at best of a constant answer's loss on the way to another floor's, `learned` what
    the model leaves of it. `unused` are labels that are never answered with their rows, `shares` of all answers the
    commonest with its share.
    """

    head: str
    metric: str
    rows: int
    model: float | None = None
    floor: str = ""
    value: float | None = None
    lead: float = 0.0  # of the model over that floor
    error: float = 0.0
    is_below: bool = False
    tells: float | None = None
    learned: float | None = None
    unused: Mapping[str, int] = field(default_factory=dict)
    commonest: tuple[str, float, float] | None = None  # a label, its share of the answers and of the rows
