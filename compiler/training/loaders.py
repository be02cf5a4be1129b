"""Batches of prepared rows as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from ...runtime.rows import Values, by_length, gathered, own_part, ragged_axis, taken
from ..contracts.head import Target
from ..execution.prepared import Column, Prepared, Targets, joined_targets, target_of, targets_of
from ..features.cache import FeatureCache, read_cache
from ..features.layers import STATE
from ..model.network import Network
from ..planning.plan import Phase, TaskPlan
from ..planning.split import derived_seed
from .memory import Parts

Batch = dict[str, torch.Tensor]
Aims: TypeAlias = torch.Tensor | dict[str, torch.Tensor]  # targets, or targets by name
View = Callable[[list[dict[str, np.ndarray]], np.ndarray], list[dict[str, np.ndarray]]]  # of rows by their numbers
Augment = Callable[[list[dict[str, np.ndarray]], int], list[dict[str, np.ndarray]]]  # (rows, seed) → rows
Draw = Callable[[Any, Mapping[str, np.ndarray], np.random.Generator, bool], tuple[dict[str, np.ndarray], Target]]
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
    """An array (rows, …) of its own; of arrays that differ in shape, each is filled up to the longest along every axis."""
    if isinstance(values, np.ndarray):
        return np.array(values)
    rows = list(values)
    sizes = np.max([row.shape for row in rows], axis=0)
    found = np.full((len(rows), *sizes), with_, rows[0].dtype)
    for i, row in enumerate(rows):
        found[i][tuple(map(slice, row.shape))] = row
    return found


def budget_on(device: str, processor: Any) -> int:
    """How much a batch may hold that nothing learns from; a CPU's caches hold less than keeps a GPU busy."""
    return int(processor.budget) * (1 if device == "cpu" else 4)


class Places(Protocol):
    """Where the rows of a plan lie: a stage's `Work`, or a `Job`."""

    @property
    def plan(self) -> Phase:
        """What they are for."""

    def prepared(self, task: TaskPlan, split: str) -> Path:
        """The folder of a split's prepared rows."""

    def cached(self, task: TaskPlan, split: str) -> Path | None:
        """The folder of a split's cached features or states, None where there are none."""


class Loader(Protocol):
    """What the network is given of rows: their own arrays, or what frozen layers made of them once."""

    @property
    def runs_backbone(self) -> bool:
        """Whether the backbone runs on it: then long rows cost more than short ones, and tasks share its outputs."""

    def batch(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """Arrays (rows, …) by name, of rows by their numbers; `seed` draws what training draws anew for each step."""

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """What the network is given beside the rows' own arrays, which are `longest` tokens long."""


class RawRows:
    """The arrays of prepared rows as preprocessing collates them."""

    runs_backbone = True

    def __init__(
        self,
        task: TaskPlan,
        prepared: Prepared,
        processor: Any,
        device: str,
        *,
        view: View,
        draw: Draw | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.task, self.prepared, self.processor, self.device = task, prepared, processor, device
        self.view, self.draw, self.augment = view, draw, augment

    def batch(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of some rows."""
        if self.draw is not None and seed is not None:
            drawn = [row for row, _ in self.drawn(rows, seed)]
            batch = self.processor.collate(drawn)
            chosen = np.zeros_like(batch["attention_mask"])
            for i, row in enumerate(drawn):
                chosen[i, row["masks"]] = 1
            return arrays({**batch, "chosen": chosen}, self.device)
        seen = self.view([self.prepared.row(int(i)) for i in rows], rows)
        return self.collated(seen, seed)

    def collated(self, features: list[dict[str, np.ndarray]], seed: int | None) -> Batch:
        """Input tensors of rows by their arrays, augmented where a seed is given and the task has it so."""
        seen = self.augment(features, seed) if self.augment and seed is not None else features
        return arrays(self.processor.collate(seen), self.device)

    def drawn(self, rows: np.ndarray, seed: int | None) -> list[tuple[dict[str, np.ndarray], Target]]:
        """What a step asks of some rows, and what it aims at: each draws from (seed, its number) alone."""
        assert self.draw is not None
        found = []
        for i in rows.tolist():
            draws = np.random.default_rng([seed or 0, i])
            found.append(self.draw(self.task.head.record, self.prepared.row(i), draws, True))
        return found

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """Nothing."""
        return {}


class CachedFeatures:
    """The feature of each row, which the head takes as it is: no backbone runs."""

    runs_backbone = False

    def __init__(self, cache: FeatureCache, device: str) -> None:
        self.cache, self.device = cache, device

    def batch(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """`feature` (rows, width); `seed` draws one of its views for each row."""
        places = rows if seed is None else self.cache.drawn(rows, seed)
        return {"feature": torch.from_numpy(self.cache.features(places)).to(self.device)}

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """Nothing: there are no arrays of rows."""
        return {}


class CachedStates:
    """The arrays of rows, and the states (rows, tokens, width) that frozen layers hand on to those that learn."""

    runs_backbone = True

    def __init__(self, raw: RawRows, cache: FeatureCache) -> None:
        self.raw, self.cache = raw, cache

    def batch(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of some rows, with their states."""
        found = self.raw.batch(rows, seed)
        return found | self.beside(rows, next(iter(found.values())).shape[1])

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """Their states, padded with zeros."""
        return {STATE: torch.from_numpy(self.cache.states(rows, longest)).to(self.raw.device)}


class Rows:
    """The rows of a task's split: what the network is given of them, and what its outputs are held against."""

    def __init__(self, places: Places, task: TaskPlan, split: str, processor: Any, device: str) -> None:
        self.cache_folder = places.cached(task, split)
        self.task, self.prepared = task, Prepared(places.prepared(task, split))
        self.views = views(places.plan, task, split)
        self.cache = read_cache(self.cache_folder, len(self.views)) if self.cache_folder else None
        self.processor, self.device, self.budget = processor, device, budget_on(device, processor)
        self.along = task.own(ragged([task]))
        is_taught = split == "train"
        self.raw = RawRows(
            task,
            self.prepared,
            processor,
            device,
            view=self.views[0],
            draw=task.head.variant.draw if is_taught else None,
            augment=_augmentation(task) if is_taught and not self.cache else None,
        )
        self.loader = self._loader()

    def _loader(self) -> Loader:
        if self.cache is None:
            return self.raw
        return CachedFeatures(self.cache, self.device) if self.cache.is_whole else CachedStates(self.raw, self.cache)

    def __len__(self) -> int:
        return len(self.prepared)

    def targets(self, inputs: np.ndarray, seed: int | None = None) -> Aims:
        """Targets of the rows of some inputs, as long as the longest where they run along a text.

        Where rows are drawn anew for each step, `seed` is the one that their batch had.
        """
        return self.targets_of(self.prepared.rows_of(inputs), seed)

    def targets_of(self, rows: np.ndarray, seed: int | None = None) -> Aims:
        """Targets of some rows."""
        if self.raw.draw is not None and seed is not None:
            return tensors_of(joined_targets([target for _, target in self.raw.drawn(rows, seed)]), self.device)
        return tensors_of(targets_of(self.prepared.targets, rows), self.device)

    def batch(self, inputs: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of the rows of some inputs; `seed` draws the augmentation where there is one."""
        return self.loader.batch(self.prepared.rows_of(inputs), seed)


def _augmentation(task: TaskPlan) -> Augment | None:
    """What changes the rows of a task in training, None where nothing does."""
    if not task.data.augment:
        return None
    from .augmentation import Augmentation

    return Augmentation(task.data.augment.plain()).rows


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


def outputs_of(network: Network, rows: Rows, size: int = 64) -> dict[str, Values]:
    """Outputs of a task for every row of a split, in row order, in inference mode; fewer at once where memory ends."""
    return Parts().fit(size, lambda parts: _outputs(network, rows, -(-size // parts)))


def _outputs(network: Network, rows: Rows, size: int) -> dict[str, Values]:
    network.eval()
    parts, order = [], []
    with torch.inference_mode():
        for chosen in by_length(rows.prepared.lengths(), size, rows.budget):
            features = [rows.prepared.row(int(i)) for i in chosen] if rows.along else []
            found = network.answers(rows.loader.batch(chosen), [rows.task.name])[rows.task.name]
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
    tensors = {name: torch.from_numpy(padded(values, NOTHING)) for name, values in outputs.items()}
    with torch.no_grad():
        return float(rows.task.head.variant.loss(rows.task.head.record, tensors, targets))
