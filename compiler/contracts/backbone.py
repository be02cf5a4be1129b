"""The record of a backbone family: the tensor names, shapes and rules of an architecture that transformers runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

Config = Mapping[str, Any]
"""config.json under its newest names of keys: for `shapes` and `mistakes` with transformers' defaults filled in, for
all other functions as it lies in the folder, so that they have the defaults of the keys they read"""
Shapes = Mapping[str, tuple[int, ...]]  # of tensors, by name
Tensors = Mapping[str, "torch.Tensor"]  # by name
Mistake = tuple[str, str]  # a key of config.json, and what speaks against its value


def no_mistakes(config: Config) -> Iterable[Mistake]:
    """The default of `Family.mistakes`: any values of config.json go together."""
    return ()


def attention_mask(outputs: Any, config: Config, arguments: Tensors) -> torch.Tensor:
    """There is a state for each token."""
    return arguments["attention_mask"]


def as_loaded(module: torch.nn.Module) -> torch.nn.Module:
    """The default of `Family.ready`: the loaded module runs unchanged."""
    return module


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LanguageModel:
    """The language-model head of a family: transformers' ForMaskedLM, ForCausalLM or ForConditionalGeneration."""

    tensors: Callable[[Config], Mapping[str, tuple[str, ...]]]
    """config.json → tensor name → shape; sides are `width`, `embedding` (a word's embedding) and `vocabulary`"""
    tied: tuple[str, ...] = ()  # tensors of the head that share another tensor's weights
    is_tied: bool = True  # whether they are tied where config.json has no `tie_word_embeddings`
    is_tied_unless_stored: bool = False  # tied where the checkpoint lacks them, whatever config.json says


class Level(NamedTuple):
    """The size of one feature map of a pyramid."""

    channels: int
    stride: int  # pixels along the side of one cell


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Maps:
    """The feature maps that a family gives of a picture, from the finest to the coarsest."""

    levels: Callable[[Config], tuple[Level, ...]]
    of: Callable[[Any, Config], tuple[torch.Tensor, ...]]
    """(outputs of the module, config.json) → one map (batch, channels, height, width) for each level"""
    arguments: Mapping[str, bool] = field(default_factory=lambda: {"output_hidden_states": True})
    """arguments of the module's `forward` that make its outputs include the maps"""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Family:
    """The record of a backbone family; `backbones/<model_type>.py` has it as FAMILY.

    Tensors and modules are named as in the module that `AutoModel.from_pretrained(folder, **load)` returns. A family
    that differs in little from another is a `dataclasses.replace` of that one's record.
    """

    # the interface to heads and methods
    modality: str  # a module of inputs/
    provides: frozenset[str]
    """Capabilities that heads and methods may ask for.

    "tokens": one state per position · "causal": a state depends on earlier positions only · "pooled": one vector per
    input, made by `pooled` · "word-embeddings": tokens are embedded by the tensor `words`, and other vectors can be
    given in their place · "past-key-values": layers take cached keys and values, sized by `cache` ·
    "packed-rows": rows may share a block, told apart by `position_ids` that start again ·
    "masked-language-model", "causal-language-model", "sequence-to-sequence": `language_model` is the head of that
    kind; the states of the last are a decoder's, which reads the whole of another text
    """

    # tensors and modules, as patterns of names
    prefix: str  # stripped from names in checkpoints saved with a head: "bert."
    omitted: tuple[str, ...]  # patterns of names in the header that the bare backbone does not load
    renamed: Mapping[str, str] = field(default_factory=dict)  # pattern → replacement, for names of old checkpoints
    buffers: tuple[str, ...] = ()  # patterns of tensors that are state but not parameters
    parts: Mapping[str, str]  # selector word → pattern of tensor names; for a stack, group 1 is the index
    bare: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # part → its modules without tensors
    norms: str  # pattern of the tensors of normalisation layers
    words: str = ""  # the tensor of the token embedding; empty for pictures
    kinds: Mapping[str, str]  # target word → pattern of module names: query, attention, mlp …
    target: tuple[str, ...]  # words of `kinds` that low-rank methods take by default
    transposed: str = ""  # pattern of linear layers whose weight has the shape (inputs, outputs)
    convolves: bool = False  # whether its layers are convolutions
    uncacheable: str = ""  # why outputs of frozen layers can't be cached; empty where they can

    # what config.json makes of it
    config_like: str = ""  # the family whose rules its config.json follows, where none lie beside its module
    shapes: Callable[[Config], Shapes]  # every tensor of the module
    mistakes: Callable[[Config], Iterable[Mistake]] = no_mistakes  # values that can't go together
    width: Callable[[Config], int]  # size of one state
    longest: Callable[[Config], int | None]  # the largest number of positions; None for no limit
    pixels: Callable[[Config], tuple[int, int]] | None = None  # required height and width of pictures
    cache: Callable[[Config], tuple[int, int, int]] | None = None
    """(layers, heads, size of a head) of past key values"""
    ungrouped: Callable[[Config], str] | None = None
    """config.json → why onnxruntime's GroupQueryAttention can't express its attention, empty where it can; None for a
    family that never has it"""
    language_model: LanguageModel | None = None

    # loading and running
    load: Mapping[str, Any] = field(default_factory=dict)  # further arguments of AutoModel.from_pretrained
    ready: Callable[[torch.nn.Module], torch.nn.Module] = as_loaded  # the loaded module → the module that graftc runs
    inputs: tuple[str, ...]  # arguments of the module's forward that carry data
    pooled: Callable[[Any], torch.Tensor] | None = None  # outputs of the module → (batch, width)
    maps: Maps | None = None
    mask: Callable[[Any, Config, Tensors], torch.Tensor] = attention_mask
    """(outputs of the module, config.json, its arguments) → which states are the input's and no padding, 1 or 0:
    (batch, tokens)"""

    @property
    def capabilities(self) -> frozenset[str]:
        """The words of `provides`, with "maps" added where the family has feature maps."""
        return self.provides | ({"maps"} if self.maps else frozenset())
