"""Tells whether the two parts of a text stand in their order (sentence order: Lan et al., 2019, arXiv:1909.11942)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..diagnostics import Diagnostic
from ..facts.rows import Unusable
from ..frozen import Frozen
from ..heads import _classification, _scores, _shares
from ..inputs import text

if TYPE_CHECKING:
    import numpy as np

MODALITY = "text"
NEEDS = "pooled"
ROLES = ("text",)
OPTIONAL: tuple[str, ...] = ()
JOINED = ROLES
IN_FILES = text.IN_FILES
TARGETS: tuple[str, ...] = ()  # what stands first is known
METRICS = "classification"
ORDERS = ("in order", "swapped")
SENTENCES, WORDS = re.compile(r"(?<=[.!?…。！？])\s+"), re.compile(r"\s+")
Tally = _scores.Tally
files, stratum = text.files, _scores.stratum
build, loss, parameters, outputs = _shares.build, _shares.loss, _shares.parameters, _shares.outputs


class Options(Frozen):
    """Keys of a stage with objective sentence-order."""

    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with a row's text: it is none, or has one word only."""
    wrong = text.refusal(row, columns, folder)
    if wrong is None and len(str(text.raw(row, columns, folder)).split()) < 2:
        return Unusable(columns["text"][0], "is one word, which has no two parts")
    return wrong


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    """The two parts of a row's text, swapped in half of the rows."""
    first, second = halves(str(text.raw(row, columns, folder)))
    return (second, first) if _is_swapped(first, second) else (first, second)


def halves(whole: str) -> tuple[str, str]:
    """A text divided between two sentences, else between two words, as near its middle as can be.

    >>> halves("It rained. We stayed in. Nobody came to see us.")
    ('It rained. We stayed in.', 'Nobody came to see us.')
    """
    whole = whole.strip()
    gaps = list(SENTENCES.finditer(whole)) or list(WORDS.finditer(whole))
    gap = min(gaps, key=lambda found: abs(found.start() - len(whole) / 2))
    return whole[: gap.start()], whole[gap.end() :]


def _is_swapped(first: str, second: str) -> bool:
    """Half of all texts are, always the same ones: a later epoch must not see both orders."""
    return bool(blake2b(f"{first}\n{second}".encode(), digest_size=1).digest()[0] % 2)


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of preprocessing says besides: two texts are read together."""
    return {"is_pair": True}


def problems(options: Options, tallies: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Nothing can be wrong with texts that have two parts."""
    yield from ()


def metrics(columns: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`, the default first."""
    return _classification.metrics(columns)


def lower(options: Options, train: Any) -> dict[str, Any]:
    """The record, as that of a head with two labels."""
    return {
        "labels": ORDERS, "is_multi": False, "dropout": 0.1, "hidden": (), "label_smoothing": 0.0, "focal": 0.0,
        "class_weights": None, "thresholds": None,
    }  # fmt: skip


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """Whether the row's two parts are swapped, an int64."""
    import numpy as np

    return [np.array(_is_swapped(*halves(str(text.raw(row, columns, Path())))), np.int64)]
