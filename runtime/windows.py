"""Answers in windows: a long context is read in parts, and the best span of all of them counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

BEST = 20  # spans of a window that are looked at
CONTEXT = 1  # the context's place in the pair of question and context
Feature = Mapping[str, np.ndarray]


def nowhere(feature: Feature) -> int:
    """The token that stands for no answer.

    The first where special tokens stand at both ends, as in BERT. Tokenizers of decoders put none at the end, and what
    reads from left to right knows the context only there: then it is the last token, which is no answer by itself.
    """
    sequences = feature["sequences"]
    return 0 if sequences[0] < 0 and sequences[-1] < 0 else len(sequences) - 1


def readable(feature: Feature) -> np.ndarray:
    """Which tokens (tokens,) have a letter of the context."""
    offsets = feature["offsets"]
    found: np.ndarray = (feature["sequences"] == CONTEXT) & (offsets[:, 1] > offsets[:, 0])
    return found


def located(feature: Feature, start: int, text: str) -> tuple[int, int] | None:
    """The first and the last token of an answer in a window; None where it is not wholly in it."""
    first = start + len(text) - len(text.lstrip())
    end = start + len(text.rstrip())
    at = np.flatnonzero(readable(feature))
    offsets = feature["offsets"]
    if not len(at) or offsets[at[0], 0] > first or offsets[at[-1], 1] < end:
        return None
    inside = at[(offsets[at, 0] < end) & (offsets[at, 1] > first)]
    if not len(inside):
        return None
    return int(inside[0]), int(inside[-1])


def spans(feature: Feature, starts: np.ndarray, ends: np.ndarray, longest: int) -> Iterator[tuple[float, int, int]]:
    """(score, first character, end) of the best spans of a window of at most `longest` tokens, the best first."""
    is_read = readable(feature)
    length = len(starts)
    scores = np.full((min(longest, length), length), -np.inf)  # by number of tokens after the first, and the first
    for more in range(len(scores)):
        both = is_read[: length - more] & is_read[more:]
        scores[more, : length - more][both] = (starts[: length - more] + ends[more:])[both]
    none = nowhere(feature)
    scores[0, none] = -np.inf
    for i in np.argsort(-scores, axis=None, kind="stable")[:BEST]:
        more, first = divmod(int(i), length)
        if scores[more, first] == -np.inf:
            return
        offsets = feature["offsets"]
        yield float(scores[more, first]), int(offsets[first, 0]), int(offsets[first + more, 1])
