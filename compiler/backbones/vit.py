"""ViT: a transformer encoder over the patches of an image (Dosovitskiy et al., 2020, arXiv:2010.11929).

The layer norm after the last layer is in no part: it stays with whatever is trained on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..contracts.backbone import Config, Family, Level, Maps, Mistake
from ._shapes import Shapes, linear, norm, sides, stack, undivided

if TYPE_CHECKING:
    import torch


def width(config: Config) -> int:
    """The size of a patch's state, and of the pooled vector."""
    return int(config.get("hidden_size", 768))


def longest(config: Config) -> int | None:
    """Images have no length; the preprocessing fixes their size."""
    return None


def pixels(config: Config) -> tuple[int, int]:
    """Height and width of the pictures, whose patches have a position each."""
    return sides(config.get("image_size", 224))


def pooled(outputs: Any) -> torch.Tensor:
    """The state of the class token, as ViTForImageClassification takes it."""
    return outputs.last_hidden_state[:, 0]


def levels(config: Config) -> tuple[Level, ...]:
    """The states of the patches, as one map."""
    return (Level(config["hidden_size"], sides(config["patch_size"])[0]),)


def maps(outputs: Any, config: Config) -> tuple[torch.Tensor, ...]:
    """The states of the patches, which come after those of special tokens, as they lie in the picture."""
    (height, breadth), patch = sides(config["image_size"]), sides(config["patch_size"])
    rows, columns = height // patch[0], breadth // patch[1]
    states = outputs.last_hidden_state[:, -rows * columns :]
    return (states.transpose(1, 2).unflatten(2, (rows, columns)),)


def shapes(config: Config) -> Shapes:
    """Every tensor of ViTModel without its pooler."""
    return encoder(config, special=1)


def encoder(config: Config, special: int) -> Shapes:
    """The tensors of an encoder of patches, with `special` tokens before these."""
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
    """What no tensor's shape shows."""
    yield from undivided(config, "hidden_size", "num_attention_heads")


FAMILY = Family(
    modality="image",
    provides=frozenset({"pooled"}),
    prefix="vit.",
    # Whatever lies outside is a head, the pooler or, in masked image modeling, the mask token.
    omitted=(r"(?!(embeddings|layers|layernorm)\.)", r"embeddings\.mask_token$"),
    # transformers 5 reads both layouts and writes the old one, unless it read the new one. The order matters.
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
