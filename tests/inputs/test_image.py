from __future__ import annotations

import base64
import io
import json
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from transformers import AutoImageProcessor
from transformers.image_utils import load_image
from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name

from graftc.compiler.diagnostics import Refused
from graftc.compiler.inputs import _processors
from graftc.compiler.inputs import image as compiling
from graftc.compiler.inputs.image import Augment, Options
from graftc.compiler.training.augmentation import Augmentation
from graftc.runtime.inputs import image as running
from graftc.runtime.inputs.image import Preprocessor

PLAIN = {
    "modality": "image",
    "channels": 3,
    "resize": None,
    "resample": 2,
    "crop": None,
    "crop_pct": None,
    "rescale": None,
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth waves with noise on top, so that every way of resampling gives something else."""
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, channels))
    down, across = np.mgrid[0:height, 0:width]
    waves = 96 + 90 * np.sin(down / 7)[..., None] * np.cos(
        across / 11 + np.arange(channels)[:, None, None]
    ).T.transpose(1, 0, 2)
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


def encoded(array: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def backbone(
    folder: Path, written: dict[str, Any], model_type: str = "vit", name: str = "preprocessor_config.json"
) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / name).write_text(json.dumps(written))
    return folder


def record_of(folder: Path, **options: Any) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text())
    return compiling.preprocessing(folder, config, Options(**options))


def pixels_of(value: Any) -> np.ndarray:
    """What an input decodes to when nothing is resized or cropped."""
    return Preprocessor(PLAIN, Path()).features([value])[0]["pixels"]


PICTURES = {
    "landscape": picture(211, 333),
    "portrait": picture(401, 190),
    "square": picture(224, 224),
    "large": picture(700, 900),
    "tiny": picture(3, 5),
    "narrow": picture(300, 9),
    "greyscale": picture(120, 77, 1)[..., 0],
    "transparent": picture(150, 260, 4),
}

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit", {"image_processor_type": "ViTImageProcessor"}),
    "swin": ("swin", {"feature_extractor_type": "ViTFeatureExtractor", "resample": 3, "size": 224}),
    "old vit": ("vit", {"size": 224, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.229, 0.224, 0.225]}),
    "oblong": ("vit", {"image_processor_type": "ViTImageProcessorFast", "size": [160, 97], "resample": 0}),
    "deit": ("deit", {"image_processor_type": "DeiTImageProcessor"}),
    "old deit": ("deit", {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224}),
    "not normalised": ("deit", {"image_processor_type": "DeiTImageProcessor", "do_normalize": False}),
    "not rescaled": ("deit", {"image_processor_type": "DeiTImageProcessor", "do_rescale": False}),
    "not resized": ("deit", {"image_processor_type": "DeiTImageProcessor", "do_resize": False}),
    "resnet": (
        "resnet",
        {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.9},
    ),
    "convnext": ("convnext", {"image_processor_type": "ConvNextImageProcessor", "size": 224}),
    "convnext 384": ("convnextv2", {"image_processor_type": "ConvNextImageProcessor"}),
    "convnext 383": ("convnext", {"size": {"shortest_edge": 383}, "crop_pct": 0.95, "resample": 2}),
    "cropped twice": (
        "convnext",
        {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": {"height": 191, "width": 250}},
    ),
    "mobilenet_v1": ("mobilenet_v1", {"image_processor_type": "MobileNetV1ImageProcessor"}),
    "mobilenet_v2": ("mobilenet_v2", {"image_processor_type": "MobileNetV2ImageProcessor", "resample": 2}),
    "odd": ("mobilenet_v2", {"size": {"shortest_edge": 97}, "crop_size": {"height": 130, "width": 91}}),
    "lanczos": ("mobilenet_v2", {"resample": 1, "size": {"shortest_edge": 232}}),
    "box": ("mobilenet_v2", {"resample": 4, "crop_pct": 0.5}),
    "hamming": ("mobilenet_v2", {"resample": 5, "image_mean": 0.25, "image_std": 0.5}),
    "dinov2": ("dinov2", {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}}),
    "beit": ("beit", {"image_processor_type": "BeitImageProcessor", "do_center_crop": True, "size": 256}),
    "clip": ("clip", {"image_processor_type": "CLIPImageProcessor"}),
    "siglip": ("siglip", {"image_processor_type": "SiglipImageProcessor"}),
    "blip": ("blip", {"image_processor_type": "BlipImageProcessor"}),
    "pvt": (
        "pvt",
        {"image_processor_type": "PvtImageProcessor", "rescale_factor": 0.0078, "do_center_crop": None},
    ),
}


@pytest.mark.parametrize("family", FILES)
def test_pixels_are_those_of_transformers_own_processor(family: str, tmp_path: Path) -> None:
    model_type, written = FILES[family]
    folder = backbone(tmp_path / "backbone", written, model_type)
    ours = Preprocessor(record_of(folder), tmp_path)
    theirs = AutoImageProcessor.from_pretrained(folder, backend="pil")
    for name, array in PICTURES.items():
        file = tmp_path / f"{name}.png"
        file.write_bytes(encoded(array))
        expected = theirs(load_image(str(file)), return_tensors="np")["pixel_values"]
        rows = ours.features([file])
        answer = ours.collate(rows)["pixel_values"]
        assert rows[0]["pixels"].dtype == np.uint8
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("seed", range(5))
def test_sizes_are_rounded_as_transformers_rounds(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    for turn in range(20):
        crop = {"height": draw.randint(1, 60), "width": draw.randint(1, 60)}
        edge = {"shortest_edge": draw.randint(1, 60)}
        written = {"size": edge, "crop_size": crop, "do_center_crop": True, "crop_pct": draw.uniform(0.3, 1)}
        folder = backbone(tmp_path / str(turn), written, draw.choice(["convnext", "mobilenet_v2"]))
        array = picture(draw.randint(1, 90), draw.randint(1, 90), seed=turn)
        theirs = AutoImageProcessor.from_pretrained(folder, backend="pil")
        ours = Preprocessor(record_of(folder), folder)
        expected = theirs(Image.fromarray(array), return_tensors="np")["pixel_values"]
        np.testing.assert_array_equal(ours.collate(ours.features([array]))["pixel_values"], expected)


@pytest.mark.parametrize("name", _processors.PROCESSORS)
def test_the_defaults_are_those_of_transformers_classes(name: str) -> None:
    steps, theirs = _processors.PROCESSORS[name], get_image_processor_class_from_name(name + "Pil")()
    assert theirs.size == steps.size
    assert (theirs.resample, theirs.do_center_crop or False) == (
        steps.resample,
        steps.do_center_crop or False,
    )
    assert (tuple(theirs.image_mean), tuple(theirs.image_std)) == (steps.mean, steps.std)
    assert theirs.default_to_square == steps.default_to_square
    assert getattr(theirs, "crop_pct", None) == steps.crop_pct
    assert (theirs.do_resize, theirs.do_rescale, theirs.do_normalize) == (True, True, True)
    assert theirs.rescale_factor == 1 / 255
    if steps.do_center_crop:
        assert theirs.crop_size == {"height": steps.crop_size, "width": steps.crop_size}


@pytest.mark.parametrize("model_type", _processors.OF_MODEL)
def test_model_types_lead_to_transformers_processor(model_type: str) -> None:
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    theirs = IMAGE_PROCESSOR_MAPPING_NAMES[model_type.removesuffix("_vision_model")]
    assert theirs["pil"] == _processors.OF_MODEL[model_type] + "Pil"


def test_rows_of_one_shape_are_collated_in_order(tmp_path: Path) -> None:
    folder = backbone(tmp_path, {}, "vit")
    ours = Preprocessor(record_of(folder), folder)
    rows = ours.features([PICTURES["tiny"], PICTURES["large"]])
    both = ours.collate(rows)["pixel_values"]
    assert both.shape == (2, 3, 224, 224)
    np.testing.assert_array_equal(both[1:], ours.collate(rows[1:])["pixel_values"])


# --- kinds of input


def test_every_way_of_passing_a_picture_gives_the_same_pixels(tmp_path: Path) -> None:
    array = picture(40, 30)
    file = tmp_path / "a picture.png"
    file.write_bytes(encoded(array))
    uri = "data:image/png;base64," + base64.b64encode(encoded(array)).decode()
    for value in (file, str(file), file.read_bytes(), uri, Image.open(file), Image.fromarray(array), array):
        np.testing.assert_array_equal(pixels_of(value), array)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP", "JPEG", "JPEG2000", "PPM"])
def test_file_formats_decode_as_load_image_does(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"x.{kind.lower()}"
    file.write_bytes(encoded(picture(33, 48), kind))
    np.testing.assert_array_equal(pixels_of(file), np.asarray(load_image(str(file))))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "La", "RGBa"]
)
def test_modes_become_rgb_as_load_image_makes_them(mode: str) -> None:
    source = Image.fromarray(picture(20, 30, 4))
    steps = {"La": ["LA", "La"], "PA": ["P", "PA"], "LAB": ["RGB", "LAB"], "HSV": ["RGB", "HSV"]}.get(mode, [mode])
    try:
        for step in steps:
            source = source.convert(step)
    except ValueError:
        source = Image.new(mode, (30, 20), 77)
    try:
        expected = np.asarray(load_image(source))
    except ValueError:
        assert "can't become RGB" in str(Preprocessor(PLAIN, Path()).check(source))
        return
    np.testing.assert_array_equal(pixels_of(source), expected)


def test_transparent_palettes_keep_their_colours_without_a_warning(tmp_path: Path) -> None:
    palette = Image.fromarray(picture(20, 30)).quantize(16)
    file = tmp_path / "x.png"
    palette.save(file, transparency=bytes(range(0, 160, 10)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = pixels_of(file)
    np.testing.assert_array_equal(pixels, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_greys_are_scaled_and_not_clipped(kind: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65_535, 300).astype(np.uint16).reshape(10, 30)
    expected = np.repeat(np.rint(ramp / 257).astype(np.uint8)[..., None], 3, axis=2)
    file = tmp_path / "ramp"
    file.write_bytes(encoded(ramp, kind))
    for value in (
        file,
        ramp,
        ramp.astype(">u2"),
        Image.fromarray(ramp),
        Image.fromarray(ramp.astype(np.int32)),
    ):
        np.testing.assert_array_equal(pixels_of(value), expected)
    assert expected.min() == 0
    assert expected.max() == 255
    assert np.asarray(load_image(str(file))).min(axis=(0, 1))[0] == 0  # Pillow's way clips: most of it is white
    assert (np.asarray(load_image(str(file))) == 255).mean() > 0.9


def test_arrays_lose_their_fourth_channel_and_gain_missing_ones() -> None:
    four = picture(12, 17, 4)
    np.testing.assert_array_equal(pixels_of(four), four[..., :3])
    np.testing.assert_array_equal(pixels_of(four[..., 0]), np.repeat(four[..., :1], 3, axis=2))
    np.testing.assert_array_equal(pixels_of(four[..., :1]), np.repeat(four[..., :1], 3, axis=2))
    np.testing.assert_array_equal(pixels_of(four.astype(np.uint16) * 257), four[..., :3])
    np.testing.assert_array_equal(pixels_of(four[::2, ::-1, :3]), four[::2, ::-1, :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(orientation: int, tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture(24, 40)).save(file, exif=exif)
    pixels = pixels_of(file)
    assert pixels.shape == ((24, 40, 3) if orientation < 5 else (40, 24, 3))
    np.testing.assert_array_equal(pixels, np.asarray(load_image(str(file))))
    np.testing.assert_array_equal(pixels, pixels_of(Image.open(file)))


def test_a_caller_s_picture_is_not_changed() -> None:
    source = Image.fromarray(picture(9, 7)).quantize(8)
    source.info["transparency"] = 3
    before = source.tobytes(), source.mode, dict(source.info)
    pixels_of(source)
    assert (source.tobytes(), source.mode, dict(source.info)) == before


# --- inputs that can't be used


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that promises more pixels than fit."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


NOISE = picture(64, 64)
UNUSABLE = {
    "not an image": b"hello, I am text",
    "not an image ": b"",
    "not an image  ": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n",
    "truncated": encoded(NOISE)[:3000],
    "truncated ": encoded(NOISE, "JPEG")[:900],
    "truncated  ": encoded(NOISE)[:20],
    "truncated   ": encoded(NOISE, "WEBP")[:200],
    "truncated    ": encoded(NOISE, "TIFF")[:900],
    "truncated     ": bomb(13_000, 13_000),  # as many pixels as Pillow warns of
    "decompression bomb": bomb(60_000, 60_000),
    "decompression bomb ": bomb(15_000, 14_000),
    "no such file": "nowhere/at/all.png",
    "can't be opened": "/",
    "can't be opened ": "a\0b.png",
    "a URL": "https://example.org/x.png",
    "without `;base64,`": "data:image/png,abc",
    "not valid base64": "data:image/png;base64,???",
    "a int": 5,
    "a NoneType": None,
    "an array of float32": np.zeros((4, 4), np.float32),
    "an array of bool": np.zeros((4, 4), bool),
    "an array of 3 x 9 x 8": np.zeros((3, 9, 8), np.uint8),
    "an array of 7": np.zeros(7, np.uint8),
    "empty": np.zeros((0, 5, 3), np.uint8),
    "more than 16 bit": Image.fromarray(np.full((3, 3), 70_000, np.int32)),
    "fractions": Image.fromarray(np.zeros((3, 3), np.float32)),
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_unusable_inputs_are_a_value_error_with_the_reason(reason: str) -> None:
    preprocessor = Preprocessor(PLAIN, Path())
    with pytest.raises(ValueError, match=reason.strip()) as caught:
        preprocessor.features([NOISE, UNUSABLE[reason]])
    assert type(caught.value) is ValueError
    assert preprocessor.check(UNUSABLE[reason]) == str(caught.value)
    assert preprocessor.check(NOISE) is None


def test_a_thread_of_pixels_does_not_fill_the_memory() -> None:
    record = PLAIN | {"resize": {"shortest_edge": 256}, "crop": {"height": 224, "width": 224}}
    assert "too elongated" in str(Preprocessor(record, Path()).check(np.zeros((1, 20_000), np.uint8)))


def test_a_lazily_opened_picture_that_is_broken_is_a_value_error(tmp_path: Path) -> None:
    lazy = Image.open(io.BytesIO(encoded(NOISE)[:3000]))
    assert "truncated" in str(Preprocessor(PLAIN, tmp_path).check(lazy))


# --- the compiling side


def test_the_record_is_plain_json(tmp_path: Path) -> None:
    record = record_of(backbone(tmp_path, {"resample": 2}, "mobilenet_v2"))
    assert json.loads(json.dumps(record)) == record
    assert record == PLAIN | {
        "resize": {"shortest_edge": 256},
        "crop": {"height": 224, "width": 224},
        "rescale": 1 / 255,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    assert compiling.stored(record, {}) == 224 * 224 * 3


def test_the_newer_file_is_preferred_as_transformers_prefers_it(tmp_path: Path) -> None:
    nested = {"image_processor": {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 48}}}
    backbone(tmp_path, {"image_processor_type": "DeiTImageProcessor"})
    backbone(tmp_path, nested, name="processor_config.json")
    assert record_of(tmp_path)["resize"] == {"height": 32, "width": 48}
    assert AutoImageProcessor.from_pretrained(tmp_path, backend="pil").size == {"height": 32, "width": 48}


@pytest.mark.parametrize(
    ("model_type", "written", "resize", "crop", "shape"),
    [
        ("vit", {}, {"height": 96, "width": 96}, None, (96, 96)),
        ("mobilenet_v2", {}, {"shortest_edge": 110}, {"height": 96, "width": 96}, (96, 96)),
        ("deit", {}, {"height": 110, "width": 110}, {"height": 96, "width": 96}, (96, 96)),
        ("deit", {"do_resize": False}, None, {"height": 96, "width": 96}, (96, 96)),
        ("resnet", {"size": 224}, {"shortest_edge": 96}, None, (96, 96)),
    ],
)
def test_image_size_sets_what_the_backbone_sees(
    model_type: str, written: dict[str, Any], resize: Any, crop: Any, shape: tuple[int, int], tmp_path: Path
) -> None:
    record = record_of(backbone(tmp_path, written, model_type), image_size=96)
    assert (record["resize"], record["crop"]) == (resize, crop)
    assert Preprocessor(record, tmp_path).features([PICTURES["large"]])[0]["pixels"].shape == (*shape, 3)
    assert compiling.stored(record, {}) == shape[0] * shape[1] * 3


@pytest.mark.parametrize(
    ("model_type", "written", "said"),
    [
        ("vit", {"image_processor_type": "EfficientNetImageProcessor"}, "EfficientNetImageProcessor"),
        ("vit", {"image_processor_type": "LevitImageProcessor"}, "LevitImageProcessor"),
        ("detr", {}, "unnamed"),
        ("vit", {"size": {"shortest_edge": 224}}, "different shapes"),
        ("vit", {"size": {"longest_edge": 224}}, "longest_edge"),
        ("vit", {"size": "large"}, "large"),
        ("vit", {"size": {"height": 0, "width": 3}}, "`size`"),
        ("deit", {"crop_size": {"shortest_edge": 5}}, "`crop_size`"),
        ("convnext", {"size": {"height": 224, "width": 224}}, "crop_pct"),
        ("convnext", {"crop_pct": 2}, "crop_pct"),
        ("deit", {"do_resize": False, "do_center_crop": False}, "different shapes"),
        ("vit", {"do_pad": True}, "pads"),
        ("vit", {"resample": 9}, "resample"),
        ("vit", {"resample": None}, "resample"),
        ("vit", {"size": None}, "`size`"),
        ("convnext", {"crop_pct": None}, "crop_pct"),
        ("vit", {"image_mean": [0.5]}, "image_mean"),
        ("vit", {"image_std": ["a", "b", "c"]}, "image_std"),
        ("vit", {"rescale_factor": "x"}, "rescale_factor"),
    ],
)
def test_what_cannot_be_repeated_exactly_is_refused(
    model_type: str, written: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = backbone(tmp_path, written, model_type)
    with pytest.raises(Refused, match=said) as caught:
        record_of(folder)
    assert [each.code for each in caught.value.diagnostics] == ["E0306"]


def test_a_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no preprocessor_config\.json"):
        compiling.preprocessing(tmp_path, {"model_type": "vit"}, Options())
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(Refused, match="can't be read"):
        compiling.preprocessing(tmp_path, {"model_type": "vit"}, Options())
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(Refused, match="3 channels"):
        compiling.preprocessing(tmp_path, {"model_type": "vit", "num_channels": 1}, Options())


def test_options_refuse_what_makes_no_sense() -> None:
    for wrong in ({"horizontal_flip": 1.5}, {"crop": 0.0}, {"crop": 1.1}, {"color": -0.1}, {"rotate": 3}):
        with pytest.raises(ValidationError):
            Augment(**wrong)
    assert Options.model_validate({"augment": {"crop": 1}}).augment == Augment(crop=1.0)


def test_a_data_row_gives_an_absolute_path(tmp_path: Path) -> None:
    assert compiling.raw({"file": "a/b.png"}, {"image": "file"}, tmp_path) == str(tmp_path / "a" / "b.png")
    assert compiling.raw({"file": "../b.png"}, {"image": ("file",)}, tmp_path) == str(tmp_path.parent / "b.png")
    assert compiling.raw({"file": "/b.png"}, {"image": "file"}, tmp_path) == os.path.abspath("/b.png")
    assert compiling.raw({"file": "data:x"}, {"image": "file"}, tmp_path) == "data:x"
    assert compiling.raw({"file": {"bytes": b"x", "path": "p"}}, {"image": "file"}, tmp_path) == b"x"
    assert compiling.raw({"file": None}, {"image": "file"}, tmp_path) is None


@pytest.mark.parametrize("model_type", ["mobilenet_v2", "convnext", "vit"])
def test_samples_are_eight_small_usable_and_derived_from_the_seed(model_type: str, tmp_path: Path) -> None:
    record = record_of(backbone(tmp_path, {}, model_type))
    samples = compiling.samples(3, record)
    assert samples == compiling.samples(3, record)
    assert samples != compiling.samples(4, record)
    assert len(set(samples)) == 8
    assert max(map(len, samples)) < 16_000
    modes = {
        running.rgb(each).size: Image.open(io.BytesIO(base64.b64decode(each.split(",")[1]))).mode for each in samples
    }
    assert {"RGB", "L", "RGBA", "I;16"} == set(modes.values())
    assert (5, 3) in modes
    rows = Preprocessor(record, tmp_path).features(samples)
    assert {row["pixels"].nbytes for row in rows} == {compiling.stored(record, {})}
    assert all(row["pixels"].std() > 5 for row in rows)


def test_neither_side_imports_torch_and_the_runtime_nothing_of_the_compiler() -> None:
    for module, banned in {
        "graftc.runtime.inputs.image": ("torch", "PIL", "pydantic", "graftc.compiler"),
        "graftc.compiler.inputs.image": ("torch", "PIL", "numpy", "transformers", "kornia"),
    }.items():
        code = f"import sys, {module}; print([name for name in {banned!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


# --- augmentation

EVERYTHING = {"horizontal_flip": 0.5, "crop": 0.6, "color": 0.3}
NOTHING = {"horizontal_flip": 0.0, "crop": None, "color": None}


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.from_numpy(np.stack([picture(32, 40, seed=seed) for seed in range(16)])).permute(0, 3, 1, 2) / 255


def test_a_seed_decides_and_every_global_state_is_left_alone(batch: torch.Tensor) -> None:
    augment = Augmentation(EVERYTHING)
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
    once = augment(batch, 5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), repr(np.random.get_state())) == before[1:]
    torch.manual_seed(2)
    random.seed(2)
    np.random.seed(2)
    assert torch.equal(augment(batch, 5), once)
    assert torch.equal(Augmentation(EVERYTHING)(batch, 5), once)
    assert not torch.equal(augment(batch, 6), once)
    assert once.shape == batch.shape
    assert once.dtype == batch.dtype
    assert 0 <= once.min() <= once.max() <= 1


def test_cutting_a_batch_changes_nothing(batch: torch.Tensor) -> None:
    augment = Augmentation(EVERYTHING)
    pieces = [augment(batch[:3], 5), augment(batch[3:4], 5, 3), augment(batch[4:], 5, 4)]
    assert torch.equal(torch.cat(pieces), augment(batch, 5))


@pytest.mark.parametrize("only", [{"horizontal_flip": 0.5}, {"crop": 0.5}, {"color": 0.5}])
def test_rows_change_independently(only: dict[str, float], batch: torch.Tensor) -> None:
    same = batch[:1].expand(16, -1, -1, -1)
    changed = Augmentation(NOTHING | only)(same, 0)
    different = {row.numpy().tobytes() for row in changed}
    assert len(different) == (2 if "horizontal_flip" in only else 16)


def test_a_certain_flip_is_a_flip_and_nothing_is_nothing(batch: torch.Tensor) -> None:
    assert torch.equal(Augmentation(NOTHING | {"horizontal_flip": 1.0})(batch, 0), batch.flip(-1))
    assert torch.equal(Augmentation(NOTHING)(batch, 0), batch)
    assert torch.equal(Augmentation(NOTHING | {"color": 0.0})(batch, 0), batch)


def test_a_crop_keeps_at_least_its_share(batch: torch.Tensor) -> None:
    height, width = 60, 60
    ramp = torch.linspace(0, 1, width).expand(64, 3, height, width)
    kept = Augmentation(NOTHING | {"crop": 0.8})(ramp, 0)
    spans = kept[:, 0, 0, -1] - kept[:, 0, 0, 0]
    assert spans.min() > 0.8 * (0.75**0.5) - 0.05
    assert spans.min() < 0.98


def test_rows_go_from_features_through_augmentation_to_collate(tmp_path: Path) -> None:
    preprocessor = Preprocessor(record_of(backbone(tmp_path, {}, "mobilenet_v2")), tmp_path)
    rows = preprocessor.features([PICTURES["landscape"], PICTURES["portrait"]])
    flipped = Augmentation(NOTHING | {"horizontal_flip": 1.0}).rows(rows, 0)
    expected = preprocessor.collate(rows)["pixel_values"][..., ::-1]
    np.testing.assert_array_equal(preprocessor.collate(flipped)["pixel_values"], expected)
    changed = Augmentation(EVERYTHING).rows(rows, 7)
    again = Augmentation(EVERYTHING).rows(rows[1:], 7, 1)
    assert changed[0]["pixels"].dtype == np.uint8
    np.testing.assert_array_equal(changed[1]["pixels"], again[0]["pixels"])
