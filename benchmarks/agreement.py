"""How often int8 answers as fp32 does: the share of texts, or of a text's tokens, that get the same label.

    python benchmarks/agreement.py BUNDLE:FILE[:COLUMN] … [--at-least 0.98]

Each BUNDLE labels texts or their tokens and holds an fp32 and an int8 graph; FILE is jsonl whose COLUMN (`text` unless it
is named) holds texts, or lists of words. Exit status 1 where a share is below the mark.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from graftc.runtime.model import Model


def main() -> int:
    """Prints a line for each bundle; exit status 1 where int8 agrees too seldom."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("cases", nargs="+", metavar="BUNDLE:FILE[:COLUMN]")
    options.add_argument("--at-least", type=float, default=0.98)
    chosen = options.parse_args()
    is_met = True
    print("| bundle | answers | agree | at least |\n|---|---|---|---|")
    for case in chosen.cases:
        bundle, file, column = (*case.split(":"), "text")[:3]
        read = (json.loads(line)[column] for line in Path(file).read_text(encoding="utf-8").splitlines())
        texts = [value if isinstance(value, str) else " ".join(value) for value in read]
        said = [labels(Path(bundle), precision, texts) for precision in ("fp32", "int8")]
        share = float(np.mean(said[0] == said[1]))
        is_met &= share >= chosen.at_least
        print(f"| {Path(bundle).name} | {len(said[0]):,} | {share:.4f} | {chosen.at_least} |", flush=True)
    return int(not is_met)


def labels(bundle: Path, precision: str, texts: list[str]) -> np.ndarray:
    """The place of the likeliest label of each text, or of each token but the first and the last, which are no words."""
    model = Model(bundle, precision)
    (found,) = model.outputs(texts).values()
    if isinstance(found, np.ndarray):
        return found.argmax(-1)
    return np.concatenate([row[1:-1].argmax(-1) for row in found])


if __name__ == "__main__":
    sys.exit(main())
