"""Beam search over several prompts at once; each prompt leaves the batch when it is done.

The search is that of transformers' `GenerationMixin._beam_search`: which beams go on, which count as finished, how
length weighs and when to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import BundleError
from .drafts import Draft
from .logits import is_changed, padded, processed, reads_tokens
from .options import Options
from .ranking import largest
from .steps import Generated, Steps, checked, log_totals, refuse_nothing
from .streaming import TextStream

OUT = np.float32(-1e9)  # the score of what counts less than anything
MOST = np.finfo(np.float32).max


@dataclass
class Found:
    """Sequences of new tokens, arrays of (prompts, sequences, …)."""

    tokens: np.ndarray  # int64 (prompts, sequences, steps), the first `lengths` of which count
    log_probabilities: np.ndarray  # float64 (prompts, sequences, steps), of the model itself
    lengths: np.ndarray  # int64 (prompts, sequences)
    scores: np.ndarray  # float32 (prompts, sequences)
    is_finished: np.ndarray  # bool (prompts, sequences)

    @classmethod
    def empty(cls, prompts: int, sequences: int) -> Found:
        """Sequences without tokens, of the lowest score."""
        shape = (prompts, sequences)
        none = np.zeros((*shape, 0))
        return cls(none.astype(np.int64), none, np.zeros(shape, np.int64), np.full(shape, OUT), np.zeros(shape, bool))

    def of(self, chosen: np.ndarray) -> Found:
        """Sequences by their index in each prompt, int64 (prompts, chosen)."""
        each = np.arange(len(chosen))[:, None]
        return Found(*(array[each, chosen] for array in vars(self).values()))

    def only(self, prompts: np.ndarray) -> Found:
        """The sequences of some prompts."""
        return Found(*(array[prompts] for array in vars(self).values()))

    def beside(self, other: Found) -> Found:
        """The sequences of both, prompt by prompt."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Found(*(np.concatenate(pair, axis=1) for pair in pairs))

    def extended(self, tokens: np.ndarray | int, log_probabilities: np.ndarray | float) -> Found:
        """The sequences with a step more, which counts as soon as `lengths` says so."""
        return replace(
            self,
            tokens=_with(self.tokens, tokens),
            log_probabilities=_with(self.log_probabilities, log_probabilities),
        )


def beam_search(
    steps: Steps, prompts: Sequence[Sequence[int]], options: Options, texts: Sequence[TextStream | None]
) -> list[tuple[Generated, ...]]:
    """The best `sequences` answers of each prompt, the best first; `texts` has one for each prompt.

    They are fewer where options leave fewer, as a forced token that ends an answer.

    Raises BundleError E0503 for a model that gives no logits, E0505 where options leave no token or there are more
    beams than tokens.
    """
    search = _Search(steps, prompts, options, texts)
    while len(search.prompts):
        search.step()
    return [search.answers[i] for i in range(len(prompts))]


class _Search:
    """The beams of the prompts that go on, as rows prompt by prompt; `answers` has those of prompts that are done."""

    def __init__(
        self, steps: Steps, prompts: Sequence[Sequence[int]], options: Options, texts: Sequence[TextStream | None]
    ) -> None:
        self.steps, self.options, self.texts = steps, options, texts
        self.answers: dict[int, tuple[Generated, ...]] = {}
        self.prompts = np.arange(len(prompts))
        self.new = 0  # tokens so far
        logits = checked(steps.start(prompts), len(prompts))
        if options.beams > logits.shape[1]:
            raise BundleError("E0505", f"`beams` is {options.beams}, and the model has {logits.shape[1]} tokens")
        rows = np.repeat(self.prompts, options.beams)
        steps.keep(rows)
        self.logits, self.given = logits[rows], padded(prompts)[rows]
        self.running, self.finished = (Found.empty(len(prompts), options.beams) for _ in range(2))
        self.running.scores[:, 0] = 0  # all beams are the same yet, so one is looked at
        self.is_open = np.ones(len(prompts), bool)  # whether a running beam may still become better than a finished one
        self.streams = [[text] * options.beams for text in texts if text and options.stop]

    def step(self) -> None:
        """A token more for every beam."""
        parents, candidates = self._candidates()
        self.new += 1
        is_last = self.new == self.options.max_new_tokens
        streams = self._streams(parents, candidates)
        is_stopped = np.array([[stream.is_stopped for stream in each] for each in streams] or False)
        is_end = np.isin(candidates.tokens[:, :, -1], self.options.stop_tokens) | is_stopped | is_last
        self._finish(candidates, is_end)
        candidates.scores += is_end * OUT
        chosen = _best(candidates.scores, self.options.beams)
        self.running = candidates.of(chosen)
        self.streams = [[each[j] for j in beams] for each, beams in zip(streams, chosen.tolist(), strict=False)]
        self.is_open &= self._may_improve()
        is_full = self.finished.is_finished.all(axis=1) & (self.options.early_stopping is True)
        self._go_on(self.is_open & ~is_full & (not is_last), np.take_along_axis(parents, chosen, axis=1))

    def _candidates(self) -> tuple[np.ndarray, Found]:
        """The best continuations of each prompt's beams, and the beam that each goes on from, int64 (prompts, most).

        They are so many that enough go on even where all beams come to each of the stop tokens.
        """
        prompts, most = len(self.prompts), max(2, 1 + len(self.options.stop_tokens)) * self.options.beams
        ids, values, likely = self._likeliest(most)
        values = (values.reshape(prompts, self.options.beams, -1) + self.running.scores[:, :, None]).reshape(
            prompts, -1
        )
        refuse_nothing(values)
        best = _best(values, most)
        parents = best // ids.shape[1]
        tokens, likely, values = (
            np.take_along_axis(array.reshape(prompts, -1), best, axis=1) for array in (ids, likely, values)
        )
        found = self.running.of(parents).extended(tokens, likely)
        return parents, replace(found, lengths=found.lengths + 1, scores=values)

    def _likeliest(self, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best next tokens of each beam, int64 (rows, most): the best of all are among them.

        Beside them their log-probabilities, float32 as options change them, and float64 as the model gives them.
        """
        totals = log_totals(self.logits)
        scores, less = self.logits, totals
        if is_changed(self.options, self.new):  # what options do to scores, they do to log-probabilities
            scores = _normalised(self.logits, totals)
            scores, less = processed(scores, self._tokens(), self.new, self.options), np.zeros_like(totals)
        ids, rows = np.array([largest(row, most) for row in scores]), np.arange(len(scores))[:, None]
        values = (scores[rows, ids] - less[:, None]).astype(np.float32)
        return ids, values, self.logits[rows, ids] - totals[:, None]

    def _tokens(self) -> np.ndarray:
        """Prompts and new tokens of all rows, int64 (rows, length)."""
        if not reads_tokens(self.options):
            return self.given
        return np.concatenate([self.given, self.running.tokens.reshape(len(self.given), -1)], axis=1)

    def _streams(self, parents: np.ndarray, candidates: Found) -> list[list[TextStream]]:
        """The texts of all candidates, where they are looked at for stop strings."""
        found = []
        for streams, of, tokens in zip(self.streams, parents.tolist(), candidates.tokens.tolist(), strict=False):
            found.append([streams[parent].fork() for parent in of])
            for stream, own in zip(found[-1], tokens, strict=True):
                stream.push(own[-1])
        return found

    def _finish(self, candidates: Found, is_end: np.ndarray) -> None:
        """Takes up what has ended among the best candidates, and drops the worst of what is finished for it."""
        is_finished = is_end & (np.arange(is_end.shape[1]) < self.options.beams)
        scores = self._by_length(candidates.scores, self.new) + ~is_finished * OUT
        both = self.finished.extended(0, 0.0).beside(replace(candidates, scores=scores, is_finished=is_finished))
        order = np.lexsort((-both.scores, ~self._is_real(both)), axis=1)  # a penalty may bring a real one below `OUT`
        self.finished = both.of(order[:, : self.options.beams])

    def _by_length(self, scores: np.ndarray, length: int) -> np.ndarray:
        found = scores / np.float64(length) ** self.options.length_penalty
        return np.clip(found, -MOST, MOST).astype(np.float32)

    def _may_improve(self) -> np.ndarray:
        """Whether the best running beam of each prompt may still become better than a finished one, bool (prompts,)."""
        is_long = self.options.early_stopping == "never" and self.options.length_penalty > 0
        best = self._by_length(self.running.scores[:, :1], self.options.max_new_tokens if is_long else self.new)
        none = np.where(self.running.scores[:, :1] > OUT / 2, -np.inf, OUT)  # any answer is better than none
        worst = np.where(self.finished.is_finished, self.finished.scores.min(axis=1, keepdims=True), none)
        return np.asarray((best > worst).any(axis=1))

    def _go_on(self, stays: np.ndarray, parents: np.ndarray) -> None:
        """Takes answers of the prompts that are done, and asks the model about the others."""
        is_real = self._is_real(self.finished)
        for i in np.flatnonzero(~stays).tolist():
            found = [self._answer(i, sequence) for sequence in np.flatnonzero(is_real[i]).tolist()]
            self.answers[int(self.prompts[i])] = tuple(found[: self.options.sequences])
        stay = np.flatnonzero(stays)
        self.prompts, self.is_open = self.prompts[stay], self.is_open[stay]
        self.running, self.finished = self.running.only(stay), self.finished.only(stay)
        self.streams = [self.streams[i] for i in stay.tolist()] if self.streams else []
        if not len(stay):
            return
        rows = (stay[:, None] * self.options.beams + parents[stay]).ravel()
        if len(rows) < len(self.given) or (rows != np.arange(len(rows))).any():
            self.steps.keep(rows)
        self.given = self.given[rows]
        self.logits = checked(self.steps.step(self.running.tokens[:, :, -1].ravel()), len(rows))

    def _is_real(self, found: Found) -> np.ndarray:
        """Which finished sequences are one, and no place that none has taken, bool (prompts, sequences)."""
        lengths = np.maximum(found.lengths, 1).astype(np.float64)
        return np.asarray(found.is_finished & (found.scores * lengths**self.options.length_penalty > OUT / 2))

    def _answer(self, i: int, sequence: int) -> Generated:
        prompt, found, length = int(self.prompts[i]), self.finished, int(self.finished.lengths[i, sequence])
        text = self.texts[prompt]
        draft = Draft(prompt, sequence, self.options, text.fork() if text else None)
        tokens, likely = found.tokens[i, sequence, :length], found.log_probabilities[i, sequence, :length]
        for token, each in zip(tokens.tolist(), likely.tolist(), strict=True):
            draft.take(token, each)
        return draft.answer(float(found.scores[i, sequence]))


def _normalised(logits: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Log-probabilities, float32 (rows, vocabulary), which keep their precision near 0 where logits are large."""
    most = logits.max(axis=1)
    found = logits - most[:, None]
    found -= (totals - most).astype(np.float32)[:, None]
    return found


def _with(array: np.ndarray, last: np.ndarray | float) -> np.ndarray:
    """An array (prompts, sequences, steps) with a step more."""
    step = np.broadcast_to(np.asarray(last, array.dtype), array.shape[:2])
    return np.concatenate([array, step[..., None]], axis=2)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Indices of the best scores of each prompt, the best first, int64 (prompts, count); of equal ones the first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]
