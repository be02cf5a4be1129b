"""Writes texts that go on from a prompt, by the causal language model of the backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ...runtime.cache import KEPT, past_names, present_names
from ..contracts.head import TARGET, Graph, Head, Reference
from ..contracts.options import Templated
from ..facts.backbone import BackboneFacts
from ..floors import Floor, Sample, words
from ..frozen import Frozen
from ..metrics import preferences
from . import _objectives, _vocabulary
from ._completions import spaced
from ._generation import Generation, contradictions
from ._vocabulary import IGNORED

if TYPE_CHECKING:
    from ..diagnostics import Diagnostic
    from ..layers.head import HeadModule


class Options(Templated, Frozen):
    """Keys under `head` for text-generation."""

    loss: _objectives.Loss = Field(_objectives.Loss(), description="what is learned of a row")
    template: str | None = Field(
        None, min_length=1, description="file of a chat template for `messages`; default the backbone's own"
    )
    generation: Generation = Field(Generation(), description="how the bundle writes where a call says nothing else")


def lower(options: Options, train: _objectives.Tally) -> dict[str, Any]:
    """The record as far as the backbone has no say in it."""
    return {"generation": options.generation.model_dump(), **_objectives.lower(options.loss)}


def problems(options: Options, tallies: Mapping[str, _objectives.Tally]) -> Iterator[Diagnostic]:
    """Findings within `generation`, between `loss` and the rows, and about rows that should be written otherwise."""
    yield from contradictions(options.generation)
    yield from _objectives.problems(options.loss, tallies)
    yield from spaced(tallies)


def packs(options: Options) -> bool:
    """Whether rows may share a block: answers that are compared may not."""
    return not _objectives.OBJECTIVES[options.loss.objective].of_pairs


def condensed_loss(record: Mapping[str, Any], outputs: Mapping[str, Any]) -> float:
    """The mean loss of a split, from what `condense` leaves of its outputs."""
    return _objectives.of(record).condensed(record, outputs)


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


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """How often tokens come, and the untuned language model, where the checkpoint holds one."""
    targets = train.examples.targets
    if not isinstance(targets, Mapping):  # of two answers the same tokens come in either
        yield words.frequent(targets, record["vocabulary"], IGNORED)
    if not record["is_new"]:
        yield words.untuned()


def build(record: Mapping[str, Any], model: Any) -> HeadModule:
    """The head, of transformers' model with the language-model head of the backbone."""
    from ..layers.generation import Writer
    from ..layers.language import LanguageModel

    return Writer(LanguageModel(model))


HEAD = Head(
    modality="prompt",
    needs="causal-language-model",
    options=Options,
    metrics=preferences.METRICS,
    targets=("messages", "completion", "text", "chosen"),
    read_with={"completion": ("prompt",), "chosen": ("rejected",)},
    read_beside={"chosen": ("prompt",)},
    tally=_objectives.Tally,
    problems=problems,
    lower=lower,
    settle=settle,
    parameters=_vocabulary.parameters,
    outputs=outputs,
    graphs=graphs,
    targets_from=("on",),
    target=_objectives.target,
    ragged_targets=(TARGET, _objectives.ANSWER, _objectives.WHOLE),
    packs=packs,
    wanted=_objectives.wanted,
    build=build,
    loss=_objectives.loss,
    reference_scores=Reference(is_needed=lambda record: _objectives.of(record).has_reference, score=_objectives.score),
    condense=_objectives.condense,
    condensed_loss=condensed_loss,
    floors=floors,
    floor_features="untuned",
    is_backbones=True,
    stands_alone=True,
    is_grouped=True,
    writes=True,
    gated_by="perplexity",
    drops={"int8": 0.02, "int4": 0.15},
)
