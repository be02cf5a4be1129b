"""Shapes of common layers, by the names of their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..contracts.backbone import Config, Mistake

Shapes = dict[str, tuple[int, ...]]
DEEPEST = 10_000  # the most layers; more are a mistake, and could exhaust memory


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    """A linear layer, with its weight as (outputs, inputs)."""
    return {f"{name}.weight": (outputs, inputs), **({f"{name}.bias": (outputs,)} if bias else {})}


def norm(name: str, width: int, bias: bool = True) -> Shapes:
    """A layer norm, or an RMS norm, which has no bias."""
    return {f"{name}.weight": (width,), **({f"{name}.bias": (width,)} if bias else {})}


def convolution(name: str, inputs: int, outputs: int, size: int) -> Shapes:
    """A square convolution without bias, and its batch norm, named as in ResNet and MobileNet."""
    at = f"{name}.normalization"
    sides = {f"{at}.{word}": (outputs,) for word in ("weight", "bias", "running_mean", "running_var")}
    kernel = {f"{name}.convolution.weight": (outputs, inputs, size, size)}
    return {**kernel, **sides, f"{at}.num_batches_tracked": ()}


def stack(name: str, count: int, layer: Mapping[str, tuple[int, ...]]) -> Shapes:
    """Equal layers, numbered from 0; raises ValueError for too many."""
    if count > DEEPEST:
        raise ValueError(f"{count} layers")
    return {f"{name}.{i}.{part}": shape for i in range(count) for part, shape in layer.items()}


def sides(value: int | list[int]) -> tuple[int, int]:
    """(height, width) of a value of config.json that is one number or a pair."""
    height, width = value if isinstance(value, list) else (value, value)
    return height, width


def undivided(config: Config, width: str, heads: str) -> Iterator[Mistake]:
    """A mistake where heads can't share a width evenly; `width` and `heads` are keys of config.json."""
    if config[width] % config[heads]:
        yield heads, f"{config[heads]} heads can't share a `{width}` of {config[width]}"


def mixed(config: Config, usual: Sequence[str] = ()) -> Iterator[Mistake]:
    """Mistakes of `layer_types`, by which some layers attend to a window; `usual` are those where it is left out."""
    given, layers = config.get("layer_types"), config["num_hidden_layers"]
    types = usual if given is None else given
    if given is not None and len(given) != layers:
        yield "layer_types", f"{len(given)} entries for {layers} layers"
    if strange := sorted(set(types) - {"full_attention", "sliding_attention"}):
        yield "layer_types", f"its layers know no `{strange[0]}`"
    if "sliding_attention" in types and config.get("sliding_window") is None:
        yield "sliding_window", "some layers attend to a window, and none is given"
