"""Compares the bundle's answers with the network's, from raw inputs on, and applies the gates."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ...runtime.manifest import sealed
from ...runtime.model import HeadRun, Model
from ...runtime.rows import Outputs, gathered, one_each
from ...runtime.variants import decoder
from ...runtime.verify import kept, plain
from ..bundling.manifest import compose, file_of
from ..contracts.stage import Stage
from ..diagnostics import refuse
from ..execution.executor import TIMES
from ..execution.prepared import Examples, Prepared, mapped, read_outputs
from ..execution.work import Work
from ..export.attempts import Attempt
from ..export.bootstrap import standard_error
from ..export.parity import golden_inputs
from ..export.trials import settled
from ..planning.plan import Plan, TaskPlan
from ..planning.split import generator
from ..training.loaders import condensed
from ..training.writing import is_written, with_texts
from .prepare import raw_rows, taken_at

CHUNK = 64  # masked rows in one run of the graph
AHEAD = 128  # inputs preprocessed together
ROOM = 1 << 25  # bytes of arrays run together: some ten thousand texts, sorted by length
SPLITS = ("validation", "test")  # scored splits; gates apply to the first
# (metrics by split, gates, calibrated fields by task)
Scored = tuple[dict[str, dict[str, Any]], dict[str, Any], dict[str, Any]]
TIMED, TURNS = 32, 5  # timed rows, and repetitions
GOLDEN = 16  # golden rows with `samples: validation`


def run(work: Work) -> None:
    """Writes `metrics.json`, `gates.json`, `calibrated.json` (by precision and task) and `samples.jsonl`.

    Raises Refused E0402 where a metric falls too far, E0420 where every int8 version is too large.
    """
    plan = work.plan
    calibrated = json.loads((work.inputs["evaluate"] / "calibrated.json").read_bytes())
    scores = json.loads((work.inputs["evaluate"] / "metrics.json").read_bytes())
    draft = _draft(work)
    metrics = {split: {"torch": found} for split, found in scores.items()}
    gates: dict[str, Any] = {}
    made: dict[str, Attempt] = {}
    own: dict[str, Any] = {}
    for precision in plan.export.precision:
        ask = partial(_scored, work, draft, calibrated)
        scored, gated, own[precision] = settled(work, draft, precision, ask, made)
        for split, found in scored.items():
            metrics[split][precision] = found
        gates |= gated
    _describe(draft, plan, own)
    samples = _samples(work, draft)
    parity = json.loads((work.inputs["export"] / "parity.json").read_bytes())
    (work.out / "samples.jsonl").write_text(
        "".join(json.dumps(s, ensure_ascii=False) + "\n" for s in samples), encoding="utf-8"
    )
    (work.out / "metrics.json").write_text(json.dumps(metrics))
    (work.out / "calibrated.json").write_text(json.dumps(own))
    in_float = {
        p: {
            "what": each.what,
            "form": each.finer,
            "nodes": {graph: list(nodes) for graph, nodes in each.nodes.items()},
        }
        for p, each in made.items()
        if each.nodes
    }
    found = {**parity, "metric": gates, **({"in_float": in_float} if in_float else {})}
    (work.out / "gates.json").write_text(json.dumps(found))
    told = {precision: dict(attempt.told) for precision, attempt in made.items()}
    (work.out / "quantization.json").write_text(json.dumps(told))
    (work.out / TIMES).write_text(json.dumps(_milliseconds(work, draft)))
    for path in draft.iterdir():
        path.unlink()
    draft.rmdir()


def _scored(work: Work, draft: Path, calibrated: Mapping[str, Any], precision: str) -> Scored:
    """The metrics of a graph by split, its gates, and the fields calibrated on its own outputs; raises Refused E0402.

    `calibrated` holds the fields calibrated on the trained network's outputs.
    """
    plan = work.plan
    model = Model(draft, precision, work.machine.threads)
    metrics: dict[str, dict[str, Any]] = {}
    gates: dict[str, Any] = {}
    own: dict[str, Any] = {task.name: {} for task in plan.tasks}
    for split, task in ((split, task) for split in SPLITS for task in plan.tasks if task.split(split)):
        outputs = _written(work, model, task, split, _outputs(work, model, task, split, draft))
        examples = Prepared(work.prepared(task, split)).examples()
        record = task.head.record.plain()
        if split == "validation":
            own[task.name] = dict(task.head.variant.metrics.calibrate(record, outputs, examples))
        records = record | calibrated[task.name], record | own[task.name]
        found = task.head.variant.metrics.report(records[1], outputs, examples)
        metrics.setdefault(split, {}).update({task.named(name): value for name, value in found.items()})
        if split == "validation" and task.metric:
            ours = read_outputs(work.inputs["evaluate"] / f"{task.named(split)}.npz")
            gates[task.named(precision)] = _gate(plan, task, records, precision, ours, outputs, examples, draft)
    return metrics, gates, own


def _outputs(work: Work, model: Model, task: TaskPlan, split: str, draft: Path) -> Outputs:
    """What the graph gives for a split, from raw inputs on; from prepared rows where words of these are to be found."""
    prepared = Prepared(work.prepared(task, split))
    finds_words = task.head.variant.condense is not None
    parts, at = [], 0
    for features in _prepared(prepared) if finds_words else _prepared_anew(model, _inputs(work, task, split)):
        rows = np.arange(at, at + len(features))

        def condense(outputs: Outputs, chosen: np.ndarray, at: int = at) -> Outputs:
            """What is kept of a batch: not logits over a whole vocabulary."""
            return condensed(task, task.own(outputs), prepared.targets, at + chosen)

        asked = one_each(rows.tolist(), features)
        outputs = model.run(asked, condense=condense) if finds_words else task.own(model.run(asked))
        _refuse_holes(model.precision, outputs, draft)
        parts.append(outputs)
        at += len(features)
    return gathered(parts, np.arange(at))


def _written(work: Work, model: Model, task: TaskPlan, split: str, outputs: Outputs) -> Outputs:
    """Outputs with the bundle's own texts, where scores need them."""
    if not is_written(task, split):
        return outputs
    prepared = Prepared(work.prepared(task, split))
    features = [prepared.row(i) for i in range(prepared.rows)]
    with work.progress.steps(f"{model.precision} answers of {split}", len(features)) as advance:
        run = HeadRun(model, task.name, {})
        return with_texts(outputs, run, task, features, model.rows([]).tokenizer, advance)


def _prepared(rows: Prepared) -> Iterator[list[dict[str, np.ndarray]]]:
    """Prepared rows in chunks."""
    for at in range(0, rows.rows, CHUNK):
        yield [rows.row(i) for i in range(at, min(at + CHUNK, rows.rows))]


def _prepared_anew(model: Model, inputs: Iterator[Any]) -> Iterator[list[dict[str, np.ndarray]]]:
    """The rows that the bundle makes of inputs, in chunks of ROOM bytes."""
    features: list[dict[str, np.ndarray]] = []
    held = 0
    while chosen := list(islice(inputs, AHEAD)):
        made = model.rows(chosen).features
        features += made
        held += sum(array.nbytes for row in made for array in row.values())
        if held >= ROOM:
            yield features
            features, held = [], 0
    if features:
        yield features


def _refuse_holes(precision: str, outputs: Outputs, draft: Path) -> None:
    """Raises Refused E0402 for outputs that are not finite, which no metric may score."""
    for name, values in outputs.items():
        if rows := sum(not np.isfinite(row).all() for row in values):
            note = f"`{name}` of {rows} rows of {len(values)}"
            raise refuse(
                "E0402",
                f"the {precision} graph gives values that are not finite",
                note,
                f"kept for inspection: {draft}",
            )


def _draft(work: Work) -> Path:
    """A folder that the runtime can load as a bundle."""
    draft = work.out / "draft"
    draft.mkdir()
    _describe(draft, work.plan, {})
    for precision in work.plan.export.precision:
        source = work.inputs["export" if precision == "fp32" else "quantize"]
        for file in (
            file for graph in work.plan.export.graphs for file in source.glob(f"{file_of(graph, precision)}*")
        ):
            (draft / file.name).symlink_to(file)
    for name, file in work.plan.reading.variant.assets(work.backbone).items():
        (draft / name).symlink_to(file)
    return draft


def _describe(draft: Path, plan: Plan, calibrated: Mapping[str, Any]) -> None:
    manifest = compose(plan, calibrated, {}, {"parity": {"allowed": plan.export.parity}})
    (draft / "manifest.json").write_text(json.dumps(sealed({**manifest, "files": {}})))


def _inputs(work: Work, task: TaskPlan, split: str, most: int | None = None) -> Iterator[Any]:
    """Raw inputs of a task's split, in the order of its prepared rows."""
    planned = task.split(split)
    assert planned is not None
    rows = raw_rows(work.plan, task, planned, work.root)
    if planned.held_out is not None:
        rows = taken_at(rows, mapped(work.prepared(task, split) / "held_out.npy"))
    return (row.input for row in islice(rows, most))


def _asked(work: Work, task: TaskPlan, most: int) -> list[Any]:
    """What a bundle is asked of the first validation rows."""
    return [work.plan.reading.variant.asked(value) for value in _inputs(work, task, "validation", most)]


def _gate(
    plan: Plan,
    task: TaskPlan,
    records: tuple[Mapping[str, Any], Mapping[str, Any]],
    precision: str,
    ours: Outputs,
    theirs: Outputs,
    examples: Examples,
    draft: Path,
) -> dict[str, float | None]:
    """The drop of the validation metric, compared with `metric_drop` plus one standard error of the difference.

    `records` are the trained network's and the graph's, each with its own calibrated fields. The drop of a metric in
    `relative` is a share of the trained network's score.
    """
    metrics, name, allowed = task.head.variant.metrics, task.gates_by, plan.export.allowed(precision)
    sign = metrics.direction(name)
    torch_score, score = (
        metrics.one(name, record, outputs, examples) for record, outputs in zip(records, (ours, theirs), strict=True)
    )
    if torch_score is None:  # an undefined score gates nothing
        return {"drop": None, "allowed": allowed}
    on, kept = f"{task.named(name)} on {len(examples)} validation rows", f"kept for inspection: {draft}"
    if score is None:
        headline = f"the {precision} graph has no score where the trained model has one"
        said = f"{on} is {torch_score:.4f} of the trained model, and has no value of the graph"
        why = "the graph's answers no longer differ, or of several numbers those to one"
        raise refuse("E0402", headline, said, why, kept, help="drop this precision from `export.precision`")
    unit = abs(torch_score) if name in metrics.relative else 1.0
    drop = sign * (torch_score - score) / unit
    found: dict[str, float | None] = {"drop": round(drop, 6), "allowed": allowed}
    if drop <= allowed:
        return found
    pair = ((records[0], ours), (records[1], theirs))
    error = standard_error(metrics, name, pair, examples, generator(plan.seed, "standard error")) / unit
    found["standard_error"] = error
    if drop <= allowed + error:
        return found
    by = f"{drop:.2%}" if name in metrics.relative else f"{drop:.4f}"
    fell = f"{'fell' if sign > 0 else 'rose'} from {torch_score:.4f} to {score:.4f}, by {by}"
    limit = f"`export.gate.metric_drop` {allowed:g}, and one standard error of {error:.4f}"
    headline = f"the {precision} graph scores worse than the trained model"
    help = "drop this precision from `export.precision`, or allow more with `export.gate.metric_drop`"
    raise refuse("E0402", headline, f"{on} {fell}\nallowed by {limit}", kept, help=help)


def _milliseconds(work: Work, draft: Path) -> dict[str, float]:
    """Milliseconds for one row by precision, measured in turns; they are recorded and decide nothing."""
    precisions = work.plan.export.precision
    if len(precisions) < 2:
        return {}
    models = {precision: Model(draft, precision, work.machine.threads) for precision in precisions}
    inputs = _timed(work)
    rows = models[precisions[0]].rows(inputs)
    took: dict[str, list[float]] = {precision: [] for precision in precisions}
    for precision in [*precisions, *precisions * TURNS]:  # the first run of each is a warm-up
        start = time.perf_counter()
        models[precision].run(rows, condense=lambda outputs, chosen: {})  # they may be too large to be kept
        took[precision].append(time.perf_counter() - start)
    return {precision: round(1000 * median(each[1:]) / len(inputs), 4) for precision, each in took.items()}


def _timed(work: Work) -> list[Any]:
    """Inputs for timing: validation rows if there are any."""
    for task in work.plan.tasks:
        if task.split("validation"):
            return _asked(work, task, TIMED)
    return golden_inputs(work.plan)


def _samples(work: Work, draft: Path) -> list[dict[str, Any]]:
    """Golden inputs with the outputs of each precision and the default precision's answers."""
    plan = work.plan
    inputs = golden_inputs(plan)
    if plan.export.samples == "validation":
        validated = [task for task in plan.tasks if task.split("validation")]
        inputs = [value for task in validated for value in _asked(work, task, GOLDEN // len(validated))]
    models: dict[str, Model] = {p: Model(draft, p, work.machine.threads) for p in plan.export.precision}
    first = models[plan.export.precision[0]]
    rows = first.rows(inputs)
    outputs = {precision: model.evidence(rows) for precision, model in models.items()}
    for precision, given in outputs.items():
        _refuse_holes(precision, given, draft)
    shown = {name: value for each in first.decoders.values() for name, value in each.shown.items()}
    answers = first.predict(inputs, **shown)
    found: list[dict[str, Any]] = []
    for i, (value, answer) in enumerate(zip(inputs, answers, strict=True)):
        of_rows = {p: {n: [_floats(a[j]) for j in rows.of(i)] for n, a in out.items()} for p, out in outputs.items()}
        sample = {"input": plan.reading.variant.portable(value), "answer": plain(answer), "outputs": of_rows}
        calls = list(_calls(plan, first, models, value))
        found.append({**sample, **({"calls": calls} if calls else {})})
    return found


def _calls(plan: Plan, first: Model, models: Mapping[str, Model], value: Any) -> Iterator[dict[str, Any]]:
    """The calls of a decoder besides one pass, for one input, with the outputs of every precision."""
    for task in (task for task in plan.tasks if len(task.graphs) > 1 and not decoder(task.head.type).condense):
        run = Recorded(first, task.name)
        decoder(task.head.type).answer(run, first.heads[task.name], first.rows([value]))
        for graph, given in run.calls:
            outputs = {p: model.graphs.run(graph, given) for p, model in models.items()}
            yield {
                "graph": graph,
                "inputs": {name: kept(array) for name, array in given.items()},
                "outputs": {p: {name: kept(array) for name, array in own.items()} for p, own in outputs.items()},
            }


class Recorded(HeadRun):
    """The graphs of a bundle for one head, with a record of calls besides one pass."""

    def __init__(self, model: Model, head: str) -> None:
        super().__init__(model, head, {})
        self.calls: list[tuple[str, Mapping[str, np.ndarray]]] = []

    def __call__(self, graph: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of a graph; the call is recorded."""
        self.calls.append((self.name(graph), arrays))
        return super().__call__(graph, arrays)


def _floats(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), 7).tolist()


STAGE = Stage(run=run)
