"""Chooses labels for an image: one label, or several with a threshold each."""

from __future__ import annotations

from ..classification import METRICS, TARGETS, Options, Tally, build, loss, lower, problems, target

__all__ = ["METRICS", "MODALITY", "NEEDS", "OUTPUTS", "TARGETS", "Options", "Tally", "build", "loss", "lower", "problems", "target"]

MODALITY = "image"
NEEDS = "pooled"
OUTPUTS = ("logits",)
