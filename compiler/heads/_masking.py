"""Shared parts of masked language modelling: which tokens are masked, and the loss on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.head import TARGET, Head
from ..facts.backbone import BackboneFacts
from ..frozen import Frozen
from ..metrics import language
from ._scores import Tally
from ._vocabulary import IGNORED, condense, language_model, loss, parameters

if TYPE_CHECKING:
    import numpy as np

    from ..layers.head import HeadModule

KEPT, REPLACED = 0.1, 0.1  # shares of chosen tokens that are kept, and that become random words (Devlin et al., 2018)


class Masked(Frozen):
    """Keys that say which words are masked."""

    mask_share: float = Field(0.15, gt=0.0, lt=1.0, description="share of the tokens that are masked")
    whole_word: bool = Field(False, description="all tokens of a word are masked, or none")


def reads(options: Masked, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for the record of preprocessing: single texts, masked, with offsets for whole words."""
    return {"is_pair": False, "is_masked": True, **({"has_offsets": True} if options.whole_word else {})}


def lower(options: Masked, train: Tally) -> dict[str, Any]:
    """The record, without facts of the backbone."""
    return {"mask_share": options.mask_share, "whole_word": options.whole_word}


def settle(record: Mapping[str, Any], backbone: BackboneFacts, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the backbone's language model: its tensors, and whether the checkpoint lacks its head."""
    masks = {key: reading.get(key) for key in ("mask_id", "special_ids")}
    return {**record, **masks, **language_model(backbone)}


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs by name: logits over the vocabulary for each mask."""
    return {"logits": {"dtype": "float32", "shape": ["batch", "masks", record["vocabulary"]]}}


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, Any], features: Sequence[Any]
) -> list[np.ndarray]:
    """Empty targets: `draw` makes them with the masking."""
    import numpy as np

    return [np.zeros(0, np.int64) for _ in features]


def draw(
    record: Mapping[str, Any], row: Mapping[str, np.ndarray], draws: np.random.Generator, is_training: bool
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A row with some tokens masked, their places as `masks`, and the original tokens, int64 (masks,).

    In training, some of the chosen tokens are kept and some become random words; otherwise all are masked.
    """
    import numpy as np

    ids = row["input_ids"]
    units = np.where(
        np.isin(ids, record["special_ids"]), -1, row["words"] if record["whole_word"] else np.arange(len(ids))
    )
    known = np.unique(units[units >= 0])
    count = max(1, round(record["mask_share"] * len(known)))
    chosen = np.isin(units, draws.permutation(known)[:count])
    chances = draws.random(len(ids)) if is_training else np.ones(len(ids))
    words = draws.integers(0, record["vocabulary"], len(ids)) if is_training else ids
    shown = np.where(chances < KEPT, ids, np.where(chances < KEPT + REPLACED, words, record["mask_id"]))
    shown = np.where(chosen, shown, ids)
    masks = np.flatnonzero(chosen | (shown == record["mask_id"]))
    return {**row, "input_ids": shown, "masks": masks}, np.where(chosen, ids, IGNORED)[masks].astype(np.int64)


def build(record: Mapping[str, Any], model: Any) -> HeadModule:
    """The head, made of transformers' model with the backbone's language-model head."""
    from ..layers.language import LanguageModel, MaskFiller

    return MaskFiller(LanguageModel(model), record["mask_id"])


MASKED = Head(
    modality="text",
    needs="masked-language-model",
    options=Masked,
    metrics=language.METRICS,
    reads=reads,
    tally=Tally,
    lower=lower,
    settle=settle,
    parameters=parameters,
    outputs=outputs,
    target=target,
    ragged_targets=(TARGET,),
    draw=draw,
    build=build,
    loss=loss,
    condense=condense,
)
