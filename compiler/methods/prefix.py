"""Learned keys and values before every layer's own (Li and Liang 2021, arXiv:2101.00190), by PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ..contracts.method import Method
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import Lowered, _prompts
from ._prompts import Tokens


class Options(Tokens):
    """Keys under `adapt` with method prefix."""

    projection: bool = Field(False, description="make keys and values by a small network while training")
    hidden: int = Field(128, ge=1, le=1 << 16, description="width of that network")


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds a key and a value for each virtual token, layer and head; the backbone's own tensors stay."""
    cache = backbone.family.cache
    assert cache is not None
    layers, heads, size = cache(backbone.config)
    width, whole = heads * size, 2 * layers * heads * size
    shapes: dict[str, tuple[int, ...]] = {"prompt.embedding.weight": (options.tokens, whole)}
    if options.projection:
        shapes = {
            "prompt.embedding.weight": (options.tokens, width),
            "prompt.transform.0.weight": (options.hidden, width),
            "prompt.transform.0.bias": (options.hidden,),
            "prompt.transform.2.weight": (whole, options.hidden),
            "prompt.transform.2.bias": (whole,),
        }
    added = tuple(Tensor(name=name, shape=shape, dtype="F32") for name, shape in shapes.items())
    record = {
        "tokens": options.tokens,
        "projection": options.projection,
        "hidden": options.hidden,
        "width": width,
        "layers": layers,
        "heads": heads,
    }
    return Lowered(frozenset(), added, record)


def _config(record: Mapping[str, Any]) -> Any:
    from peft import PrefixTuningConfig

    more = {"prefix_projection": record["projection"], "encoder_hidden_size": record["hidden"]}
    return PrefixTuningConfig(**_prompts.configuration("prefix", record, **more))


def apply(module: Any, record: Mapping[str, Any]) -> Any:
    """A backbone with learned keys and values from PEFT's encoder."""
    from peft import PrefixEncoder

    from ..layers.prompts import Prefixed

    prefixed = Prefixed(module, PrefixEncoder(_config(record)), record["tokens"])
    prefixed.record = dict(record)
    return prefixed


def save(module: Any, folder: Path) -> None:
    """Writes a folder that PeftModel loads."""
    _prompts.write(module, _config(module.record | {"projection": False}), folder)


def reload(module: Any, folder: Path) -> Any:
    """A backbone with the keys and values in a folder."""
    from ..layers.prompts import Prefixed

    return _prompts.read(module, folder, Prefixed)


METHOD = Method(
    options=Options,
    learning_rate=1e-2,
    head_learning_rate=2e-3,
    usual=(1e-4, 1e-1),
    needs=frozenset({"past-key-values"}),
    positions=_prompts.positions,
    packs=False,
    lower=lower,
    apply=apply,
    plain=_prompts.plain,
    merge=_prompts.merge,
    save=save,
    reload=reload,
)
