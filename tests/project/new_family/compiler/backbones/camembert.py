"""CamemBERT: RoBERTa trained on French (Martin et al., 2019, arXiv:1911.03894)."""

from __future__ import annotations

from dataclasses import replace

from . import roberta

FAMILY = replace(roberta.FAMILY, config_like="roberta")
