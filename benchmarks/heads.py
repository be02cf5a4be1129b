"""Two tasks on one backbone: sentiment and intent with LoRA on MiniLM, together and each alone.

    python benchmarks/heads.py --data DIR [--epochs 2] [--output DIR]

DIR holds data/sst2 and data/banking77. Each head is held to its own single build, less 1.5 points of test accuracy, and
the one graph that answers for both to 1.15 times a single one's latency. Prints the table and
writes heads.json and heads.md. Exit status 1 where something is not met.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: threads that wait must not spin

from accuracy import INTENT, MINILM, SENTIMENT, build, machine

from graftc.runtime.model import Model

WITHIN = 0.015  # of test accuracy
SLOWER = 1.15  # times the latency of a graph with one head
RUNS = 200  # of each graph, in turns
TEXT = "I am still waiting for my new card, and nobody at the bank can say where it is or when it will arrive."
HEADS = {"sentiment": SENTIMENT, "intent": INTENT}


def main() -> int:
    """Builds the three bundles; exit status 1 where something is not met."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with data/")
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--output", type=Path, default=Path("bundles/heads"), help="where specs and bundles go")
    chosen = options.parse_args()
    if missing := [name for name in ("sst2", "banking77") if not (chosen.data / "data" / name).is_dir()]:
        print(f"no data/{missing[0]} in {chosen.data}", file=sys.stderr)
        return 2
    link = chosen.output / "specs" / "data"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to((chosen.data / "data").resolve())
    shared = {"adapt": {"method": "lora"}, "train": {"epochs": chosen.epochs}}
    head = {"type": "text-classification"}
    alone = {
        name: build(name, MINILM, {**shared, "head": head, "data": data}, chosen.output) for name, data in HEADS.items()
    }
    heads = {
        name: {**head, "data": {k: v for k, v in data.items() if k != "max_length"}} for name, data in HEADS.items()
    }
    both = build("both", MINILM, {**shared, "heads": heads, "data": {"max_length": 128}}, chosen.output)
    rows = [_row(name, both[0].metrics["test"], built.metrics["test"]) for name, (built, _) in alone.items()]
    ratio = latency(both[0].folder, alone["sentiment"][0].folder)
    seconds = {"both": both[1], **{name: took for name, (_, took) in alone.items()}}
    report(rows, ratio, seconds, chosen.output)
    return 0 if all(row["is_met"] for row in rows) and ratio["ratio"] <= SLOWER else 1


def _row(name: str, both: Any, alone: Any) -> dict[str, Any]:
    together, single = both["fp32"][f"{name}.accuracy"], alone["fp32"]["accuracy"]
    return {"head": name, "together": together, "alone": single, "is_met": together >= single - WITHIN}


def latency(both: Path, alone: Path) -> dict[str, float]:
    """Median milliseconds of one text through each graph, asked in turns, and their ratio."""
    models = {"both": Model(both, threads=1), "alone": Model(alone, threads=1)}
    rows = models["both"].rows([TEXT])
    took: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(RUNS):
        for name, model in models.items():
            start = time.perf_counter()
            model.run(rows)
            took[name].append(1000 * (time.perf_counter() - start))
    found = {name: statistics.median(times[RUNS // 10 :]) for name, times in took.items()}
    return {**found, "ratio": found["both"] / found["alone"]}


def report(rows: list[dict[str, Any]], ratio: dict[str, float], seconds: dict[str, float], output: Path) -> None:
    """Prints the table and writes it beside the bundles, with machine and versions."""
    lines = ["| head | together | alone | difference | met |", "|---|---|---|---|---|"]
    for row in rows:
        difference = 100 * (row["together"] - row["alone"])
        met = "yes" if row["is_met"] else "NO"
        lines.append(f"| {row['head']} | {row['together']:.4f} | {row['alone']:.4f} | {difference:+.2f} | {met} |")
    lines += [
        "",
        f"one text: {ratio['both']:.2f} ms for both heads, {ratio['alone']:.2f} ms for one: ×{ratio['ratio']:.3f}",
    ]
    lines += [", ".join(f"{name} {took:.0f} s" for name, took in seconds.items())]
    found = {"machine": machine(), "rows": rows, "latency": ratio, "seconds": seconds}
    (output / "heads.json").write_text(json.dumps(found, indent=2) + "\n")
    (output / "heads.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
