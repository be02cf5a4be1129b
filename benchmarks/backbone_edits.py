"""Edits a backbone's files by chance and holds what graftc says of them against the real transformers.

    python benchmarks/backbone_edits.py [--edits 300] [--harmless 50] [--seed 0] [--families bert vit llama]

Each edit of config.json, weights, tokenizer or sentence-transformers files is validated; what passes is loaded and
runs once, nothing is trained. Prints a table of kinds. Exit status 1 where an edit ends in a traceback or status 3,
more than 3 pass validate and fail later, one is refused that transformers loads as the file says, or a harmless one is
refused.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.backbones import tiny
from tests.fuzz.trial import FAMILIES, Bench, Seen

SLIPS = 3  # that may pass validate and fail later
COLUMNS = ("tried", "refused", "later", "passed", "wronged", "broken")


def main() -> int:
    """Tries all edits and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--harmless", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", nargs="+", default=FAMILIES, choices=sorted(tiny._CONFIGS))
    parser.add_argument("--each", action="store_true", help="print every edit")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAFTC_STORE"] = str(Path(folder) / "store")
        bench = Bench(Path(folder), tuple(asked.families))
        seen = list(bench.run(asked.edits, asked.seed))
        harmless = list(bench.run(asked.harmless, asked.seed, is_harmless=True))
    table(seen + harmless)
    if asked.each:
        for one in seen + harmless:
            print(f"{one.word:<14}{one.status} {one.later}  {one.edit.kind}: {one.edit.what}   | {one.theirs}")
    read = sum(one.edit.is_read for one in seen)
    print(f"{read} of {len(seen)} keep valid JSON and touch what the architecture reads   seed {asked.seed}")
    return verdict(seen, harmless)


def table(seen: Sequence[Seen]) -> None:
    """Prints how many there were of each kind, and what came of them."""
    counts = {kind: Counter[str]() for kind in sorted({one.edit.kind for one in seen})}
    for one in seen:
        came = "refused" if one.status else "later" if one.later else "passed"
        counts[one.edit.kind].update(["tried", came])
        counts[one.edit.kind].update(["wronged"] * one.is_wronged + ["broken"] * one.is_broken)
    print(f"{'kind':<38}" + "".join(f"{word:>9}" for word in COLUMNS))
    for kind, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print(f"{kind:<38}" + "".join(f"{count[word]:>9}" for word in COLUMNS))


def verdict(seen: Sequence[Seen], harmless: Sequence[Seen]) -> int:
    """Prints what speaks against the criteria; gives the exit status."""
    slips = [one for one in seen if one.has_slipped]
    lists = {
        "ended in a traceback or status 3": [one for one in [*seen, *harmless] if one.is_broken],
        f"passed validate and failed later, {SLIPS} may": slips,
        "refused, where transformers loads what the file says": [one for one in seen if one.is_wronged],
        "harmless, and refused": [one for one in harmless if one.status or one.later],
        "passed, where transformers refuses (for your information)": [
            one for one in seen if not (one.status or one.later) and one.theirs and "other outputs" not in one.theirs
        ],
    }
    for name, found in lists.items():
        print(f"{name}: {len(found)}")
        for one in found:
            print(f"  {one.word}: {one.edit.kind}: {one.edit.what}\n    transformers: {one.theirs or 'fine'}")
            print("".join(f"    {line}\n" for line in one.said.strip().splitlines()[-4:]), end="")
    broken, slipped, wronged, hurt, _ = lists.values()
    return int(bool(broken or wronged or hurt or len(slipped) > SLIPS))


if __name__ == "__main__":
    sys.exit(main())
