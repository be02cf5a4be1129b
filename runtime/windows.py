"""Reads long contexts in windows, and finds the best spans of a window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

BEST = 20  # spans of a window that are considered
CONTEXT = 1  # the number of the context in the pair of question and context
Feature = Mapping[str, np.ndarray]


def nowhere(feature: Feature) -> int:
    """The token that stands for no answer.

    It is the first token where special tokens stand at both ends, as in BERT. Tokenizers of decoders add none at the
    end, and a causal model has read the context only there: then it is the last token.
    """
    sequences = feature["sequences"]
    return 0 if sequences[0] < 0 and sequences[-1] < 0 else len(sequences) - 1


def readable(feature: Feature) -> np.ndarray:
    """Which tokens (tokens,) have a character of the context."""
    offsets = feature["offsets"]
    found: np.ndarray = (feature["sequences"] == CONTEXT) & (offsets[:, 1] > offsets[:, 0])
    return found


def located(feature: Feature, start: int, text: str) -> tuple[int, int] | None:
    """The first and the last token of an answer in a window; None where the window does not hold all of it."""
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
    """(score, first character, end) of the best spans of a window with at most `longest` tokens, the best first."""
    is_read = readable(feature)
    length = len(starts)
    scores = np.full((min(longest, length), length), -np.inf)  # [number of tokens after the first, first token]
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
