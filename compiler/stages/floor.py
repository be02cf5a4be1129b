"""Scores a task's floors on the rows that the trained network is scored on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ...runtime.rows import Outputs, Values, by_length
from ...runtime.variants import decoder
from ...runtime.verify import plain
from ..contracts.stage import Stage
from ..execution.prepared import Prepared, Targets, write_outputs
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..features.cache import read_cache
from ..floors import Floor, Sample
from ..model.assembly import pooling, topped
from ..model.loading import load_backbone
from ..model.network import Network
from ..planning.floors import SCORED, untouched, untuned
from ..planning.plan import TaskPlan
from ..planning.split import generator
from ..training.loaders import NOTHING, Rows, arrays, budget_on, padded, tensors_of
from ..training.network_run import NetworkRun
from ..training.writing import scored_outputs
from .prepare import inputs_of

MOST = 20_000  # the most training rows that a floor learns from
# steps from the constant answer towards a floor's: a floor that is too certain may still know something
SHRUNK = (0.1, 0.3, 1.0)
BATCH = 32
ANSWERS = "answers.json"
FEW = 4  # inputs that the untuned network answers for the card


def run(work: Work) -> None:
    """Writes `floors.json` of the stage's task, and each floor's outputs for validation rows (`0.npz` …).

    In it, `scores` holds by split and floor every metric that is one number. `untrained` is the loss on training rows
    of the best constant answer, None where no floor gives one. `tells` is the least loss on validation rows on the way
    from the constant answer to a floor's, relative to the constant answer's.
    `answers.json` holds some golden inputs with the answers of the untuned network, where it has any.
    """
    task, record = work.task, work.task.head.record.plain()
    head, metrics = task.head.variant, task.head.variant.metrics
    assert head.floors is not None
    before = _network(work) if untuned(task) else None
    train = _train(work)
    asked = {split: _sample(work, split, before) for split in SCORED if task.split(split)}
    scores: dict[str, dict[str, Any]] = {split: {} for split in asked}
    found: dict[str, Any] = {
        "scores": scores,
        "untrained": None,
        "tells": None,
        "train_rows": len(train),
        "names": [],
        "calibrated": {},
    }
    constant: Outputs | None = None
    with threadpool_limits(1):
        for number, floor in enumerate(head.floors(record, train)):
            decided: Mapping[str, Any] = {}
            found["names"].append(floor.name)
            for split, sample in asked.items():
                outputs = floor.answer(sample)
                if outputs is None:
                    continue
                if split == "validation":
                    write_outputs(work.out / f"{number}.npz", outputs)
                    if floor.is_calibrated:
                        decided = metrics.calibrate(record, outputs, sample.examples)
                    found["calibrated"][floor.name] = decided
                    found["tells"] = _told(found["tells"], task, constant, outputs, sample)
                    constant = outputs if floor.is_constant else constant
                scores[split][floor.name] = _numbers(metrics.report({**record, **decided}, outputs, sample.examples))
            if floor.is_constant and not head.condense:
                found["untrained"] = _untrained(task, floor, train)
    (work.out / "floors.json").write_text(json.dumps(found))
    if before:
        told = json.dumps(_answers(work, before), ensure_ascii=False)
        (work.out / ANSWERS).write_text(told, encoding="utf-8")


def _numbers(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if value is None or isinstance(value, int | float)}


def _train(work: Work) -> Sample:
    """At most MOST training rows, the same for all specs with the same rows."""
    prepared = Prepared(work.prepared(work.task, "train"))
    every = np.arange(len(prepared))
    chosen = np.sort(generator(0, "floor").permutation(every)[:MOST])
    rows, examples = prepared.examples().taken(chosen)
    vectors = _vectors(work, "train")
    return Sample(
        examples, partial(_inputs, work, "train", prepared.numbers[chosen]), None if vectors is None else vectors[rows]
    )


def _sample(work: Work, split: str, before: Network | None) -> Sample:
    prepared = Prepared(work.prepared(work.task, split))
    read, told = partial(_inputs, work, split, prepared.numbers), None
    if before:
        processor = preprocessor(work.plan, work.origin)
        told = scored_outputs(before, work.plan, Rows(work, work.task, split, processor, work.machine.device), split)
    return Sample(prepared.examples(), read, _vectors(work, split), told)


def _network(work: Work) -> Network:
    """The network of the spec's backbone before any training."""
    backbone = load_backbone(work.plan, work.origin)
    return topped(work.plan, {work.task.adapter: backbone}, work.origin).to(work.machine.device).eval()


def _answers(work: Work, before: Network) -> list[dict[str, Any]]:
    """What the untuned network answers to the first golden inputs that the bundle will hold."""
    plan, task = work.plan, work.task
    reading, own, processor = plan.reading.variant, decoder(task.head.type), preprocessor(plan, work.origin)
    if plan.export.samples == "validation" and task.split("validation"):
        chosen = Prepared(work.prepared(task, "validation")).numbers[:FEW]
        inputs = [reading.asked(value) for value in _inputs(work, "validation", chosen)]
    else:
        inputs = reading.samples(plan.seed, plan.reading.preprocessing)[-FEW:]
    run = NetworkRun(before.to("cpu"), plan, task, processor)
    answers = own.answer(run, task.head.record.plain(), processor.rows(inputs), **own.shown)
    return [
        {"input": reading.portable(value), "answer": plain(answer)}
        for value, answer in zip(inputs, answers, strict=True)
    ]


def _inputs(work: Work, split: str, numbers: np.ndarray) -> list[Any]:
    """The raw inputs of rows of a split's tables, by their ascending numbers."""
    planned = work.task.split(split)
    assert planned is not None
    return list(inputs_of(work.plan, work.task, planned, work.root, numbers))


def _vectors(work: Work, split: str) -> np.ndarray | None:
    """The untouched backbone's features of each row, if they are cached for training or computed for the floor."""
    if split in untouched(work.plan, work.task):
        return _untouched(work, split)
    cached = work.cached(work.task, split)  # an input of this stage if its head's floors take features
    rows = Prepared(work.prepared(work.task, split)).rows  # the first view only, where pictures have several
    return np.asarray(read_cache(cached).values[:rows], np.float32) if cached else None


def _untouched(work: Work, split: str) -> np.ndarray:
    """Features (texts, width) of the spec's backbone, each text of an input by itself."""
    plan, device = work.plan, work.machine.device
    numbers = Prepared(work.prepared(work.task, split)).numbers
    processor = preprocessor(plan, work.origin, otherwise={"is_pair": False, "is_apart": True})
    rows = processor.rows(_inputs(work, split, numbers)).features
    backbone = load_backbone(plan, work.origin).to(device).eval()
    pool = pooling(plan, work.task, backbone)
    lengths = np.array([len(next(iter(row.values()))) for row in rows])
    found = np.zeros((len(rows), plan.backbone.width), np.float32)
    for chosen in by_length(lengths, BATCH, budget_on(device, processor)):
        batch = arrays(processor.collate([rows[i] for i in chosen]), device)
        given = {name: batch[name] for name in work.task.data.inputs}
        with torch.inference_mode():
            found[chosen] = pool(backbone(**given), given).float().cpu().numpy()
    return found


def _untrained(task: TaskPlan, floor: Floor, train: Sample) -> float | None:
    """The loss of a constant answer, or of the answer without preference if that is less, under weights of labels."""
    outputs = floor.answer(train)
    assert outputs is not None
    even: Outputs = {name: _flat(values) for name, values in outputs.items()}
    return round(min(_loss(task, given, train.examples.targets) for given in (outputs, even)), 6)


def _flat(values: Values) -> Values:
    """Logits of the same shape without preference for a label; a single output is a number, and stays."""
    if isinstance(values, list):
        return [np.zeros_like(row) for row in values]
    return values if values.shape[-1] == 1 else np.zeros_like(values)


def _told(
    least: float | None, task: TaskPlan, constant: Outputs | None, outputs: Outputs, sample: Sample
) -> float | None:
    """The least share of the constant answer's loss that remains on the way towards a floor's answer."""
    values = outputs.get("logits")
    if constant is None or not isinstance(values, np.ndarray):
        return least
    known, targets = np.asarray(constant["logits"]), sample.examples.targets
    nothing = _loss(task, constant, targets)
    if not nothing > 0:
        return least
    steps = (_loss(task, {"logits": known + share * (values - known)}, targets) / nothing for share in SHRUNK)
    return round(min([*steps, 1.0 if least is None else least]), 6)


def _loss(task: TaskPlan, outputs: Outputs, targets: Targets) -> float:
    """The task's loss of some outputs, ragged ones padded."""
    tensors = {name: torch.from_numpy(padded(values, NOTHING)) for name, values in outputs.items()}
    with torch.no_grad():
        return float(task.head.variant.loss(task.head.record, tensors, tensors_of(targets)))


STAGE = Stage(run=run)
