"""A graph with a cache as decoding asks it: prompts padded on the left, keys and values handed from step to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..cache import KEPT, PAST, PRESENT
from ..errors import BundleError
from ..manifest import MODEL

Run = Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]  # (graph, arrays) → outputs


class CachedSteps:
    """`Steps` of a graph that takes `input_ids`, `attention_mask`, the cache and `logits_to_keep`; `pad` fills rows."""

    def __init__(self, run: Run, pad: int) -> None:
        self.run, self.pad = run, pad
        self.mask = np.zeros((0, 0), np.int64)
        self.past: dict[str, np.ndarray] = {}

    def start(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (rows, vocabulary) after prompts of any lengths."""
        longest = max(map(len, prompts))
        ids = np.full((len(prompts), longest), self.pad, np.int64)
        self.mask = np.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = prompt
            self.mask[row, longest - len(prompt) :] = 1
        self.past = {}
        return self._ask(ids)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Logits (rows, vocabulary) after a token more for each row, int64 (rows,)."""
        self.mask = np.concatenate([self.mask, np.ones((len(tokens), 1), np.int64)], axis=1)
        return self._ask(tokens[:, None])

    def keep(self, rows: np.ndarray) -> None:
        """Goes on with these rows of before, int64 indices (rows,)."""
        self.mask = self.mask[rows]
        self.past = {name: values[rows] for name, values in self.past.items()}

    def _ask(self, ids: np.ndarray) -> np.ndarray:
        given = {"input_ids": ids, "attention_mask": self.mask, KEPT: np.ones(1, np.int64), **self.past}
        logits, self.past = parted(self.run(MODEL, given))
        return logits[:, -1]


def parted(found: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Of a graph's outputs the logits (rows, tokens, vocabulary), and its cache by the names of its inputs.

    Raises BundleError E0503 where there are no such logits.
    """
    if "logits" not in found or found["logits"].ndim != 3 or not found["logits"].shape[1]:
        raise BundleError("E0503", "the graph gives no logits")
    kept = {name.replace(PRESENT, PAST, 1): values for name, values in found.items() if name.startswith(PRESENT)}
    return found["logits"], kept
