"""What makes a stage's results its own, whatever ran before it in the process."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def settled(seed: int, threads: int, has_torch: bool) -> Iterator[None]:
    """Within it every library draws from the seed, and torch computes on so many threads, the same way each time.

    Libraries that talk to each other, in warnings of what will change, are not heard.
    """
    random.seed(seed)
    np.random.seed(seed)
    if has_torch:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its sums vary from run to run
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # a guard against faulty operators that writes every new array twice
        torch.utils.deterministic.fill_uninitialized_memory = False
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        yield
