"""DeiT: ViT with a second class token that learns from a teacher (Touvron et al., 2020, arXiv:2012.12877).

The layer norm after the last layer is in no part, as in ViT.
"""

from __future__ import annotations

from dataclasses import replace

from ..contracts.backbone import Config
from . import vit
from ._shapes import Shapes


def shapes(config: Config) -> Shapes:
    """Every tensor of DeiTModel without its pooler."""
    return {**vit.encoder(config, special=2), "embeddings.distillation_token": (1, 1, config["hidden_size"])}


# `pooled` is ViT's class token, because the teacher's token matters only with the teacher's head
FAMILY = replace(vit.FAMILY, prefix="deit.", shapes=shapes)
