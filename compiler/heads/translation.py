"""Translates texts with an encoder-decoder, such as T5 or Marian."""

from __future__ import annotations

from ._sequences import HEAD

__all__ = ["HEAD"]
