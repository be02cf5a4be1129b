"""Shows a plan as text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...runtime.manifest import MODEL
from .. import variants
from ..diagnostics import clean
from ..frozen import Json
from ..renderers import counted, one_line
from ..units import in_bytes
from .export import QuantizationPlan
from .fits import fitted_to
from .plan import Phase, Plan, PretrainPlan, SplitPlan, TaskPlan
from .terms import SMALL

FEW = 32  # rows for each label
LAYER = re.compile(r"\.[0-9]+\.")  # in names of arrays that every layer has
WORDS = {
    "frozen": "frozen",
    "held": "held (an adapter learns around it)",
    "trained": "learns",
    "added": "added, learns",
}


def show(plan: Plan) -> str:
    """The plan as blocks of lines: backbone, heads, data, training, export, costs."""
    tasks = [block for task in plan.tasks for block in (_head(task, plan), _data(task, plan))]
    stages = [_stage(stage, number) for number, stage in enumerate(plan.pretrain, 1)]
    blocks = (_title(plan), _backbone(plan), *stages, *tasks, _train(plan), *_retain(plan), _export(plan), _cost(plan))
    return "\n\n".join("\n".join(map(one_line, block)) for block in blocks)


def _title(plan: Plan) -> list[str]:
    return [f"{plan.name}  ·  plan {plan.sha256[:12]}"] + ([plan.description] if plan.description else [])


def _stage(stage: PretrainPlan, number: int) -> list[str]:
    """The lines of a `pretrain` stage: objective, rows, schedule."""
    (task,) = stage.tasks
    lines = [f"pretrain {number}", _line("objective", task.head.type)]
    lines.append(_line("method", f"{stage.method.method}{_options(stage)}, {stage.trainable:,} parameters learn"))
    if stage.fit:
        steps = counted(stage.fit.steps, "step")
        lines.append(
            _line("first", f"the head, which the checkpoint lacks, alone: {steps} at {stage.fit.head_learning_rate:g}")
        )
    word = "block" if task.data.preprocessing.get("is_packed") else "row"
    lines += [line for split in task.data.splits for line in (_line(split.name, _rows(split, word)), *left_out(split))]
    train = stage.train
    schedule = f"{counted(train.steps, 'step')} of {counted(train.batch_size, 'row')}, rate {train.learning_rate:g}"
    keeps = f"best {train.metric} on validation" if stage.has("validation") else "the last step"
    return [
        *lines,
        _line("inputs", f"max length {task.data.preprocessing['max_length']}"),
        _line("schedule", f"{schedule}, keeps {keeps}"),
    ]


def _rows(split: SplitPlan, word: str) -> str:
    files = ", ".join(table.path for table in split.tables)
    return f"{'about ' if word == 'block' else ''}{counted(split.rows, word):>13}  {files}"


def _retain(plan: Plan) -> list[list[str]]:
    if plan.retain is None:
        return []
    (task,) = plan.retain.tasks
    word = "block" if task.data.preprocessing.get("is_packed") else "row"
    measure = _line("measures", f"{task.head.type}, before all training and after")
    rows = [line for split in task.data.splits for line in (_line("text", _rows(split, word)), *left_out(split))]
    return [["retain", measure, *rows]]


def _line(name: str, text: str) -> str:
    return f"  {name:<12} {text}"


def _backbone(plan: Plan) -> list[str]:
    lines = ["backbone", _line("from", f"{plan.backbone.source} ({plan.backbone.family}, width {plan.backbone.width})")]
    lines.append(_line("method", f"{plan.method.method}{_options(plan)}"))
    for state, word in WORDS.items():
        tensors = [t for t in plan.backbone.tensors if t.state == state]
        if tensors:
            times = len(plan.each_adapter) if state == "added" else 1
            numbers = times * sum(math.prod(t.shape) for t in tensors if not t.is_buffer)
            count, names = counted(times * len(tensors), "tensor"), ", ".join(summary(t.name for t in tensors))
            name = word.split(",")[0].split(" (")[0]
            lines.append(_line(name, f"{numbers:>12,} parameters in {count}: {names}"))
    return lines + _adapters(plan)


def _adapters(plan: Plan) -> list[str]:
    """The lines on adapters of heads' own, and on how often the graph runs each layer."""
    if plan.adapters is None:
        return []
    shared = [task.name for task in plan.tasks if not task.adapter]
    own = [name for name in plan.adapters.names if name]
    lines = [_line("adapters", f"of its own: {', '.join(own)}" + (f"; shared: {', '.join(shared)}" if shared else ""))]
    once = plan.adapters.common_layers
    above = f"layers[0:{once}] and what is beneath once, the layers above" if once else "all layers"
    return [*lines, _line("runs", f"{above} {len(plan.adapters.names)} times, once for each adapter")]


def _options(plan: Phase) -> str:
    shown = [f"{key} {_value(value)}" for key, value in plan.method.record.items()]
    return f" ({', '.join(shown)})" if shown else ""


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return counted(len(value), "module")
    if isinstance(value, Json):  # one number for each module
        return f"{' or '.join(map(str, sorted(set(value.values()))))} in {counted(len(value), 'module')}"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def summary(names: Iterable[str], most: int = 8) -> list[str]:
    """Names of tensors grouped by their first part, with indices as slices: `encoder.layer[0:4]`."""
    groups: dict[str, set[int]] = {}
    for tensor in names:
        hit = re.match(r"^(.*?)\.(\d+)\.", tensor)
        groups.setdefault(hit.group(1) if hit else tensor.split(".")[0], set()).update(
            [int(hit.group(2))] if hit else []
        )
    shown = [
        name
        + (
            f"[{min(i)}:{max(i) + 1}]"
            if i and len(i) == max(i) + 1 - min(i)
            else f"[{', '.join(map(str, sorted(i)))}]"
            if i
            else ""
        )
        for name, i in groups.items()
    ]
    return shown[:most] + ([f"… {len(shown) - most} more"] if len(shown) > most else [])


def _head(task: TaskPlan, plan: Plan) -> list[str]:
    record = task.head.record
    lines = [_titled("head", task), _line("type", task.head.type), _line("pooling", task.head.pooling)]
    if "labels" in record:
        kind = "any number of" if record.get("is_multi") else "one of"
        lines.append(_line("labels", f"{kind} {len(record['labels'])}: {_in_order(record['labels'])}"))
    if "scheme" in record:
        lines.append(_line("tags", f"read as {record['scheme']}, learned as IOB2"))
    if "names" in record:  # of the numbers that stand for labels, or of numbers to learn
        shown = _in_order(record["names"])
        lines.append(_line("tags", f"numbers from 0: {shown}") if "labels" in record else _line("numbers", shown))
    if "objective" in record:
        beta = f" with beta {record['beta']:g}" if "beta" in record else ""
        lines.append(_line("objective", f"{record['objective']}{beta}, on {record['on']}"))
    if task.head.start == "fitted":
        lines.append(_line("starts", f"fitted to the features of {fitted_to(bool(plan.pretrain))}"))
    hidden = f", hidden layers {', '.join(map(str, record['hidden']))}" if record.get("hidden") else ""
    lines.append(_line("learns", f"{task.head.learned:>12,} parameters{hidden}"))
    return lines + _few(task, plan)


def _few(task: TaskPlan, plan: Plan) -> list[str]:
    """A hint to use `supervised-contrastive` where labels have few rows."""
    train, labels = task.split("train"), task.head.record.get("labels", ())
    is_read = any(stage.reads_head and stage.tasks[0].name == task.name for stage in plan.pretrain)
    if not train or is_read or task.data.modality != "text" or "label" not in task.data.columns:
        return []
    if train.rows > FEW * len(labels):
        return []
    each = f"about {train.rows / len(labels):.0f} of each label"
    return [_line("few rows", f"{each}: a stage `supervised-contrastive` of `pretrain` may score higher")]


def _titled(word: str, task: TaskPlan) -> str:
    return f"{word} {task.name}".rstrip()


def _in_order(labels: tuple[str, ...], most: int = 8) -> str:
    return ", ".join(map(clean, labels[:most])) + (f", … {len(labels) - most} more" if len(labels) > most else "")


def _data(task: TaskPlan, plan: Plan) -> list[str]:
    lines = [_titled("data", task)]
    for split in task.data.splits:
        files = ", ".join(table.path + (f" (split {table.split})" if table.split else "") for table in split.tables)
        taken = f" (held out: {split.held_out:.0%} of the training rows)" if split.held_out else ""
        lines.append(_line(split.name, f"{counted(split.rows, 'row'):>13}  {files}{taken}"))
        lines += left_out(split)
    lines.append(
        _line("columns", ", ".join(f"{role} ← {' + '.join(names)}" for role, names in task.data.columns.items()))
    )
    lines += [_line("inputs", _reading(word, record)) for word, record in task.data.readings.items()]
    measured = plan.estimates.measured
    if "tokens_mean" in measured:
        lengths = f"mean {measured['tokens_mean']:.1f}, longest {measured['tokens_max']:g}"
        lines.append(_line("tokens", f"{lengths}, {measured['cut_share']:.1%} of texts cut (of a sample)"))
    if task.data.block:
        lines.append(_line("packing", _packing(task.data.block, plan)))
    if task.data.augment:
        lines.append(_line("augment", ", ".join(f"{k} {v:g}" for k, v in task.data.augment.items() if v)))
    return lines


def _packing(block: int, plan: Plan) -> str:
    """How the rows of a step share blocks, with the number of blocks by the sample's mean length."""
    size, mean = plan.train.batch_size, plan.estimates.measured.get("tokens_mean")
    least = f": at least {math.ceil(size * mean / block):,} for {counted(size, 'row')}" if mean else ""
    return f"rows of a step share blocks of at most {block} tokens{least}"


def _reading(modality: str, record: Mapping[str, Any]) -> str:
    """How inputs of a modality become arrays, as far as people want to know."""
    shown = variants.input(modality).shown
    told = {name: value for name, value in record.items() if name in shown and value}
    return f"{modality}: " + ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in told.items())


def left_out(split: SplitPlan) -> list[str]:
    """The number of unusable rows of a split, by kind of fault."""
    kinds = [f"{count:,} {clean(kind)}" for kind, count in split.left_out.items()]
    rows = counted(sum(split.left_out.values()), "row")
    return [_line("left out", f"{rows:>13}  {', '.join(kinds)}")] if kinds else []


def _plain(value: object) -> str:
    if isinstance(value, Json):
        return " ".join(f"{k} {v}" for k, v in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _train(plan: Plan) -> list[str]:
    train = plan.train
    if not train.steps:
        why = "a fitted head is all that is learnt" if plan.fitted else "the head has nothing to learn"
        return ["train", _line("nothing", why)]
    rates = (
        f"{train.learning_rate:g}"
        if train.learning_rate == train.head_learning_rate
        else f"backbone {train.learning_rate:g}, head {train.head_learning_rate:g}"
    )
    epochs = f"{counted(train.epochs, 'epoch')} of {counted(train.steps_per_epoch, 'step')}"
    steps = f"{counted(train.steps, 'step')} of {counted(train.batch_size, 'row')}"
    warmed = f"{train.schedule} after {counted(train.warmup_steps, 'step')} of warm-up"
    kept = f"weight decay {train.weight_decay:g}, clipped at {train.max_grad_norm:g}"
    lines = ["train", _line("schedule", f"{epochs} = {steps}"), _line("rate", f"{rates}, {warmed}, {kept}")]
    if train.layer_decay < 1:
        lines.append(_line("layer decay", f"{train.layer_decay:g}"))
    if train.l2_sp:
        lines.append(_line("pull", f"{train.l2_sp:g} towards the pretrained weights (L2-SP)"))
    if train.gradual_unfreezing:
        each = counted(train.gradual_unfreezing, "epoch")
        learning = [t.name for t in plan.backbone.tensors if t.state in ("trained", "added")]
        last = max((train.layer_of.get(name, 0) for name in learning), default=0) * train.gradual_unfreezing + 1
        lines.append(
            _line(
                "unfreezing",
                f"one more layer after each {each}, the last joins in epoch {last}",
            )
        )
    stop = f", stops after {counted(train.patience, 'epoch')} without a better one" if train.patience else ""
    picks = f"best {train.metric} on validation{stop}" if plan.has("validation") else "the last (no validation data)"
    lines.append(_line("keeps", picks))
    lines.append(
        _line(
            "fold",
            "nothing: the backbone runs in every step"
            if train.fold == "none"
            else f"{'the frozen backbone' if train.fold == 'feature' else train.fold} is computed once for each row"
            + (f", in {train.fold_views} drawn views" if train.fold_views > 1 else "")
            + (", kept in fp16" if train.fold_precision == "fp16" else ""),
        )
    )
    return lines


def _export(plan: Plan) -> list[str]:
    export = plan.export
    lines = [
        "export",
        _line(
            "graphs",
            f"{', '.join(export.precision)} · opset {export.opset} · {export.exporter} exporter · {export.optimize}",
        ),
    ]
    if export.attention:
        why = f": {export.attention.because}" if export.attention.because else ", rows padded on the right"
        lines.append(_line("attention", f"{export.attention.operator}{why}"))
    lines += [_line(precision, _quantized(precision, planned)) for precision, planned in export.quantized.items()]
    for name, graph in export.graphs.items():
        prefix = "" if name == MODEL else f"{name} "
        lines += [
            _line(prefix + word, ", ".join(dict.fromkeys(_array(name, array) for name, array in own.items())))
            for word, own in (("inputs", graph.inputs), ("outputs", graph.outputs))
        ]
    names = [task.named(task.gates_by) for task in plan.tasks if task.metric and task.split("validation")]
    fall = f"{' and '.join(names)} may get worse by {_drops(plan)} beyond one standard error"
    gates = f"parity {export.parity:g}" + (f", {fall}" if names else " only (no validation data)")
    return [*lines, _line("gates", gates), _line("samples", export.samples)]


def _drops(plan: Plan) -> str:
    """How far the gated metric may fall: a number, a share of perplexity, with those of precisions of their own."""
    export = plan.export
    is_share = any(task.gates_by in task.head.variant.metrics.relative for task in plan.tasks)

    def told(drop: float) -> str:
        return f"{drop:.3g}" if not is_share else f"{100 * drop:.3g} %"

    own = [f"{told(drop)} in {precision}" for precision, drop in export.drops.items()]
    return ", ".join([told(export.metric_drop), *own])


def _quantized(precision: str, quantization: QuantizationPlan) -> str:
    """The kinds of int8 to try, and the rows that fix scales; of int4 the kind."""
    if precision == "int4":
        rows = counted(quantization.samples, "training row")
        return f"weights by block, rounded on {rows}; the embedding and the output layer in 8 bits"
    kinds = ", else ".join(quantization.kinds)
    chosen = f"{kinds}: the first that passes, in at most {SMALL:g} of fp32's bytes" if quantization.is_auto else kinds
    rows = f"; static scales from {counted(quantization.samples, 'training row')}" if quantization.samples else ""
    return f"{chosen}{rows}"


def _cost(plan: Plan) -> list[str]:
    cost = plan.estimates
    share = cost.trainable / cost.parameters
    memory = f"{in_bytes(cost.memory_bytes)} memory for tensors, beside that of the libraries"
    disk = f"{in_bytes(cost.disk_bytes)} disk while building, {in_bytes(cost.onnx_bytes)} fp32 graph"
    return [
        "costs",
        _line("parameters", f"{cost.parameters:,}, of which {cost.trainable:,} learn ({share:.2%})"),
        _line("about", f"{memory}; {disk}"),
    ]


def _array(name: str, array: Mapping[str, Any]) -> str:
    """An array with its type; those of all layers are one.

    >>> _array("present.3.key", {"dtype": "float32", "shape": ["batch", 2, "total", 8]})
    'present.*.key float32[batch, 2, total, 8]'
    """
    return f"{LAYER.sub('.*.', name)} {array['dtype']}[{', '.join(map(str, array['shape']))}]"
