"""XLM-RoBERTa: RoBERTa trained on a hundred languages (Conneau et al., 2019, arXiv:1911.02116)."""

from __future__ import annotations

from . import roberta

FAMILY = roberta.FAMILY
