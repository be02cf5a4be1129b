"""Shortens texts with an encoder-decoder, such as T5 or BART."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..floors import Floor, Sample
from ..metrics import summarization
from . import _sequences

SENTENCE = re.compile(r"(?<=[.!?。！？])\s+")  # where one ends


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """The first sentence of a text, which is hard to beat in news and abstracts."""
    yield from _sequences.untuned(record)
    yield _sequences.written_floor("first sentence", lambda source: SENTENCE.split(source.strip(), maxsplit=1)[0])


HEAD = replace(_sequences.HEAD, metrics=summarization.METRICS, floors=floors)
