"""Shapes of the layers that families are made of, by the names of their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..contracts.backbone import Config, Mistake

Shapes = dict[str, tuple[int, ...]]
DEEPEST = 10_000  # layers; more are a mistake, and would take the memory of the machine


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    """A linear layer, which keeps its weight as (outputs, inputs)."""
    return {f"{name}.weight": (outputs, inputs), **({f"{name}.bias": (outputs,)} if bias else {})}


def norm(name: str, width: int, bias: bool = True) -> Shapes:
    """A layer norm; one of root mean squares has no bias."""
    return {f"{name}.weight": (width,), **({f"{name}.bias": (width,)} if bias else {})}


def convolution(name: str, inputs: int, outputs: int, size: int) -> Shapes:
    """A square convolution without bias and the batch norm after it, as ResNet and MobileNet name them."""
    at = f"{name}.normalization"
    sides = {f"{at}.{word}": (outputs,) for word in ("weight", "bias", "running_mean", "running_var")}
    kernel = {f"{name}.convolution.weight": (outputs, inputs, size, size)}
    return {**kernel, **sides, f"{at}.num_batches_tracked": ()}


def stack(name: str, count: int, layer: Mapping[str, tuple[int, ...]]) -> Shapes:
    """Layers that are alike, numbered from 0; raises ValueError for more than there can be."""
    if count > DEEPEST:
        raise ValueError(f"{count} layers")
    return {f"{name}.{i}.{part}": shape for i in range(count) for part, shape in layer.items()}


def sides(value: int | list[int]) -> tuple[int, int]:
    """Height and width of what config.json gives as one number or as a pair."""
    height, width = value if isinstance(value, list) else (value, value)
    return height, width


def undivided(config: Config, width: str, heads: str) -> Iterator[Mistake]:
    """Says so where heads can't share a width evenly; both are keys of config.json."""
    if config[width] % config[heads]:
        yield heads, f"{config[heads]} heads can't share a `{width}` of {config[width]}"
