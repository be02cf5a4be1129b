"""The pages of diagnostics: one for each code, with a wrong and a right spec."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent

# prefix of codes → subject, in the order of work; the longest matching prefix counts
RANGES = {
    "E01": "the text of a spec",
    "E02": "the shape of a spec",
    "E03": "a spec against its backbone and its data",
    "W03": "worth a look",
    "E043": "a metric against the data",
    "E045": "int8 against the backbone and the data",
    "E046": "where a training starts",
    "E055": "heads against each other",
    "E057": "a training against its rows",
    "E058": "files of a sentence-transformers folder",
    "E04": "building, and the machine",
    "W04": "scores and training worth a look",
    "E05": "bundles",
    "W05": "labels worth a look",
}


@cache
def codes() -> tuple[str, ...]:
    """Every code that has a page, sorted.

    >>> "E0201" in codes()
    True
    """
    return tuple(sorted(path.stem for path in _HERE.glob("[EW][0-9][0-9][0-9][0-9].md")))


def range_of(code: str) -> str:
    """The prefix under which a code is listed.

    >>> range_of("E0450"), range_of("E0402")
    ('E045', 'E04')
    """
    return max((start for start in RANGES if code.startswith(start)), key=len)


def page(code: str) -> str:
    """The text of a code's page; raises KeyError for a code that `codes` does not list."""
    if code not in codes():
        raise KeyError(code)
    return (_HERE / f"{code}.md").read_text(encoding="utf-8")


def headline(code: str) -> str:
    """The heading of a page.

    >>> headline("E0201")
    'A key that the language does not know'
    """
    return page(code).partition("\n")[0].removeprefix("# ")
