"""Answers of heads that write, beside the outputs of one pass: metrics compare their texts with references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.heads import Run
from ...runtime.rows import Values, one_each
from ...runtime.variants import decoder
from ..metrics._texts import TEXTS, as_output
from ..model.network import Network
from ..planning.plan import Phase, TaskPlan
from .loaders import Rows, outputs_of
from .network_run import NetworkRun

CHUNK = 256  # rows that are answered together, from the longest to the shortest


def unreported(count: int) -> None:
    """Takes no notice of rows that were answered."""


def is_written(task: TaskPlan, split: str) -> bool:
    """Whether the rows of a split are answered: test data, and validation rows where a score of texts picks the epoch."""
    own = task.head.variant.metrics.of_texts
    return bool(own) and (split == "test" or (split == "validation" and task.metric in own))


def scored_outputs(
    network: Network, plan: Phase, rows: Rows, split: str, advance: Callable[[int], None] = unreported
) -> dict[str, Values]:
    """What scores are computed of: the network's outputs for a split's rows, and where scores need them its texts."""
    outputs = outputs_of(network, rows)
    if not is_written(rows.task, split):
        return outputs
    run = NetworkRun(network, plan, rows.task, rows.processor)
    features = [rows.prepared.row(i) for i in range(rows.prepared.rows)]
    return with_texts(outputs, run, rows.task, features, rows.processor.rows([]).tokenizer, advance)


def with_texts(
    outputs: Mapping[str, Values],
    run: Run,
    task: TaskPlan,
    rows: Sequence[Mapping[str, np.ndarray]],
    tokenizer: Any,
    advance: Callable[[int], None] = unreported,
) -> dict[str, Values]:
    """Outputs of rows with the texts that answer them, as the bundle writes by default."""
    answerer, record = decoder(task.head.type), task.head.record.plain()
    order = np.argsort([-len(row["input_ids"]) for row in rows], kind="stable")
    found: dict[int, np.ndarray] = {}
    for at in range(0, len(rows), CHUNK):
        chosen = order[at : at + CHUNK].tolist()
        asked = one_each([""] * len(chosen), [dict(rows[i]) for i in chosen], tokenizer)
        answers = answerer.answer(run, record, asked)
        found |= {i: as_output(getattr(answer, answerer.written)) for i, answer in zip(chosen, answers, strict=True)}
        advance(len(chosen))
    return {**outputs, TEXTS: [found[i] for i in range(len(rows))]}
