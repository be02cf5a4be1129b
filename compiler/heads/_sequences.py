"""Shared parts of heads that write a text of another: an encoder reads it, a decoder writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ...runtime.cache import DECODER, ENCODER, cross_names, past_names, present_names
from ..contracts.head import TARGET, Graph, Head
from ..facts.backbone import BackboneFacts
from ..floors import Floor, Sample, words
from ..frozen import Frozen
from ..inputs.source import references
from ..metrics import language
from ..metrics._texts import TEXTS, as_output
from . import _objectives, _vocabulary
from ._generation import Generation, contradictions
from ._scores import Tally

if TYPE_CHECKING:
    import numpy as np

    from ...runtime.rows import Outputs
    from ..diagnostics import Diagnostic
    from ..layers.head import HeadModule


class Languages(Frozen):
    """Keys under `head.languages`: words of the backbone's tokenizer, such as en_XX or eng_Latn."""

    source: str = Field(min_length=1, description="the language of sources")
    target: str = Field(min_length=1, description="the language of targets")


class Options(Frozen):
    """Keys under `head` of heads that write a text of another."""

    prefix: str = Field("", description="a text before every source, in training and in the bundle")
    languages: Languages | None = Field(None, description="of multilingual backbones: what texts are written in")
    generation: Generation = Field(Generation(), description="how the bundle writes where a call says nothing else")


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The prefix, which preprocessing puts before every source, and languages."""
    return {"prefix": options.prefix, "languages": options.languages and options.languages.model_dump()}


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Findings within `generation`."""
    yield from contradictions(options.generation)


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record as far as the backbone has no say in it."""
    return {"generation": options.generation.model_dump()}


def settle(record: Mapping[str, Any], backbone: BackboneFacts, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the backbone's language model, the tokens that a text begins and ends with, and its cache."""
    assert backbone.family.cache is not None
    layers, heads, size = backbone.family.cache(backbone.config)
    tokens = {key: reading[key] for key in ("start_ids", "stop_ids", "pad_id")}
    cache = {"layers": layers, "key_value_heads": heads, "head_size": size, "positions": backbone.longest}
    return {**record, **tokens, **cache, **_vocabulary.language_model(backbone)}


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Output arrays by name: of each token of the decoder the logits of the next one."""
    return {"logits": {"dtype": "float32", "shape": ["batch", "decoder_input_ids", record["vocabulary"]]}}


def graphs(record: Mapping[str, Any], given: Graph) -> Mapping[str, Graph]:
    """The encoder, and the decoder that goes on from a cache: empty, unless a step before gave one."""
    heads, size, layers = record["key_value_heads"], record["head_size"], record["layers"]

    def side(axis: str, **more: Any) -> dict[str, Any]:
        return {"dtype": "float32", "shape": ["batch", heads, axis, size], **more}

    words, mask, written = (given.inputs[name] for name in ("input_ids", "attention_mask", "decoder_input_ids"))
    cross = dict.fromkeys(cross_names(layers), side("sequence"))
    past, present = side("past", default=0), side("total", is_state=True)
    decoder = {"decoder_input_ids": written, "attention_mask": mask, **cross, **dict.fromkeys(past_names(layers), past)}
    return {
        ENCODER: Graph(inputs={"input_ids": words, "attention_mask": mask}, outputs=cross),
        DECODER: Graph(inputs=decoder, outputs={**given.outputs, **dict.fromkeys(present_names(layers), present)}),
    }


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, Any], features: Sequence[Any]
) -> list[np.ndarray]:
    """The token after each that the decoder reads, int64 of shape (tokens,)."""
    return [each["labels"] for each in features]


def reference(row: Mapping[str, Any], columns: Mapping[str, Any]) -> list[str]:
    """The texts that an answer is compared with."""
    return list(references(row[columns["target"][0]]))


def untuned(record: Mapping[str, Any]) -> Iterator[Floor]:
    """The network before any training, where the checkpoint holds its language model."""
    if not record["is_new"]:
        yield words.untuned()


def written_floor(name: str, write: Callable[[str], str]) -> Floor:
    """A floor that makes a text of each source."""

    def answer(sample: Sample) -> Outputs:
        """The texts of rows, as outputs."""
        return {TEXTS: [as_output(write(value.source)) for value in sample.read()]}

    return Floor(name, answer, is_calibrated=False)


def build(record: Mapping[str, Any], model: Any) -> HeadModule:
    """The head, of transformers' model for conditional generation."""
    from ..layers.sequences import SequenceToSequence, SequenceWriter

    return SequenceWriter(SequenceToSequence(model))


HEAD = Head(
    modality="source",
    needs="sequence-to-sequence",
    options=Options,
    metrics=language.METRICS,
    targets=("target",),
    read_with={"target": ("source",)},
    reads=reads,
    reference=reference,
    tally=Tally,
    problems=problems,
    lower=lower,
    settle=settle,
    parameters=_vocabulary.parameters,
    outputs=outputs,
    graphs=graphs,
    passes=(ENCODER, DECODER),
    target=target,
    ragged_targets=(TARGET,),
    build=build,
    wanted=_objectives.wanted,
    loss=_objectives.OBJECTIVES["next-token"].loss,
    condense=_vocabulary.condense,
    floor_features="untuned",
    gated_by="perplexity",
    drops={"int8": 0.02},
    is_backbones=True,
    stands_alone=True,
)
