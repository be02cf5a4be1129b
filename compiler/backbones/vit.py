"""ViT: a transformer encoder over patches of a picture (Dosovitskiy et al., 2020, arXiv:2010.11929).

The layer norm after the last layer is in no part: it learns with the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..contracts.backbone import Config, Family, Level, Maps, Mistake
from ._shapes import Shapes, linear, norm, sides, stack, undivided

if TYPE_CHECKING:
    import torch


def width(config: Config) -> int:
    """The width of a patch's state, and of the pooled vector."""
    return int(config.get("hidden_size", 768))


def longest(config: Config) -> int | None:
    """None, because pictures have no length; preprocessing fixes their size."""
    return None


def pixels(config: Config) -> tuple[int, int]:
    """(height, width) of pictures, whose patches have learned positions."""
    return sides(config.get("image_size", 224))


def pooled(outputs: Any) -> torch.Tensor:
    """The state of the class token, as in ViTForImageClassification: (batch, width)."""
    return outputs.last_hidden_state[:, 0]


def levels(config: Config) -> tuple[Level, ...]:
    """One level: the states of the patches."""
    return (Level(config["hidden_size"], sides(config["patch_size"])[0]),)


def maps(outputs: Any, config: Config) -> tuple[torch.Tensor, ...]:
    """The states of the patches, without those of special tokens, arranged as in the picture."""
    (height, breadth), patch = sides(config["image_size"]), sides(config["patch_size"])
    rows, columns = height // patch[0], breadth // patch[1]
    states = outputs.last_hidden_state[:, -rows * columns :]
    return (states.transpose(1, 2).unflatten(2, (rows, columns)),)


def shapes(config: Config) -> Shapes:
    """Every tensor of ViTModel without its pooler."""
    return encoder(config, special=1)


def encoder(config: Config, special: int) -> Shapes:
    """The tensors of an encoder of patches, with `special` tokens before them."""
    width, inner, bias = config["hidden_size"], config["intermediate_size"], config["qkv_bias"]
    layer = {
        **linear("attention.o_proj", width, width),
        **norm("layernorm_before", width),
        **norm("layernorm_after", width),
        **linear("mlp.fc1", width, inner),
        **linear("mlp.fc2", inner, width),
    }
    for part in "qkv":
        layer |= linear(f"attention.{part}_proj", width, width, bias)
    (height, breadth), patch = sides(config["image_size"]), sides(config["patch_size"])
    patches = (height // patch[0]) * (breadth // patch[1])
    return {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.position_embeddings": (1, patches + special, width),
        "embeddings.patch_embeddings.projection.weight": (width, config["num_channels"], *patch),
        "embeddings.patch_embeddings.projection.bias": (width,),
        **stack("layers", config["num_hidden_layers"], layer),
        **norm("layernorm", width),
    }


def mistakes(config: Config) -> Iterator[Mistake]:
    """Values that shapes of tensors do not show to be wrong."""
    yield from undivided(config, "hidden_size", "num_attention_heads")


FAMILY = Family(
    modality="image",
    provides=frozenset({"pooled"}),
    prefix="vit.",
    # other names are a head's, the pooler's or, in masked image modelling, the mask token
    omitted=(r"(?!(embeddings|layers|layernorm)\.)", r"embeddings\.mask_token$"),
    # transformers 5 reads both layouts and writes the old one, unless it read the new one; the order matters
    renamed={
        r"^encoder\.layer\.": "layers.",
        r"attention\.attention\.query\.": "attention.q_proj.",
        r"attention\.attention\.key\.": "attention.k_proj.",
        r"attention\.attention\.value\.": "attention.v_proj.",
        r"attention\.output\.dense\.": "attention.o_proj.",
        r"intermediate\.dense\.": "mlp.fc1.",
        r"output\.dense\.": "mlp.fc2.",
    },
    parts={"embeddings": r"embeddings\.", "layers": r"layers\.(\d+)\."},
    norms=r"layernorm(_before|_after)?\.(weight|bias)$",
    kinds={
        "query": r"attention\.q_proj$",
        "key": r"attention\.k_proj$",
        "value": r"attention\.v_proj$",
        "attention": r"attention\.[qkvo]_proj$",
        "mlp": r"mlp\.fc[12]$",
        "attention-output": r"attention\.o_proj$",
        "mlp-output": r"mlp\.fc2$",
        "all-linear": r"(attention\.[qkvo]_proj|mlp\.fc[12])$",
    },
    target=("query", "value"),
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    pixels=pixels,
    load={"add_pooling_layer": False},
    inputs=("pixel_values",),
    pooled=pooled,
    maps=Maps(levels=levels, of=maps, arguments={}),
)
