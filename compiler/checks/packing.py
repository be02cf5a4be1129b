"""Checks of `data.packing`: whether rows of this head, method and backbone can share blocks."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..contracts.options import Packable
from ..diagnostics import At, Diagnostic, listed
from ..facts.facts import Facts
from ..language.spec import Draft

AT = At(("data", "packing"), "can't be had here")
HELP = "remove `packing`"


def packing(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """Errors for packed rows where a head, a method or a backbone needs each row by itself."""
    if not (isinstance(spec.input, Packable) and spec.input.packing):
        return
    if spec.head is not None and not spec.head_variant.packs(spec.head):
        also = (At(("head", "loss") if spec.head_variant.packs(type(spec.head)()) else ("head", "type")),)
        yield Diagnostic("E0571", "this head learns from each row by itself", AT, also, help=HELP)
    if spec.method and not spec.method_variant.packs:
        also = (At(("adapt", "method"), "puts tokens of its own before each row"),)
        works = [each for each in variants.words("methods") if variants.method(each).packs]
        help = f"{HELP}, or adapt by one of: {listed(works, 40)}"
        yield Diagnostic("E0571", f"`{spec.method}` needs each row by itself", AT, also, help=help)
    if facts.backbone and "packed-rows" not in facts.backbone.provides:
        also = (At(("backbone", "from"), f"a `{facts.backbone.word}`"),)
        yield Diagnostic("E0571", "this backbone can't tell rows of a block apart", AT, also, help=HELP)
