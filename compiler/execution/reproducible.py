"""Makes a stage's results independent of what ran before it in the process."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def settled(seed: int, threads: int, has_torch: bool) -> Iterator[None]:
    """Seeds every library and makes torch deterministic, with a fixed number of threads.

    Deprecation warnings of libraries about each other are silenced.
    """
    random.seed(seed)
    np.random.seed(seed)
    if has_torch:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it sums vary between runs
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # it would fill every new tensor as a guard against faulty operators
        torch.utils.deterministic.fill_uninitialized_memory = False
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        yield
