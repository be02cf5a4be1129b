"""An encoder and a decoder with a cache as decoding asks them: the source is read once, the decoder goes on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..cache import DECODER, ENCODER
from .cached import Run, parted


class EncodedSteps:
    """`Steps` of the graphs `encoder` and `decoder` for sources, `input_ids` and `attention_mask` (rows, tokens).

    Every prompt of the decoder has as many tokens as the others.
    """

    def __init__(self, run: Run, sources: Mapping[str, np.ndarray]) -> None:
        self.run, self.sources = run, sources
        self.read: dict[str, np.ndarray] = {}
        self.past: dict[str, np.ndarray] = {}

    def start(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (rows, vocabulary) after the decoder's first tokens."""
        given = {name: self.sources[name] for name in ("input_ids", "attention_mask")}
        self.read = {"attention_mask": given["attention_mask"], **self.run(ENCODER, given)}
        self.past = {}
        return self._ask(np.array(prompts, np.int64))

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Logits (rows, vocabulary) after a token more for each row, int64 (rows,)."""
        return self._ask(tokens[:, None])

    def keep(self, rows: np.ndarray) -> None:
        """Goes on with these rows of before, int64 indices (rows,)."""
        self.read, self.past = (
            {name: values[rows] for name, values in each.items()} for each in (self.read, self.past)
        )

    def _ask(self, ids: np.ndarray) -> np.ndarray:
        logits, self.past = parted(self.run(DECODER, {"decoder_input_ids": ids, **self.read, **self.past}))
        return logits[:, -1]
