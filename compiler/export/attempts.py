"""The int8 versions of a graph that are tried one after another."""

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
from ..planning.terms import SMALL
from .calibration import Sample
from .quantization import candidates, own_bytes

WHOLE = 1.0  # the largest share of fp32's bytes that a named kind may have
TINY = 1_000_000  # bytes of a graph without embeddings, up to which its int8 version may have any size


@dataclass(frozen=True)
class Attempt:
    """One int8 version of all graphs: its kind, the nodes that stay in float, and its fields for the manifest."""

    folder: Path
    kind: str
    told: Mapping[str, Any]
    what: str = ""  # the nodes that stay in float, in words
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # names of nodes that stay in float, by graph
    is_large: bool = False  # whether it is larger than allowed

    @property
    def words(self) -> str:
        """The attempt in words.

        >>> Attempt(Path("int8"), "static", {}, "the embeddings").words
        'static with the embeddings in float'
        """
        return f"{self.kind} with {self.what} in float" if self.what else self.kind


def attempts(
    plan: QuantizationPlan,
    graphs: Sequence[str],
    source: Path,
    target: Path,
    draw: Callable[[], Sample],
    whole: tuple[Path, Mapping[str, Any]],
) -> Iterator[Attempt]:
    """Yields each kind with all nodes in int8, then with some nodes in float, for all graphs of the folder `source`.

    `whole` is the folder of the first attempt, which exists, with its fields for the manifest; later attempts are
    written to `target`. `draw` returns the rows that fix scales; it is called at most once, for a kind that needs rows.
    """
    plain, sample = _own_bytes(graphs, source, "fp32"), cache(draw)
    for kind in plan.kinds:
        quantization = variants.quantization(kind)
        for what, nodes in _choices(graphs, source):
            is_first = kind == plan.kinds[0] and not what
            rows = sample() if quantization.needs_rows and not is_first else None
            folder, made = whole if is_first else (target, _made(quantization, graphs, source, target, nodes, rows))
            size = _own_bytes(graphs, folder, "int8") / plain
            told = {
                "kind": kind,
                "is_batch_invariant": quantization.is_batch_invariant,
                "share": round(size, 3),
                **made,
            }
            is_large = plain > TINY and size > (SMALL if plan.is_auto else WHOLE)
            yield Attempt(folder, kind, told, what, nodes, is_large)


def _made(
    quantization: Quantization,
    graphs: Sequence[str],
    source: Path,
    target: Path,
    nodes: Mapping[str, Sequence[str]],
    rows: Sample | None,
) -> dict[str, Any]:
    """Writes every graph in int8; returns the fields for the manifest."""
    told: dict[str, Any] = {}
    for name in graphs:
        files = source / file_of(name, "fp32"), target / file_of(name, "int8")
        told |= quantization.quantize(*files, nodes.get(name, ()), rows)
    return told


def _own_bytes(graphs: Sequence[str], folder: Path, precision: str) -> int:
    return sum(own_bytes(folder / file_of(name, precision)) for name in graphs)


def _choices(graphs: Sequence[str], source: Path) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    """Yields no nodes, then each choice of nodes to keep in float, by graph; reads graphs only for the latter."""
    yield "", {}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in graphs:
        for what, nodes in candidates(source / file_of(name, "fp32")).items():
            found.setdefault(what, {})[name] = nodes
    yield from found.items()
