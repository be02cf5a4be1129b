"""Translates texts with an encoder-decoder, such as T5 or Marian."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..floors import Floor, Sample
from ..metrics import translation
from . import _sequences


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """The source itself: names, numbers and punctuation stay as they are."""
    yield from _sequences.untuned(record)
    yield _sequences.written_floor("the source itself", lambda source: source)


HEAD = replace(_sequences.HEAD, metrics=translation.METRICS, floors=floors)
