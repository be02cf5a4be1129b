"""The module that is trained: a network whose `forward` returns the loss of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..model.network import Network
from .loaders import Aims
from .memory import answers_in_parts
from .world import ALONE, World

Answers = dict[str, dict[str, torch.Tensor]]  # outputs by task and by the task's own words


@dataclass(frozen=True, kw_only=True, eq=False)
class Share:
    """The rows of a pass that belong to one task."""

    rows: torch.Tensor  # int64 (rows of the task,), places in the pass
    longest: int  # tokens of the task's longest row, to which ragged outputs are cut
    along: frozenset[str]  # names of the ragged outputs


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """One pass through the network: arrays (rows, …) by name, and the tasks whose heads run."""

    arrays: Mapping[str, torch.Tensor]
    tasks: tuple[str, ...]
    shares: Mapping[str, Share] | None = None  # by task; None where every row belongs to every task
    seed: int | None = None  # the seed of dropout; None continues the draws of the pass before


@dataclass(frozen=True, kw_only=True, eq=False)
class SetBatch:
    """A batch of a set of rows: its passes in order, and the targets of each task in the order of losses."""

    passes: tuple[Pass, ...]
    targets: Mapping[str, Aims]  # (rows of the task, …), or such tensors by name


class WithLoss(nn.Module):
    """A network with its loss; `forward` uses every learning parameter, as DistributedDataParallel requires."""

    def __init__(self, network: Network, world: World = ALONE) -> None:
        super().__init__()
        self.network, self.world = network, world

    def forward(self, batch: SetBatch, parts: int = 1) -> torch.Tensor:
        """The weighted sum of the tasks' losses, a scalar; each pass is split into at most `parts` parts."""
        answers: Answers = {}
        for each in batch.passes:
            answers |= self._answers(each, parts)
        losses = [self._loss(name, answers[name], targets) for name, targets in batch.targets.items()]
        return sum(losses[1:], losses[0])

    def _answers(self, asked: Pass, parts: int) -> Answers:
        if asked.seed is not None:
            seed_draws(asked.seed, next(iter(asked.arrays.values())).device)
        found = answers_in_parts(self.network, parts, asked.arrays, asked.tasks)
        return found if asked.shares is None else {n: taken(found[n], share) for n, share in asked.shares.items()}

    def _loss(self, name: str, outputs: Mapping[str, torch.Tensor], targets: Aims) -> torch.Tensor:
        """A task's weighted mean loss, in float32 whatever the precision of the network."""
        task = self.network.tasks[name][0]
        values = {word: array.float() for word, array in outputs.items()}
        if task.head.variant.in_batch_negatives:
            values = {word: self.world.gather(array) for word, array in values.items()}
            targets = (
                {word: self.world.gather(array) for word, array in targets.items()}
                if isinstance(targets, dict)
                else self.world.gather(targets)
            )
        return task.weight * task.head.variant.loss(task.head.record, values, targets)


def taken(outputs: Mapping[str, torch.Tensor], share: Share) -> dict[str, torch.Tensor]:
    """The outputs of a task's own rows, with ragged outputs cut to the task's longest row, as its targets are."""
    return {
        word: values[share.rows][:, : share.longest] if word in share.along else values[share.rows]
        for word, values in outputs.items()
    }


def seed_draws(value: int, device: torch.device) -> None:
    """Seeds the generators of a device; torch.manual_seed takes a millisecond to seed all kinds of devices."""
    torch.default_generator.manual_seed(value)
    if device.type != "cpu":
        torch.cuda.manual_seed_all(value)
