"""Lowers a Spec and its Facts to a Plan: a pure function that decides everything left open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...runtime.manifest import MODEL
from .. import variants
from ..facts.backbone import LANGUAGE_MODELS, BackboneFacts
from ..facts.facts import Facts, SplitFacts
from ..facts.pretraining import retained
from ..frozen import Json
from ..language.feeding import reads_head
from ..language.spec import HeldOut, Spec, Temperature
from ..methods import Lowered
from . import decisions, grouping, quantization, sampling
from .estimates import estimates
from .export import ExportPlan, GraphPlan, QuantizationPlan
from .feature_caching import common
from .plan import (
    AdaptersPlan,
    BackbonePlan,
    DataPlan,
    HeadPlan,
    MethodPlan,
    Phase,
    Plan,
    PretrainPlan,
    SplitPlan,
    TablePlan,
    TaskPlan,
    TensorPlan,
    TrainPlan,
)
from .selectors import selected
from .terms import BITS


def lower(spec: Spec, facts: Facts, written: Mapping[str, Any]) -> Plan:
    """The plan of a spec in which `problems` found no error; `written` is the spec's text as values, for the bundle."""
    pretrain = _pretrain(spec, facts)
    has_head = any(stage.language_model for stage in pretrain)
    phase = _phase(spec, facts, has_head)
    export = _export(spec, facts, phase)
    return Plan(
        format=3,
        name=spec.top.name,
        description=spec.top.description,
        **_parts(phase),
        export=export,
        estimates=estimates(phase, export, facts, pretrain),
        spec=Json(written),
        adapters=_adapters(phase, facts),
        pretrain=pretrain,
        retain=_retain(spec, facts),
    )


def _adapters(phase: Phase, facts: Facts) -> AdaptersPlan | None:
    """The adapters where heads do not share one, and the layers that they have in common; else None."""
    assert facts.backbone is not None
    if len(phase.each_adapter) == 1:
        return None
    return AdaptersPlan(names=phase.each_adapter, common_layers=common(phase.backbone, facts.backbone))


def _parts(phase: Phase) -> dict[str, Any]:
    return {name: getattr(phase, name) for name in Phase.model_fields}


def _phase(spec: Spec, facts: Facts, has_head: bool = False) -> Phase:
    """The plan of one training; with `has_head`, an earlier one has fitted the language-model head."""
    backbone = facts.backbone
    assert backbone is not None
    assert all(seen.preprocessing is not None for seen in facts.each)
    method = spec.method_variant
    is_whole = method.freezes or decisions.are_still(spec)
    frozen = frozenset(backbone.names) if is_whole else selected(spec.backbone.freeze, backbone)
    lowered = method.lower(spec.adapt, backbone, frozen)
    planned = _backbone(spec, backbone, frozen, lowered)
    each = zip(spec.each, facts.each, strict=True)
    tasks = tuple(_task(view, seen, backbone, has_head, len(spec.each) > 1) for view, seen in each)
    train = _train(spec, facts, planned, tasks)
    return Phase(
        seed=spec.top.seed,
        backbone=planned,
        method=MethodPlan(method=spec.method, record=Json(lowered.record)),
        tasks=tuple(_started(view, task, train) for view, task in zip(spec.each, tasks, strict=True)),
        train=train,
    )


def _started(spec: Spec, task: TaskPlan, train: TrainPlan) -> TaskPlan:
    head = task.head.model_copy(update={"start": decisions.start(spec, train).value})
    return task.model_copy(update={"head": head})


def _pretrain(spec: Spec, facts: Facts) -> tuple[PretrainPlan, ...]:
    """The self-supervised stages, each starting from the backbone that the one before it made."""
    assert facts.backbone is not None
    model = facts.backbone.language_model
    kind = model.kind if model and model.is_there else ""
    found = []
    for stage, seen in zip(spec.pretrain, facts.pretrain, strict=True):
        phase = _phase(stage, seen, bool(kind))
        phase = _training_rows(phase) if reads_head(stage.head_type) else phase
        need = variants.objective(stage.head_type).needs
        fit = None
        if need in LANGUAGE_MODELS:
            fit = None if kind else decisions.fitting(stage, phase.train)
            kind = need
        found.append(
            PretrainPlan(**_parts(phase), fit=fit, language_model=kind, reads_head=reads_head(stage.head_type))
        )
    return tuple(found)


def _training_rows(phase: Phase) -> Phase:
    """The phase with the training rows of its head only, for an objective that reads a head's rows."""
    (task,) = phase.tasks
    train = tuple(split for split in task.data.splits if split.name == "train")
    return phase.model_copy(
        update={"tasks": (task.model_copy(update={"data": task.data.model_copy(update={"splits": train})}),)}
    )


def _retain(spec: Spec, facts: Facts) -> Phase | None:
    """The phase that measures the backbone's own pretrained objective on a text; all rows are a test split."""
    text = retained(spec, facts.backbone)  # type: ignore[arg-type]
    if text is None or facts.retain is None:
        return None
    phase = _phase(text.whole(), facts.retain)
    (task,) = phase.tasks
    (split,) = task.data.splits
    data = task.data.model_copy(update={"splits": (split.model_copy(update={"name": "test"}),)})
    return phase.model_copy(update={"tasks": (task.model_copy(update={"data": data}),)})


def _backbone(spec: Spec, backbone: BackboneFacts, frozen: frozenset[str], lowered: Lowered) -> BackbonePlan:
    tensors = [
        TensorPlan(
            name=t.name,
            shape=t.shape,
            dtype=t.dtype,
            is_buffer=backbone.is_buffer(t.name),
            state="frozen" if t.name in frozen else "trained" if t.name in lowered.trained else "held",
        )
        for t in backbone.tensors
    ]
    tensors += [
        TensorPlan(name=t.name, shape=t.shape, dtype=t.dtype, is_buffer=False, state="added") for t in lowered.added
    ]
    return BackbonePlan(
        source=backbone.located.pinned,
        family=backbone.word,
        config_sha256=backbone.config_sha256,
        header_sha256=backbone.header.sha256,
        files=backbone.header.files,
        width=backbone.width,
        tensors=tuple(sorted(tensors, key=lambda t: t.name)),
        inference=(*inference(tensors), *_bare(backbone, tensors)),
        is_frozen=not any(t.state in ("trained", "added") for t in tensors),
        dropout=spec.backbone.dropout,
    )


def _bare(backbone: BackboneFacts, tensors: Iterable[TensorPlan]) -> Iterable[str]:
    """Modules without tensors in a part that is all frozen, such as the dropout after embeddings."""
    for word, modules in backbone.family.bare.items():
        states = {t.state for t in tensors if re.match(backbone.family.parts[word], t.name)}
        if states == {"frozen"} and any(t.state != "frozen" for t in tensors):
            yield from modules


def inference(tensors: Iterable[TensorPlan]) -> tuple[str, ...]:
    """The topmost modules that run in inference mode: all their tensors are frozen, or their statistics must not move.

    The empty name is the whole backbone. Statistics of batch norm also stay where the module's weights are merely held,
    because an adapter's checkpoint can't carry them.
    """
    live: set[str] = set()
    still: set[str] = set()
    statistics: set[str] = set()
    for tensor in tensors:
        owners = list(_ancestors(tensor.name))
        (still if tensor.state == "frozen" else live).update(owners)
        if tensor.is_buffer and tensor.state == "held":
            statistics.add(owners[0])
    quiet = (still - live) | statistics
    return tuple(sorted(name for name in quiet if not any(up in quiet for up in list(_ancestors(name)) if up != name)))


def _ancestors(name: str) -> Iterable[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
    yield ""


def _task(spec: Spec, facts: Facts, backbone: BackboneFacts, has_head: bool, is_beside: bool) -> TaskPlan:
    """The plan of a head; `is_beside` says whether there are other heads. An only head has the shared adapter."""
    return TaskPlan(
        name=spec.name,
        head=_head(spec, facts, backbone, has_head),
        data=_data(spec, facts),
        weight=spec.entry.weight,
        metric=decisions.metric(spec, facts).value,
        adapt=spec.entry.adapt if is_beside else "shared",
    )


def _head(spec: Spec, facts: Facts, backbone: BackboneFacts, has_head: bool) -> HeadPlan:
    variant = spec.head_variant
    record = Json(decisions.head_record(spec.head_type, spec.head, facts, has_head))
    pooling = decisions.pooling(spec, backbone)
    return HeadPlan(
        type=spec.head_type,
        pooling=pooling.value,
        record=record,
        parameters=variant.parameters(record, backbone.width),
        is_frozen=variant.is_backbones and spec.method_variant.adds and not record.get("is_new"),
    )


def _data(spec: Spec, facts: Facts) -> DataPlan:
    splits = []
    taken = 0
    if isinstance(spec.data.validation, HeldOut):
        train = facts.splits["train"]
        taken = sampling.held_out_rows(spec, facts)
        splits.append(
            SplitPlan(name="validation", tables=_tables(train), held_out=spec.data.validation.fraction, rows=taken)
        )
    for name, split in facts.splits.items():
        splits.append(
            SplitPlan(
                name=name,
                tables=_tables(split),
                held_out=None,
                rows=split.rows - (taken if name == "train" else 0),
                left_out=Json(split.kinds),
            )
        )
    assert facts.backbone is not None
    splits = [split.model_copy(update={"rows": _blocks(split.rows, facts)}) for split in splits]
    augment = spec.input_variant.augmentation(spec.input)
    return DataPlan(
        splits=tuple(sorted(splits, key=lambda s: ("train", "validation", "test").index(s.name))),
        columns=Json(facts.columns),
        modality=spec.modality,
        inputs=tuple(facts.backbone.family.inputs),
        preprocessing=Json(facts.preprocessing),
        augment=Json(augment.model_dump()) if augment else None,
        block=decisions.block(spec, facts).value,
    )


def _blocks(rows: int, facts: Facts) -> int:
    """The number of training rows: where texts are joined into blocks, an estimate from the sample's mean length."""
    reading = facts.preprocessing or {}
    if not reading.get("is_packed"):
        return rows
    return max(1, int(rows * facts.measured["tokens_mean"]) // int(reading["max_length"]))


def _tables(split: SplitFacts) -> tuple[TablePlan, ...]:
    return tuple(
        TablePlan(path=table.shown, format=table.format, split=table.split, sha256=sha256, skipped=skipped)
        for table, sha256, skipped in zip(split.tables, split.sha256, split.each_skipped, strict=True)
    )


def _train(spec: Spec, facts: Facts, backbone: BackbonePlan, tasks: tuple[TaskPlan, ...]) -> TrainPlan:
    written = spec.train
    sets = sampling.sets(spec, facts.each, tasks)
    fold = decisions.fold(spec, backbone, facts, tasks, decisions.epochs(spec, sets).value).value
    assert facts.backbone is not None
    needs_layers = written.layer_decay < 1 or written.gradual_unfreezing > 0
    is_cached = fold != "none"
    return TrainPlan(
        epochs=decisions.epochs(spec, sets).value,
        steps=decisions.steps(spec, sets).value,
        steps_per_epoch=decisions.steps_per_epoch(spec, sets).value,
        batch_size=written.batch_size,
        group_by_length=decisions.grouping(spec, tasks).value,
        learning_rate=decisions.learning_rate(spec).value,
        head_learning_rate=decisions.head_learning_rate(spec).value,
        schedule=written.schedule,
        warmup_steps=decisions.warmup_steps(spec, sets).value,
        weight_decay=written.weight_decay,
        max_grad_norm=written.max_grad_norm,
        layer_decay=written.layer_decay,
        layer_of=Json(_distances(facts.backbone, backbone) if needs_layers else {}),
        l2_sp=written.l2_sp,
        gradual_unfreezing=written.gradual_unfreezing,
        metric=decisions.picks(spec, tasks).value,
        patience=written.early_stopping.patience if written.early_stopping else None,
        precision=written.precision,
        fold=fold,
        fold_precision=decisions.folding(spec).precision if is_cached else "fp32",
        fold_views=decisions.fold_views(spec, tasks) if is_cached else 1,
        sets=sets,
        sampling="temperature" if isinstance(written.sampling, Temperature) else written.sampling,
        temperature=sampling.temperature(spec),
    )


def _distances(facts: BackboneFacts | None, planned: BackbonePlan) -> dict[str, int]:
    """The number of layers between each tensor and the head: 1 for the topmost layer, most for embeddings."""
    assert facts is not None
    stacks = [word for word in facts.family.parts if facts.depth(word) is not None]
    found = {}
    for tensor in planned.tensors:
        hits = [(re.match(facts.family.parts[word], tensor.name), facts.depth(word) or 0) for word in stacks]
        layer = next((depth - int(hit.group(1)) for hit, depth in hits if hit), None)
        below = any(
            re.match(facts.family.parts[word], tensor.name) for word in facts.family.parts if word not in stacks
        )
        deepest = max((depth for _, depth in hits), default=0)
        found[tensor.name] = layer if layer is not None else deepest + 1 if below else 0
    return found


def _export(spec: Spec, facts: Facts, phase: Phase) -> ExportPlan:
    export, tasks = spec.export, phase.tasks
    assert facts.backbone is not None
    return ExportPlan(
        precision=export.precision,
        quantization=_quantization(spec, facts.backbone, phase.taught),
        exporter=export.exporter,
        optimize=export.optimize,
        opset=decisions.opset(spec).value,
        parity=export.gate.parity,
        metric_drop=decisions.metric_drop(spec, "fp32").value,
        drops=_drops(spec),
        int4=_four_bits(spec, phase.taught),
        attention=grouping.attention(spec, facts.backbone),
        samples=export.samples,
        samples_sha256=None,
        graphs=_graphs(tasks, facts.backbone.width),
        passes=tuple(dict.fromkeys(name for task in tasks for name in task.passes)),
    )


def _quantization(spec: Spec, backbone: BackboneFacts, rows: int) -> QuantizationPlan | None:
    """How int8 is made; None where the bundle has no int8. `rows` is the number of rows that can fix scales."""
    if "int8" not in spec.export.precision:
        return None
    writes = quantization.writes(spec)
    kinds = quantization.kinds_of(spec.export, backbone, rows, writes).value
    samples = quantization.samples_of(spec.export, kinds, rows).value
    is_auto = spec.export.quantization == "auto"
    return QuantizationPlan(kinds=kinds, is_auto=is_auto, samples=samples, whole_first=is_auto and writes)


def _four_bits(spec: Spec, rows: int) -> QuantizationPlan | None:
    """How int4 is made; None where the bundle has none. `rows` is the number of rows that can fix roundings."""
    if "int4" not in spec.export.precision:
        return None
    kinds = quantization.four_bits()
    samples = quantization.samples_of(spec.export, kinds, rows, BITS["int4"]).value
    return QuantizationPlan(kinds=kinds, is_auto=False, samples=samples)


def _drops(spec: Spec) -> Json:
    """The precisions with a `metric_drop` of their own."""
    plain = decisions.metric_drop(spec, "fp32").value
    each = {precision: decisions.metric_drop(spec, precision).value for precision in spec.export.precision}
    return Json({precision: value for precision, value in each.items() if value != plain})


def _graphs(tasks: Sequence[TaskPlan], width: int) -> dict[str, GraphPlan]:
    """The graphs of all heads by name; heads share `model`, and other graphs begin with the name of their head."""
    found: dict[str, GraphPlan] = {}
    for task, name, graph in [(each, *pair) for each in tasks for pair in each.graphs.items()]:
        is_shared = name == MODEL
        whole = name if is_shared else task.named(name)
        before = found.get(whole, GraphPlan(inputs=Json({}), outputs=Json({})))
        own = {task.named(word) if is_shared else word: _wide(array, width) for word, array in graph.outputs.items()}
        inputs = {word: _wide(array, width) for word, array in graph.inputs.items()}
        found[whole] = GraphPlan(inputs=Json({**before.inputs, **inputs}), outputs=Json({**before.outputs, **own}))
    return found


def _wide(array: Mapping[str, Any], width: int) -> dict[str, Any]:
    """An array's dtype and shape, with the word `width` replaced by the backbone's width."""
    return {**array, "shape": [width if side == "width" else side for side in array["shape"]]}
