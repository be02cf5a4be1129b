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

COLDEST = 1e-30  # colder is the same, and no number in single precision
FIRST = 256  # tokens that top-p looks at before it sorts all


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


@np.errstate(over="ignore")  # what is far less likely than float32 can say becomes impossible
def chances_of(scores: np.ndarray, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """The tokens that may be drawn, ascending, and the chance of each, which add up to one.

    `scores` are those of one row (vocabulary,), of which one at least is finite.
    """
    ids, scores = np.arange(len(scores)), (scores - scores.max()) / max(options.temperature, COLDEST)
    if options.top_k and options.top_k < len(scores):
        ids = np.flatnonzero(scores >= kth_largest(scores, options.top_k))
        scores = scores[ids]
    if options.top_p < 1:
        remaining = _top_p(scores, options.top_p)
        ids, scores = ids[remaining], scores[remaining]
    chances = _softmax(scores)
    is_left = (chances >= np.float32(options.min_p) * chances.max()) & (chances > 0)
    return ids[is_left], _shares(chances[is_left])


def _top_p(scores: np.ndarray, share: float) -> np.ndarray:
    """Indices, ascending, of the fewest of the largest scores (tokens,) whose chances reach a share; one at least.

    Looks at a few first, and at all where they do not suffice. Of equal ones the last stay.
    """
    most = scores.max()
    total = np.exp(scores - most).sum()
    every = np.arange(len(scores))
    few = [np.flatnonzero(scores >= kth_largest(scores, FIRST))] if len(scores) > FIRST else []
    for some in (*few, every):
        ordered = np.sort(scores[some])
        chances = np.exp(ordered - most) / total
        rest = 1 - float(chances.sum(dtype=np.float64)) if some is not every else 0
        # transformers adds up from the least likely token on, in double precision, and compares in single
        sums = (rest + np.cumsum(chances, dtype=np.float64)).astype(np.float32)
        left_out = min(int((sums <= np.float32(1 - share)).sum()), len(some) - 1)
        if left_out:
            return some[_upper(scores[some], ordered[left_out:])]
    return every


def _upper(scores: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Which scores are those that are given ascending, the largest of all, bool (scores,); of equal ones the last."""
    found: np.ndarray = scores > ordered[0]
    found[np.flatnonzero(scores == ordered[0])[-np.count_nonzero(ordered == ordered[0]) :]] = True
    return found


def _softmax(scores: np.ndarray) -> np.ndarray:
    return _shares(np.exp(scores - scores.max()))


def _shares(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values / values.sum()
    return found
