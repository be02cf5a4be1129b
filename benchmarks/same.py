"""Builds examples with this tree and with a commit before it, and holds the bundles against each other.

    python benchmarks/same.py COMMIT [EXAMPLE…] [--quick]

Graphs are compared by their weights and operators, scores and golden answers as they are written; what differs is
printed with its largest distance. Ends with status 1 where a graph, a score or an answer differs by more than 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ("tickets", "reviews", "digits", "trips", "handbook", "guests")
SAME = 1e-6  # the most that a rename may change, where it reaches a seed's key


def main() -> int:
    """Prints a line for each example; 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", help="the commit to compare with")
    parser.add_argument("examples", nargs="*", default=EXAMPLES, metavar="EXAMPLE")
    parser.add_argument("--quick", action="store_true", help="three steps each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        before = Path(made) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(before), given.commit], check=True)
        try:
            worst = [compare(name, before, Path(made), given.quick) for name in given.examples]
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=True)
    return int(max(worst) > SAME)


def compare(name: str, before: Path, folder: Path, is_quick: bool) -> float:
    """The largest difference between two builds of an example, which is printed."""
    bundles = [build(name, tree, folder / side, is_quick) for side, tree in (("old", before), ("new", ROOT))]
    found = {
        "weights and operators": max(distance(*map(graph, pair)) for pair in graphs(*bundles)),
        "scores": distance(*(read(bundle, "manifest.json")["metrics"] for bundle in bundles)),
        "golden answers": distance(*map(samples, bundles)),
    }
    said = ", ".join(f"{what} {'the same' if not most else f'differ by {most:.1e}'}" for what, most in found.items())
    print(f"{name}: {said}", flush=True)
    return max(found.values())


def build(name: str, tree: Path, folder: Path, is_quick: bool) -> Path:
    """The bundle of an example, built by the code of a tree from the specs of this one."""
    sets = ["--set", f"backbone.from={backbone(folder.parent)}"] if name == "digits" else []
    if is_quick:
        sets += [
            word
            for key in ("train.epochs=", "train.max_steps=3", "export.gate.metric_drop=1")
            for word in ("--set", key)
        ]
    bundle = folder / name
    words = [
        str(ROOT / "specs" / f"{name}.yaml"),
        "-o",
        str(bundle),
        "--store",
        str(folder / "store"),
        "--quiet",
        *sets,
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-m", "graftc", "build", *words], cwd=tree, env=environment, check=True, stdout=2)
    return bundle


def backbone(folder: Path) -> Path:
    """A tiny backbone for pictures; that of the example lies on a Hub."""
    sys.path.insert(0, str(ROOT))
    from tests.backbones import tiny

    if not (place := folder / "pictures").exists():
        tiny.save("mobilenet-v2", place)
    return place


def graphs(old: Path, new: Path) -> Iterator[tuple[Path, Path]]:
    """The graphs that both have, by their names."""
    names = sorted(file.name for file in old.glob("*.onnx"))
    assert names == sorted(file.name for file in new.glob("*.onnx")), "they have other graphs"
    return ((old / name, new / name) for name in names)


def graph(file: Path) -> dict[str, Any]:
    """Weights by name, and the operators in their order; names of nodes are an exporter's own."""
    model = onnx.load(str(file))
    weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer}
    return {"operators": [node.op_type for node in model.graph.node], "weights": list(weights.values())}


def read(bundle: Path, name: str) -> Any:
    """A JSON file of a bundle."""
    return json.loads((bundle / name).read_bytes())


def samples(bundle: Path) -> list[Any]:
    """The golden samples."""
    return [json.loads(line) for line in (bundle / "samples.jsonl").read_text().splitlines()]


def distance(old: Any, new: Any) -> float:
    """The largest difference of numbers; infinite where anything else differs."""
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return float(np.abs(old - new).max(initial=0.0)) if old.shape == new.shape else float("inf")
    if isinstance(old, dict) and isinstance(new, dict):
        if old.keys() != new.keys():
            return float("inf")
        return max((distance(old[key], new[key]) for key in old), default=0.0)
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return float("inf")
        return max((distance(*pair) for pair in zip(old, new, strict=True)), default=0.0)
    if type(old) in (int, float) and type(new) in (int, float):
        return abs(float(old) - float(new))
    return 0.0 if old == new else float("inf")


if __name__ == "__main__":
    sys.exit(main())
