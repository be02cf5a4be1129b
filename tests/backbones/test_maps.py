"""Feature maps of families: as many channels and cells as the plan is told, and those that transformers' own backbones give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from graftc.compiler import variants

from . import tiny

WORDS = [word for word in variants.words("backbones") if variants.family(word).maps]
OTHER: dict[str, list[dict[str, Any]]] = {
    "mobilenet-v2": [{"output_stride": 16}, {"output_stride": 8, "depth_multiplier": 0.5}],
    "resnet": [{"downsample_in_first_stage": True}],
    "vit": [{"patch_size": 16}],
}
CASES = [(word, {}) for word in WORDS] + [(word, other) for word, each in OTHER.items() for other in each]


@pytest.mark.parametrize(("word", "other"), CASES)
@torch.no_grad()
def test_levels_are_what_the_module_gives(word: str, other: dict[str, Any]) -> None:
    config = tiny.config(word)
    for key, value in other.items():
        setattr(config, key, value)
    family, told = variants.family(word), config.to_dict()
    module = family.ready(transformers.AutoModel.from_config(config, **family.load)).eval()
    side = 32 if family.pixels else 96
    assert family.maps is not None
    found = family.maps.of(module(torch.randn(2, 3, side, side), **family.maps.arguments), told)
    expected = [(2, level.channels, side // level.stride, side // level.stride) for level in family.maps.levels(told)]
    assert [tuple(level.shape) for level in found] == expected


@torch.no_grad()
def test_those_of_a_resnet_are_its_backbones() -> None:
    config = tiny.config("resnet")
    config.out_features = config.stage_names[1:]
    theirs = transformers.AutoBackbone.from_config(config).eval()
    ours = transformers.AutoModel.from_config(config).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    family, picture = variants.family("resnet"), torch.randn(2, 3, 64, 64)
    assert family.maps is not None
    found = family.maps.of(ours(picture, **family.maps.arguments), config.to_dict())
    for mine, other in zip(found, theirs(picture).feature_maps, strict=True):
        torch.testing.assert_close(mine, other)


def test_only_pictures_have_maps() -> None:
    assert {variants.family(word).modality for word in WORDS} == {"image"}
    assert len(WORDS) == 6
