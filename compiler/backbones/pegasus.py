"""Pegasus: BART's layers with fixed positions, pretrained on summaries (Zhang et al., 2019, arXiv:1912.08777)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..contracts.backbone import Config
from . import bart
from ._shapes import Shapes


def shapes(config: Config) -> Shapes:
    """Every tensor of PegasusModel that learns."""
    return {**bart.stacks(config), **bart.norms(config, "layer_norm")}


def ready(module: Any) -> Any:
    """The loaded module, with positions that are no tensors of its checkpoint."""
    from ..layers.sequences import fix_positions

    return bart.FAMILY.ready(fix_positions(module))


FAMILY = replace(
    bart.FAMILY,
    shapes=shapes,
    omitted=(*bart.FAMILY.omitted, r"(en|de)coder\.embed_positions\.weights?$"),
    parts={**bart.FAMILY.parts, "embeddings": r"shared\."},
    ready=ready,
)
