"""Are mistakes found where they are? Over the corpus of broken specs, and over random changes of the examples.

    python benchmarks/diagnostics.py [--mutations 2000] [--seed 1] [--show 40]

Corpus: every planted mistake must be found at its line, and nothing else. Mutations: one change each; the first finding
must be within one line of it, or the change harmless, in 97 %. Takes a few minutes. Exit status 1 where one falls short.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.corpus import mutations, world
from tests.corpus.corpus import SPECS, ask, planted, show

SHARE = 0.97
MOST_HARMLESS = 0.15  # of the changes: some rename what nobody needs, but not many


def main() -> int:
    """Prints both and gives the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=40, help="how many changes that were told elsewhere are printed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = world.write(Path(name))
        is_sound = corpus(folder)
        return int(not (mutate(folder, asked.mutations, asked.seed, asked.show) and is_sound))


def corpus(folder: Path) -> bool:
    """Prints what was planted, found, missed and extra."""
    total = found = missed = extra = 0
    specs = sorted(SPECS.glob("*.yaml"))
    for spec in specs:
        expected, said = planted(spec), ask(Path(shutil.copy(spec, folder / "spec.yaml"))).places
        total, found = total + len(expected), found + len(expected & said)
        missed, extra = missed + len(expected - said), extra + len(said - expected)
        if expected != said:
            print(
                f"{spec.name}: missed{show(expected - said) or ' nothing'}; extra{show(said - expected) or ' nothing'}"
            )
    print(f"corpus: {len(specs)} specs, {total} planted, {found} found, {missed} missed, {extra} extra")
    return not missed and not extra


def mutate(folder: Path, count: int, seed: int, most: int) -> bool:
    """Prints the share of changes told in place, by kind, and those that were not."""
    texts = mutations.ground(folder)
    start = time.monotonic()
    outcomes = [mutations.judge(mutant, folder) for mutant in mutations.mutants(texts, count, seed)]
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    for outcome in bad[:most]:
        mutant = outcome.mutant
        print(f"  {mutant.example}: {mutant.what} (line {sorted(mutant.lines)}), but {outcome.said}")
    shares = mutations.shares(outcomes)
    for kind, (good, every) in sorted(shares.items(), key=lambda item: item[1][0] / item[1][1]):
        print(f"  {kind:<28}{good:>5} of {every:<5}{good / every:>7.1%}")
    harmless = sum(outcome.line == 0 for outcome in outcomes)
    mute = harmless > MOST_HARMLESS * len(outcomes)  # a validator that says nothing would find all of them so
    share = 1 - len(bad) / len(outcomes)
    print(
        f"mutations: {len(outcomes)}, {harmless} harmless, {len(outcomes) - harmless - len(bad)} told within one line, {len(bad)} elsewhere"
    )
    print(f"           {share:.1%} of at least {SHARE:.0%}, seed {seed}, {time.monotonic() - start:.0f} s")
    return share >= SHARE and not mute


if __name__ == "__main__":
    sys.exit(main())
