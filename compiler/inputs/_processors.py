"""Defaults of transformers' image processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Steps(NamedTuple):
    """The defaults of one image processor of transformers."""

    size: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: int  # Pillow's numbers: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming
    crop_size: int | None = None
    do_center_crop: bool | None = None
    crop_pct: float | None = None
    default_to_square: bool = True


_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_SQUARE = {"height": 224, "width": 224}

# processors whose steps the runtime repeats exactly; a test compares this table with transformers' classes
PROCESSORS: Mapping[str, Steps] = {
    "BeitImageProcessor": Steps(_SQUARE, *_HALF, 3, 224, False),
    "BitImageProcessor": Steps({"shortest_edge": 224}, *_CLIP, 3, 224, True, default_to_square=False),
    "BlipImageProcessor": Steps({"height": 384, "width": 384}, *_CLIP, 3),
    "CLIPImageProcessor": Steps({"shortest_edge": 224}, *_CLIP, 3, 224, True, default_to_square=False),
    "ConvNextImageProcessor": Steps({"shortest_edge": 384}, *_HALF, 3, crop_pct=224 / 256, default_to_square=False),
    "DeiTImageProcessor": Steps({"height": 256, "width": 256}, *_HALF, 3, 224, True),
    "MobileNetV1ImageProcessor": Steps({"shortest_edge": 256}, *_HALF, 2, 224, True, default_to_square=False),
    "MobileNetV2ImageProcessor": Steps({"shortest_edge": 256}, *_HALF, 2, 224, True, default_to_square=False),
    "PvtImageProcessor": Steps(_SQUARE, *_IMAGENET, 3),
    "SiglipImageProcessor": Steps(_SQUARE, *_HALF, 3, default_to_square=False),
    "ViTImageProcessor": Steps(_SQUARE, *_HALF, 2),
}

# model type → the processor that transformers uses where files name none
OF_MODEL: Mapping[str, str] = {
    **dict.fromkeys(("beit", "data2vec-vision"), "BeitImageProcessor"),
    **dict.fromkeys(("bit", "dinov2", "focalnet", "hiera"), "BitImageProcessor"),
    **dict.fromkeys(("clip", "clip_vision_model"), "CLIPImageProcessor"),
    **dict.fromkeys(("convnext", "convnextv2", "cvt", "regnet", "resnet"), "ConvNextImageProcessor"),
    "deit": "DeiTImageProcessor",
    "mobilenet_v1": "MobileNetV1ImageProcessor",
    "mobilenet_v2": "MobileNetV2ImageProcessor",
    **dict.fromkeys(("pvt", "pvt_v2"), "PvtImageProcessor"),
    **dict.fromkeys(("siglip", "siglip_vision_model"), "SiglipImageProcessor"),
    **dict.fromkeys(("vit", "swin", "swinv2", "dinat", "vit_mae", "vit_msn", "ijepa"), "ViTImageProcessor"),
}
