"""ConvNeXt: a convolutional network modelled on vision transformers (Liu et al., 2022, arXiv:2201.03545).

The layer norm of the pooled vector is in no part: it learns with the head.
"""

from __future__ import annotations

from ..contracts.backbone import Config, Family, Level, Maps
from . import resnet
from ._shapes import Shapes, linear, norm, sides, stack


def width(config: Config) -> int:
    """The channels of the last stage."""
    return int(config.get("hidden_sizes", (96, 192, 384, 768))[-1])


def levels(config: Config) -> tuple[Level, ...]:
    """One level for each stage; the first has a cell for each patch, each further one half the sides."""
    finest, _ = sides(config["patch_size"])
    return tuple(Level(channels, finest << stage) for stage, channels in enumerate(config["hidden_sizes"]))


def shapes(config: Config) -> Shapes:
    """Every tensor of ConvNextModel."""
    sizes, patch = config["hidden_sizes"], sides(config["patch_size"])
    found: Shapes = {
        "embeddings.patch_embeddings.weight": (sizes[0], config["num_channels"], *patch),
        "embeddings.patch_embeddings.bias": (sizes[0],),
        **norm("embeddings.layernorm", sizes[0]),
        **norm("layernorm", sizes[-1]),
    }
    for i in range(min(config["num_stages"], len(sizes) + 1)):  # one stage too many raises IndexError
        at = f"encoder.stages.{i}"
        if i:
            found |= norm(f"{at}.downsampling_layer.0", sizes[i - 1])
            found[f"{at}.downsampling_layer.1.weight"] = (sizes[i], sizes[i - 1], 2, 2)
            found[f"{at}.downsampling_layer.1.bias"] = (sizes[i],)
        found |= stack(f"{at}.layers", config["depths"][i], _layer(sizes[i], config["layer_scale_init_value"] > 0))
    return found


def _layer(width: int, is_scaled: bool) -> Shapes:
    return {
        **({"layer_scale_parameter": (width,)} if is_scaled else {}),
        "dwconv.weight": (width, 1, 7, 7),
        "dwconv.bias": (width,),
        **norm("layernorm", width),
        **linear("pwconv1", width, 4 * width),
        **linear("pwconv2", 4 * width, width),
    }


FAMILY = Family(
    modality="image",
    provides=frozenset({"pooled"}),
    prefix="convnext.",
    omitted=(r"(?!(embeddings|encoder|layernorm)\.)",),  # other names are a head's
    parts={"stem": r"embeddings\.", "stages": r"encoder\.stages\.(\d+)\."},
    norms=r"(layernorm|downsampling_layer\.0)\.(weight|bias)$",
    kinds={
        "convolution": r"(patch_embeddings|downsampling_layer\.1)$",  # `dwconv` is depthwise
        "mlp": r"pwconv[12]$",
        "all-linear": r"pwconv[12]$",
    },
    target=("mlp",),
    convolves=True,
    shapes=shapes,
    width=width,
    longest=resnet.longest,
    inputs=("pixel_values",),
    pooled=resnet.pooled,
    maps=Maps(levels=levels, of=resnet.maps),
)
