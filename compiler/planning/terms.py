"""Words and limits that decisions, plans and stages share."""

from __future__ import annotations

KINDS = "quantizations"  # the folder of variants with the kinds of int8
SMALL = 0.4  # the largest share of fp32's bytes, without embeddings, that `auto` accepts of an int8 graph
MEAN = "mean"  # the name of the weighted mean of all heads' metrics
