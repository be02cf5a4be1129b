"""Decides how int8 and int4 are made: the kinds to try, their order, and the number of rows that fix scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import variants
from ..decision import Decided
from ..diagnostics import Path
from ..facts.backbone import BackboneFacts
from ..language.spec import Draft, Export, Spec
from ..renderers import counted
from .terms import BITS, KINDS, SMALL

SAMPLES = 128  # default number of training rows that fix scales
KIND, SAMPLED = ("export", "quantization"), ("export", "calibration_samples")


def decided(spec: Spec, backbone: BackboneFacts, rows: int) -> dict[Path, Decided[Any]]:
    """The decisions about int8, with reasons."""
    if "int8" not in spec.export.precision:
        found: dict[Path, Decided[Any]] = {KIND: Decided(None, "`export.precision` lists no int8")}
        is_four = "int4" in spec.export.precision
        return {**found, SAMPLED: samples_of(spec.export, four_bits(), rows, BITS["int4"]) if is_four else found[KIND]}
    kinds = kinds_of(spec.export, backbone, rows, writes(spec))
    chosen = samples_of(spec.export, kinds.value, rows)
    if not chosen.value and "int4" in spec.export.precision:
        chosen = samples_of(spec.export, four_bits(), rows, BITS["int4"])
    return {KIND: kinds, SAMPLED: chosen}


def kinds_of(export: Export, backbone: BackboneFacts, rows: int, writes: bool) -> Decided[tuple[str, ...]]:
    """The kinds of int8 to try, in order."""
    if export.quantization != "auto":
        return Decided((export.quantization,))
    is_convolving = convolves(backbone)
    kinds = tuple(
        word
        for word in fitting(export, backbone, rows, writes)
        if not is_convolving or variants.quantization(word).for_convolutions
    )
    what = "convolutions" if is_convolving else "language models, each throughout first" if writes else "encoders"
    out = [f"{word}: {why}" for word in every() if (why := lack(word, export, backbone, rows, writes))]
    because = f"the order for {what}; the first is kept that passes its gates in at most {SMALL:g} of fp32's bytes"
    return Decided(kinds, "; left out is ".join([because, *out]))


def samples_of(export: Export, kinds: Sequence[str], rows: int, bits: int = BITS["int8"]) -> Decided[int]:
    """The number of training rows that fix scales, or roundings in 4 bits."""
    if not any(bits in variants.quantization(kind).needs_rows for kind in kinds):
        return Decided(0, "no kind of int8 that is tried takes rows")
    if export.calibration_samples:
        return Decided(export.calibration_samples)
    if rows < SAMPLES:
        return Decided(rows, f"the default is {SAMPLES}, and there are {counted(rows, 'training row')}")
    return Decided(SAMPLES, "the default; drawn from the training rows by the seed")


def fitting(export: Export, backbone: BackboneFacts, rows: int, writes: bool) -> tuple[str, ...]:
    """The kinds of int8 that work for this backbone, export and head."""
    return tuple(word for word in every() if not lack(word, export, backbone, rows, writes))


def lack(word: str, export: Export, backbone: BackboneFacts, rows: int, writes: bool) -> str:
    """Why a kind is impossible here; empty where it works. `writes` is whether the head goes on from a cache."""
    if BITS["int8"] in variants.quantization(word).needs_rows and not rows:
        return "its scales come from training rows, and there are none"
    return variants.quantization(word).lacks(convolves(backbone), export.optimize, writes)


def every(bits: int = BITS["int8"]) -> tuple[str, ...]:
    """All kinds with weights of so many bits, in the order in which `auto` tries them."""
    kinds = (word for word in variants.words(KINDS) if bits in variants.quantization(word).bits)
    return tuple(sorted(kinds, key=lambda word: variants.quantization(word).rank))


def four_bits() -> tuple[str, ...]:
    """The kinds of int4, in order."""
    return every(BITS["int4"])


def writes(spec: Spec | Draft) -> bool:
    """Whether a head writes texts token by token, from a cache."""
    return any(view.head_variant.writes for view in spec.each if view.head_type)


def convolves(backbone: BackboneFacts) -> bool:
    """Whether the backbone's layers are convolutions."""
    return backbone.family.convolves
