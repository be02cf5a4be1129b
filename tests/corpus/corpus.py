"""Broken specs and what was planted in them: reading the marks, asking the validator, comparing the two.

A mark is a comment with codes at the end of the line that is wrong: `rnak: 8   # E0201`. Where no comment can stand,
`#^ E0101` on the next line means the line before. `# data train.jsonl:3 E0313` names a row of a data file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from graftc.compiler.api import check
from graftc.compiler.diagnostics import Diagnostic, Refused
from graftc.compiler.language.source import Source, read
from graftc.compiler.renderers import place

SPECS = Path(__file__).parent / "specs"
Places = frozenset[tuple[str, int, str]]  # file ("" for the spec itself), line, code

_CODES = r"(?P<codes>[EW]\d{4}(?:[ ,]+[EW]\d{4})*)"
_HERE = re.compile(rf"#(?P<above>\^?) *{_CODES}\s*$")
_ROW = re.compile(rf"# data (?P<file>\S+):(?P<row>\d+) {_CODES}\s*$")


@dataclass(frozen=True)
class Answer:
    """What is said of one spec; `source` is None where its text can't be read at all."""

    found: tuple[Diagnostic, ...]
    source: Source | None

    @property
    def places(self) -> Places:
        """Where the findings are."""
        return frozenset(where(diagnostic, self.source) for diagnostic in self.found)


def where(diagnostic: Diagnostic, source: Source | None) -> tuple[str, int, str]:
    """File ("" for the spec), line and code of a finding."""
    span = place(diagnostic.at, source)
    if span is None:
        return "", 0, diagnostic.code
    is_spec = source is None or span.file == source.file
    return "" if is_spec else str(Path(span.file).relative_to(source.folder)), span.line, diagnostic.code


def planted(spec: Path) -> Places:
    """The mistakes that are marked in a broken spec."""
    found = set()
    for number, line in enumerate(spec.read_bytes().decode("utf-8-sig", errors="replace").splitlines(), 1):
        row, here = _ROW.search(line), _HERE.search(line)
        for code in re.split("[ ,]+", row["codes"]) if row else ():
            found.add((row["file"], int(row["row"]), code))
        for code in re.split("[ ,]+", here["codes"]) if here and not row else ():
            found.add(("", number - bool(here["above"]), code))
    return frozenset(found)


def ask(spec: Path) -> Answer:
    """What the validator says of a spec."""
    source: Source | None = None
    try:
        source = read(spec)
        return Answer(check(source)[1], source)
    except Refused as refused:
        kept = refused.source if isinstance(refused.source, Source) else source
        return Answer(refused.diagnostics, kept)


def show(places: Places) -> str:
    """Places as a person reads them, one a line."""
    return "".join(f"\n  {code} at {file or 'line'} {line}" for file, line, code in sorted(places))
