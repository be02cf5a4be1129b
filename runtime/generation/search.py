"""Greedy decoding and sampling: rows take a token at a time, and leave the batch as they end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .drafts import Draft
from .logits import padded, processed, reads_tokens
from .options import Options
from .sampling import draw, generator
from .steps import Piece, Steps, checked, log_totals, refuse_nothing
from .streaming import TextStream


def search(
    steps: Steps,
    prompts: Sequence[Sequence[int]],
    options: Options,
    texts: Sequence[TextStream | None],
    keys: Sequence[Sequence[int]],
) -> Iterator[Piece]:
    """Pieces of answers, a row's after each step; `texts` and `keys` have one for each prompt.

    Raises BundleError E0503 for a model that gives no logits, E0505 where options leave no token.
    """
    order = np.repeat(np.arange(len(prompts)), options.sequences)
    drafts = [
        Draft(prompt, i % options.sequences, options, text.fork() if (text := texts[prompt]) else None)
        for i, prompt in enumerate(order.tolist())
    ]
    draws = [generator(options.seed, draft.sequence, keys[draft.prompt]) for draft in drafts] if options.draws else []
    generators = np.array(draws, object)
    logits = checked(steps.start(prompts), len(prompts))
    tokens = padded(prompts)[order]
    if options.sequences > 1:
        steps.keep(order)
        logits = logits[order]
    while True:
        scores = processed(logits, tokens, len(drafts[0].tokens), options)
        chosen = _chosen(scores, options, generators)
        likely = logits[np.arange(len(chosen)), chosen] - log_totals(logits)
        for draft, token, each in zip(drafts, chosen.tolist(), likely.tolist(), strict=True):
            yield draft.take(token, each)
        stay = np.array([i for i, draft in enumerate(drafts) if not draft.finish_reason], np.int64)
        if not len(stay):
            return
        if reads_tokens(options):
            tokens = np.concatenate([tokens, chosen[:, None]], axis=1)
        if len(stay) < len(drafts):
            steps.keep(stay)
            drafts = [drafts[i] for i in stay]
            chosen, tokens, generators = chosen[stay], tokens[stay], generators[stay] if options.draws else generators
        logits = checked(steps.step(chosen), len(drafts))


def _chosen(scores: np.ndarray, options: Options, generators: np.ndarray) -> np.ndarray:
    """A token for each row of scores, int64 (rows,): the likeliest, or one that is drawn."""
    refuse_nothing(scores)
    if not options.draws:
        return scores.argmax(axis=1)
    drawn = [draw(row, options, each) for row, each in zip(scores, generators, strict=True)]
    return np.array(drawn, np.int64)
