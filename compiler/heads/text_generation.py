"""Writes texts that go on from a prompt, by the causal language model of the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ...runtime.cache import KEPT, past_names, present_names
from ..contracts.head import TARGET, Graph, Head
from ..facts.backbone import BackboneFacts
from ..frozen import Frozen
from ..metrics import language
from . import _vocabulary
from ._scores import Tally
from ._vocabulary import IGNORED

if TYPE_CHECKING:
    import numpy as np

    from ..layers.head import HeadModule

Stop = Annotated[str, Field(min_length=1)]


class Generation(Frozen):
    """Keys under `head.generation`: how the bundle writes where a call says nothing else."""

    max_new_tokens: int = Field(128, ge=1, le=1_000_000, description="tokens of an answer, at most")
    min_new_tokens: int = Field(0, ge=0, le=1_000_000, description="tokens before an answer may end")
    temperature: float = Field(0.0, ge=0.0, le=100.0, description="0: the likeliest token; above: one is drawn")
    top_k: int = Field(50, ge=0, le=1_000_000, description="of drawing: the likeliest tokens; 0 for all")
    top_p: float = Field(1.0, gt=0.0, le=1.0, description="of drawing: the likeliest tokens of so much probability")
    min_p: float = Field(
        0.0, ge=0.0, le=1.0, description="of drawing: least probability, as a share of the likeliest's"
    )
    repetition_penalty: float = Field(1.0, gt=0.0, le=100.0, description="above 1: tokens seen before are less likely")
    no_repeat_ngram: int = Field(0, ge=0, le=1000, description="runs of so many tokens that come once at most; 0: any")
    beams: int = Field(1, ge=1, le=64, description="texts that are searched at once")
    length_penalty: float = Field(1.0, ge=-10.0, le=10.0, description="of beams: above 0 longer texts are better")
    stop: tuple[Stop, ...] = Field((), description="texts at which an answer ends")


class Options(Frozen):
    """Keys under `head` for text-generation."""

    generation: Generation = Field(Generation(), description="how the bundle writes where a call says nothing else")


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record as far as the backbone has no say in it."""
    return {"generation": options.generation.model_dump()}


def settle(record: Mapping[str, Any], backbone: BackboneFacts, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the backbone's language model, the tokens that end a text, and the shape of its cache."""
    assert backbone.family.cache is not None
    layers, heads, size = backbone.family.cache(backbone.config)
    ends = {"stop_ids": reading["stop_ids"], "pad_id": reading["pad_id"]}
    cache = {"layers": layers, "key_value_heads": heads, "head_size": size, "positions": reading["positions"]}
    return {**record, **ends, **cache, **_vocabulary.language_model(backbone)}


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Output arrays by name: of each token the logits of the next one."""
    return {"logits": {"dtype": "float32", "shape": ["batch", "kept", record["vocabulary"]]}}


def graphs(record: Mapping[str, Any], given: Graph) -> Mapping[str, Graph]:
    """One graph, which goes on from a cache: empty, unless a step before gave one."""
    side, layers = [record["key_value_heads"], record["head_size"]], record["layers"]
    past = {"dtype": "float32", "shape": ["batch", side[0], "past", side[1]], "default": 0}
    present = {"dtype": "float32", "shape": ["batch", side[0], "total", side[1]], "is_state": True}
    inputs = {
        "input_ids": given.inputs["input_ids"],
        "attention_mask": {"dtype": "int64", "shape": ["batch", "total"]},
        KEPT: {"dtype": "int64", "shape": [1], "default": 0},
        **dict.fromkeys(past_names(layers), past),
    }
    return {"model": Graph(inputs=inputs, outputs={**given.outputs, **dict.fromkeys(present_names(layers), present)})}


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, Any], features: Sequence[Any]
) -> list[np.ndarray]:
    """The token after each of a row's, int64 of shape (tokens,), where it is of the completion."""
    import numpy as np

    found = []
    for each in features:
        after, is_learned = each["input_ids"][1:], each["learned"][1:].astype(bool)
        found.append(np.append(np.where(is_learned, after, IGNORED), IGNORED).astype(np.int64))
    return found


def build(record: Mapping[str, Any], model: Any) -> HeadModule:
    """The head, of transformers' model with the language-model head of the backbone."""
    from ..layers.generation import Writer
    from ..layers.language import LanguageModel

    return Writer(LanguageModel(model))


HEAD = Head(
    modality="prompt",
    needs="causal-language-model",
    options=Options,
    metrics=language.METRICS,
    targets=("messages", "completion", "text"),
    read_with={"completion": ("prompt",)},
    tally=Tally,
    lower=lower,
    settle=settle,
    parameters=_vocabulary.parameters,
    outputs=outputs,
    graphs=graphs,
    target=target,
    ragged_targets=(TARGET,),
    build=build,
    loss=_vocabulary.loss,
    condense=_vocabulary.condense,
    is_backbones=True,
    stands_alone=True,
    is_grouped=True,
    writes=True,
    gated_by="perplexity",
    drops={"int8": 0.02, "int4": 0.15},
)
