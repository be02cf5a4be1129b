"""Each word is found from those before it, in blocks of `max_length` tokens that are full to the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.head import TARGET, Head, Packing
from ..facts.backbone import BackboneFacts
from ..heads import _masking, _vocabulary
from ..heads._scores import Tally
from ..metrics import language

if TYPE_CHECKING:
    import numpy as np

    from ..layers.head import HeadModule


class Options(_vocabulary.Fitted):
    """Keys of a stage with objective causal-language-modeling."""


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of preprocessing says besides: texts are not cut, but joined and divided into blocks."""
    return {"is_pair": False, "is_packed": True}


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record as far as the backbone has no say in it."""
    return {}


def settle(record: Mapping[str, Any], backbone: BackboneFacts, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the backbone's language model, and what ends a text where the tokenizer puts nothing around it."""
    end = backbone.config.get("eos_token_id")
    end = end[0] if isinstance(end, list) and end else end
    return {
        "end_id": end if type(end) is int else None,
        "special_ids": reading.get("special_ids"),
        "length": reading["max_length"],
        **_vocabulary.language_model(backbone),
    }


def pack(record: Mapping[str, Any], rows: Iterable[Mapping[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Texts one after the other, in blocks of a length; what is left over at the end is left out, unless it is all."""
    import numpy as np

    length, rest, is_first = record["length"], np.zeros(0, np.int64), True
    for row in rows:
        ids = row["input_ids"]
        is_divided = len(ids) > 0 and bool({int(ids[0]), int(ids[-1])} & set(record["special_ids"]))
        end = [] if record["end_id"] is None or is_divided else [record["end_id"]]
        rest = np.concatenate([rest, ids, np.array(end, ids.dtype)])
        for at in range(0, len(rest) - length + 1, length):
            yield _block(rest[at : at + length])
            is_first = False
        rest = rest[len(rest) // length * length :]
    if is_first:
        yield _block(rest)


def _block(ids: np.ndarray) -> dict[str, np.ndarray]:
    import numpy as np

    return {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}


def aims(record: Mapping[str, Any], block: Mapping[str, np.ndarray]) -> np.ndarray:
    """The token after each of a block's, int64 of shape (tokens,); after the last nothing is to be found."""
    import numpy as np

    found: np.ndarray = np.append(block["input_ids"][1:], _vocabulary.IGNORED).astype(np.int64)
    return found


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Output arrays by name: of each token the logits of the next one."""
    return {"logits": {"dtype": "float32", "shape": ["batch", "sequence", record["vocabulary"]]}}


def build(record: Mapping[str, Any], model: Any) -> HeadModule:
    """The head, of transformers' model with the language-model head of the backbone."""
    from ..layers.language import LanguageModel, NextWords

    return NextWords(LanguageModel(model))


OBJECTIVE = Head(
    modality="text",
    needs="causal-language-model",
    options=Options,
    metrics=language.METRICS,
    reads=reads,
    tally=Tally,
    lower=lower,
    settle=settle,
    parameters=_vocabulary.parameters,
    outputs=outputs,
    target=_masking.target,
    ragged_targets=(TARGET,),
    build=build,
    loss=_vocabulary.loss,
    condense=_vocabulary.condense,
    packing=Packing(pack=pack, aims=aims),
)
