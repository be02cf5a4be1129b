"""What many rows cost: memory and rows a second of `validate`, of preparing rows and of a build, at two sizes each.

    python benchmarks/many_rows.py [--only validate prepare build] [--rows 100000 2000000] [--build-rows 30000 300000]

The backbone is tiny, so that rows are what counts. Texts of 6 to 14 words all differ; validation rows are held out
of them. Memory is the peak of anonymous and shared pages of the whole process tree, looked at every 20 ms. Files that
are mapped are not in it, so the temporary folder (TMPDIR) must lie on a disk. Prints the ratio of the larger size to
the smaller one. Exit status 1 where a mark is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
EVERY = 0.02  # seconds between two looks at the memory
GROWTH, SPEED, MOST = 1.10, 1.10, 400  # of memory, of the time of a row; megabytes
BUILD_GROWTH = 1.15
WORDS, LABELS, WARM = 5_000, 5, 500
MARKS = ("memory", "speed")
IN_MEMORY = ("tmpfs", "ramfs")
COUNTED = ("RssAnon:", "RssShmem:")  # of /proc/PID/status, in kB
SPEC = """\
graftc: 1
name: many
backbone: {from: ./backbone}
adapt: {method: probe}
head: {type: text-classification}
data:
  train: rows.jsonl
  validation: {fraction: 0.1}
  max_length: 32
train: {epochs: 1, batch_size: 256}
export: {gate: {metric_drop: 1.0}}
"""


class Run(NamedTuple):
    """Seconds of a process and its children, and the most megabytes that they had at once."""

    seconds: float
    megabytes: float


def main() -> int:
    """Measures both sizes of all that is asked for; exit status 1 where a mark is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=MEASURED, default=list(MEASURED))
    options.add_argument("--rows", nargs=2, type=int, default=[100_000, 2_000_000])
    options.add_argument("--build-rows", nargs=2, type=int, default=[30_000, 300_000])
    options.add_argument("--marks", nargs="+", choices=MARKS, default=list(MARKS), help="those that are held")
    options.add_argument("--prepare", nargs=2, type=Path, metavar=("PLAN", "OUT"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.prepare:
        prepare(*chosen.prepare)
        return 0
    if lies_in_memory(Path(tempfile.gettempdir())):
        sys.exit("the temporary folder lies in memory: set TMPDIR to a folder on a disk")
    is_missed = False
    if "speed" in chosen.marks:  # the first run of all writes bytecode, and fills the caches of the system
        for word in chosen.only:
            measured(word, WARM)
    for word in chosen.only:
        sizes = chosen.build_rows if word == "build" else chosen.rows
        runs = [(rows, measured(word, rows)) for rows in sizes]
        is_missed |= told(word, runs, chosen.marks)
    return int(is_missed)


def measured(word: str, rows: int) -> Run:
    """One of the three over so many rows, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, rows)
        return MEASURED[word](folder)


def told(word: str, runs: list[tuple[int, Run]], held: Sequence[str]) -> bool:
    """Prints two runs; returns whether a mark is missed that is held."""
    for rows, run in runs:
        print(
            f"{word:9}{rows:>10,} rows {run.seconds:8.1f} s {rows / run.seconds:9,.0f} rows/s {run.megabytes:7.1f} MB"
        )
    (few, small), (many, large) = runs
    growth, slower = large.megabytes / small.megabytes, large.seconds / many / (small.seconds / few)
    most = BUILD_GROWTH if word == "build" else GROWTH
    marks = [("memory", f"memory {growth:.3f} (at most {most:g})", growth <= most)]
    if word != "build":
        marks += [
            ("speed", f"seconds of a row {slower:.3f} (at most {SPEED:g})", slower <= SPEED),
            ("memory", f"{large.megabytes:.0f} MB (at most {MOST})", large.megabytes <= MOST),
        ]
    kept = [(text, is_met) for mark, text, is_met in marks if mark in held]
    print(f"{word:9}{', '.join(text if is_met else f'MISSED: {text}' for text, is_met in kept)}", flush=True)
    return not all(is_met for _, is_met in kept)


def validate(folder: Path) -> Run:
    """`graftc validate`."""
    return watched([sys.executable, "-m", "graftc", "validate", str(folder / "spec.yaml")])


def prepared(folder: Path) -> Run:
    """The stages that prepare training and validation rows, without the planning before them."""
    plan = folder / "plan.json"
    watched([sys.executable, "-m", "graftc", "plan", "-o", str(plan), str(folder / "spec.yaml")])
    return watched([sys.executable, __file__, "--prepare", str(plan), str(folder)])


def build(folder: Path) -> Run:
    """`graftc build` with an empty store."""
    store, bundle = str(folder / "store"), str(folder / "bundle")
    return watched([sys.executable, "-m", "graftc", "build", str(folder / "spec.yaml"), "--store", store, "-o", bundle])


MEASURED: dict[str, Callable[[Path], Run]] = {"validate": validate, "prepare": prepared, "build": build}


def prepare(file: Path, folder: Path) -> None:
    """Runs the stages of a plan that prepare rows, in this process."""
    from graftc.compiler import variants
    from graftc.compiler.execution.progress import Progress
    from graftc.compiler.execution.work import Work
    from graftc.compiler.machine import describe
    from graftc.compiler.planning.plan import Plan

    plan = Plan.model_validate_json(file.read_text(encoding="utf-8"))
    for split in plan.tasks[0].data.splits:
        out = folder / split.name
        out.mkdir()
        progress = Progress(is_quiet=True)
        work = Work(plan, folder, folder / "backbone", describe(), {}, out, progress, split=split.name)
        variants.stage("prepare").run(work)


def write(folder: Path, rows: int) -> None:
    """A spec, a tiny backbone and so many rows."""
    script = (
        "import sys; from pathlib import Path; from tests.backbones import tiny; tiny.save('bert', Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", script, str(folder / "backbone")], check=True, cwd=ROOT)
    (folder / "spec.yaml").write_text(SPEC)
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(WORDS)]
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for i in range(rows):
            text = " ".join(chance.choices(words, k=chance.randint(6, 14)))
            file.write(json.dumps({"text": f"{i} {text}", "label": f"label {chance.randrange(LABELS)}"}) + "\n")


def watched(command: list[str]) -> Run:
    """Runs a command to its end; ends this process where it fails."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
    most, start = 0.0, time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        while child.poll() is None:
            most = max(most, sum(map(resident, tree(child.pid))))
            time.sleep(EVERY)
        seconds = time.perf_counter() - start
        if child.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)}: status {child.returncode}\n{said.read().decode(errors='replace')[-2000:]}")
    return Run(seconds, most)


def tree(pid: int) -> Iterator[int]:
    """A process and all that it has started."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # it has ended
            continue
        for child in map(int, found):
            yield from tree(child)


def resident(pid: int) -> float:
    """Megabytes of a process in anonymous and shared pages; none of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(COUNTED)) / 1024


def lies_in_memory(folder: Path) -> bool:
    """Whether files of a folder take up memory: those of the deepest mount that it lies in."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    inside = [(len(Path(at).parts), kind) for _, at, kind, *_ in mounts if folder.resolve().is_relative_to(at)]
    return max(inside, default=(0, ""))[1] in IN_MEMORY


if __name__ == "__main__":
    sys.exit(main())
