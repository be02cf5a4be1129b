"""The quantized versions of a graph that are tried one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .. import variants
from ..bundling.manifest import file_of
from ..contracts.quantization import Quantization
from ..planning.export import QuantizationPlan
from ..planning.terms import BITS, SMALL
from .calibration import Sample
from .quantization import candidates, own_bytes

WHOLE = 1.0  # the largest share of fp32's bytes that a named kind may have
TINY = 1_000_000  # bytes of a graph without embeddings, up to which its quantized version may have any size
FINER = {"int8": "float", "int4": "8 bits"}  # what nodes have that are left out of a precision
TABLES = "the embeddings"  # these have 8 bits in int4


@dataclass(frozen=True)
class Attempt:
    """One version of all graphs: its kind, the nodes that are left in a finer form, and its fields for the manifest."""

    folder: Path
    kind: str
    told: Mapping[str, Any]
    what: str = ""  # the nodes that are left, in words
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # names of nodes that are left, by graph
    finer: str = "float"  # the form in which they are left
    is_large: bool = False  # whether it is larger than allowed

    @property
    def words(self) -> str:
        """The attempt in words.

        >>> Attempt(Path("int8"), "static", {}, "the embeddings").words
        'static with the embeddings in float'
        """
        return f"{self.kind} with {self.what} in {self.finer}" if self.what else self.kind


def attempts(
    precision: str,
    plan: QuantizationPlan,
    graphs: Sequence[str],
    source: Path,
    target: Path,
    draw: Callable[[], Sample],
    whole: tuple[Path, Mapping[str, Any]],
) -> Iterator[Attempt]:
    """Yields each kind throughout, then with some nodes left finer, for all graphs of the folder `source`.

    `whole` is the folder of the first attempt, which exists, with its fields for the manifest; later attempts are
    written to `target`. `draw` returns the rows that fix scales; it is called at most once, for a kind that needs rows.
    """
    plain, sample = _own_bytes(graphs, source, "fp32"), cache(draw)
    most = SMALL if plan.is_auto or precision != "int8" else WHOLE
    for kind, what, nodes in _forms(precision, plan, graphs, source):
        quantization = variants.quantization(kind)
        is_first = kind == plan.kinds[0] and not what
        rows = sample() if BITS[precision] in quantization.needs_rows and not is_first else None
        folder, made = (
            whole if is_first else (target, _made(quantization, precision, graphs, source, target, nodes, rows))
        )
        size = _own_bytes(graphs, folder, precision) / plain
        told = {"kind": kind, "is_batch_invariant": quantization.is_batch_invariant, "share": round(size, 3), **made}
        is_large = plain > TINY and size > most
        yield Attempt(folder, kind, told, what, nodes, FINER[precision], is_large)


def _forms(
    precision: str, plan: QuantizationPlan, graphs: Sequence[str], source: Path
) -> Iterator[tuple[str, str, dict[str, tuple[str, ...]]]]:
    """(kind, the nodes that are left in words, their names by graph), in the order of trial; reads graphs lazily."""
    if plan.whole_first:
        yield from ((kind, "", {}) for kind in plan.kinds)
    for kind in plan.kinds:
        for what, nodes in _choices(graphs, source):
            if not (plan.whole_first and not what) and not (precision == "int4" and TABLES in what):
                yield kind, what, nodes


def _made(
    quantization: Quantization,
    precision: str,
    graphs: Sequence[str],
    source: Path,
    target: Path,
    nodes: Mapping[str, Sequence[str]],
    rows: Sample | None,
) -> dict[str, Any]:
    """Writes every graph in a precision; returns the fields for the manifest."""
    told: dict[str, Any] = {}
    for name in graphs:
        files = source / file_of(name, "fp32"), target / file_of(name, precision)
        told |= quantization.quantize(*files, nodes.get(name, ()), rows, BITS[precision])
    return told


def _own_bytes(graphs: Sequence[str], folder: Path, precision: str) -> int:
    return sum(own_bytes(folder / file_of(name, precision)) for name in graphs)


def _choices(graphs: Sequence[str], source: Path) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    """Yields no nodes, then each choice of nodes to leave finer, by graph; reads graphs only for the latter."""
    yield "", {}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in graphs:
        for what, nodes in candidates(source / file_of(name, "fp32")).items():
            found.setdefault(what, {})[name] = nodes
    yield from found.items()
