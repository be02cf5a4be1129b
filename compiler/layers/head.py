"""The base of head modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

WANTED = "wanted"  # an array of training batches, bool (rows, tokens): the tokens whose outputs the loss reads


class HeadModule(nn.Module):
    """A head on a feature; `forward` returns the arrays that the head's record names as outputs.

    The feature has the shape (batch, width). For a head that needs the states of tokens it is (batch, tokens, width);
    for one that needs feature maps, a tuple of (batch, channels, height, width), from the finest to the coarsest.
    """

    reads_arrays = False  # whether `forward` also takes the arrays of the input

    def tie(self, backbone: Any) -> None:
        """Shares tensors of a backbone; by default none."""

    def graphs(self, backbone: Any) -> Mapping[str, nn.Module]:
        """Further graphs that the decoder runs, by name: arrays by name in, tensors by name out; by default none."""
        return {}
