"""XLM-RoBERTa: RoBERTa trained on a hundred languages (Conneau et al., 2019, arXiv:1911.02116)."""

from __future__ import annotations

from . import roberta

MODALITY = roberta.MODALITY
PROVIDES = roberta.PROVIDES
PREFIX = roberta.PREFIX
OMITTED = roberta.OMITTED
BUFFERS = roberta.BUFFERS
RENAMED = roberta.RENAMED
PARTS = roberta.PARTS
NORMS = roberta.NORMS
KINDS = roberta.KINDS
TARGET = roberta.TARGET
INPUTS = roberta.INPUTS
LOAD = roberta.LOAD
WORDS = roberta.WORDS
TIED = roberta.TIED
TIES = roberta.TIES

language_model = roberta.language_model
width = roberta.width
longest = roberta.longest
cache = roberta.cache
shapes = roberta.shapes
mistakes = roberta.mistakes
