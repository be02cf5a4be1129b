"""Compares a spec with the sentence-transformers files beside its backbone."""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts.options import Normalized, TokenLengths
from ..diagnostics import At, Diagnostic, quote
from ..facts.facts import Facts
from ..facts.sentence_transformers import LENGTH, MODULES, POOLING, Sentences
from ..language.spec import Draft
from ..planning.decisions import written_pooling


def sentences(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Findings on an unsupported pooling, and, for heads that answer a vector, on all differences."""
    backbone = facts.backbone
    said = backbone.sentences if backbone else None
    if backbone is None or said is None or spec.head is None or "tokens" not in backbone.family.provides:
        return
    head = spec.head_variant
    written = written_pooling(spec.head)
    if head.needs != "pooled" or written == "none":
        return
    if said.foreign and not written and "pooling" not in spec.lost:
        yield _foreign(said)
    if head.is_vector:
        yield from _another(spec, said, written)


def _foreign(said: Sentences) -> Diagnostic:
    headline = f"graftc does not have the backbone's own pooling: {quote(said.foreign)}"
    at = At(("backbone", "from"), f"its {POOLING if 'Pooling of' not in said.foreign else MODULES} says so")
    notes = ("any other gives other vectors than the backbone was trained to give",)
    return Diagnostic("E0581", headline, at, notes=notes, help="choose one beside the head's type: `pooling: mean`")


def _another(spec: Draft, said: Sentences, written: str | None) -> Iterator[Diagnostic]:
    backbone = At(("backbone", "from"), "a sentence-transformers folder")
    own = said.pooling or said.foreign
    if written and own and written != own:
        at, notes = At(("head", "pooling"), f"{written} here"), (f"its {POOLING} says `{own}`",)
        help = "remove `pooling`" if said.pooling else "choose another backbone if its own vectors are wanted"
        yield Diagnostic("W0370", "vectors are not pooled as the backbone's own are", at, (backbone,), notes, help)
    if said.is_normalized and isinstance(spec.head, Normalized) and spec.head.normalize is False:
        at, notes = At(("head", "normalize"), "of any length here"), (f"its {MODULES} ends with `Normalize`",)
        headline, help = "vectors are not normalised, and the backbone's own are", "remove `normalize`"
        yield Diagnostic("W0370", headline, at, (backbone,), notes, help)
    if said.unread:
        at, notes = At(("backbone", "from"), f"its {MODULES} or {LENGTH} names them"), (", ".join(said.unread),)
        headline = "the backbone's own vectors pass layers that graftc does not read"
        yield Diagnostic(
            "W0371", headline, at, notes=notes, help="compare some vectors before they are mixed with its own"
        )
    length = spec.input.max_length if isinstance(spec.input, TokenLengths) else None
    if length and said.max_length and length > said.max_length:
        at, notes = At(("data", "max_length"), f"{length} here"), (f"its {LENGTH} says {said.max_length}",)
        headline = "`max_length` keeps more tokens than the backbone's own vectors are made of"
        yield Diagnostic("W0372", headline, at, (backbone,), notes, "remove `max_length`")
