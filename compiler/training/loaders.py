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
from ..layers.head import WANTED
from ..model.network import Network
from ..planning.plan import Phase, TaskPlan
from ..planning.split import derived_seed
from .memory import Parts
from .packing import Layout

Batch = dict[str, torch.Tensor]
Aims: TypeAlias = torch.Tensor | dict[str, torch.Tensor]  # targets, or targets by name
View = Callable[
    [list[dict[str, np.ndarray]], np.ndarray], list[dict[str, np.ndarray]]
]  # (arrays of rows, numbers of rows) → arrays of rows
Augment = Callable[[list[dict[str, np.ndarray]], int], list[dict[str, np.ndarray]]]  # (rows, seed) → rows
Draw = Callable[[Any, Mapping[str, np.ndarray], np.random.Generator, bool], tuple[dict[str, np.ndarray], Target]]
NOTHING = -1e4  # output after the end of a row; no loss gives it a share
IGNORED = -100  # target of padding; torch's losses leave it out


def arrays(batch: Mapping[str, np.ndarray], device: str) -> Batch:
    """numpy arrays as tensors on a device."""
    return {name: torch.from_numpy(np.ascontiguousarray(values)).to(device) for name, values in batch.items()}


def ragged(tasks: Iterable[TaskPlan]) -> dict[str, tuple[int, str]]:
    """The outputs whose length differs between rows: name → (axis, name of the axis)."""
    shapes = {task.named(name): array["shape"] for task in tasks for name, array in task.outputs.items()}
    fixed = {name: [0 if side == "width" else side for side in shape] for name, shape in shapes.items()}
    return {name: along for name, shape in fixed.items() if (along := ragged_axis(shape))}


def cut(
    outputs: Mapping[str, torch.Tensor],
    features: Sequence[Mapping[str, np.ndarray]],
    along: Mapping[str, tuple[int, str]],
) -> dict[str, Values]:
    """Outputs as numpy, with ragged outputs cut to the length of each row."""
    found: dict[str, Values] = {}
    for name, values in outputs.items():
        array = values.float().cpu().numpy()
        if name in along:
            found[name] = [own_part(row, own, along[name]) for row, own in zip(array, features, strict=True)]
        else:
            found[name] = array
    return found


def tensors_of(targets: Targets, device: str = "cpu") -> Aims:
    """Targets as tensors (rows, …) on a device; ragged ones are padded to the longest row.

    Padding is -100 for integers, which torch's losses leave out, and 0 for other numbers.
    """
    if isinstance(targets, Mapping):
        return {name: _tensor(column, device) for name, column in targets.items()}
    return _tensor(targets, device)


def _tensor(column: Column, device: str) -> torch.Tensor:
    is_integer = not isinstance(column, np.ndarray) and np.issubdtype(column[0].dtype, np.integer)
    return torch.from_numpy(padded(column, IGNORED if is_integer else 0)).to(device)


def padded(values: Column, with_: float) -> np.ndarray:
    """A new array (rows, …); arrays of different shapes are padded to the largest along every axis."""
    if isinstance(values, np.ndarray):
        return np.array(values)
    rows = list(values)
    sizes = np.max([row.shape for row in rows], axis=0)
    found = np.full((len(rows), *sizes), with_, rows[0].dtype)
    for i, row in enumerate(rows):
        found[i][tuple(map(slice, row.shape))] = row
    return found


def budget_on(device: str, processor: Any) -> int:
    """The largest size of a batch without gradients, smaller on a CPU, whose caches are small."""
    return int(processor.budget) * (1 if device == "cpu" else 4)


class Places(Protocol):
    """An object that knows the folders of a plan's rows: a stage's `Work`, or a `Job`."""

    @property
    def plan(self) -> Phase:
        """The plan."""

    def prepared(self, task: TaskPlan, split: str) -> Path:
        """The folder of a split's prepared rows."""

    def cached(self, task: TaskPlan, split: str) -> Path | None:
        """The folder of a split's cached features or states, None where there are none."""


class Loader(Protocol):
    """Loads batches of rows: raw arrays, or cached outputs of frozen layers."""

    @property
    def runs_backbone(self) -> bool:
        """Whether the backbone runs on the batches; then tasks share its outputs, and batches are grouped by length."""

    def batch(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """Arrays (rows, …) by name for rows by number; `seed` draws what training draws in each step."""

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """Further arrays besides the rows' own, for a batch padded to `longest` tokens."""


class RawRows:
    """Batches of prepared rows, collated by preprocessing."""

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
        """Input tensors of rows."""
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
        """Input tensors of rows by their arrays; with a seed they are augmented, if the task augments."""
        seen = self.augment(features, seed) if self.augment and seed is not None else features
        return arrays(self.processor.collate(seen), self.device)

    def drawn(self, rows: np.ndarray, seed: int | None) -> list[tuple[dict[str, np.ndarray], Target]]:
        """The inputs and the target that a step draws from each row, each from (seed, row number) alone."""
        assert self.draw is not None
        found = []
        for i in rows.tolist():
            draws = np.random.default_rng([seed or 0, i])
            found.append(self.draw(self.task.head.record, self.prepared.row(i), draws, True))
        return found

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """No further arrays."""
        return {}


class CachedFeatures:
    """Batches of cached features, which heads take without the backbone."""

    runs_backbone = False

    def __init__(self, cache: FeatureCache, device: str) -> None:
        self.cache, self.device = cache, device

    def batch(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """`feature` (rows, width); `seed` draws one cached view of each row."""
        places = rows if seed is None else self.cache.drawn(rows, seed)
        return {"feature": torch.from_numpy(self.cache.features(places)).to(self.device)}

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """No further arrays."""
        return {}


class CachedStates:
    """Batches of raw arrays together with cached states (rows, tokens, width) of frozen layers."""

    runs_backbone = True

    def __init__(self, raw: RawRows, cache: FeatureCache) -> None:
        self.raw, self.cache = raw, cache

    def batch(self, rows: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of rows, with their cached states."""
        found = self.raw.batch(rows, seed)
        return found | self.beside(rows, next(iter(found.values())).shape[1])

    def beside(self, rows: np.ndarray, longest: int) -> Batch:
        """The cached states of rows, padded with zeros."""
        return {STATE: torch.from_numpy(self.cache.states(rows, longest)).to(self.raw.device)}


class Rows:
    """The rows of one split of a task: batches for the network, and targets."""

    def __init__(self, places: Places, task: TaskPlan, split: str, processor: Any, device: str) -> None:
        self.cache_folder = places.cached(task, split)
        self.task, self.prepared = task, Prepared(places.prepared(task, split))
        self.views = views(places.plan, task, split)
        self.cache = read_cache(self.cache_folder, len(self.views)) if self.cache_folder else None
        self.processor, self.device, self.budget = processor, device, budget_on(device, processor)
        self.along = task.own(ragged([task]))
        is_taught = split == "train"
        self.block = task.data.block if is_taught else 0  # most tokens of a block that rows share; 0 for none
        self.laid: tuple[bytes, Layout] | None = None  # the last batch in blocks, by its rows
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
        """Targets of the rows of some inputs, padded to the longest.

        Where a step draws inputs and targets, `seed` is the seed of the batch.
        """
        rows = self.prepared.rows_of(inputs)
        found = self.targets_of(rows, seed)
        if not self.block:
            return found
        assert isinstance(found, torch.Tensor)  # as `Head.packs` asks for
        return self._layout(rows).laid(found, IGNORED)

    def targets_of(self, rows: np.ndarray, seed: int | None = None) -> Aims:
        """Targets of rows by number."""
        if self.raw.draw is not None and seed is not None:
            return tensors_of(joined_targets([target for _, target in self.raw.drawn(rows, seed)]), self.device)
        return tensors_of(targets_of(self.prepared.targets, rows), self.device)

    def batch(self, inputs: np.ndarray, seed: int | None = None) -> Batch:
        """Input tensors of the rows of some inputs, in blocks where rows share these; `seed` draws the augmentation."""
        rows = self.prepared.rows_of(inputs)
        found = self.loader.batch(rows, seed)
        found = self._layout(rows).arrays(found) if self.block else found
        wanted = self.task.head.variant.wanted
        return {**found, WANTED: wanted(self.targets(inputs, seed))} if wanted else found

    def _layout(self, rows: np.ndarray) -> Layout:
        """The places of rows in blocks, kept for their targets."""
        if self.laid is None or self.laid[0] != rows.tobytes():
            self.laid = rows.tobytes(), Layout(self.prepared.lengths()[rows], self.block)
        return self.laid[1]


def _augmentation(task: TaskPlan) -> Augment | None:
    """The augmentation of a task's training rows; None for none."""
    if not task.data.augment:
        return None
    from .augmentation import Augmentation

    return Augmentation(task.data.augment.plain()).rows


def views(plan: Phase, task: TaskPlan, split: str) -> list[View]:
    """The views of a split's rows that are cached: the plain rows, or several augmented versions."""
    if split != "train" or plan.train.fold_views == 1 or task.data.augment is None:
        return [lambda features, rows: features]
    from .augmentation import Augmentation

    augmentation = Augmentation(task.data.augment.plain())
    seeds = [derived_seed(plan.seed, "views", number) for number in range(plan.train.fold_views)]

    def view(seed: int, features: list[dict[str, np.ndarray]], rows: np.ndarray) -> list[dict[str, np.ndarray]]:
        return [augmentation.rows([each], seed, int(row))[0] for each, row in zip(features, rows, strict=True)]

    return [partial(view, seed) for seed in seeds]


def outputs_of(network: Network, rows: Rows, size: int = 64) -> dict[str, Values]:
    """Outputs of a task for every row of a split in row order, in inference mode; batches shrink where memory ends."""
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
    """The outputs to keep of a batch: all, or the part that scores need where outputs are large."""
    condense = task.head.variant.condense
    return condense(task.head.record, outputs, [target_of(targets, int(i)) for i in rows]) if condense else outputs


def loss_of(outputs: Mapping[str, Values], rows: Rows, size: int) -> float:
    """The mean loss of a split, from the outputs of its rows.

    For losses with in-batch negatives, the mean over batches of `size` rows.
    """
    if "losses" in outputs:  # condensed
        return rows.task.head.variant.condensed_loss(rows.task.head.record, outputs)
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
