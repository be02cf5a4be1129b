"""Tells labels that are one but for how they are written: capital letters, blanks, and the point of a whole number."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WHOLE = re.compile(r"([+-]?\d+)\.0+")
VOID = frozenset({"nan", "<na>", "#n/a", "nat", "null"})  # what programs write where there is no value


def folded(label: str) -> str:
    """What all spellings of a label have in common.

    >>> folded(" Spam "), folded("1.0"), folded("True")
    ('spam', '1', 'true')
    """
    plain = "".join(label.split()).casefold()
    whole = _WHOLE.fullmatch(plain)
    return whole[1] if whole else plain


def spellings(labels: Iterable[str]) -> Iterable[list[str]]:
    """The labels in groups of one and the same, however it is written.

    >>> list(spellings(["Spam", "ham", " spam"]))
    [['Spam', ' spam'], ['ham']]
    """
    found: dict[str, list[str]] = {}
    for label in labels:
        found.setdefault(folded(label), []).append(label)
    return found.values()


def otherwise(label: str, others: Collection[str]) -> str:
    """Another spelling of a label among others, one without blanks around it first; "" where there is none.

    >>> otherwise("spam", ["Spam", " spam"]), otherwise("0", ["0.0"])
    ('Spam', '0.0')
    """
    alike = [other for other in others if other != label and folded(other) == folded(label)]
    return min(alike, key=lambda other: (other != other.strip(), other), default="")
