"""Fits a linear head on fixed features to convergence: L-BFGS on the head's loss with a ridge penalty.

Cross-validation chooses the strength of the penalty, from the strongest down until held-out loss no longer falls. A
fitted head can be surer of the fitted rows than of held-out ones. Then almost no gradient would reach the backbone.
Therefore its weight is scaled down until its loss on the fitted rows equals the held-out loss, like a temperature (Guo
et al. 2017, arXiv:1706.04599).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (outputs, targets) → mean over rows
Layer = tuple[torch.Tensor, torch.Tensor]  # weight (outputs, width), bias (outputs,)

STRENGTHS = tuple(
    10.0 ** (-power / 2) for power in range(0, 13)
)  # strengths of the penalty for SAMPLE rows, the strongest first
FOLDS = 5
SAMPLE = 2000  # the most rows on which the strength is chosen
MOST = 500  # iterations of one fit
CLOSE, ROUGH = 1e-7, 1e-4  # largest gradient of a converged fit, and of a fit that only chooses the strength
HALVINGS = 12  # bisection steps in the search for a scale
# the highest wanted loss, relative to the best constant answer's: a bad head at least keeps a direction
CHANCE = 0.99


@dataclass(frozen=True)
class Fit:
    """A linear layer: outputs = features @ weight.T + bias, weight (outputs, width), bias (outputs,)."""

    weight: torch.Tensor
    bias: torch.Tensor
    strength: float
    iterations: int
    loss: float  # mean loss of the fitted rows, without the penalty
    scale: float = 1.0  # the factor by which the fitted weight was scaled down


@dataclass(frozen=True)
class _Scale:
    """Standardises features to mean 0 and, all by one factor, to mean square 1, so that strengths are comparable."""

    mean: torch.Tensor
    deviation: float

    @classmethod
    def of(cls, features: torch.Tensor) -> _Scale:
        mean = features.mean(0)
        return cls(mean, float((features - mean).square().mean().sqrt()) or 1.0)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) / self.deviation

    def back(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The layer for unscaled features."""
        own = weight / self.deviation
        return own, bias - own @ self.mean


@dataclass(frozen=True)
class _Problem:
    """Scaled features, their targets, and the loss relative to the loss of the best constant answer."""

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
        """The mean loss of a layer."""
        return self.loss(self.seen @ layer[0].T + layer[1], self.targets) / self.unit

    def solved(self, strength: float, start: Layer, close: float = CLOSE) -> tuple[Layer, int]:
        """(layer, iterations): the layer with the least loss + strength / 2 · |weight|²."""
        weight, bias = start[0].clone().requires_grad_(), start[1].clone().requires_grad_()
        iterations = _minimise(
            (weight, bias), lambda: self.lost((weight, bias)) + strength / 2 * weight.square().sum(), close
        )
        return (weight.detach(), bias.detach()), iterations

    def centred(self, weight: torch.Tensor, start: torch.Tensor) -> Layer:
        """A weight with the bias that minimises the loss, so that a scaled weight keeps the shares of labels."""
        bias = start.clone().requires_grad_()
        _minimise((bias,), lambda: self.lost((weight, bias)), ROUGH)
        return weight, bias.detach()

    def unsure(self, layer: Layer, wanted: float) -> tuple[Layer, float]:
        """(layer, factor): the layer with its weight scaled down until its loss reaches `wanted`."""
        low, high = 0.0, 1.0
        found = layer
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            found = self.centred(layer[0] * middle, found[1])
            low, high = (middle, high) if float(self.lost(found)) > wanted else (low, middle)
        return (self.centred(layer[0] * high, found[1]), high) if high < 1 else (layer, 1.0)


def _minimise(values: tuple[torch.Tensor, ...], value: Callable[[], torch.Tensor], close: float) -> int:
    """Moves values to the minimum of a convex function; returns the number of iterations."""
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
    """The layer with the least loss, under the penalty that is best on held-out rows.

    `features` has the shape (rows, width), `targets` what the loss takes. `draws` picks the rows on which the strength
    is chosen. With `is_sure`, answers are probabilities, and the layer is scaled down until it is no surer of fitted
    rows than of held-out ones.
    """
    problem, scale = _problem(features, targets, outputs, loss)
    strength, lost = chosen(problem, draws)
    layer, iterations = problem.solved(strength, problem.start())
    layer, factor = problem.unsure(layer, min(lost, CHANCE)) if is_sure else (layer, 1.0)
    return _fit(problem, scale, layer, strength, iterations, factor)


def solve(features: torch.Tensor, targets: torch.Tensor, outputs: int, loss: Loss, strength: float) -> Fit:
    """The layer with the least loss + strength / 2 · |weight|², on features and loss scaled as in `chosen`."""
    problem, scale = _problem(features, targets, outputs, loss)
    layer, iterations = problem.solved(strength, problem.start())
    return _fit(problem, scale, layer, strength, iterations)


def _fit(problem: _Problem, scale: _Scale, layer: Layer, strength: float, iterations: int, factor: float = 1.0) -> Fit:
    with torch.no_grad():
        lost = float(problem.lost(layer)) * problem.unit
    return Fit(*scale.back(*layer), strength, iterations, lost, factor)


def chosen(problem: _Problem, draws: np.random.Generator) -> tuple[float, float]:
    """(strength, loss): the strength with the least held-out loss, tried from the strongest down, and that loss."""
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
    # the same prior weighs less with more rows
    return best * len(sample.seen) / rows, least / len(sample.seen)


def _folds(targets: np.ndarray) -> np.ndarray:
    """The fold of each row: folds alternate within each label, so that most folds have every label."""
    order = np.arange(len(targets)) if targets.ndim > 1 else np.argsort(targets, kind="stable")
    fold = np.empty(len(targets), np.int64)
    fold[order] = np.arange(len(targets)) % FOLDS
    return fold
