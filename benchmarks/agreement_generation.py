"""How often a graph with its cache writes what transformers' `generate` writes, for every family of decoders.

    python benchmarks/agreement_generation.py [--prompts 100] [--families llama …] [--backbone FOLDER …]

Greedy, 64 tokens, and beam search with 4 beams, on ragged batches of prompts; families are tiny models whose weights
are large, `--backbone` adds models of their own. At the first difference torch's own logits of the two tokens must lie
within 1e-4 of the largest; of beams the scores of the two texts, or of the last beam kept and the first dropped in some
step of torch's search. Such ties are counted, and at most 1 % of prompts may be ties. Exit status 1 where more are, or
where anything else differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from tests.generation import agreement
from tests.generation.agreement import Case

MOST = 0.01  # share of prompts that may be ties
BATCH = 10  # prompts in a batch
NEW, BEAMS = 64, 4
LONGEST = 48  # tokens of a prompt
TINY = {"max_position_embeddings": 128}


def main() -> int:
    """Prints a line for each model and way of decoding; exit status 1 where they do not agree."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--prompts", type=int, default=100)
    options.add_argument("--families", nargs="*", default=agreement.FAMILIES, choices=agreement.FAMILIES)
    options.add_argument("--backbone", nargs="*", default=(), type=Path)
    chosen = options.parse_args()
    torch.set_num_threads(2)
    is_met = True
    print("| model | decoding | prompts | the same | ties | differ | seconds |\n|---|---|---|---|---|---|---|")
    for name, make in cases(chosen.families, chosen.backbone):
        with tempfile.TemporaryDirectory() as folder:
            case = make(Path(folder))
            for beams in (1, BEAMS):
                is_met &= line(name, case, chosen.prompts, beams)
    return int(not is_met)


def cases(families: list[str], backbones: list[Path]) -> Iterator[tuple[str, Callable[[Path], Case]]]:
    """Each model by name, with the function that builds its graph in a folder."""
    for word in families:
        yield word, lambda folder, word=word: agreement.built(word, folder, **longer(word))  # type: ignore[misc]
    for source in backbones:
        yield source.name, lambda folder, source=source: agreement.built_of(source, folder)  # type: ignore[misc]


def longer(word: str) -> dict[str, Any]:
    """More positions than the tests' models have."""
    return {"n_positions": 128} if word == "gpt2" else TINY


def line(name: str, case: Case, count: int, beams: int) -> bool:
    """Prints how a model's texts agree; whether they agree well enough."""
    start = time.perf_counter()
    asked = agreement.prompts(case, count, LONGEST)
    found: list[float] = []
    for at in range(0, count, BATCH):
        some = asked[at : at + BATCH]
        pair = [write(case, some, NEW, beams) for write in (agreement.ours, agreement.theirs)]
        found += [agreement.difference(case, *each, beams=beams) for each in zip(some, *pair, strict=True)]
    same, ties = found.count(0.0), sum(0 < apart <= 1 for apart in found)
    how = "greedy" if beams == 1 else f"{beams} beams"
    took = time.perf_counter() - start
    print(f"| {name} | {how} | {count} | {same} | {ties} | {count - same - ties} | {took:.0f} |", flush=True)
    return same + ties == count and ties <= MOST * count


if __name__ == "__main__":
    sys.exit(main())
