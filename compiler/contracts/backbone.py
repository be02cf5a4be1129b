"""The record of a family of backbones: what graftc must know of an architecture; the rest comes from transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from ..backbones._shapes import Mistake

Config = Mapping[str, Any]  # config.json, with what it leaves out
Shape = tuple[int, ...]


def no_mistakes(config: Config) -> Iterable[Mistake]:
    """Any values go together."""
    return ()


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """The head of a family's language model: transformers' ForMaskedLM or ForCausalLM."""

    tensors: Callable[[Config], Mapping[str, tuple[str, ...]]]
    """config.json → tensors beyond the backbone's, with shapes in the words width, embedding (of a word), vocabulary"""
    words: str  # the backbone's tensor of the words' embedding
    tied: tuple[str, ...] = ()  # tensors of the head that are another one by a second name
    ties: bool = False  # whether they are so where config.json says nothing of it


@dataclass(frozen=True, kw_only=True)
class Family:
    """`backbones/<model_type>.py` has FAMILY. A family that differs in little is `replace` of another's.

    Names of tensors and modules are those of the module that `AutoModel.from_pretrained(folder, **load)` gives.
    """

    modality: str  # a module of inputs/
    provides: frozenset[
        str
    ]  # "tokens": a state per position · "pooled": one vector per input · kinds of language models
    prefix: str = ""  # stripped from header names of checkpoints saved with a head: "bert."
    omitted: tuple[str, ...] = ()  # patterns of header names that the bare backbone does not load
    buffers: tuple[str, ...] = ()  # patterns of names that are state but not parameters
    renamed: Mapping[str, str] = field(default_factory=dict)  # pattern → replacement, for names of old checkpoints
    parts: Mapping[str, str]  # selector word → pattern of tensor names; for a stack, group 1 is the index
    bare: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # part → its modules without tensors
    norms: str  # pattern of the tensors of normalisation layers
    kinds: Mapping[str, str]  # target word → pattern of module names: query, attention, mlp …
    target: tuple[str, ...]  # words of `kinds` that low-rank methods take by default
    inputs: tuple[str, ...]  # arguments of the module's forward that carry data
    load: Mapping[str, Any] = field(default_factory=dict)  # further arguments of AutoModel.from_pretrained

    shapes: Callable[[Config], Mapping[str, Shape]]  # config.json → every tensor of the module
    mistakes: Callable[[Config], Iterable[Mistake]] = no_mistakes  # keys, and what speaks against their values
    width: Callable[[Config], int]  # size of one state
    longest: Callable[[Config], int | None]  # most positions, None for no limit
    pixels: Callable[[Config], tuple[int, int]] | None = None  # height and width that pictures must have
    cache: Callable[[Config], tuple[int, int, int]] | None = None  # layers, heads, size of a head, of past key values

    pooled: Callable[[Any], torch.Tensor] | None = None  # outputs of the module → (batch, width)
    ready: Callable[[torch.nn.Module], torch.nn.Module] | None = None  # the loaded module as graftc runs it
    language_model: LanguageModel | None = None
    unfolded: str = ""  # why its layers can't be computed once
    convolves: bool = False  # its layers are convolutions
    transposed: str = ""  # pattern of linear layers that keep weights as (inputs, outputs)
