"""Checks of `export.quantization` and `export.calibration_samples`."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..diagnostics import At, Diagnostic, listed
from ..facts.backbone import BackboneFacts
from ..facts.facts import Facts
from ..language.spec import Draft, Export
from ..planning.quantization import KIND, SAMPLED, convolves, fitting, lack, writes
from ..planning.sampling import held_out_rows
from ..planning.terms import BITS
from ..renderers import counted


def quantizing(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    """All findings on how int8 is to be made."""
    export, backbone = spec.export, facts.backbone
    if export is None or "precision" in spec.lost:
        return
    if "int4" in export.precision:
        yield from _four_bits(spec, export)
    if "int8" not in export.precision:
        yield from _useless(export)
    rows = _rows(spec, facts)
    if backbone is None or rows is None:
        return
    if "int8" in export.precision:
        yield from _impossible(export, backbone, rows, writes(spec))
    if {"int8", "int4"} & {*export.precision}:
        yield from _too_many(export, rows)


def _four_bits(spec: Draft, export: Export) -> Iterator[Diagnostic]:
    """The error for int4 of heads that do not write, and without onnxruntime's operators."""
    at, heads = At(("export", "precision"), "lists int4"), [view.head_type for view in spec.each]
    if not all(heads):
        return
    if not writes(spec):
        note = f"weights in 4 bits are of language models that write: {' and '.join(map(str, heads))} is no such task"
        kept = ", ".join(word for word in export.precision if word != "int4") or "fp32"
        help = f"write `precision: [{kept}]`; int8 is possible for every task"
        yield Diagnostic("E0450", "int4 is not possible here", at, notes=(note,), help=help)
    elif export.optimize != "onnxruntime":
        note = "its operators are onnxruntime's own: it takes `export.optimize: onnxruntime`"
        help = "write `optimize: onnxruntime`"
        yield Diagnostic("E0450", "int4 is not possible here", at, notes=(note,), help=help)


def _rows(spec: Draft, facts: Facts) -> int | None:
    """The number of training rows of all heads, shared rows counted once; None where it is unknown."""
    counts = {}
    for view, seen in zip(spec.each, facts.each, strict=True):
        if "train" not in seen.splits or view.data is None:
            return None
        counts[view.together or (view.name,)] = seen.splits["train"].rows - held_out_rows(view, seen)
    return sum(counts.values())


def _useless(export: Export) -> Iterator[Diagnostic]:
    also = (At(("export", "precision"), "lists no int8"),)
    for path in (KIND, *(() if "int4" in export.precision else (SAMPLED,))):
        if path[-1] in export.model_fields_set:
            headline = f"`{path[-1]}` has no effect without int8"
            help = f"remove `{path[-1]}`, or write `precision: [fp32, int8]`"
            yield Diagnostic("W0302", headline, At(path, "nothing is quantized"), also, help=help)


def _impossible(export: Export, backbone: BackboneFacts, rows: int, writes: bool) -> Iterator[Diagnostic]:
    """The error for a kind that does not work here, or for `auto` where no kind works."""
    able = fitting(export, backbone, rows, writes)
    if export.quantization != "auto":
        if why := lack(export.quantization, export, backbone, rows, writes):
            help = f"kinds that are possible here: {listed(('auto', *able), 40)}"
            headline = f"`{export.quantization}` int8 is not possible here"
            yield Diagnostic("E0450", headline, At(KIND, "not possible"), notes=(why,), help=help)
    elif convolves(backbone) and not any(variants.quantization(word).for_convolutions for word in able):
        at, why = At(("export", "precision"), "lists int8"), lack("static", export, backbone, rows, writes)
        help = f"drop int8; or try one that loses much on convolutions: {listed(able, 40)}"
        yield Diagnostic("E0450", "int8 of convolutions is not possible here", at, notes=(f"static: {why}",), help=help)


def _too_many(export: Export, rows: int) -> Iterator[Diagnostic]:
    """Findings for more calibration rows than there are, and for kinds that take none."""
    wanted = export.calibration_samples
    if wanted is None:
        return
    takes = "int4" in export.precision or export.quantization == "auto"
    if not takes and BITS["int8"] not in variants.quantization(export.quantization).needs_rows:
        also = (At(KIND, "takes no rows"),)
        headline = f"`calibration_samples` has no effect on {export.quantization} int8"
        yield Diagnostic("W0302", headline, At(SAMPLED, "is never read"), also, help="remove `calibration_samples`")
    elif wanted > rows:
        at = At(SAMPLED, f"there {'is' if rows == 1 else 'are'} {counted(rows, 'training row')}")
        headline = f"{wanted:,} calibration samples are more than the training rows"
        yield Diagnostic("E0451", headline, at, help=f"write `calibration_samples: {rows}` or less, or remove it")
