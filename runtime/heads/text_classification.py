"""Decodes text-classification: logits over labels become labels with scores."""

from __future__ import annotations

from ..labels import HEAD, Classification, decode
from . import Decoder, one_pass

DECODER = Decoder(
    head=HEAD,
    kind=Classification,
    labelled=("label",),
    is_several=lambda head: bool(head["is_multi"]),
    options={"top_k": ("int", "tuple[Answer, ...]")},
    help={"top_k": "number of answers, the likeliest first"},
    answer=one_pass(decode),
)
