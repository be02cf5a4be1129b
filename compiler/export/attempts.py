"""The forms of int8 that are tried of a graph, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .. import variants
from ..planning.export import SMALL, QuantizationPlan
from .calibration import Sample
from .quantization import candidates, own_bytes

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
    plan: QuantizationPlan,
    source: Path,
    target: Path,
    draw: Callable[[], Sample],
    whole: tuple[Path, Mapping[str, Any]],
) -> Iterator[Attempt]:
    """Each kind throughout, then with some nodes in float; `whole` is the first, which is there. Others go to `target`.

    `draw` gives the rows that fix scales, and is asked once, by a kind that takes any.
    """
    plain, sample = own_bytes(source), cache(draw)
    for kind in plan.kinds:
        quantization = variants.quantization(kind)
        for what, nodes in _choices(source):
            is_first = kind == plan.kinds[0] and not what
            rows = sample() if quantization.needs_rows and not is_first else None
            file, made = whole if is_first else (target, quantization.quantize(source, target, nodes, rows))
            size = own_bytes(file) / plain
            told = {
                "kind": kind,
                "is_batch_invariant": quantization.is_batch_invariant,
                "share": round(size, 3),
                **made,
            }
            is_large = plain > TINY and size > (SMALL if plan.is_auto else WHOLE)
            yield Attempt(file, kind, told, what, nodes, is_large)


def _choices(source: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Nothing in float, then each choice of nodes: the graph is looked at for these alone."""
    yield "", ()
    yield from candidates(source).items()
