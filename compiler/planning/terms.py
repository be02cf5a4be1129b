"""Words and limits that decisions, plans and stages share."""

from __future__ import annotations

KINDS = "quantizations"  # the folder of variants with the kinds of quantization
BITS = {"int8": 8, "int4": 4}  # bits of a weight in the precisions that are quantized
SMALL = 0.4  # the largest share of fp32's bytes, without embeddings, that `auto` accepts of an int8 graph, and that an int4 graph may have
MEAN = "mean"  # the name of the weighted mean of all heads' metrics
