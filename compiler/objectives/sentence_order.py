"""Tells whether the two parts of a text stand in their order (sentence order: Lan et al., 2019, arXiv:1909.11942)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.metrics import always_defined
from ..contracts.options import Pooled
from ..contracts.reading import RowReader
from ..facts.rows import Unusable
from ..frozen import Frozen
from ..heads import _shares
from ..heads._scores import Tally
from ..inputs import text
from ..metrics import classification

if TYPE_CHECKING:
    import numpy as np

ORDERS = ("in order", "swapped")
SENTENCES, WORDS = re.compile(r"(?<=[.!?…。！？])\s+"), re.compile(r"\s+")


class Options(Pooled, Frozen):
    """Keys of a stage with objective sentence-order."""

    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with a row's text: it is missing or has a single word only."""
    wrong = text.refusal(row, columns, folder)
    if wrong is None and len(str(text.raw(row, columns, folder)).split()) < 2:
        return Unusable(columns["text"][0], "is one word, which has no two parts")
    return wrong


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    """The two parts of a row's text, swapped in half of the rows."""
    first, second = halves(str(text.raw(row, columns, folder)))
    return (second, first) if _is_swapped(first, second) else (first, second)


def halves(whole: str) -> tuple[str, str]:
    """A text divided between two sentences, else between two words, as near to its middle as possible.

    >>> halves("It rained. We stayed in. Nobody came to see us.")
    ('It rained. We stayed in.', 'Nobody came to see us.')
    """
    whole = whole.strip()
    gaps = list(SENTENCES.finditer(whole)) or list(WORDS.finditer(whole))
    gap = min(gaps, key=lambda found: abs(found.start() - len(whole) / 2))
    return whole[: gap.start()], whole[gap.end() :]


def _is_swapped(first: str, second: str) -> bool:
    """Whether a text's parts are swapped: half of all texts are, always the same ones.

    It depends on the text alone, so that no later epoch sees the other order.
    """
    return bool(blake2b(f"{first}\n{second}".encode(), digest_size=1).digest()[0] % 2)


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Additions to the preprocessing record: two texts are read together."""
    return {"is_pair": True}


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record of a head with the two orders as labels."""
    return {
        "labels": ORDERS,
        "is_multi": False,
        "dropout": 0.1,
        "hidden": (),
        "label_smoothing": 0.0,
        "focal": 0.0,
        "class_weights": None,
        "thresholds": None,
    }


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """1 where the row's two parts are swapped, else 0, an int64."""
    import numpy as np

    return [np.array(_is_swapped(*halves(str(text.raw(row, columns, Path())))), np.int64)]


OBJECTIVE = Head(
    modality="text",
    needs="pooled",
    options=Options,
    # every text has two parts, whose order is known
    metrics=replace(classification.METRICS, is_defined=always_defined),
    reader=RowReader(roles=("text",), joined=("text",), raw=raw, refusal=refusal),
    reads=reads,
    tally=Tally,
    lower=lower,
    parameters=_shares.parameters,
    outputs=_shares.outputs,
    target=target,
    build=_shares.build,
    loss=_shares.loss,
)
