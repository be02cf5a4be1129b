"""Fuzzes everything that reads a user's files: no traceback, no answer over 5 s, no memory over 500 MB.

    python benchmarks/fuzz.py [--minutes 10] [--seed N] [--only KIND]

Specs as bytes, as structures and as mutations of the examples, bases, locks, flags, tables, pictures, headers of
weights, config and tokenizer files. Prints how many inputs of each kind were tried, the slowest and the memory. What is found is
shrunk and kept in tests/fuzz/cases/ as a regression case. Exit status 1 where something was found.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.corpus import world
from tests.fuzz import strategies
from tests.fuzz.case import Case, hold

ROUND = 250  # inputs of a kind before it is the next one's turn
MOST_MB = 500


@dataclass
class Tally:
    """What was tried of one kind."""

    count: int = 0
    slowest: float = 0.0
    found: dict[str, str] = field(default_factory=dict)  # the last lines of a traceback, and where the case is kept


def main() -> int:
    """Runs until the time is over and prints the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--only", choices=strategies.KINDS)
    asked = parser.parse_args()
    kinds = [asked.only] if asked.only else list(strategies.KINDS)
    tallies = {kind: Tally() for kind in kinds}
    end, number = time.monotonic() + 60 * asked.minutes, asked.seed
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAFTC_STORE"] = str(Path(folder) / "store")
        place = world.write(Path(folder) / "world")
        while time.monotonic() < end:
            for kind in kinds:
                number += 1
                one_round(kind, place, number, end, tallies[kind])
    return show(tallies, asked.seed)


def one_round(kind: str, place: Path, number: int, end: float, tally: Tally) -> None:
    """Tries a few hundred inputs of a kind; a finding ends the round."""
    last: list[Case] = []

    @seed(number)
    @settings(
        max_examples=ROUND, deadline=None, database=None, print_blob=False, report_multiple_bugs=False, verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(strategies.kinds(place)[kind])
    def attempt(case: Case) -> None:
        if time.monotonic() > end:
            return
        last[:] = [case]
        tally.count += 1
        tally.slowest = max(tally.slowest, hold(case, place))

    report(attempt, last, kind, number, tally)


def report(attempt: Callable[[], None], last: list[Case], kind: str, number: int, tally: Tally) -> None:
    """Runs a round; what it finds is kept once per place in the code."""
    try:
        attempt()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a library's panic is no Exception
        frame = traceback.extract_tb(error.__traceback__)[-1]
        name = f"{type(error).__name__} at {frame.filename.rpartition('/')[2]}:{frame.lineno}: {str(error)[:200]}"
        if name not in tally.found:
            tally.found[name] = str(last[0].keep(f"{kind}-{number}")) if last else "nothing: the strategy failed"
            traceback.print_exception(error, limit=-6)


def show(tallies: dict[str, Tally], start: int) -> int:
    """Prints the table; gives the exit status."""
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'kind':<12}{'inputs':>9}{'slowest':>11}{'found':>7}")
    for kind, tally in tallies.items():
        print(f"{kind:<12}{tally.count:>9,}{tally.slowest:>9.2f} s{len(tally.found):>7}")
    print(f"{'all':<12}{sum(tally.count for tally in tallies.values()):>9,}   seed {start}")
    print(f"peak memory {megabytes:.0f} MB of {MOST_MB}")
    for tally in tallies.values():
        for name, place in tally.found.items():
            print(f"found: {name}\n       kept in {place}")
    return int(megabytes > MOST_MB or any(tally.found for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
