"""Turns pictures into arrays.

Training and every image bundle use this module, so both see the same numbers: those of transformers' image processors
in their Pillow form, to the last bit.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..rows import Rows, one_each
from ..shape import NUMBER
from . import Preprocessing

if TYPE_CHECKING:
    from PIL import Image

_EDGE = range(1, 1 << 14)
_SIZE = (None, {"?height": _EDGE, "?width": _EDGE, "?shortest_edge": _EDGE})
RECORD = {  # the shape of the manifest's `preprocessing`
    "channels": range(3, 4),
    "resize": _SIZE,
    "resample": range(6),
    "crop": _SIZE,
    "crop_pct": (None, NUMBER),
    "rescale": (None, NUMBER),
    "mean": [NUMBER],
    "std": [NUMBER],
}


def annotation(record: Mapping[str, Any]) -> str:
    """The type of one input, for generated wrappers."""
    return "str | Path | bytes | Image.Image | np.ndarray"


def many(record: Mapping[str, Any]) -> str:
    """The type of many inputs, for generated wrappers; without arrays, because an array may be one picture."""
    one = annotation(record)
    return f"list[{one}] | tuple[{one}, ...]"


def from_words(words: Sequence[str], record: Mapping[str, Any]) -> list[Any]:
    """Inputs from words of a command line: one path for each word."""
    return list(words)


# some of Pillow's other readers start programs (EPS runs Ghostscript)
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

# Pillow's log messages are in its exceptions too; without a handler Python prints them on the terminal
logging.getLogger("PIL").addHandler(logging.NullHandler())

MOST_PIXELS = 178_956_970  # larger pictures are refused as decompression bombs; Pillow's limit too

WARPED = 384  # from this edge on, processors with `crop_pct` resize to a square and do not crop


class Preprocessor:
    """Turns inputs into `pixel_values` by the `preprocessing` of a plan or a manifest."""

    # rows of pixels in a batch, 9 pictures of 224: more were no faster in torch on a CPU, and take memory
    budget = 2048

    def __init__(self, record: Mapping[str, Any], folder: Path) -> None:
        self._resize: Mapping[str, int] | None = record["resize"]
        self._resample: int = record["resample"]
        self._crop_pct: float | None = record["crop_pct"]
        self._crops = _crops(record)
        self._values = _values(record)
        sides = {"shortest_edge"} if self._resize is None else set(self._resize)
        if sides not in ({"height", "width"}, {"shortest_edge"}) or not 0 < (self._crop_pct or 1) <= 1:
            raise ValueError("`resize` or `crop_pct` is none that can be followed")
        if not len(record["mean"]) == len(record["std"]) == record["channels"]:
            raise ValueError("`mean` and `std` need a number per channel")

    def rows(self, inputs: Sequence[Any]) -> Rows:
        """One row of one array for each input; raises ValueError with a short reason for an unusable input."""
        return one_each(inputs, self.features(inputs))

    def features(self, inputs: Sequence[Any]) -> list[dict[str, np.ndarray]]:
        """Reads, resizes and crops each input to `pixels`, uint8 (height, width, 3).

        Raises ValueError with a short reason for an unusable input.
        """
        return [{"pixels": self._pixels(rgb(value))} for value in inputs]

    def collate(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Rescales and normalises rows into `pixel_values`, float32 (batch, channels, height, width)."""
        pixels = np.stack([row["pixels"] for row in rows])
        batch, height, width, channels = pixels.shape
        values = np.empty((batch, channels, height, width), np.float32)
        for channel in range(channels):
            values[:, channel] = self._values[channel][pixels[..., channel]]
        return {"pixel_values": values}

    def is_one(self, value: Any) -> bool:
        """Whether an array or a sequence is one input: numbers in two or three dimensions are a picture."""
        return isinstance(value, np.ndarray) and value.ndim in (2, 3) and value.dtype.kind in "biuf"

    def check(self, value: Any) -> str | None:
        """Why an input can't be used; None when it can."""
        try:
            self.features([value])
        except ValueError as reason:
            return str(reason)
        return None

    def _pixels(self, image: Image.Image) -> np.ndarray:
        if self._resize is not None:
            size = _target(self._resize, self._crop_pct, *image.size)
            if size[0] * size[1] > MOST_PIXELS:
                raise ValueError(f"too elongated: {image.size[0]} x {image.size[1]} pixels")
            image = image.resize(size, resample=self._resample)
        pixels = np.array(image)
        for height, width in self._crops:
            pixels = _centred(pixels, height, width)
        return pixels


def opens(value: Any) -> str | None:
    """Why a file can't be a picture, by its header alone; None when it may be one."""
    try:
        with _stream(value) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings on wrong tags; reading the pixels decides
            _opened(stream)
    except ValueError as reason:
        return str(reason)
    return None


def rgb(value: Any) -> Image.Image:
    """An input of any kind as an upright picture of mode RGB; transparency is dropped, not blended.

    Raises ValueError with a short reason.
    """
    from PIL import Image

    if isinstance(value, np.ndarray):
        return Image.fromarray(_eight_bits(value)).convert("RGB")
    if isinstance(value, Image.Image):
        return _converted(_upright(value))
    with _stream(value) as stream:
        return _converted(_upright(_opened(stream)))


def _stream(value: Any) -> BinaryIO:
    if isinstance(value, bytes):
        return io.BytesIO(value)
    if isinstance(value, str) and value.startswith("data:"):
        return io.BytesIO(_decoded(value))
    if not isinstance(value, str | Path):
        raise ValueError(f"a {type(value).__name__}, not a path, bytes, a data URI, a picture or an array")
    if str(value).startswith(("http://", "https://")):
        raise ValueError("a URL: nothing is fetched here, pass the file or its bytes")
    try:
        return open(value, "rb")
    except FileNotFoundError:
        raise ValueError(f"no such file: {value}") from None
    except (OSError, ValueError) as failure:  # a ValueError for a null character in the name
        raise ValueError(f"can't be opened: {getattr(failure, 'strerror', None) or failure}") from None


def _decoded(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError("a data URI without `;base64,`")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a data URI that is not valid base64") from None


def _opened(stream: BinaryIO) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # from half of MOST_PIXELS on
            return Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"not an image ({', '.join(FORMATS)} can be read)") from None
    except Image.DecompressionBombError:
        raise ValueError(f"a decompression bomb: more than {MOST_PIXELS:,} pixels") from None
    except Exception as broken:  # readers raise whatever their format's parser raises
        raise ValueError(f"truncated or damaged: {broken}") from broken


def _upright(image: Image.Image) -> Image.Image:
    """A decoded copy, rotated by its EXIF orientation."""
    from PIL import ImageOps

    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"a decompression bomb: {width} x {height} pixels")
    if not width * height:
        raise ValueError("empty: it has no pixels")
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise  # the machine is at fault, not the picture
    except Exception as broken:  # decoding raises as many types as opening
        raise ValueError(f"truncated or damaged: {broken}") from broken


def _converted(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "F":
        raise ValueError("pixels are fractions: 8 or 16 bit wanted")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion would clip everything above 255 to white
        image = Image.fromarray(_eight_bits(_sixteen_bits(np.asarray(image))))
    image.info.pop("transparency", None)  # convert would drop it with a warning
    try:
        return image.convert("RGB")
    except MemoryError:
        raise
    except Exception as unknown:  # ValueError for odd modes, the colour library's own type for LAB
        raise ValueError(f"pixels of mode {image.mode} can't become RGB") from unknown


def _sixteen_bits(values: np.ndarray) -> np.ndarray:
    if values.min() < 0 or values.max() > 65_535:
        raise ValueError("pixels of more than 16 bit")
    return values.astype(np.uint16)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """An array as uint8 (height, width) or (height, width, 3 or 4); 65,535 of 16 bit becomes 255."""
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        shape = " x ".join(map(str, values.shape))
        raise ValueError(f"an array of {shape}: (height, width), (…, 3) or (…, 4) wanted")
    if not values.size:
        raise ValueError("empty: it has no pixels")
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise ValueError(f"an array of {values.dtype}: uint8 or uint16 wanted")
    if values.dtype.itemsize == 2:
        values = (values.astype(np.uint32) + 128) // 257
    flat = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    return np.ascontiguousarray(flat, np.uint8)


def _crops(record: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Each (height, width) that is cropped from the centre after resizing, in order."""
    crops = []
    if record["resize"] is not None and record["crop_pct"] is not None:
        edge = record["resize"]["shortest_edge"]
        crops += [(edge, edge)] if edge < WARPED else []
    if record["crop"] is not None:
        crops.append((record["crop"]["height"], record["crop"]["width"]))
    return crops


def _values(record: Mapping[str, Any]) -> np.ndarray:
    """The output of each of the 256 values of a pixel, float32 (channels, 256).

    The steps round as in transformers: float64 for the factor, float32 for mean and deviation.
    """
    every = np.arange(256, dtype=np.float64)
    with np.errstate(all="ignore"):  # a damaged record may give NaN; the answer is then refused
        scaled = (every if record["rescale"] is None else every * record["rescale"]).astype(np.float32)
        mean = np.array(record["mean"], np.float32)[:, None]
        deviation = np.array(record["std"], np.float32)[:, None]
        return (scaled - mean) / deviation


def _target(resize: Mapping[str, int], crop_pct: float | None, width: int, height: int) -> tuple[int, int]:
    """The (width, height) in pixels to resize a picture to, rounded as in transformers."""
    if "shortest_edge" not in resize:
        return resize["width"], resize["height"]
    edge = resize["shortest_edge"]
    if crop_pct is not None:
        if edge >= WARPED:
            return edge, edge
        edge = int(edge / crop_pct)
    longer = int(edge * max(width, height) / min(width, height))
    return (edge, longer) if width <= height else (longer, edge)


def _centred(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Crops (height, width) from the centre; smaller pictures are padded with black."""
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    part = pixels[max(top, 0) : max(top, 0) + height, max(left, 0) : max(left, 0) + width]
    canvas = np.zeros((height, width, pixels.shape[2]), pixels.dtype)
    down, right = max(-top, 0), max(-left, 0)
    canvas[down : down + part.shape[0], right : right + part.shape[1]] = part
    return canvas


PREPROCESSING = Preprocessing(
    record=RECORD,
    requires=lambda record: ("pillow",),
    preprocessor=Preprocessor,
    from_words=from_words,
    input_help="path of an image",
    annotation=annotation,
    many=many,
    imports=("from pathlib import Path", "import numpy as np", "from PIL import Image"),
)
