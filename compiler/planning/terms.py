"""Words and limits that decisions, plans and stages share."""

from __future__ import annotations

KINDS = "quantizations"  # the folder of the kinds of int8
SMALL = 0.4  # of fp32's bytes, embeddings apart: the most that int8 of quantization `auto` may have
MEAN = "mean"  # the metric that is that of all heads
