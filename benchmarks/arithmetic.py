"""Seconds of an encoder's products of matrices at the rate of this machine: what nobody gets around in fp32."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

ROWS = 1024  # of the product that is timed


def seconds_of(config: Mapping[str, Any], lengths: Sequence[int]) -> float:
    """Seconds of one pass over texts of so many tokens.

    Counted are two operations for each weight of a layer and each token, and the products of attention.
    """
    width, deep, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    weights = layers * (4 * width * width + 2 * width * deep)
    work = 2 * weights * sum(lengths) + 4 * layers * width * sum(length**2 for length in lengths)
    return work / rate(width, deep)


@cache
def rate(width: int, deep: int) -> float:
    """Operations in a second: the best of torch's own product in the shape of a feed-forward layer, on all cores."""
    import torch

    left, right, best = torch.rand(ROWS, width), torch.rand(width, deep), float("inf")
    for _ in range(200):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return 2 * ROWS * width * deep / best
