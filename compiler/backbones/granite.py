"""Granite: Llama's layers with scaled embeddings, residuals and logits (Granite Team, IBM, 2024)."""

from __future__ import annotations

from dataclasses import replace

from . import llama

FAMILY = replace(llama.FAMILY, mistakes=llama.grouped)
