"""Predicts each token from the tokens before it, in full blocks of `max_length` tokens."""

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
    """Additions to the preprocessing record: texts are joined and divided into blocks instead of being cut."""
    return {"is_pair": False, "is_packed": True}


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The part of the record that does not depend on the backbone: none."""
    return {}


def settle(record: Mapping[str, Any], backbone: BackboneFacts, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the backbone's language model, and the id that ends a text where the tokenizer adds none."""
    end = backbone.config.get("eos_token_id")
    end = end[0] if isinstance(end, list) and end else end
    return {
        "end_id": end if type(end) is int else None,
        "special_ids": reading.get("special_ids"),
        "length": reading["max_length"],
        **_vocabulary.language_model(backbone),
    }


def pack(record: Mapping[str, Any], rows: Iterable[Mapping[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """All texts joined and divided into blocks of `length` tokens.

    A rest shorter than a block is dropped, unless it is the only block.
    """
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
    """The next token of each token, int64 (tokens,); the last token has none."""
    import numpy as np

    found: np.ndarray = np.append(block["input_ids"][1:], _vocabulary.IGNORED).astype(np.int64)
    return found


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Output arrays by name: for each token, the logits of the next one."""
    return {"logits": {"dtype": "float32", "shape": ["batch", "sequence", record["vocabulary"]]}}


def build(record: Mapping[str, Any], model: Any) -> HeadModule:
    """The head module, around transformers' model with the backbone's language-model head."""
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
