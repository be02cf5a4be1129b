"""Finds labels that are several labels joined by a mark other than `|`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from ..contracts.targets import Joined

MARKS = (",", ";", " ")  # marks that people put between labels; only `|` is read


def joined(labels: Collection[str]) -> Joined | None:
    """The first of at least two labels whose parts all occur elsewhere too; None where marks belong to names.

    >>> joined(["a", "b", "a, b", "b, a"]).parts, joined(["Rome, Italy", "Paris, France"])
    (('a', 'b'), None)
    """
    for mark in MARKS:
        split = {label: parts(label, mark) for label in labels if mark in label}
        seen = Counter(part for label in labels for part in set(split.get(label, (label,))))
        found = [label for label, words in split.items() if all(word and seen[word] > 1 for word in words)]
        if len(found) > 1 and 2 * len(found) >= len(split):
            return Joined(found[0], split[found[0]], mark, len(found))
    return None


def apart(label: str, known: Collection[str]) -> tuple[str, ...]:
    """The known labels that a label consists of; empty for none.

    >>> apart("a; b", {"a", "b"}), apart("a; c", {"a", "b"})
    (('a', 'b'), ())
    """
    cut = (parts(label, mark) for mark in MARKS)
    return next((words for words in cut if len(words) > 1 and all(word in known for word in words)), ())


def parts(label: str, mark: str) -> tuple[str, ...]:
    """The texts between the marks."""
    return tuple(part.strip() for part in label.split(mark))
