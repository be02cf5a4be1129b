"""Every supervised head of texts × every method × seven families at tiny size, each cell built or refused by capability.

    python benchmarks/matrix.py [--heads …] [--methods …] [--families …] [--store DIR] [--output DIR]

A cell is planned, trained for three steps, exported, held against its own checkpoint at three batch sizes and four
lengths, and asked through its wrapper; or validation refuses it for something stated that the family has not. Prints
each cell as it goes, then the table; writes matrix.json and matrix.md. Heads and methods are those of the installed
package; --families also takes any other family of texts that tests/backbones/tiny.py configures. With --store, cells
that were built before take seconds. Exit status 1 where a cell failed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# before torch is loaded: networks this small only wait for threads, and threads that wait must not spin
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.append(str(Path(__file__).resolve().parents[1]))  # at the end: an installed graftc goes first

from accuracy import machine

from tests.matrix import cells
from tests.matrix.cells import Cell, Outcome

Found = dict[Cell, Outcome]


def main(words: Sequence[str] | None = None) -> int:
    """Runs the cells that were asked for; exit status 1 where one failed."""
    asked = _parser().parse_args(words)
    asked.output.mkdir(parents=True, exist_ok=True)
    chosen = cells.every(asked.heads, asked.methods, asked.families)
    found: Found = {}
    start = time.monotonic()
    with nullcontext(asked.store) if asked.store else tempfile.TemporaryDirectory() as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for i, cell in enumerate(chosen, 1):
            found[cell] = outcome = cells.run(cell, Path(folder))
            why = outcome.why or f"parity {outcome.parity:.0e}"
            print(f"{i}/{len(chosen)} {cell}: {outcome.outcome}, {why}, {outcome.seconds} s", flush=True)
            _write(found, asked.output, time.monotonic() - start)
    print((asked.output / "matrix.md").read_text(), end="")
    return int(any(outcome.outcome == "failed" for outcome in found.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, words, usual in (
        ("heads", cells.HEADS, cells.HEADS),
        ("methods", cells.METHODS, cells.METHODS),
        ("families", cells.TEXTS, cells.FAMILIES),
    ):
        shown = f"{', '.join(words)}; default {'all' if usual == words else ', '.join(usual)}"
        parser.add_argument(f"--{name}", nargs="*", choices=words, default=usual, metavar="WORD", help=shown)
    parser.add_argument("--store", type=Path, help="where backbones and stages are kept; default nowhere")
    parser.add_argument(
        "--output", type=Path, default=Path("bundles/matrix"), help="where matrix.json and matrix.md go"
    )
    return parser


def _write(found: Found, output: Path, seconds: float) -> None:
    rows = [{**asdict(cell), **asdict(outcome)} for cell, outcome in found.items()]
    whole = {"machine": machine(), "seconds": round(seconds, 1), "cells": rows}
    (output / "matrix.json").write_text(json.dumps(whole, indent=1) + "\n")
    (output / "matrix.md").write_text(table(found) + summary(found, seconds))


def table(found: Found) -> str:
    """A row for each head and family, a column for each method; numbers are the largest relative difference."""
    methods = list(dict.fromkeys(cell.method for cell in found))
    lines = [f"| head | family | {' | '.join(methods)} |", "|---" * (2 + len(methods)) + "|"]
    for head in dict.fromkeys(cell.head for cell in found):
        for family in dict.fromkeys(cell.family for cell in found):
            shown = [_shown(found.get(Cell(head, method, family))) for method in methods]
            lines.append(f"| {head} | {family} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _shown(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    return {"built": f"{outcome.parity:.0e}", "refused": outcome.why, "failed": f"FAILED: {outcome.why}"}[
        outcome.outcome
    ]


def summary(found: Found, seconds: float) -> str:
    """The counts, and where the time went."""
    by: dict[str, list[Outcome]] = {"built": [], "refused": [], "failed": []}
    for outcome in found.values():
        by[outcome.outcome].append(outcome)
    spent: dict[str, float] = {}
    for outcome in by["built"]:
        for stage, took in outcome.stages:
            spent[stage] = spent.get(stage, 0.0) + took
    most: list[Any] = sorted(spent.items(), key=lambda item: -item[1])[:5]
    lines = [f"{len(found)} cells in {seconds / 60:.1f} minutes: " + ", ".join(f"{len(v)} {k}" for k, v in by.items())]
    if by["built"]:
        typical = statistics.median(outcome.seconds for outcome in by["built"])
        lines.append(f"worst parity {max(o.parity for o in by['built']):.1e}; a built cell takes {typical:.1f} s")
        lines.append("seconds by stage: " + ", ".join(f"{stage} {took:.0f}" for stage, took in most))
    return "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
