"""A linear head fitted to convergence on features that stay as they are: L-BFGS on its own loss with a ridge penalty.

The penalty's strength is chosen by cross-validation, from the strongest down to where held-out rows lose no less. A
head that is then surer of the rows that it was fitted to than of held-out ones would leave the backbone nothing to
learn from: its weight is scaled down until it loses as much on them as it did on held-out rows (as Guo et al. 2017,
arXiv:1706.04599, scale by a temperature).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (outputs, targets) → mean over rows
Layer = tuple[torch.Tensor, torch.Tensor]  # weight (outputs, width), bias (outputs,)

STRENGTHS = tuple(10.0 ** (-power / 2) for power in range(0, 13))  # of the penalty at SAMPLE rows, the strongest first
FOLDS = 5
SAMPLE = 2000  # rows, drawn where there are more, on which the strength is chosen
MOST = 500  # iterations of one fit
CLOSE, ROUGH = 1e-7, 1e-4  # largest slope at which a fit has converged, and one that only chooses
HALVINGS = 12  # of the range in which a scale is sought
# of what the best constant answer loses: a head that is worse on held-out rows keeps a direction at least
CHANCE = 0.99


@dataclass(frozen=True)
class Fit:
    """A linear layer: outputs = features @ weight.T + bias, weight (outputs, width), bias (outputs,)."""

    weight: torch.Tensor
    bias: torch.Tensor
    strength: float
    iterations: int
    loss: float  # over the rows that it was fitted to, without the penalty
    scale: float = 1.0  # what the fitted weight was multiplied by


@dataclass(frozen=True)
class _Scale:
    """Features moved to mean 0 and scaled, all alike, to a mean square of 1: then one strength means the same anywhere."""

    mean: torch.Tensor
    deviation: float

    @classmethod
    def of(cls, features: torch.Tensor) -> _Scale:
        mean = features.mean(0)
        return cls(mean, float((features - mean).square().mean().sqrt()) or 1.0)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) / self.deviation

    def back(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The layer for features as they come."""
        own = weight / self.deviation
        return own, bias - own @ self.mean


@dataclass(frozen=True)
class _Problem:
    """Scaled features, their targets, and the loss in units of what the best constant answer loses."""

    seen: torch.Tensor
    targets: torch.Tensor
    outputs: int
    loss: Loss
    unit: float

    def start(self) -> Layer:
        return self.seen.new_zeros(self.outputs, self.seen.shape[1]), self.seen.new_zeros(self.outputs)

    def of(self, rows: torch.Tensor) -> _Problem:
        return replace(self, seen=self.seen[rows], targets=self.targets[rows])

    def lost(self, layer: Layer) -> torch.Tensor:
        """What a layer loses, a mean over rows."""
        return self.loss(self.seen @ layer[0].T + layer[1], self.targets) / self.unit

    def solved(self, strength: float, start: Layer, close: float = CLOSE) -> tuple[Layer, int]:
        """The layer with the least loss + strength / 2 · |weight|², and in how many iterations it was found."""
        weight, bias = start[0].clone().requires_grad_(), start[1].clone().requires_grad_()
        iterations = _minimise(
            (weight, bias), lambda: self.lost((weight, bias)) + strength / 2 * weight.square().sum(), close
        )
        return (weight.detach(), bias.detach()), iterations

    def centred(self, weight: torch.Tensor, start: torch.Tensor) -> Layer:
        """A weight with the bias that loses least with it: scaled down, it still gives labels their shares."""
        bias = start.clone().requires_grad_()
        _minimise((bias,), lambda: self.lost((weight, bias)), ROUGH)
        return weight, bias.detach()

    def unsure(self, layer: Layer, wanted: float) -> tuple[Layer, float]:
        """The layer with its weight scaled down until it loses as much as is wanted, and by how much it was."""
        low, high = 0.0, 1.0
        found = layer
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            found = self.centred(layer[0] * middle, found[1])
            low, high = (middle, high) if float(self.lost(found)) > wanted else (low, middle)
        return (self.centred(layer[0] * high, found[1]), high) if high < 1 else (layer, 1.0)


def _minimise(values: tuple[torch.Tensor, ...], value: Callable[[], torch.Tensor], close: float) -> int:
    """Moves values to where a convex function of them is least; returns the number of iterations."""
    optimizer = torch.optim.LBFGS(
        values,
        max_iter=MOST,
        max_eval=2 * MOST,
        tolerance_grad=close,
        tolerance_change=1e-14,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        found = value()
        found.backward()
        return found

    optimizer.step(closure)
    return int(optimizer.state[values[0]]["n_iter"])


def _problem(features: torch.Tensor, targets: torch.Tensor, outputs: int, loss: Loss) -> tuple[_Problem, _Scale]:
    features = features.double()
    targets = targets.double() if targets.is_floating_point() else targets
    scale = _Scale.of(features)
    whole = _Problem(scale(features), targets, outputs, loss, 1.0)
    constant = replace(whole, seen=torch.zeros_like(whole.seen[:, :1]))
    with torch.no_grad():
        unit = float(constant.lost(constant.solved(0.0, constant.start())[0]))
    return replace(whole, unit=unit or 1.0), scale


def fitted(
    features: torch.Tensor,
    targets: torch.Tensor,
    outputs: int,
    loss: Loss,
    draws: np.random.Generator,
    is_sure: bool = False,
) -> Fit:
    """The layer that loses least, its penalty as strong as is best for rows that are held out.

    features (rows, width), targets as the loss wants them; `draws` picks the rows on which the strength is chosen. With
    `is_sure` answers are shares, and the layer is made no surer of its rows than of held-out ones.
    """
    problem, scale = _problem(features, targets, outputs, loss)
    strength, lost = chosen(problem, draws)
    layer, iterations = problem.solved(strength, problem.start())
    layer, factor = problem.unsure(layer, min(lost, CHANCE)) if is_sure else (layer, 1.0)
    return _fit(problem, scale, layer, strength, iterations, factor)


def solve(features: torch.Tensor, targets: torch.Tensor, outputs: int, loss: Loss, strength: float) -> Fit:
    """The layer with the least loss + strength / 2 · |weight|², in which both are as `chosen` has them."""
    problem, scale = _problem(features, targets, outputs, loss)
    layer, iterations = problem.solved(strength, problem.start())
    return _fit(problem, scale, layer, strength, iterations)


def _fit(problem: _Problem, scale: _Scale, layer: Layer, strength: float, iterations: int, factor: float = 1.0) -> Fit:
    with torch.no_grad():
        lost = float(problem.lost(layer)) * problem.unit
    return Fit(*scale.back(*layer), strength, iterations, lost, factor)


def chosen(problem: _Problem, draws: np.random.Generator) -> tuple[float, float]:
    """(strength, loss): at which rows that were held out lose least, from the strongest on, and what they lose."""
    rows = len(problem.seen)
    sample = problem.of(torch.from_numpy(draws.permutation(rows)[:SAMPLE]))
    fold = torch.from_numpy(_folds(sample.targets.numpy()))
    parts = [(sample.of(fold != number), sample.of(fold == number)) for number in range(FOLDS)]
    layers = [inside.start() for inside, _ in parts]
    best, least = STRENGTHS[0], math.inf
    for strength in STRENGTHS:
        layers = [inside.solved(strength, layer, ROUGH)[0] for (inside, _), layer in zip(parts, layers, strict=True)]
        with torch.no_grad():
            lost = sum(float(out.lost(layer)) * len(out.seen) for (_, out), layer in zip(parts, layers, strict=True))
        if lost >= least:
            break
        best, least = strength, lost
    # one and the same prior weighs the less, the more rows there are
    return best * len(sample.seen) / rows, least / len(sample.seen)


def _folds(targets: np.ndarray) -> np.ndarray:
    """A fold for each row, in turn within each label, so that every label is in most of them."""
    order = np.arange(len(targets)) if targets.ndim > 1 else np.argsort(targets, kind="stable")
    fold = np.empty(len(targets), np.int64)
    fold[order] = np.arange(len(targets)) % FOLDS
    return fold
