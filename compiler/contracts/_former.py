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
    "Method",
]
