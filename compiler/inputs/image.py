"""Pictures: keys under `data`, and preprocessing from file to pixels."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.input import Input
from ..contracts.reading import RowReader
from ..decision import Decided
from ..diagnostics import At, Diagnostic, Refused, listed, quote, refuse
from ..facts.configuration import key_span
from ..facts.rows import Unusable, kind_of
from ..files import whole
from ..frozen import Frozen
from ._damage import is_path, opens, reads
from ._processors import OF_MODEL, PROCESSORS, Steps

if TYPE_CHECKING:
    import numpy as np

ROLES = ("image",)
OPTIONAL = ()
JOINED = ()
IN_FILES = True
LIMITS = "Pictures are resized and cropped to what the backbone was trained on; what lies outside the crop is not seen."
LARGEST = 16 << 20  # the most bytes of an image processor's file


class Augment(Frozen):
    """Keys under `data.augment`: random changes of training pictures, which validation and bundle never see."""

    horizontal_flip: float = Field(default=0.0, ge=0, le=1, description="Probability of mirroring a picture.")
    crop: float | None = Field(
        default=None, gt=0, le=1, description="Smallest share of the area that a random resized crop keeps."
    )
    color: float | None = Field(
        default=None, ge=0, le=1, description="Strength of brightness, contrast and saturation jitter."
    )


class Options(Frozen):
    """Keys under `data` for pictures."""

    image_size: int | None = Field(
        default=None, ge=1, le=4096, description="Edge in pixels; default: what the backbone's file says."
    )
    augment: Augment | None = Field(default=None, description="Random changes to training pictures.")


def preprocessing(
    folder: Path,
    config: Mapping[str, Any],
    options: Options,
    longest: int | None = None,
    columns: Mapping[str, Any] | None = None,
    usual: Decided[int] | None = None,
) -> dict[str, Any]:
    """The record of how pixels are prepared, from the backbone's own processor file.

    Raises Refused E0306 where the file is missing or asks for steps that can't be repeated exactly.
    """
    written = _written(folder)
    steps = PROCESSORS[_processor(written, config)]
    merged: dict[str, Any] = {
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
    }
    merged |= {"image_mean": steps.mean, "image_std": steps.std, **steps._asdict(), **written}
    if merged.get("do_pad") or config.get("num_channels", 3) != 3:
        raise _refused("it pads, or the backbone reads other than 3 channels")
    record = {"modality": "image", "channels": 3, **_geometry(merged, steps), **_scaling(merged)}
    if options.image_size is not None:
        record |= _at_size(record, options.image_size)
    _final(record)
    return record


def misfits(record: Mapping[str, Any], folder: Path, backbone: Any) -> Iterable[Diagnostic]:
    """The error for pictures of another size than the backbone has positions for."""
    size, pixels = _final(record), backbone.family.pixels
    if pixels is not None and pixels(backbone.config) != size:
        height, width = pixels(backbone.config)
        at = key_span(folder / "config.json", "image_size", f"{height} by {width} pixels")
        headline = f"the backbone reads pictures of another size than they are prepared in: {size[0]} by {size[1]}"
        help = f"write `image_size: {height}` under `data`" if height == width else "give a backbone of square pictures"
        yield Diagnostic("E0387", headline, at, (At(("backbone", "from")),), help=help)


def decided(
    options: Options, record: Mapping[str, Any], longest: int | None, usual: Decided[int] | None = None
) -> dict[str, Decided[Any]]:
    """The size of pictures, where the options leave it open."""
    height, width = _final(record)
    size = height if height == width else (height, width)
    return {} if options.image_size else {"image_size": Decided(size, "what the backbone's own processor file says")}


def raw(row: Mapping[str, Any], columns: Mapping[str, str | tuple[str, ...]], folder: Path) -> Any:
    """The input of a data row: a path made absolute from `folder`; bytes and data URIs as they are."""
    column = columns["image"]
    (name,) = (column,) if isinstance(column, str) else column
    value = row[name]
    if isinstance(value, Mapping):  # the form in which the datasets library writes pictures to Parquet
        value = value.get("bytes") or value.get("path")
    return os.path.abspath(folder / value) if is_path(value) else value


def stored(record: Mapping[str, Any], measured: Mapping[str, float]) -> int:
    """Bytes of a prepared row: one for each channel and pixel."""
    height, width = _final(record)
    return height * width * int(record["channels"])


def problems(options: Options, longest: int | None) -> Iterable[Diagnostic]:
    """Warnings for augmentation that changes nothing; `preprocessing` reports everything else."""
    written = options.augment.model_dump(exclude_unset=True) if options.augment else {}
    for key, value in written.items():
        if value == 0:
            at = At(("data", "augment", key), "changes no picture")
            yield Diagnostic("W0302", f"`{key}: {value:g}` has no effect", at, help=f"remove `{key}`")
    if options.augment and not written:
        yield Diagnostic(
            "W0302", "`augment` has no effect", At(("data", "augment"), "names no change"), help="remove it"
        )


def doubts(record: Mapping[str, Any], measured: Mapping[str, float], longest: int | None) -> Iterable[Diagnostic]:
    """No warnings, because pictures have no statistics."""
    return ()


def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """No statistics, because none are needed for pictures."""
    return {}


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with a row's picture by its file's header and end, or None; a build reads the pixels."""
    return _wrong(row, columns, folder, opens)


def damage(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with a row's picture after reading its pixels; None for nothing."""
    return _wrong(row, columns, folder, reads)


def _wrong(
    row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path, test: Callable[[Any], str | None]
) -> Unusable | None:
    (column,) = columns["image"]
    if row.get(column) in (None, ""):
        return Unusable(column, "is missing")
    value = raw(row, columns, folder)
    shown = quote(row[column]) if isinstance(row[column], str) else f"it is {kind_of(row[column])}"
    if is_path(value) and not os.path.isfile(value):
        reason = "names a folder, not an image" if os.path.isdir(value) else "names an image that does not exist"
        return Unusable(column, reason, shown, "E0316")
    reason = test(value) or ""
    return Unusable(column, "is no image that can be read", f"{shown}: {reason}", "E0316") if reason else None


def files(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """The file of a row's picture, if it is in one."""
    value = raw(row, columns, folder)
    return (Path(value),) if is_path(value) else ()


def array(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of an input array of the graph; words are dynamic axes."""
    height, width = _final(record)
    return {"dtype": "float32", "shape": ["batch", int(record["channels"]), height, width]}


def shortest(record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A picture: all are of one size."""
    import numpy as np

    height, width = _final(record)
    return {"pixel_values": np.zeros((1, int(record["channels"]), height, width), np.float32)}


def assets(folder: Path) -> dict[str, Path]:
    """No files, because the record says everything."""
    return {}


def samples(seed: int, record: Mapping[str, Any]) -> list[str]:
    """Eight generated golden inputs as data URIs of PNG files, the same for the same seed.

    They are larger than, as large as and smaller than the backbone's size, in every form of PNG.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    height, width = _final(record)
    noise = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    alpha = np.linspace(0, 255, 48 * 48).reshape(48, 48, 1).astype(np.uint8)
    return [
        _png(_gradient(random, height, width * 3 // 2)),
        _png(_gradient(random, height * 3 // 2, width)),
        _png(_gradient(random, height, width)),
        _png(noise),
        _png(_gradient(random, 60, 80)[..., 0]),
        _png(np.concatenate([_gradient(random, 48, 48), alpha], axis=2)),
        _png(random.integers(0, 256, (3, 5, 3), dtype=np.uint8)),
        _png(np.linspace(0, 65_535, 50 * 70).reshape(50, 70).astype(np.uint16)),
    ]


def _gradient(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A smooth picture between the random colours of two corners, whose file is small."""
    import numpy as np

    here, there = random.integers(0, 256, (2, 3))
    down, across = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    ramps: np.ndarray = here + (there - here) * (down + across) / 2
    return ramps.astype(np.uint8)


def _png(pixels: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _refused(reason: str, help: str = "") -> Refused:
    return refuse(
        "E0306",
        f"the backbone's pictures can't be prepared exactly as transformers does: {reason}",
        at=At(("backbone", "from")),
        help=help,
    )


def _written(folder: Path) -> dict[str, Any]:
    """The settings of the backbone's image processor, from the file that transformers prefers."""
    newer, usual = folder / "processor_config.json", folder / "preprocessor_config.json"
    for file in (newer, usual):
        try:
            content = json.loads(whole(file, LARGEST).decode("utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as broken:
            raise _refused(f"{file.name} can't be read: {broken}") from None
        content = content.get("image_processor") if file == newer and isinstance(content, dict) else content
        if isinstance(content, dict):
            return content
    raise _refused("its folder has no preprocessor_config.json", "save it beside config.json with save_pretrained")


def _processor(written: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The key of PROCESSORS, found as AutoImageProcessor finds the class."""
    kind = written.get("image_processor_type")
    if kind is None and written.get("feature_extractor_type") is not None:
        kind = str(written["feature_extractor_type"]).replace("FeatureExtractor", "ImageProcessor")
    kind = kind or config.get("image_processor_type") or OF_MODEL.get(str(config.get("model_type")), "unnamed")
    name = str(kind).removesuffix("Fast").removesuffix("Pil")
    if name not in PROCESSORS:
        raise _refused(f"image processor {name}", f"supported: {listed(PROCESSORS)}")
    return name


def _geometry(merged: Mapping[str, Any], steps: Steps) -> dict[str, Any]:
    """The fields resize, resample, crop and crop_pct of the record, checked."""
    resize = crop = crop_pct = None
    if merged["do_resize"]:
        resize = _size(merged["size"], "size", merged["default_to_square"])
    if merged["do_center_crop"]:
        crop = _size(merged["crop_size"], "crop_size", True)
        if "shortest_edge" in crop:
            raise _refused(f"`crop_size` is {merged['crop_size']}")
    if merged["resample"] not in range(6):
        raise _refused(f"`resample` is {merged['resample']!r}")
    if steps.crop_pct is not None:  # one kind of processor reads it; others ignore it
        crop_pct = merged["crop_pct"]
        if not isinstance(crop_pct, float | int) or not 0 < crop_pct <= 1:
            raise _refused(f"`crop_pct` is {crop_pct!r}")
        if resize is not None and "shortest_edge" not in resize:
            raise _refused(f"`size` is {merged['size']}, where `crop_pct` needs `shortest_edge`")
    return {"resize": resize, "resample": int(merged["resample"]), "crop": crop, "crop_pct": crop_pct}


def _size(value: Any, key: str, square: bool) -> dict[str, int]:
    """A size in the current form: old files write one number, or a pair of height and width."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"height": value, "width": value} if square else {"shortest_edge": value}
    elif isinstance(value, list | tuple) and len(value) == 2:
        value = {"height": value[0], "width": value[1]}
    if not isinstance(value, Mapping) or set(value) not in ({"height", "width"}, {"shortest_edge"}):
        raise _refused(f"`{key}` is {value!r}", "supported: height and width, or shortest_edge")
    if not all(isinstance(edge, int) and edge > 0 for edge in value.values()):
        raise _refused(f"`{key}` is {value!r}")
    return dict(value)


def _scaling(merged: Mapping[str, Any]) -> dict[str, Any]:
    """The fields rescale, mean and std of the record; without normalisation, mean 0 and deviation 1."""
    factor = merged["rescale_factor"]
    if merged["do_rescale"] and not isinstance(factor, int | float):
        raise _refused(f"`rescale_factor` is {factor!r}")
    mean, std = (merged["image_mean"], merged["image_std"]) if merged["do_normalize"] else (0, 1)
    return {
        "rescale": float(factor) if merged["do_rescale"] else None,
        "mean": _per_channel(mean, "image_mean"),
        "std": _per_channel(std, "image_std"),
    }


def _per_channel(value: Any, key: str) -> list[float]:
    values = [value] * 3 if isinstance(value, int | float) else value
    if not isinstance(values, list | tuple) or [isinstance(each, int | float) for each in values] != [True] * 3:
        raise _refused(f"`{key}` is {value!r}, where 3 channels are read")
    return [float(each) for each in values]


def _at_size(record: Mapping[str, Any], edge: int) -> dict[str, Any]:
    """The sizes of a record for another edge; resize keeps its proportion to crop."""
    resize, crop = record["resize"], record["crop"]
    square = {"height": edge, "width": edge}
    if record["crop_pct"] is not None and resize is not None:
        return {"resize": {"shortest_edge": edge}, "crop": crop and square}
    if crop is None:
        return {"resize": square}
    if resize is not None:
        share = {"height": edge / crop["height"], "width": edge / crop["width"]}
        share["shortest_edge"] = max(share.values())
        resize = {key: round(value * share[key]) for key, value in resize.items()}
    return {"resize": resize, "crop": square}


def _final(record: Mapping[str, Any]) -> tuple[int, int]:
    """The (height, width) of every prepared picture; raises Refused E0306 where it would vary."""
    for size in (record["crop"], record["resize"]):
        if size is not None and "height" in size:
            return int(size["height"]), int(size["width"])
    if record["resize"] is not None and record["crop_pct"] is not None:
        return (int(record["resize"]["shortest_edge"]),) * 2
    raise _refused("pictures of different shapes stay different", "set `do_center_crop` and `crop_size`")


def portable(value: Any) -> Any:
    """A raw input as JSON for any machine: a file becomes a data URI."""
    if isinstance(value, str) and not value.startswith("data:"):
        value = Path(value).read_bytes()
    if isinstance(value, bytes):
        return "data:application/octet-stream;base64," + base64.b64encode(value).decode()
    return value


def _augmentation(options: Options) -> Augment | None:
    return options.augment


INPUT = Input(
    options=Options,
    arrays=("pixel_values",),
    reader=RowReader(roles=ROLES, in_files=True, raw=raw, refusal=refusal, damage=damage, files=files),
    preprocessing=preprocessing,
    decided=decided,
    misfits=misfits,
    problems=problems,
    measure=measure,
    doubts=doubts,
    augmentation=_augmentation,
    augments=("augment",),
    stored=stored,
    samples=samples,
    array=array,
    shortest=shortest,
    assets=assets,
    portable=portable,
    shown=("resize", "crop"),
    example=lambda record: '"file.png"',
    typed=lambda record: '"file.png"',
    limits=lambda record: LIMITS,
    packages=("pillow",),
)
