"""Waveforms: lists of numbers in the rows themselves, read as the backbone's feature extractor says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.input import Input
from ..contracts.reading import RowReader
from ..decision import Decided
from ..diagnostics import At, Diagnostic, refuse
from ..facts.rows import Unusable, kind_of
from ..files import whole
from ..frozen import Frozen

if TYPE_CHECKING:
    import numpy as np

ROLE = "waveform"
SECONDS = 10  # that are kept of a waveform by default
LARGEST = 16 << 20  # bytes of preprocessor_config.json


class Options(Frozen):
    """Keys under `data` for waveforms."""

    max_samples: int | None = Field(None, ge=1, lt=1 << 24, description="samples kept of one input; default 10 seconds")


def preprocessing(
    folder: Path,
    config: Mapping[str, Any],
    options: Options,
    longest: int | None,
    columns: Mapping[str, Any],
    usual: Decided[int] | None,
) -> dict[str, Any]:
    """The record that plan, training and bundle share; raises Refused E0306 where the backbone does not say it."""
    try:
        said = json.loads(whole(folder / "preprocessor_config.json", LARGEST))
        rate, is_normalized = said["sampling_rate"], said["do_normalize"]
        is_sound = type(rate) is int and 0 < rate < 1 << 20 and type(is_normalized) is bool
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        is_sound = False
    if not is_sound:
        help = "write one with `AutoFeatureExtractor.from_pretrained(folder).save_pretrained(folder)`"
        at = At(("backbone", "from"))
        raise refuse(
            "E0306", "the backbone's preprocessor_config.json does not say how waveforms are read", at=at, help=help
        )
    record = {"modality": "waveform", "sampling_rate": rate, "is_normalized": is_normalized, "shortest": _field(config)}
    return record | {
        "max_samples": options.max_samples or decided(options, record, longest, usual)["max_samples"].value
    }


def _field(config: Mapping[str, Any]) -> int:
    """How many samples make one state: the receptive field of the convolutions."""
    found = 1
    kernels, strides = config.get("conv_kernel", (10, 3, 3, 3, 3, 2, 2)), config.get("conv_stride", (5, *(2,) * 6))
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        found = (found - 1) * stride + kernel
    return found


def decided(
    options: Options, record: Mapping[str, Any], longest: int | None, usual: Decided[int] | None
) -> dict[str, Decided[Any]]:
    """What the options leave open."""
    if options.max_samples:
        return {}
    return {"max_samples": Decided(SECONDS * record["sampling_rate"], f"{SECONDS} seconds, the default for waveforms")}


def nothing(*_: Any) -> Iterable[Diagnostic]:
    """Any waveform can be read by any backbone."""
    return ()


def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """The mean length of a sample's waveforms, as they are kept."""
    lengths = [min(len(value), record["max_samples"]) for value in inputs]
    return {"samples_mean": sum(lengths) / len(lengths)}


def raw(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], folder: Path) -> list[float]:
    """The waveform of a row."""
    found: list[float] = row[columns[ROLE][0]]
    return found


def refusal(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], folder: Path) -> Unusable | None:
    """What is wrong with a row's waveform, or None."""
    (column,) = columns[ROLE]
    value = row.get(column)
    if value is None:
        return Unusable(column, "is missing")
    if not isinstance(value, list):
        return Unusable(column, f"is {kind_of(value)}, not a list of numbers")
    if not value:
        return Unusable(column, "is empty")
    strange = next((i for i, number in enumerate(value) if type(number) not in (int, float)), None)
    if strange is not None:
        return Unusable(column, "holds what is no number", f"item {strange + 1} is {kind_of(value[strange])}")
    return None


def stored(record: Mapping[str, Any], measured: Mapping[str, float]) -> int:
    """Bytes that one prepared row takes."""
    return int(4 * measured["samples_mean"])


def samples(seed: int, record: Mapping[str, Any]) -> list[list[float]]:
    """Ten made-up golden waveforms: tones, noise, silence, and some of the shortest and the longest."""
    import numpy as np

    random, field = np.random.default_rng(seed), record["shortest"]
    times = [5, 8, 3, 1, 10, 1, 4]  # graphs are traced with the first
    lengths = [*(n * field for n in times), 1, field + 1, min(12 * field, 2 * record["max_samples"])]
    made = [np.sin(np.arange(n) * random.uniform(0.01, 1)) + 0.1 * random.normal(size=n) for n in lengths]
    made[5][:] = 0
    return [np.round(values, 4).tolist() for values in made]


def array(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of an input array of the graph; words are dynamic axes."""
    return {"dtype": "float32" if name == "input_values" else "int64", "shape": ["batch", "samples"]}


def shortest(record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """As many samples as make two states or more."""
    import numpy as np

    shape = (1, 2 * record["shortest"])
    return {"input_values": np.zeros(shape, np.float32), "attention_mask": np.ones(shape, np.int64)}


def _limits(record: Mapping[str, Any]) -> str:
    rate, most = record["sampling_rate"], record["max_samples"]
    return f"Waveforms have {rate:,} samples a second, which is not checked; beyond {most:,} samples they are cut."


INPUT = Input(
    options=Options,
    arrays=("input_values", "attention_mask"),
    reader=RowReader(roles=(ROLE,), raw=raw, refusal=refusal),
    preprocessing=preprocessing,
    decided=decided,
    misfits=nothing,
    problems=nothing,
    measure=measure,
    statistics=("samples_mean",),
    doubts=nothing,
    stored=stored,
    samples=samples,
    array=array,
    shortest=shortest,
    assets=lambda folder: {},
    portable=list,
    shown=("sampling_rate", "max_samples"),
    example=lambda record: "[0.0, 0.5, -0.5]",
    typed=lambda record: "'[0.0, 0.5, -0.5]'",
    limits=_limits,
)
