"""Decides how int8 is made: the kinds to try, their order, and the number of rows that fix scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import variants
from ..decision import Decided
from ..diagnostics import Path
from ..facts.backbone import BackboneFacts
from ..language.spec import Export, Spec
from ..renderers import counted
from .terms import KINDS, SMALL

SAMPLES = 128  # default number of training rows that fix scales
KIND, SAMPLED = ("export", "quantization"), ("export", "calibration_samples")


def decided(spec: Spec, backbone: BackboneFacts, rows: int) -> dict[Path, Decided[Any]]:
    """The decisions about int8, with reasons."""
    if "int8" not in spec.export.precision:
        return dict.fromkeys((KIND, SAMPLED), Decided(None, "`export.precision` lists no int8"))
    kinds = kinds_of(spec.export, backbone, rows)
    return {KIND: kinds, SAMPLED: samples_of(spec.export, kinds.value, rows)}


def kinds_of(export: Export, backbone: BackboneFacts, rows: int) -> Decided[tuple[str, ...]]:
    """The kinds of int8 to try, in order."""
    if export.quantization != "auto":
        return Decided((export.quantization,))
    is_convolving = convolves(backbone)
    kinds = tuple(
        word
        for word in fitting(export, backbone, rows)
        if not is_convolving or variants.quantization(word).for_convolutions
    )
    what = "convolutions" if is_convolving else "encoders"
    out = [f"{word}: {why}" for word in every() if (why := lack(word, export, backbone, rows))]
    because = f"the order for {what}; the first is kept that passes its gates in at most {SMALL:g} of fp32's bytes"
    return Decided(kinds, "; left out is ".join([because, *out]))


def samples_of(export: Export, kinds: Sequence[str], rows: int) -> Decided[int]:
    """The number of training rows that fix scales."""
    if not any(variants.quantization(kind).needs_rows for kind in kinds):
        return Decided(0, "no kind of int8 that is tried takes rows")
    if export.calibration_samples:
        return Decided(export.calibration_samples)
    if rows < SAMPLES:
        return Decided(rows, f"the default is {SAMPLES}, and there are {counted(rows, 'training row')}")
    return Decided(SAMPLES, "the default; drawn from the training rows by the seed")


def fitting(export: Export, backbone: BackboneFacts, rows: int) -> tuple[str, ...]:
    """The kinds of int8 that work for this backbone and export."""
    return tuple(word for word in every() if not lack(word, export, backbone, rows))


def lack(word: str, export: Export, backbone: BackboneFacts, rows: int) -> str:
    """Why a kind is impossible here; empty where it works."""
    if variants.quantization(word).needs_rows and not rows:
        return "its scales come from training rows, and there are none"
    return variants.quantization(word).lacks(convolves(backbone), export.optimize)


def every() -> tuple[str, ...]:
    """All kinds, in the order in which `auto` tries them."""
    return tuple(sorted(variants.words(KINDS), key=lambda word: variants.quantization(word).rank))


def convolves(backbone: BackboneFacts) -> bool:
    """Whether the backbone's layers are convolutions."""
    return backbone.family.convolves
