"""M2M-100 and NLLB: BART's layers with fixed positions, over many languages (Fan et al., 2020, arXiv:2010.11125).

A token before a text says its language.
"""

from __future__ import annotations

from dataclasses import replace

from . import pegasus

FAMILY = replace(pegasus.FAMILY)
