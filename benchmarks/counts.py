"""Counts what makes code harder to read, in this tree and in a commit before it.

    python benchmarks/counts.py COMMIT

For compiler/, runtime/ and graftc/: `Any`, `# type: ignore`, `# fmt: skip`, lines over 120 characters, and runs of six
lines that stand twice.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping

FOLDERS = ("compiler", "runtime", "graftc")
RUN = 6  # lines
Sources = Mapping[str, str]


def main() -> None:
    """Prints a table with a row for each count: of the commit, of this tree, and for each thousand lines."""
    sides = {"before": sources(sys.argv[1]), "now": sources("HEAD")}
    lines = {side: sum(text.count("\n") for text in found.values()) for side, found in sides.items()}
    print(f"{'':24}{'before':>10}{'now':>10}{'before/k':>10}{'now/k':>10}")
    print(f"{'lines':24}" + "".join(f"{lines[side]:>10,}" for side in sides))
    for what, count in COUNTS.items():
        found = [count(each) for each in sides.values()]
        shares = [1000 * number / lines[side] for number, side in zip(found, sides, strict=True)]
        print(f"{what:24}" + "".join(f"{n:>10,}" for n in found) + "".join(f"{share:>10.2f}" for share in shares))


def sources(commit: str) -> Sources:
    """The Python files of a commit, by path."""
    names = git("ls-tree", "-r", "--name-only", commit, *FOLDERS).splitlines()
    return {name: git("show", f"{commit}:{name}") for name in names if name.endswith(".py")}


def git(*words: str) -> str:
    """What git prints."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout


def matches(pattern: str) -> Callable[[Sources], int]:
    """Counts a pattern in all files."""
    return lambda found: sum(len(re.findall(pattern, text)) for text in found.values())


def long_lines(found: Sources) -> int:
    """Lines over 120 characters."""
    return sum(len(line) > 120 for text in found.values() for line in text.splitlines())


def duplicates(found: Sources) -> int:
    """Runs of six lines with code that stand at two places at least, each counted once; imports apart."""
    places: dict[tuple[str, ...], int] = defaultdict(int)
    for text in found.values():
        lines = [line.strip() for line in text.splitlines()]
        code = [line for line in lines if line and not line.startswith(("from ", "import ", "#", '"""'))]
        for at in range(len(code) - RUN + 1):
            places[tuple(code[at : at + RUN])] += 1
    return sum(count > 1 for count in places.values())


COUNTS = {
    "Any": matches(r"\bAny\b"),
    "# type: ignore": matches(r"# type: ignore"),
    "# fmt: skip": matches(r"# fmt: skip"),
    "lines over 120": long_lines,
    "runs of six that repeat": duplicates,
}

if __name__ == "__main__":
    main()
