"""Scores of translations: BLEU and chrF of sacrebleu, from 0 to 100, beside loss, perplexity and accuracy of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._texts import metrics


def scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Both scores of all rows together, and the signature that says how BLEU was computed."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    most = max(map(len, references))
    # rows with fewer references than others repeat their first, which changes no count
    streams = [[own[i] if i < len(own) else own[0] for own in references] for i in range(most)]
    bleu, chrf = BLEU(), CHRF()
    found = {name: float(each.corpus_score(texts, streams).score) for name, each in (("bleu", bleu), ("chrf", chrf))}
    return {**found, "bleu_signature": str(bleu.get_signature())}


METRICS = metrics(("bleu", "chrf"), scores)
