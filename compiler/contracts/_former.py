"""What each kind of variant module holds, member by member.

A variant is a module named by the user's word (`-` written `_`); these protocols are what a module of
each folder fulfils with its module-level names. torch is imported inside functions: checking and planning
run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..frozen import Frozen

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..diagnostics import Diagnostic

Record = Mapping[str, Any]
Row = Mapping[str, Any]  # a row's values by column
Columns = Mapping[str, Any]  # role → its columns


class Family(Protocol):
    """`backbones/<model_type>.py`: what graftc must know of an architecture; the rest comes from transformers.

    Names of tensors and modules are those of the module that `AutoModel.from_pretrained(folder, **LOAD)` gives. One
    that PROVIDES "pooled" also has `pooled`: outputs of the module → (batch, width). One that PROVIDES a "masked-" or
    "causal-language-model" has `language_model`: config.json → the tensors of that head beyond the backbone, by their
    names in transformers' ForMaskedLM or ForCausalLM, with shapes in the words width, embedding (of a word) and
    vocabulary; `BARE`, if there, names modules without tensors by the part that they belong to, and `UNFOLDED` says why
    its layers can't be computed once; `CONVOLVES` says that its layers are convolutions; `WORDS`, the tensor of the words' embedding; `TIED`, which of the head's are another one by a second
    name; and `TIES`, whether they are so where config.json says nothing of it. `shapes` takes a config.json with all
    that it leaves out; `mistakes`, if there, gives keys of it and what speaks against their values; `pixels`, if there,
    the height and width that pictures must have.
    """

    MODALITY: str  # a module of inputs/
    PROVIDES: frozenset[str]  # "tokens": a state per position · "pooled": one vector per input
    PREFIX: str  # stripped from header names of checkpoints saved with a head: "bert."
    OMITTED: tuple[str, ...]  # patterns of header names that the bare backbone does not load
    BUFFERS: tuple[str, ...]  # patterns of names that are state but not parameters
    RENAMED: Mapping[str, str]  # pattern → replacement, for names of old checkpoints
    PARTS: Mapping[str, str]  # selector word → pattern of tensor names; for a stack, group 1 is the index
    NORMS: str  # pattern of the tensors of normalisation layers
    KINDS: Mapping[str, str]  # target word → pattern of module names: query, attention, mlp …
    TARGET: tuple[str, ...]  # words of KINDS that low-rank methods take by default
    INPUTS: tuple[str, ...]  # arguments of the module's forward that carry data
    LOAD: Mapping[str, Any]  # further arguments of AutoModel.from_pretrained

    shapes: Callable[[Mapping[str, Any]], Mapping[str, tuple[int, ...]]]  # config.json → every tensor of the module
    width: Callable[[Mapping[str, Any]], int]  # config.json → size of one state
    longest: Callable[[Mapping[str, Any]], int | None]  # config.json → most positions, None for no limit


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


class Method(Protocol):
    """`methods/<method>.py`: how a backbone learns.

    One that ADDS tensors also has `reload`, which puts its checkpoint on the backbone again; a head may have it for
    itself, so `apply` and `reload` also meet modules over tensors that others stand on, and write into none of them.
    `decided`, if there, tells the options that were left open; `STARTS_UNTOUCHED` says that the backbone answers as it
    did until the first step, so that heads can be fitted to its features.
    """

    Options: type[Frozen]  # keys under `adapt`
    LEARNING_RATE: float  # default
    HEAD_LEARNING_RATE: float
    USUAL: tuple[float, float]  # learning rates outside are worth a look
    NEEDS: frozenset[str]  # what a backbone must provide
    ADDS: bool  # tensors of its own, saved without the backbone
    MERGES: bool  # they become part of the backbone's
    FREEZES: bool  # the whole backbone runs in inference mode

    problems: Callable[[Any, Any, frozenset[str]], Iterable[Diagnostic]]  # (options, backbone, frozen names)
    lower: Callable[[Any, Any, frozenset[str]], Any]  # → methods.Lowered
    apply: Callable[[torch.nn.Module, Record], torch.nn.Module]
    plain: Callable[[str], str]  # a name in the adapted module as the plan has it
    merge: Callable[[torch.nn.Module], torch.nn.Module]
    save: Callable[[Any, Path], None]


class Quantization(Protocol):
    """`quantizations/<kind>.py`: a way to make int8 of a graph.

    `quantize` takes the fp32 graph, the file to write, names of nodes that stay in float, and the rows that fix scales
    (None unless NEEDS_ROWS); it gives what a manifest tells of it.
    """

    RANK: int  # its place among those that `auto` tries
    SCALES: str  # how activations are scaled, as a card says it
    IS_BATCH_INVARIANT: bool  # whether an answer is the same whatever lies beside it in a batch
    NEEDS_ROWS: bool
    FOR_CONVOLUTIONS: bool  # whether `auto` tries it where layers are convolutions

    lacks: Callable[[bool, str], str]  # (whether the backbone convolves, export.optimize) → why it can't be had, or ""
    quantize: Callable[[Path, Path, Sequence[str], Any], Record]


__all__ = [
    "Family",
    "Head",
    "Method",
    "Metrics",
    "Objective",
]
