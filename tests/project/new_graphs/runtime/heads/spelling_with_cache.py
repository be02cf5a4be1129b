"""Decodes spelling-with-cache: asks for a letter until the word ends, and hands on what the steps before kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..rows import Rows
from . import Decoder, Run

SIDE = range(1, 1 << 16)


@dataclass(frozen=True)
class Answer:
    """A word."""

    word: str


def answer(run: Run, head: Mapping[str, Any], rows: Rows) -> list[Answer]:
    """A word for each input; a batch goes on until its last word has ended."""
    count = len(rows.features)
    words, ends = [""] * count, np.zeros(count, bool)
    state = np.asarray(run.once(rows)["state"], np.float32)
    past = np.zeros((count, head["heads"], 0, head["size"]), np.float32)
    for _ in range(head["longest"]):
        outputs = run("step", {"state": state, "past": past})
        chosen, state, past = outputs["logits"].argmax(-1), outputs["next"], outputs["present"]
        ends |= chosen == len(head["letters"])
        if ends.all():
            break
        words = [word if end else word + head["letters"][i] for word, end, i in zip(words, ends, chosen, strict=True)]
    return [Answer(word) for word in words]


DECODER = Decoder(
    head={"letters": str, "longest": range(1, 100), "heads": SIDE, "size": SIDE}, kind=Answer, answer=answer
)
