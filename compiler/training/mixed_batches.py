"""Sets of training rows for several tasks: the batches of an epoch, and the rows of each task in a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import numpy as np
import torch

from ..planning.plan import Phase
from ..planning.split import epoch_order, generator, grouped_by_length, paired_by_label
from .loaders import Batch, Rows
from .with_loss import Pass, SetBatch, Share

Shared = tuple[Rows, np.ndarray]  # a task's rows, and the ascending numbers of its inputs in the table


class RowSet:
    """Rows that some tasks learn from together, identified by their number in the table."""

    def __init__(self, rows: Sequence[Rows], planned: int) -> None:
        self.rows, self.planned = rows, planned
        self.every = np.unique(np.concatenate([each.prepared.numbers for each in rows]))
        self.lengths = self._lengths()
        self.groups = self._groups()
        is_paired = rows[0].task.head.variant.is_paired
        self.labels = np.asarray(rows[0].prepared.targets) if is_paired else None  # label of each row

    def _lengths(self) -> np.ndarray | None:
        """The longest row of each input; None where length makes no difference to the cost."""
        if not any(rows.loader.runs_backbone for rows in self.rows):
            return None
        found = np.zeros(len(self.every), np.int64)
        for rows in self.rows:
            found[np.searchsorted(self.every, rows.prepared.numbers)] = rows.prepared.longest()
        return found if len(found) and found.min() < found.max() else None

    def batches(self, plan: Phase, epoch: int, place: int) -> Iterator[list[int]]:
        """Numbers of the rows of each batch, pass after pass; `place` is the number of this set."""
        size = plan.train.batch_size
        for again in count():
            # the first pass over the first set draws as a pass over an only set would
            which = (place, again) if place or again else ()
            order = epoch_order(len(self.every), plan.seed, epoch, *which)
            if plan.train.group_by_length and self.lengths is not None and self.labels is None:
                order = grouped_by_length(order, self.lengths, size, plan.seed, epoch, *which)
            if self.labels is not None:
                order = paired_by_label(order, self.labels)
            order = self.every[order]
            for at in range(
                0, self.planned, size
            ):  # `planned` differs from the rows for blocks of text, whose number is an estimate
                yield order[np.arange(at, min(at + size, self.planned)) % len(order)].tolist()

    def inputs(self, batches: Iterable[Sequence[int]]) -> list[tuple[Rows, list[np.ndarray]]]:
        """The rows of each task, and the places of its inputs in each batch."""
        chosen = list(batches)
        return [
            (rows, [places[places >= 0] for places in (_places_in(rows.prepared.numbers, batch) for batch in chosen)])
            for rows in self.rows
        ]

    def batch(self, chosen: Sequence[int], augmented: int, dropped: int) -> SetBatch:
        """A batch for all tasks; each task learns from the rows that have a target for it.

        `augmented` and `dropped` are the seeds of augmentation and of dropout. The backbone runs once for each adapter,
        on the rows of its tasks alone.
        """
        pairs = [(rows, mine) for rows, (mine,) in self.inputs([chosen]) if len(mine)]
        passes: list[Pass] = []
        for group in self.groups:
            members = [rows for rows, _ in group]
            own = [(rows, mine) for rows, mine in pairs if rows in members]
            if len(group) > 1 and group[0][0].loader.runs_backbone:
                passes += [self._together(group, chosen, augmented, dropped)] if own else []
                continue
            passes += [
                Pass(arrays=rows.batch(mine, augmented), tasks=(rows.task.name,), seed=None if i else dropped)
                for i, (rows, mine) in enumerate(own)
            ]
        targets = {rows.task.name: rows.targets(mine, augmented) for rows, mine in pairs}
        return SetBatch(passes=tuple(passes), targets=targets)

    def _groups(self) -> list[list[Shared]]:
        """Tasks that give the same inputs to the same adapter, each with the numbers of its inputs."""
        found: dict[tuple[str, str], list[Shared]] = {}
        for rows in self.rows:
            own = rows.task.name if rows.raw.draw else ""  # masked inputs are drawn for each task apart
            found.setdefault((rows.task.adapter, own), []).append((rows, rows.prepared.numbers))
        return list(found.values())

    def _together(self, group: list[Shared], chosen: Sequence[int], augmented: int, dropped: int) -> Pass:
        """One pass for several tasks, each with its own rows."""
        asked: list[tuple[Rows, int, int]] = []  # (task's rows, number of the row, number of its input)
        places = [_places_in(numbers, chosen) for _, numbers in group]
        for at, i in enumerate(chosen):
            if owner := next(
                ((rows, of[at]) for (rows, _), of in zip(group, places, strict=True) if of[at] >= 0), None
            ):
                rows, mine = owner
                asked += [(rows, int(row), i) for row in rows.prepared.rows_of(np.array([mine]))]
        features = [rows.prepared.row(row) for rows, row, _ in asked]
        shares = {}
        for rows, numbers in group:
            own = np.flatnonzero(_places_in(numbers, [i for _, _, i in asked]) >= 0).tolist()
            shares[rows.task.name] = Share(
                rows=torch.tensor(own, dtype=torch.long, device=rows.device),
                longest=max((len(next(iter(features[place].values()))) for place in own), default=1),
                along=frozenset(rows.along),
            )
        batch = self._batch(asked, features, augmented)
        return Pass(arrays=batch, tasks=tuple(shares), shares=shares, seed=dropped)

    def _batch(
        self, asked: Sequence[tuple[Rows, int, int]], features: list[dict[str, np.ndarray]], augmented: int
    ) -> Batch:
        """Input tensors of rows of several tasks."""
        batch = self.rows[0].raw.collated(features, augmented)
        longest = next(iter(batch.values())).shape[1]
        beside = [rows.loader.beside(np.array([row]), longest) for rows, row, _ in asked]
        return batch | {name: torch.cat([each[name] for each in beside]) for name in beside[0]}


def _places_in(numbers: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """The places of `wanted` in ascending `numbers`, -1 for absent ones: int64 (wanted,)."""
    places = np.searchsorted(numbers, wanted)
    places[numbers[np.minimum(places, len(numbers) - 1)] != wanted] = -1
    return places


def batches(sets: Sequence[RowSet], plan: Phase, epoch: int) -> Iterator[tuple[RowSet, list[int]]]:
    """The batches of an epoch in order, drawn from (seed, epoch) alone."""
    drawn = [rows.batches(plan, epoch, place) for place, rows in enumerate(sets)]
    for place in _places(plan, epoch):
        yield sets[place], next(drawn[place])


def whole_loss(plan: Phase, epoch: int, losses: Sequence[float]) -> float:
    """The training loss of an epoch: the sum over all sets of each set's mean, as in validation."""
    places, values = np.array(_places(plan, epoch)[: len(losses)]), np.array(losses)
    return float(sum(values[places == place].mean() for place in np.unique(places)))


def _places(plan: Phase, epoch: int) -> list[int]:
    """The number of the set that each batch of an epoch is drawn from."""
    counts = [each.batches for each in plan.train.sets]
    places = np.repeat(np.arange(len(counts)), counts)
    if plan.train.sampling == "round-robin":
        turns = np.concatenate([np.arange(each) for each in counts])
        places = places[np.argsort(turns, kind="stable")]
    elif len(counts) > 1:
        places = generator(plan.seed, "sets", epoch).permutation(places)
    found: list[int] = places.tolist()
    return found
