"""Fuses a graph into onnxruntime's own operators."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from ..diagnostics import At, refuse

DOMAIN = "com.microsoft"


def fuse(path: Path, heads: int = 0, width: int = 0) -> onnx.ModelProto:
    """A graph as onnxruntime's transformer optimizer rewrites it, in operators that no other runtime has.

    `heads` and `width` are those of the attention, which stays as it is where they are 0.
    Raises Refused E0513 where there is nothing that it knows.
    """
    from onnxruntime.transformers.optimizer import optimize_model

    # other encoders have BERT's parts: what they have not is passed over
    model: onnx.ModelProto = optimize_model(str(path), model_type="bert", num_heads=heads, hidden_size=width).model
    if not fused(model):
        raise refuse(
            "E0513",
            "onnxruntime's optimizer fuses nothing in this graph",
            "the bundle would be the portable one under another name",
            at=At(("export", "optimize")),
            help="write `export.optimize: portable`",
        )
    return model


def fused(model: onnx.ModelProto) -> dict[str, int]:
    """How often a graph holds each of onnxruntime's own operators."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node if node.domain == DOMAIN).items()))
