"""The stages of a plan in order: one function for each step, with the record of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .. import variants
from ..planning import fits
from ..planning.floors import SCORED, has_floor, vectors
from ..planning.plan import Phase, Plan, PretrainPlan, SplitPlan, TaskPlan
from ..planning.portable import base, portable
from ..planning.terms import BITS
from . import records
from .pipeline import Stage
from .records import LEARNED_FROM, Json, Planned
from .work import FIT, REFERENCE, stage_name

TORCH = ("torch", "transformers", "safetensors", "numpy")
FLOOR = ("scikit-learn", "numpy", "torch", "transformers")
TRAINING = (*TORCH, "peft", "accelerate", "kornia")


def stages(plan: Plan, weights_sha256: str, assets_sha256: str = "", licence: str = "") -> tuple[Stage, ...]:
    """The stages of a plan, in an order in which the inputs of each come before it.

    The hashes and the licence are those of the backbone's files: its weights, and the files that
    `facts.backbone.ASSETS` names.
    """
    planned = Planned(plan, weights_sha256, assets_sha256, licence)
    return tuple(stage for step in STEPS for stage in step(planned))


def _prepare(planned: Planned) -> Iterator[Stage]:
    """`prepare`: rows as arrays, for each split by itself."""
    for task in planned.plan.tasks:
        for split in task.data.splits:
            yield _prepared_rows(planned.plan, task, split, planned.assets, format=7)


def _rehearse(planned: Planned) -> Iterator[Stage]:
    """`rehearse`: the untrained network is exported and checked, so that failures of export show early."""
    tasks = planned.tasks("inputs", "preprocessing")
    yield Stage(
        module="rehearse",
        format=1,
        record={**planned.model, "tasks": tasks, **planned.graph},
        inputs=(),
        libraries=(*TORCH, "peft", "onnx", "onnxruntime"),
    )


def _pretrain(planned: Planned) -> Iterator[Stage]:
    """The self-supervised phases, each starting from the backbone that the one before it made."""
    below = ""
    for number, phase in enumerate(planned.plan.pretrain, 1):
        yield from _phase(planned, phase, f"pretrain-{number}", below)
        below = f"pretrain-{number}-merge"


def _phase(planned: Planned, phase: PretrainPlan, name: str, below: str) -> Iterator[Stage]:
    """A self-supervised phase: its rows, a head that the checkpoint lacks, the training, and the merged backbone."""
    made = (below,) if below else ("rehearse",)  # runs first because it fails early
    model = planned.of_phase(phase)
    own = "" if phase.reads_head else name  # the phase whose rows it reads
    if not phase.reads_head:
        yield from _phase_rows(phase, name, planned.assets)
    rows, scored = (_prepared(phase.tasks, splits, own) for splits in (LEARNED_FROM, SCORED))
    if phase.fit:
        yield Stage(
            module="train",
            format=7,
            record={**model, "method": "probe", "train": phase.fit.model_dump(mode="json")},
            inputs=(*rows, *made),
            libraries=TRAINING,
            resumes=True,
            phase=name,
            is_fit=True,
            below=below,
        )
    fitted = (f"{name}-head",) if phase.fit else ()
    yield Stage(
        module="train",
        format=7,
        record={**model, "train": phase.train.model_dump(mode="json")},
        inputs=(*rows, *fitted, *made),
        libraries=TRAINING,
        resumes=True,
        phase=name,
        below=below,
    )
    yield Stage(
        module="merge",
        format=5,
        record={"language_model": phase.language_model},
        inputs=(name, *fitted, *scored, *made),
        libraries=(*TORCH, "peft"),
        phase=name,
        below=below,
    )


def _features(planned: Planned) -> Iterator[Stage]:
    """`features`: cached outputs of frozen layers, for each split."""
    if planned.plan.train.fold == "none":
        return
    for task in planned.plan.tasks:
        for split in task.data.splits:
            yield _cached(planned, planned.plan, task, split.name)


def _reference(planned: Planned) -> Iterator[Stage]:
    """`reference`: rows with their scores by the untouched backbone, for losses that compare the network with it."""
    for task in planned.plan.tasks:
        if task.head.variant.has_reference(task.head.record):
            for split in task.data.splits:
                yield Stage(
                    module=REFERENCE,
                    format=1,
                    record=planned.of_reference(task),
                    inputs=(stage_name("prepare", task.name, split.name), *planned.made),
                    libraries=TORCH,
                    task=task.name,
                    split=split.name,
                    resumes=True,
                    below=planned.below,
                )


def _cached(planned: Planned, phase: Phase, task: TaskPlan, split: str, is_fit: bool = False) -> Stage:
    rows = (stage_name("prepare", task.name, split),)
    return Stage(
        module="features",
        format=9,
        record=records.of_features(phase, task, split, planned.frozen),
        inputs=(*rows, *planned.made),
        libraries=TORCH,
        task=task.name,
        split=split,
        resumes=True,
        is_fit=is_fit,
        below=planned.below,
        rows_of=rows,
    )


def _fit(planned: Planned) -> Iterator[Stage]:
    """`fit`: heads fitted before the first step, and the features for it that no other stage caches."""
    plan = planned.plan
    if not plan.fitted:
        return
    phase = fits.of_heads(plan)
    features = [stage_name("features", task.name, "train") for task in phase.tasks]
    if plan.train.fold != "feature" or plan.train.fold_views > 1 or plan.train.fold_precision != "fp32":
        own = [_cached(planned, phase, task, "train", is_fit=True) for task in phase.tasks]
        yield from own
        features = [stage.name for stage in own]
    yield Stage(
        module=FIT,
        format=2,
        record=records.of_fit(phase),
        inputs=(*_prepared(phase.tasks, ["train"]), *features),
        libraries=("torch", "numpy", "safetensors"),
    )


def _floor(planned: Planned) -> Iterator[Stage]:
    """`floor`: the scores of floors, on the rows that the trained network is scored on."""
    for task in planned.plan.tasks:
        if has_floor(task):
            yield _task_floor(planned, task)


def _task_floor(planned: Planned, task: TaskPlan) -> Stage:
    inputs = _prepared([task], ("train", *SCORED))
    has_cached = planned.plan.train.fold == "feature" and vectors(task) == "cached"
    cached = tuple(name.replace("prepare", "features", 1) for name in inputs) if has_cached else ()
    return Stage(
        module="floor",
        format=3,
        record=planned.of_floor(task),
        inputs=(*inputs, *cached),
        libraries=FLOOR,
        task=task.name,
    )


def _train(planned: Planned) -> Iterator[Stage]:
    """`train`: the supervised training."""
    fitted = (FIT,) if planned.plan.fitted else ()
    yield Stage(
        module="train",
        format=10,
        record=planned.of_training,
        inputs=(*_read(planned.plan, LEARNED_FROM), *fitted, "rehearse", *planned.made),
        libraries=TRAINING,
        resumes=True,
        below=planned.below,
    )


def _evaluate(planned: Planned) -> Iterator[Stage]:
    """`evaluate`: scores of the trained network, and calibration on validation rows."""
    yield Stage(
        module="evaluate",
        format=7,
        record={},
        inputs=("train", *_read(planned.plan, SCORED), *planned.made),
        libraries=TORCH,
        below=planned.below,
    )


def _health(planned: Planned) -> Iterator[Stage]:
    """`health`: findings about the training."""
    rows = _prepared(planned.plan.tasks, ("validation",))
    yield Stage(
        module="health",
        format=2,
        record={},
        inputs=("train", "evaluate", *rows, *_floors(planned.plan)),
        libraries=TORCH,
    )


def _export(planned: Planned) -> Iterator[Stage]:
    """`export`: fp32 graphs, compared with the network."""
    seen = (stage_name("prepare", task.name, task.gated) for task in planned.plan.tasks)
    yield Stage(
        module="export",
        format=3,
        record=planned.graph,
        inputs=("train", *seen, *planned.made),
        libraries=(*TORCH, "peft", "onnx", "onnxruntime"),
        below=planned.below,
    )


def _quantize(planned: Planned) -> Iterator[Stage]:
    """`quantize`: graphs in the first kind of each precision, with training rows for static scales."""
    if not planned.is_quantised:
        return
    each = planned.plan.export.quantized
    record: Json = {"export": {_key(word): {"kinds": plan.kinds[:1]} for word, plan in each.items()}}
    taking = [w for w, plan in each.items() if BITS[w] in variants.quantization(plan.kinds[0]).needs_rows]
    for word in taking:
        record["export"][_key(word)]["samples"] = each[word].samples
        record["seed"] = planned.plan.seed
    rows = _calibrating(planned.plan) if taking else ()
    yield Stage(
        module="quantize",
        format=3,
        record=record,
        inputs=("export", *rows),
        libraries=("onnx", "onnxruntime", *planned.plan.reading.variant.packages, "numpy"),
    )


def _key(precision: str) -> str:
    """The key of a plan's `export` that says how a precision is made."""
    return "quantization" if precision == "int8" else precision


def _checkpoint(planned: Planned) -> Iterator[Stage]:
    """`checkpoint`: the trained network in Hugging Face form."""
    yield Stage(
        module="checkpoint",
        format=4,
        record={"backbone": {"source": base(planned.plan.backbone.source)}},
        inputs=("train", *planned.made),
        libraries=(*TORCH, "peft"),
        below=planned.below,
    )


def _retain(planned: Planned) -> Iterator[Stage]:
    """`retain`: the backbone's own pretrained objective, before all training and after."""
    phase = planned.plan.retain
    if phase is None:
        return
    yield from _phase_rows(phase, "retain", planned.assets)
    yield Stage(
        module="retain",
        format=4,
        record={"weights": planned.weights},
        inputs=(*_prepared(phase.tasks, ("test",), "retain"), "train", *planned.made),
        libraries=(*TORCH, "peft"),
        below=planned.below,
    )


def _verify(planned: Planned) -> Iterator[Stage]:
    """`verify`: the graphs compared with the network on raw inputs."""
    gated = ("parity", "metric_drop", "drops", "precision", "quantization", "int4", "samples", "samples_sha256")
    whole = planned.whole["export"]
    int8 = ("quantize",) if planned.is_quantised else ()
    rows = _prepared(planned.plan.tasks, SCORED)
    yield Stage(
        module="verify",
        format=14,
        record={"export": {key: whole[key] for key in gated if key in whole}},
        inputs=("export", "evaluate", *rows, *int8, *_calibrating(planned.plan)),
        libraries=("onnx", "onnxruntime", *planned.plan.reading.variant.packages, "numpy"),
    )


def _pack(planned: Planned) -> Iterator[Stage]:
    """`pack`: the bundle."""
    plan = planned.plan
    merged = (f"pretrain-{number}-merge" for number in range(1, len(plan.pretrain) + 1))
    made = (*_floors(plan), "export", "train", *(("quantize",) if planned.is_quantised else ()), *merged)
    yield Stage(
        module="pack",
        format=13,
        record={"plan": portable(plan).sha256, "licence": planned.licence, "runtime": records.runtime_sha256()},
        inputs=("verify", "checkpoint", "evaluate", "health", *made, *(("retain",) if plan.retain else ())),
        libraries=("graftc", "jinja2", "onnxruntime", "numpy", *plan.reading.variant.packages),
    )


Step = Callable[[Planned], Iterator[Stage]]
STEPS: tuple[Step, ...] = (
    _prepare,
    _rehearse,
    _pretrain,
    _features,
    _reference,
    _fit,
    _floor,
    _train,
    _evaluate,
    _health,
    _export,
    _quantize,
    _checkpoint,
    _retain,
    _verify,
    _pack,
)


def _phase_rows(phase: Phase, name: str, assets: str) -> Iterator[Stage]:
    """The rows of a phase that has data of its own."""
    for task in phase.tasks:
        for split in task.data.splits:
            yield _prepared_rows(phase, task, split, assets, format=5, name=name)


def _prepared_rows(
    phase: Phase, task: TaskPlan, split: SplitPlan, assets: str, *, format: int, name: str = ""
) -> Stage:
    return Stage(
        module="prepare",
        format=format,
        record=records.of_rows(phase, task, split, assets),
        inputs=(),
        libraries=("numpy", *task.data.variant.packages),
        task=task.name,
        split=split.name,
        is_numeric=False,
        phase=name,
    )


def _prepared(tasks: Iterable[TaskPlan], splits: Iterable[str], phase: str = "") -> tuple[str, ...]:
    """Names of the stages with the rows of some splits: `prepare`, or `reference` where rows have such scores."""
    return tuple(
        stage_name(_rows_of(task), task.name, split, phase) for split in splits for task in tasks if task.split(split)
    )


def _rows_of(task: TaskPlan) -> str:
    return REFERENCE if task.head.variant.has_reference(task.head.record) else "prepare"


def _read(plan: Plan, splits: Iterable[str]) -> tuple[str, ...]:
    """Names of the `prepare` stages of some splits, and of the `features` stages where features are cached."""
    names, tasks = tuple(splits), plan.tasks if plan.train.fold != "none" else ()
    cached = (stage_name("features", task.name, split) for split in names for task in tasks if task.split(split))
    return (*_prepared(plan.tasks, names), *cached)


def _floors(plan: Plan) -> tuple[str, ...]:
    return tuple(stage_name("floor", task.name) for task in plan.tasks if has_floor(task))


def _calibrating(plan: Plan) -> tuple[str, ...]:
    """Names of the stages with the rows that fix scales."""
    is_taking = any(planned.samples for planned in plan.export.quantized.values())
    return _prepared(plan.teaching, ("train",)) if is_taking else ()
