"""What each kind of variant module holds, member by member.

A variant is a module named by the user's word (`-` written `_`); these protocols are what a module of
each folder fulfils with its module-level names. torch is imported inside functions: checking and planning
run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..frozen import Frozen

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..diagnostics import Diagnostic

Record = Mapping[str, Any]
Row = Mapping[str, Any]  # a row's values by column
Columns = Mapping[str, Any]  # role → its columns


class Head(Protocol):
    """`heads/<task>.py`: what is learned on top; `record` is the plan's, pure data.

    `decided`, if there, tells the options that were left open; `TARGETS_FROM` the fields of the record that targets
    depend on, else all of them count. `settle`, if there, completes the record with what is known of the backbone; one
    that NEEDS a language model has it, and its `build` takes transformers' model instead of a width. `draw`, if there,
    says what of a row is asked in a step, and what is aimed at; `condense` what scores need of outputs that are too
    many to be kept. `IS_VECTOR`, if there, says that the answer is a vector of the text, which a sentence-transformers
    folder has made its own way. `convex`, if there, gives the record by whose loss its one linear layer, `out`, has a
    best fit, None where it has other layers; with `GIVES_SHARES` a fit is no surer of its rows than of held-out ones.
    `floors`, if there, gives what costs nothing: (record, training rows) → `floors.Floor`s, each with the head's outputs
    for any rows; `VECTORS` says which features of the untouched backbone they take, "kept" (for training anyway) or
    "apart" (of each text for itself). What else a task may want, CONTRIBUTING says.
    """

    MODALITY: str  # a module of inputs/
    NEEDS: str  # what a family must provide
    TARGETS: tuple[str, ...]  # roles of columns that hold the answer, the default first
    METRICS: str  # a module of metrics/
    Options: type[Frozen]  # keys under `head`
    # (columns, options or None) → sees every row once: `add(values, place)`, `strata`, `record` and `recall`
    Tally: Callable[[Columns, Any], Any]

    problems: Callable[[Any, Mapping[str, Any]], Iterable[Diagnostic]]  # (options, tally by split)
    metrics: Callable[[Columns], tuple[str, ...]]  # that a spec may name, the default first
    lower: Callable[[Any, Any], Record]  # (options, tally of the training rows) → record
    parameters: Callable[[Record, int], int]  # (record, width)
    outputs: Callable[[Record], Record]  # of the graph: name → dtype and shape; the side `width` is the backbone's
    target: Callable[[Record, Row, Columns, list[Any]], list[np.ndarray]]  # for each row of arrays that an input made
    stratum: Callable[[Row, Columns], Any]  # what held-out rows are drawn by
    build: Callable[[Record, int], torch.nn.Module]  # (record, width) → feature to dict of outputs
    loss: Callable[[Record, Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]  # mean of a batch


class Objective(Protocol):
    """`objectives/<objective>.py`: what a stage of `pretrain` learns without labels; it is a head that no bundle has.

    What a head may have besides, it may have too. One with `READS_HEAD` learns from the training rows of the head after
    it and has no data of its own; with `IS_PAIRED` a batch has each label twice, as far as there are rows. One that joins texts has `pack`: (record, rows) → blocks, and
    `aims`: (record, block) → the target of each token.
    """

    MODALITY: str  # a module of inputs/
    NEEDS: str  # what a family must provide, such as a language model
    TARGETS: tuple[str, ...]  # roles of columns that hold the answer: mostly none
    METRICS: str  # a module of metrics/
    Options: type[Frozen]  # keys of a stage
    Tally: Callable[[Columns, Any], Any]  # as a head's

    problems: Callable[[Any, Mapping[str, Any]], Iterable[Diagnostic]]  # (options, tally by split)
    metrics: Callable[[Columns], tuple[str, ...]]  # the first one picks the best epoch
    reads: Callable[[Any, Any, Columns], Record]  # (options, options of the input, columns) → added to preprocessing
    lower: Callable[[Any, Any], Record]  # (options, tally of the training rows) → record
    parameters: Callable[[Record, int], int]  # (record, width)
    outputs: Callable[[Record], Record]  # arrays by name: dtype and shape
    target: Callable[[Record, Row, Columns, list[Any]], list[np.ndarray]]  # for each row of arrays that an input made
    stratum: Callable[[Row, Columns], Any]  # what held-out rows are drawn by
    build: Callable[[Record, Any], torch.nn.Module]  # (record, width or transformers' language model)
    loss: Callable[[Record, Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]  # mean of a batch


class Metrics(Protocol):
    """`metrics/<kind>.py`: scores of outputs (rows, …) against examples; None is a score that is undefined.

    `is_defined`, if there, says of a head's tally of validation rows whether a metric can have a value on them, by the
    record of the head, which is empty where its options or its rows are wrong;
    `answered` tells of each label how often it is the answer and how often it is true.
    """

    direction: Callable[[str], int]  # 1 where higher is better, -1 where lower is
    names: Callable[[bool], tuple[str, ...]]  # (whether rows have several labels), the default first
    one: Callable[[str, Record, Mapping[str, np.ndarray], Any], float | None]  # (name, record, outputs, examples)
    report: Callable[[Record, Mapping[str, np.ndarray], Any], Record]  # every metric
    calibrate: Callable[[Record, Mapping[str, np.ndarray], Any], Record]  # what replaces fields of the record


__all__ = [
    "Head",
    "Metrics",
    "Objective",
]
