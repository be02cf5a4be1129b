"""The forms of int8 that are tried of a graph, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import variants
from ..planning.export import SMALL, QuantizationPlan
from .calibration import Sample
from .quantization import bytes_of, candidates, share

WHOLE = 1.0  # what is no smaller than fp32 is kept by nobody
TINY = 1_000_000  # bytes of a graph, embeddings apart, up to which nobody minds what int8 saves


@dataclass(frozen=True)
class Attempt:
    """A graph in int8: its kind, what of it stayed in float, and what a manifest tells of it."""

    file: Path
    kind: str
    told: Mapping[str, Any]
    what: str = ""  # in words
    nodes: tuple[str, ...] = ()
    is_large: bool = False  # more than is kept

    @property
    def words(self) -> str:
        """What was tried.

        >>> Attempt(Path("model.onnx"), "static", {}, "the embeddings").words
        'static with the embeddings in float'
        """
        return f"{self.kind} with {self.what} in float" if self.what else self.kind


def attempts(
    plan: QuantizationPlan, source: Path, target: Path, sample: Sample | None, whole: tuple[Path, Mapping[str, Any]]
) -> Iterator[Attempt]:
    """Each kind throughout, then with some nodes in float; `whole` is the first, which is there. Others go to `target`."""
    choices = {"": (), **candidates(source)}
    for kind in plan.kinds:
        module = variants.load("quantizations", kind)
        for what, nodes in choices.items():
            is_first = kind == plan.kinds[0] and not what
            file, told = whole if is_first else (target, module.quantize(source, target, nodes, sample))
            size = share(source, file)
            told = {"kind": kind, "is_alone": module.IS_ALONE, "share": round(size, 3), **told}
            is_large = _weighs(source) and size > (SMALL if plan.is_chosen else WHOLE)
            yield Attempt(file, kind, told, what, nodes, is_large)


def _weighs(graph: Path) -> bool:
    whole, tables = bytes_of(graph)
    return whole - tables > TINY
