"""Next-token scores under options: penalties, and tokens that may not or must come.

What is changed, and in which order, follows transformers' `generation/logits_process.py` and
`GenerationMixin._get_logits_processor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from ..errors import BundleError
from .options import Options

NONE = -1  # stands before the tokens of a row that is shorter than others

Change = Callable[[np.ndarray, np.ndarray], None]  # of scores (rows, vocabulary) in place, by tokens (rows, length)


@np.errstate(over="ignore")  # what is too small for float32 is impossible
def processed(scores: np.ndarray, tokens: np.ndarray, new: int, options: Options) -> np.ndarray:
    """Scores (rows, vocabulary) as options want them; those that are given stay as they are.

    `tokens` (rows, length) are prompts and what has been generated, with `NONE` before shorter rows, and `new` is how
    many of them are generated.
    """
    changes = list(_changes(options, new))
    if not changes:
        return scores
    scores = scores.copy()
    for change in changes:
        change(scores, tokens)
    return scores


def is_changed(options: Options, new: int) -> bool:
    """Whether options change the scores of the token after `new` generated ones."""
    return any(True for _ in _changes(options, new))


def reads_tokens(options: Options) -> bool:
    """Whether scores depend on the tokens before, and not only on how many of them are generated."""
    return options.repetition_penalty != 1 or options.no_repeat_ngram > 0


def padded(prompts: Sequence[Sequence[int]]) -> np.ndarray:
    """Prompts as int64 (rows, longest), with `NONE` before shorter ones."""
    found = np.full((len(prompts), max(map(len, prompts), default=0)), NONE, np.int64)
    for row, prompt in zip(found, prompts, strict=True):
        row[len(row) - len(prompt) :] = prompt
    return found


def _changes(options: Options, new: int) -> Iterator[Change]:
    if options.repetition_penalty != 1:
        yield partial(penalise_repetition, penalty=options.repetition_penalty)
    if options.no_repeat_ngram:
        yield partial(forbid_repeated_ngrams, size=options.no_repeat_ngram)
    if options.stop_tokens and new < options.min_new_tokens:
        yield partial(forbid, ids=options.stop_tokens)
    if options.forced_first is not None and new == 0:
        yield partial(force, id=options.forced_first)
    if options.forced_last is not None and new == options.max_new_tokens - 1:
        yield partial(force, id=options.forced_last)
    if options.suppressed:
        yield partial(forbid, ids=options.suppressed)
    if options.suppressed_first and new == (options.forced_first is not None):
        yield partial(forbid, ids=options.suppressed_first)


def penalise_repetition(scores: np.ndarray, tokens: np.ndarray, penalty: float) -> None:
    """Divides positive scores of tokens seen before by `penalty`, multiplies negative ones (Keskar et al., 2019)."""
    for row, ids in zip(scores, tokens, strict=True):
        known = ids[_inside(ids, row)]
        values = row[known]
        row[known] = np.where(values < 0, values * penalty, values / penalty)


def forbid_repeated_ngrams(scores: np.ndarray, tokens: np.ndarray, size: int) -> None:
    """Forbids each token that would end an n-gram of `size` tokens which is there already."""
    length = tokens.shape[1]
    if length < size:
        return
    ngrams = np.lib.stride_tricks.sliding_window_view(tokens, size, axis=1)
    begun = tokens[:, length + 1 - size :]
    rows, places = np.nonzero((ngrams[..., :-1] == begun[:, None]).all(axis=-1))
    ends = ngrams[rows, places, -1]
    is_known = _inside(ends, scores[0])
    scores[rows[is_known], ends[is_known]] = -np.inf


def forbid(scores: np.ndarray, tokens: np.ndarray, ids: Sequence[int]) -> None:
    """Forbids tokens."""
    found = np.array(ids, np.int64)
    scores[:, found[_inside(found, scores[0])]] = -np.inf


def force(scores: np.ndarray, tokens: np.ndarray, id: int) -> None:
    """Forbids all tokens but one; raises BundleError E0503 for one that the model does not have."""
    if id >= scores.shape[1]:
        raise BundleError("E0503", f"token {id} is forced, and the model has {scores.shape[1]} tokens")
    scores[:] = -np.inf
    scores[:, id] = 0


def _inside(ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which tokens have a score: some vocabularies are larger than what a model can answer with."""
    found: np.ndarray = (ids >= 0) & (ids < len(scores))
    return found
