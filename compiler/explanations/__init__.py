"""The long texts of diagnostics: one page per code, with a wrong and a right spec."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent

# what the first two digits of a code mean, in the order of work
RANGES = {
    "E01": "the text of a spec",
    "E02": "the shape of a spec",
    "E03": "a spec against its backbone and its data",
    "W03": "worth a look",
    "E04": "building, and the machine",
    "W04": "a training worth a look",
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


def page(code: str) -> str:
    """The text of a code's page; raises KeyError for a code that `codes` does not list."""
    if code not in codes():
        raise KeyError(code)
    return (_HERE / f"{code}.md").read_text(encoding="utf-8")


def headline(code: str) -> str:
    """What a page says first, without its mark.

    >>> headline("E0201")
    'A key that the language does not know'
    """
    return page(code).partition("\n")[0].removeprefix("# ")
