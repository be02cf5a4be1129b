"""Groups labels that differ only in spelling: case, blanks, and the point of a whole number."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WHOLE = re.compile(r"([+-]?\d+)\.0+")
VOID = frozenset({"nan", "<na>", "#n/a", "nat", "null"})  # words that programs write for a missing value


def folded(label: str) -> str:
    """The common form of all spellings of a label.

    >>> folded(" Spam "), folded("1.0"), folded("True")
    ('spam', '1', 'true')
    """
    plain = "".join(label.split()).casefold()
    whole = _WHOLE.fullmatch(plain)
    return whole[1] if whole else plain


def spellings(labels: Iterable[str]) -> Iterable[list[str]]:
    """The labels in groups of equal labels, however they are spelt.

    >>> list(spellings(["Spam", "ham", " spam"]))
    [['Spam', ' spam'], ['ham']]
    """
    found: dict[str, list[str]] = {}
    for label in labels:
        found.setdefault(folded(label), []).append(label)
    return found.values()


def otherwise(label: str, others: Collection[str]) -> str:
    """Another spelling of a label among others, preferably one without blanks around it; "" for none.

    >>> otherwise("spam", ["Spam", " spam"]), otherwise("0", ["0.0"])
    ('Spam', '0.0')
    """
    alike = [other for other in others if other != label and folded(other) == folded(label)]
    return min(alike, key=lambda other: (other != other.strip(), other), default="")
