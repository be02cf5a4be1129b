"""Swin: attention in shifted windows, with stages that halve the resolution (Liu et al., 2021, arXiv:2103.14030).

`stages` are the modules `encoder.layers`, as the paper and config.json name them, because they consist of blocks. The
layer norm after the last stage is in no part: it learns with the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..contracts.backbone import Config, Family, Level, Maps, Mistake
from . import resnet
from ._shapes import Shapes, linear, norm, sides, stack

if TYPE_CHECKING:
    import torch


def width(config: Config) -> int:
    """The channels of the last stage; each stage doubles them."""
    return int(config.get("embed_dim", 96) * 2 ** (len(config.get("depths", (2, 2, 6, 2))) - 1))


def levels(config: Config) -> tuple[Level, ...]:
    """One level for each stage, before it halves the sides."""
    finest, _ = sides(config["patch_size"])
    return tuple(Level(config["embed_dim"] << stage, finest << stage) for stage in range(len(config["depths"])))


def maps(outputs: Any, config: Config) -> tuple[torch.Tensor, ...]:
    """The outputs of the stages, without the stem's."""
    return tuple(outputs.reshaped_hidden_states[1:])


def shapes(config: Config) -> Shapes:
    """Every tensor of SwinModel without its pooler, which has none."""
    width, depths, patch = config["embed_dim"], config["depths"], sides(config["patch_size"])
    found: Shapes = {
        "embeddings.patch_embeddings.projection.weight": (width, config["num_channels"], *patch),
        "embeddings.patch_embeddings.projection.bias": (width,),
        **norm("embeddings.norm", width),
        **norm("layernorm", width * 2 ** (len(depths) - 1)),
    }
    if config["use_absolute_embeddings"]:
        height, breadth = sides(config["image_size"])
        found["embeddings.position_embeddings"] = (1, (height // patch[0]) * (breadth // patch[1]), width)
    for i, (depth, heads) in enumerate(zip(depths, config["num_heads"], strict=True)):
        at, here = f"encoder.layers.{i}", width * 2**i
        found |= stack(f"{at}.blocks", depth, _block(config, here, heads))
        if i + 1 < len(depths):
            found |= {**linear(f"{at}.downsample.reduction", 4 * here, 2 * here, False)}
            found |= norm(f"{at}.downsample.norm", 4 * here)
    return found


def _block(config: Config, width: int, heads: int) -> Shapes:
    inner, bias = int(config["mlp_ratio"] * width), config["qkv_bias"]
    table = "attention.relative_position_bias.relative_position_bias_table"
    found: Shapes = {
        table: ((2 * config["window_size"] - 1) ** 2, heads),
        **linear("attention.o_proj", width, width),
        **norm("layernorm_before", width),
        **norm("layernorm_after", width),
        **linear("mlp.fc1", width, inner),
        **linear("mlp.fc2", inner, width),
    }
    for part in "qkv":
        found |= linear(f"attention.{part}_proj", width, width, bias)
    return found


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    for i, heads in enumerate(config["num_heads"][: len(config["depths"])]):
        if (config["embed_dim"] * 2**i) % heads:
            yield "num_heads", f"{heads} heads can't share a width of {config['embed_dim'] * 2**i}"


FAMILY = Family(
    modality="image",
    provides=frozenset({"pooled"}),
    prefix="swin.",
    omitted=(
        r"(?!(embeddings|encoder|layernorm)\.)",  # other names are a head's
        r"embeddings\.mask_token$",
        r".*\.relative_position_index$",  # computed from the window size since transformers 5
    ),
    # transformers 5 reads both layouts and writes the old one, unless it read the new one; the order matters
    renamed={
        r"attention\.self\.query\.": "attention.q_proj.",
        r"attention\.self\.key\.": "attention.k_proj.",
        r"attention\.self\.value\.": "attention.v_proj.",
        r"attention\.self\.relative_position_bias_table$": (
            "attention.relative_position_bias.relative_position_bias_table"
        ),
        r"attention\.output\.dense\.": "attention.o_proj.",
        r"intermediate\.dense\.": "mlp.fc1.",
        r"output\.dense\.": "mlp.fc2.",
    },
    parts={"embeddings": r"embeddings\.", "stages": r"encoder\.layers\.(\d+)\."},
    norms=r"(norm|layernorm(_before|_after)?)\.(weight|bias)$",
    kinds={
        "query": r"attention\.q_proj$",
        "key": r"attention\.k_proj$",
        "value": r"attention\.v_proj$",
        "attention": r"attention\.[qkvo]_proj$",
        "mlp": r"mlp\.fc[12]$",
        "all-linear": r"(attention\.[qkvo]_proj|mlp\.fc[12]|downsample\.reduction)$",
    },
    target=("query", "value"),
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=resnet.longest,
    inputs=("pixel_values",),
    pooled=resnet.pooled,
    maps=Maps(
        levels=levels,
        of=maps,
        arguments={"output_hidden_states": True, "output_hidden_states_before_downsampling": True},
    ),
)
