"""Masks words of a text and predicts them (Devlin et al., 2018, arXiv:1810.04805), with new masks in every step."""

from __future__ import annotations

from dataclasses import replace

from ..heads import _masking, _vocabulary


class Options(_masking.Masked, _vocabulary.Fitted):
    """Keys of a stage with objective masked-language-modeling."""


OBJECTIVE = replace(_masking.MASKED, options=Options)
