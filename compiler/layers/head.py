"""What is learned on top of a backbone, as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


class HeadModule(nn.Module):
    """A feature in, arrays by name out: the outputs that the head's record in the plan names.

    The feature is (batch, width); for a head that needs every token's state, (batch, tokens, width); for one that needs
    feature maps, a tuple of (batch, channels, height, width), from the finest to the coarsest.
    """

    reads_arrays = False  # whether `forward` takes the arrays of the input, too

    def tie(self, backbone: Any) -> None:
        """Shares tensors of a backbone; by default there are none to share."""

    def graphs(self, backbone: Any) -> Mapping[str, nn.Module]:
        """The graphs that its decoder asks besides a single pass, by name: arrays by name in, tensors by name out."""
        return {}
