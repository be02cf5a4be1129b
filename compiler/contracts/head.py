"""The record of a head on top of a backbone, or of an objective of `pretrain`, which no bundle contains."""

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

Keys = TypeVar("Keys", bound=Frozen)  # a model of the keys that a spec may write
Statistics = TypeVar("Statistics", bound=TargetStatistics)

Arrays = Mapping[str, "np.ndarray"]
Target: TypeAlias = "np.ndarray | Arrays"  # the target of a row: one array, or arrays by name
TARGET = "target"  # the name of the array where a row's target is one array
REFERENCE = "reference"  # the name of the array of what the untouched backbone scores rows
Tensors = Mapping[str, "torch.Tensor"]


def nothing_decided(options: Any, train: Any) -> dict[str, Decided[Any]]:
    """The default of `Head.decided`: the options leave nothing open."""
    return {}


def nothing_wrong(options: Any, tallies: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """The default of `Head.problems`: rows that can be read can be learned from."""
    yield from ()


def nothing_read(options: Any, input: Any, columns: Columns) -> dict[str, Any]:
    """The default of `Head.reads`: the head adds nothing to the record of preprocessing."""
    return {}


def one_stratum(row: Row, columns: Columns) -> int:
    """The default of `Head.stratum`: held-out rows are drawn from all rows alike."""
    return 0


def one_row(columns: Columns) -> int:
    """The default of `Head.least_rows`: a batch may have a single row."""
    return 1


def alone(options: Any) -> bool:
    """The default of `Head.packs`: each row has a place of its own in a batch."""
    return False


def mean_of_losses(record: Record, outputs: Mapping[str, Any]) -> float:
    """The default of `Head.condensed_loss`: the mean of `losses`, arrays of any length for each row; 0 of none."""
    import numpy as np

    losses = np.concatenate(outputs["losses"])
    return float(losses.mean()) if len(losses) else 0.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Reference:
    """Scores of rows by the untouched backbone, computed once; they are the target REFERENCE of rows."""

    is_needed: Callable[[Record], bool]
    score: Callable[[Record, Tensors, Any], torch.Tensor]  # (record, outputs, targets) → a number for each row (rows,)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Graph:
    """The arrays of a graph by name, each {"dtype", "shape"}.

    A word in a shape is a dynamic axis; the word `width` is the backbone's width.
    """

    inputs: Mapping[str, Record]
    outputs: Mapping[str, Record]


def one_graph(record: Record, given: Graph) -> Mapping[str, Graph]:
    """The default of `Head.graphs`: the decoder runs the graph `model` once."""
    return {MODEL: given}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Packing:
    """The functions of an objective that joins texts into blocks of tokens."""

    pack: Callable[[Record, Iterable[Arrays]], Iterator[dict[str, np.ndarray]]]  # (record, rows) → blocks, lazily
    aims: Callable[[Record, Arrays], np.ndarray]  # (record, block) → the target of each token, int64 (tokens,)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Head(Generic[Keys, Statistics]):
    """The record of a head or an objective.

    `heads/<task>.py` has it as HEAD, `objectives/<objective>.py` as OBJECTIVE. `record` in the members below is the
    head's own part of the plan: pure data that planning, training and the bundle share. torch is imported inside
    `build` and `loss` alone, because checking and planning run without it.
    """

    # requirements
    modality: str  # a module of inputs/, or several joined by `+`; the backbone reads the first
    needs: str  # the capability that a family must have: "pooled", "tokens", "maps", or a kind of language model
    options: type[Keys]  # keys under `head`, or of a stage of `pretrain`
    metrics: Metrics  # how answers are scored

    # reading of rows
    targets: tuple[str, ...] = ()  # roles of the columns that hold the answer, the default first
    several: tuple[str, ...] = ()  # those of `targets` that take several columns
    read_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # target → other roles that it needs
    read_beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # target → others that it may have
    reader: RowReader | None = None  # for a head with roles of its own; None for the input's reader
    spelt: Callable[[Any, Row, Columns], Row] | None = None
    """(options or record, row, columns) → the row with its cells in the form that the other functions expect"""
    reads: Callable[[Keys, Any, Columns], Record] = nothing_read
    """(options, options of the input, columns) → fields added to the record of preprocessing, such as `has_offsets`"""
    is_windowed: bool = False  # long inputs are read in windows
    stratum: Callable[[Row, Columns], Any] = one_stratum  # the stratum of a row when rows are held out
    reference: Callable[[Row, Columns], Any] | None = None  # what scores need of a row besides its target, as JSON
    least_rows: Callable[[Columns], int] = one_row  # the smallest number of rows in a batch

    # checks, and the record
    tally: type[Statistics]  # one instance for each split, made of (columns, options); sees every row once
    problems: Callable[[Keys, Mapping[str, Statistics]], Iterable[Diagnostic]] = nothing_wrong
    """(options, tally by split) → a diagnostic for each contradiction between options and rows"""
    decided: Callable[[Keys, Statistics], Mapping[str, Decided[Any]]] = nothing_decided
    """(options, tally of the training rows) → values of the options that the spec leaves open, with reasons"""
    lower: Callable[[Keys, Statistics], Record]  # (options, tally of the training rows) → record
    settle: Callable[[Record, BackboneFacts, Record], Record] | None = None
    """(record, backbone, preprocessing) → the record completed with facts of the backbone"""
    targets_from: tuple[str, ...] | None = None  # fields of the record that targets depend on; None for all

    # training
    parameters: Callable[[Record, int], int]  # (record, width) → number of parameters
    outputs: Callable[[Record], Mapping[str, Any]]  # name → dtype and shape; the word `width` is the backbone's width
    graphs: Callable[[Record, Graph], Mapping[str, Graph]] = one_graph
    """(record, the graph of one pass) → every graph that the decoder runs"""
    passes: tuple[str, ...] = (MODEL,)
    """graphs of a single pass, in order: the first takes the arrays of preprocessing, each what those before it give"""
    target: Callable[[Record, Row, Columns, list[Any]], Sequence[Target]]
    """(record, row, columns, rows of arrays made by the input) → one target for each row of arrays: an array, or arrays
    by name, with the same names and dtypes for every row"""
    ragged_targets: tuple[str, ...] = ()
    """names of targets whose first axis differs in length between rows, such as tokens or boxes; TARGET where a row's
    target is one array. Batches pad integers with -100 and other numbers with 0. All other targets have one shape"""
    draw: Callable[[Record, Arrays, np.random.Generator, bool], tuple[dict[str, np.ndarray], Target]] | None = None
    """(record, row, generator, is_training) → the inputs and the target that a step draws from a row"""
    packs: Callable[[Keys], bool] = alone
    """options → whether rows may share a block in training, which asks for outputs and targets of each token by itself
    and for a loss that is a mean over tokens"""
    build: Callable[[Record, Any], HeadModule]  # (record, the width or transformers' language model)
    loss: Callable[[Record, Tensors, Any], torch.Tensor]
    """(record, outputs, targets) → mean loss of a batch, a scalar; targets are one tensor, or tensors by name"""
    wanted: Callable[[Any], torch.Tensor] | None = None
    """targets → the tokens whose outputs the loss reads, bool (rows, tokens), for a head that can leave out others: in
    training its outputs are then (wanted tokens, …), row by row. None where it gives outputs of all tokens"""
    reference_scores: Reference | None = None  # of a loss that compares the network with the untouched backbone
    in_batch_negatives: bool = False  # the loss compares rows of a batch with each other
    is_backbones: bool = False  # its layers are the backbone's own, which stay frozen beside what a method adds
    stands_alone: bool = False  # its graph `model` takes states of earlier calls, so no other head can share it
    is_untrained: bool = False  # the head has no parameters and its data no targets
    is_vector: bool = False  # the answer is the embedding; sentence-transformers folders say how to make one
    convex: Callable[[Record], Record | None] | None = None
    """record → a record whose loss is convex in the only linear layer, `out`; None where the head has other layers"""
    gives_shares: bool = False  # outputs become probabilities; a fit is regularised so that it is not overconfident

    # the bundle
    is_grouped: bool = False  # `model` can have onnxruntime's GroupQueryAttention over its cache
    writes: bool = False  # writes tokens one by one: int4 is possible, and `auto` tries whole kinds of int8 first
    gated_by: str = ""  # the metric that gates precisions; "" for the one that picks the checkpoint
    drops: Mapping[str, float] = field(default_factory=dict)
    """precision → its default of `export.gate.metric_drop`, where it is not 0.01"""

    # scores
    condense: Callable[[Record, Mapping[str, Any], Sequence[Any]], Mapping[str, Any]] | None = None
    """(record, outputs, targets) → the part of large outputs that scores need; the rest is not kept in memory"""
    condensed_loss: Callable[[Record, Mapping[str, Any]], float] = mean_of_losses
    """(record, such outputs of a split) → its mean loss"""
    floors: Callable[[Record, Sample], Iterator[Floor]] | None = None  # (record, training rows) → floors
    floor_features: Literal["", "cached", "apart", "untuned"] = ""
    """what floors need of the backbone: "cached" are features kept for training, "apart" those of each text by itself,
    "untuned" the outputs and answers of the network before any training"""

    # for objectives only
    packing: Packing | None = None  # for an objective that joins texts into blocks
    reads_head: bool = False  # learns from the training rows of a head of the spec; has no data of its own
    is_paired: bool = False  # batches hold rows of a label in pairs, as far as there are rows

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that make up one input; the backbone reads the first."""
        return modalities(self.modality)

    def has_reference(self, record: Record) -> bool:
        """Whether rows have scores by the untouched backbone."""
        return self.reference_scores is not None and self.reference_scores.is_needed(record)
