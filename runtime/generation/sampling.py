"""Tokens drawn by chance: which may be drawn, how likely each is, and the draw.

Which tokens remain follows transformers' `TemperatureLogitsWarper`, `TopKLogitsWarper`, `TopPLogitsWarper` (Holtzman et
al., 2020) and `MinPLogitsWarper`, in that order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from .options import Options
from .ranking import kth_largest

FIRST = 256  # tokens that top-p looks at, at first


def generator(seed: int | None, sequence: int, key: Sequence[int]) -> np.random.Generator:
    """The generator of one answer: of a seed, of which answer of its prompt it is, and of what tells prompts apart.

    So an answer does not depend on the other rows of its batch, and equal prompts get equal answers.
    """
    if seed is None:
        return np.random.default_rng()
    digest = hashlib.sha256(np.asarray(key, "<i8").tobytes()).digest()[:16]
    return np.random.default_rng([seed, sequence, int.from_bytes(digest, "little")])


def draw(scores: np.ndarray, options: Options, generator: np.random.Generator) -> int:
    """A token by the chances that scores (vocabulary,) give it."""
    ids, chances = chances_of(scores, options)
    sums = np.cumsum(chances, dtype=np.float64)
    # the last sum is not always reached in floating point: what is drawn has a chance
    place = np.searchsorted(sums, generator.random() * sums[-1], side="right")
    return int(ids[min(int(place), len(ids) - 1)])


def chances_of(scores: np.ndarray, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """The tokens that may be drawn, ascending, and the chance of each, which add up to one.

    `scores` are those of one row (vocabulary,), of which one at least is finite.
    """
    ids, scores = np.arange(len(scores)), scores / options.temperature
    if options.top_k and options.top_k < len(scores):
        ids = np.flatnonzero(scores >= kth_largest(scores, options.top_k))
    if options.top_p < 1:
        ids = _top_p(ids, scores, options.top_p)
    chances = _softmax(scores[ids])
    is_likely = chances >= np.float32(options.min_p) * chances.max()
    is_possible = is_likely & (chances > 0)
    return ids[is_possible], _shares(chances[is_possible])


def _top_p(ids: np.ndarray, scores: np.ndarray, share: float) -> np.ndarray:
    """Of tokens, ascending, the fewest likeliest ones whose chances reach a share; one at least.

    Looks at a few, and at more while they do not suffice. Of equal ones those with larger numbers stay.
    """
    scores = scores[ids]
    chances, count = _softmax(scores), FIRST
    while True:
        is_all = count >= len(ids)
        some = np.arange(len(ids)) if is_all else np.flatnonzero(scores >= kth_largest(scores, count))
        some = some[np.argsort(scores[some], kind="stable")]
        rest = 0 if is_all else 1 - float(chances[some].sum(dtype=np.float64))
        # transformers adds up from the least likely token on, in double precision, and compares in single
        sums = (rest + np.cumsum(chances[some], dtype=np.float64)).astype(np.float32)
        is_left = sums > np.float32(1 - share)
        is_left[-1] = True
        if is_all or not is_left[0]:
            return np.sort(ids[some[is_left]])
        count *= 8


def _softmax(scores: np.ndarray) -> np.ndarray:
    return _shares(np.exp(scores - scores.max()))


def _shares(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values / values.sum()
    return found
