"""DeiT: ViT with a second class token that learns from a teacher (Touvron et al., 2020, arXiv:2012.12877).

The layer norm after the last layer is in no part, as in ViT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import vit
from ._shapes import Shapes

MODALITY = vit.MODALITY
PROVIDES = vit.PROVIDES
PREFIX = "deit."
OMITTED = vit.OMITTED
BUFFERS = vit.BUFFERS
RENAMED = vit.RENAMED
PARTS = vit.PARTS
NORMS = vit.NORMS
KINDS = vit.KINDS
TARGET = vit.TARGET
INPUTS = vit.INPUTS
LOAD = vit.LOAD

width = vit.width
longest = vit.longest
pixels = vit.pixels
mistakes = vit.mistakes
pooled = vit.pooled  # the class token alone; the teacher's token counts only with the teacher's head


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of DeiTModel without its pooler."""
    return {**vit.encoder(config, special=2), "embeddings.distillation_token": (1, 1, config["hidden_size"])}
