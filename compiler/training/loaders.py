"""Batches of prepared rows as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch

from ...runtime.rows import Values, by_length, gathered, own_part, ragged_axis, taken
from ..contracts.head import Target
from ..execution.prepared import Column, Prepared, Targets, joined_targets, target_of, targets_of
from ..execution.work import Work
from ..features.cache import read_kept
from ..features.layers import STATE
from ..model.network import Graft
from ..planning.plan import Phase, TaskPlan
from ..planning.split import derived_seed
from .memory import Parts

Batch = dict[str, torch.Tensor]
Aims: TypeAlias = torch.Tensor | dict[str, torch.Tensor]  # targets, or targets by name
View = Callable[[list[dict[str, np.ndarray]], np.ndarray], list[dict[str, np.ndarray]]]  # of rows by their numbers
NOTHING = -1e4  # the output where a row has ended: no loss gives it a share
IGNORED = -100  # the target of what is no token of an input; torch's losses leave it out


def arrays(batch: Mapping[str, np.ndarray], device: str) -> Batch:
    """Tensors on a device, from numpy arrays."""
    return {name: torch.from_numpy(np.ascontiguousarray(values)).to(device) for name, values in batch.items()}


def ragged(tasks: Iterable[TaskPlan]) -> dict[str, tuple[int, str]]:
    """The outputs of tasks that run along a row or something in it: by which axis, and its name."""
    shapes = {task.named(name): array["shape"] for task in tasks for name, array in task.outputs.items()}
    fixed = {name: [0 if side == "width" else side for side in shape] for name, shape in shapes.items()}
    return {name: along for name, shape in fixed.items() if (along := ragged_axis(shape))}


def cut(
    outputs: Mapping[str, torch.Tensor],
    features: Sequence[Mapping[str, np.ndarray]],
    along: Mapping[str, tuple[int, str]],
) -> dict[str, Values]:
    """Outputs as numpy, those that run along a text cut to the length of each row."""
    found: dict[str, Values] = {}
    for name, values in outputs.items():
        array = values.float().cpu().numpy()
        if name in along:
            found[name] = [own_part(row, own, along[name]) for row, own in zip(array, features, strict=True)]
        else:
            found[name] = array
    return found


def tensors_of(targets: Targets, device: str = "cpu") -> Aims:
    """Targets as tensors (rows, …) on a device, those that are ragged as long as the longest of them.

    Past a row's own end integers are -100, which torch's losses leave out, and other numbers 0.
    """
    if isinstance(targets, Mapping):
        return {name: _tensor(column, device) for name, column in targets.items()}
    return _tensor(targets, device)


def _tensor(column: Column, device: str) -> torch.Tensor:
    is_integer = not isinstance(column, np.ndarray) and np.issubdtype(column[0].dtype, np.integer)
    return torch.from_numpy(padded(column, IGNORED if is_integer else 0)).to(device)


def padded(values: Column, with_: float) -> np.ndarray:
    """An array (rows, …) of its own; of arrays whose first axes differ, each row is filled up to the longest."""
    if isinstance(values, np.ndarray):
        return np.array(values)
    rows = list(values)
    found = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), with_, rows[0].dtype)
    for i, row in enumerate(rows):
        found[i, : len(row)] = row
    return found


def budget_on(device: str, processor: Any) -> int:
    """How much a batch may hold that nothing learns from; a CPU's caches hold less than keeps a GPU busy."""
    return int(processor.budget) * (1 if device == "cpu" else 4)


class Rows:
    """The inputs of a task's split as batches: their prepared rows collated, or folded features."""

    def __init__(self, work: Work, task: TaskPlan, split: str, processor: Any, device: str) -> None:
        self.folded = folded = work.folded(task, split)
        self.task, self.prepared = task, Prepared(work.prepared(task, split))
        self.views = views(work.plan, task, split)
        self.kept = read_kept(folded, len(self.views)) if folded else None
        self.processor, self.device, self.budget = processor, device, budget_on(device, processor)
        self.along = task.own(ragged([task]))
        self.draw = task.head.variant.draw if split == "train" else None
        self.augment: Callable[[list[dict[str, np.ndarray]], int], list[dict[str, np.ndarray]]] | None = None
        if task.data.augment and split == "train" and not self.kept:
            from .augmentation import Augmentation

            self.augment = Augmentation(task.data.augment.plain()).rows

    def __len__(self) -> int:
        return len(self.prepared)

    def targets(self, inputs: np.ndarray, seed: int | None = None) -> Aims:
        """Targets of the rows of some inputs, as long as the longest where they run along a text.

        Where rows are drawn anew for each step, `seed` is the one that their batch had.
        """
        return self.targets_of(self.prepared.rows_of(inputs), seed)

    def targets_of(self, rows: np.ndarray, seed: int | None = None) -> Aims:
        """Targets of some rows."""
        if self.draw is not None and seed is not None:
            return tensors_of(joined_targets([target for _, target in self._drawn(rows, seed)]), self.device)
        return tensors_of(targets_of(self.prepared.targets, rows), self.device)

    def loss(self, outputs: Mapping[str, torch.Tensor], inputs: np.ndarray, seed: int) -> torch.Tensor:
        """The task's mean loss over the rows of some inputs; `seed` is the one that their batch had."""
        values = {name: array.float() for name, array in outputs.items()}
        return self.task.head.variant.loss(self.task.head.record, values, self.targets(inputs, seed))

    def batch(self, inputs: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of the rows of some inputs; `seed` draws the augmentation where there is one."""
        return self.batch_of(self.prepared.rows_of(inputs), seed)

    def batch_of(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of some rows."""
        kept = self.kept
        if kept is None:
            return self.plain(rows, seed)
        if kept.is_whole:
            places = rows if seed is None else kept.drawn(rows, seed)
            return {"feature": torch.from_numpy(kept.features(places)).to(self.device)}
        plain = self.plain(rows, seed)
        longest = next(iter(plain.values())).shape[1]
        plain[STATE] = torch.from_numpy(kept.states(rows, longest)).to(self.device)
        return plain

    def plain(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of some rows, whatever of them is computed already."""
        if self.draw is not None and seed is not None:
            drawn = [row for row, _ in self._drawn(rows, seed)]
            batch = self.processor.collate(drawn)
            chosen = np.zeros_like(batch["attention_mask"])
            for i, row in enumerate(drawn):
                chosen[i, row["masks"]] = 1
            return arrays({**batch, "chosen": chosen}, self.device)
        chosen = self.views[0]([self.prepared.row(int(i)) for i in rows], rows)
        if self.augment and seed is not None:
            chosen = self.augment(chosen, seed)
        return arrays(self.processor.collate(chosen), self.device)

    def _drawn(self, rows: np.ndarray, seed: int | None) -> list[tuple[dict[str, np.ndarray], Target]]:
        """What a step asks of some rows, and what it aims at: each draws from (seed, its number) alone."""
        assert self.draw is not None
        found = []
        for i in rows.tolist():
            draws = np.random.default_rng([seed or 0, i])
            found.append(self.draw(self.task.head.record, self.prepared.row(i), draws, True))
        return found


def views(plan: Phase, task: TaskPlan, split: str) -> list[View]:
    """How rows are seen where frozen work is computed once: as they are, or as so many drawn changes have them."""
    if split != "train" or plan.train.fold_views == 1 or task.data.augment is None:
        return [lambda features, rows: features]
    from .augmentation import Augmentation

    augmentation = Augmentation(task.data.augment.plain())
    seeds = [derived_seed(plan.seed, "views", number) for number in range(plan.train.fold_views)]

    def view(seed: int, features: list[dict[str, np.ndarray]], rows: np.ndarray) -> list[dict[str, np.ndarray]]:
        return [augmentation.rows([each], seed, int(row))[0] for each, row in zip(features, rows, strict=True)]

    return [partial(view, seed) for seed in seeds]


def outputs_of(graft: Graft, rows: Rows, size: int = 64) -> dict[str, Values]:
    """Outputs of a task for every row of a split, in row order, in inference mode; fewer at once where memory ends."""
    return Parts().fit(size, lambda parts: _outputs(graft, rows, -(-size // parts)))


def _outputs(graft: Graft, rows: Rows, size: int) -> dict[str, Values]:
    graft.eval()
    parts, order = [], []
    with torch.inference_mode():
        for chosen in by_length(rows.prepared.lengths(), size, rows.budget):
            features = [rows.prepared.row(int(i)) for i in chosen] if rows.along else []
            found = graft.answers(rows.batch_of(chosen), [rows.task.name])[rows.task.name]
            parts.append(condensed(rows.task, cut(found, features, rows.along), rows.prepared.targets, chosen))
            order.append(chosen)
    return gathered(parts, np.concatenate(order))


def condensed(
    task: TaskPlan, outputs: Mapping[str, Values], targets: Targets, rows: np.ndarray
) -> Mapping[str, Values]:
    """What is kept of the outputs of some rows: all of them, or what scores need where they are too many."""
    condense = task.head.variant.condense
    return condense(task.head.record, outputs, [target_of(targets, int(i)) for i in rows]) if condense else outputs


def loss_of(outputs: Mapping[str, Values], rows: Rows, size: int) -> float:
    """The mean loss of a split, from the outputs of its rows.

    Where inputs are held against each other it is the mean over batches of `size`, as training sees them.
    """
    if "losses" in outputs:  # condensed
        losses = np.concatenate(outputs["losses"])
        return float(losses.mean()) if len(losses) else 0.0
    every, count = np.arange(rows.prepared.rows), len(rows)
    if not rows.task.head.variant.in_batch_negatives:
        return _loss(outputs, rows, every)
    ends = [*range(0, count - size + 1, size), count] if count >= size else [0, count]
    edges = [int(rows.prepared.edges[i]) for i in ends]
    parts = [every[a:b] for a, b in pairwise(edges) if b > a]
    return sum(len(part) * _loss(taken(outputs, part), rows, part) for part in parts) / len(every)


def _loss(outputs: Mapping[str, Values], rows: Rows, chosen: np.ndarray) -> float:
    targets = tensors_of(targets_of(rows.prepared.targets, chosen))
    tensors = {}
    for name, values in outputs.items():
        if isinstance(values, list):
            sizes = np.max([row.shape for row in values], axis=0)
            padded = np.full((len(values), *sizes), NOTHING, np.float32)
            for i, row in enumerate(values):
                padded[i][tuple(map(slice, row.shape))] = row
            tensors[name] = torch.from_numpy(padded)
        else:
            tensors[name] = torch.from_numpy(values)
    with torch.no_grad():
        return float(rows.task.head.variant.loss(rows.task.head.record, tensors, targets))
