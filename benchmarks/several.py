"""What ten specs that share a frozen backbone cost in one call, beside one of them: training, and whole builds.

    python benchmarks/several.py --data DIR [--specs 10] [--rounds 3] [--output DIR]

DIR holds data/sst2; the specs are probes of MiniLM that differ in the head's learning rate. Every call has a cold store
and is a process of its own; one and ten take turns, and the figures are medians over rounds. Prints seconds by stage of
both, so that one sees where the rest goes, and as a floor those of the arithmetic: frozen layers once over the rows that
fold, and for every spec once over those that its graph is verified on. Writes several.json and several.md. Exit status 1
where a mark is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from accuracy import MINILM, SENTIMENT, machine, measured_on  # type: ignore[import-not-found]
from arithmetic import seconds_of  # type: ignore[import-not-found]

MARKS = {"training": 1.6, "whole": 3.5}
TRAINING = ("fold", "train")
STAGE = re.compile(r"([a-z][a-z0-9-]*) (\d+\.\d) s")


def main() -> int:
    """Builds one spec and many in turns; exit status 1 where many cost too much."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with data/")
    options.add_argument("--specs", type=int, default=10)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--output", type=Path, default=Path("bundles/several"), help="where the tables go")
    chosen = options.parse_args()
    runs: dict[str, list[dict[str, float]]] = {"one": [], "many": []}
    for number in range(chosen.rounds):
        for name in runs if number % 2 == 0 else reversed(runs):
            runs[name].append(call(chosen.data.resolve(), 1 if name == "one" else chosen.specs))
            print(f"round {number + 1}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    medians = {
        name: {k: statistics.median(run.get(k, 0.0) for run in each) for k in dict.fromkeys(k for run in each for k in run)}
        for name, each in runs.items()
    }  # fmt: skip
    ratios = {name: medians["many"][name] / medians["one"][name] for name in MARKS}
    report(medians, ratios, floor(chosen.data.resolve(), chosen.specs), chosen)
    return int(any(ratios[name] > mark for name, mark in MARKS.items()))


def call(data: Path, specs: int) -> dict[str, float]:
    """Seconds of one call that builds so many specs, by stage, of its training stages and as a whole."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "data").symlink_to(data / "data")
        names = [write(place, i) for i in range(specs)]
        words = [sys.executable, "-m", "graftc", "build", "--quiet", "--store", "store", "-o", "out", *names]
        settings = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
        start = time.perf_counter()
        done = subprocess.run(words, cwd=place, env=settings, capture_output=True, text=True, check=False)
        whole = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    built = {line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("rate")}
    if len(built) != specs:
        sys.exit(f"{len(built)} of {specs} specs were built")
    found: dict[str, float] = {}
    for line in done.stdout.splitlines():
        if line.startswith("rate"):
            for stage, seconds in STAGE.findall(line):
                word = stage.split("-")[0]
                found[word] = round(found.get(word, 0.0) + float(seconds), 1)
    training = sum(seconds for stage, seconds in found.items() if stage in TRAINING)
    return {**found, "training": round(training, 1), "whole": round(whole, 1)}


def write(place: Path, number: int) -> str:
    """A probe with a learning rate of its own."""
    spec: dict[str, Any] = {
        "graftc": 1, "name": f"rate{number}", "backbone": {"from": MINILM}, "adapt": {"method": "probe"},
        "head": {"type": "text-classification"}, "data": SENTIMENT,
        "train": {"epochs": 10, "learning_rate": round(1e-3 * (1 + number / 10), 6)},
    }  # fmt: skip
    (place / f"rate{number}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return f"rate{number}.yaml"


def floor(data: Path, specs: int) -> dict[str, float]:
    """Seconds of the arithmetic that many specs can't avoid, by stage."""
    import peer  # type: ignore[import-not-found]

    from graftc.compiler.api import plan
    from graftc.compiler.facts.backbone import gather_backbone

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "data").symlink_to(data / "data")
        planned = plan(place / write(place, 0))
        located = gather_backbone(planned.backbone.source, place).located.folder
        config = json.loads((located / "config.json").read_bytes())
        lengths = {
            split: [len(row["input_ids"]) for row in peer.examples(planned, place, split)]
            for split in ("train", "validation", "test")
        }
    fold = seconds_of(config, [length for each in lengths.values() for length in each])
    verify = specs * seconds_of(config, lengths["validation"] + lengths["test"])
    return {"training": fold, "whole": fold + verify, "fold": fold, "verify": verify}


def report(
    medians: dict[str, dict[str, float]], ratios: dict[str, float], least: dict[str, float], chosen: argparse.Namespace
) -> None:
    """Prints the table and writes it, with machine and versions."""
    lines = [
        *measured_on(),
        f"| seconds of | one spec | {chosen.specs} specs | ratio | at most | floor of {chosen.specs} |",
        "|---|---|---|---|---|---|",
    ]
    for name in (*MARKS, *(stage for stage in medians["many"] if stage not in MARKS)):
        one, many = medians["one"].get(name, 0.0), medians["many"][name]
        ratio = f"{many / one:.2f}" if one else "–"
        bound = f"{least[name]:.1f}" if name in least else ""
        lines.append(f"| {name} | {one:.1f} | {many:.1f} | {ratio} | {MARKS.get(name, '')} | {bound} |")
    chosen.output.mkdir(parents=True, exist_ok=True)
    found = {"machine": machine(), "specs": chosen.specs, "medians": medians, "ratios": ratios, "floor": least}
    (chosen.output / "several.json").write_text(json.dumps(found, indent=2) + "\n")
    (chosen.output / "several.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
