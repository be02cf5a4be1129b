"""The record of a head, which is learned on top of a backbone. An objective of `pretrain` is one that no bundle has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from ...runtime.manifest import MODEL, modalities
from ..frozen import Frozen
from .metrics import Metrics
from .reading import Columns, Record, Row, RowReader
from .targets import TargetStatistics

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..decision import Decided
    from ..diagnostics import Diagnostic
    from ..facts.backbone import BackboneFacts
    from ..floors import Floor, Sample
    from ..layers.head import HeadModule

Keys = TypeVar("Keys", bound=Frozen)  # the keys that a spec may write
Statistics = TypeVar("Statistics", bound=TargetStatistics)

Arrays = Mapping[str, "np.ndarray"]
Target: TypeAlias = "np.ndarray | Arrays"  # of a row: an array, or arrays by name
TARGET = "target"  # the name of the array where a head's targets are one array a row
Tensors = Mapping[str, "torch.Tensor"]


def nothing_decided(options: Any, train: Any) -> dict[str, Decided[Any]]:
    """The options leave nothing open."""
    return {}


def nothing_wrong(options: Any, tallies: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Rows that can be read can be learned from."""
    yield from ()


def nothing_read(options: Any, input: Any, columns: Columns) -> dict[str, Any]:
    """The input reads all that the head wants."""
    return {}


def one_stratum(row: Row, columns: Columns) -> int:
    """All rows are held out alike."""
    return 0


def one_row(columns: Columns) -> int:
    """A batch may have a single row."""
    return 1


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Graph:
    """A graph's arrays, by name: {"dtype", "shape"}; a word in a shape is a dynamic axis, `width` the backbone's."""

    inputs: Mapping[str, Record]
    outputs: Mapping[str, Record]


def one_graph(record: Record, given: Graph) -> Mapping[str, Graph]:
    """The decoder wants a single pass of the graph `model`."""
    return {MODEL: given}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Packing:
    """Of an objective that joins texts: how rows become blocks of tokens, and what each token of a block aims at."""

    pack: Callable[[Record, Iterable[Arrays]], Iterator[dict[str, np.ndarray]]]  # (record, rows) → blocks, as they come
    aims: Callable[[Record, Arrays], np.ndarray]  # (record, block) → int64 (tokens,)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Head(Generic[Keys, Statistics]):
    """`heads/<task>.py` has HEAD, `objectives/<objective>.py` has OBJECTIVE.

    `record` is the head's own part of the plan, pure data that planning, training and bundle share. torch is imported
    inside `build` and `loss` alone: checking and planning run without it.
    """

    # what it needs
    modality: str  # a module of inputs/, or several with `+` between them: the first is the backbone's
    needs: str  # what a family must provide: "pooled", "tokens", or a kind of language model
    options: type[Keys]  # keys under `head`, or of a stage
    metrics: Metrics  # its scores

    # what it reads of a row
    targets: tuple[str, ...] = ()  # roles of columns that hold the answer, the default first
    several: tuple[str, ...] = ()  # targets that take several columns
    read_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # target → the other roles that go with it
    reader: RowReader | None = None  # of a head with roles of its own; default the input's
    spelt: Callable[[Any, Row, Columns], Row] | None = None
    """(options or record, row, columns) → the row with its cells as the other functions read them"""
    reads: Callable[[Keys, Any, Columns], Record] = nothing_read
    """(options, options of the input, columns) → what is added to the record of preprocessing, such as `has_offsets`"""
    is_windowed: bool = False  # long inputs are read in windows
    stratum: Callable[[Row, Columns], Any] = one_stratum  # what held-out rows are drawn by
    reference: Callable[[Row, Columns], Any] | None = None  # JSON of a row that scores need besides targets
    least_rows: Callable[[Columns], int] = one_row  # that a batch needs

    # what it decides
    tally: type[Statistics]  # made for each split of (columns, options), to see every row of it once
    problems: Callable[[Keys, Mapping[str, Statistics]], Iterable[Diagnostic]] = nothing_wrong
    """(options, tally by split) → everything wrong between what is written and what is found"""
    decided: Callable[[Keys, Statistics], Mapping[str, Decided[Any]]] = nothing_decided
    """(options, tally of the training rows) → what the options leave open"""
    lower: Callable[[Keys, Statistics], Record]  # (options, tally of the training rows) → record
    settle: Callable[[Record, BackboneFacts, Record], Record] | None = None
    """(record, backbone, preprocessing) → the record with what is known of the backbone"""
    targets_from: tuple[str, ...] | None = None  # fields of the record that targets depend on; default all

    # what it learns
    parameters: Callable[[Record, int], int]  # (record, width) → how many numbers it learns
    outputs: Callable[[Record], Mapping[str, Any]]  # name → dtype and shape; the side `width` is the backbone's
    graphs: Callable[[Record, Graph], Mapping[str, Graph]] = one_graph
    """(record, the graph of a single pass) → all that its decoder asks; `model` takes what preprocessing gives"""
    target: Callable[[Record, Row, Columns, list[Any]], Sequence[Target]]
    """(record, row, columns, rows of arrays that an input made) → a target for each of these rows: an array, or arrays
    by name, the same names and types for every row"""
    ragged_targets: tuple[str, ...] = ()
    """names of targets whose first axis has its own length in each row, such as tokens or boxes; TARGET where a row
    has one array. Batches pad integers with -100, other numbers with 0; other targets have one shape in all rows"""
    draw: Callable[[Record, Arrays, np.random.Generator, bool], tuple[dict[str, np.ndarray], Target]] | None = None
    """(record, row, generator, is_training) → what of a row is asked in a step, and what is aimed at"""
    build: Callable[[Record, Any], HeadModule]  # (record, width or transformers' language model)
    loss: Callable[[Record, Tensors, Any], torch.Tensor]
    """(record, outputs, targets) → mean of a batch; targets are a tensor, or tensors by name where targets are named"""
    in_batch_negatives: bool = False  # inputs of a batch are held against each other: its loss is no mean over rows
    is_backbones: bool = False  # its layers are the backbone's own, which stay frozen beside what a method adds
    stands_alone: bool = False  # its graph `model` goes on from states, so no other head can share it
    is_untrained: bool = False  # there is nothing to learn and nothing to learn from
    is_vector: bool = False  # the answer is a vector, which a sentence-transformers folder makes in its own way
    convex: Callable[[Record], Record | None] | None = None
    """record → the one by whose loss its one linear layer, `out`, has a best fit; None where it has other layers"""
    gives_shares: bool = False  # outputs become shares of certainty: a fit is no surer of its rows than of others

    # what it is scored by
    condense: Callable[[Record, Mapping[str, Any], Sequence[Any]], Mapping[str, Any]] | None = None
    """(record, outputs, targets) → what scores need of outputs that are too many to be kept"""
    floors: Callable[[Record, Sample], Iterator[Floor]] | None = None  # (record, training rows): what costs nothing
    floor_features: Literal["", "cached", "apart"] = ""
    """features of the untouched backbone that they take: those kept for training anyway, or of each text for itself"""

    # of objectives
    packing: Packing | None = None  # of one that joins texts
    reads_head: bool = False  # it learns from the training rows of the head after it, and has no data of its own
    is_paired: bool = False  # a batch has each label twice, as far as there are rows

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that make one input; the first is the backbone's."""
        return modalities(self.modality)
