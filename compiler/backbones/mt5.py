"""mT5: T5 1.1 over a hundred languages (Xue et al., 2020, arXiv:2010.11934)."""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import t5
from ._shapes import Shapes


def shapes(config: Config) -> Shapes:
    """Every tensor of MT5Model."""
    return t5.shapes(config)


def cache(config: Config) -> tuple[int, int, int]:
    """(layers, heads, size of a head) of the decoder's past key values."""
    return t5.cache({"num_layers": 8, "num_heads": 6, **config})


FAMILY = replace(t5.FAMILY, shapes=shapes, cache=cache)
