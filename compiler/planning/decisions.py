"""Decides the values that a spec leaves open, each with its reason: the one home of defaults that depend on facts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import variants
from ..contracts.options import Layered, NewHead, Packable, Pooled, Startable
from ..decision import Decided
from ..diagnostics import Path, clean
from ..facts.backbone import BackboneFacts
from ..facts.facts import Facts
from ..facts.sentence_transformers import MODULES, POOLING
from ..language.feeding import reads_head
from ..language.spec import Folding, HeldOut, Rates, Spec, Table, Train
from ..renderers import counted
from ..units import SIZES, amount, in_bytes
from . import quantization
from .feature_caching import cacheable, cached_bytes
from .scoring import defined
from .terms import MEAN

if TYPE_CHECKING:
    from .plan import BackbonePlan, Phase, SetPlan, TaskPlan, TrainPlan

EPOCHS = 3  # where a spec says neither epochs nor steps
DROP = 0.01  # the default of `export.gate.metric_drop`, of heads that have none of their own
FITTED, FITTED_RATE = 500, 1e-3  # most steps in which a missing head is fitted alone, and their peak rate
LOWEST_OPSET = {"tracing": 17, "transformers": 18}  # the opset of a spec that names none


def pooling(spec: Spec, backbone: BackboneFacts) -> Decided[str]:
    """How token states are pooled into one feature."""
    provides, said = backbone.family.provides, backbone.sentences
    if spec.head_variant.needs == "maps":
        return Decided("none", f"`{spec.head_type}` reads feature maps")
    if _reads_tokens(spec):
        return Decided("none", f"`{spec.head_type}` reads every token's state")
    if written := written_pooling(spec.head):
        return Decided(written)
    if "tokens" not in provides:
        return Decided("own", "the backbone gives one feature by itself")
    if said and said.pooling:
        return Decided(said.pooling, f"the backbone's {POOLING}{_normalised(spec, said.is_normalized)}")
    if "causal" in provides:
        return Decided("last", "the default of decoders, whose last state has seen the whole text")
    return Decided("mean", "the default of encoders, which give a state per token")


def start(spec: Spec, train: TrainPlan) -> Decided[str]:
    """How the weights of a head start: `fitted` to cached features, or `random`."""
    if isinstance(spec.head, Startable) and spec.head.start:
        return Decided(spec.head.start)
    method = spec.method_variant
    if not spec.head_variant.convex:
        return Decided("random", f"`{spec.head_type}` is not fitted before it learns")
    if isinstance(spec.head, Layered) and spec.head.hidden:
        return Decided("random", "a head with hidden layers has no single best fit")
    if not method.starts_untouched:
        return Decided("random", f"`{spec.method}` changes the backbone's features before the first step")
    if train.steps == 0:
        return Decided("fitted", "without steps, only a fit trains the head")
    if method.freezes:
        return Decided("random", f"the head is all that learns in `{spec.method}`")
    if train.steps < train.steps_per_epoch:
        return Decided("random", "training ends before it has seen every row, which a fit would")
    return Decided("fitted", f"`{spec.method}` leaves the backbone's features as they are before the first step")


def written_pooling(options: Any) -> str | None:
    """The pooling that a head's options name; None where they name none or have no such key."""
    return options.pooling if isinstance(options, Pooled) else None


def _normalised(spec: Spec, is_normalized: bool) -> str:
    """A note on the `Normalize` module of a sentence-transformers folder; empty where there is none."""
    if not is_normalized:
        return ""
    if spec.head_variant.is_vector:
        return f"; its {MODULES} says `Normalize`, too"
    return f"; `Normalize` in its {MODULES} is left out, because `{spec.head_type}` answers no vector of the text"


def is_still(task: str) -> bool:
    """Whether a head has no parameters and no targets, so that the backbone is exported unchanged."""
    return variants.top(task).is_untrained


def are_still(spec: Spec) -> bool:
    """Whether no head has parameters or targets."""
    return all(is_still(view.head_type) for view in spec.each)


def _reads_tokens(spec: Spec) -> bool:
    return written_pooling(spec.head) == "none" or spec.head_variant.needs not in ("pooled", "maps")


def learning_rate(spec: Spec) -> Decided[float]:
    """The peak learning rate of the backbone's tensors."""
    rate = spec.train.learning_rate
    if rate is not None:
        return Decided(rate.backbone if isinstance(rate, Rates) else rate)
    return Decided(spec.method_variant.learning_rate, _default_of(spec))


def head_learning_rate(spec: Spec) -> Decided[float]:
    """The peak learning rate of the head."""
    rate = spec.train.learning_rate
    if rate is not None:
        return Decided(rate.head if isinstance(rate, Rates) else rate)
    return Decided(spec.method_variant.head_learning_rate, _default_of(spec))


def _default_of(spec: Spec) -> str:
    return f"the default of method `{spec.method}`"


def steps_per_epoch(spec: Spec, sets: Sequence[SetPlan]) -> Decided[int]:
    """Optimiser steps in one pass over the largest set of rows."""
    size, count = spec.train.batch_size, sum(each.batches for each in sets)
    if len(sets) == 1:
        return Decided(count, f"{sets[0].rows:,} training rows, {size} a step")
    drawn = ", ".join(f"{each.batches} of {' + '.join(each.tasks)}" for each in sets)
    return Decided(count, f"batches of {size}: {drawn}")


def steps(spec: Spec, sets: Sequence[SetPlan]) -> Decided[int]:
    """The number of optimiser steps."""
    if are_still(spec):
        return Decided(0, f"`{spec.each[0].head_type}` has nothing to learn")
    if spec.train.max_steps:
        return Decided(spec.train.max_steps, "`train.max_steps`")
    each, count = steps_per_epoch(spec, sets).value, passes(spec.train)
    return Decided(count * each, f"{counted(count, 'epoch')} of {counted(each, 'step')}")


def passes(train: Train) -> int:
    """The number of epochs that the spec asks for, or the default."""
    return EPOCHS if train.epochs is None else train.epochs


def epochs(spec: Spec, sets: Sequence[SetPlan]) -> Decided[int]:
    """The number of passes over the training rows that are begun."""
    count = math.ceil(steps(spec, sets).value / steps_per_epoch(spec, sets).value)
    if spec.train.epochs is not None and count == spec.train.epochs:
        return Decided(count)
    why = f"as many as {spec.train.max_steps} steps reach into" if spec.train.max_steps else "the language's default"
    return Decided(count, why)


def warmup_steps(spec: Spec, sets: Sequence[SetPlan]) -> Decided[int]:
    """The steps in which the learning rate rises."""
    total = steps(spec, sets).value
    return Decided(round(spec.train.warmup * total), f"the share {spec.train.warmup:g} of {total} steps")


def metric(spec: Spec, facts: Facts) -> Decided[str]:
    """The metric of a head that picks the best checkpoint."""
    if is_still(spec.head_type):
        return Decided("", f"`{spec.head_type}` has nothing that could be scored")
    if spec.train.metric:
        return Decided(spec.train.metric)
    names = spec.head_variant.metrics.names(facts.columns)
    usable = defined(spec, facts, names) or names
    if usable[0] != names[0]:
        why = f"`{names[0]}`, the first metric of `{spec.head_type}`, has no value on these validation rows"
        return Decided(usable[0], why)
    return Decided(names[0], f"the first metric of `{spec.head_type}` with these columns")


def picks(spec: Spec, tasks: Sequence[TaskPlan]) -> Decided[str]:
    """The metric of all tasks together that picks the best checkpoint."""
    if spec.train.metric:
        return Decided(spec.train.metric)
    scored = [task for task in tasks if task.metric] or tasks
    if len(scored) == 1:
        which = "the only head" if len(tasks) == 1 else "the only head that learns"
        return Decided(scored[0].named(scored[0].metric), f"the metric of {which}")
    return Decided(MEAN, "the mean of the heads' metrics by their weights")


def fold(spec: Spec, planned: BackbonePlan, facts: Facts, tasks: Sequence[TaskPlan], epochs: int) -> Decided[str]:
    """What is cached of frozen layers: `feature`, the output of `layers[0:n]`, or `none`."""
    found = _cacheable(spec, planned, facts, tasks[0].data.augment is not None, epochs)
    kept = folding(spec)
    if kept.budget is None:
        return found
    views = fold_views(spec, tasks)
    size = cached_bytes(found.value, kept.precision, views, tasks, facts.each[0].measured, planned.width)
    if size <= amount(kept.budget, SIZES):
        return found
    return Decided("none", f"{found.value} would take {in_bytes(size)}, more than `budget: {kept.budget}`")


def folding(spec: Spec) -> Folding:
    """The options of the feature cache."""
    return spec.train.fold if isinstance(spec.train.fold, Folding) else Folding()


def fold_views(spec: Spec, tasks: Sequence[TaskPlan]) -> int:
    """The number of augmented views of each training row that are cached; 1 where there is no augmentation."""
    return folding(spec).views if tasks[0].data.augment else 1


def _cacheable(spec: Spec, planned: BackbonePlan, facts: Facts, is_augmented: bool, epochs: int) -> Decided[str]:
    backbone = facts.backbone
    assert backbone is not None
    if are_still(spec):
        return Decided("none", f"`{spec.each[0].head_type}` has nothing to learn")
    if any(view.head_variant.draw for view in spec.each):
        return Decided("none", "words are masked anew in each step, so nothing is the same twice")
    if spec.each[0].head_type not in variants.words("heads"):
        return Decided("none", "a stage of `pretrain` computes all of its backbone")
    if len(spec.each[0].head_variant.modalities) > 1:
        return Decided("none", "the head reads arrays besides the backbone's features")
    if spec.train.fold == "off":
        return Decided("none", "`train.fold` is off")
    if any(view.head_variant.needs == "maps" for view in spec.each):
        return Decided("none", "feature maps are computed anew in each epoch")
    if is_augmented and folding(spec).views == 1:
        return Decided("none", "augmented pictures differ every time")
    if planned.is_frozen and not any(map(_reads_tokens, spec.each)):
        return Decided("feature", "nothing in the backbone learns, so its features are computed once")
    if is_augmented:
        return Decided("none", "augmented pictures differ every time, and something in the backbone learns")
    layers, reason = cacheable(planned, backbone)
    if not layers:
        return Decided("none", reason)
    if epochs == 1:
        return Decided("none", "in one epoch the frozen layers see every row once anyway")
    return Decided(f"layers[0:{layers}]", f"{reason}; what is beneath is computed once")


def block(spec: Spec, facts: Facts) -> Decided[int]:
    """The most tokens of a block that training rows share; 0 where each row stands alone."""
    if not (isinstance(spec.input, Packable) and spec.input.packing):
        return Decided(0, "`data.packing` is off")
    assert facts.preprocessing is not None
    return Decided(int(facts.preprocessing["max_length"]), "`data.max_length`")


def grouping(spec: Spec, tasks: Sequence[TaskPlan]) -> Decided[bool]:
    """Whether rows of like length share a batch."""
    if spec.train.group_by_length and any(task.data.block for task in tasks):
        return Decided(False, "rows share blocks, which rows of many lengths fill best")
    return Decided(spec.train.group_by_length)


def head_record(task: str, options: Any, facts: Facts, has_head: bool = False) -> dict[str, Any]:
    """The record of a head.

    With `has_head`, an earlier phase has fitted the language-model head that the checkpoint lacks.
    """
    head = variants.top(task)
    record = dict(head.lower(options, facts.splits["train"].tally))
    if head.settle is None:
        return record
    assert facts.backbone is not None
    assert facts.preprocessing is not None
    record = dict(head.settle(record, facts.backbone, facts.preprocessing))
    return record | ({"is_new": record["is_new"] and not has_head} if "is_new" in record else {})


def fitting(spec: Spec, train: TrainPlan) -> TrainPlan:
    """The training of a language-model head that the checkpoint lacks, alone and before its stage."""
    assert isinstance(spec.head, NewHead)
    steps = spec.head.head_steps or min(train.steps_per_epoch, FITTED)
    return train.model_copy(
        update={
            "steps": steps,
            "epochs": math.ceil(steps / train.steps_per_epoch),
            "warmup_steps": round(0.1 * steps),
            "head_learning_rate": FITTED_RATE,
            "patience": None,
        }
    )


def opset(spec: Spec) -> Decided[int]:
    """The ONNX operator set."""
    if spec.export.opset:
        return Decided(spec.export.opset)
    return Decided(LOWEST_OPSET[spec.export.exporter], f"the default of the exporter `{spec.export.exporter}`")


def metric_drop(spec: Spec, precision: str) -> Decided[float]:
    """How far the gated metric may fall in a precision: of several heads' defaults the least."""
    if spec.export.gate.metric_drop is not None:
        return Decided(spec.export.gate.metric_drop)
    drops = [(view.head_variant.drops.get(precision, DROP), str(view.head_type)) for view in spec.each]
    least, head = min(drops)
    own = {word: drop for view in spec.each for word, drop in view.head_variant.drops.items()}
    others = ", ".join(
        f"{own[word]:g} in {word}" for word in spec.export.precision if word in own and word != precision
    )
    because = "the default" if least == DROP else f"the default of {head} in {precision}"
    return Decided(least, f"{because}; {others}" if others else because)


def decisions(spec: Spec, facts: Facts, plan: Phase) -> dict[Path, Decided[Any]]:
    """Every value that the spec leaves open or that follows from it, by the path of its key in spec or plan."""
    assert facts.backbone is not None
    sets = plan.train.sets
    found: dict[Path, Decided[Any]] = {
        ("train", "learning_rate"): learning_rate(spec),
        ("train", "learning_rate", "backbone"): learning_rate(spec),
        ("train", "learning_rate", "head"): head_learning_rate(spec),
        ("train", "head_learning_rate"): head_learning_rate(spec),
        ("train", "steps"): steps(spec, sets),
        ("train", "steps_per_epoch"): steps_per_epoch(spec, sets),
        ("train", "epochs"): epochs(spec, sets),
        ("train", "warmup_steps"): warmup_steps(spec, sets),
        ("train", "metric"): picks(spec, plan.tasks),
        ("train", "group_by_length"): grouping(spec, plan.tasks),
        ("train", "fold"): fold(spec, plan.backbone, facts, plan.tasks, plan.train.epochs),
        ("export", "opset"): opset(spec),
        **quantization.decided(spec, facts.backbone, plan.taught),
        ("export", "gate", "metric_drop"): metric_drop(spec, spec.export.precision[0]),
        ("backbone", "family"): Decided(plan.backbone.family, "`model_type` in the backbone's config.json"),
    }
    for view, seen in zip(spec.each, facts.each, strict=True):
        found |= _of_head(view, seen, plan.train)
    return found | _of_stages(spec, facts, plan)


def _of_head(spec: Spec, facts: Facts, train: TrainPlan) -> dict[Path, Decided[Any]]:
    """The decisions for a head, by the paths of its own keys."""
    assert facts.backbone is not None
    found: dict[Path, Decided[Any]] = {
        ("head", "pooling"): pooling(spec, facts.backbone),
        ("head", "start"): start(spec, train),
    }
    chosen = metric(spec, facts)
    if not spec.name:
        return {**found, ("train", "metric"): chosen} | _of_variants(spec, facts) | _of_data(spec, facts)
    own = {("heads", spec.name, *path[1:]): value for path, value in found.items()}
    own["heads", spec.name, "metric"] = chosen
    for path, value in (_of_variants(spec, facts) | _of_data(spec, facts)).items():
        inside = path[1:] if path[0] == "head" else path
        own[path if path[0] == "adapt" else ("heads", spec.name, *inside)] = value
    return own


def _of_stages(spec: Spec, facts: Facts, plan: Phase) -> dict[Path, Decided[Any]]:
    """The decisions for the stages of `pretrain`, by the paths of their own keys."""
    found: dict[Path, Decided[Any]] = {}
    for i, (stage, seen) in enumerate(zip(spec.pretrain, facts.pretrain, strict=False)):
        phase = plan.pretrain[i]  # type: ignore[attr-defined]
        own = decisions(stage, seen, phase)
        sections = ("train", "adapt") if reads_head(stage.head_type) else ("train", "data", "adapt")
        found |= {("pretrain", i, *path): value for path, value in own.items() if path[0] in sections}
        if phase.fit:
            why = "the checkpoint lacks the head of its language model, which is fitted alone before the stage"
            found["pretrain", i, "head_steps"] = Decided(phase.fit.steps, why)
    return found


def _of_variants(spec: Spec, facts: Facts) -> dict[Path, Decided[Any]]:
    """The decisions that a method, a head and an input make about their own options."""
    assert facts.backbone is not None
    assert facts.preprocessing is not None
    room = facts.backbone.room(spec.method, spec.adapt)
    of_method = spec.method_variant.decided(spec.adapt, facts.backbone)
    of_head = spec.head_variant.decided(spec.head, facts.splits["train"].tally)
    of_input = spec.input_variant.decided(spec.input, facts.preprocessing, room, facts.usual)
    found: dict[Path, Decided[Any]] = {("adapt", key): value for key, value in of_method.items()}
    found |= {("head", key): value for key, value in of_head.items()}
    return found | {("data", key): value for key, value in of_input.items()}


def _of_data(spec: Spec, facts: Facts) -> dict[Path, Decided[Any]]:
    """Columns that have the name of their role, and formats that follow from the endings of files."""
    found: dict[Path, Decided[Any]] = {
        ("data", "columns", role): Decided(names, "the column has the name of its role")
        for role, names in facts.columns.items()
        if role not in spec.data.columns
    }
    for split, read in facts.splits.items():
        entry = getattr(spec.data, split)
        if not isinstance(entry, tuple | HeldOut) and not (isinstance(entry, Table) and entry.format):
            table = read.tables[0]
            because = "it is a folder" if table.path.is_dir() else f"the ending of `{clean(table.path.name)}`"
            found["data", split, "format"] = Decided(table.format, because)
    return found
