"""Decides the operator of attention in the graph of a language model that writes."""

from __future__ import annotations

from ..facts.backbone import BackboneFacts
from ..language.spec import Spec
from .export import AttentionPlan


def attention(spec: Spec, backbone: BackboneFacts) -> AttentionPlan | None:
    """GroupQueryAttention with `optimize: onnxruntime`, where it can be had; None for other heads and forms."""
    if spec.export.optimize != "onnxruntime" or not any(view.head_variant.writes for view in spec.each):
        return None
    because = _lack(spec, backbone)
    return AttentionPlan(operator="standard operators" if because else "GroupQueryAttention", because=because)


def _lack(spec: Spec, backbone: BackboneFacts) -> str:
    """Why GroupQueryAttention can't be had; empty where it can."""
    if not all(view.head_variant.is_grouped for view in spec.each):
        return f"{spec.each[0].head_type} has several caches"
    if spec.method_variant.positions(spec.adapt):
        return f"`{spec.method}` puts virtual tokens before each cache"
    if spec.export.exporter != "tracing":
        return f"the exporter `{spec.export.exporter}` does not know it"
    if backbone.family.ungrouped is None:
        return f"it is not known to express the attention of {backbone.word}"
    return backbone.family.ungrouped(backbone.config)
