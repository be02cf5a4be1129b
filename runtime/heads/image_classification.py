"""Decodes image-classification: logits over labels become labels with scores."""

from __future__ import annotations

from ..labels import HEAD, Classification, decode
from . import Decoder

DECODER = Decoder(
    head=HEAD,
    answer=Classification,
    labelled=("label",),
    is_several=lambda head: bool(head["is_multi"]),
    options={"top_k": ("int", "tuple[Answer, ...]")},
    decode=decode,
)
