"""Answers as a command line prints them: one JSON line each, or one text as it comes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import IO, Any

from .escapes import printable, shown
from .model import Model
from .verify import plain


def write(model: Model, inputs: Sequence[Any], out: IO[str], **options: Any) -> None:
    """Writes the answers to some inputs as lines of JSON; to a terminal, the text for one input as it is written.

    Raises what `Model.predict` raises.
    """
    if len(inputs) != 1 or not out.isatty() or not model.streams(**options):
        lines(model.predict(list(inputs), **options), out)
        return
    for piece in model.stream(inputs[0], **options):
        out.write(shown(piece))
        out.flush()
    out.write("\n")


def lines(answers: Iterable[Any], out: IO[str]) -> None:
    """Writes answers as lines of JSON."""
    for answer in answers:
        out.write(printable(json.dumps(plain(answer), ensure_ascii=False)) + "\n")
