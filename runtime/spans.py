"""Places of words in a text: from token offsets to words, and between tags of words and spans."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

OUTSIDE = "O"
# marks inside links, handles, paths and names, which tokenized data keeps whole: between letters or digits, or one @
# or # before them
JOINING = re.compile(r"(?<=[^\W_])[@#/_.:=&%~+\\-]+(?=[^\W_])|(?<![\w@#/.:=&%~+\\-])[@#](?=[^\W_])")
Span = tuple[int, int, str]  # first, end, label


def trimmed(offsets: np.ndarray, text: str) -> np.ndarray:
    """The characters (tokens, 2) of tokens without white space at the ends, which some tokenizers include."""
    found = offsets.copy()
    for i, (start, end) in enumerate(offsets.tolist()):
        inside = text[start:end]
        if inside[:1].isspace() or inside[-1:].isspace():
            first = start + len(inside) - len(inside.lstrip())
            found[i] = first, first + len(inside.strip())
    return found


def words(offsets: np.ndarray, numbers: np.ndarray, text: str, is_joined: bool = False) -> np.ndarray:
    """The number of each token's word, from 0, int64 (tokens,); -1 for blank tokens and tokens outside of the text.

    `offsets` are trimmed, `numbers` the tokenizer's own words. Some tokenizers number a whole text as one word, so
    white space and punctuation divide too. With `is_joined`, marks inside `@name`, `a.com/b` and `Nex-Tech` do not
    divide.
    """
    found = np.full(len(numbers), -1, np.int64)
    joined = _joined(text) if is_joined else frozenset()
    word, last = -1, -1
    for i, ((start, end), number) in enumerate(zip(offsets.tolist(), numbers.tolist(), strict=True)):
        if number < 0 or start >= end:
            continue
        before = int(offsets[last][1]) if last >= 0 else -1
        is_other = last < 0 or numbers[last] != number or _divided(text, before, start)
        if is_other and not (before == start and start in joined):
            word += 1
        found[i], last = word, i
    return found


def _divided(text: str, end: int, start: int) -> bool:
    """Whether a word ends between two tokens; tokens that share a character are one word."""
    if start < end:
        return False
    between = text[end:start]
    return any(map(str.isspace, between)) or _is_mark(text[end - 1]) or _is_mark(text[start])


def _joined(text: str) -> frozenset[int]:
    """The places in a text, in characters, beside marks that join."""
    return frozenset(at for found in JOINING.finditer(text) for at in range(found.start(), found.end() + 1))


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "PS"


def placed(feature: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The first token (words,) and the characters (words, 2) of each word of a row."""
    kept = np.flatnonzero(feature["words"] >= 0)
    _, at = np.unique(feature["words"][kept], return_index=True)
    if not len(at):
        return np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    offsets = np.asarray(feature["offsets"], np.int64)
    return kept[at], np.stack([offsets[kept[at], 0], np.maximum.reduceat(offsets[kept, 1], at)], 1)


def tags(places: np.ndarray, spans: Iterable[tuple[int, int, str]]) -> list[str]:
    """The IOB2 tags of words at `places` (words, 2), in a text with ordered, disjoint labelled spans of characters.

    A word belongs to the first span that it shares a character with.

    >>> tags(np.array([[0, 3], [4, 8], [9, 11]]), [(4, 11, "place")])
    ['O', 'B-place', 'I-place']
    """
    found = [OUTSIDE] * len(places)
    for start, end, label in spans:
        for i in np.flatnonzero((places[:, 0] < end) & (places[:, 1] > start)):
            if found[i] == OUTSIDE:
                is_on = i > 0 and places[i - 1, 1] > start and found[i - 1].endswith(f"-{label}")
                found[i] = f"{'I' if is_on else 'B'}-{label}"
    return found


def entities(tags: Sequence[str]) -> list[Span]:
    """The spans of words in IOB2 tags; an `I-` without a predecessor begins a span.

    >>> entities(["B-place", "I-place", "O", "I-person"])
    [(0, 2, 'place'), (3, 4, 'person')]
    """
    found: list[Span] = []
    for i, tag in enumerate(tags):
        mark, _, label = tag.partition("-")
        if tag == OUTSIDE:
            continue
        if mark == "I" and found and found[-1][1] == i and found[-1][2] == label:
            found[-1] = (found[-1][0], i + 1, label)
        else:
            found.append((i, i + 1, label))
    return found
