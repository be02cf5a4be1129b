"""Fuses a graph into onnxruntime's own operators."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from ..diagnostics import At, refuse

DOMAIN = "com.microsoft"


def fuse(path: Path, heads: int = 0, width: int = 0, is_fused: bool = False) -> onnx.ModelProto:
    """A graph rewritten by onnxruntime's transformer optimizer, with operators that only onnxruntime has.

    `heads` and `width` are those of the attention; 0 leaves attention unfused. `is_fused` tells that the graph has such
    operators before. Raises Refused E0513 where nothing is fused.
    """
    from onnxruntime.transformers.optimizer import optimize_model

    # other encoders consist of BERT's parts; fusions that do not match are skipped
    model: onnx.ModelProto = optimize_model(str(path), model_type="bert", num_heads=heads, hidden_size=width).model
    if not is_fused and not fused(model):
        raise refuse(
            "E0513",
            "onnxruntime's optimizer fuses nothing in this graph",
            "the bundle would be the portable one under another name",
            at=At(("export", "optimize")),
            help="write `export.optimize: portable`",
        )
    return model


def fused(model: onnx.ModelProto) -> dict[str, int]:
    """The number of each of onnxruntime's own operators in a graph."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node if node.domain == DOMAIN).items()))
