"""mBART: BART over many languages, with norms after both stacks (Liu et al., 2020, arXiv:2001.08210).

A text has a token of its language: mBART's after it, mBART-50's before it.
"""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import bart
from ._shapes import Shapes


def shapes(config: Config) -> Shapes:
    """Every tensor of MBartModel."""
    return {**bart.shapes(config), **bart.norms(config, "layer_norm")}


FAMILY = replace(bart.FAMILY, shapes=shapes)
