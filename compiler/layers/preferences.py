"""Losses of a language model on pairs of answers to one prompt, of which the first is preferred."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional


class Answered(NamedTuple):
    """How likely answers are: sums of the log-probabilities of their tokens, and the numbers of these tokens.

    Both are (rows,), float32 or wider.
    """

    sums: torch.Tensor
    tokens: torch.Tensor

    @property
    def means(self) -> torch.Tensor:
        """The log-probability of a token of each answer, on average: (rows,)."""
        return self.sums / self.tokens.clamp(min=1)

    @property
    def preferred(self) -> Answered:
        """Those of the preferred answers, where each is followed by the rejected one."""
        return Answered(self.sums[0::2], self.tokens[0::2])


def likelihoods(logits: torch.Tensor, targets: torch.Tensor, ignored: int) -> torch.Tensor:
    """The log-probability of each target, 0 where a token has none: (rows, tokens).

    `logits` are (rows, tokens, words), or those of the tokens that have a target alone, (targets, words), row by row;
    `targets` are (rows, tokens).
    """
    wanted = targets != ignored
    logits = logits if logits.ndim == 2 else logits[wanted]
    found = logits.new_zeros(targets.shape)
    found[wanted] = -functional.cross_entropy(logits, targets[wanted], reduction="none")
    return found


def answered(likely: torch.Tensor, targets: torch.Tensor, ignored: int) -> Answered:
    """How likely answers are: log-probabilities of tokens (rows, tokens), targets of those of the answers."""
    own = targets != ignored
    return Answered((likely * own).sum(1), own.sum(1))


def dpo(rewards: torch.Tensor) -> torch.Tensor:
    """The mean loss of direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290, equation 7).

    `rewards` (2 · pairs,) are β times the log-ratios of network and reference, of each pair the preferred answer first.
    """
    return -functional.logsigmoid(rewards[0::2] - rewards[1::2]).mean()


def log_odds_ratio(means: torch.Tensor) -> torch.Tensor:
    """The mean loss L_OR of ORPO (Hong, Lee and Thorne 2024, arXiv:2403.07691, equation 7).

    `means` (2 · pairs,) are the mean log-probabilities of a token, of each pair the preferred answer first.
    """
    means = means.clamp(max=-torch.finfo(means.dtype).tiny)  # a probability of one has no odds
    odds = means - torch.log(-torch.expm1(means))  # as log1p(-exp) says it, but not rounded near one
    return -functional.logsigmoid(odds[0::2] - odds[1::2]).mean()
