"""Decides which tasks share training rows, and how often each set of rows is drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..facts.facts import Facts
from ..language.spec import Draft, HeldOut, Spec, Temperature
from .decisions import is_still
from .split import held_out_count

if TYPE_CHECKING:
    from .plan import SetPlan, TaskPlan

USUAL = 2.0  # the default of `sampling: temperature`


def temperature(spec: Spec) -> float | None:
    """The sampling temperature: a set is drawn in proportion to size^(1/temperature); None for equal shares."""
    written = spec.train.sampling
    if isinstance(written, Temperature):
        return written.temperature
    return {"proportional": 1.0, "temperature": USUAL}.get(written)


def sets(spec: Spec, facts: Sequence[Facts], tasks: Sequence[TaskPlan]) -> tuple[SetPlan, ...]:
    """The sets of training rows: heads that read rows together share one; rows that teach no head make none."""
    read = dict.fromkeys(view.together or (view.name,) for view in spec.each)
    together = [names for names in read if _learn(spec) & set(names)]
    from .plan import SetPlan  # its models take their time where nothing is planned

    rows = [_rows(names, spec, facts, tasks) for names in together]
    counts = batches(rows, spec.train.batch_size, temperature(spec))
    return tuple(
        SetPlan(tasks=names, rows=count, batches=each)
        for names, count, each in zip(together, rows, counts, strict=True)
    )


def _rows(names: tuple[str, ...], spec: Spec, facts: Sequence[Facts], tasks: Sequence[TaskPlan]) -> int:
    if len(names) == 1:
        (train,) = (task.split("train") for task in tasks if task.name == names[0])
        return train.rows if train else 0
    view, seen = next((v, f) for v, f in zip(spec.each, facts, strict=True) if v.name in names)
    counts = [count for heads, count in seen.patterns.items() if _learn(spec) & set(heads)]
    return sum(counts) - _share(counts, view)


def _learn(spec: Spec) -> set[str]:
    """The names of the heads that learn; all heads where none does."""
    return {view.name for view in spec.each if not is_still(view.head_type)} or {view.name for view in spec.each}


def held_out_rows(spec: Spec | Draft, facts: Facts) -> int:
    """The number of a task's training rows that are held out for validation.

    Heads that read one table together hold out the same rows: a share of each group of rows that the same heads read.
    """
    counts = [count for names, count in facts.patterns.items() if spec.name in names]
    return _share(counts or facts.splits["train"].tally.strata, spec)


def _share(counts: Iterable[int], spec: Spec | Draft) -> int:
    validation = spec.data.validation if spec.data else None
    return held_out_count(counts, validation.fraction) if isinstance(validation, HeldOut) else 0


def batches(rows: Sequence[int], size: int, temperature: float | None) -> tuple[int, ...]:
    """The number of batches that an epoch draws from each set; an epoch is one pass over the largest.

    >>> batches([640, 64], 32, 1.0), batches([640, 64], 32, 2.0), batches([640, 64], 32, None)
    ((20, 2), (20, 6), (20, 20))
    """
    every = [math.ceil(count / size) for count in rows]
    most = max(every)
    power = 0.0 if temperature is None else 1 / temperature
    return tuple(max(1, round(most * (each / most) ** power)) for each in every)
