"""Marian: BART's layers with fixed positions, trained to translate (Junczys-Dowmunt et al., 2018, arXiv:1804.00344)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..contracts.backbone import Config, Mistake
from . import bart, pegasus
from ._shapes import Shapes


def shapes(config: Config) -> Shapes:
    """Every tensor of MarianModel that learns."""
    return bart.stacks(config)


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong, and two embeddings."""
    yield from bart.mistakes(config)
    if not config["share_encoder_decoder_embeddings"]:
        yield "share_encoder_decoder_embeddings", "graftc runs models whose languages share one embedding"


FAMILY = replace(pegasus.FAMILY, shapes=shapes, mistakes=mistakes)
