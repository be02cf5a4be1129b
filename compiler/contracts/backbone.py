"""The record of a family of backbones: what graftc must know of an architecture; the rest comes from transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Config = Mapping[str, Any]  # config.json with all that it leaves out, but where a function fills in itself
Shapes = Mapping[str, tuple[int, ...]]  # of tensors, by name
Tensors = Mapping[str, "torch.Tensor"]  # by name
Mistake = tuple[str, str]  # a key of config.json, and what speaks against its value


def no_mistakes(config: Config) -> Iterable[Mistake]:
    """Any values go together."""
    return ()


def attention_mask(outputs: Any, config: Config, arguments: Tensors) -> torch.Tensor:
    """There is a state for each token."""
    return arguments["attention_mask"]


def as_loaded(module: torch.nn.Module) -> torch.nn.Module:
    """The loaded module runs as it is."""
    return module


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LanguageModel:
    """The head of a family's language model: transformers' ForMaskedLM or ForCausalLM."""

    tensors: Callable[[Config], Mapping[str, tuple[str, ...]]]
    """config.json → its tensors, with shapes in the words `width`, `embedding` (of a word) and `vocabulary`"""
    tied: tuple[str, ...] = ()  # tensors of the head that are another one by a second name
    is_tied: bool = True  # whether they are so where config.json says nothing of it


class Level(NamedTuple):
    """One feature map of a pyramid."""

    channels: int
    stride: int  # pixels of the picture along a side of a cell


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Maps:
    """The feature maps that a family gives of a picture, from the finest to the coarsest."""

    levels: Callable[[Config], tuple[Level, ...]]
    of: Callable[[Any, Config], tuple[torch.Tensor, ...]]
    """(outputs of the module, config.json) → a map (batch, channels, height, width) for each level"""
    arguments: Mapping[str, bool] = field(default_factory=lambda: {"output_hidden_states": True})
    """further arguments of the module's forward, by which its outputs have them"""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Family:
    """`backbones/<model_type>.py` has FAMILY. One that differs in little is `replace` of another's.

    Names of tensors and modules are those of the module that `AutoModel.from_pretrained(folder, **load)` gives.
    """

    # what it is to heads and methods
    modality: str  # a module of inputs/
    provides: frozenset[str]
    """What heads and methods may ask for.

    "tokens": a state per position · "causal": states see what is left of them alone · "pooled": one vector per input,
    by `pooled` · "word-embeddings": words are embedded by `words`, and other vectors can be put beside them ·
    "past-key-values": layers take some, which `cache` measures · "masked-language-model", "causal-language-model":
    `language_model` is its head
    """

    # tensors and modules, by patterns of their names
    prefix: str  # stripped from header names of checkpoints saved with a head: "bert."
    omitted: tuple[str, ...]  # patterns of header names that the bare backbone does not load
    renamed: Mapping[str, str] = field(default_factory=dict)  # pattern → replacement, for names of old checkpoints
    buffers: tuple[str, ...] = ()  # patterns of tensors that are state but not parameters
    parts: Mapping[str, str]  # selector word → pattern of tensor names; for a stack, group 1 is the index
    bare: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # part → its modules without tensors
    norms: str  # pattern of the tensors of normalisation layers
    words: str = ""  # the tensor of the words' embedding; empty where inputs are no words
    kinds: Mapping[str, str]  # target word → pattern of module names: query, attention, mlp …
    target: tuple[str, ...]  # words of `kinds` that low-rank methods take by default
    transposed: str = ""  # pattern of linear layers that keep their weight as (inputs, outputs)
    convolves: bool = False  # whether its layers are convolutions
    uncacheable: str = ""  # why what its frozen layers give can't be cached; empty where it can

    # what config.json makes of it
    config_like: str = ""  # the family whose rules its config.json follows, where none lie beside its module
    shapes: Callable[[Config], Shapes]  # every tensor of the module
    mistakes: Callable[[Config], Iterable[Mistake]] = no_mistakes  # values that can't go together
    width: Callable[[Config], int]  # size of one state
    longest: Callable[[Config], int | None]  # most positions; None for no limit
    pixels: Callable[[Config], tuple[int, int]] | None = None  # height and width that pictures must have
    cache: Callable[[Config], tuple[int, int, int]] | None = None
    """layers, heads and size of a head, as past key values have them"""
    language_model: LanguageModel | None = None

    # how it is loaded and run
    load: Mapping[str, Any] = field(default_factory=dict)  # further arguments of AutoModel.from_pretrained
    ready: Callable[[torch.nn.Module], torch.nn.Module] = as_loaded  # the loaded module → as graftc runs it
    inputs: tuple[str, ...]  # arguments of the module's forward that carry data
    pooled: Callable[[Any], torch.Tensor] | None = None  # outputs of the module → (batch, width)
    maps: Maps | None = None
    mask: Callable[[Any, Config, Tensors], torch.Tensor] = attention_mask
    """(outputs of the module, config.json, its arguments) → which states are the input's and no padding, 1 or 0:
    (batch, tokens)"""

    @property
    def capabilities(self) -> frozenset[str]:
        """`provides`, and "maps" where it gives some."""
        return self.provides | ({"maps"} if self.maps else frozenset())
